"""Batches over real SSH servers some of which are no good: out of reach, silent, or losing whatever they are given."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleet_tasks import batching, carrying_batch
from fleet_tasks.batch import turns
from fleet_tasks.batch.queue import Queue
from fleet_tasks.batch.tasks import Task
from fleet_tasks.errors import RequestError
from fleet_tasks.fleet import Fleet
from fleet_tasks.history.journal import Journal
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Result, State
from tests.bench import PATIENCE, Bench, hostile, relay
from tests.program import Said, fleet
from tests.waiting import until

LOSES = "if test -e ~/loses; then kill -9 $PPID; sleep 600; fi; "
"""What ends its own supervisor on a device that has the file."""


@pytest.fixture
def place(bench: Bench, tmp_path: Path) -> Path:
    """A folder for a registry and for files with tasks."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def register(bench: Bench, place: Path, *names: str, **others: dict[str, object]) -> None:
    """A registry of devices of the bench, and of others, whose agent is the shell."""
    bench.registry(place / "fleet.yaml", list(names), devices=others, defaults={"agent": "shell", "retries": 1})


def batch(bench: Bench, place: Path, *words: str, tasks: list[Mapping[str, object]]) -> Said:
    """``fleet batch WORDS --format json`` with tasks in a file."""
    (place / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    return fleet(bench, "batch", "--file", "tasks.jsonl", *words, "--format", "json", cwd=place)


def resume(bench: Bench, place: Path, said: Said, *words: str) -> Said:
    return fleet(bench, "resume", "--run", said.document["run"], *words, "--format", "json", cwd=place)


def states(said: Said) -> dict[str, str]:
    """The state of every task; each has exactly one result."""
    found = {result["task_id"]: result["state"] for result in said.results}
    assert len(found) == len(said.results), "a task has two results"
    return found


def by_task(said: Said) -> dict[str, dict[str, object]]:
    return {result["task_id"]: result for result in said.results}


def test_parts_out_of_reach_are_named_as_the_rest_is_put_together(bench: Bench, place: Path) -> None:
    back = bench.device("back").entry
    register(bench, place, "d1", back={**back, "port": 1})
    tasks: list[Mapping[str, object]] = [
        {"id": "a", "task": "echo from a", "where": {"device": "d1"}},
        {"id": "b", "task": "echo from b", "where": {"device": "back"}},
        {"id": "c", "task": "echo from c", "where": {"device": "d1"}, "after": ["b"]},
        {"id": "d", "task": "echo from d", "where": {"device": "d1"}, "after": ["a", "b"], "need": "any"},
    ]
    merging = ("-d", "d1", "--reduce", "cat *.txt; echo missing: $FLEET_MISSING")
    said = batch(bench, place, *merging, tasks=tasks)
    reached = {"a": "done", "b": "unreachable", "c": "skipped", "d": "done", "reduce": "done"}
    assert states(said) == reached, said.stderr
    found = by_task(said)
    assert found["reduce"]["stdout"] == "from a\nfrom d\nmissing: b c\n"
    assert found["c"]["error"]["code"] == "dependency-failed"  # type: ignore[index]
    guidance = f"fleet resume --run {said.document['run']}"
    assert guidance in found["b"]["error"]["guidance"]  # type: ignore[index]

    register(bench, place, "d1", back={**back, "user": "nobody-here"})
    again = resume(bench, place, said)
    assert states(again) == reached and by_task(again)["reduce"]["stdout"] == found["reduce"]["stdout"], again.stderr

    register(bench, place, "d1", back=back)
    whole = resume(bench, place, said)
    assert set(states(whole).values()) == {"done"} and whole.code == 0, whole.stderr
    assert by_task(whole)["reduce"]["stdout"] == "from a\nfrom b\nfrom c\nfrom d\nmissing:\n"
    before = bench.logins()
    settled = resume(bench, place, said)
    assert states(settled) == states(whole) and bench.logins() == before, "what is put together is left alone"


def test_a_device_out_of_reach_is_told_of_once(bench: Bench, place: Path) -> None:
    register(bench, place, "d1", dead={**bench.device("dead").entry, "port": 1})
    tasks: list[Mapping[str, object]] = [{"task": "true", "where": {"device": "dead"}}, {"task": "true"}]
    said = batch(bench, place, "-d", "d1", "--slots", "3", tasks=tasks)
    assert states(said) == {"t1": "unreachable", "t2": "done"}
    assert said.stderr.count("is set aside") == 1, said.stderr


def test_a_device_that_loses_its_tasks_gets_no_more_of_them(bench: Bench, place: Path) -> None:
    register(bench, place, "bad", "good")
    (bench.device("bad").home / "loses").touch()
    tasks: list[Mapping[str, object]] = [{"task": LOSES + "sleep 0.4"} for _ in range(16)]
    said = batch(bench, place, "-d", "bad,good", tasks=tasks)
    came = Counter((result["device"], result["state"]) for result in said.results)
    lost = came["bad", "lost"]
    assert 2 <= lost <= 3 and came["good", "done"] == 16 - lost, said.stderr
    assert said.stderr.count("bad is set aside") == 1, said.stderr


def test_one_cut_under_many_tasks_sets_nobody_aside(bench: Bench, place: Path) -> None:
    device = bench.device("d1")
    task = "test -e ~/once-{index} || {{ touch ~/once-{index}; sleep 600; }}"
    tasks: list[Mapping[str, object]] = [{"task": task, "idempotent": True} for _ in range(6)]
    with relay(device.host, device.port, bench.sshd.public_key) as link, ThreadPoolExecutor() as pool:
        register(bench, place, linked=bench.entry(link.place))
        work = pool.submit(batch, bench, place, "-d", "linked", "--slots", "6", tasks=tasks)
        until(lambda: len(list(device.home.glob("once-*"))) == 6)
        link.cut()
        said = work.result()
    assert set(states(said).values()) == {"done"} and "set aside" not in said.stderr, said.stderr


@pytest.mark.parametrize("server", [hostile.banner_never, hostile.auth_stalls, hostile.answers_nobody])
def test_who_is_silent_holds_no_task(bench: Bench, place: Path, server: object) -> None:
    with server() as hole:  # type: ignore[operator]
        register(bench, place, "d2", hole=bench.entry(hole))
        said = batch(bench, place, "-d", "hole,d2", "--connect-timeout", "60", tasks=[{"task": "true"}])
    (result,) = said.results
    assert (result["device"], result["state"]) == ("d2", "done"), said.stderr
    assert said.document["seconds"] < 50, "the login of the other was given up"


def test_nobody_logs_in_where_there_is_nothing_to_do(bench: Bench, place: Path) -> None:
    register(bench, place, "d1", "d2")
    tasks: list[Mapping[str, object]] = [{"task": "true", "where": {"device": "d1"}} for _ in range(4)]
    said = batch(bench, place, "-d", "d1,d2", "--slots", "2", tasks=tasks)
    assert set(states(said).values()) == {"done"} and bench.logins() == 1, said.stderr


def two_stages(agent: str) -> list[Mapping[str, object]]:
    """Something for everybody, and when all of them are there and idle, one task that any could do."""
    everywhere = {"id": "a", "task": "true", "agent": "shell", "where": {"group": "all-of-them", "each": True}}
    return [everywhere, {"id": "b", "task": "echo hello", "agent": agent, "after": ["a"]}]


def test_the_least_loaded_of_those_who_wait_gets_the_task(bench: Bench, place: Path) -> None:
    odd = bench.bin(own={"getconf": "echo many"})
    for name in ("d1", "d2", "d4"):
        bench.device(name, path=odd)
    bench.registry(place / "fleet.yaml", names := ["d1", "d2", "d3", "d4"], groups={"all-of-them": names})
    said = batch(bench, place, "--all", tasks=two_stages("shell"))
    assert said.code == 0 and by_task(said)["b"]["device"] == "d3", said.stderr


def test_the_first_task_of_all_goes_to_the_least_loaded(
    bench: Bench, opened: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 90.0)  # on a busy machine they log in long after each other
    odd = bench.bin(own={"getconf": "echo many"})
    for name in ("d1", "d2", "d4"):
        bench.device(name, path=odd)
    fleet = opened("d1", "d2", "d3", "d4")
    devices = fleet.choose(Targets(all=True))
    whole = batching.prepare(fleet, [Task("t", "true")], devices, Wish(agent="shell"), Bounds(), None)
    results = [item for item in carrying_batch.carry_out(fleet, whole) if isinstance(item, Result)]
    assert [(result.device, result.state) for result in results] == [("d3", State.DONE)]


@pytest.mark.parametrize("room", [True, False], ids=["written", "no room"])
def test_devices_are_logged_in_to_while_a_batch_is_written_down_and_begin_nothing_before(
    bench: Bench, opened: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    fleet = opened("d1", "d2")
    devices = fleet.choose(Targets(all=True))
    ground = [bench.device(device.name) for device in devices]
    whole = batching.prepare(fleet, [Task("t", "touch ~/ran")], devices, Wish(agent="shell"), Bounds(), None)
    there: set[str] = set()
    arrived, begin = Queue.arrived, Journal.begin

    def arriving(queue: Queue, device: str, load: float, *, ready: bool) -> None:
        arrived(queue, device, load, ready=ready)
        there.add(device)

    def slow(journal: Journal, spec: object) -> None:
        until(lambda: len(there) == 2)
        # To be given the task and to begin it takes no longer than another login does.
        subprocess.run([*bench.ssh("d1"), "true"], check=True, timeout=PATIENCE)
        assert not any((device.home / "ran").exists() for device in ground)
        if not room:
            raise RequestError("There is no room for it.")
        begin(journal, spec)

    monkeypatch.setattr(Queue, "arrived", arriving)
    monkeypatch.setattr(Journal, "begin", slow)
    if room:
        results = [item for item in carrying_batch.carry_out(fleet, whole) if isinstance(item, Result)]
        assert [result.state for result in results] == [State.DONE]
    else:
        with pytest.raises(RequestError, match="no room for it"):
            list(carrying_batch.carry_out(fleet, whole))
        fleet.close()
        assert all(device.quiet() for device in ground)
    assert any((device.home / "ran").exists() for device in ground) == room


def test_who_has_the_agent_gets_the_task(bench: Bench, place: Path) -> None:
    bench.registry(place / "fleet.yaml", names := ["d1", "d2", "d3", "d4"], groups={"all-of-them": names})
    assert fleet(bench, "deploy", "-d", "d3", "-a", "demo", cwd=place).code == 0
    said = batch(bench, place, "--all", tasks=two_stages("demo"))
    assert said.code == 0 and by_task(said)["b"]["device"] == "d3", said.stderr
