"""What a user sees of a batch: its numbers while it goes on, and a report in every format at its end."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bench import PATIENCE, Bench
from tests.program import Said, fleet
from tests.showing import Terminal
from tests.waiting import until

TASKS: list[dict[str, Any]] = [
    {"id": "bad", "task": "echo half an answer; echo >&2; echo disk full >&2; echo and more >&2; exit 3"},
    {"id": "next", "task": "echo never", "after": ["bad"]},
    {"id": "good", "task": "echo fine"},
    {"id": "mute", "task": "echo; echo out of luck; exit 4"},
    {"id": "also", "task": "echo one; echo two"},
]
RANKED = ["good", "also", "next", "bad", "mute"]
NUMBERS = "batch: 2 done, 2 failed, 1 skipped in "


@pytest.fixture
def place(bench: Bench, tmp_path: Path) -> Path:
    """A folder with a registry of one device whose agent is the shell, and a batch for it."""
    folder = tmp_path / "place"
    folder.mkdir()
    bench.registry(folder / "fleet.yaml", ["lab01"], defaults={"agent": "shell", "retries": 1})
    (folder / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    return folder


def batch(bench: Bench, place: Path, *words: str) -> Said:
    return fleet(bench, "batch", "-d", "lab01", "--file", "tasks.jsonl", *words, cwd=place)


def first_places(text: str, words: list[str]) -> list[str]:
    """The words in the order in which they first stand in the text."""
    assert all(word in text for word in words), text
    return sorted(words, key=text.index)


# -- the report --------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--format", "table")])
def test_a_table_of_a_batch_ends_with_what_failed_and_what_that_said(
    bench: Bench, place: Path, words: tuple[str, ...]
) -> None:
    said = batch(bench, place, *words)
    head, *rows = (re.split(r" {2,}", line) for line in said.stdout.splitlines())
    assert said.code == 1 and head == ["DEVICE", "TASK", "STATE", "EXIT", "SECONDS", "ANSWER"]
    assert [row[1] for row in rows] == RANKED, said.stdout
    assert [row[-1] for row in rows] == [
        "fine",
        "one (+1 lines)",
        "dependency-failed: What next comes after (bad) did not succeed.",
        "disk full (agent-failed: The task exited with 3.)",
        "out of luck (agent-failed: The task exited with 4.)",
    ]
    numbers, way_out = said.stderr.splitlines()
    assert numbers.startswith(NUMBERS) and "fleet resume --run" in way_out
    assert "batch: " not in batch(bench, place, *words, "--quiet").stderr


def test_the_text_of_a_batch_has_answers_first_and_then_why_the_others_failed(bench: Bench, place: Path) -> None:
    said = batch(bench, place, "--format", "text")
    answers = "good on lab01:\n  fine\nalso on lab01:\n  one\n  two\nbad on lab01: failed:\n  half an answer\n"
    assert said.stdout == f"{answers}mute on lab01: failed:\n  \n  out of luck\n"
    lines = said.stderr.splitlines()
    assert lines[0] == "next: skipped, dependency-failed: What next comes after (bad) did not succeed."
    assert lines[2:6] == [
        "bad on lab01: failed, agent-failed: The task exited with 3.",
        "  disk full",
        "mute on lab01: failed, agent-failed: The task exited with 4.",
        "  out of luck",
    ]
    assert lines[6].startswith("  Read more: ") and lines[7].startswith(NUMBERS), said.stderr


def test_the_markdown_of_a_batch_is_grouped_by_state(bench: Bench, place: Path) -> None:
    said = batch(bench, place, "--format", "markdown").stdout
    assert "- Done: 2 of 5 (40 %)\n- Results: 2 done, 2 failed, 1 skipped\n" in said
    table = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")]
    assert [row[1] for row in table[2:]] == RANKED
    assert table[-2][-1].startswith("disk full \\(agent-failed: ")
    titles = [line for line in said.splitlines() if line.startswith("## ")]
    assert titles == ["## lab01: good", "## lab01: also", "## next", "## lab01: bad", "## lab01: mute"]
    assert "Standard error:\n\n```text\n\ndisk full\nand more\n```" in said
    assert "\nskipped in 0.0 s\n" in said, "there is no host to name"


def test_the_page_of_a_batch_is_grouped_by_state(bench: Bench, place: Path) -> None:
    said = batch(bench, place, "--format", "html").stdout
    assert "<p>2 done, 2 failed, 1 skipped in " in said
    cells = re.findall(r"<tr><td>[^<]*</td><td>(\w+)</td><td>([a-z-]+)</td>", said)
    assert [task for task, _ in cells] == RANKED
    sections = re.findall(r"<details( open)?>\n<summary>([^:]*): ", said)
    assert [name for _, name in sections] == ["lab01 good", "lab01 also", "next", "lab01 bad", "lab01 mute"]
    assert [bool(open_) for open_, _ in sections] == [False, False, True, True, True]


def test_documents_of_a_batch_keep_the_order_of_the_file_or_of_the_ends(bench: Bench, place: Path) -> None:
    whole = batch(bench, place, "--format", "json")
    assert [result["task_id"] for result in whole.results] == [task["id"] for task in TASKS]
    *results, summary = map(json.loads, batch(bench, place, "--format", "jsonl").stdout.splitlines())
    assert [result["task_id"] for result in results] == ["bad", "good", "mute", "also", "next"]
    assert (summary["type"], summary["done"], summary["failed"], summary["skipped"]) == ("summary", 2, 2, 1)


def test_a_past_batch_is_shown_as_it_was(bench: Bench, place: Path) -> None:
    run = batch(bench, place, "--format", "json").document["run"]
    shown = fleet(bench, "history.show", "--run", run, "--format", "table", cwd=place)
    assert first_places(shown.stdout, [f"  {name}  " for name in RANKED]) == [f"  {name}  " for name in RANKED]
    assert "disk full (" in shown.stdout and NUMBERS in shown.stderr


# -- while it goes on --------------------------------------------------------------------------


class Screen(Terminal):
    """A terminal that is looked at before it is closed."""

    @property
    def seen(self) -> str:
        """What arrived so far, without its colours and moves of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._seen.decode(errors="replace"))


@contextmanager
def watched(bench: Bench, place: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Screen]]:
    """A command whose standard error is a terminal; ended with the block."""
    screen = Screen()
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet_tasks", *words],
        env=bench.environment(TERM="xterm", COLUMNS="120", LINES="24"),
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=screen.stream,
    )
    try:
        yield process, screen
    finally:
        process.kill()
        process.communicate()
        screen.close()


def holding_until(name: str) -> str:
    return f"until test -e ~/{name}; do sleep 0.1; done"


def test_a_terminal_shows_how_far_a_batch_is(bench: Bench, place: Path) -> None:
    device = bench.device("lab01")
    tasks = [{"id": f"t{n}", "task": f"{holding_until(name)}; exit {code}"}
             for n, name, code in ((1, "one", 0), (2, "two", 5), (3, "two", 0), (4, "two", 0))]  # fmt: skip
    (place / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    words = ("batch", "-d", "lab01", "--file", "tasks.jsonl", "--slots", "2")
    with watched(bench, place, *words) as (process, screen):
        until(lambda: "0/4 done, 2 running" in screen.seen)
        (device.home / "one").touch()
        until(lambda: "1/4 done, 2 running" in screen.seen)
        until(lambda: re.search(r"lab01 +t3 +running", screen.seen))
        (device.home / "two").touch()
        process.wait(30)
        until(lambda: "batch: 3 done, 1 failed in" in screen.seen.rpartition("so far")[2])


def test_a_resumed_batch_goes_on_counting(bench: Bench, place: Path) -> None:
    device = bench.device("lab01")
    tasks = [
        {"id": "a", "task": "true"},
        {"id": "b", "task": f"test -e ~/again && {holding_until('go')}"},
        {"id": "c", "task": "exit 3"},
    ]
    (place / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    run = batch(bench, place, "--format", "json").document["run"]
    (device.home / "again").touch()
    with watched(bench, place, "resume", "--run", run, "--rerun", "failed") as (process, screen):
        until(lambda: re.search(r"1/3 done, [12] running", screen.seen))
        (device.home / "go").touch()
        process.wait(30)
        until(lambda: "batch: 2 done, 1 failed in" in screen.seen)


LEADER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "fleet_tasks", *sys.argv[1:]])
"""


def test_a_terminal_that_is_closed_ends_the_work_properly(bench: Bench, place: Path) -> None:
    """It says so by a signal, and nothing can be written there any more: neither costs a task its end."""
    home = bench.device("lab01").home
    (place / "tasks.jsonl").write_text(json.dumps({"id": "a", "task": "echo begun; >~/begun; sleep 600"}))
    master, slave = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", LEADER, "batch", "-d", "lab01", "--file", "tasks.jsonl"],
        env=bench.environment(TERM="xterm"), cwd=place, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        until(lambda: select.select([master], [], [], 0)[0] and b"running" in os.read(master, 65536))
        until((home / "begun").exists)
        os.close(master)
        assert program.wait(PATIENCE) == 130
    finally:
        program.kill()
        program.wait()
    assert bench.device("lab01").quiet()
    run = next((bench.home / "state" / "runs").iterdir()).name
    (result,) = fleet(bench, "history.show", "--run", run, "--format", "json", cwd=place).results
    assert (result["state"], result["stdout"]) == ("cancelled", "begun\n")


def test_who_leaves_a_batch_at_once_hears_what_may_still_run(bench: Bench, place: Path) -> None:
    bench.devices("lab01", "lab02")
    bench.registry(place / "fleet.yaml", ["lab01", "lab02"], defaults={"agent": "shell", "retries": 1})
    stubborn = "trap '' TERM INT HUP; " + holding_until("go")
    tasks = [
        {"id": "quick", "task": "true", "where": {"device": "lab01"}},
        {"id": "long", "task": stubborn, "where": {"device": "lab01"}, "after": ["quick"]},
        {"id": "other", "task": "true", "where": {"device": "lab02"}},
    ]
    (place / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    with watched(bench, place, "batch", "--file", "tasks.jsonl") as (process, screen):
        until(lambda: "2/3 done, 1 running" in screen.seen)
        process.send_signal(2)
        until(lambda: "once more to leave at once" in screen.seen)
        process.send_signal(2)
        assert process.wait(30) == 130, screen.seen
        until(lambda: "May still be running on: lab01." in screen.seen)
