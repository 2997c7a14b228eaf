"""Where history lies: a private folder, a private database file, and the locks that keep processes apart."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from fleet_tasks.history.schema import Newer, migrate

NAME = "history.db"
PATIENCE = 5.0
_COMPANIONS = ("", "-wal", "-shm")

# https://www.sqlite.org/rescode.html; when opening, SQLITE_ERROR means tables that are not ours.
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FOREIGN = _BROKEN | {sqlite3.SQLITE_ERROR}


class Unusable(Exception):
    """The database cannot be used now; ``str()`` says why, and it was left as it is."""


def is_broken(error: sqlite3.Error, *, opening: bool = False) -> bool:
    """Whether an error means that the file itself is beyond use."""
    # An error may carry an extended code, whose low byte is the plain one; some carry none.
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (_FOREIGN if opening else _BROKEN)


def connect(folder: Path) -> tuple[sqlite3.Connection, Path | None]:
    """The database in a folder, up to date, and where a broken one was set aside; raises Unusable."""
    try:
        make_private(folder)
        with locked(folder / "history.lock"):
            try:
                return _open(folder), None
            except sqlite3.DatabaseError as error:
                if not is_broken(error, opening=True):
                    raise
            aside = set_aside(folder)
            return _open(folder), aside
    except Newer as error:
        raise Unusable("a newer version of fleet-tasks wrote it") from error
    except sqlite3.Error as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        raise Unusable(error.strerror or str(error)) from error


def make_private(folder: Path) -> None:
    """Make a folder of ours, open to its owner only whatever the umask; one that is there stays as it is."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)


def check(folder: Path) -> Path | None:
    """Look a database over that failed in use; where it was set aside, if it was broken and nobody did so before."""
    try:
        with locked(folder / "history.lock"):
            return None if _is_sound(folder / NAME) else set_aside(folder)
    except OSError:
        return None


def set_aside(folder: Path) -> Path:
    """Rename a broken database, so that nothing is lost and a new one can begin."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = next(
        path
        for number in range(1000)
        if not (path := folder / f"{NAME}.broken-{stamp}{f'-{number}' if number else ''}").exists()
    )
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            (folder / (NAME + companion)).rename(f"{aside}{companion}")
    return aside


def shrink(db: sqlite3.Connection) -> None:
    """Give the room of what was forgotten back to the disk."""
    db.executescript("PRAGMA incremental_vacuum")  # execute() would stop after the first page
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, also when Ctrl-C comes in the middle."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # the first error is the one that matters
            db.execute("ROLLBACK")
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; raises TimeoutError when another process does not let go of it."""
    lock = private_file(path)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _take(lock, fcntl.LOCK_EX):  # flock(2) knows no timeout
            if time.monotonic() > deadline:
                raise TimeoutError("another process holds its lock")
            time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def hold(path: Path) -> int:
    """A descriptor that marks a run as alive for as long as this process lives."""
    make_private(path.parent)
    mark = private_file(path)
    try:
        _take(mark, fcntl.LOCK_EX)
    except OSError:
        os.close(mark)
        raise
    return mark


def is_held(path: Path) -> bool:
    """Whether a process that is alive holds the mark; shared locks, so that askers do not see one another."""
    try:
        mark = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _take(mark, fcntl.LOCK_SH)
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(mark)


def private_file(path: Path) -> int:
    """A descriptor of a file that only its owner can read, whatever the umask; links are refused."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o777 != 0o600:
            os.fchmod(descriptor, 0o600)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as db:
            answer: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            return answer == "ok"
    except sqlite3.Error as error:
        return not is_broken(error)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(folder: Path) -> sqlite3.Connection:
    path = folder / NAME
    os.close(private_file(path))
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    db.row_factory = sqlite3.Row
    try:
        if not db.execute("PRAGMA auto_vacuum").fetchone()[0]:  # setting it writes, and only an empty database takes it
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")
        with transaction(db):
            migrate(db)
    except BaseException:
        db.close()
        raise
    return db
