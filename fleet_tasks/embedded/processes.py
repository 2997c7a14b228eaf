"""What runs in the homes of embedded devices, told by its HOME, and ending it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_PATIENCE = 2.0  # seconds between asking and insisting


def end_all(homes: Iterable[Path], groups: Iterable[int] = ()) -> None:
    """End every process whose HOME is one of these folders, and these process groups: TERM, a while, KILL."""
    folders, groups = frozenset(map(str, homes)), tuple(groups)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        for pid in _living(folders):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        _wait(folders)


def _wait(folders: frozenset[str]) -> None:
    # They are no children of ours: nobody tells when they end.
    until = time.monotonic() + _PATIENCE
    while any(_living(folders)) and time.monotonic() < until:
        time.sleep(0.05)


def _living(folders: frozenset[str]) -> Iterator[int]:
    wanted = {f"HOME={folder}" for folder in folders}
    return (pid for pid, words in _environments() if not wanted.isdisjoint(words))


def _environments() -> Iterator[tuple[int, list[str]]]:
    """The environment of each process that we may look into; a zombie has none."""
    if not Path("/proc/self/environ").exists():
        yield from _listed()
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), os.fsdecode((entry / "environ").read_bytes()).split("\0")


def _listed() -> Iterator[tuple[int, list[str]]]:
    """The same where there is no /proc: ps, which writes environments behind the commands."""
    listed = subprocess.run(["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        pid, *words = line.split()
        yield int(pid), words
