"""History: every run, its jobs and their exact answers, in SQLite below the user's state folder.

History never stands in the way of work. A database that is broken is set aside; one that is locked,
unwritable, full, or written by a newer version is left alone. Either is said once, and the run goes on.
Values of environment variables are never stored.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from fleet_tasks import ids
from fleet_tasks.errors import RequestError, UnknownName
from fleet_tasks.history import queries, storage
from fleet_tasks.history.fates import fates
from fleet_tasks.history.journal import Journal
from fleet_tasks.history.records import Entry, Fate, RunSummary, planned
from fleet_tasks.results import Report, Result

__all__ = ["Entry", "Fate", "History", "RunSummary", "folder", "planned"]

_DAY = 86_400
_SHOWN = 5
_Answer = TypeVar("_Answer")

_log = logging.getLogger(__name__)


def folder() -> Path:
    """Where history lies: ``FLEET_STATE``, else the user's state folder."""
    if chosen := os.environ.get("FLEET_STATE"):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_state_path("fleet-tasks")


class History:
    """The runs so far. Used from the main thread alone; several processes may use one folder at once."""

    def __init__(self, place: Path, db: sqlite3.Connection | None, trouble: str = "") -> None:
        self._place = place
        self._db = db
        self._trouble = trouble
        self._begun: dict[str, float] = {}
        self._marks: dict[str, int] = {}
        self._places: dict[str, dict[str, int]] = {}

    @classmethod
    def open(cls, place: Path) -> History:
        """The history in a folder. Never raises: what cannot be used is said in one warning and gone without."""
        try:
            db, aside = storage.connect(place)
        except storage.Unusable as error:
            _log.warning("The history in %s is not used: %s. Nothing is recorded.", place, error)
            return cls(place, None, str(error))
        if aside:
            _log.warning("The history was damaged. It is kept as %s, and a new one is begun.", aside)
        return cls(place, db)

    def close(self) -> None:
        """Let go of the database and of the marks of runs that never finished."""
        for run in list(self._marks):
            self._release(run)
        if self._db is not None:
            self._db.close()
            self._db = None

    def begin(self, run: str, command: str, started: str, entries: Iterable[Entry]) -> None:
        """A run is about to begin; ``started`` is RFC 3339. Other processes see it as alive from now on."""
        self._begun[run] = time.monotonic()
        self._hold(run)
        self._write(lambda db: queries.add_run(db, (run, command, started), entries))

    def plan(self, run: str, entries: Iterable[Entry]) -> None:
        """What a run plans to report, told after its beginning: thousands of entries take a while."""
        self._write(lambda db: queries.add_entries(db, run, entries))

    def resume(self, run: str, again: Iterable[str]) -> None:
        """A batch goes on: it is alive again, and what came of tasks that are done ``again`` is forgotten."""
        self._hold(run)
        self._write(lambda db: queries.forget_results(db, run, again))

    def knows(self, run: str) -> bool:
        """Whether the run was ever begun here, as far as can be told."""
        return self._db is not None and bool(self._read(lambda db: queries.starting_with(db, run, 1)))

    def is_planned(self, run: str) -> bool:
        """Whether it was said what the run is going to report, as far as can be told."""
        return self._db is not None and bool(self._read(lambda db: queries.positions(db, run)))

    def told(self, run: str) -> set[str]:
        """The tasks of a batch whose ends were recorded, as far as can be told."""
        return self._read(lambda db: queries.told(db, run)) if self._db is not None else set()

    def record(self, run: str, result: Result, *, again: bool = False) -> None:
        """A result, at once and for good; a later result of running work takes the place of the earlier.

        ``again`` is for those who read on in a run: an end that another of them told is not told once more.
        """
        self.record_all(run, (result,), again=again)

    def record_all(self, run: str, results: Iterable[Result], *, again: bool = False) -> None:
        """Several results in one step: to write down thousands one by one takes half a minute."""
        begun = self._begun.get(run)

        def work(db: sqlite3.Connection) -> None:
            for result in results:
                if again and queries.has_ended(db, run, result):
                    continue
                if result.task_id is None:
                    queries.add_result(db, run, result)
                else:
                    places = self._places.setdefault(run, queries.positions(db, run) if run not in self._places else {})
                    places[result.task_id] = queries.add_result(db, run, result, places.get(result.task_id))
            if begun is not None:
                db.execute("UPDATE runs SET seconds = ? WHERE run = ?", (time.monotonic() - begun, run))

        self._write(work)

    def finish(self, report: Report) -> None:
        """The run is over, and its results are recorded."""
        values = (report.seconds, report.interrupted, report.run)
        query = "UPDATE runs SET seconds = ?, interrupted = ?, finished = 1 WHERE run = ?"
        self._write(lambda db: db.execute(query, values))
        self._release(report.run)

    def runs(self, limit: int = 20, device: str | None = None) -> list[RunSummary]:
        """The newest runs first, all of them or those that visited a device."""
        return self._read(lambda db: queries.summaries(db, limit, device, self._missing))

    def find(self, prefix: str) -> str:
        """The one run whose id begins so; raises RequestError when there is none, or more than one."""
        wanted = prefix.strip().upper()
        if not wanted:
            raise RequestError("A run's id is needed; fleet history lists them.")
        if ids.is_run(wanted) and Journal.exists(self._place / "runs" / wanted):
            return wanted  # a batch can be resumed also where history was lost
        found = self._read(lambda db: queries.starting_with(db, wanted, _SHOWN + 1))
        if not found:
            raise UnknownName("run", prefix)
        if len(found) > 1:
            some = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
            raise RequestError(f"{prefix!r} begins the ids of several runs: {some}.")
        return found[0]

    def load(self, run: str) -> Report:
        """A run as it was reported; work without a result is running while its process lives, else lost."""
        return self._read(lambda db: queries.report(db, run, self._missing))

    def alive(self, run: str) -> bool:
        """Whether the process that began a run is still at it."""
        return run in self._marks or storage.is_held(self._mark(run))

    def prune(self, older_than_days: float | None = None, keep_last: int | None = None) -> int:
        """Forget runs begun some days ago, or all but the newest, with their files; how many were forgotten.

        Given both, a run must meet both to go. Runs that are still going on stay. Raises RequestError.
        """
        if older_than_days is None and keep_last is None:
            raise RequestError("Say which runs to forget: those older than some days, or all but the newest few.")
        before = None if older_than_days is None else time.time() - older_than_days * _DAY
        doomed = [run for run in self._read(lambda db: queries.old(db, before, keep_last or 0)) if not self.alive(run)]
        if not self._write(lambda db: db.executemany("DELETE FROM runs WHERE run = ?", [(run,) for run in doomed])):
            return 0
        for run in [*doomed, *(self._strays(before) if before is not None else ())]:
            shutil.rmtree(self._place / "runs" / run, ignore_errors=True)
            self._mark(run).unlink(missing_ok=True)
        self._read(storage.shrink)
        return len(doomed)

    def _strays(self, before: float) -> list[str]:
        """Runs that left files and are in no history: it was damaged since, or could not be written at the time.

        Nobody knows whether a young one is still at it.
        """
        least = ids.first_at(min(before, time.time() - _DAY))
        known = set(self._read(lambda db: queries.old(db, None, 0)))
        folders = [path.name for path in (self._place / "runs").glob("*")]
        return [name for name in folders if ids.is_run(name) and name < least and name not in known]

    def files(self, run: str) -> Path:
        """The private folder for streams that a run keeps, made when asked for."""
        if not ids.is_run(run):
            raise ValueError(f"{run!r} is no run's id")
        place = self._place / "runs" / run
        try:
            storage.make_private(place.parent)
            storage.make_private(place)
        except OSError as error:
            place = Path(tempfile.mkdtemp(prefix=f"fleet-{run}-"))
            _log.warning("Long output is kept in %s: %s.", place, error)
        return place

    def _missing(self, run: str) -> Callable[[str | None], Fate]:
        return fates(self._place / "runs" / run, alive=self.alive(run))

    def _hold(self, run: str) -> None:
        if self._db is not None:
            # Without its mark a run that goes on looks lost to others: no more than that.
            with suppress(OSError):
                self._marks[run] = storage.hold(self._mark(run))

    def _mark(self, run: str) -> Path:
        return self._place / "live" / run

    def _release(self, run: str) -> None:
        self._begun.pop(run, None)
        mark = self._marks.pop(run, None)
        if mark is not None:
            os.close(mark)
            with suppress(OSError):  # a mark nobody holds means nothing
                self._mark(run).unlink(missing_ok=True)

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Do some writing, all or nothing; false where there is no database that takes it."""
        if self._db is None:
            return False
        try:
            with storage.transaction(self._db):
                work(self._db)
        except sqlite3.Error as error:
            self._give_up(error)
            return False
        return True

    def _read(self, question: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        """The answer to a question; raises RequestError where there is no database that gives it."""
        try:
            if self._db is not None:
                return question(self._db)
        except sqlite3.Error as error:
            self._give_up(error)
        raise RequestError(f"The history in {self._place} cannot be read: {self._trouble or 'it is closed'}.")

    def _give_up(self, error: sqlite3.Error) -> None:
        """Go on without history: waiting for a locked or full database at every result would cost the work."""
        self._trouble = str(error)
        if self._db is not None:
            self._db.close()
            self._db = None
        aside = storage.check(self._place) if storage.is_broken(error) else None
        kept = f"; the damaged database is kept as {aside}" if aside else ""
        _log.warning("The history in %s is not used any more: %s%s.", self._place, error, kept)
