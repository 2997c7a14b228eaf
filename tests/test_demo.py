"""The demo as a new user meets it: the tour, a fleet that is kept, and nothing left of either."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet_tasks import demo
from tests.bench import PATIENCE, gone
from tests.bench.fleet import ROOT
from tests.program import Said

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its temporary folders: empty before, and after."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return folder


def clean(place: Path) -> bool:
    """Whether the demo left neither files nor processes."""
    return gone(str(place)) and list(place.iterdir()) == []


def start(*words: str) -> subprocess.Popen[str]:
    """``fleet demo`` in a process group of its own, as a terminal starts it."""
    command = [sys.executable, "-m", "fleet_tasks", "demo", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process says, up to the line with these words."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    pytest.fail(f"It never said {words!r}, but:\n{said}")


@contextmanager
def kept() -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A fleet that is kept, and the environment that it says to go by."""
    with start("--keep") as process:
        try:
            said = read_until(process, "demo --stop")
            lines = [shlex.split(line) for line in said.splitlines() if line.strip().startswith("export ")]
            told = dict(word.split("=", 1) for _, *words in lines for word in words)
            yield process, {**os.environ, **told}
        finally:
            process.kill()


def fleet(*words: str, environment: dict[str, str] | None = None) -> Said:
    """One command in another process."""
    command = [sys.executable, "-m", "fleet_tasks", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def test_the_tour_shows_every_command_and_leaves_nothing(place: Path, own_home: Path) -> None:
    with start() as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    for _, command in demo.TOUR:
        assert f"$ fleet {command}\n" in said
    for words in ("all 10 checks passed", "installed demo", "I was asked: report CPU", "removed demo", "3 done"):
        assert words in said
    assert clean(place)
    assert not (own_home / "state").exists(), "the demo's runs are no part of the user's history"


def test_the_tour_says_when_something_went_wrong(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = iter([0, 1, 3, 0, 0])
    monkeypatch.setattr(demo, "_fleet", lambda words, environment: next(codes))
    said: list[str] = []
    assert demo.tour(said.append) == 3
    assert said[-1] == "\n# Something went wrong; see above."
    assert clean(place)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_interrupted_tour_leaves_nothing(number: signal.Signals, place: Path) -> None:
    with start() as process:
        read_until(process, "$ fleet deploy")
        os.killpg(process.pid, number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert clean(place)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_tour_interrupted_as_a_command_starts_ends_that_command(
    number: signal.Signals, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def starting(*args: Any, **given: Any) -> subprocess.Popen[bytes]:
        process = popen(*args, **given)
        if "fleet_tasks" in args[0]:
            started.append(process)
            signal.raise_signal(number)
        return process

    monkeypatch.setattr(subprocess, "Popen", starting)
    with pytest.raises(KeyboardInterrupt):
        demo.tour(lambda _: None)
    assert [process.returncode is not None for process in started] == [True]
    assert clean(place)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_kept_fleet_is_ended_by_a_signal(number: signal.Signals, place: Path) -> None:
    with kept() as (process, _):
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "The embedded fleet is gone." in said
    assert clean(place)


def mine(environment: dict[str, str]) -> dict[str, str]:
    return dict(os.environ)


def told(environment: dict[str, str]) -> dict[str, str]:
    return environment


@pytest.mark.parametrize("whose", [mine, told])
def test_a_kept_fleet_works_until_it_is_stopped(whose: Callable[[dict[str, str]], dict[str, str]], place: Path) -> None:
    with kept() as (process, environment):
        status = fleet("status", "-f", "json", environment=environment)
        assert status.code == 0, status.stderr
        assert [entry["state"] for entry in status.results] == ["done"] * 3

        run = fleet("run", "--all", "--task", "true", "--detach", environment=environment).stdout.strip()
        assert run

        second = fleet("demo", "--keep")
        assert second == Said(2, "", "An embedded fleet is up already; end it with: fleet demo --stop\n")

        stopped = fleet("demo", "--stop", environment=whose(environment))
        assert stopped == Said(0, "The embedded fleet is gone.\n", "")
        assert process.wait(timeout=PATIENCE) == 0
    assert clean(place)
    left = [*Path(tempfile.gettempdir()).glob(f"fleet-tasks-{run}*"), *place.rglob(f"fleet-tasks-{run}*")]
    assert left == [], "what ran alone is left"


def test_there_may_be_nothing_to_stop(place: Path) -> None:
    assert fleet("demo", "--stop") == Said(2, "", "No embedded fleet is up.\n")


def test_what_a_killed_demo_left_stops_nobody(place: Path) -> None:
    with kept() as (process, _):
        process.kill()
        process.wait(timeout=PATIENCE)
        assert fleet("demo", "--stop") == Said(2, "", "No embedded fleet is up.\n")
        with kept() as (again, _):
            again.terminate()
            assert again.wait(timeout=60) == 0
