"""Devices that are odd but real: accounts that run no command of ours, clocks that are decades off, full disks."""

from __future__ import annotations

import filecmp
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet_tasks.actions import dispatch
from fleet_tasks.fleet import Fleet
from fleet_tasks.options import Targets
from fleet_tasks.results import Result, State
from tests.bench import PATIENCE, Bench
from tests.bench.mounts import mounted
from tests.program import fleet

Opened = Callable[..., Fleet]


def asked(opened: Opened, task: str = "echo answer") -> Result:
    (result,) = opened("deck").dispatch(task, Targets(all=True), "shell").results
    return result


# -- accounts ---------------------------------------------------------------------------------


def test_an_account_whose_shell_is_false(bench: Bench, opened: Opened) -> None:
    bench.device("deck", shell="false")
    result = asked(opened)
    assert result.error is not None
    assert (result.state, result.error.code) == (State.FAILED, "requirement-missing")


def test_a_command_that_the_server_forces(bench: Bench, opened: Opened) -> None:
    deck = bench.device("deck")
    deck.seat.login.write_text("#!/bin/sh\necho Only backups may be made here.\n")
    result = asked(opened)
    assert result.error is not None and "Only backups may be made here." in result.error.message
    assert (result.state, result.error.code, result.stdout) == (State.FAILED, "requirement-missing", b"")


@pytest.mark.parametrize(
    ("text", "code"),
    [("exit 0", "requirement-missing"), ("exec true", "requirement-missing"), ("exec cat", "not-verified"),
     ("sleep 600", "not-verified"), ("exec yes", "not-verified")],
    ids=["exits", "starts a program", "repeats what it hears", "sleeps", "never stops talking"],
)  # fmt: skip
def test_a_start_up_file_that_is_in_the_way(
    text: str, code: str, bench: Bench, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "PATIENCE", 1.5)
    deck = bench.device("deck", shell="zsh")
    (deck.home / ".zshenv").write_text(text + "\n")
    result = asked(opened, "echo >~/touched")
    assert result.error is not None
    assert (result.state, result.error.code) == (State.FAILED, code)
    assert not (deck.home / "touched").exists()


def test_a_start_up_file_that_takes_its_time_is_waited_for(bench: Bench, opened: Opened) -> None:
    deck = bench.device("deck", shell="zsh")
    (deck.home / ".zshenv").write_text("sleep 1.5\necho at last\n")
    assert asked(opened).stdout == b"answer\n"


def test_a_task_has_no_terminal_and_no_standard_input_to_ask_for_a_password(opened: Opened) -> None:
    task = "[ -t 0 ] || echo no terminal; (: </dev/tty) 2>/dev/null || echo none at all; read -r x || echo no input"
    assert asked(opened, task).stdout == b"no terminal\nnone at all\nno input\n"


# -- clocks -----------------------------------------------------------------------------------


def clock(bench: Bench, says: str) -> str:
    """A PATH in which ``date`` is that of a machine with a clock of its own."""
    return bench.bin(own={"date": says})


@pytest.mark.parametrize(
    "says",
    ["echo 4102444800", "echo the sun is up", "n=$(cat ~/n || echo 9); echo $((n - 1000)) | tee ~/n"],
    ids=["2100", "no number", "runs backwards"],
)
def test_a_clock_that_is_decades_off_changes_no_limit(says: str, bench: Bench, registry: Callable[..., Path]) -> None:
    deck = bench.device("deck", path=clock(bench, says))
    registry("deck")
    done = fleet(bench, "run", "-d", "deck", "--task", "echo answer", "--timeout", "20", "-f", "json")
    assert (done.code, done.results[0]["stdout"]) == (0, "answer\n"), done
    slow = fleet(bench, "run", "-d", "deck", "--task", "sleep 600", "--timeout", "1", "-f", "json").results[0]
    assert (slow["state"], slow["seconds"] < PATIENCE) == ("timed-out", True)
    assert deck.quiet()
    rows: Any = fleet(bench, "check", "-d", "deck", "-a", "shell", "-f", "json").results[0]["facts"]["checks"]
    (row,) = [row for row in rows if row["name"] == "clock"]
    assert not row["ok"] and row["guidance"], row


# -- disks and files --------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="No other system gives a session mounts of its own.")
@pytest.mark.parametrize("words", [("put", "--workdir", "there"), ("run", "--task", "echo never")], ids=["put", "run"])
def test_a_full_disk_is_named_and_nothing_is_left_on_it(
    words: tuple[str, ...], bench: Bench, registry: Callable[..., Path], tmp_path: Path
) -> None:
    deck = bench.device("deck")
    registry("deck")
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1_000_000))
    with mounted(deck, deck.home, "full") as disk:
        said = fleet(bench, *words, "-d", "deck", "--send", str(big), "-f", "json")
        left = disk.left()
    (result,) = said.results
    assert (said.code, result["state"], result["error"]["code"]) == (1, "failed", "no-space"), result
    assert [each for each in left if not each.endswith(("/there", "/ours", "/ours/manifest"))] == []


@pytest.mark.skipif(sys.platform != "linux", reason="No other system gives a session mounts of its own.")
@pytest.mark.parametrize("shell", ["bash", "dash", "busybox"])
def test_a_disk_without_room_for_a_line_is_named_and_is_as_it_was(
    shell: str, bench: Bench, registry: Callable[..., Path]
) -> None:
    deck = bench.device("deck", shell=shell)
    registry("deck")
    with mounted(deck, deck.home, "filled") as disk:
        (result,) = fleet(bench, "dispatch", "-d", "deck", "-a", "demo", "--task", "hello", "-f", "json").results
        left = disk.left()
    assert (result["state"], result["error"]["code"]) == ("failed", "no-space"), result
    assert left == [str(deck.home / "filler")]


@pytest.mark.skipif(sys.platform != "linux", reason="No other system gives a session mounts of its own.")
def test_a_working_folder_on_a_full_disk_is_named(bench: Bench, registry: Callable[..., Path], tmp_path: Path) -> None:
    deck = bench.device("deck")
    registry("deck")
    big, there = tmp_path / "big", tmp_path / "there"
    big.write_bytes(os.urandom(100_000))
    there.mkdir()
    words = ("--send", str(big), "--workdir", str(there), "--task", "echo never", "-f", "json")
    with mounted(deck, there, "full") as disk:
        (result,) = fleet(bench, "run", "-d", "deck", *words).results
        left = disk.left()
    assert (result["state"], result["error"]["code"]) == ("failed", "no-space"), result
    assert left == []


@pytest.mark.skipif(sys.platform != "linux", reason="No other system gives a session mounts of its own.")
def test_an_agent_that_fits_without_its_note_is_not_installed(bench: Bench, registry: Callable[..., Path]) -> None:
    deck = bench.device("deck")
    registry("deck")
    with mounted(deck, deck.home, "full") as disk:
        (result,) = fleet(bench, "deploy", "-d", "deck", "-a", "demo", "-f", "json").results
        left = disk.left()
    assert (result["state"], result["error"]["code"]) == ("failed", "no-space"), result
    assert left == []


@pytest.mark.parametrize("home", ["unset HOME", "HOME=/nowhere"])
@pytest.mark.parametrize(
    "words",
    [("put", "--send", "fleet.yaml"), ("put", "--send", "fleet.yaml", "--workdir", "~/x"), ("get", "--fetch", "*"),
     ("run", "--task", "pwd", "--workdir", "x")],
    ids=["put", "put to a place", "get", "run"],
)  # fmt: skip
def test_a_login_without_a_home_is_named(words: tuple[str, ...], home: str, bench: Bench) -> None:
    deck = bench.device("deck", shell="zsh")
    (deck.home / ".zshenv").write_text(f"{home}\n")
    bench.registry(bench.home / "fleet.yaml", ["deck"])
    (result,) = fleet(bench, *words, "-d", "deck", "-f", "json").results
    assert (result["state"], result["error"]["code"]) == ("failed", "home-missing"), result
    assert result["error"]["message"] == "The login has no home folder."


def test_a_folder_that_somebody_else_made_in_advance_is_not_used(bench: Bench, registry: Callable[..., Path]) -> None:
    """The name of a run's folder cannot be guessed; of the folder above it, all that is ours is private."""
    deck = bench.device("deck")
    registry("deck")
    ours = deck.home / "ours"
    ours.mkdir(mode=0o777)
    ours.chmod(0o777)
    task = 'ls -ld "${PWD%/work}"'
    shown = fleet(bench, "run", "-d", "deck", "--task", task).stdout
    assert shown.startswith("drwx------"), shown


def test_names_that_differ_in_case_only(bench: Bench, registry: Callable[..., Path], tmp_path: Path) -> None:
    registry("deck")
    task = "mkdir x; echo 1 >x/readme; echo 2 >x/README; echo 3 >x/ReadMe"
    said = fleet(bench, "run", "-d", "deck", "--task", task, "--fetch", "x", "--into", str(tmp_path / "back"))
    assert said.code == 0, said
    found = {file.name: file.read_text() for file in (tmp_path / "back" / "deck" / "x").iterdir()}
    assert found == {"readme": "1\n", "README": "2\n", "ReadMe": "3\n"}


def test_a_sparse_file_arrives_whole(bench: Bench, registry: Callable[..., Path], tmp_path: Path) -> None:
    registry("deck")
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(20_000_000)
        file.write(b"begin")
        file.seek(0, 2)
        file.write(b"end")
    words = ("run", "-d", "deck", "--send", str(sparse), "--fetch", "sparse", "--into", str(tmp_path / "back"))
    said = fleet(bench, *words, "--task", "wc -c <sparse")
    assert (said.code, said.stdout.strip()) == (0, "20000003"), said
    assert filecmp.cmp(sparse, tmp_path / "back" / "deck" / "sparse", shallow=False)


def test_thousands_of_files_go_there_and_back(bench: Bench, registry: Callable[..., Path], tmp_path: Path) -> None:
    registry("deck")
    many = tmp_path / "many"
    for number in range(5_000):
        if number % 1000 == 0:
            (many / str(number)).mkdir(parents=True)
        (many / str(number // 1000 * 1000) / str(number)).write_text(f"{number}\n")
    words = ("run", "-d", "deck", "--send", str(many), "--fetch", "many", "--into", str(tmp_path / "back"))
    said = fleet(bench, *words, "--task", "find many -type f | wc -l")
    assert (said.code, said.stdout.strip()) == (0, "5000"), said
    back = tmp_path / "back" / "deck" / "many"
    assert sum(len(list(folder.iterdir())) for folder in back.iterdir()) == 5_000
    assert (back / "4000" / "4444").read_text() == "4444\n"
