"""Every document that a command prints is described by the published JSON Schema, down to its last field."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fleet_tasks import namespace
from fleet_tasks.formats.json import schema
from fleet_tasks.options import Output
from fleet_tasks.tasks.registry import DeviceRow
from tests.bench import Bench
from tests.program import fleet
from tests.runs import ONE, TWO, detach, folders

SHOWING = [name for name in namespace.task_names if Output in namespace[name].records.values()]

WORDS = {
    "agent.list": "",
    "agent.show": "--name demo",
    "batch": "--all --file tasks.jsonl",
    "check": "--all",
    "deploy": "--all",
    "device.list": "",
    "device.show": f"--name {ONE}",
    "dispatch": "--all --task true --any 1",
    "follow": "--run {run}",
    "get": f"-d {ONE} --fetch *.txt --into got",
    "group.list": "",
    "history.list": "--device {worked}",
    "history.show": "--run {batch}",
    "ps": "--run {run}",
    "put": "--all --send sent.txt",
    "resume": "--run {batch} --rerun failed",
    "run": "--all --task false",
    "status": "",
    "stop": "--run {run}",
    "teardown": "--all",
}
UNPLANNED = ("agent.list", "agent.show", "device.list", "device.show", "group.list", "history.list", "history.show")
"""What they print is the same with --dry: they visit nobody."""


def closed(part: Any) -> Any:
    """The schema without room for more: fields may be added, but none that it does not tell of."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    whole = {key: closed(value) for key, value in part.items()}
    if part.get("type") == "object" and "properties" in part:
        whole.setdefault("additionalProperties", False)
    return whole


VALIDATOR = jsonschema.Draft202012Validator(closed(schema()))


@pytest.fixture
def place(bench: Bench) -> Iterator[Path]:
    """A home with a registry of two devices, one of which nobody reaches, and with what commands send."""
    gone = {"host": "127.0.0.1", "port": 1, "tags": ["old"], "jump": ["me@127.0.0.1:1"], "env": {"A": "b"}}
    more: dict[str, Any] = {
        "defaults": {"agent": "shell", "retries": 1, "timeout": 60},
        "devices": {TWO: gone},
        "agents": {"mine": {"dispatch": "cat", "description": "Says it again.", "needs": ["cat"]}},
    }
    bench.registry(bench.home / "fleet.yaml", [ONE], groups={"both": [ONE, TWO], "all-of-it": ["both"]}, **more)
    (bench.home / "sent.txt").write_text("sent")
    (bench.device(ONE).home / "there.txt").write_text("there")
    tasks: list[dict[str, Any]] = [{"task": "exit 3", "id": "bad"}, {"task": "echo never", "after": ["bad"]}]
    (bench.home / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    yield bench.home
    for folder in folders():  # of runs that nobody followed, which the next test would see
        shutil.rmtree(folder, ignore_errors=True)


def printed(bench: Bench, *words: str, **variables: Any) -> Iterator[Any]:
    """The value that a command prints with ``-f json``, then those of ``-f jsonl``."""
    for form in ("json", "jsonl"):
        said = fleet(bench, *words, "-f", form, **variables)
        assert said.code in (0, 1, 3), said
        values = [json.loads(line) for line in said.stdout.splitlines()] if form == "jsonl" else [said.document]
        assert values, said
        yield from values


def check(value: Any) -> None:
    """Exactly one description fits; tells what is wrong with the nearest one."""
    error = jsonschema.exceptions.best_match(VALIDATOR.iter_errors(value))
    assert error is None, f"{error.message[:300]}\n{json.dumps(value)[:600]}"


@pytest.mark.parametrize("name", SHOWING)
def test_what_a_command_prints_is_described(name: str, bench: Bench, place: Path) -> None:
    words = WORDS[name].format_map(_Runs(bench)).split()
    plan, *rows = printed(bench, "--dry", name, *words)
    for value in (plan, *rows, *printed(bench, name, *words)):
        check(value)
    assert name in UNPLANNED or plan == {"schema": 1, "plan": rows}


class _Runs(dict[str, str]):
    """Makes what a command is to be about: a detached ``run``, a ``batch``, a device that has ``worked``."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    def __missing__(self, kind: str) -> str:
        if kind == "run":
            return detach(self._bench, "echo begun")
        said = fleet(self._bench, "batch", "-d", ONE, "--file", "tasks.jsonl", "-f", "json")
        return ONE if kind == "worked" else str(said.document["run"])


def test_runs_that_only_a_device_knows_are_described(bench: Bench, place: Path) -> None:
    run = detach(bench, "sleep 600")
    try:
        for where in ({}, {"FLEET_STATE": str(place / "another")}):
            whole, *rows = printed(bench, "ps", "-d", ONE, **where)
            for value in (whole, *rows):
                check(value)
            assert whole["runs"] == rows
            (row,) = (each for each in rows if each["run"] == run)
            assert (row["seconds"] is None) is bool(where)
            assert (row["summary"]["running"], row["summary"]["exit_code"]) == (1, 0)
    finally:
        fleet(bench, "stop", "--run", run)


def test_detached_work_is_described(bench: Bench, place: Path) -> None:
    for value in printed(bench, "run", "-d", ONE, "--task", "echo begun", "--detach"):
        check(value)


def test_a_field_that_nobody_described_is_noticed() -> None:
    value = {"schema": 1, "plan": [{"id": "a", "agent": "", "devices": [], "after": [], "wave": 1, "task": "x"}]}
    check(value)
    value["plan"][0]["more"] = 1  # type: ignore[index]
    with pytest.raises(AssertionError, match="more"):
        check(value)


def test_the_fields_of_a_device_are_those_of_the_schema() -> None:
    described = schema()["$defs"]["device"]
    assert list(described["properties"]) == described["required"] == list(DeviceRow.__dataclass_fields__)
