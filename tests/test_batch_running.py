"""Batches over real SSH servers: every kind of source, what goes wrong on the way, and resuming until it is done."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest

from benchmarks.batch import start
from fleet_tasks.history.journal import Journal
from tests import warm
from tests.bench import PATIENCE, Bench, BenchDevice
from tests.program import Said
from tests.waiting import until

NAMES = [f"d{number}" for number in range(1, 5)]
EIGHT = [f"d{number}" for number in range(1, 9)]


@pytest.fixture
def place(bench: Bench, tmp_path: Path) -> Path:
    """A folder with a registry of four devices whose agent is the shell."""
    folder = tmp_path / "place"
    folder.mkdir()
    bench.registry(folder / "fleet.yaml", NAMES, groups={"all-four": NAMES}, defaults={"agent": "shell", "retries": 1})
    return folder


def batch(bench: Bench, place: Path, *words: str, given: str | None = None, **variables: str) -> Said:
    """``fleet batch WORDS --format json`` with something on standard input."""
    return typed(bench, place, "batch", *words, given=given, **variables)


def typed(bench: Bench, place: Path, *words: str, given: str | None = None, **variables: Any) -> Said:
    with standing_in(place, given or "") as stream:
        done = warm.run((*words, "--format", "json"), bench.environment(**variables), place, 120, stream)
    return Said(done.returncode, done.stdout, done.stderr)


@contextmanager
def standing_in(place: Path, given: str) -> Iterator[IO[str]]:
    """A standard input that holds a text."""
    source = place / "given.jsonl"
    source.write_text(given)
    with source.open() as stream:
        yield stream


@contextmanager
def begun(bench: Bench, place: Path, *words: str, given: str = "") -> Iterator[warm.Started]:
    """A command under way, its standard input written; ended at the end."""
    with standing_in(place, given) as stream:
        process = warm.start((*words, "--format", "json"), bench.environment(), place, stream)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines(*tasks: Mapping[str, object]) -> str:
    return "".join(json.dumps(task) + "\n" for task in tasks)


def states(said: Said) -> dict[str, str]:
    """The state of every task; each has exactly one result."""
    found = {result["task_id"]: result["state"] for result in said.results}
    assert len(found) == len(said.results), "a task has two results"
    return found


def marks(devices: list[BenchDevice], name: str = "marks") -> Counter[str]:
    """How often each task left its mark on any device."""
    files = [device.home / name for device in devices if (device.home / name).exists()]
    return Counter(word for file in files for word in file.read_text().split())


# -- sources and outputs --------------------------------------------------------------------


def test_the_answers_are_put_together_byte_for_byte_by_an_agent_of_their_own(bench: Bench, place: Path) -> None:
    merger = {"dispatch": 'ls; sha256sum t1.txt; wc -c <t2.txt; echo "$FLEET_TASK"', "needs": ["sh"]}
    bench.registry(place / "fleet.yaml", NAMES, agents={"merger": merger}, defaults={"agent": "shell"})
    tasks = lines(
        {"task": r"printf '\000\377\r\n\033[1m'"},
        {"id": "t2", "task": "head -c 3000000 /dev/zero"},
        {"id": "t3", "task": "echo not this; exit 1"},
    )
    said = batch(bench, place, "-d", "d1,d2", "--reduce", "all of it", "--reduce-agent", "merger", given=tasks)
    assert states(said) == {"t1": "done", "t2": "done", "t3": "failed", "reduce": "done"}, said.stderr
    digest = hashlib.sha256(b"\0\377\r\n\033[1m").hexdigest()
    merged = said.results[3]
    assert merged["agent"] == "merger"
    assert merged["stdout"] == f"t1.txt\nt2.txt\n{digest}  t1.txt\n3000000\nall of it\n\nMissing parts: t3\n\n"


def test_a_tasks_own_model_timeout_and_place_are_what_it_gets(bench: Bench, place: Path) -> None:
    devices = {"d2": {**bench.device("d2").entry, "tags": ["gpu"]}}
    bench.registry(place / "fleet.yaml", ["d1"], devices=devices, defaults={"agent": "shell"})
    tasks = lines(
        {"id": "a", "task": "echo $FLEET_MODEL", "model": "one/two"},
        {"id": "b", "task": "echo begun; sleep 600", "timeout": 1},
        {"id": "c", "task": "echo $FLEET_DEVICE", "where": {"tag": "gpu"}},
    )
    said = batch(bench, place, "-d", "d1", given=tasks)
    assert states(said) == {"a": "done", "b": "timed-out", "c": "done"}, said.stderr
    assert [result["stdout"] for result in said.results] == ["one/two\n", "begun\n", "d2\n"]


def test_any_so_many_devices_work_off_a_batch(bench: Bench, place: Path) -> None:
    tasks = lines(*({"task": "true"} for _ in range(12)))
    said = batch(bench, place, "-g", "all-four", "--any", "2", given=tasks)
    assert set(states(said).values()) == {"done"} and len({result["device"] for result in said.results}) == 2


def test_a_slow_device_gets_less_work(bench: Bench, place: Path) -> None:
    (bench.device("d1").home / "slow").touch()
    tasks = lines(*({"task": "test ! -e ~/slow || sleep 1"} for _ in range(40)))
    said = batch(bench, place, "-d", "d1,d2", given=tasks)
    shares = Counter(result["device"] for result in said.results)
    assert set(states(said).values()) == {"done"} and shares["d2"] > 3 * shares["d1"] > 0, shares


@pytest.mark.parametrize("kind", ["JSON lines", "YAML"])
def test_ten_thousand_queued_tasks_take_little_memory(bench: Bench, place: Path, kind: str) -> None:
    environment = bench.environment(FLEET_REGISTRY=str(place / "fleet.yaml"))
    (_, few), (_, many) = start(bench, kind, 10, environment), start(bench, kind, 10_000, environment)
    assert many - few < 40_000, f"{few} KiB with ten of them, {many} KiB with ten thousand"


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "no placeholder": ({"task": "{inptu}"}, "The task t2: {inptu} is no placeholder"),
    "no group": ({"task": "x", "where": {"group": "nogroup"}}, "The task t2: There is no group"),
    "no agent": ({"task": "x", "agent": "shel"}, "The task t2: There is no agent"),
    "no name for a file": ({"task": "x", "fetch": ["a=../b"]}, "The task t2: "),
    "waits for nobody": ({"task": "x", "after": ["t9"]}, "comes after 't9', which is no task here"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_task_that_cannot_be_meant_is_named_with_its_line(bench: Bench, place: Path, wrong: str) -> None:
    task, sentence = WRONG[wrong]
    (place / "tasks.jsonl").write_text(lines({"task": "echo >>~/marks"}) + "\n" + lines(task))
    (place / "tasks.yaml").write_text("tasks:\n- task: echo >>~/marks\n\n- " + json.dumps(task) + "\n")
    for name, line in (("tasks.jsonl", 3), ("tasks.yaml", 4)):
        said = batch(bench, place, "-d", "d1", "--file", name)
        assert (said.code, said.stdout) == (2, "") and f"{name}:{line}:" in said.stderr, said.stderr
        assert sentence in said.stderr and "Traceback" not in said.stderr
    assert bench.logins() == 0


def test_half_a_character_is_refused(bench: Bench, place: Path) -> None:
    said = batch(bench, place, "-d", "d1", given=lines({"task": "echo \ud800"}))
    assert said.code == 2 and "standard input:1:" in said.stderr and "half of a pair" in said.stderr, said.stderr
    assert bench.logins() == 0


def test_a_device_whose_name_a_shell_would_act_upon_is_known_beforehand(bench: Bench, place: Path) -> None:
    said = batch(bench, place, "-d", "d1,root@[::1]", given=lines({"task": "echo {device}"}))
    assert said.code == 2 and "FLEET_DEVICE" in said.stderr, said.stderr
    assert bench.logins() == 0


def test_each_file_goes_out_comes_back_and_is_put_together(bench: Bench, place: Path) -> None:
    (place / "logs").mkdir()
    for name in ("a b.log", "b.log", "c.log", "d.log"):
        (place / "logs" / name).write_text(f"in {name}\n")
    said = batch(
        bench, place, "-g", "all-four", "--each", "logs/*.log", "--fetch", "out", "--into", "back",
        "--task",
        'cat "{input}" | tee out; echo {index} >>out; test "$FLEET_STEM" != c && test "{stem}" = "$FLEET_STEM"',
        "--reduce", "cat $(ls *.txt | sort); echo missing: $FLEET_MISSING",
    )  # fmt: skip
    assert states(said) == {"t1": "done", "t2": "done", "t3": "failed", "t4": "done", "reduce": "done"}, said.stderr
    assert said.code == 1
    assert (place / "back" / "t1" / "out").read_text() == "in a b.log\n1\n"
    merged = next(result for result in said.results if result["task_id"] == "reduce")["stdout"]
    assert merged.startswith("in a b.log\nin b.log\nin d.log\n") and merged.endswith("missing: t3\n")
    assert bench.logins() <= len(NAMES)


def test_a_file_of_stages(bench: Bench, place: Path) -> None:
    (place / "input.txt").write_text("words\n")
    (place / "tasks.yaml").write_text(
        """\
defaults: {agent: shell, timeout: 60}
tasks:
  - {id: make, task: "cat {input} >made", send: [input.txt], fetch: [made], where: {device: d1}}
  - {id: use, task: "cat make/made", send: [{from: make}], after: [make], where: {device: d2}}
  - {id: every, task: "echo {device}", where: {group: all-four, each: true}}
  - {id: bad, task: "exit 3", where: {device: d3}}
  - {id: never, task: "true", after: [bad], where: {device: d3}}
  - {id: either, task: "true", after: [bad, make], need: any, where: {device: d3}}
  - {id: wanting, task: "true", expect: [nothing], where: {device: d4}}
  - id: again
    task: "echo x >>~/tries; test $(wc -l <~/tries) -ge 3"
    idempotent: true
    retries: 2
    where: {device: d4}
  - {id: last, task: "echo after all", after: [every, use], where: {device: d1}}
"""
    )
    said = batch(bench, place, "--file", "tasks.yaml", "--into", "back")
    found = states(said)
    assert found == {
        "make": "done", "use": "done", **{f"every@{name}": "done" for name in NAMES}, "bad": "failed",
        "never": "skipped", "either": "done", "wanting": "failed", "again": "done", "last": "done",
    }, said.stderr + said.stdout  # fmt: skip
    assert list(found) == ["make", "use", *(f"every@{name}" for name in NAMES), *list(found)[6:]]
    results = {result["task_id"]: result for result in said.results}
    assert results["use"]["stdout"] == "words\n" and results["use"]["device"] == "d2"
    assert results["again"]["attempts"] == 3
    assert {results[f"every@{name}"]["stdout"] for name in NAMES} == {f"{name}\n" for name in NAMES}
    assert bench.logins() == len(NAMES), "one login per device for the whole batch"
    shown = typed(bench, place, "history.show", "--run", said.document["run"])
    assert states(shown) == found


def test_what_is_expected_has_one_place_and_its_folder_another_none(bench: Bench, place: Path) -> None:
    make = "mkdir a b; echo A >a/out; echo B >b/out"
    tasks = lines(
        {"id": "brought", "task": make, "fetch": ["a", "./b=c"], "expect": ["a/out", "b/out"]},
        {"id": "alone", "task": make, "expect": ["a/out", "b/out"]},
        {"id": "one", "task": make, "expect": ["a/out"]},
        {"id": "wanting", "task": make, "fetch": ["a"], "expect": ["a/out", "a/none"]},
        {"id": "after", "task": "true", "after": ["wanting"]},
    )
    said = batch(bench, place, "-d", "d1", "--into", "back", given=tasks)
    assert states(said) == {
        "brought": "done", "alone": "done", "one": "done", "wanting": "failed", "after": "skipped"
    }, said.stdout  # fmt: skip
    files = [file for file in (place / "back").rglob("*") if file.is_file()]
    there = {str(file.relative_to(place / "back")): file.read_text() for file in files}
    assert there == {
        "brought/a/out": "A\n", "brought/c/out": "B\n", "alone/a/out": "A\n", "alone/b/out": "B\n",
        "one/out": "A\n", "wanting/a/out": "A\n",
    }  # fmt: skip
    copies = [copy["local"] for result in said.results for copy in result["files"]]
    assert sorted(copies) == sorted(f"back/{name}" for name in there), "each is told once"
    errors = {result["task_id"]: result["error"] for result in said.results}
    run = said.document["run"]
    assert errors["wanting"]["message"] == "The task left no a/none."
    assert errors["wanting"]["guidance"] == f"See what it said: fleet history.show --run {run}"
    assert errors["after"]["guidance"] == f"Do it again, and this then: fleet resume --run {run} --rerun failed"


def test_lines_on_standard_input_with_slots(bench: Bench, place: Path) -> None:
    tasks = lines(*({"task": "echo s >>~/at; sleep 0.3; echo e >>~/at"} for _ in range(6)))
    said = batch(bench, place, "-d", "d1", "--slots", "3", given=tasks)
    assert said.code == 0 and len(states(said)) == 6, said.stderr
    at = (bench.device("d1").home / "at").read_text().split()
    busy = [at[: number + 1].count("s") - at[: number + 1].count("e") for number in range(len(at))]
    assert 2 <= max(busy) <= 3
    assert bench.logins() == 1


def test_a_dependent_on_another_device_is_not_forgotten_with_one_at_a_time(bench: Bench, place: Path) -> None:
    tasks = lines(
        {"id": "b", "task": "true", "after": ["a"], "where": {"device": "d1"}},
        {"id": "a", "task": "true", "where": {"device": "d2"}},
    )
    said = batch(bench, place, "-j", "1", given=tasks)
    assert states(said) == {"b": "done", "a": "done"}, said.stderr


def test_a_dry_run_touches_nothing(bench: Bench, place: Path) -> None:
    tasks = lines({"id": "a", "task": "true"}, {"id": "b", "task": "true", "after": ["a"]})
    said = batch(bench, place, "-d", "d1", "--dry", "--output", "plan.json", given=tasks)
    assert said.code == 0 and said.stdout == "", said.stderr
    rows = json.loads((place / "plan.json").read_text())
    assert [row["wave"] for row in rows["plan"]] == [1, 2]
    assert bench.logins() == 0


def test_who_is_excluded_does_nothing_though_a_task_names_its_group(bench: Bench, place: Path) -> None:
    tasks = lines({"id": "a", "task": "true", "where": {"group": "all-four", "each": True}})
    said = batch(bench, place, "-x", "d1,d3", given=tasks)
    assert states(said) == {"a@d2": "done", "a@d4": "done"}, said.stderr
    slip = batch(bench, place, "-x", "d7", given=tasks)
    assert slip.code == 2 and slip.stderr.startswith("There is no device 'd7'"), slip.stderr
    refused = batch(bench, place, "-x", "d1", given=lines({"task": "true", "where": {"device": "d1"}}))
    assert refused.code == 2 and "standard input:1:" in refused.stderr, refused.stderr


def test_a_dry_run_shows_what_is_left_of_a_batch_and_touches_nothing(bench: Bench, place: Path) -> None:
    tasks = lines(
        {"id": "done", "task": "true"},
        {"id": "failed", "task": "test -e ~/ok"},
        {"id": "blocked", "task": "true", "after": ["done", "failed"]},
    )
    said = batch(bench, place, "-d", "d1", given=tasks)
    run, before, logins = said.document["run"], states(said), bench.logins()
    assert planned(bench, place, run) == []
    assert planned(bench, place, run, "--rerun", "failed") == [("failed", 1), ("blocked", 2)]
    assert bench.logins() == logins
    assert states(typed(bench, place, "history.show", "--run", run)) == before


def planned(bench: Bench, place: Path, run: str, *words: str) -> list[tuple[str, int]]:
    """The tasks that resuming a batch would do, each with its wave."""
    shown = typed(bench, place, "--dry", "resume", "--run", run, *words)
    assert shown.code == 0 and "nothing was touched" in shown.stderr, shown.stderr
    return [(row["id"], row["wave"]) for row in shown.document["plan"]]


# -- what goes wrong ------------------------------------------------------------------------


def test_a_dead_device_is_set_aside_and_the_work_goes_on(bench: Bench, place: Path) -> None:
    dead = {**bench.device("d1").entry, "port": 1}
    bench.registry(place / "fleet.yaml", ["d2", "d3"], devices={"dead": dead}, defaults={"agent": "shell"})
    tasks = lines(*({"task": "sleep 0.1"} for _ in range(12)))
    began = time.monotonic()
    said = batch(bench, place, "-d", "dead,d2,d3", "--retries", "1", given=tasks)
    assert set(states(said).values()) == {"done"} and len(said.results) == 12, said.stderr
    assert time.monotonic() - began < PATIENCE
    assert said.code == 0


def test_what_only_a_device_out_of_reach_could_do_is_unreachable_and_soon(bench: Bench, place: Path) -> None:
    refusing, dead = {**bench.device("d1").entry, "user": "nobody-here"}, {**bench.device("d1").entry, "port": 1}
    bench.registry(
        place / "fleet.yaml", ["d2"], devices={"closed": refusing, "dead": dead}, defaults={"agent": "shell"}
    )
    tasks = lines(
        {"id": "a", "task": "true", "where": {"device": "closed"}},
        {"id": "b", "task": "true"},
        {"id": "c", "task": "true", "where": {"device": "dead"}},
        {"id": "d", "task": "true", "where": {"device": ["dead", "closed"]}},
        {"id": "e", "task": "true", "after": ["c"]},
    )
    began = time.monotonic()
    said = batch(bench, place, "-d", "d2", given=tasks)
    reached = {"a": "unreachable", "b": "done", "c": "unreachable", "d": "unreachable", "e": "skipped"}
    assert states(said) == reached, said.stderr
    assert time.monotonic() - began < PATIENCE, "nobody else had work, and still it was waited for"
    errors = {result["task_id"]: result["error"] for result in said.results if result["error"]}
    assert errors["a"]["code"] == "auth-refused" and "closed accepts no key" in errors["a"]["message"]
    assert errors["c"]["code"] == "connection-refused"


def test_failures_and_the_deadline_end_a_batch(bench: Bench, place: Path) -> None:
    failing = lines(*({"task": "false"} for _ in range(20)))
    said = batch(bench, place, "-d", "d1", "--max-failures", "2", given=failing)
    counted = Counter(states(said).values())
    assert said.code == 1 and 2 <= counted["failed"] <= 3 and sum(counted.values()) == 20, said.stderr

    slow = lines(*({"task": "sleep 600"} for _ in range(3)))
    began = time.monotonic()
    said = batch(bench, place, "-d", "d1", "--deadline", "2", given=slow)
    assert Counter(states(said).values()) == {"cancelled": 1, "skipped": 2}, said.stderr
    assert time.monotonic() - began < PATIENCE and bench.device("d1").quiet()


def test_so_many_failures_and_not_one_more(bench: Bench, place: Path) -> None:
    said = batch(bench, place, "-d", "d1", "--max-failures", "2", given=lines(*({"task": "false"} for _ in range(9))))
    assert Counter(states(said).values()) == {"failed": 2, "skipped": 7}, said.stderr


def test_secrets_are_looked_for_before_any_connection(bench: Bench, place: Path) -> None:
    own = {"own": {"dispatch": "true", "secrets": ["TOKEN"]}}
    bench.registry(place / "fleet.yaml", NAMES, agents=own, defaults={"agent": "shell"})
    tasks = lines({"task": "true"}, {"task": "x", "agent": "own"})
    said = batch(bench, place, "-d", "d1", given=tasks)
    assert said.code == 2 and "TOKEN" in said.stderr and bench.logins() == 0


def test_a_wrong_file_is_refused_whole(bench: Bench, place: Path) -> None:
    (place / "tasks.yaml").write_text("tasks:\n  - {id: a, task: touch made}\n  - {id: a, task: touch made}\n")
    said = batch(bench, place, "-d", "d1", "--file", "tasks.yaml")
    assert said.code == 2 and "tasks.yaml:3" in said.stderr and bench.logins() == 0


@pytest.mark.parametrize("end", [b"\xff\n", b"\x01\n"])
def test_what_is_no_text_is_refused_with_its_line(bench: Bench, place: Path, end: bytes) -> None:
    (place / "tasks.yaml").write_bytes(b"tasks:\n- task: 'true'\n- task: " + end)
    said = batch(bench, place, "-d", "d1", "--file", "tasks.yaml")
    assert said.code == 2 and "tasks.yaml:3: This is not" in said.stderr and bench.logins() == 0, said.stderr


def test_an_agent_that_there_is_not_is_refused_though_no_task_asks_for_it(bench: Bench, place: Path) -> None:
    said = batch(bench, place, "-d", "d1", "-a", "shel", given=lines({"task": "true", "agent": "shell"}))
    assert said.code == 2 and "did you mean shell?" in said.stderr and bench.logins() == 0, said.stderr


@pytest.mark.parametrize("head", ["", "# a word\n", "---\n", "defaults: {timeout: 60}\n"])
def test_yaml_may_come_on_standard_input_too(bench: Bench, place: Path, head: str) -> None:
    said = batch(bench, place, "-d", "d1", "--file", "-", given=f"{head}tasks:\n- task: echo hi\n")
    assert [result["stdout"] for result in said.results] == ["hi\n"], said.stderr


def test_a_mark_before_the_text_is_none_of_it(bench: Bench, place: Path) -> None:
    bench.registry(place / "fleet.yaml", NAMES, defaults={"agent": "shell"})
    said = batch(bench, place, "-d", "d1", given="\ufeff" + lines({"task": "echo {index}"}, {"task": "echo {index}"}))
    assert [result["stdout"] for result in said.results] == ["1\n", "2\n"], said.stderr


@pytest.mark.parametrize("words", [["--fetch", "x"], ["--task", "x"], ["--reduce-agent", "demo"]])
def test_a_flag_that_would_change_nothing_is_refused(bench: Bench, place: Path, words: list[str]) -> None:
    bench.registry(place / "fleet.yaml", NAMES, defaults={"agent": "shell"})
    said = batch(bench, place, "-d", "d1", *words, given=lines({"task": "true"}))
    assert said.code == 2 and f"{words[0]} goes with" in said.stderr and bench.logins() == 0, said.stderr


def test_an_agent_is_brought_along_once_and_removed_once_where_that_is_wanted(bench: Bench, place: Path) -> None:
    own = {
        "dispatch": "eval \"$FLEET_TASK\"",
        "status": "echo ready=yes",
        "deploy": "echo deploy >>~/did",
        "teardown": "echo teardown >>~/did",
    }
    bench.registry(place / "fleet.yaml", NAMES, agents={"own": own}, defaults={"agent": "own"})
    tasks = lines(*({"task": "echo task >>~/did"} for _ in range(12)))
    devices = bench.devices("d1", "d2")
    for flag, first, last in (("--no-cleanup", ["deploy"], []), ("--cleanup", [], ["teardown"])):
        said = batch(bench, place, "-d", "d1,d2", "--slots", "3", flag, given=tasks)
        assert said.code == 0 and len(states(said)) == 12, said.stderr
        done = 0
        for device in devices:
            did = (device.home / "did").read_text().split()
            done += did.count("task")
            assert did == [*first, *["task"] * did.count("task"), *last], "what is current is not deployed again"
            (device.home / "did").unlink()
        assert done == 12


# -- interrupted ----------------------------------------------------------------------------


def test_ctrl_c_and_resume(bench: Bench, place: Path) -> None:
    tasks = lines(*({"id": f"n{n}", "task": f"echo n{n} >>~/marks; sleep 0.4"} for n in range(8)))
    with begun(bench, place, "batch", "-d", "d1,d2", given=tasks) as process:
        until(lambda: len(marks(bench.devices("d1", "d2"))) >= 3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode is not None
    said = Said(process.returncode, out.decode(), err.decode())
    counted = Counter(states(said).values())
    assert said.code == 130 and counted["skipped"] and counted["cancelled"], said.stderr
    assert f"fleet resume --run {said.document['run']}" in said.stderr
    left = planned(bench, place, said.document["run"])
    assert {name for name, _ in left} == {name for name, state in states(said).items() if state == "skipped"}
    again = typed(bench, place, "resume", "--run", said.document["run"])
    after = states(again)
    cancelled = counted["cancelled"]
    assert Counter(after.values()) == {"done": 8 - cancelled, "cancelled": cancelled}, again.stderr
    assert set(marks(bench.devices("d1", "d2")).values()) == {1}
    last = typed(bench, place, "resume", "--run", said.document["run"], "--rerun", "lost")
    assert last.code == 0 and set(states(last).values()) == {"done"}, last.stderr
    assert said.document["seconds"] < again.document["seconds"] < last.document["seconds"]


def test_what_was_lost_with_the_program_is_done_again_when_told_so(bench: Bench, place: Path) -> None:
    long = "echo b >>~/marks; test -e ~/ok || sleep 600"
    tasks = lines({"id": "a", "task": "echo a >>~/marks"}, {"id": "b", "task": long})
    with begun(bench, place, "batch", "-d", "d1", given=tasks):
        until(lambda: len(marks(bench.devices("d1"))) == 2)
    assert bench.device("d1").quiet()
    (bench.device("d1").home / "ok").touch()
    run = next((bench.home / "state" / "runs").iterdir()).name
    again = typed(bench, place, "resume", "--run", run, "--rerun", "lost")
    assert states(again) == {"a": "done", "b": "done"} and again.code == 0, again.stderr
    assert marks(bench.devices("d1")) == {"a": 1, "b": 2}


def test_only_what_failed_is_done_again(bench: Bench, place: Path) -> None:
    tasks = lines({"id": "a", "task": "echo a >>~/marks"}, {"id": "b", "task": "echo b >>~/marks; test -e ~/ok"})
    said = batch(bench, place, "-d", "d1", given=tasks)
    assert states(said) == {"a": "done", "b": "failed"} and said.code == 1
    (bench.device("d1").home / "ok").touch()
    same = typed(bench, place, "resume", "--run", said.document["run"])
    assert states(same) == {"a": "done", "b": "failed"}
    again = typed(bench, place, "resume", "--run", said.document["run"], "--rerun", "failed")
    assert states(again) == {"a": "done", "b": "done"} and again.code == 0, again.stderr
    assert marks(bench.devices("d1")) == {"a": 1, "b": 2}


def test_one_process_at_a_time_works_on_a_batch(bench: Bench, place: Path) -> None:
    tasks = lines({"id": "a", "task": "touch ~/begun; sleep 600"})
    with begun(bench, place, "batch", "-d", "d1", given=tasks) as process:
        until((bench.device("d1").home / "begun").exists)
        run = next((bench.home / "state" / "runs").iterdir()).name
        second = typed(bench, place, "resume", "--run", run)
        assert second.code == 2 and "another process" in second.stderr, second.stderr
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
    assert json.loads(out)["results"][0]["state"] == "cancelled"


KILLS, TASKS = 20, 400


def marked(devices: list[BenchDevice], count: int) -> bool:
    return sum(marks(devices).values()) >= count


def test_killed_twenty_times_at_random_moments_and_resumed_until_done(bench: Bench, place: Path) -> None:
    chance = random.Random(11)
    bench.registry(place / "fleet.yaml", EIGHT, groups={"all-eight": EIGHT}, defaults={"agent": "shell"})
    devices = bench.devices(*EIGHT)
    whole: list[dict[str, object]] = [
        {"id": f"n{n}", "task": f"echo n{n} >>~/marks; sleep 0.02", "idempotent": n % 3 == 0} for n in range(TASKS)
    ]
    words = ["batch", "-g", "all-eight"]
    for kill in range(KILLS):
        # The first time some are done for certain: who begins a second task has written down the end of the first.
        seen, more = sum(marks(devices).values()), chance.randrange(1, 7) if kill else 2 * len(EIGHT)
        with begun(bench, place, *words, given=lines(*whole)) as process:
            if kill % 4 == 3:  # while it starts, reads its journal, logs in, or a little later
                time.sleep(chance.random())
            else:
                until(partial(marked, devices, seen + more))
                time.sleep(chance.random() / 20)
            assert process.poll() is None, "it was done before it was killed"
        words = ["resume", "--run", next((bench.home / "state" / "runs").iterdir()).name]
    killed = states(typed(bench, place, "history.show", *words[1:]))
    assert len(killed) == TASKS and {"done", "lost", "skipped"} == set(killed.values())
    last = typed(bench, place, *words)
    found, made = states(last), marks(devices)
    assert len(found) == TASKS and set(found.values()) == {"done", "lost"}, last.stderr
    assert {name for name, state in killed.items() if state == "done"} <= set(found), "what was done stays done"
    with closing(Journal(bench.home / "state" / "runs" / words[-1])) as journal:
        tries = journal.known().tries
    for task in whole:
        name = str(task["id"])
        if task["idempotent"]:
            assert found[name] == "done" and 1 <= made[name] <= tries[name], name
        else:
            assert made[name] == 1 if found[name] == "done" else made[name] <= 1, name
    assert list(found.values()).count("lost") <= KILLS * len(EIGHT)
    settled = typed(bench, place, *words)
    assert states(settled) == found and marks(devices) == made


def test_history_knows_every_task_of_a_batch_that_was_killed(bench: Bench, place: Path) -> None:
    tasks = lines(
        {"id": "a", "task": "echo a >>~/marks"},
        {"id": "b", "task": "echo b >>~/marks; sleep 600"},
        {"id": "c", "task": "true"},
        {"id": "d", "task": "true", "after": ["b"]},
    )
    with begun(bench, place, "batch", "-d", "d1", given=tasks):
        until(lambda: len(marks(bench.devices("d1"))) == 2)
        run = next((bench.home / "state" / "runs").iterdir()).name
        alive = typed(bench, place, "history.show", "--run", run)
        assert states(alive) == {"a": "done", "b": "running", "c": "running", "d": "running"}
        assert [result["device"] for result in alive.results] == ["d1", "d1", "", ""]
    shown = typed(bench, place, "history.show", "--run", run)
    assert states(shown) == {"a": "done", "b": "lost", "c": "skipped", "d": "skipped"}
    assert shown.results[1]["device"] == "d1" and "resume --run" in shown.results[2]["error"]["guidance"]
    listed = json.loads(typed(bench, place, "history").stdout)["runs"][0]["summary"]
    assert (listed["done"], listed["lost"], listed["skipped"], listed["running"]) == (1, 1, 2, 0)
    again = typed(bench, place, "resume", "--run", run)
    assert states(again) == {"a": "done", "b": "lost", "c": "done", "d": "skipped"}, again.stderr


def test_parts_that_were_done_again_are_put_together_again(bench: Bench, place: Path) -> None:
    tasks = lines({"id": "a", "task": "echo from a"}, {"id": "b", "task": "test -e ~/ok && echo from b"})
    words = ["-d", "d1", "--reduce", "cat *.txt; echo missing: $FLEET_MISSING"]
    said = batch(bench, place, *words, given=tasks)
    assert states(said) == {"a": "done", "b": "failed", "reduce": "done"}, said.stderr
    assert said.results[2]["stdout"] == "from a\nmissing: b\n"
    (bench.device("d1").home / "ok").touch()
    again = typed(bench, place, "resume", "--run", said.document["run"], "--rerun", "failed")
    assert set(states(again).values()) == {"done"}, again.stderr
    assert again.results[2]["stdout"] == "from a\nfrom b\nmissing:\n"


def test_a_full_disk_ends_a_batch_in_one_sentence_and_nothing_runs_twice(bench: Bench, place: Path) -> None:
    devices = bench.devices("d1", "d2")
    tasks = lines(*({"id": f"n{n}", "task": f"echo n{n} >>~/marks"} for n in range(60)))
    (place / "tasks.jsonl").write_text(tasks)
    words = [sys.executable, "-m", "fleet_tasks", "batch", "-d", "d1,d2", "--file", "tasks.jsonl"]
    # No file may grow beyond that: to SQLite it is a disk that has no more room. (Python does not die of the signal.)
    full = subprocess.run(
        ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh", *words],
        env=bench.environment(), cwd=place, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = [line for line in full.stderr.splitlines() if "journal" in line]
    assert full.returncode == 2 and len(said) == 1 and "Traceback" not in full.stderr, full.stderr
    before = marks(devices)
    assert 0 < len(before) < 60 and all(device.quiet() for device in devices)
    run = next((bench.home / "state" / "runs").iterdir()).name
    assert f"fleet resume --run {run}" in full.stderr
    again = typed(bench, place, "resume", "--run", run)
    found, made = states(again), marks(devices)
    assert len(found) == 60 and set(found.values()) <= {"done", "lost"}, again.stderr
    assert list(found.values()).count("lost") <= 2 and set(made.values()) == {1}
    assert all(found[name] == "done" for name in set(found) - set(before))


def test_a_batch_that_history_does_not_know_is_resumed_all_the_same(bench: Bench, place: Path) -> None:
    tasks = lines({"id": "a", "task": "echo a; echo a >>~/marks"}, {"id": "b", "task": "test -e ~/ok"})
    said = batch(bench, place, "-d", "d1", given=tasks)
    for file in (bench.home / "state").glob("history.db*"):
        file.unlink()
    (bench.device("d1").home / "ok").touch()
    again = typed(bench, place, "resume", "--run", said.document["run"], "--rerun", "failed")
    assert states(again) == {"a": "done", "b": "done"} and again.code == 0, again.stderr
    assert again.results[0]["stdout"] == "a\n" and marks(bench.devices("d1")) == {"a": 1}
    shown = typed(bench, place, "history.show", "--run", said.document["run"])
    assert states(shown) == {"a": "done", "b": "done"}


def test_a_finished_batch_needs_no_device(bench: Bench, place: Path) -> None:
    said = batch(bench, place, "-d", "d1", given=lines({"task": "true"}))
    before = bench.logins()
    again = typed(bench, place, "resume", "--run", said.document["run"])
    assert again.code == 0 and bench.logins() == before


def test_a_device_that_left_the_registry_costs_only_what_nobody_else_may_do(bench: Bench, place: Path) -> None:
    only = {"task": "test -e ~/ok", "where": {"device": "d2"}}
    said = batch(bench, place, "-d", "d1,d2", given=lines({"task": "test -e ~/ok"}, only))
    for name in ("d1", "d2"):
        (bench.device(name).home / "ok").touch()
    again = ("resume", "--run", said.document["run"], "--rerun", "failed")
    bench.registry(place / "fleet.yaml", ["d1"], defaults={"agent": "shell"})
    assert planned(bench, place, *again[2:]) == [("t1", 1), ("t2", 2)]
    left = typed(bench, place, *again)
    assert states(left) == {"t1": "done", "t2": "skipped"}, left.stderr
    bench.registry(place / "fleet.yaml", ["d3"], defaults={"agent": "shell"})
    gone = typed(bench, place, *again)
    assert gone.code == 2 and "none of the batch's devices any more: d1, d2" in gone.stderr, gone.stderr
    bench.registry(place / "fleet.yaml", NAMES, defaults={"agent": "shell"})
    assert states(typed(bench, place, *again)) == {"t1": "done", "t2": "done"}


def test_a_batch_for_a_device_by_its_name_and_by_its_address_is_resumed(bench: Bench, place: Path) -> None:
    deck = bench.device("d1").entry
    address = f"{deck['user']}@{deck['host']}:{deck['port']}"
    defaults = {"agent": "shell", "key": str(deck["key"])}
    bench.registry(place / "fleet.yaml", ["d1"], defaults=defaults)
    places = [{"task": "test -e ~/ok", "where": {"device": name}} for name in ("d1", address)]
    said = batch(bench, place, given=lines(*places))
    (bench.device("d1").home / "ok").touch()
    again = typed(bench, place, "resume", "--run", said.document["run"], "--rerun", "failed")
    assert states(again) == {"t1": "done", "t2": "done"}, again.stderr


def test_what_was_no_batch_is_not_resumed(bench: Bench, place: Path) -> None:
    run = typed(bench, place, "status", "-d", "d1").document["run"]
    said = typed(bench, place, "resume", "--run", run)
    assert said.code == 2 and "no batch" in said.stderr
