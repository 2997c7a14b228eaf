"""Carries out a session's command as OpenSSH's sshd does: a process in the device's home, joined by three pipes.

When the client hangs up the pipes close, and the process is left to itself: it may find out and end, or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import asyncssh

_BLOCK = 65536
_LETTING_GO = 10.0  # seconds
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Session = asyncssh.SSHServerProcess[bytes]


class Commands:
    """What sessions run, on any device; a process is known here until it ends, whoever still talks to it."""

    def __init__(self) -> None:
        self._running: dict[int, asyncio.Task[int]] = {}

    @property
    def groups(self) -> tuple[int, ...]:
        """The process groups of the commands that have not ended."""
        return tuple(self._running)

    async def over(self) -> None:
        """Wait for the commands that were told to end: asyncio lets go of a process in its own time."""
        if self._running:
            await asyncio.wait(tuple(self._running.values()), timeout=_LETTING_GO)

    async def run(self, session: Session, home: Path) -> None:
        """Run what the session asks for, a login shell when it asks for nothing, and send back how it ended."""
        with ExitStack() as ours:
            with ExitStack() as theirs:
                stdin, feed = await _inlet(theirs, ours)
                stdout, out = await _outlet(theirs, ours)
                stderr, err = await _outlet(theirs, ours)
                pid, ended = await self._start(session, home, (stdin, stdout, stderr))
            helpers = (asyncio.create_task(_feed(session, feed, pid)), asyncio.create_task(_hang_up(session, ours)))
            try:
                await asyncio.gather(_carry(out, session.stdout), _carry(err, session.stderr))
                _report(session, await asyncio.shield(ended))
            finally:
                for helper in helpers:
                    helper.cancel()

    async def _start(self, session: Session, home: Path, ends: tuple[int, int, int]) -> tuple[int, asyncio.Task[int]]:
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            *(["-l"] if session.command is None else ["-c", session.command]),
            stdin=ends[0],
            stdout=ends[1],
            stderr=ends[2],
            cwd=home,
            env=_environment(session, home),
            start_new_session=True,
        )
        # This task outlives the session, for asyncio kills a process that is forgotten.
        ended = self._running[child.pid] = asyncio.create_task(child.wait())
        ended.add_done_callback(lambda _: self._running.pop(child.pid))
        return child.pid, ended


def _environment(session: Session, home: Path) -> dict[str, str]:
    """What sshd gives a session, and nothing of what this program was started with."""
    user = str(session.get_extra_info("username"))
    client, server = session.get_extra_info("peername"), session.get_extra_info("sockname")
    ends = {
        "SSH_CLIENT": f"{client[0]} {client[1]} {server[1]}",
        "SSH_CONNECTION": f"{client[0]} {client[1]} {server[0]} {server[1]}",
    }
    own = {"HOME": str(home), "TMPDIR": str(temporary(home)), "PATH": _PATH}
    return {**own, "USER": user, "LOGNAME": user, "SHELL": "/bin/sh", **ends}


def temporary(home: Path) -> Path:
    """The folder for temporary files of the device whose home this is: beside it, so that it goes with the fleet."""
    return home.with_name(f"{home.name}.tmp")


async def _inlet(theirs: ExitStack, ours: ExitStack) -> tuple[int, asyncio.StreamWriter]:
    """A pipe into a command: its end to read from, ours to write to."""
    end, our_end = os.pipe()
    theirs.callback(os.close, end)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(our_end, "wb", 0)
    )
    ours.callback(_abort, transport)
    return end, asyncio.StreamWriter(transport, protocol, None, loop)


def _abort(transport: asyncio.WriteTransport) -> None:
    """Close without waiting for the command to read the rest; what is closed already may not be told so twice."""
    if transport.get_write_buffer_size() or not transport.is_closing():
        transport.abort()


async def _outlet(theirs: ExitStack, ours: ExitStack) -> tuple[int, asyncio.StreamReader]:
    """A pipe out of a command: its end to write to, ours to read from."""
    our_end, end = os.pipe()
    theirs.callback(os.close, end)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(our_end, "rb", 0)
    )
    ours.callback(transport.close)
    return end, reader


async def _feed(session: Session, sink: asyncio.StreamWriter, pid: int) -> None:
    """Pass on what the client writes, and the signals it sends, until it has no more to say."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            try:
                data = await session.stdin.read(_BLOCK)
            except asyncssh.SignalReceived as asked:
                _signal(pid, asked.signal)
            except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
                continue
            else:
                if not data:
                    break
                sink.write(data)
                await sink.drain()
    sink.close()


async def _carry(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    """Pass output on no faster than the client takes it."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(_BLOCK):
            sink.write(data)
            await sink.drain()


async def _hang_up(session: Session, ours: ExitStack) -> None:
    """Close the pipes once the client is gone: the command reads the end, and finds no reader."""
    await session.channel.wait_closed()
    ours.close()


def _signal(pid: int, name: str) -> None:
    number = getattr(signal, f"SIG{name}", None)
    if isinstance(number, signal.Signals):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


def _report(session: Session, code: int) -> None:
    if code < 0:
        session.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        session.exit(code)
