"""A stream kept within bounds: the beginning in memory, the whole in a file once it grows beyond that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from fleet_tasks.secrets import Scrubber

INLINE = 1 << 20
"""Bytes of each stream that a result carries itself."""


class Capture:
    """Collects one stream of one task, scrubbed; ``file`` is written only when it is longer than INLINE."""

    def __init__(self, file: Path, scrubber: Scrubber) -> None:
        self._path = file
        self._scrubber = scrubber.stream()
        self._pieces: list[bytes] = []
        self._size = 0
        self._out: BinaryIO | None = None
        self.last_line = b""

    def add(self, data: bytes) -> bytes:
        """Takes the next bytes of the stream; returns what of it is known to hold no secret."""
        clean = self._scrubber.feed(data)
        self._keep(clean)
        return clean

    def finish(self) -> bytes:
        """The stream's beginning, at most INLINE bytes, once nothing more comes."""
        self._keep(self._scrubber.rest())
        if self._out is not None:
            self._out.close()
        return b"".join(self._pieces)

    @property
    def truncated(self) -> bool:
        """Whether there is more than ``finish`` returns."""
        return self._out is not None

    @property
    def path(self) -> str | None:
        """The file that holds the whole stream, when ``finish`` does not."""
        return str(self._path) if self._out is not None else None

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self.last_line = _last_line(self.last_line, data)
        room = INLINE - self._size
        if self._out is None and len(data) > room:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._out = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
            for piece in self._pieces:
                self._out.write(piece)
        if self._out is not None:
            self._out.write(data)
        if room > 0:
            self._pieces.append(data[:room])
            self._size += len(data[:room])


def _last_line(before: bytes, data: bytes) -> bytes:
    """The last line that is not empty, at most 200 bytes, for people who watch."""
    lines = data[-400:].rsplit(b"\n", 2)
    for line in reversed(lines):
        if line.strip():
            return line[-200:]
    return before
