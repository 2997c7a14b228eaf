"""Results to show, and streams that remember what they were shown, real terminals included."""

from __future__ import annotations

import io
import os
import pty
import threading
from typing import Any

from fleet_tasks.formats import Streams
from fleet_tasks.ids import new_run
from fleet_tasks.results import Problem, Report, Result, State

STARTED = "2026-01-02T03:04:05Z"


def result(device: str = "lab01", state: State = State.DONE, **values: Any) -> Result:
    """A result with everything that matters little filled in."""
    plain = {"host": f"deck@{device}:22", "action": "dispatch", "agent": "demo", "started": STARTED, "seconds": 0.5}
    return Result(device=device, state=state, **{**plain, **values})


def problem(code: str = "agent-failed", message: str = "It failed.", guidance: str = "Mend it.") -> Problem:
    """Why something failed."""
    return Problem(code, message, guidance)


def report(*results: Result, command: str = "dispatch", **values: Any) -> Report:
    """A run of these results."""
    return Report(new_run(), command, STARTED, 3.21, results, **values)


class Pipes(Streams):
    """Streams as in a pipe; ``shown`` and ``said`` are what went through."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._words = io.BytesIO()
        super().__init__(io.TextIOWrapper(self._bytes, "utf-8"), io.TextIOWrapper(self._words, "utf-8"))

    @property
    def exact(self) -> bytes:
        """The bytes on standard output."""
        return self._bytes.getvalue()

    @property
    def shown(self) -> str:
        """Standard output as text."""
        return self.exact.decode()

    @property
    def said(self) -> str:
        """Standard error as text."""
        return self._words.getvalue().decode()


class Terminal:
    """A pseudo terminal: a text stream to write to, and everything that arrived at its other end."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # how Linux says that the last writer is gone
                return
            if not data:
                return
            self._seen += data

    def close(self) -> str:
        """Hang up and tell what was seen."""
        self.stream.close()
        self._reader.join()
        os.close(self._master)
        return self._seen.decode()
