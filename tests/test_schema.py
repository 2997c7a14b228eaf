"""The published JSON Schema holds for what is really printed, and refuses what never should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from fleet_tasks import errors, formats
from fleet_tasks.devices import Group
from fleet_tasks.formats.json import document, schema
from fleet_tasks.history import RunSummary
from fleet_tasks.results import FileCopy, State, Usage
from fleet_tasks.tasks.registry import DeviceRow
from tests.showing import STARTED, Pipes, problem, report, result

STATUS = {
    "agent": None, "version": None, "ready": False, "reason": "not installed", "os": "Linux", "arch": "arm64",
    "cores": 4, "load": 0.1, "memory_mb": 100, "disk_mb": 50, "home_writable": True, "round_trip_ms": 1.5,
}  # fmt: skip
CHECKS = {"checks": [{"name": "login", "ok": True, "found": "deck", "wanted": None, "guidance": None}]}


def validate(value: Any) -> None:
    jsonschema.Draft202012Validator(schema()).validate(value)


def everything() -> Iterator[Any]:
    for state in State:
        yield result(state=state, error=None if state in (State.DONE, State.RUNNING) else problem("cancelled"))
    yield result(stdout=b"\xff", usage=Usage(1, 2, 3, 0.5), files=(FileCopy("a", "b", 1, "c"),), exit_status=143)
    yield result(action="status", facts=STATUS)
    yield result(action="status", state=State.UNREACHABLE, error=problem("unknown-host"))
    yield result(action="check", facts=CHECKS)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_real_output_is_valid(format: str) -> None:
    whole = report(*everything())
    pipes = Pipes()
    with formats.open(format, pipes) as view:
        for item in whole.results:
            view.see(item)
        view.close(whole)
    values = [json.loads(pipes.shown)] if format == "json" else [json.loads(line) for line in pipes.shown.splitlines()]
    for value in values:
        validate(value)
    assert len(values) == (1 if format == "json" else len(whole.results) + 1)


def test_listings_are_valid() -> None:
    run = RunSummary(report().run, "dispatch", STARTED, 1.0, {**{state.value: 0 for state in State}, "exit_code": 0})
    for kind, row in (("runs", run), ("devices", DeviceRow("a", "b")), ("groups", Group("g", ("a",), ("a",)))):
        pipes = Pipes()
        formats.listing(kind, [row], "json", pipes)
        validate(json.loads(pipes.shown))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("schema",), 2),
        (("run",), "../etc"),
        (("results", 0, "state"), "ok"),
        (("results", 0, "stdout"), None),
        (("results", 0, "error"), {"code": "made-up", "message": "", "guidance": ""}),
        (("summary", "exit_code"), "0"),
    ],
)
def test_wrong_documents_are_refused(where: tuple[Any, ...], value: object) -> None:
    spoiled = json.loads(json.dumps(document(report(result()))))
    place = spoiled
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(spoiled)


@pytest.mark.parametrize("values", [{"state": State.SKIPPED}, {"action": "status", "facts": {"agent": "x"}}])
def test_entries_that_say_too_little_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate(document(report(result(**values))))


def codes(kind: type[errors.DeviceError]) -> set[str]:
    return {kind.code}.union(*(codes(below) for below in kind.__subclasses__()))


def test_every_error_has_a_code_of_the_schema() -> None:
    assert codes(errors.DeviceError) <= set(schema()["$defs"]["error"]["properties"]["code"]["enum"])


def test_states_are_those_of_the_schema() -> None:
    assert schema()["$defs"]["state"]["enum"] == [state.value for state in State]
