"""JSON: the documents that programs read, one whole (``json``) or a line for each result (``jsonl``).

Their fields and their order are fixed, and published in ``schema.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import resources
from typing import Any

from fleet_tasks.formats.grid import Listing
from fleet_tasks.formats.sanitize import HOSTILE
from fleet_tasks.formats.streams import Streams
from fleet_tasks.results import Report, Result

SCHEMA = 1
_FACTS = ("status", "check")


class Json:
    """One document for the whole run, one result a line inside it."""

    def result(self, result: Result, streams: Streams) -> None:
        """Results stand in the plan's order, so nothing is shown before all are there."""

    def show(self, report: Report, streams: Streams) -> None:
        """The document, written result by result: two hundred long answers are never one string."""
        head = encode({"schema": SCHEMA, **_head(report)})
        streams.write(f'{head[:-1]}, "results": ['.encode())
        for number, result in enumerate(report.results):
            streams.write(("," if number else "").encode() + b"\n" + encode(entry(result)).encode())
        streams.write(f'],\n"summary": {encode(summary(report))}}}\n'.encode())

    def rows(self, listing: Listing, streams: Streams) -> None:
        """Records under the name of their kind."""
        streams.write(encode({"schema": SCHEMA, listing.kind: list(listing.rows)}).encode() + b"\n")


class JsonLines:
    """Each result on a line as it happens, then the summary."""

    streaming = True

    def result(self, result: Result, streams: Streams) -> None:
        """One line, at once."""
        streams.write(encode(entry(result)).encode() + b"\n")

    def show(self, report: Report, streams: Streams) -> None:
        """The last line."""
        streams.write(encode({"type": "summary", **_head(report), **summary(report)}).encode() + b"\n")

    def rows(self, listing: Listing, streams: Streams) -> None:
        """A record on each line."""
        for row in listing.rows:
            streams.write(encode(row).encode() + b"\n")


def document(report: Report) -> dict[str, Any]:
    """The whole document as plain data."""
    return {
        "schema": SCHEMA,
        **_head(report),
        "results": [entry(result) for result in report.results],
        "summary": summary(report),
    }


def entry(result: Result) -> dict[str, Any]:
    """One result as plain data, its fields in the documents' order."""
    facts = {"facts": plain(result.facts)} if result.action in _FACTS else {}
    return {
        "type": "result",
        "device": result.device,
        "host": result.host,
        "action": result.action,
        "agent": result.agent,
        "task_id": result.task_id,
        "state": result.state.value,
        "exit_status": result.exit_status,
        "stdout": plain(result.stdout),
        "stderr": plain(result.stderr),
        "truncated": result.truncated,
        "stdout_file": result.stdout_file,
        "stderr_file": result.stderr_file,
        "seconds": plain(round(result.seconds, 3)),
        "attempts": result.attempts,
        "started": result.started,
        "files": [plain(file) for file in result.files],
        "usage": plain(result.usage),
        "error": plain(result.error),
        **facts,
    }


def summary(report: Report) -> dict[str, int]:
    """How many results stand in each state, and the exit code."""
    return {**{state.value: number for state, number in report.counts.items()}, "exit_code": report.exit_code}


def schema() -> dict[str, Any]:
    """The published JSON Schema of every document."""
    text = resources.files("fleet_tasks.formats").joinpath("schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def encode(value: object) -> str:
    """Any value as JSON on one line; characters that could drive or fool a terminal are escaped by number."""
    words = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    return HOSTILE.sub(lambda match: "".join(map(_escape, match.group())), words)


def plain(value: object) -> Any:
    """Any value as what JSON knows: records are objects, bytes are text, what is no number is null."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    # Records that know their short form, like an Endpoint, are shown in it.
    if is_dataclass(value) and not isinstance(value, type) and type(value).__str__ is object.__str__:
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return str(value)


def _head(report: Report) -> dict[str, Any]:
    seconds = plain(round(report.seconds, 3))
    return {"run": report.run, "command": report.command, "started": report.started, "seconds": seconds}


def _escape(character: str) -> str:
    """One character as JSON's escape; halves of a pair, which are no text by themselves, as U+FFFD."""
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    return json.dumps(character)[1:-1] if character > "\x7f" else f"\\u{ord(character):04x}"
