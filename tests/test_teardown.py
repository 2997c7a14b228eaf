"""teardown: everything of ours that is on a device goes, and a first install that fails leaves nothing to remove."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Action
from fleet_tasks.options import Targets
from tests.bench import Bench, BenchDevice
from tests.bench.mounts import mounted
from tests.program import Said, fleet
from tests.runs import going
from tests.waiting import eventually

Written = Callable[..., Path]


def agent(name: str, **more: object) -> dict[str, object]:
    """An agent that is installed by a script, and whose teardown notes what it was given."""
    said = f'echo {name} "$NAMED" "$COMMON" "${{FLEET_AGENT_HOME##*/agents/}}" >>~/said'
    return {"deploy": "echo >tool", "dispatch": "true", "teardown": said, "env": {"NAMED": name}, **more}


def describe(bench: Bench, *names: str, default: str = "shell", **agents: object) -> None:
    """A registry of ``deck`` with these agents, and whatever others are to be."""
    own = {**{name: agent(name) for name in names}, **agents}
    defaults = {"agent": default, "env": {"COMMON": "all"}}
    bench.registry(bench.home / "fleet.yaml", ["deck"], agents=own, defaults=defaults)


def installed(bench: Bench, *names: str) -> BenchDevice:
    """The device ``deck`` with these agents on it."""
    deck = bench.device("deck")
    describe(bench, *names)
    for name in names:
        assert fleet(bench, "deploy", "-d", "deck", "-a", name).code == 0
    return deck


def there(device: BenchDevice) -> list[str]:
    """What is at home, below ours only the agents."""
    return sorted({str(each.relative_to(device.home)) for each in device.home.rglob("*") if each.is_file()})


def spoken(device: BenchDevice) -> list[list[str]]:
    """What the teardown scripts noted, each one's words."""
    lines = [line.split() for line in (device.home / "said").read_text().splitlines()]
    (device.home / "said").unlink()
    return lines


# -- which agents go ------------------------------------------------------------------------------


def test_without_an_agent_all_of_them_go_each_by_its_own_script(bench: Bench) -> None:
    deck = installed(bench, "one", "two")
    logins = bench.logins()
    said = fleet(bench, "teardown", "-d", "deck", "--verify")
    assert (said.code, said.stdout) == (0, "removed one, two\n"), said
    words = spoken(deck)
    assert [each[:3] for each in words] == [["one", "one", "all"], ["two", "two", "all"]]
    assert [each[3].split("/")[0] for each in words] == ["one", "two"], "it does not know where it lives"
    assert list(deck.home.iterdir()) == []
    assert bench.logins() == logins + 1
    again = fleet(bench, "teardown", "-d", "deck", "--verify")
    assert (again.code, again.stdout) == (0, "nothing to remove\n")


def test_the_devices_own_agent_goes_first(bench: Bench) -> None:
    deck = installed(bench, "one", "two")
    describe(bench, "one", "two", default="two")
    said = fleet(bench, "teardown", "-d", "deck", "--verify")
    assert (said.code, said.stdout, [each[0] for each in spoken(deck)]) == (0, "removed two, one\n", ["two", "one"])


def test_an_agent_that_needs_no_installing_has_its_teardown_only_where_it_is_the_devices_own(bench: Bench) -> None:
    deck = installed(bench, "one")
    bare = agent("bare", deploy=None)
    for default, names in (("shell", ["one"]), ("bare", ["bare"])):
        describe(bench, "one", bare={key: value for key, value in bare.items() if value}, default=default)
        assert fleet(bench, "teardown", "-d", "deck", "--verify").stdout == f"removed {names[0]}\n"
        assert [each[0] for each in spoken(deck)] == names


def test_with_an_agent_only_that_one_goes(bench: Bench) -> None:
    deck = installed(bench, "one", "two")
    said = fleet(bench, "teardown", "-d", "deck", "-a", "one", "--verify")
    assert (said.code, said.stdout, [each[0] for each in spoken(deck)]) == (0, "removed one\n", ["one"])
    assert not list(deck.home.rglob("agents/one")) and list(deck.home.rglob("agents/two"))
    none = fleet(bench, "teardown", "-d", "deck", "-a", "one", "--verify")
    assert (none.code, none.stdout) == (0, "nothing to remove of one\n")


def test_a_cleanup_is_of_the_tasks_agent_alone(bench: Bench) -> None:
    deck = installed(bench, "one", "two")
    assert fleet(bench, "dispatch", "-d", "deck", "-a", "one", "--task", "x", "--cleanup").code == 0
    assert not list(deck.home.rglob("agents/one")) and list(deck.home.rglob("agents/two"))


HELD = """[ "$FLEET_TASK" != wait ] || { : >~/began; until [ -e ~/go ]; do sleep 0.05; done; }
cat "$FLEET_AGENT_HOME/tool"
"""
"""A task that waits until it may go on needs its agent to the end."""


def held(bench: Bench, tool: str = "works") -> BenchDevice:
    """The device ``deck``, and in its registry an agent with this tool."""
    describe(bench, held=agent("held", deploy=f"echo {tool} >tool", dispatch=HELD))
    return bench.device("deck")


def test_a_cleanup_leaves_the_agent_to_another_run_that_is_at_work(bench: Bench) -> None:
    deck = held(bench)
    words = ("dispatch", "-d", "deck", "-a", "held", "--cleanup", "--quiet", "--task")
    with going(bench, *words, "wait") as work:
        assert eventually((deck.home / "began").exists)
        assert fleet(bench, *words, "quick").stdout == "works\n"
        (deck.home / "go").touch()
        assert work.end().stdout == "works\n", "it was taken from under the other"
    assert there(deck) == ["began", "go", "said"], "who was at work last did not clean up"


def test_a_cleanup_leaves_the_agent_to_who_brings_it(bench: Bench) -> None:
    deck = held(bench)
    words = ("dispatch", "-d", "deck", "-a", "held", "--cleanup", "--quiet", "--task")
    slow = ": >~/bringing; until [ -e ~/bring ]; do sleep 0.05; done; echo new >tool"
    with going(bench, *words, "wait") as work:
        assert eventually((deck.home / "began").exists)
        describe(bench, held=agent("held", deploy=slow, dispatch=HELD))
        with going(bench, *words, "quick") as other:
            assert eventually((deck.home / "bringing").exists)
            (deck.home / "go").touch()
            assert work.end().stdout == "works\n"
            (deck.home / "bring").touch()
            assert other.end().stdout == "new\n", "what it was bringing was taken from it"
    assert there(deck) == ["began", "bring", "bringing", "go", "said"]


TAKEN = '[ "$(wc -l <~/taken)" -ge 2 ] || { echo >>~/taken; rm -rf "${FLEET_AGENT_HOME%/*}"; }'
"""A status that does what another run's cleanup might do just then, and only twice."""


@pytest.mark.parametrize("words", [("dispatch", "--task", "x"), ("batch", "--each", "fleet.yaml", "--task", "x")])
def test_an_agent_that_somebody_cleaned_away_is_brought_again(bench: Bench, words: tuple[str, ...]) -> None:
    deck = bench.device("deck")
    (deck.home / "taken").touch()
    describe(bench, held=agent("held", status=TAKEN, dispatch="echo it works"))
    said = fleet(bench, *words, "-d", "deck", "-a", "held", "-f", "json")
    assert (said.code, said.document["results"][-1]["stdout"]) == (0, "it works\n"), said.stderr
    assert (deck.home / "taken").read_text() == "\n\n"


def test_where_ours_would_be_is_not_known_nothing_is_removed(bench: Bench) -> None:
    removed = bench.home / "removed"
    path = bench.bin(own={name: f'echo {name} "$@" >>{removed}' for name in ("rm", "rmdir")})
    deck = bench.device("deck", shell="zsh", path=path)
    (deck.home / ".zshenv").write_text("unset HOME\n")
    describe(bench, "one")
    (result,) = fleet(bench, "deploy", "-d", "deck", "-a", "one", "-f", "json").results
    assert result["error"]["code"] == "home-missing", result
    assert not removed.exists(), removed.read_text()


def test_a_teardown_that_was_asked_for_waits_for_nobody(bench: Bench) -> None:
    deck = held(bench)
    with going(bench, "dispatch", "-d", "deck", "-a", "held", "--quiet", "--task", "wait") as work:
        assert eventually((deck.home / "began").exists)
        assert fleet(bench, "teardown", "-d", "deck", "-a", "held", "--verify").stdout == "removed held\n"
        (deck.home / "go").touch()
        assert work.end().code == 1
    assert there(deck) == ["began", "go", "said"]


def test_a_version_at_work_goes_when_it_is_free(bench: Bench) -> None:
    deck = held(bench, "first")
    words = ("dispatch", "-d", "deck", "-a", "held", "--quiet", "--task")
    with going(bench, *words, "wait") as work:
        assert eventually((deck.home / "began").exists)
        held(bench, "second")
        assert fleet(bench, *words, "quick").stdout == "second\n"
        (deck.home / "go").touch()
        assert work.end().stdout == "first\n", "it was taken from under the other"
    assert fleet(bench, *words, "quick").stdout == "second\n"
    assert [each.read_text() for each in deck.home.rglob("tool")] == ["second\n"]


def test_an_agent_that_the_registry_forgot_goes_too(bench: Bench) -> None:
    deck = installed(bench, "one", "two")
    describe(bench, "two")
    said = fleet(bench, "teardown", "-d", "deck", "--verify")
    assert (said.code, said.stdout, [each[0] for each in spoken(deck)]) == (0, "removed one, two\n", ["two"])
    assert list(deck.home.iterdir()) == []


@pytest.mark.parametrize("default", ["shell", "bad"])
def test_a_broken_agent_keeps_nobody_from_going(bench: Bench, tmp_path: Path, default: str) -> None:
    deck = installed(bench, "bad", "good")
    describe(bench, "good", default=default)
    said = fleet(bench, "teardown", "-d", "deck", PYTHONPATH=plugin(tmp_path))
    assert (said.code, said.stdout) == (0, "removed bad, good\n"), said
    assert "The teardown of bad could not be run: The agent 'bad'" in said.stderr and "no moon" in said.stderr
    assert [each[0] for each in spoken(deck)] == ["good"]
    assert list(deck.home.iterdir()) == []


def test_a_broken_agent_is_not_verified(bench: Bench, tmp_path: Path) -> None:
    deck = installed(bench, "bad", "good")
    describe(bench, "good")
    said = fleet(bench, "teardown", "-d", "deck", "--verify", "-f", "json", PYTHONPATH=plugin(tmp_path))
    assert (said.code, said.results[0]["error"]["code"]) == (1, "not-verified")
    assert "no moon" in said.results[0]["error"]["message"]
    assert there(deck) == ["said"]


def plugin(folder: Path) -> str:
    """A PYTHONPATH with a plug-in called ``bad`` that cannot be imported."""
    metadata = folder / "site" / "bad-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fleet_tasks.agents]\nbad = bad_agent:Bad\n")
    (folder / "site" / "bad_agent.py").write_text("raise RuntimeError('no moon today')")
    return str(folder / "site")


def test_one_whose_script_fails_keeps_nobody_from_going(bench: Bench) -> None:
    deck = installed(bench, "one", "two")
    describe(bench, "two", one=agent("one", teardown="echo no way.; exit 3"))
    said = fleet(bench, "teardown", "-d", "deck", "--verify", "-f", "json")
    assert (said.code, said.results[0]["error"]["code"]) == (1, "not-verified")
    assert "one on deck: Its own teardown did not end well: no way." in said.results[0]["error"]["message"]
    assert there(deck) == ["said"]


def test_what_somebody_else_put_there_stays_and_is_told(bench: Bench) -> None:
    deck = installed(bench, "one")
    (folder,) = deck.home.rglob("agents")
    (folder / "notes.txt").write_text("mine")
    said = fleet(bench, "teardown", "-d", "deck", "--verify", "-f", "json")
    assert (said.code, said.results[0]["error"]["code"]) == (1, "not-verified")
    assert str(folder) in said.results[0]["error"]["message"]
    (folder / "notes.txt").unlink()
    (deck.home / "said").unlink()
    assert fleet(bench, "teardown", "-d", "deck", "--verify").code == 0
    assert list(deck.home.iterdir()) == []


def test_a_folder_of_ours_that_others_use_can_still_go_with_all_above_it_later(bench: Bench) -> None:
    deck = installed(bench, "one")
    (manifest,) = deck.home.rglob("manifest")
    (manifest.parent / "notes.txt").write_text("mine")
    assert fleet(bench, "teardown", "-d", "deck", "--verify").code == 1
    (manifest.parent / "notes.txt").unlink()
    (deck.home / "said").unlink()
    assert fleet(bench, "teardown", "-d", "deck", "--verify").code == 0
    assert list(deck.home.iterdir()) == [], "it forgot which folders it had made"


def test_the_python_api_does_the_same(bench: Bench) -> None:
    deck = installed(bench, "one", "two")
    with Fleet.load(bench.home / "fleet.yaml") as opened:
        plan = opened.plan_simple(Action.TEARDOWN, opened.choose(Targets(all=True)))
        (result,) = opened.collect(plan).results
    assert (result.stdout, there(deck)) == (b"removed one, two\n", ["said"])


@pytest.mark.parametrize("there_already", [False, True])
def test_a_folder_that_was_made_for_a_run_goes_and_one_of_the_users_stays(bench: Bench, there_already: bool) -> None:
    deck = bench.device("deck")
    place = deck.home / "deep" / "er"
    if there_already:
        place.mkdir(parents=True)
    bench.registry(bench.home / "fleet.yaml", [], devices={"deck": {**deck.entry, "home": "~/deep/er"}})
    for words in (("run", "--task", "pwd"), ("deploy", "-a", "demo")):
        assert fleet(bench, *words, "-d", "deck").code == 0
        assert fleet(bench, "teardown", "-d", "deck", "--verify").code == 0
        assert list(place.iterdir()) == [] if there_already else list(deck.home.iterdir()) == []


def test_a_login_without_a_home_gets_no_link(bench: Bench) -> None:
    deck = bench.device("deck", shell="zsh")
    (deck.home / ".zshenv").write_text(f"HOME={deck.home}/none\n")
    entry = {**deck.entry, "home": str(deck.home / "ours")}
    bench.registry(bench.home / "fleet.yaml", [], devices={"deck": entry})
    assert fleet(bench, "deploy", "-d", "deck", "-a", "demo").code == 0
    assert sorted(each.name for each in deck.home.iterdir()) == [".zshenv", "ours"]
    assert (deck.home / "ours" / "manifest").read_text() == f"made {deck.home}/ours\n"
    assert fleet(bench, "teardown", "-d", "deck", "--verify").code == 0
    assert [each.name for each in deck.home.iterdir()] == [".zshenv"]


# -- a first install that fails -------------------------------------------------------------------


def tried(bench: Bench, name: str = "mine") -> Said:
    return fleet(bench, "deploy", "-d", "deck", "-a", name, "-f", "json")


@pytest.mark.parametrize("home", [None, "~/deep/er", "{home}/our/own"])
def test_a_refused_first_install_leaves_nothing(bench: Bench, home: str | None) -> None:
    deck = bench.device("deck")
    entry: dict[str, Any] = {**deck.entry, **({"home": home.format(home=deck.home)} if home else {})}
    mine = {"deploy": "echo code=requirement-missing; exit 1", "dispatch": "true"}
    bench.registry(bench.home / "fleet.yaml", [], devices={"deck": entry}, agents={"mine": mine})
    said = tried(bench)
    assert (said.code, said.results[0]["error"]["code"]) == (1, "requirement-missing")
    assert list(deck.home.iterdir()) == []


def test_a_refused_install_leaves_another_agent_alone(bench: Bench) -> None:
    deck = installed(bench, "one")
    before = sorted(deck.home.rglob("*"))
    describe(bench, "one", mine={"deploy": "exit 1", "dispatch": "true"})
    assert tried(bench).code == 1
    assert sorted(deck.home.rglob("*")) == before
    assert fleet(bench, "teardown", "-d", "deck", "--verify").stdout == "removed one\n"
    assert there(deck) == ["said"]


def test_a_refused_update_leaves_what_was_there(bench: Bench) -> None:
    deck = installed(bench, "one")
    before = sorted(deck.home.rglob("*"))
    describe(bench, one=agent("one", deploy="exit 1"))
    assert tried(bench, "one").code == 1
    assert sorted(deck.home.rglob("*")) == before


def test_a_folder_that_was_not_empty_stays(bench: Bench) -> None:
    deck = bench.device("deck")
    (deck.home / ".local").mkdir()
    (deck.home / ".local" / "mine").touch()
    describe(bench, mine={"deploy": "exit 1", "dispatch": "true"})
    assert tried(bench).code == 1
    assert sorted(deck.home.rglob("*")) == [deck.home / ".local", deck.home / ".local" / "mine"]


SLOW = 'case $1 in --help) exit ;; esac; echo >~/begun; exec cat >~/gone'
"""A tar that takes what comes, for as long as anybody is there to send it, and unpacks nothing."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_laptop_that_goes_away_during_the_upload(bench: Bench, tmp_path: Path, number: signal.Signals) -> None:
    deck = bench.device("deck", path=bench.bin(own={"tar": SLOW}))
    source = tmp_path / "picoclaw"
    source.write_bytes(b"#!/bin/sh\n")
    agents = {"picoclaw": {"source": str(source)}}
    bench.registry(bench.home / "fleet.yaml", ["deck"], agents=agents)
    with going(bench, "deploy", "-d", "deck", "-a", "picoclaw") as work:
        assert eventually((deck.home / "begun").exists)
        assert list(deck.home.rglob("agents/picoclaw/.new-*"))
        work.signal(number)
        assert eventually(lambda: sorted(each.name for each in deck.home.iterdir()) == ["begun", "gone"])


def test_a_transfer_that_went_wrong(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck", path=bench.bin(also=("tar",), own={"sha256sum": "echo 00 ./picoclaw"}))
    source = tmp_path / "picoclaw"
    source.write_bytes(b"#!/bin/sh\n")
    agents = {"picoclaw": {"source": str(source)}}
    bench.registry(bench.home / "fleet.yaml", ["deck"], agents=agents)
    said = tried(bench, "picoclaw")
    assert (said.code, said.results[0]["error"]["code"]) == (1, "checksum-mismatch"), said
    assert eventually(lambda: list(deck.home.iterdir()) == [])


@pytest.mark.skipif(sys.platform != "linux", reason="No other system gives a session mounts of its own.")
def test_a_disk_without_room_for_the_agent(bench: Bench, registry: Written, tmp_path: Path) -> None:
    deck = bench.device("deck")
    source = tmp_path / "picoclaw"
    source.write_bytes(b"#!/bin/sh\n" + bytes(100_000))
    registry("deck", agents={"picoclaw": {"source": str(source)}})
    with mounted(deck, deck.home, "full") as disk:
        said = tried(bench, "picoclaw")
        left = disk.left()
    assert (said.code, said.results[0]["error"]["code"]) == (1, "no-space"), said
    assert left == []
