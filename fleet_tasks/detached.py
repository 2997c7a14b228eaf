"""Detached runs as the laptop remembers them: where on each device they are, and how to end them properly.

One small JSON file in the run's own folder, written before anything is started and after each start.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from fleet_tasks.devices import Device, Endpoint
from fleet_tasks.errors import RequestError
from fleet_tasks.jobs import Fetch, Job
from fleet_tasks.record import record

FILE = "detached.json"
_WRITING = threading.Lock()


@record
class Errand:
    """One device's part of a detached run: where it is there, and what to do with it. ``timeout`` is seconds."""

    device: Device
    agent: str
    folder: str
    boot: str
    started: str
    timeout: float
    fetch: tuple[Fetch, ...] = ()
    into: str | None = None
    workdir: str | None = None
    task_id: str | None = None
    key: str | None = None
    secrets: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The folder on the device that the task works in."""
        return self.workdir or f"{self.folder}/work"


def remember(place: Path, errand: Errand) -> None:
    """Adds one errand to the run whose folder ``place`` is; the file is replaced in one step. Safe in threads."""
    with _WRITING:
        errands = [known for known in recall(place) if known.device.name != errand.device.name]
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = place / f".{FILE}.{os.getpid()}"
        temporary.write_text(json.dumps([asdict(each) for each in (*errands, errand)], indent=1), "utf-8")
        temporary.chmod(0o600)
        temporary.replace(place / FILE)


def recall(place: Path) -> tuple[Errand, ...]:
    """The errands of a run; none when it was not detached. Raises RequestError when they cannot be read."""
    try:
        rows = json.loads((place / FILE).read_text("utf-8"))
        return tuple(_errand(row) for row in rows)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RequestError(f"What was noted about the run in {place} cannot be read: {error}.") from error


def where(errand: Errand, job: Job) -> Job:
    """A job that is about this errand: its folder, agent, files and the names of its secrets filled in."""
    return replace(
        job,
        agent=errand.agent,
        folder=errand.folder,
        fetch=errand.fetch,
        into=errand.into,
        workdir=errand.workdir,
        task_id=errand.task_id,
        timeout=errand.timeout,
        key=errand.key,
        secrets=errand.secrets,
    )


@contextmanager
def attending(place: Path) -> Iterator[None]:
    """Within it, others know that the run is read: what it has on its devices is not for them to remove."""
    with _attendance(place) as number:
        fcntl.flock(number, fcntl.LOCK_SH)
        yield


@contextmanager
def unattended(place: Path) -> Iterator[bool]:
    """Whether nobody reads the run; while that is so, those who want to wait."""
    with _attendance(place) as number:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def _attendance(place: Path) -> Iterator[int]:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = os.open(place / "attendance", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield number
    finally:
        os.close(number)


def _errand(row: dict[str, object]) -> Errand:
    device = dict(row["device"])  # type: ignore[call-overload]
    device["jump"] = tuple(Endpoint(**hop) for hop in device["jump"])
    device["tags"] = tuple(device["tags"])
    fetch = tuple(Fetch(**each) for each in row["fetch"])  # type: ignore[attr-defined]
    secrets = tuple(row.get("secrets", ()))  # type: ignore[arg-type, var-annotated]
    return Errand(**{**row, "device": Device(**device), "fetch": fetch, "secrets": secrets})  # type: ignore[arg-type]
