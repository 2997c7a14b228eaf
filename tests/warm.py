"""The program without its start: a process that has loaded it becomes it, which spares most tests a third of a second.

It is a process of its own as ever, with its own arguments, environment, folder and streams; only in /proc it goes by
the name and the environment of the one it came from. Tests of the start itself begin with ``sys.executable``.

Run as a program this is the process that is loaded; it listens at the socket that it is given until its standard
input ends.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fleet_tasks

ROOT = Path(__file__).parents[1]
FIXED = ("PYTHON", "LANG", "LC_")
"""Beginnings of the names that Python looks at when it starts: with other values it has to."""
LEFT_OUT = ("__main__", "demo", "embedded", "testing")
"""Modules that are loaded when they are asked for, as few have a use for them."""


def run(words: tuple[str, ...], env: Mapping[str, str], cwd: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    """``fleet WORDS`` as subprocess.run would do it, with nothing on standard input; raises TimeoutExpired."""
    command = [sys.executable, "-m", "fleet_tasks", *words]
    # On macOS a process that was forked may not use all that it has loaded.
    if sys.platform == "darwin" or _fixed(env) != _fixed(_own()):
        nothing = subprocess.DEVNULL
        return subprocess.run(command, env=env, cwd=cwd, stdin=nothing, capture_output=True, text=True, timeout=seconds)
    with socket.socket(socket.AF_UNIX) as attendant:
        attendant.connect(_loaded())
        out, err = _Reader(), _Reader()
        socket.send_fds(attendant, [b"."], [out.end, err.end])
        attendant.sendall(json.dumps({"words": words, "env": dict(env), "cwd": str(cwd)}).encode() + b"\n")
        told = attendant.makefile("rb")
        pid = int(told.readline())
        out.start()
        err.start()
        attendant.settimeout(seconds)
        try:
            code = int(told.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, seconds, out.said(), err.said()) from None
        return subprocess.CompletedProcess(command, code, out.said().decode(), err.said().decode())


class _Reader(threading.Thread):
    """Reads a pipe to its end; ``end`` is the other one's, closed here once this begins."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stream, self.end = os.pipe()
        self._said = b""

    def start(self) -> None:
        os.close(self.end)
        super().start()

    def run(self) -> None:
        with os.fdopen(self._stream, "rb") as stream:
            self._said = stream.read()

    def said(self) -> bytes:
        """All of it, when everybody who could write has gone."""
        self.join()
        return self._said


def _own() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _fixed(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(FIXED)}


@cache
def _loaded() -> str:
    """The socket of this process's own; who listens there ends with this process."""
    place = str(Path(tempfile.mkdtemp(prefix="warm-")) / "socket")
    command = [sys.executable, "-m", "tests.warm", place]
    program = subprocess.Popen(command, env=_own(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdin is not None and program.stdout is not None
    assert program.stdout.readline() == b"listening\n"
    program.stdout.close()
    atexit.register(program.wait)
    atexit.register(program.stdin.close)
    return place


# -- the process that is loaded --------------------------------------------------------------


def _serve(place: str) -> dict[str, Any] | None:
    """What the process is to become that returns from here; None for the one that was loaded, at its end."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        for attendant in _callers(listener):
            with attendant:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    return _attend(attendant)
    return None


def _callers(listener: socket.socket) -> Iterator[socket.socket]:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        yield listener.accept()[0]


def _attend(attendant: socket.socket) -> dict[str, Any]:
    """Waits for the process that returns from here, and tells how it ended."""
    _, streams, _, _ = socket.recv_fds(attendant, 1, 2)
    asked = attendant.makefile("rb").readline()
    pid = os.fork()
    if pid == 0:
        for number, stream in enumerate((os.open(os.devnull, os.O_RDONLY), *streams)):
            os.dup2(stream, number)
            os.close(stream)
        order: dict[str, Any] = json.loads(asked)
        return order
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(BrokenPipeError):  # nobody waits any more
        attendant.sendall(b"%d\n" % pid)
        attendant.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _become(words: list[str], env: dict[str, str], cwd: str) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[0] = cwd
    sys.argv = [str(ROOT / "fleet_tasks" / "__main__.py"), *words]
    importlib.import_module("fleet_tasks.__main__").main()


def _load() -> None:
    for found in pkgutil.walk_packages(fleet_tasks.__path__, "fleet_tasks."):
        if found.name.split(".")[1] not in LEFT_OUT:
            importlib.import_module(found.name)
    # Or each process, at its end, would look at all of it once more for garbage, and copy it for that: it takes four
    # times as long as most commands do.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _load()
    given = _serve(sys.argv[1])
    if given is not None:
        _become(**given)
