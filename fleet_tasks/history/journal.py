"""The journal of a batch: an attempt's start is on disk before it happens on a device, its end before the next begins.

One SQLite file in the run's folder. After ``kill -9`` it says which tasks are over, which may have run (an attempt
without an end), and which never began.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fleet_tasks.errors import RequestError
from fleet_tasks.history import storage
from fleet_tasks.record import record
from fleet_tasks.results import State

FILE = "journal.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (spec TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attempts (
    task TEXT NOT NULL, number INTEGER NOT NULL, device TEXT NOT NULL, started TEXT NOT NULL, state TEXT,
    PRIMARY KEY (task, number)
);
CREATE TABLE IF NOT EXISTS ends (task TEXT PRIMARY KEY, state TEXT NOT NULL);
"""
_OVER = "INSERT OR REPLACE INTO ends VALUES (?, ?)"


@record
class Known:
    """What a journal knows, by task: how it ended, how many attempts were made, and on which device the last one.

    ``open`` are the devices of last attempts that have no end.
    """

    ends: Mapping[str, State]
    tries: Mapping[str, int]
    devices: Mapping[str, str]
    open: Mapping[str, str]


class Journal:
    """Appends to one batch's journal; safe in threads. A write that fails raises RequestError: no task without it."""

    def __init__(self, folder: Path) -> None:
        """Opens it, a new one where there is none; raises RequestError."""
        self._lock = threading.Lock()
        try:
            storage.make_private(folder)
            self._db = sqlite3.connect(folder / FILE, check_same_thread=False, isolation_level=None, timeout=30)
            (folder / FILE).chmod(0o600)
            # WAL with FULL: a commit is on disk when it returns, at one fsync each.
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise RequestError(f"The batch's journal in {folder} cannot be opened: {error}.") from error

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether there is a journal in a run's folder."""
        return (folder / FILE).is_file()

    def begin(self, spec: object) -> None:
        """Writes the whole batch down, so that it can be resumed without its file."""
        self._write("INSERT INTO batch VALUES (?)", (json.dumps(spec),))

    def spec(self) -> dict[str, object]:
        """The batch as it was written down; raises RequestError when it is not whole."""
        row = self._db.execute("SELECT spec FROM batch").fetchone()
        if row is None:
            raise RequestError("The batch was not written down before it was killed; nothing of it was started.")
        found: dict[str, object] = json.loads(row[0])
        return found

    def started(self, task: str, number: int, device: str, when: str) -> None:
        """An attempt is about to begin."""
        self._write("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, NULL)", (task, number, device, when))

    def ended(self, task: str, number: int, state: State, *, over: bool) -> None:
        """An attempt is over, and with ``over`` its task for good: both are written, or neither."""
        with self._transaction() as db:
            db.execute("UPDATE attempts SET state = ? WHERE task = ? AND number = ?", (state.value, task, number))
            if over:
                db.execute(_OVER, (task, state.value))

    def over(self, task: str, state: State) -> None:
        """A task is over for good, without an attempt."""
        self._write(_OVER, (task, state.value))

    def reopen(self, tasks: Iterable[str]) -> None:
        """Forgets the ends of tasks that are to be done again."""
        with self._transaction() as db:
            db.executemany("DELETE FROM ends WHERE task = ?", [(task,) for task in tasks])

    def known(self) -> Known:
        """Everything that was written so far."""
        ends = {task: State(state) for task, state in self._db.execute("SELECT task, state FROM ends")}
        # SQLite: beside max(), a bare column is that of the row with the greatest number.
        last = self._db.execute("SELECT task, max(number), device, state FROM attempts GROUP BY task").fetchall()
        return Known(
            ends=ends,
            tries={task: number for task, number, _, _ in last},
            devices={task: device for task, _, device, _ in last},
            open={task: device for task, _, device, state in last if state is None and task not in ends},
        )

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock, suppress(sqlite3.Error):
            self._db.close()

    def _write(self, query: str, values: tuple[object, ...]) -> None:
        with self._transaction() as db:
            db.execute(query, values)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, storage.transaction(self._db):
                yield self._db
        except sqlite3.Error as error:
            raise RequestError(f"The batch's journal cannot be written ({error}), so nothing more is begun.") from error
