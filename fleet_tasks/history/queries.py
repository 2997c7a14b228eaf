"""The questions and statements of history: records in, rows out, one function each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from fleet_tasks import ids
from fleet_tasks.errors import UnknownName
from fleet_tasks.history import rows
from fleet_tasks.history.records import Entry, Fate, RunSummary
from fleet_tasks.results import Report, Result, State, exit_code

_ENTRIES = f"""
    SELECT device, action, task_id, entries.host AS planned_host, entries.agent AS planned_agent,
           {", ".join(f"results.{name}" for name in rows.COLUMNS)}
    FROM entries LEFT JOIN results USING (run, position) WHERE run = ? ORDER BY position"""
_RECORD = f"""
    INSERT OR REPLACE INTO results (run, position, {", ".join(rows.COLUMNS)})
    VALUES (?, ?{", ?" * len(rows.COLUMNS)})"""
_COUNTS = """
    SELECT state, count(*) AS number FROM entries LEFT JOIN results USING (run, position)
    WHERE run = ? GROUP BY state"""
_OPEN = """
    SELECT position FROM entries LEFT JOIN results USING (run, position)
    WHERE run = ? AND device = ? AND action = ? AND task_id IS ? AND coalesce(state, 'running') = 'running'
    ORDER BY position LIMIT 1"""
_ENDED = """
    SELECT 1 FROM entries JOIN results USING (run, position)
    WHERE run = ? AND device = ? AND action = ? AND task_id IS ? AND state <> 'running'"""

_UNTOLD = "SELECT task_id FROM entries LEFT JOIN results USING (run, position) WHERE run = ? AND state IS NULL"

Missing = Callable[[str], Callable[[str | None], Fate]]
"""For a run, how its tasks stand that have no result, by their ids."""


def add_run(db: sqlite3.Connection, head: tuple[str, str, str], entries: Iterable[Entry]) -> None:
    """A run (its id, command and beginning) and everything it plans to report."""
    db.execute("INSERT INTO runs (run, command, started) VALUES (?, ?, ?)", head)
    add_entries(db, head[0], entries)


def add_entries(db: sqlite3.Connection, run: str, entries: Iterable[Entry]) -> None:
    """What a run plans to report."""
    planned = [(run, number, *map(rows.storable, vars(entry).values())) for number, entry in enumerate(entries)]
    db.executemany(
        "INSERT INTO entries (run, position, device, host, action, agent, model, task_id, task) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        planned,
    )


def add_result(db: sqlite3.Connection, run: str, result: Result, position: int | None = None) -> int:
    """A result, in its entry's place; an entry of its own where the plan had none. The position it has now.

    With ``position`` it takes the place of what stood there: a task of a batch has one result, wherever it ran.
    """
    device, host, task_id = map(rows.storable, (result.device, result.host, result.task_id))
    if position is not None:
        query = "UPDATE entries SET device = ?, host = ? WHERE run = ? AND position = ?"
        db.execute(query, (device, host, run, position))
    elif (known := db.execute(_OPEN, (run, device, result.action, task_id)).fetchone()) is not None:
        position = known["position"]
    else:
        query = "SELECT coalesce(max(position) + 1, 0) AS position FROM entries WHERE run = ?"
        position = db.execute(query, (run,)).fetchone()["position"]
        db.execute(
            "INSERT INTO entries (run, position, device, host, action, task_id) VALUES (?, ?, ?, ?, ?, ?)",
            (run, position, device, host, result.action, task_id),
        )
    db.execute(_RECORD, (run, position, *rows.to_row(result)))
    return int(position)


def has_ended(db: sqlite3.Connection, run: str, result: Result) -> bool:
    """Whether the end of what this result is about was recorded already."""
    device, task_id = map(rows.storable, (result.device, result.task_id))
    return db.execute(_ENDED, (run, device, result.action, task_id)).fetchone() is not None


def positions(db: sqlite3.Connection, run: str) -> dict[str, int]:
    """Where the results of a batch's tasks stand, by the tasks' ids."""
    query = "SELECT task_id, position FROM entries WHERE run = ? AND task_id IS NOT NULL"
    return dict(db.execute(query, (run,)).fetchall())


def told(db: sqlite3.Connection, run: str) -> set[str]:
    """The tasks of a batch whose ends were recorded."""
    query = (
        "SELECT task_id FROM entries JOIN results USING (run, position) "
        "WHERE run = ? AND task_id IS NOT NULL AND state <> 'skipped'"
    )
    return {row["task_id"] for row in db.execute(query, (run,))}


def forget_results(db: sqlite3.Connection, run: str, tasks: Iterable[str]) -> None:
    """Forgets what came of tasks that are done again."""
    places = positions(db, run)
    query = "DELETE FROM results WHERE run = ? AND position = ?"
    db.executemany(query, [(run, places[task]) for task in tasks if task in places])


def summaries(db: sqlite3.Connection, limit: int, device: str | None, missing: Missing) -> list[RunSummary]:
    """The newest runs first, all of them or those that visited a device."""
    where = "WHERE run IN (SELECT run FROM entries WHERE device = :device)" if device else ""
    values = {"device": rows.storable(device), "limit": limit}
    heads = db.execute(f"SELECT * FROM runs {where} ORDER BY run DESC LIMIT :limit", values).fetchall()
    return [_summary(db, head, missing) for head in heads]


def starting_with(db: sqlite3.Connection, prefix: str, limit: int) -> list[str]:
    """The newest runs whose ids begin so."""
    query = "SELECT run FROM runs WHERE substr(run, 1, ?) = ? ORDER BY run DESC LIMIT ?"
    return [row["run"] for row in db.execute(query, (len(prefix), rows.storable(prefix), limit))]


def report(db: sqlite3.Connection, run: str, missing: Missing) -> Report:
    """A whole run; raises UnknownName."""
    head = db.execute("SELECT * FROM runs WHERE run = ?", (rows.storable(run),)).fetchone()
    if head is None:
        raise UnknownName("run", run)
    without = missing(run)
    results = tuple(rows.from_row(row, without) for row in db.execute(_ENTRIES, (run,)))
    return Report(run, head["command"], head["started"], head["seconds"], results, bool(head["interrupted"]))


def old(db: sqlite3.Connection, before: float | None, keep: int) -> list[str]:
    """Runs begun before a time (seconds since 1970) that are not among the newest ones to keep."""
    query = "SELECT run FROM (SELECT run FROM runs ORDER BY run DESC LIMIT -1 OFFSET ?) WHERE run < ?"
    return [row["run"] for row in db.execute(query, (keep, "~" if before is None else ids.first_at(before)))]


def _summary(db: sqlite3.Connection, head: sqlite3.Row, missing: Missing) -> RunSummary:
    counts = dict.fromkeys(State, 0)
    for state, number in db.execute(_COUNTS, (head["run"],)):
        if state:
            counts[State(state)] += number
            continue
        fate = missing(head["run"])
        for row in db.execute(_UNTOLD, (head["run"],)):
            counts[fate(row["task_id"]).state] += 1
    # The exit code depends on which states there are, not on how many of each.
    present = [Result("", "", "", state) for state, number in counts.items() if number]
    code = exit_code(present, interrupted=bool(head["interrupted"]))
    summary = {**{state.value: number for state, number in counts.items()}, "exit_code": code}
    return RunSummary(head["run"], head["command"], head["started"], round(head["seconds"], 3), summary)
