"""Runs that go on alone: started, listed, followed, fetched from, ended, by whomever, over links that break."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from fleet_tasks import scripts
from fleet_tasks.detached import FILE, attending
from fleet_tasks.fleet import Fleet
from fleet_tasks.history import folder as state_folder
from fleet_tasks.ids import is_run
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import State
from tests.bench import PATIENCE, Bench, BenchDevice, relay
from tests.program import fleet, holding
from tests.runs import ONE, TWO, detach, folder_of, folders, going, remembered
from tests.waiting import eventually

TASK = "echo one; echo two >&2; echo made >file; echo three; exit 3"


@pytest.fixture
def one(bench: Bench) -> BenchDevice:
    device = bench.device(ONE)
    bench.registry(bench.home / "fleet.yaml", [ONE])
    return device


def waits_for(file: Path, before: str = "", after: str = "") -> str:
    """A task that goes on until ``file`` is there."""
    return f"{before}; while [ ! -e {file} ]; do sleep 0.1; done; {after}".removeprefix("; ").removesuffix("; ")


def nothing_left(device: BenchDevice, run: str) -> bool:
    return device.quiet() and eventually(lambda: not folders(run))


# -- started and listed -----------------------------------------------------------------------


def test_it_starts_and_prints_its_id_alone(bench: Bench, one: BenchDevice) -> None:
    begun = time.monotonic()
    said = fleet(bench, "run", "-d", ONE, "--task", "sleep 600", "--detach")
    assert time.monotonic() - begun < PATIENCE
    assert said.code == 0 and said.stdout.endswith("\n") and is_run(said.stdout.strip())
    run = said.stdout.strip()
    assert one.processes()
    assert fleet(bench, "stop", "--run", run).code == 0
    assert nothing_left(one, run)


def test_ps_lists_it_until_it_is_followed(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, waits_for(one.home / "go", after="exit 3"))
    (row,) = fleet(bench, "ps", "-f", "json").document["runs"]
    assert (row["run"], row["command"], row["devices"], row["summary"]["running"]) == (run, "run", [ONE], 1)
    heads, told = fleet(bench, "ps").stdout.splitlines()
    assert "DEVICES" in heads and told.startswith(run) and f" {ONE} " in told and told.endswith("1 running")
    (one.home / "go").touch()
    assert one.quiet()
    (row,) = fleet(bench, "ps", "--run", run[:12], "-f", "json").document["runs"]
    assert row["summary"]["failed"] == 1 and row["summary"]["running"] == 0
    assert fleet(bench, "follow", "--run", run).code == 1
    assert fleet(bench, "ps", "-f", "json").document["runs"] == []
    assert nothing_left(one, run)


# -- followed ---------------------------------------------------------------------------------


def test_following_gives_what_an_attached_run_gives(bench: Bench, one: BenchDevice) -> None:
    same = ["command", "seconds", "run", "started"]
    attached = fleet(bench, "run", "-d", ONE, "--task", TASK, "--fetch", "file", "-f", "json")
    run = detach(bench, TASK, "--fetch", "file")
    followed = fleet(bench, "follow", "--run", run, "-f", "json")
    again = fleet(bench, "follow", "--run", run, "-f", "json")
    assert attached.code == followed.code == again.code == 1
    assert followed.document == again.document
    assert followed.document["run"] == run
    assert followed.document["seconds"] >= followed.results[0]["seconds"], "not only how long it took to start"
    local = bench.home / f"fleet-{run}" / ONE / "file"
    assert local.read_text() == "made\n"
    (ours,), (theirs,) = followed.results, attached.results
    assert ours["files"][0]["local"] == str(local.relative_to(bench.home))
    theirs["files"][0]["local"] = ours["files"][0]["local"]
    theirs["error"]["guidance"] = ours["error"]["guidance"]
    assert ours | dict.fromkeys(same) == theirs | dict.fromkeys(same)
    assert followed.document["summary"] == attached.document["summary"]
    assert nothing_left(one, run)


def test_a_dry_follow_removes_nothing(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "echo one")
    with attending(state_folder() / "runs" / run):  # somebody else reads it: it is left to them
        assert fleet(bench, "follow", "--run", run).code == 0
    assert folders(run)
    assert fleet(bench, "--dry", "follow", "--run", run).code == 0
    assert folders(run)
    assert fleet(bench, "follow", "--run", run).code == 0
    assert nothing_left(one, run)


def test_the_task_began_when_it_was_given(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "echo")
    began = remembered(run).results[0].started
    (entry,) = fleet(bench, "follow", "--run", run, "-f", "json").results
    assert entry["started"][:19] == began[:19]


def test_the_seconds_are_the_tasks_own(bench: Bench, one: BenchDevice) -> None:
    begun = time.monotonic()
    run = detach(bench, "sleep 3")
    assert one.quiet()
    (entry,) = fleet(bench, "follow", "--run", run, "-f", "json").results
    assert 3 <= entry["seconds"] < time.monotonic() - begun


def test_of_one_run_only_its_own_devices_are_asked(bench: Bench, one: BenchDevice) -> None:
    gone = {**bench.device(TWO).entry, "port": 1}
    bench.registry(bench.home / "fleet.yaml", [ONE], devices={TWO: gone})
    run = detach(bench, "sleep 600")
    said = fleet(bench, "ps", "--run", run, "--retries", "1", "-f", "json")
    assert (said.code, said.stderr, [row["run"] for row in said.document["runs"]]) == (0, "", [run])
    assert "refused" in fleet(bench, "ps", "--retries", "1").stderr
    assert fleet(bench, "stop", "--run", run).code == 0
    assert nothing_left(one, run)


def test_lines_come_from_the_first_on_and_as_they_are_written(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, waits_for(one.home / "go", "echo first", "echo last; echo bad >&2"))
    with going(bench, "follow", "--run", run, "--stream") as follower:
        follower.until(f"{ONE}: first\n")
        assert "last" not in follower.stdout
        (one.home / "go").touch()
        said = follower.end()
    assert (said.code, said.stdout) == (0, f"{ONE}: first\n{ONE}: last\n")
    assert f"{ONE}: bad\n" in said.stderr
    assert nothing_left(one, run)


def test_much_output_is_read_to_its_end(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "head -c 9000000 /dev/zero | tr '\\0' x; echo end")
    assert one.quiet()
    (entry,) = fleet(bench, "follow", "--run", run, "-f", "json").results
    whole = Path(entry["stdout_file"]).read_bytes()
    assert entry["truncated"] and len(whole) == 9_000_004 and whole.endswith(b"xend\n")


def test_secrets_are_scrubbed_from_what_is_followed(bench: Bench, one: BenchDevice) -> None:
    key = f"canary-{os.urandom(8).hex()}"
    secrets = {"MY_KEY": {"env": "MY_KEY"}}
    agents = {"teller": {"dispatch": "echo it is $MY_KEY", "secrets": ["MY_KEY"]}}
    bench.registry(bench.home / "fleet.yaml", [ONE], secrets=secrets, agents=agents)
    words = ("dispatch", "-a", "teller", "-d", ONE, "--task", "x", "--detach")
    run = fleet(bench, *words, MY_KEY=key).stdout.strip()
    assert one.quiet()
    said = fleet(bench, "follow", "--run", run, MY_KEY=key)
    assert said.code == 0 and said.stdout.startswith("it is ") and key not in said.stdout + said.stderr
    assert holding(key, bench.home) == []
    assert nothing_left(one, run)


def test_two_follow_at_once(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, waits_for(one.home / "go", "echo first", "echo last; exit 5"))
    words = ("follow", "--run", run, "--stream")
    with going(bench, *words) as left, going(bench, *words) as right:
        left.until("first")
        right.until("first")
        (one.home / "go").touch()
        ends = [left.end(), right.end()]
    assert [(end.code, end.stdout) for end in ends] == [(1, f"{ONE}: first\n{ONE}: last\n")] * 2
    (result,) = remembered(run).results
    assert result.exit_status == 5
    assert nothing_left(one, run)


def test_a_run_that_is_over_is_not_lost_because_it_is_stopped(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "echo hi")
    assert fleet(bench, "follow", "--run", run).code == 0
    assert "nothing ran" in fleet(bench, "stop", "--run", run).stdout
    (result,) = remembered(run).results
    assert (result.state, result.stdout) == (State.DONE, b"hi\n")


def test_history_has_one_entry_for_a_task_that_reconnects(bench: Bench, one: BenchDevice) -> None:
    run = fleet(bench, "run", "-d", ONE, "--task", "echo hi", "--reconnect", "-f", "json").document["run"]
    (result,) = remembered(run).results
    assert (result.action, result.state, result.stdout) == ("dispatch", State.DONE, b"hi\n")


def test_control_c_stops_following_and_nothing_else(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, waits_for(one.home / "go", "echo first", "echo last"))
    with going(bench, "follow", "--run", run, "--stream") as follower:
        follower.until("first")
        follower.signal(signal.SIGINT)
        said = follower.end()
    assert (said.code, said.stdout) == (130, f"{ONE}: first\n")
    assert "goes on" in said.stderr and "ending" not in said.stderr
    assert one.processes()
    (one.home / "go").touch()
    assert fleet(bench, "follow", "--run", run).stdout == "first\nlast\n"
    assert nothing_left(one, run)


def test_a_run_that_was_not_detached_cannot_be_followed_but_shown(bench: Bench, one: BenchDevice) -> None:
    run = fleet(bench, "run", "-d", ONE, "--task", "echo hi", "-f", "json").document["run"]
    assert fleet(bench, "follow", "--run", run).stdout == "hi\n"
    refused = fleet(bench, "get", "--run", run, "--fetch", "x")
    assert refused.code == 2 and "was not detached" in refused.stderr


# -- a link that breaks -----------------------------------------------------------------------


def test_following_survives_cuts_and_loses_no_byte(bench: Bench) -> None:
    one = bench.device(ONE)
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        bench.registry(bench.home / "fleet.yaml", [], devices={ONE: bench.entry(link.place)})
        count = "i=0; while [ $i -lt 400000 ]; do echo $i; i=$((i+1)); done"
        run = detach(bench, waits_for(one.home / "go", count, "echo made >file"), "--fetch", "file")
        link.cut_after(500_000)
        with going(bench, "follow", "--run", run, "-f", "json", "--output", "out.json") as follower:
            assert eventually(lambda: link.connections >= 3)
            assert eventually(link.cut)
            assert eventually(lambda: link.connections >= 4)
            (one.home / "go").touch()
            follower.end(60)
        (entry,) = json.loads((bench.home / "out.json").read_text())["results"]
        assert entry["error"] is None
        text = Path(entry["stdout_file"]).read_text() if entry["truncated"] else entry["stdout"]
        assert text.split() == [str(number) for number in range(400_000)]
        assert [Path(bench.home / file["local"]).read_text() for file in entry["files"]] == ["made\n"]
        assert nothing_left(one, run)


def test_a_device_out_of_reach_is_not_given_up(bench: Bench) -> None:
    one = bench.device(ONE)
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        bench.registry(bench.home / "fleet.yaml", [], devices={ONE: bench.entry(link.place)})
        run = detach(bench, waits_for(one.home / "go", after="echo last"))
        link.refuse(100)
        away = fleet(bench, "follow", "--run", run, "--retries", "1")
        assert away.code == 3
        assert one.processes(), "a look that failed ended the run"
        link.refuse(0)
        (one.home / "go").touch()
        assert fleet(bench, "follow", "--run", run).stdout == "last\n"
        assert nothing_left(one, run)


def test_stop_does_not_wait_for_a_device_that_it_did_not_reach(bench: Bench) -> None:
    one, two = bench.device(ONE), bench.device(TWO)
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        bench.registry(bench.home / "fleet.yaml", [TWO], devices={ONE: bench.entry(link.place)})
        run = fleet(bench, "run", "-d", f"{ONE},{TWO}", "--task", "sleep 600", "--detach", "--quiet").stdout.strip()
        link.refuse(1000)
        before = link.connections
        said = fleet(bench, "stop", "--run", run, "--retries", "1", "-f", "json")
        assert link.connections == before + 1, "it tried once more after it had said so"
        assert {entry["device"]: entry["state"] for entry in said.results} == {ONE: "unreachable", TWO: "done"}
        assert two.quiet() and one.processes()
        link.refuse(0)
        shown = fleet(bench, "history.show", "--run", run, "-f", "json")
        assert {entry["device"]: entry["state"] for entry in shown.results} == {ONE: "running", TWO: "cancelled"}
        assert fleet(bench, "stop", "--run", run).code == 0
        assert nothing_left(one, run) and nothing_left(two, run)


# -- devices that restart, supervisors that die ------------------------------------------------


def reboot(device: BenchDevice, run: str, *, keep: bool) -> None:
    """As if the device had restarted: all processes gone, another boot's id, its temporary folder kept or not."""
    place = folder_of(run)
    pid, _ = (place / "supervisor").read_text().split()
    _, mark, *_ = (place / "child").read_text().split()
    os.kill(int(pid), signal.SIGKILL)
    for process in device.processes():
        os.kill(process.pid, signal.SIGKILL)
    assert device.quiet()
    (place / "supervisor").write_text(f"{os.getpid()} another-boot\n")
    (place / "child").write_text(f"{os.getpid()} {mark} {os.getpid()}\n")
    if not keep:
        for file in sorted(place.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        place.rmdir()
    notes = Path(os.environ["FLEET_STATE"]) / "runs" / run / FILE
    notes.write_text(notes.read_text().replace(json.loads(notes.read_text())[0]["boot"], "another-boot"))


@pytest.mark.parametrize("keep", [True, False], ids=["folder kept", "folder gone"])
def test_a_device_that_restarted_is_told_at_once(bench: Bench, one: BenchDevice, keep: bool) -> None:
    run = detach(bench, "echo before; sleep 600")
    assert eventually(lambda: (folder_of(run) / "out").read_text() == "before\n")
    reboot(one, run, keep=keep)
    begun = time.monotonic()
    said = fleet(bench, "follow", "--run", run, "-f", "json")
    assert time.monotonic() - begun < PATIENCE
    (entry,) = said.results
    assert (said.code, entry["state"], entry["error"]["code"]) == (1, "lost", "device-rebooted")
    assert entry["stdout"] == ("before\n" if keep else "")
    assert not folders(run)


def test_a_device_that_was_shut_down_in_good_order_is_told_as_restarted(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "echo before; sleep 600")
    assert eventually(lambda: (folder_of(run) / "out").read_text() == "before\n")
    os.kill(int((folder_of(run) / "supervisor").read_text().split()[0]), signal.SIGTERM)
    assert eventually((folder_of(run) / "exit").exists)
    notes = Path(os.environ["FLEET_STATE"]) / "runs" / run / FILE
    notes.write_text(notes.read_text().replace(json.loads(notes.read_text())[0]["boot"], "another-boot"))
    (entry,) = fleet(bench, "follow", "--run", run, "-f", "json").results
    assert (entry["state"], entry["error"]["code"], entry["stdout"]) == ("lost", "device-rebooted", "before\n")
    assert nothing_left(one, run)


def test_a_process_id_of_before_a_restart_is_somebody_elses(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "sleep 600")
    assert eventually((folder_of(run) / "child").exists)
    reboot(one, run, keep=True)  # this test's own process now has the ids that were noted
    assert fleet(bench, "stop", "--all", "-d", ONE).code == 0
    assert not folders(run)


@pytest.mark.parametrize("command", ["stop", "follow"])
def test_a_task_without_its_supervisor_is_found_by_its_mark(bench: Bench, one: BenchDevice, command: str) -> None:
    run = detach(bench, "setsid sleep 700 & echo begun; sleep 600")
    assert eventually(lambda: (folder_of(run) / "out").read_text() == "begun\n")
    os.kill(int((folder_of(run) / "supervisor").read_text().split()[0]), signal.SIGKILL)
    said = fleet(bench, command, "--run", run, "-f", "json")
    assert nothing_left(one, run)
    if command == "follow":
        (entry,) = said.results
        assert (said.code, entry["state"], entry["error"]["code"]) == (1, "lost", "connection-lost")


def test_the_deadline_is_kept_though_the_supervisor_was_killed(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "trap '' TERM; setsid sleep 700 & echo begun; sleep 600", "--timeout", "4", "--grace", "1")
    assert eventually(lambda: (folder_of(run) / "out").read_text() == "begun\n")
    os.kill(int((folder_of(run) / "supervisor").read_text().split()[0]), signal.SIGKILL)
    assert one.processes()
    assert one.quiet(), "nobody was left to keep the deadline"
    assert fleet(bench, "follow", "--run", run, "-f", "json").results[0]["state"] == "lost"
    assert nothing_left(one, run)


# -- fetched from -----------------------------------------------------------------------------


def test_get_fetches_from_where_the_run_works(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, waits_for(one.home / "go", "mkdir part; echo half >part/file; echo is >ready"))
    assert eventually((folder_of(run) / "work" / "ready").exists)
    said = fleet(bench, "get", "--run", run, "--fetch", "part", "--fetch", "ready=there", "--into", "got", "-f", "json")
    assert said.code == 0, said
    assert (bench.home / f"got/{ONE}/part/file").read_text() == "half\n"
    assert (bench.home / f"got/{ONE}/there").read_text() == "is\n"
    assert one.processes()
    assert fleet(bench, "get", "--run", run, "--fetch", "nothing").code == 1
    assert fleet(bench, "stop", "--run", run).code == 0
    assert nothing_left(one, run)


def test_get_knows_the_runs_own_workdir_and_devices(bench: Bench, one: BenchDevice) -> None:
    bench.device(TWO)
    bench.registry(bench.home / "fleet.yaml", [ONE, TWO])
    (one.home / "place").mkdir()
    run = detach(bench, "echo here >file; sleep 600", "--workdir", "place")
    assert eventually((one.home / "place" / "file").exists)
    assert fleet(bench, "get", "--run", run, "-d", ONE, "--fetch", "file", "--into", "got").code == 0
    assert (bench.home / f"got/{ONE}/file").read_text() == "here\n"
    refused = fleet(bench, "get", "--run", run, "-d", TWO, "--fetch", "file")
    assert refused.code == 2 and f"has no part on {TWO}" in refused.stderr
    assert fleet(bench, "stop", "--run", run).code == 0


def test_get_says_that_a_followed_runs_folder_is_gone(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "echo here >file")
    assert fleet(bench, "follow", "--run", run).code == 0
    (entry,) = fleet(bench, "get", "--run", run, "--fetch", "file", "-f", "json").results
    assert entry["error"]["code"] == "transfer-failed" and "was followed" in entry["error"]["message"]


# -- ended ------------------------------------------------------------------------------------


def test_stop_ends_it_and_keeps_what_it_said(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "trap 'echo leaving; exit' TERM; echo begun; setsid sleep 700 & while :; do sleep 0.1; done")
    assert eventually(lambda: (folder_of(run) / "out").read_text() == "begun\n")
    (entry,) = fleet(bench, "stop", "--run", run, "-f", "json").results
    assert (entry["action"], entry["state"], entry["stdout"]) == ("stop", "done", "ended 1\n")
    assert nothing_left(one, run)
    (kept,) = remembered(run).results
    assert (kept.state, kept.stdout) == (State.CANCELLED, b"begun\nleaving\n")
    assert fleet(bench, "follow", "--run", run).code == 1


@pytest.mark.parametrize("own, asked, said", [("0", "40", "begun\nsaved\n"), ("600", "0", "begun\n")])
def test_who_stops_it_may_name_another_grace(bench: Bench, one: BenchDevice, own: str, asked: str, said: str) -> None:
    slow = "sleep 1; echo saved; exit" if own == "0" else ":"
    run = detach(bench, f"trap '{slow}' TERM; echo begun; while :; do sleep 0.1; done", "--grace", own)
    assert eventually(lambda: (folder_of(run) / "out").read_text() == "begun\n")
    assert fleet(bench, "stop", "--run", run, "--grace", asked).code == 0
    assert remembered(run).results[0].stdout.decode() == said
    assert nothing_left(one, run)


def test_it_may_be_stopped_the_moment_it_was_begun(
    bench: Bench, one: BenchDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = scripts.shell_file, "        ft_began=$ft_clock\n"
    assert real("dispatch").count(begun) == 1
    monkeypatch.setattr(scripts, "shell_file", lambda name: real(name).replace(begun, f"{begun}        sleep 1\n"))
    with Fleet.load(bench.home / "fleet.yaml") as ours:
        devices = ours.choose(Targets(device=(ONE,)))
        wish = Wish(task="echo begun; sleep 600", agent="shell", detach=True)
        run = ours.collect(ours.plan_dispatch(devices, wish, Bounds())).run
        assert ours.collect(ours.plan_stop(run, devices)).exit_code == 0
        (result,) = ours.collect(ours.plan_follow(run)).results
        ours.sweep(run)
    assert result.state is State.CANCELLED
    assert nothing_left(one, run)


@pytest.mark.parametrize("heard", [0, 1])
def test_a_run_that_was_not_heard_of_on_a_device_is_stopped_there_and_removed(
    bench: Bench, heard: int
) -> None:
    """The link was cut just when the task went on alone: the laptop knows that it was begun there, and no more."""
    bench.registry(bench.home / "fleet.yaml", [ONE, TWO])
    one, two = bench.devices(ONE, TWO)
    run = detach(bench, "sleep 1000", devices=f"{ONE},{TWO}")
    noted = bench.home / "state" / "runs" / run / FILE
    noted.write_text(json.dumps(json.loads(noted.read_text())[:heard]))
    said = fleet(bench, "get", "--run", run, "--fetch", "*", "--into", "got", "-f", "json")
    assert len(said.results) == heard if heard else "was not detached" in said.stderr
    said = fleet(bench, "stop", "--run", run, "-f", "json")
    assert {(entry["device"], entry["state"]) for entry in said.results} == {(ONE, "done"), (TWO, "done")}, said
    # To history the other still runs, so what was heard of waits for somebody who reads it.
    assert one.quiet() and two.quiet() and len(folders(run)) == heard
    for folder in folders(run):
        shutil.rmtree(folder)


def test_stop_all_ends_every_run_of_the_chosen_devices(bench: Bench) -> None:
    one, two = bench.devices(ONE, TWO)
    bench.registry(bench.home / "fleet.yaml", [ONE, TWO])
    runs = [detach(bench, "sleep 600", devices=f"{ONE},{TWO}"), detach(bench, "sleep 600")]
    assert fleet(bench, "stop", "--all", "-d", ONE, "-f", "json").results[0]["stdout"] == "ended 2\n"
    assert one.quiet() and two.processes()
    assert fleet(bench, "stop", "--all").code == 0
    assert two.quiet()
    for run in runs:  # what they said waits to be read
        assert fleet(bench, "follow", "--run", run).code == 1
        assert nothing_left(two, run)
    assert fleet(bench, "stop").code == 2


def test_another_program_stops_an_attached_run(bench: Bench, one: BenchDevice) -> None:
    with going(bench, "run", "-d", ONE, "--task", "echo begun; sleep 600", "--stream", "-f", "json") as attached:
        attached.until("begun")
        (row,) = fleet(bench, "ps", "-f", "json").document["runs"]
        assert fleet(bench, "stop", "--run", row["run"]).code == 0
        said = attached.end()
    assert (said.code, said.results[0]["state"]) == (1, "cancelled")
    assert nothing_left(one, row["run"])


def test_the_deadline_of_a_run_that_nobody_watches_is_kept_by_the_device(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "echo begun; sleep 600", "--deadline", "2")
    assert one.quiet(), "nobody looked, and it went on"
    (entry,) = fleet(bench, "follow", "--run", run, "-f", "json").results
    assert (entry["state"], entry["stdout"]) == ("timed-out", "begun\n")


def test_it_ends_at_its_own_timeout(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, "echo begun; sleep 600", "--timeout", "1")
    assert one.quiet(), "nobody looked, and it went on"
    said = fleet(bench, "follow", "--run", run, "-f", "json")
    (entry,) = said.results
    assert (said.code, entry["state"], entry["stdout"]) == (1, "timed-out", "begun\n")
    assert nothing_left(one, run)
