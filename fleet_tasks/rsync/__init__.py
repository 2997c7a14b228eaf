"""rsync over a connection that is open already: it starts no ssh, and no second login.

What it starts in place of ssh (``relay.sh``) tells us the command line for the other side, which remote/rsync.sh runs
there, on a channel that carries nothing else. rsync(1), options -e and --server.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import IO

from fleet_tasks.conversation import Conversation
from fleet_tasks.errors import DeviceError
from fleet_tasks.frames import Frame

OPTIONS = (
    "--recursive", "--copy-links", "--checksum", "--compress", "--delete", "--perms", "--chmod=D755,Fu+rw,Fgo-w",
)  # fmt: skip
"""The tree that is sent is one of links to the files; times say nothing, as what comes out of an archive is new."""
HANDED_ON = 'exec "$@" 8<&0 9>&1 </dev/null >/dev/null'
"""Gives rsync and what it starts our ends of the pipes by numbers that every shell can name."""
PIECE = 1 << 14
STUCK = 60.0
"""Seconds in which nothing moves, after which rsync is given up."""
LEAVING = 10.0
"""Seconds rsync has to end once the other side did."""

log = logging.getLogger(__name__)


def here() -> bool:
    """Whether this machine has rsync."""
    return shutil.which("rsync") is not None


@contextmanager
def sending(tree: Mapping[str, Path]) -> Iterator[Sender]:
    """rsync at work on the files of ``tree``, by the names they are to get; ended, at the latest, with the block."""
    with tempfile.TemporaryDirectory(prefix="fleet-rsync-") as folder:
        top = Path(folder)
        (top / "relay.sh").write_bytes((files(__package__) / "relay.sh").read_bytes())
        for name, path in tree.items():
            link = top / "tree" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        command = ("sh", "-c", HANDED_ON, "sh", "rsync", *OPTIONS, "-e", "sh relay.sh", "tree/", "device:.")
        own = {name: value for name, value in os.environ.items() if not name.startswith("RSYNC_")}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=top, env=own,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        ) as program:  # fmt: skip
            try:
                yield Sender(program)
            finally:
                program.kill()


class Sender:
    """One rsync; ``words`` are the command line it wants on the other side.

    There are none when it ended instead: it may not know one of the options.
    """

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        self._program = program
        told = b""
        while b"\n\n" not in told and (piece := _out(program).read(PIECE)):
            told += piece
        self._moved = time.monotonic()
        words, end, self._first = told.partition(b"\n\n")
        self.words = tuple(os.fsdecode(words).split("\n")) if end else ()

    def stop(self) -> None:
        """Ends it; may be called from any thread."""
        self._program.kill()

    def meet(self, talk: Conversation, check: Callable[[], None]) -> bool:
        """Lets it talk to the rsync on the device; returns whether both are content. ``check`` may raise to end it."""
        towards = threading.Thread(target=self._pour, args=(talk,), name="rsync", daemon=True)
        said = b""
        for item in talk.listen(lambda: self._patience(check)):
            self._moved = time.monotonic()
            if isinstance(item, Frame):
                towards.start()
            elif item.error:
                said = (said + item.data)[-1000:]
            elif not _write(self._program, item.data):
                break
        _in(self._program).close()
        try:
            status = self._program.wait(LEAVING)
        except subprocess.TimeoutExpired:
            status = -1
        if status:
            log.debug("%s: rsync ended with %d: %s", talk.device, status, said.decode("utf-8", "replace"))
        return status == 0

    def _patience(self, check: Callable[[], None]) -> float:
        check()
        left = self._moved + STUCK - time.monotonic()
        if left <= 0:
            self.stop()
        return max(1.0, left)

    def _pour(self, talk: Conversation) -> None:
        """Takes to the device what rsync says, and hangs up after its last word."""
        try:
            talk.send(self._first)
            while piece := _out(self._program).read(PIECE):
                talk.send(piece)
                self._moved = time.monotonic()
        except (DeviceError, ValueError):  # the device went, or we gave up
            self.stop()
        talk.close()


def _write(program: subprocess.Popen[bytes], data: bytes) -> bool:
    """Whether rsync took all of it."""
    left = memoryview(data)
    try:
        while left:
            left = left[_in(program).write(left) :]
    except BrokenPipeError:
        return False
    return True


def _in(program: subprocess.Popen[bytes]) -> IO[bytes]:
    assert program.stdin is not None  # it was asked for
    return program.stdin


def _out(program: subprocess.Popen[bytes]) -> IO[bytes]:
    assert program.stdout is not None  # it was asked for
    return program.stdout
