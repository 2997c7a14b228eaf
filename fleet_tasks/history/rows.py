"""Results as rows and back: plain values in columns, small records as JSON, streams as the bytes they are."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fleet_tasks.history.records import Fate
from fleet_tasks.results import FileCopy, Problem, Result, State, Usage

COLUMNS = (
    "state", "host", "agent", "exit_status", "truncated", "stdout_file", "stderr_file", "seconds", "attempts",
    "started", "files", "usage", "error", "facts", "stdout", "stderr", "raw_stdout",
)  # fmt: skip
_LONE = re.compile(r"[\ud800-\udfff]")


def to_row(result: Result) -> tuple[object, ...]:
    """A result's values in the order of ``COLUMNS``."""
    return (
        result.state.value,
        storable(result.host),
        storable(result.agent),
        result.exit_status,
        result.truncated,
        storable(result.stdout_file),
        storable(result.stderr_file),
        result.seconds,
        result.attempts,
        result.started,
        json.dumps([asdict(file) for file in result.files]),
        json.dumps(asdict(result.usage)) if result.usage else None,
        json.dumps(asdict(result.error)) if result.error else None,
        json.dumps(result.facts, default=str) if result.facts is not None else None,
        result.stdout,
        result.stderr,
        result.raw_stdout,
    )


def from_row(row: sqlite3.Row, missing: Callable[[str | None], Fate]) -> Result:
    """An entry and what came of it as a result; ``missing`` tells of a task with no result yet."""
    known: dict[str, Any] = {"device": row["device"], "action": row["action"], "task_id": row["task_id"]}
    if row["state"] is None:
        fate = missing(row["task_id"])
        known["device"] = known["device"] or fate.device
        known |= {"state": fate.state, "error": fate.error, "attempts": fate.attempts}
        return Result(**known, host=row["planned_host"], agent=row["planned_agent"])
    usage, error, facts = (json.loads(row[name]) if row[name] else None for name in ("usage", "error", "facts"))
    same = ("host", "agent", "exit_status", "stdout_file", "stderr_file", "seconds", "attempts", "started",
            "stdout", "stderr", "raw_stdout")  # fmt: skip
    return Result(
        **known,
        **{name: row[name] for name in same},
        state=State(row["state"]),
        truncated=bool(row["truncated"]),
        files=tuple(FileCopy(**file) for file in json.loads(row["files"])),
        usage=Usage(**usage) if usage else None,
        error=Problem(**error) if error else None,
        facts=facts,
    )


def storable(text: str | None) -> str | None:
    """A text as SQLite takes it: what UTF-8 has no bytes for becomes U+FFFD.

    Such are the bytes of a file name that are no UTF-8, as Python smuggles them, and what JSON may escape.
    """
    if text is None or text.isascii():
        return text
    return _LONE.sub("\N{REPLACEMENT CHARACTER}", text)
