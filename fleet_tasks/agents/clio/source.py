"""CLIO's program and library on this machine: a checkout, or a release archive laid out in the cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import IO

from fleet_tasks.agents.contract import Payload
from fleet_tasks.errors import ReleaseUnavailable
from fleet_tasks.registry import AgentSettings
from fleet_tasks.releases import Wish, fetch, folder
from fleet_tasks.releases.cache import note_use, prune, tidied

UPSTREAM = "github:SyntheticAutonomicMind/CLIO"
ASSETS = ("clio-*.tar.gz", "clio-*.zip")
PARTS = ("clio", "lib", "VERSION")
"""What of the tree a device needs."""
MEMBERS, BIGGEST = 5000, 64 << 20
"""Members of an archive that are looked at, and bytes they may have together."""


def payload(settings: AgentSettings) -> Payload:
    """What to install, named by CLIO's version and its contents; raises ReleaseUnavailable or ChecksumMismatch."""
    tree = find(settings)
    found = dict(_files(tree))
    if "clio" not in found or not any(name.startswith("lib/CLIO/") for name in found):
        raise ReleaseUnavailable(
            f"There is no CLIO in {tree}: it has no file clio, or no folder lib/CLIO.",
            guidance="Name a checkout or a release as source: of clio in fleet.yaml.",
        )
    version = _version(found["VERSION"]) if "VERSION" in found else "unknown"
    found["fleet/FleetTasks.pm"] = Path(str(files(__package__) / "FleetTasks.pm"))
    digest = hashlib.sha256()
    for name, path in sorted(found.items()):
        with path.open("rb") as content:
            digest.update(f"{name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return Payload(f"{version}-{digest.hexdigest()[:12]}", found)


def find(settings: AgentSettings) -> Path:
    """The folder that holds CLIO: the source's, else that of a ``clio`` on this machine, else upstream's release."""
    if settings.source is None and (own := installed()):
        return own
    source = settings.source or UPSTREAM
    if not source.startswith(("github:", "http://", "https://")):
        path = Path(source).expanduser()
        if path.is_dir():
            return path
    names = (settings.asset,) if settings.asset else ASSETS
    got = fetch(Wish(source, names, checksum=settings.checksum, api=settings.releases_api))
    return laid_out(got.path, folder(os.environ) / "trees" / got.sha256[:16], source)


def installed() -> Path | None:
    """The folder of the CLIO that this machine's user has."""
    program = shutil.which("clio")
    top = Path(program).resolve().parent if program else None
    return top if top and (top / "lib" / "CLIO").is_dir() else None


def laid_out(archive: Path, place: Path, origin: str) -> Path:
    """The archive's tree in ``place``, in one step; only plain files, only those a device needs, by names of ours.

    ``origin`` is where the archive came from, for what there is to say about it.
    """
    if place.is_dir():
        note_use(place)
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(dir=place.parent, prefix=".new-"))
    try:
        with tidied(room):
            for name, content in _members(archive):
                (room / name).parent.mkdir(parents=True, exist_ok=True)
                with (room / name).open("wb") as file:
                    shutil.copyfileobj(content, file)
            if not any(room.iterdir()):
                raise ReleaseUnavailable(f"There is no CLIO in the archive of {origin}.")
            if not place.is_dir():  # another process may have been faster, with the same bytes
                room.rename(place)
        prune(place.parent)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        why = str(error).rstrip(".")
        raise ReleaseUnavailable(f"The archive of {origin} cannot be unpacked: {why}.") from error
    return place


def _version(file: Path) -> str:
    """The first line of CLIO's VERSION, as far as it can be part of a name."""
    line = file.read_text("utf-8", "replace").partition("\n")[0]
    return re.sub(r"[^A-Za-z0-9._]", "", line).strip(".")[:32] or "unknown"


def _files(tree: Path) -> Iterator[tuple[str, Path]]:
    for part in PARTS:
        paths = sorted((tree / part).rglob("*")) if (tree / part).is_dir() else [tree / part]
        for path in paths:
            if path.is_file() and not any(piece.startswith(".") for piece in path.relative_to(tree).parts):
                yield path.relative_to(tree).as_posix(), path


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The plain files of an archive that belong to CLIO, by their names in the tree."""
    size = 0
    for number, (name, length, content) in enumerate(_entries(archive)):
        size += length
        if number > MEMBERS or size > BIGGEST:
            raise ReleaseUnavailable("The archive is too large to be CLIO.")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        parts = parts if parts and parts[0] in PARTS else parts[1:]
        if parts and parts[0] in PARTS and ".." not in parts and (len(parts) > 1) == (parts[0] == "lib"):
            yield "/".join(parts), content


def _entries(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                    with packed.open(info) as content:
                        yield info.filename, info.file_size, content
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            plain = tar.extractfile(member) if member.isreg() else None
            if plain is not None:
                yield member.name, member.size, plain
