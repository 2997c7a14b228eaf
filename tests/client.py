"""The program as a process that can be watched, asked to end, and killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests import warm
from tests.bench import PATIENCE, Bench, BenchDevice


@dataclass(frozen=True)
class Gone:
    """How the program ended: ``peak`` is the most memory it held, in bytes (0 where that is not known)."""

    code: int
    stdout: bytes
    stderr: bytes
    peak: int

    @property
    def results(self) -> list[dict[str, Any]]:
        """The entries of the document on standard output."""
        results: list[dict[str, Any]] = json.loads(self.stdout)["results"]
        return results


class Client:
    """``fleet WORDS`` at work in the bench's home."""

    def __init__(self, bench: Bench, words: tuple[str, ...], stdin: bytes | None = None, python: str = "") -> None:
        with tempfile.TemporaryFile() as given:
            given.write(stdin or b"")
            given.seek(0)
            self.process = warm.start(words, bench.environment(), bench.home, given, python)
        self.stdout, self.stderr = bytearray(), bytearray()
        assert self.process.stdout is not None and self.process.stderr is not None
        self._readers = [
            threading.Thread(target=_read, args=(stream, kept), daemon=True)
            for stream, kept in ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def send(self, number: signal.Signals) -> None:
        """A signal, as a terminal or a system sends it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """What cannot be caught."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self, seconds: float = PATIENCE) -> Gone:
        """How it ended, once it has."""
        until = time.monotonic() + seconds
        peak = 0
        while (code := self.process.poll()) is None:
            peak = max(peak, _peak(self.process.pid))
            assert time.monotonic() < until, f"it does not end: {self.stdout!r} {self.stderr!r}"
            time.sleep(0.01)
        for reader in self._readers:
            reader.join(PATIENCE)
        return Gone(code, bytes(self.stdout), bytes(self.stderr), peak)

    def close(self) -> None:
        """Ends what a failed test left."""
        if self.process.returncode is None:
            self.kill()
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@contextlib.contextmanager
def started(bench: Bench, *words: str, stdin: bytes | None = None, python: str = "") -> Iterator[Client]:
    """The program at work; it does not outlive the block."""
    client = Client(bench, words, stdin, python)
    try:
        yield client
    finally:
        client.close()


def entry(device: BenchDevice) -> dict[str, object]:
    """A registry entry for a device that keeps our folders at its home, where a test can look for them."""
    return {**device.entry, "home": str(device.home / "ours")}


def runs_left(device: BenchDevice) -> list[str]:
    """The folders of runs that are still on such a device."""
    ours = device.home / "ours"
    return sorted(found.name for found in ours.glob("*fleet-tasks-*")) if ours.exists() else []


def _peak(pid: int) -> int:
    """The most memory that the process held so far, in bytes; 0 where nobody tells (VmHWM is Linux's: proc(5)).

    What a process that ended held (getrusage) would not do: it counts the memory of the one that started it.
    """
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _read(stream: IO[bytes], kept: bytearray) -> None:
    while data := os.read(stream.fileno(), 65536):
        kept += data
