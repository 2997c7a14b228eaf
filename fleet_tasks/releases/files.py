"""Files that were downloaded: their SHA-256, and the one member of an archive that is wanted.

An archive is a stranger's work. Nothing is taken out of it but the bytes of one plain file; its names, links, modes
and sizes are not believed.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from fleet_tasks.errors import ReleaseUnavailable

BIGGEST = 512 << 20
"""Bytes a program may have."""
MEMBERS = 10_000
"""Members of an archive that are looked at."""
HEADER = 1 << 20
"""Bytes that are read of an archive at a time."""
PIECE = 1 << 18

_TAR: Mapping[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
"""How a packed tar begins, and what unpacks it."""
_ZIP = b"PK\x03\x04"
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError
)  # fmt: skip
"""What says that an archive is none."""
Entry = TypeVar("Entry")
ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
"""What archives are called."""


def digest(path: Path) -> str:
    """A file's SHA-256; raises ReleaseUnavailable when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReleaseUnavailable(f"{path} cannot be read: {error.strerror}.") from error


def text_digest(text: str) -> str:
    """A text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_archive(path: Path, name: str) -> bool:
    """Whether a file is a tar (packed or not) or a zip, by its first bytes; or has to be one, by its name."""
    if name.lower().endswith(ENDINGS):
        return True
    with path.open("rb") as file:
        head = file.read(512)
    return head.startswith((*_TAR, _ZIP)) or head[257:262] == b"ustar"


def copied(path: Path, folder: Path) -> Path:
    """A file as a new one in ``folder``; raises ReleaseUnavailable."""
    place = folder / "copied"
    try:
        with path.open("rb") as source, opened(place) as target:
            while piece := source.read(PIECE):
                write(target, piece)
    except OSError as error:
        raise ReleaseUnavailable(f"{path} cannot be copied: {error.strerror}.") from error
    return place


def opened(path: Path) -> FileIO:
    """A new file without a buffer: so a full disk is heard of where something is written."""
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise unwritable(path, error) from error


def write(file: FileIO, data: bytes) -> None:
    """Writes all of it; raises ReleaseUnavailable with what the disk says, so that nobody takes it for the source's."""
    try:
        while data:
            data = data[file.write(data) :]
    except OSError as error:
        raise unwritable(Path(str(file.name)), error) from error


def unwritable(path: Path, error: OSError) -> ReleaseUnavailable:
    """What the disk says of a place in the cache."""
    guidance = "Free some space, or set FLEET_CACHE to a folder on another disk that may be written."
    return ReleaseUnavailable(f"{path} cannot be written: {error.strerror or error}.", guidance=guidance)


def unpack(archive: Path, member: str, folder: Path, name: str) -> Path:
    """The archive's file called ``member``, wherever in it, as a new file in ``folder``; ``name`` is the archive's own.

    Raises ReleaseUnavailable when there is none, when it is no plain file, too large, or the archive is damaged.
    """
    with archive.open("rb") as file:
        zipped = file.read(4) == _ZIP
    place = folder / "member"
    try:
        with opened(place) as target:
            found = (_from_zip if zipped else _from_tar)(archive, member, target, name)
    except DAMAGED as error:
        reason = str(error).partition("\n")[0].rstrip(":.")
        raise ReleaseUnavailable(f"{name} is a damaged archive: {reason}.") from error
    except OSError as error:
        raise ReleaseUnavailable(f"{name} cannot be unpacked: {error.strerror or error}.") from error
    if not found:
        raise ReleaseUnavailable(f"There is no file {member} in the archive {name}.")
    return place


class _Bounded:
    """An unpacked tar as a file that ends our patience beyond so many bytes, whatever its headers say.

    tarfile reads a header's own data in one go, and all that lies before a member.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name

    def read(self, size: int) -> bytes:
        """As of a file; a piece larger than any header is refused."""
        if size > HEADER:
            raise ReleaseUnavailable(f"{self._name} is a damaged archive: it has a header of {size} bytes.")
        return self._file.read(size)

    def seek(self, position: int) -> int:
        """As of a file."""
        if position > 2 * BIGGEST:
            raise _too_large(self._name)
        return self._file.seek(position)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()


def _from_tar(archive: Path, member: str, target: FileIO, name: str) -> bool:
    with archive.open("rb") as file:
        head = file.read(6)
    opener = next((opener for mark, opener in _TAR.items() if head.startswith(mark)), open)
    with (
        opener(archive, "rb") as unpacked,
        tarfile.open(fileobj=_Bounded(unpacked, name), mode="r:") as tar,  # type: ignore[call-overload]
    ):
        entry = _uppermost(((each.name, each) for each in tar), member)
        if entry is None:
            return False
        source = tar.extractfile(entry) if entry.isreg() else None
        if source is None:
            raise _no_file(name, member)
        _copy(source, target, name)
    return True


def _from_zip(archive: Path, member: str, target: FileIO, name: str) -> bool:
    with zipfile.ZipFile(archive) as packed:
        entry = _uppermost(((each.filename, each) for each in packed.infolist()), member)
        if entry is None:
            return False
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir() or entry.flag_bits & 1 or kind not in (0, stat.S_IFREG):
            raise _no_file(name, member)
        with packed.open(entry) as source:
            _copy(source, target, name)
    return True


def _uppermost(entries: Iterable[tuple[str, Entry]], member: str) -> Entry | None:
    """The member of that name, of several the one in the fewest folders; on no way out of the archive."""
    found: tuple[int, Entry] | None = None
    for path, entry in islice(entries, MEMBERS):
        parts = path.removeprefix("./").split("/")
        if parts[-1] != member or path.startswith("/") or ".." in parts:
            continue
        if found is None or len(parts) < found[0]:
            found = (len(parts), entry)
        if len(parts) == 1:
            break
    return found[1] if found else None


def _copy(source: IO[bytes], target: FileIO, name: str) -> None:
    copied = 0
    while piece := source.read(PIECE):
        copied += len(piece)
        if copied > BIGGEST:
            raise _too_large(name)
        write(target, piece)


def _too_large(name: str) -> ReleaseUnavailable:
    return ReleaseUnavailable(f"What is in {name} is larger than {BIGGEST >> 20} MB.")


def _no_file(name: str, member: str) -> ReleaseUnavailable:
    return ReleaseUnavailable(f"{member} in {name} is no plain file, so it is not used.")
