"""Runs of the real program that go on while a test looks at them, and what of them is on the devices."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from fleet_tasks.history import History, folder
from fleet_tasks.results import Report
from tests import warm
from tests.bench import PATIENCE, Bench
from tests.program import Said, fleet

ONE, TWO = f"one-{os.getpid()}", f"two-{os.getpid()}"
"""Names that no other process of tests uses: devices of all benches share this machine's temporary folder."""


class Going:
    """A command at work, started with pipes that are read as it goes."""

    def __init__(self, bench: Bench, *words: str, cwd: Path | None = None, **variables: str) -> None:
        self.process = warm.start(words, bench.environment(**variables), cwd or bench.home)
        self._said = {"out": b"", "err": b""}
        self._news = threading.Condition()
        streams = {"out": self.process.stdout, "err": self.process.stderr}
        self._readers = [threading.Thread(target=self._read, args=each, daemon=True) for each in streams.items()]
        for reader in self._readers:
            reader.start()

    @property
    def stdout(self) -> str:
        """What it said so far."""
        return self._said["out"].decode()

    @property
    def stderr(self) -> str:
        """What it said on standard error so far."""
        return self._said["err"].decode()

    def until(self, text: str) -> None:
        """Waits until one of its streams holds ``text``."""
        with self._news:
            heard = self._news.wait_for(lambda: text in self.stdout or text in self.stderr, PATIENCE)
        assert heard, f"{text!r} never came: {self.stdout!r} {self.stderr!r}"

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def end(self, seconds: float = PATIENCE) -> Said:
        """How it ended, once it has."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        return Said(code, self.stdout, self.stderr)

    def close(self) -> None:
        """Ends what a failed test left."""
        self.process.kill()
        self.process.wait()
        for reader, stream in zip(self._readers, (self.process.stdout, self.process.stderr), strict=True):
            reader.join(PATIENCE)
            assert stream is not None
            stream.close()

    def _read(self, name: str, stream: object) -> None:
        while data := os.read(stream.fileno(), 65536):  # type: ignore[attr-defined]
            with self._news:
                self._said[name] += data
                self._news.notify_all()


@contextlib.contextmanager
def going(bench: Bench, *words: str, cwd: Path | None = None, **variables: str) -> Iterator[Going]:
    """``fleet WORDS`` at work for the length of the block."""
    work = Going(bench, *words, cwd=cwd, **variables)
    try:
        yield work
    finally:
        work.close()


def detach(bench: Bench, task: str, *words: str, devices: str = ONE) -> str:
    """Starts a detached run of the shell agent; its id."""
    said = fleet(bench, "run", "-d", devices, "--task", task, "--detach", *words)
    assert said.code == 0, said
    return said.stdout.strip()


def folders(run: str = "") -> list[Path]:
    """The folders of a run, or of any, on the bench's devices, which share this machine's temporary folder."""
    return list(Path(tempfile.gettempdir()).glob(f"fleet-tasks-{run}*"))


def folder_of(run: str) -> Path:
    """The one folder of a run."""
    (found,) = folders(run)
    return found


def remembered(run: str) -> Report:
    """The run as history knows it."""
    history = History.open(folder())
    try:
        return history.load(run)
    finally:
        history.close()
