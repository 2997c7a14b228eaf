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
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import fleet_tasks

ROOT = Path(__file__).parents[1]
FIXED = ("PYTHON", "LANG", "LC_")
"""Beginnings of the names that Python looks at when it starts: with other values it has to."""
LEFT_OUT = ("__main__", "demo", "embedded", "testing")
"""Modules that are loaded when they are asked for, as few have a use for them."""


class Program:
    """A command at work in a process that was loaded: what tests use of subprocess.Popen."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: IO[Any] | None) -> None:
        self.args = ["fleet", *words]
        self.returncode: int | None = None
        self._attendant = socket.socket(socket.AF_UNIX)
        self._attendant.connect(_loaded())
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        with Path(os.devnull).open() as nothing:
            socket.send_fds(self._attendant, [b"."], [(stdin or nothing).fileno(), its_out, its_err])
        os.close(its_out)
        os.close(its_err)
        self.stdout, self.stderr = os.fdopen(out, "rb"), os.fdopen(err, "rb")
        self._said = {self.stdout: bytearray(), self.stderr: bytearray()}
        self._attendant.sendall(json.dumps({"words": words, "env": dict(env), "cwd": str(cwd)}).encode() + b"\n")
        self.pid = self._told()

    def _told(self) -> int:
        line = b""
        while not line.endswith(b"\n"):
            if not (more := self._attendant.recv(1)):
                raise ConnectionError("Who attends the program was killed.")
            line += more
        return int(line)

    def poll(self) -> int | None:
        """Its exit code, as a negative number that of the signal that ended it; None while it goes on."""
        if self.returncode is None and select.select([self._attendant], [], [], 0)[0]:
            self.returncode = self._told()
            self._attendant.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has one; raises TimeoutExpired after so many seconds."""
        if self.returncode is None and not select.select([self._attendant], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """A signal, if it still goes on."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    def kill(self) -> None:
        """The signal that nobody can catch."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """All that it said, when everybody who could write has gone; raises TimeoutExpired after so many seconds."""
        over = None if timeout is None else time.monotonic() + timeout
        while listening := [stream for stream in self._said if not stream.closed]:
            left = None if over is None else max(over - time.monotonic(), 0)
            ready = select.select(listening, [], [], left)[0]
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            for stream in ready:
                data = os.read(stream.fileno(), 65536)
                self._said[stream] += data
                if not data:
                    stream.close()
        self.wait(None if over is None else max(over - time.monotonic(), 0))
        return bytes(self._said[self.stdout]), bytes(self._said[self.stderr])


Started = Program | subprocess.Popen[bytes]


def start(
    words: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: IO[Any] | None = None, python: str = ""
) -> Started:
    """``fleet WORDS`` at work, its output in pipes; with nothing on its standard input unless there is a stream for it.

    With a ``python`` of its own it is started anew: what was loaded is more than it needs, which its memory shows.
    """
    # On macOS a process that was forked may not use all that it has loaded.
    if python or sys.platform == "darwin" or _fixed(env) != _fixed(_own()):
        command = [python or sys.executable, "-m", "fleet_tasks", *words]
        given, pipe = subprocess.DEVNULL if stdin is None else stdin, subprocess.PIPE
        return subprocess.Popen(command, env=env, cwd=cwd, stdin=given, stdout=pipe, stderr=pipe)
    return Program(words, env, cwd, stdin)


def run(
    words: Sequence[str], env: Mapping[str, str], cwd: Path, seconds: float, stdin: IO[Any] | None = None
) -> subprocess.CompletedProcess[str]:
    """``fleet WORDS`` as subprocess.run would do it; raises TimeoutExpired."""
    program = start(words, env, cwd, stdin)
    try:
        out, err = program.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        raise
    assert program.returncode is not None
    return subprocess.CompletedProcess(program.args, program.returncode, out.decode(), err.decode())


def script() -> str:
    """What a program called ``fleet`` may hold, for a PATH: it gives its streams to a process that was loaded."""
    if sys.platform == "darwin":
        return f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fleet_tasks "$@"\n'
    return f"#!{sys.executable} -IS\nPLACE = {_loaded()!r}\n{_SCRIPT}"


_SCRIPT = """
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as attendant:
    attendant.connect(PLACE)
    socket.send_fds(attendant, [b"."], [0, 1, 2])
    order = {"words": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}
    attendant.sendall(json.dumps(order).encode() + b"\\n")
    _pid, code = map(int, attendant.makefile("rb").read().split())
sys.exit(code if code >= 0 else 128 - code)
"""


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
    _, streams, _, _ = socket.recv_fds(attendant, 1, 3)
    asked = attendant.makefile("rb").readline()
    pid = os.fork()
    if pid == 0:
        for number, stream in enumerate(streams):
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
