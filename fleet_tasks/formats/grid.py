"""Grid: rows and columns of safe short text, made once from results or listings for every format that shows tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from fleet_tasks.formats import sanitize
from fleet_tasks.formats.reporting import counts, ranked, said
from fleet_tasks.ranges import fold
from fleet_tasks.record import record
from fleet_tasks.results import Report, Result, State

_CELL = 200
_COLUMNS = {
    "runs": ("run", "command", "started", "seconds", "devices", "summary"),
    "devices": ("name", "host", "user", "port", "agent", "model", "arch", "tags", "description"),
    "groups": ("name", "devices", "description"),
}
_SPARE = {"plan": ("timeout", "model", "agent", "devices", "jobs", "after", "host")}


@record
class Grid:
    """A table: its column names and its rows, every cell one harmless line.

    Where its last column is the one that matters, ``spare`` are those that a narrow screen does without, in this order.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    spare: tuple[str, ...] = ()


@record
class Listing:
    """Records of one kind (``runs``, ``devices``, ``groups``, ``agents``); ``sheet`` shows each with all its fields."""

    kind: str
    rows: Sequence[Any]
    sheet: bool = False


def of_report(report: Report) -> Grid:
    """The table that fits a run: facts for ``status`` and ``check``, answers for the others."""
    if report.command == "status":
        return _status(report.results)
    if report.command == "check":
        return _checks(report.results)
    return _answers(ranked(report))


def of_listing(listing: Listing) -> Grid:
    """Records as rows; columns in which nothing stands are left out."""
    records = [values(row) for row in listing.rows]
    known = _COLUMNS.get(listing.kind) or tuple(dict.fromkeys(key for record in records for key in record))
    wide = [tuple(cell(record.get(column), column) for column in known) for record in records]
    kept = [place for place, _ in enumerate(known) if not wide or place == 0 or any(row[place] for row in wide)]
    columns, rows = tuple(known[place] for place in kept), tuple(tuple(row[place] for place in kept) for row in wide)
    return Grid(columns, rows, _SPARE.get(listing.kind, ()))


def values(row: Any) -> Mapping[str, Any]:
    """A record's fields by name."""
    if is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in fields(row)}
    return dict(row)


def cell(value: object, column: str = "") -> str:
    """Any value as one short line for people; nothing is the empty text."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}" if column == "seconds" else f"{value:g}"
    if column == "summary" and isinstance(value, Mapping):
        return counts({State(key): number for key, number in value.items() if key in set(State)})
    if isinstance(value, Mapping):
        return sanitize.line(", ".join(f"{key}={cell(item)}" for key, item in value.items()), _CELL)
    if isinstance(value, (list, tuple)):
        return sanitize.line(fold(map(str, value)) if column == "devices" else ", ".join(map(str, value)), _CELL)
    return sanitize.line(value if isinstance(value, bytes) else str(value), _CELL)


def checks(result: Result) -> tuple[Mapping[str, object], ...]:
    """What was checked on a device, as far as it is what it should be."""
    found = (result.facts or {}).get("checks")
    return tuple(item for item in found if isinstance(item, Mapping)) if isinstance(found, (list, tuple)) else ()


def _answers(results: Iterable[Result]) -> Grid:
    rows = tuple(
        (
            cell(result.device),
            *((cell(result.task_id),) if result.task_id else ()),
            result.state.value,
            cell(result.exit_status),
            f"{result.seconds:.1f}",
            _answer(result),
        )
        for result in results
    )
    task = ("task",) if any(result.task_id for result in results) else ()
    columns = ("device", *task, "state", "exit", "seconds", "answer")
    return Grid(columns, _even(rows, task), ("seconds", "exit"))


def _even(rows: tuple[tuple[str, ...], ...], task: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Rows without a task's id get an empty cell where others have one."""
    width = 5 + len(task)
    return tuple(row if len(row) == width else (row[0], "", *row[1:]) for row in rows)


def _answer(result: Result) -> str:
    if result.error:
        why, words = f"{result.error.code}: {result.error.message}", said(result)
        # Its own words come first: they tell most, and a terminal cuts what is behind.
        return sanitize.line(f"{words} ({why})" if words else why, _CELL)
    answer = result.stdout.strip()
    first, _, more = answer.partition(b"\n")
    lines = more.count(b"\n") + 1
    return sanitize.line(first.rstrip(b"\r"), _CELL) + (f" (+{lines} lines)" if more else "")


def _status(results: Iterable[Result]) -> Grid:
    names = ("device", "reachable", "agent", "version", "ready", "system", "cores", "load", "memory", "disk", "trip")
    return Grid(names, tuple(_status_row(result) for result in results))


def _status_row(result: Result) -> tuple[str, ...]:
    facts = result.facts or {}
    reachable = "yes" if result else (result.error.code if result.error else result.state.value)
    ready = cell(facts.get("ready"))
    if ready == "no" and facts.get("reason"):
        ready = f"no: {cell(facts.get('reason'))}"
    system = "/".join(filter(None, (cell(facts.get("os")), cell(facts.get("arch")))))
    trip = cell(facts.get("round_trip_ms"))
    return (
        cell(result.device),
        reachable,
        cell(facts.get("agent")) or cell(result.agent),
        cell(facts.get("version")),
        ready,
        system,
        cell(facts.get("cores")),
        cell(facts.get("load")),
        _size(facts.get("memory_mb")),
        _size(facts.get("disk_mb")),
        f"{trip} ms" if trip else "",
    )


def _size(megabytes: object) -> str:
    if isinstance(megabytes, bool) or not isinstance(megabytes, (int, float)):
        return cell(megabytes)
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:g} MB"


def _checks(results: Iterable[Result]) -> Grid:
    rows: list[tuple[str, ...]] = []
    for result in results:
        name = cell(result.device)
        for item in checks(result):
            fix = "" if item.get("ok") else cell(item.get("guidance"))
            rows.append(
                (name, cell(item.get("name")), cell(bool(item.get("ok"))), cell(item.get("found")),
                 cell(item.get("wanted")), fix),
            )  # fmt: skip
        if result.error and not checks(result):
            rows.append((name, result.error.code, "no", cell(result.error.message), "", cell(result.error.guidance)))
    return Grid(("device", "check", "ok", "found", "wanted", "fix"), tuple(rows), ("wanted", "found"))
