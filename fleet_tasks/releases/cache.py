"""Programs that were fetched, kept on this machine by source, version and file name; whole or not at all.

A copy is a folder with the program and what is known of it. Whoever makes one holds the lock of its version's
folder, makes it under another name and renames it, so that everybody else sees all of it or nothing. A version's folder
bears the time of its last use: what is new makes room by that, see ``prune``.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote, unquote

from fleet_tasks.errors import ReleaseUnavailable
from fleet_tasks.record import record
from fleet_tasks.registry.storing import locked
from fleet_tasks.releases import files

PROGRAM = "program"
ABOUT = "about.json"
KEPT = 3
"""Versions of one source that stay, however long ago they were used."""
UNUSED = 90 * 24 * 3600.0
"""Seconds after its last use from which any other version goes, as soon as a new one comes."""


def folder(environ: Mapping[str, str]) -> Path:
    """Where fetched programs are kept: below ``FLEET_CACHE``, else in the user's folder for such things."""
    if chosen := environ.get("FLEET_CACHE"):
        return Path(chosen).expanduser() / "releases"
    import platformdirs

    return platformdirs.user_cache_path("fleet-tasks") / "releases"


@record
class Copy:
    """A kept program: ``sha256`` is its own, ``asset_sha256`` that of the file it came in."""

    path: Path
    version: str
    sha256: str
    asset_sha256: str
    verified: bool


class Cache:
    """The copies of one source."""

    def __init__(self, top: Path, source: str) -> None:
        self._folder = top.joinpath(*(_name(part) for part in source.split("/")))

    @property
    def latest(self) -> str:
        """The tag that was the latest when somebody last looked; empty before that."""
        try:
            return (self._folder / "latest").read_text("utf-8").strip()
        except OSError:
            return ""

    def note_latest(self, tag: str) -> None:
        """Remembers it for a day without a network."""
        if tag != self.latest:
            with _sayable(self._folder):
                fresh = self._folder / f"latest.{secrets.token_hex(6)}"
                fresh.write_text(tag, "utf-8")
                fresh.replace(self._folder / "latest")

    @contextlib.contextmanager
    def locked(self, version: str) -> Iterator[None]:
        """The right to make copies of a version; others wait, in this process and elsewhere."""
        place = self._folder / _name(version)
        with _sayable(place):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(place):
            yield

    def find(self, version: str, asset: str) -> Copy | None:
        """The copy of a version's file, if it is there and undamaged."""
        place = self._folder / _name(version) / _name(asset)
        try:
            about = json.loads((place / ABOUT).read_text("utf-8"))
            copy = Copy(path=place / PROGRAM, version=version, **about)
            if files.digest(copy.path) != copy.sha256:
                return None
            note_use(place.parent)
            return copy
        except (OSError, ValueError, TypeError, ReleaseUnavailable):
            return None

    def copies(self, version: str, patterns: tuple[str, ...]) -> Iterator[Copy]:
        """The undamaged copies of a version whose file names fit, best pattern first."""
        try:
            names = sorted(unquote(each.name) for each in (self._folder / _name(version)).iterdir())
        except OSError:
            return
        for pattern in patterns:
            for name in names:
                copy = self.find(version, name) if fnmatchcase(name, pattern) else None
                if copy is not None:
                    yield copy

    @contextlib.contextmanager
    def room(self, version: str, asset: str) -> Iterator[Room]:
        """A place to make a copy in; what is not kept is gone afterwards. Wants the lock of the version."""
        final = self._folder / _name(version) / _name(asset)
        with _sayable(final.parent):
            for stale in final.parent.glob(".new-*"):  # of one who was killed: the lock is ours
                shutil.rmtree(stale, ignore_errors=True)
            place = Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
            with tidied(place):
                yield Room(place, final, version)
            prune(self._folder)


@contextlib.contextmanager
def tidied(place: Path) -> Iterator[None]:
    """Removes a folder at the end, also when the program ends first: nobody waits for a download that was given up."""

    def tidy() -> None:
        shutil.rmtree(place, ignore_errors=True)

    atexit.register(tidy)
    try:
        yield
    finally:
        tidy()
        atexit.unregister(tidy)


def note_use(version: Path) -> None:
    """Dates a version's folder, as far as the disk lets us: a cache may be read-only."""
    with contextlib.suppress(OSError):
        os.utime(version)


def prune(source: Path) -> None:
    """Removes the versions of a source that were not used for UNUSED seconds, save the KEPT that were used last."""
    used = [(each.stat().st_mtime, each) for each in source.iterdir() if each.is_dir() and not each.is_symlink()]
    for last, version in sorted(used, reverse=True)[KEPT:]:
        if last < time.time() - UNUSED:
            shutil.rmtree(version, ignore_errors=True)


@record
class Room:
    """A folder of one's own, to become a copy."""

    place: Path
    final: Path
    version: str

    def keep(self, path: Path, asset_sha256: str, *, verified: bool) -> Copy:
        """Makes a file of this folder the copy; readers of an older one are not disturbed."""
        program = path.rename(self.place / PROGRAM)
        for other in self.place.iterdir():
            if other != program:
                other.unlink()
        program.chmod(0o755)
        copy = Copy(self.final / PROGRAM, self.version, files.digest(program), asset_sha256, verified)
        about = {key: value for key, value in asdict(copy).items() if key not in ("path", "version")}
        (self.place / ABOUT).write_text(json.dumps(about), "utf-8")
        old = self.place.with_name(f"{self.place.name}.old")
        with contextlib.suppress(FileNotFoundError):
            self.final.rename(old)
        self.place.rename(self.final)
        shutil.rmtree(old, ignore_errors=True)
        return copy


@contextlib.contextmanager
def _sayable(place: Path) -> Iterator[None]:
    """What the disk says, as one sentence."""
    try:
        yield
    except OSError as error:
        raise files.unwritable(place, error) from error


def _name(text: str) -> str:
    """Any text as the name of one folder, never hidden."""
    name = quote(text, safe="")
    return "%2E" + name[1:] if name.startswith(".") else name
