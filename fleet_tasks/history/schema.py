"""The history's tables: migrations in order, each applied once and recorded by its name.

Nothing in this list is ever changed once it was released; what comes later is appended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable


def runs_and_results(db: sqlite3.Connection) -> None:
    """Runs; what each planned to do; what came of it. Bytes are kept as they came."""
    db.execute("""
        CREATE TABLE runs (
            run         TEXT PRIMARY KEY,
            command     TEXT NOT NULL,
            started     TEXT NOT NULL,           -- RFC 3339, UTC
            seconds     REAL NOT NULL DEFAULT 0, -- up to the last thing recorded
            interrupted INTEGER NOT NULL DEFAULT 0,
            finished    INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID""")
    db.execute("""
        CREATE TABLE entries (
            run      TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
            position INTEGER NOT NULL,           -- in the plan, from 0
            device   TEXT NOT NULL,
            host     TEXT NOT NULL,
            action   TEXT NOT NULL,
            agent    TEXT,
            model    TEXT,
            task_id  TEXT,
            task     TEXT,                       -- the words given to the agent
            PRIMARY KEY (run, position)
        )""")
    db.execute("CREATE INDEX entries_of_device ON entries (device, run)")
    db.execute("""
        CREATE TABLE results (
            run         TEXT NOT NULL,
            position    INTEGER NOT NULL,
            state       TEXT NOT NULL,
            host        TEXT NOT NULL,
            agent       TEXT,
            exit_status INTEGER,
            truncated   INTEGER NOT NULL,
            stdout_file TEXT,
            stderr_file TEXT,
            seconds     REAL NOT NULL,
            attempts    INTEGER NOT NULL,
            started     TEXT NOT NULL,
            files       TEXT NOT NULL,           -- JSON, as are the next three
            usage       TEXT,
            error       TEXT,
            facts       TEXT,
            stdout      BLOB NOT NULL,
            stderr      BLOB NOT NULL,
            raw_stdout  BLOB,
            PRIMARY KEY (run, position),
            FOREIGN KEY (run, position) REFERENCES entries ON DELETE CASCADE
        )""")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (runs_and_results,)


class Newer(Exception):
    """The database holds migrations that this version does not know."""


def migrate(db: sqlite3.Connection) -> None:
    """Bring a database up to date; raises Newer where it is ahead of us."""
    db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) WITHOUT ROWID")
    applied = {row[0] for row in db.execute("SELECT name FROM migrations")}
    if applied - {step.__name__ for step in MIGRATIONS}:
        raise Newer
    for step in MIGRATIONS:
        if step.__name__ not in applied:
            step(db)
            db.execute("INSERT INTO migrations VALUES (?)", (step.__name__,))
