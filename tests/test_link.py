"""What becomes of an attached run when the laptop dies, the link breaks or freezes, or nobody reads any more."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fleet_tasks import conversation, transport
from fleet_tasks.actions import dispatch, follow
from fleet_tasks.fleet import Fleet
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Report, State
from tests.bench import PATIENCE, Bench, BenchDevice, Relay, relay
from tests.program import fleet
from tests.runs import ONE, folders, going
from tests.waiting import eventually

COUNTED = """echo x >>"$HOME/count"
echo begun
while [ ! -e "$HOME/go" ]; do sleep 0.1; done
echo last
echo made >file"""


@pytest.fixture
def one(bench: Bench) -> BenchDevice:
    return bench.device(ONE)


@pytest.fixture
def direct(bench: Bench, one: BenchDevice) -> Path:
    return bench.registry(bench.home / "fleet.yaml", [ONE])


def through(bench: Bench, link: Relay) -> Path:
    """A registry in which the device is behind the link."""
    return bench.registry(bench.home / "fleet.yaml", [], devices={ONE: bench.entry(link.place)})


def starts(device: BenchDevice) -> int:
    """How many times the counted task began."""
    file = device.home / "count"
    return file.read_text().count("x") if file.exists() else 0


def nothing_left(device: BenchDevice) -> bool:
    if not device.quiet():
        return False
    assert eventually(lambda: not _own_folders(device)), _own_folders(device)
    return True


def _own_folders(device: BenchDevice) -> list[Path]:
    found = []
    for place in folders():
        with contextlib.suppress(FileNotFoundError):  # another test's, which went just now
            if f" {device.name} " in (place / "about").read_text():
                found.append(place)
    return found


# -- the laptop dies --------------------------------------------------------------------------


@pytest.mark.parametrize("passed", [0, 100, 1000, 1400, 1700, 2000])
def test_a_laptop_killed_while_it_connects(bench: Bench, one: BenchDevice, passed: int) -> None:
    """From before the server's first word to the last one before our script begins: the bytes it had sent by then."""
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        through(bench, link)
        link.freeze_after(passed)
        with going(bench, "run", "-d", ONE, "--task", "sleep 600") as work:
            assert eventually(lambda: link.frozen)
            work.signal(signal.SIGKILL)
        link.cut()
        assert nothing_left(one)
    (row,) = fleet(bench, "history", "-f", "json").document["runs"]
    assert (row["summary"]["lost"], row["summary"]["running"]) == (1, 0)


def test_a_laptop_killed_while_it_tears_down(bench: Bench, one: BenchDevice) -> None:
    """What was begun there is brought to its end without us: the agent is gone, and nothing else is left."""
    last = "echo >~/begun; while [ ! -e ~/go ]; do sleep 0.1; done"
    agent = {"deploy": "echo >tool", "dispatch": "echo hi", "teardown": last}
    bench.registry(bench.home / "fleet.yaml", [ONE], agents={"mine": agent})
    with going(bench, "dispatch", "-a", "mine", "-d", ONE, "--task", "x", "--cleanup") as work:
        assert eventually((one.home / "begun").exists)
        work.signal(signal.SIGKILL)
    (one.home / "go").touch()
    assert nothing_left(one)
    assert sorted(file.name for file in one.home.iterdir()) == ["begun", "go"]


def test_a_laptop_killed_at_the_start(bench: Bench, one: BenchDevice, direct: Path) -> None:
    with going(bench, "run", "-d", ONE, "--task", "sleep 600") as work:
        assert eventually(one.processes)
        work.signal(signal.SIGKILL)
        assert nothing_left(one)


def test_a_laptop_killed_while_the_task_runs(bench: Bench, one: BenchDevice, direct: Path) -> None:
    with going(bench, "run", "-d", ONE, "--task", "setsid sleep 700 & echo begun; sleep 600", "--stream") as work:
        work.until("begun")
        work.signal(signal.SIGKILL)
        assert nothing_left(one)


def test_a_laptop_killed_while_files_go_there(bench: Bench, one: BenchDevice) -> None:
    (bench.home / "big").write_bytes(bytes(30_000_000))
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        through(bench, link)
        with going(bench, "run", "-d", ONE, "--task", "sleep 600", "--send", "big") as work:
            assert eventually(lambda: any((place / "work").exists() for place in _own_folders(one)))
            link.freeze()
            work.signal(signal.SIGKILL)
            link.cut()
            assert nothing_left(one)


def test_a_laptop_killed_while_files_come(bench: Bench, one: BenchDevice) -> None:
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        through(bench, link)
        task = "head -c 30000000 /dev/zero >big; echo made"
        with going(bench, "run", "-d", ONE, "--task", task, "--fetch", "big", "--into", "got") as work:
            assert eventually(lambda: (bench.home / "got" / ONE).exists())
            link.freeze()
            work.signal(signal.SIGKILL)
            link.cut()
            assert nothing_left(one)


# -- the link breaks --------------------------------------------------------------------------


@pytest.mark.parametrize("words, times", [((), 1), (("--idempotent",), 2)], ids=["by default", "idempotent"])
def test_a_cut_link_starts_a_task_once_more_only_if_it_may(
    bench: Bench, one: BenchDevice, words: tuple[str, ...], times: int
) -> None:
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        through(bench, link)
        with going(bench, "run", "-d", ONE, "--task", COUNTED, "-f", "json", *words) as work:
            for number in range(1, times + 1):
                assert eventually(lambda number=number: starts(one) == number)  # type: ignore[misc]
                link.cut()
            said = work.end()
    (entry,) = said.results
    assert (said.code, entry["state"], entry["error"]["code"]) == (1, "lost", "connection-lost")
    assert (starts(one), entry["attempts"]) == (times, times)
    assert nothing_left(one)


def test_an_idempotent_task_is_done_after_a_cut(bench: Bench, one: BenchDevice) -> None:
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        through(bench, link)
        with going(bench, "run", "-d", ONE, "--task", COUNTED, "-f", "json", "--idempotent") as work:
            assert eventually(lambda: starts(one) == 1)
            link.cut()
            assert eventually(lambda: starts(one) == 2)
            (one.home / "go").touch()
            said = work.end()
    assert (said.code, said.results[0]["stdout"]) == (0, "begun\nlast\n")
    assert nothing_left(one)


def test_reconnect_survives_a_cut_link(bench: Bench, one: BenchDevice) -> None:
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        through(bench, link)
        words = ("run", "-d", ONE, "--task", COUNTED, "--fetch", "file", "--into", "got", "-f", "json", "--stream")
        with going(bench, *words, "--reconnect") as work:
            work.until("begun")
            link.cut()
            assert eventually(lambda: link.connections >= 2)
            (one.home / "go").touch()
            said = work.end()
    assert (said.code, said.results[0]["stdout"]) == (0, "begun\nlast\n")
    assert starts(one) == 1
    assert (bench.home / "got" / ONE / "file").read_text() == "made\n"
    assert nothing_left(one)


def test_a_device_that_stays_away_under_reconnect_has_lost_the_task(
    bench: Bench, one: BenchDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not "unreachable", of which one reads that nothing was begun there."""
    monkeypatch.setattr(follow, "PATIENCE", 1.0)
    reports: list[Report] = []
    with relay(one.host, one.port, bench.sshd.public_key) as link, Fleet.load(through(bench, link)) as ours:
        wish = Wish(task=COUNTED, agent="shell", reconnect=True)
        plan = ours.plan_dispatch(ours.choose(Targets(all=True)), wish, Bounds(retries=1))
        work = threading.Thread(target=lambda: reports.append(ours.collect(plan)))
        work.start()
        assert eventually(lambda: starts(one) == 1)
        link.refuse(1000)
        link.cut()
        work.join(PATIENCE)
        link.refuse(0)
        (result,) = reports[0].results
        assert (result.state, result.error.code if result.error else "") == (State.LOST, "connection-lost")
        assert one.processes()
        assert fleet(bench, "stop", "--run", plan.run).code == 0
    assert nothing_left(one)


def test_control_c_with_reconnect_ends_the_work(bench: Bench, one: BenchDevice, direct: Path) -> None:
    words = ("run", "-d", ONE, "--task", COUNTED, "--stream", "-f", "json", "--reconnect")
    with going(bench, *words) as work:
        work.until("begun")
        work.signal(signal.SIGINT)
        said = work.end()
    (entry,) = said.results
    assert (said.code, entry["state"], entry["stdout"]) == (130, "cancelled", "begun\n")
    assert nothing_left(one)


def test_a_laptop_killed_under_reconnect_leaves_a_task_that_its_time_ends(
    bench: Bench, one: BenchDevice, direct: Path
) -> None:
    """What it wrote stays on the device until somebody stops the run, which nobody follows any more."""
    words = ("run", "-d", ONE, "--task", COUNTED, "--stream", "--timeout", "3", "--reconnect")
    with going(bench, *words) as work:
        work.until("begun")
        work.signal(signal.SIGKILL)
        work.end()
    assert one.processes(), "the task ended with the laptop"
    assert one.quiet(), "its time did not end it"
    (folder,) = _own_folders(one)
    assert (folder / "out").read_text() == "begun\n"
    (row,) = fleet(bench, "history", "-f", "json").document["runs"]
    assert (row["summary"]["lost"], row["summary"]["running"]) == (1, 0)
    assert fleet(bench, "stop", "--run", row["run"]).code == 0
    assert not folder.exists()
    assert starts(one) == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is asked about after one second, and is the end of a link after three; we look five times a second."""
    monkeypatch.setattr(transport, "QUIET", 1.0)
    monkeypatch.setattr(conversation, "QUIET", 0.2)
    monkeypatch.setattr(transport, "DEAD", 3.0)


def test_a_link_that_freezes_is_noticed_here_too(bench: Bench, one: BenchDevice, impatient: None) -> None:
    """Nothing cuts it, and the system acknowledges what we send: that nobody answers is all there is to notice."""
    reports: list[Report] = []
    with relay(one.host, one.port, bench.sshd.public_key) as link, Fleet.load(through(bench, link)) as ours:
        work = threading.Thread(target=lambda: reports.append(_dispatch(ours)))
        work.start()
        assert eventually(lambda: starts(one) == 1)
        link.freeze()
        work.join(PATIENCE)
        assert link.frozen and not work.is_alive(), "it waits for a link that is dead"
    (result,) = reports[0].results
    assert (result.state, result.error.code if result.error else "") == (State.LOST, "connection-lost")
    assert nothing_left(one)


def test_a_link_over_which_nothing_is_said_is_kept(bench: Bench, one: BenchDevice, impatient: None) -> None:
    bench.registry(bench.home / "fleet.yaml", [ONE])
    with Fleet.load(bench.home / "fleet.yaml") as ours:
        report = ours.dispatch("sleep 4; echo last", Targets(device=(ONE,)), agent="shell")
    assert [(result.state, result.stdout) for result in report.results] == [(State.DONE, b"last\n")]


def test_a_link_that_freezes_costs_the_task_at_most_two_leases(
    bench: Bench, one: BenchDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LEASE", 2)
    monkeypatch.setattr(dispatch, "BEAT", 0.5)
    reports: list[Report] = []
    with relay(one.host, one.port, bench.sshd.public_key) as link, Fleet.load(through(bench, link)) as ours:
        work = threading.Thread(target=lambda: reports.append(_dispatch(ours)))
        work.start()
        assert eventually(lambda: starts(one) == 1)
        assert not one.quiet(5), "signs of life did not keep the task going"
        link.freeze()
        assert nothing_left(one), "the device waits for a laptop that says nothing"
        link.cut()
        link.thaw()
        work.join(PATIENCE)
    (result,) = reports[0].results
    assert (result.state, result.stdout) == (State.LOST, b"begun\n")
    assert starts(one) == 1


def _dispatch(ours: Fleet) -> Report:
    return ours.dispatch(COUNTED, Targets(device=(ONE,)), agent="shell")


# -- nobody reads any more --------------------------------------------------------------------


def test_a_reader_who_had_enough_ends_the_run(bench: Bench, one: BenchDevice, direct: Path) -> None:
    task = "i=0; while [ $i -lt 600 ]; do echo $i; i=$((i+1)); sleep 0.1; done"
    command = [sys.executable, "-m", "fleet_tasks", "run", "-d", ONE, "--stream", "--task", task]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=bench.environment(), cwd=bench.home, stdout=pipe, stderr=pipe) as work:
        assert work.stdout is not None and work.stderr is not None
        assert [work.stdout.readline(), work.stdout.readline()] == [f"{ONE}: 0\n".encode(), f"{ONE}: 1\n".encode()]
        assert one.processes() and _own_folders(one)
        work.stdout.close()
        assert nothing_left(one)
        assert b"Traceback" not in work.stderr.read()
