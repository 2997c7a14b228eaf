"""A script of ours at work under any shell: started as a plain process, spoken to over its pipes."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fleet_tasks import scripts
from fleet_tasks.frames import Frame, Frames
from tests.bench import PATIENCE, TIDY, gone, processes

#: What may stand behind the name ``sh`` on a device.
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "ash"]}


@dataclass(frozen=True)
class Ended:
    """How it went: what the supervisor said, and what the task wrote."""

    status: int
    why: str
    left: tuple[str, ...]
    stdout: bytes
    stderr: bytes
    seconds: float


@dataclass
class Supervised:
    """One dispatch script, told what to do; ``mark`` stands in the environment of all that the task starts."""

    task: str
    timeout: int = 60
    ticks: int = 2
    values: Mapping[str, object] = field(default_factory=dict)
    exported: Mapping[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    deaf: bool = False

    def __post_init__(self) -> None:
        self.id = secrets.token_hex(6)
        self.stdout, self.stderr = bytearray(), bytearray()
        self.frames: list[Frame] = []
        self._news = threading.Condition()

    @property
    def script(self) -> scripts.Script:
        """The stream, as a dispatch of the shell agent sends it."""
        own = {
            "id": self.id,
            "task": self.task,
            "script": 'exec sh "$FLEET_TASK_FILE"',
            "timeout": self.timeout,
            "ticks": self.ticks,
            "mark": self.mark,
        }
        empty = dict.fromkeys("home run keep plain at agent sends fetches detach lease stdin".split(), "")
        parts = ("prelude", "supervisor", "files", "dispatch")
        return scripts.build("dispatch", parts, {**empty, **own, **self.values}, self.exported)

    def start(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> Supervised:
        """Starts ``command``, which must run an ``sh -s``, and sends it the script."""
        script = self.script
        self._begun = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, script.nonce, error), daemon=True)
            for stream, error in ((self.process.stdout, False), (self.process.stderr, True))
        ]
        self.send(script.text)
        if not self.deaf:
            self.listen()
        return self

    def listen(self) -> None:
        """Begins to read, where that was put off."""
        for reader in self._readers:
            reader.start()

    def send(self, data: bytes) -> None:
        """Bytes to the script."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hang_up(self) -> None:
        """What a script sees when the laptop is gone."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Waits until ``condition`` holds, which is looked at whenever something comes."""
        with self._news:
            assert self._news.wait_for(condition, PATIENCE), f"{what} never came: {self}"

    def until_said(self, text: bytes) -> None:
        """Waits until the task's standard output holds ``text``."""
        self.until(lambda: text in self.stdout, repr(text))

    def frame(self, word: str) -> Frame | None:
        """The frame with that word, once it came."""
        return next((frame for frame in self.frames if frame.word == word), None)

    def end(self, seconds: float = PATIENCE) -> Ended:
        """How it ended, once it has."""
        self.process.wait(seconds)
        took = time.monotonic() - self._begun
        for reader in self._readers:
            reader.join(seconds)
        self.hang_up()
        said = self.frame("exit")
        assert said is not None, self
        status, why, *left = said.parts
        return Ended(int(status), why, tuple(left), bytes(self.stdout), bytes(self.stderr), took)

    def nothing_left(self, seconds: float = TIDY) -> bool:
        """Whether all that the task started ends within so many seconds."""
        return gone(self.mark, seconds)

    def alive(self) -> int:
        """How many processes of the task there are."""
        return len(processes(self.mark))

    def close(self) -> None:
        """Ends what a failed test left."""
        self.hang_up()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            if reader.ident is not None:
                reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        for process in processes(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, 9)

    def _read(self, stream: IO[bytes], nonce: bytes, error: bool) -> None:
        frames = Frames(nonce)
        while data := os.read(stream.fileno(), 65536):
            with self._news:
                for item in frames.feed(data):
                    self._take(item, error)
                self._news.notify_all()

    def _take(self, item: bytes | Frame, error: bool) -> None:
        if isinstance(item, Frame):
            self.frames.append(item)
        elif error:
            self.stderr += item
        else:
            self.stdout += item


@contextlib.contextmanager
def supervised(
    task: str, command: Sequence[str], env: Mapping[str, str] | None = None, **more: object
) -> Iterator[Supervised]:
    """A Supervised that was started, and is ended with the block whatever happens in it."""
    work = Supervised(task, **more)  # type: ignore[arg-type]
    try:
        yield work.start(command, env)
    finally:
        work.close()


def folder_of(work: Supervised, above: Path) -> Path:
    """Where the run's folder is while it is there."""
    return above / f"fleet-tasks-{work.id}"
