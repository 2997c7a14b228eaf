"""Disks of a device's own: a home or a temporary folder that is read-only, full, or from which nothing may be run.

    deck = bench.device("deck")
    with mounted(deck, "home", "noexec") as disk:
        ...                                                 # sessions of deck see it so, nobody else does
        assert disk.left() == []

Every session gets mounts of its own (Linux, as root of a user namespace), so nothing on this machine changes. A disk is
the folder that it always was, with other rights; a full one is an empty disk of a few pages (a filled one takes names,
and not a byte; a small one becomes full by what is put there), gone with the session, of which ``left`` tells what was
on it at the session's end.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench.fleet import BenchDevice

_KINDS = {
    "noexec": "mount --bind {at} {at} && mount -o remount,bind,noexec {at}",
    "read-only": "mount --bind {at} {at} && mount -o remount,bind,ro {at}",
    "full": "mount -t tmpfs -o size=8k,mode=700 tmpfs {at}",
    "small": "mount -t tmpfs -o size=64k,mode=700 tmpfs {at}",
    "filled": "mount -t tmpfs -o size=4k,mode=700 tmpfs {at} && (echo >{at}/filler)",
}
_LOGIN = """\
#!/bin/sh
[ "$1" = inside ] || exec {unshare} "$0" inside
{mount} >&2 || exit 99
{login}
status=$?
find {at} ! -path {at} >>{left}
exit "$status"
"""


@dataclass(frozen=True)
class Disk:
    """The folder, and where what was on it is written down."""

    at: Path
    notes: Path

    def left(self) -> list[str]:
        """Everything that was there when a session ended, whichever, and what is there now."""
        noted = self.notes.read_text().splitlines() if self.notes.exists() else []
        return sorted({*noted, *(str(each) for each in self.at.rglob("*"))})


@contextlib.contextmanager
def mounted(device: BenchDevice, at: Path, kind: str) -> Iterator[Disk]:
    """Within it, sessions of the device find a disk of that kind at the folder ``at``."""
    login, own = device.seat.login, device.seat.login.with_suffix(".own")
    disk = Disk(at, login.with_suffix(".left"))
    login.rename(own)
    values = {"at": shlex.quote(str(at)), "left": shlex.quote(str(disk.notes)), "login": shlex.quote(str(own))}
    mount = _KINDS[kind].format(**values)
    login.write_text(_LOGIN.format(unshare=shlex.join(_unshare()), mount=mount, **values))
    login.chmod(0o755)
    try:
        yield disk
    finally:
        own.rename(login)
        disk.notes.unlink(missing_ok=True)


@cache
def _unshare() -> tuple[str, ...]:
    """The words that give a command mounts of its own; raises PermissionError where nobody may have that."""
    for words in (("unshare", "-rm"), ("sudo", "-n", "-E", "unshare", "-m")):
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    raise PermissionError("Mounts of one's own need user namespaces (unshare -rm), or sudo without a password.")
