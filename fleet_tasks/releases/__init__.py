"""An agent's program: found in a release, at a URL or on this machine; downloaded once, verified, kept.

    got = fetch(Wish("github:sipeed/picoclaw@v0.2.9", ("picoclaw_Linux_arm64.tar.gz",), member="picoclaw"))
    got.path, got.version                               # ~/.cache/fleet-tasks/releases/.../picoclaw, v0.2.9

Nothing is used whose SHA-256 is not known from elsewhere, unless the registry says ``checksum: none``. Python's own
urllib does the talking: a few requests to one host, whose redirects we must judge one by one, are all there is.
"""

from __future__ import annotations

import logging
import os
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from fleet_tasks.errors import ChecksumMismatch, ReleaseUnavailable, WrongPlatform
from fleet_tasks.releases import files, github, sums, web
from fleet_tasks.releases.cache import Cache, Copy, folder
from fleet_tasks.releases.github import Asset, Release, Repository
from fleet_tasks.releases.wishes import Fetched, Wish, parse, unverified

__all__ = ["Fetched", "Wish", "fetch", "folder", "parse"]

log = logging.getLogger(__name__)


def fetch(wish: Wish, environ: Mapping[str, str] = os.environ) -> Fetched:
    """What is wished for, as a file of this machine that nobody changes.

    Raises ReleaseUnavailable, ChecksumMismatch, WrongPlatform (there is none of these names), or RequestError for a
    source that cannot be understood. Safe in many threads and processes at once: one of them downloads.
    """
    source = parse(wish.source)
    if isinstance(source, Path):
        return _from_disk(wish, source, Cache(folder(environ), "local"))
    if isinstance(source, Repository):
        repository = replace(source, api=(wish.api or source.api).rstrip("/"))
        return _from_github(wish, repository, Cache(folder(environ), repository.name), github.token(environ))
    return _from_url(wish, source, Cache(folder(environ), "url"))


# -- this machine ---------------------------------------------------------------------------


def _from_disk(wish: Wish, path: Path, cache: Cache) -> Fetched:
    """A file of the user's own is trusted as it is; an archive, or a program that may not run, goes to the cache."""
    if not path.is_file():
        what = f"{path} is a folder, and a program is one file" if path.is_dir() else f"There is no file {path}"
        raise ReleaseUnavailable(f"{what}.", guidance="Mend source: of the agent in fleet.yaml.")
    digest = files.digest(path)
    if wish.checksum and not unverified(wish):
        _compare(wish.checksum, digest, str(path))
    packed = files.is_archive(path, path.name)
    if not wish.member or (not packed and os.access(path, os.X_OK)):
        return Fetched(path, f"local-{digest[:12]}", digest)
    with cache.locked(digest):
        copy = cache.find(digest, path.name)
        if copy is None:
            with cache.room(digest, path.name) as room:
                made = (
                    files.unpack(path, wish.member, room.place, path.name) if packed else files.copied(path, room.place)
                )
                copy = room.keep(made, digest, verified=True)
    return Fetched(copy.path, f"local-{digest[:12]}", copy.sha256)


# -- a release on GitHub, or on what speaks like it -----------------------------------------


def _from_github(wish: Wish, repository: Repository, cache: Cache, token: str) -> Fetched:
    if repository.pinned and (copy := _kept(wish, cache, repository.tag)):
        return _fetched(copy)
    try:
        release = github.find(repository, token)
        _note_downgrade(cache, repository, release)
        copy = _from_release(wish, repository, cache, release)
    except web.Unreachable as error:
        kept = _kept(wish, cache, cache.latest if repository.tag == github.LATEST else repository.tag)
        if kept is None:
            raise
        log.warning("%s The copy of %s %s from earlier is used.", error.message, repository.name, kept.version)
        return _fetched(kept)
    if repository.tag == github.LATEST:
        cache.note_latest(release.tag)
    return _fetched(copy)


def _from_release(wish: Wish, repository: Repository, cache: Cache, release: Release) -> Copy:
    known = {} if wish.checksum else github.checksums(repository, release)
    asset = _choose(wish, repository, release, known)
    expected = _expected(wish, asset, known)
    with cache.locked(release.tag):
        copy = cache.find(release.tag, asset.name)
        moved = not expected and not github.numbered(release.tag)
        if copy is None or moved or not _same(copy, expected):
            copy = _download(wish, cache, release.tag, asset, expected)
    return copy


def _choose(wish: Wish, repository: Repository, release: Release, known: Mapping[str, set[str]]) -> Asset:
    """The release's file of the first of the wished names that it has; raises WrongPlatform when it has none."""
    there = release.assets or {name: github.asset(repository, release.tag, name) for name in known}
    for pattern in wish.names:
        found = [name for name in sorted(there) if fnmatchcase(name, pattern)]
        if len(found) > 1:
            raise WrongPlatform(
                f"{repository.name} {release.tag} has several files like {pattern}: {', '.join(found)}.",
                guidance="Be more exact in asset: of the agent in fleet.yaml.",
            )
        if found:
            return there[found[0]]
    if not there and wish.checksum:
        return github.first_there(repository, release.tag, wish.names)
    if not there:
        raise _unknown_sum(f"the files of {repository.name} {release.tag}")
    names = textwrap.shorten(", ".join(sorted(there)), 300, placeholder=" ...")
    raise WrongPlatform(
        f"{repository.name} {release.tag} has no {' or '.join(wish.names)}; it has {names}.",
        guidance="Mend asset: of the agent in fleet.yaml, or arch: of {device} there, or choose another agent for it.",
    )


def _expected(wish: Wish, asset: Asset, known: Mapping[str, set[str]]) -> set[str]:
    """Every SHA-256 the file must have, all of them alike; empty for ``checksum: none``."""
    if wish.checksum:
        return set() if unverified(wish) else {wish.checksum}
    expected = known.get(asset.name, set()) | ({asset.sha256} if asset.sha256 else set())
    if not expected:
        raise _unknown_sum(asset.name)
    return expected


def _unknown_sum(what: str) -> ReleaseUnavailable:
    guidance = "Write its checksum: into fleet.yaml, or checksum: none to trust it all the same."
    return ReleaseUnavailable(f"Nothing says which SHA-256 {what} should have, so it is not used.", guidance=guidance)


def _note_downgrade(cache: Cache, repository: Repository, release: Release) -> None:
    before = cache.latest
    if repository.tag == github.LATEST and before and github.order(release.tag) < github.order(before):
        log.warning("The latest %s is now %s, older than %s before.", repository.name, release.tag, before)


def _kept(wish: Wish, cache: Cache, tag: str) -> Copy | None:
    """The copy of an earlier day that is as good as a new one, if there is one."""
    expected = {wish.checksum} if wish.checksum and not unverified(wish) else set()
    for copy in cache.copies(tag, wish.names) if tag else ():
        if _same(copy, expected) and (copy.verified or expected or unverified(wish)):
            return copy
    return None


# -- a URL ----------------------------------------------------------------------------------


def _from_url(wish: Wish, url: str, cache: Cache) -> Fetched:
    asset = Asset(web.last_part(url), url)
    tag = f"url-{files.text_digest(url)[:12]}"
    try:
        if wish.checksum:
            expected = _expected(wish, asset, {})
        else:
            expected = _expected(wish, asset, {asset.name: sums.beside(url, asset.name, github.names_beside(url))})
        with cache.locked(tag):
            copy = cache.find(tag, asset.name)
            if copy is None or not expected or not _same(copy, expected):
                copy = _download(wish, cache, tag, asset, expected)
    except web.Unreachable as error:
        kept = _kept(replace(wish, names=(asset.name,)), cache, tag)
        if kept is None:
            raise
        log.warning("%s The copy of %s from earlier is used.", error.message, asset.name)
        copy = kept
    return Fetched(copy.path, f"{tag}-{copy.sha256[:12]}", copy.sha256)


# -- what all of them share -----------------------------------------------------------------


def _download(wish: Wish, cache: Cache, tag: str, asset: Asset, expected: set[str]) -> Copy:
    with cache.room(tag, asset.name) as room:
        raw = room.place / "download"
        trusted = bool(wish.checksum) and not unverified(wish)
        digest = web.download(asset.url, raw, size=asset.size, plain=trusted)
        for each in expected:
            _compare(each, digest, asset.url)
        path = raw
        if wish.member and files.is_archive(raw, asset.name):
            path = files.unpack(raw, wish.member, room.place, asset.name)
        return room.keep(path, digest, verified=bool(expected))


def _compare(expected: str, digest: str, what: str) -> None:
    if expected != digest:
        raise ChecksumMismatch(
            f"{what} has the SHA-256 {digest[:16]}..., and {expected[:16]}... is expected: it is not used.",
            guidance="Try once more; if it stays so, ask those who publish it, or correct checksum: in fleet.yaml.",
        )


def _same(copy: Copy, expected: set[str]) -> bool:
    return all(copy.asset_sha256 == each for each in expected)


def _fetched(copy: Copy) -> Fetched:
    return Fetched(copy.path, copy.version, copy.sha256)
