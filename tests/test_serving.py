"""One shell on a device that serves one task after the other: it stays, and no task learns of another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fleet_tasks.actions import dispatch
from fleet_tasks.actions.stage import Line, Stage
from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Fetch, Job, Send
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Result, State
from fleet_tasks.stopping import Stopping
from fleet_tasks.worker import Worker
from tests.bench import Bench, BenchDevice, relay
from tests.supervised import SHELLS
from tests.waiting import until

SERVER = 'read -r _ _ _ server _ <"/proc/$PPID/stat"; echo "$server"'
"""A task that tells which shell serves it: the parent of its supervisor."""


@dataclass(frozen=True)
class Slot:
    """A slot of a batch on one device: it does one task after the other."""

    worker: Worker
    stage: Stage
    job: Job

    def do(self, task: str, **more: object) -> Result:
        """What comes of a shell task."""
        return self.worker.carry_out(self.stage, replace(self.job, task=task, **more))  # type: ignore[arg-type]

    def server(self) -> int:
        """The process that serves it."""
        return int(self.do(SERVER).stdout)


@contextmanager
def open_slot(registry: Path, spool: Path) -> Iterator[Slot]:
    with Fleet.load(registry) as fleet:
        plan = fleet.plan_dispatch(fleet.choose(Targets(all=True)), Wish(task="x", agent="shell"), Bounds())
        (visit,) = plan.visits
        connection = fleet.session.connections([visit.device], plan.connect_timeout)[visit.device.name]
        connection.open()
        worker, line = Worker(plan, fleet.agent, Stopping(), spool), Line()
        stage = replace(worker.stage(visit.device, connection, lambda sign: None), line=line)
        yield Slot(worker, stage, visit.jobs[-1])
        line.hang_up()


@pytest.fixture(params=SHELLS)
def deck(request: pytest.FixtureRequest, bench: Bench) -> BenchDevice:
    """A device whose sh is one of those there are."""
    return bench.device("deck", path=bench.bin(sh=request.param, also=("tar",)))


@pytest.fixture
def slot(bench: Bench, deck: BenchDevice, tmp_path: Path) -> Iterator[Slot]:
    with open_slot(bench.registry(tmp_path / "fleet.yaml", ["deck"]), tmp_path / "spool") as slot:
        yield slot


def test_one_shell_serves_them_all_and_goes_with_the_line(slot: Slot, deck: BenchDevice) -> None:
    servers = {slot.server() for _ in range(5)}
    assert len(servers) == 1
    assert slot.do("echo out; echo err >&2; exit 7").exit_status == 7
    assert servers == {slot.server()}, "a task that failed is no reason to leave"
    assert slot.stage.line is not None
    slot.stage.line.hang_up()
    assert deck.quiet()


def test_nothing_of_a_task_is_there_for_the_next(slot: Slot) -> None:
    look = "set; env; pwd; umask; trap; ls -A"
    own = {"FLEET_TASK_ID", "FLEET_MARK", "FLEET_TASK", "FLEET_TASK_FILE", "PWD", "OLDPWD", "PPID", "_", "BASH"}

    def seen(result: Result) -> list[str]:
        lines = result.stdout.decode().splitlines()
        return [line for line in lines if not any(line.startswith(f"{name}=") for name in own) and "/" not in line]

    first = slot.do(look)
    told = slot.do(
        "export LEAK=1; ft_run=/; ft_task=evil; cd /; umask 0; trap 'echo trapped' EXIT; ulimit -n 20; echo $SECRET",
        env={"SECRET": "s3cret", "ft_nonce": "mine"}, timeout=7.0, workdir="/",
    )  # fmt: skip
    assert told.stdout == b"s3cret\ntrapped\n"
    again = slot.do(look)
    assert seen(again) == seen(first) and b"s3cret" not in again.stdout and b"LEAK" not in again.stdout
    assert len({slot.server() for _ in range(2)}) == 1


def test_the_shell_that_stays_never_held_a_secret(slot: Slot) -> None:
    server = slot.server()
    slot.do("true", env={"SECRET": "s3cret-of-one-task"})
    assert slot.server() == server
    maps = Path(f"/proc/{server}/maps").read_text().splitlines()
    held = b""
    with Path(f"/proc/{server}/mem").open("rb") as memory:
        for start, end in (line.split()[0].split("-") for line in maps if " rw" in line):
            memory.seek(int(start, 16))
            held += memory.read(int(end, 16) - int(start, 16))
    assert b"ft_serve" in held and b"s3cret-of-one-task" not in held


def test_files_and_long_tasks_go_over_the_line(slot: Slot, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("words\n")
    back = tmp_path / "back"
    more = {"send": (Send(str(tmp_path / "in.txt"), "in.txt"),), "fetch": (Fetch("out"),), "into": str(back)}
    server = slot.server()
    for number in range(3):
        result = slot.do(f"cat in.txt >out; echo {number} >>out; # {'x' * 200_000}", flat=True, **more)
        assert result.state is State.DONE, result.error
        assert (back / "out").read_text() == f"words\n{number}\n"
    assert slot.server() == server


def test_a_task_that_did_not_end_by_itself_takes_the_shell_with_it(slot: Slot, deck: BenchDevice) -> None:
    server = slot.server()
    assert slot.do("sleep 600", timeout=1.0).state is State.TIMED_OUT
    assert slot.server() != server
    assert slot.do("kill -9 $PPID; sleep 600").state is State.LOST
    assert slot.do("echo well").stdout == b"well\n"
    assert slot.do("true", workdir="/nowhere").state is State.FAILED
    assert slot.do("echo well").stdout == b"well\n"
    assert slot.stage.line is not None
    slot.stage.line.hang_up()
    assert deck.quiet()


def test_a_shell_that_was_killed_or_kept_too_long_costs_no_task(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    server = slot.server()
    os.kill(server, signal.SIGKILL)
    line = slot.stage.line
    assert line is not None and line._kept is not None
    until(lambda: line._kept is None or not line._kept.fresh, "the end of the channel")
    other = slot.server()
    assert other != server
    monkeypatch.setattr("fleet_tasks.conversation.FRESH", 0.0)
    assert slot.server() != other


def test_signs_of_life_that_come_too_late_are_for_nobody(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "BEAT", 0.0005)
    server = slot.server()
    assert [slot.do(f"echo {number}").stdout for number in range(20)] == [b"%d\n" % number for number in range(20)]
    assert slot.server() == server


def test_a_link_that_breaks_costs_the_one_task(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    with relay(deck.host, deck.port, bench.sshd.public_key) as link:
        registry = bench.registry(tmp_path / "fleet.yaml", [], devices={"deck": bench.entry(link.place)})
        with open_slot(registry, tmp_path / "spool") as slot:
            assert slot.do("echo one").stdout == b"one\n"
            until(lambda: slot.stage.line is not None and slot.stage.line._kept is not None, "a line")
            link.cut_after(5_000)
            lost = slot.do("touch begun; head -c 50000 /dev/zero; sleep 600", workdir="~")
            assert lost.state is State.LOST and (deck.home / "begun").exists()
            assert slot.do("echo three").stdout == b"three\n"
    assert deck.quiet()
