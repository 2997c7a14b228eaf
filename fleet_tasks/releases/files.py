"""Files that were downloaded: their SHA-256, and the one member of an archive that is wanted.

An archive is a stranger's work. Nothing is taken out of it but the bytes of one plain file; its names, links, modes
and sizes are not believed.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from fleet_tasks.errors import ReleaseUnavailable

BIGGEST = 512 << 20
"""Bytes a program may have."""
MEMBERS = 10_000
"""Members of an archive that are looked at."""
PIECE = 1 << 18

_TAR = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_ZIP = b"PK\x03\x04"
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
    try:
        return Path(shutil.copyfile(path, folder / "copied"))
    except OSError as error:
        raise ReleaseUnavailable(f"{path} cannot be copied: {error.strerror}.") from error


def unpack(archive: Path, member: str, folder: Path, name: str) -> Path:
    """The archive's file called ``member``, wherever in it, as a new file in ``folder``; ``name`` is the archive's own.

    Raises ReleaseUnavailable when there is none, when it is no plain file, too large, or the archive is damaged.
    """
    with archive.open("rb") as file:
        zipped = file.read(4) == _ZIP
    place = folder / "member"
    try:
        with place.open("xb") as target:
            found = (_from_zip if zipped else _from_tar)(archive, member, target, name)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].rstrip(":.")
        raise ReleaseUnavailable(f"{name} is a damaged archive: {reason}.") from error
    except OSError as error:
        raise ReleaseUnavailable(f"{name} cannot be unpacked: {error.strerror or error}.") from error
    if not found:
        raise ReleaseUnavailable(f"There is no file {member} in the archive {name}.")
    return place


def _from_tar(archive: Path, member: str, target: IO[bytes], name: str) -> bool:
    with tarfile.open(archive, "r:*") as tar:
        for number, entry in enumerate(tar):
            if number > MEMBERS:
                break
            if _wanted(entry.name, member):
                source = tar.extractfile(entry) if entry.isreg() else None
                if source is None:
                    raise _no_file(name, member)
                _copy(source, target, name)
                return True
    return False


def _from_zip(archive: Path, member: str, target: IO[bytes], name: str) -> bool:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist()[:MEMBERS]:
            if _wanted(entry.filename, member):
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if entry.is_dir() or entry.flag_bits & 1 or kind not in (0, stat.S_IFREG):
                    raise _no_file(name, member)
                with packed.open(entry) as source:
                    _copy(source, target, name)
                return True
    return False


def _wanted(name: str, member: str) -> bool:
    """Whether this is the member, at the top or in a folder, on no way out of the archive."""
    parts = name.removeprefix("./").split("/")
    return parts[-1] == member and not name.startswith("/") and ".." not in parts


def _copy(source: IO[bytes], target: IO[bytes], name: str) -> None:
    copied = 0
    while piece := source.read(PIECE):
        copied += len(piece)
        if copied > BIGGEST:
            raise ReleaseUnavailable(f"What is in {name} is larger than {BIGGEST >> 20} MB.")
        target.write(piece)


def _no_file(name: str, member: str) -> ReleaseUnavailable:
    return ReleaseUnavailable(f"{member} in {name} is no plain file, so it is not used.")
