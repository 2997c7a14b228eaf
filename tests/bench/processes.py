"""Which processes there are, found by a text in what is known about them, and ending them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 45.0
"""Seconds that anything may take before a test gives up on it: far more than it does on a busy machine."""
TIDY = 28.0
"""Seconds that a device may take to be quiet again: less than a lease, after which silence alone would end a task."""


@dataclass(frozen=True)
class Process:
    """A live process, as far as this user may look into it."""

    pid: int
    command: str
    environment: str
    folder: str = ""


def processes(marker: str) -> list[Process]:
    """The live processes, this one aside, with the text in command line, environment or current folder."""
    found = _from_proc() if Path("/proc/self/environ").exists() else _from_ps()
    return [p for p in found if p.pid != os.getpid() and marker in f"{p.command}\n{p.environment}\n{p.folder}"]


def gone(marker: str, seconds: float = TIDY) -> bool:
    """Whether every such process ends within so many seconds."""
    until = time.monotonic() + seconds
    while left := processes(marker):
        if time.monotonic() > until:
            sys.stderr.writelines(f"still there after {seconds:g} s: {process}\n" for process in left)
            return False
        time.sleep(0.02)
    return True


def end(pids: Iterable[int], grace: float = 2.0) -> list[int]:
    """Ask processes to end, insist after so many seconds; the ids of those that were there."""
    there = [pid for pid in pids if _signal(pid, signal.SIGTERM)]
    until = time.monotonic() + grace
    left = list(there)
    while left and time.monotonic() < until:
        time.sleep(0.01)
        left = [pid for pid in left if lives(pid)]
    for pid in left:
        _signal(pid, signal.SIGKILL)
    return there


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is not just waiting to be missed."""
    status = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return _signal(pid, 0)
    with contextlib.suppress(OSError):
        return status.read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    return False


def _signal(pid: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
        return True
    return False


def _from_proc() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and lives(int(folder.name)):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (folder / "environ").read_bytes().replace(b"\0", b"\n").decode(errors="replace")
                yield Process(int(folder.name), command, environment, str((folder / "cwd").readlink()))


def _from_ps() -> Iterator[Process]:
    listed = subprocess.run(["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        yield Process(int(pid), command, "")
