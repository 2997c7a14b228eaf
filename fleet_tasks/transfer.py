"""Files and folders across a conversation: archives out, archives and single files in, digests compared.

The device is not trusted: what it sends is only ever written below the folder meant for it. Links, devices and
sparse tricks are passed over and named; modes are kept without setuid, setgid and sticky bits.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fleet_tasks.errors import ChecksumMismatch, RequestError
from fleet_tasks.jobs import Send
from fleet_tasks.record import record

log = logging.getLogger(__name__)

PIECE = 1 << 18
"""Bytes sent at a time: larger writes spare the SSH server wake-ups."""
MODES = 0o777


@record
class Outgoing:
    """One entry of what is sent: a local file or folder and its name on the device, ``/`` between parts."""

    path: Path
    name: str
    folder: bool
    mode: int
    size: int = 0


@dataclass
class Manifest:
    """Digests of what was sent, by name, for comparison with the device's own."""

    digests: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    def add(self, entry: Outgoing, digest: str) -> None:
        """Notes a file that was sent."""
        self.digests[entry.name] = digest
        self.sizes[entry.name] = entry.size
        self.paths[entry.name] = entry.path


def sends(texts: Iterable[str]) -> tuple[Send, ...]:
    """``LOCAL[=NAME]`` words as records; raises RequestError for what is not there or would leave the folder."""
    found = []
    for text in texts:
        local, name = text, ""
        if not Path(text).expanduser().exists() and "=" in text:
            local, _, name = text.rpartition("=")
        path = Path(local).expanduser()
        if not path.is_file() and not path.is_dir():
            raise RequestError(f"There is no file or folder {local!r} to send.")
        name = name or path.resolve().name
        if name.startswith("/") or ".." in name.split("/") or not name.strip("./"):
            raise RequestError(f"The name {name!r} for {local!r} would leave the task's folder.")
        found.append(Send(str(path), name))
    apart(found)
    return tuple(found)


def apart(items: Iterable[Send]) -> None:
    """Raises RequestError where two of them would be one on the device."""
    known: dict[PurePosixPath, Send] = {}
    for item in items:
        first = known.setdefault(PurePosixPath(item.name), item)
        if first.local != item.local:
            both = f"{first.local!r} and {item.local!r} would both be {item.name!r} on the device"
            raise RequestError(f"{both}: call one of them something else, {item.local}=NAME.")


def survey(items: Iterable[Send], below: str = "") -> Iterator[Outgoing]:
    """Every file and folder to be sent, folders before what is in them; links are followed at the top only."""
    for item in items:
        top = Path(item.local)
        name = f"{below}{item.name}"
        parts = name.split("/")
        for depth in range(1, len(parts)):
            yield Outgoing(top, "/".join(parts[:depth]), folder=True, mode=0o755)
        yield from _walk(top, name)


def _walk(path: Path, name: str) -> Iterator[Outgoing]:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        yield Outgoing(path, name, folder=True, mode=status.st_mode & MODES)
        for child in sorted(path.iterdir()):
            kind = child.lstat().st_mode
            if stat.S_ISDIR(kind) or stat.S_ISREG(kind):
                yield from _walk(child, f"{name}/{child.name}")
            else:
                log.warning("passed over %s: a link or a special file.", child)
    elif stat.S_ISREG(status.st_mode):
        yield Outgoing(path, name, folder=False, mode=status.st_mode & MODES, size=status.st_size)


def archive(
    entries: Iterable[Outgoing],
    send: Callable[[bytes], None],
    manifest: Manifest,
    notify: Callable[[bytes], None] = lambda line: None,
) -> None:
    """Streams a tar archive of ``entries`` through ``send``, noting digests; ``notify`` hears how far it is."""
    pipe = _Pieces(send)
    with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.GNU_FORMAT, encoding="utf-8", bufsize=PIECE) as tar:
        for entry in entries:
            info = tarfile.TarInfo(f"./{entry.name}")
            info.mode = entry.mode
            if entry.folder:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
                continue
            info.size = entry.size
            info.mtime = int(entry.path.stat().st_mtime)
            with entry.path.open("rb") as source:
                digest = Digesting(source, entry, notify)
                tar.addfile(info, digest)
            manifest.add(entry, digest.hexdigest)
    pipe.flush()


class Digesting:
    """A readable that hashes what passes through it, and tells ``notify`` of every further piece."""

    def __init__(self, source: io.BufferedReader, entry: Outgoing, notify: Callable[[bytes], None]) -> None:
        self._source = source
        self._entry = entry
        self._notify = notify
        self._taken = 0
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        data = self._source.read(size)
        self._hash.update(data)
        before, self._taken = self._taken, self._taken + len(data)
        if before // PIECE != self._taken // PIECE:
            self._notify(b"%s: %d of %d bytes" % (os.fsencode(self._entry.name), self._taken, self._entry.size))
        return data

    @property
    def hexdigest(self) -> str:
        """SHA-256 of what was read so far."""
        return self._hash.hexdigest()


class _Pieces(io.RawIOBase):
    """A writable that joins small writes into large ones."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._held += piece
        if len(self._held) >= PIECE:
            self.flush()
        return len(piece)

    def flush(self) -> None:
        held, self._held = bytes(self._held), bytearray()
        if held:
            self._send(held)


def compare(manifest: Manifest, found: Mapping[bytes, bytes], style: str) -> None:
    """Raises ChecksumMismatch unless the device's digests (or sizes) are those of what was sent."""
    for name in sorted(manifest.digests.keys() - same(manifest, found, style)):
        raise ChecksumMismatch(f"{name} did not arrive as it was sent.")


def same(manifest: Manifest, found: Mapping[bytes, bytes], style: str) -> set[str]:
    """The names of the files that the device has as they are here."""
    told = {name: found.get(os.fsencode(f"./{name}")) for name in manifest.digests}
    if style == "sizes":
        return {name for name, size in manifest.sizes.items() if told[name] == b"%d" % size}
    return {name for name, digest in manifest.digests.items() if told[name] == digest.encode()}


def digests(said: bytes) -> dict[bytes, bytes]:
    """The digest (or size) of each file, by name, from what sha256sum, shasum, openssl -r or our script wrote.

    They mark a line in which a name's newlines and backslashes are escaped by a backslash in front; those that do not
    escape let the name go on in the next line.
    """
    found: dict[bytes, bytes] = {}
    name = b""
    for line in said.split(b"\n")[:-1]:
        entry = _DIGEST.fullmatch(line)
        if entry is None:
            digest = found.pop(name, b"")
            name += b"\n" + line
        else:
            digest, name = entry["digest"], entry["name"]
            if entry["escaped"]:
                name = _ESCAPE.sub(lambda letter: _ESCAPED.get(letter[1], letter[1]), name)
        found[name] = digest
    return found


_DIGEST = re.compile(rb"(?P<escaped>\\?)(?P<digest>[0-9a-f]{64}|[0-9]+) [ *]?(?P<name>\./.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r"}


def want_writable(folder: str) -> None:
    """Raises RequestError for a folder that files could not be brought into: after the work it is too late to hear."""
    there = Path(folder).absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise RequestError(f"--into {folder}: {there} is no folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RequestError(f"--into {folder}: nothing may be written in {there}.")
