"""What is asked of releases, and what comes of it."""

from __future__ import annotations

import re
from pathlib import Path

from fleet_tasks.errors import RequestError
from fleet_tasks.record import record
from fleet_tasks.releases.github import API, LATEST, Repository

NONE = "none"
"""The checksum of those who want none."""

_GITHUB = re.compile(r"github:([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+?)(?:\.git)?(?:@([A-Za-z0-9_.+/-]+))?")


@record
class Wish:
    """One file of a source: ``github:owner/repo[@tag]``, a URL, or a path.

    ``names`` are patterns (as of fnmatch) for a release's files, best first. ``member`` is taken out when the file is
    an archive. ``checksum`` is its SHA-256 in hexadecimal, or ``none``. ``api`` is the base of the releases API.
    """

    source: str
    names: tuple[str, ...] = ()
    member: str | None = None
    checksum: str | None = None
    api: str | None = None


@record
class Fetched:
    """A file of this machine, its version in the words of its source, and its own SHA-256."""

    path: Path
    version: str
    sha256: str


def parse(source: str) -> Repository | Path | str:
    """A repository, a path, or a URL; raises RequestError for what is none of them."""
    if source.startswith("github:"):
        found = _GITHUB.fullmatch(source)
        if found is None or found[1] in (".", "..") or found[2] in (".", ".."):
            raise RequestError(f"{source!r} is not github:owner/repo with @tag or without.")
        return Repository(found[1], found[2], found[3] or LATEST, API)
    if source.startswith(("http://", "https://")):
        return source
    return local(source)


def local(source: str) -> Path:
    """A path of this machine; ``~`` is the home."""
    return Path(source).expanduser()


def unverified(wish: Wish) -> bool:
    """Whether somebody wrote down that no checksum is wanted."""
    return wish.checksum == NONE
