"""What is said by anybody is freed of known values, and nothing is kept of a task that holds one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import CLEAN_PATH, Bench
from tests.program import Said, fleet, holding

KEY = "can-4e81b7'ary-77d0\"$`\\end-a3c9"
PARTS = ("can-4e81b7", "ary-77d0", "end-a3c9")
SHELLS = ("sh", "bash", "busybox sh", "zsh")


class Deck:
    """A device whose shell is given a key."""

    def __init__(self, bench: Bench, place: Path) -> None:
        self.bench, self.place = bench, place
        self.device = bench.device("deck", path=CLEAN_PATH)
        agents = {"shell": {"secrets": ["MY_KEY"]}}
        bench.registry(place / "fleet.yaml", ["deck"], agents=agents, defaults={"agent": "shell"})

    def __call__(self, *words: str, key: str = KEY) -> Said:
        return fleet(self.bench, *words, cwd=self.place, MY_KEY=key)

    def left(self) -> list[str]:
        """The files that hold a part of the key."""
        return [path for part in PARTS for path in holding(part, self.bench.home, self.place, self.device.home)]


@pytest.fixture
def deck(bench: Bench, tmp_path: Path) -> Deck:
    return Deck(bench, tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_key_is_scrubbed_as_shells_print_it(deck: Deck, shell: str) -> None:
    words = f"{shell} -c 'set; export -p; set -x; : \"$MY_KEY\"' 2>&1; {shell} -c 'export -p' >&2; exit 3"
    for more in ((), ("--stream",)):
        said = deck("run", "-d", "deck", "--task", words, "--debug", "-f", "json", *more)
        result = said.results[0]
        assert result["state"] == "failed", said.stderr
        assert result["stdout"].count("[secret]") >= 3 and "[secret]" in result["stderr"], result
        assert [part for part in PARTS if part in said.stdout + said.stderr] == []
    assert deck.left() == []


REFUSED = "The task holds the value of MY_KEY, and tasks are kept: leave the value out."


@pytest.mark.parametrize("words", [("run",), ("dispatch", "-a", "shell"), ("run", "--detach"), ("run", "--any", "1")])
def test_a_task_that_holds_a_value_is_refused_before_anything(deck: Deck, words: tuple[str, ...]) -> None:
    deck.bench.device("pi")
    deck.bench.registry(deck.place / "fleet.yaml", ["deck", "pi"], agents={"shell": {"secrets": ["MY_KEY"]}})
    said = deck(*words, "-d", "deck,pi", "--task", f"echo {KEY}")
    assert (said.code, said.stdout, deck.bench.logins()) == (2, "", 0)
    assert REFUSED in said.stderr
    assert [part for part in PARTS if part in said.stderr] == []
    assert deck.left() == []


@pytest.mark.parametrize("line", ["first", "last", "reduce"])
def test_a_batch_with_a_value_in_any_of_its_tasks_is_refused_before_anything(deck: Deck, line: str) -> None:
    given = {"id": "one", "task": "true"}, {"id": "two", "task": "true"}
    for each in given:
        if each["id"] == {"first": "one", "last": "two"}.get(line):
            each["task"] = "echo " + KEY
    more = ("--reduce", f"echo {KEY}") if line == "reduce" else ()
    tasks = deck.bench.home.parent / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(each) + "\n" for each in given))
    said = deck("batch", "-d", "deck", "--file", str(tasks), *more)
    tasks.unlink()
    assert (said.code, said.stdout, deck.bench.logins()) == (2, "", 0)
    assert REFUSED in said.stderr
    assert [part for part in PARTS if part in said.stderr] == []
    assert deck.left() == []


def test_a_value_too_short_to_be_scrubbed_is_said_once(deck: Deck) -> None:
    deck.bench.registry(deck.place / "fleet.yaml", ["deck", "pi"], agents={"shell": {"secrets": ["MY_KEY"]}})
    short = "q7#zx"
    said = deck("run", "-d", "deck,pi", "--task", 'echo "$MY_KEY"', "-f", "json", key=short)
    assert said.code == 0, said.stderr
    assert [each["stdout"] for each in said.results] == [f"{short}\n"] * 2
    assert said.stderr.count("The value of MY_KEY has fewer than 6 characters: it is not scrubbed.") == 1
    assert short not in said.stderr
    assert "fewer than" not in deck("run", "-d", "deck", "--task", "true", key=short + "y").stderr
