"""Releases as GitHub publishes them: asked of its API, or, where that refuses, read from where its pages lead.

The API is documented at https://docs.github.com/en/rest/releases; a mirror that answers alike will do.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import unquote, urlsplit

from fleet_tasks.errors import ReleaseUnavailable
from fleet_tasks.record import record
from fleet_tasks.releases import sums, web

API = "https://api.github.com"
SITE = "https://github.com"
LATEST = "latest"
LONGEST = 8 << 20
"""Bytes an answer of the API may have."""

log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"[A-Za-z._-]*\d+(\.\d+)+([-+._].*)?")
_DOWNLOAD = re.compile(r"/([^/]+)/([^/]+)/releases/download/(.+)/[^/]+")


@record
class Repository:
    """Where releases come from: owner and name, the tag wanted or ``latest``, and the base of the API."""

    owner: str
    repo: str
    tag: str
    api: str

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.owner}/{self.repo}"

    @property
    def pinned(self) -> bool:
        """Whether the tag is a version, so that its files stay what they are; ``nightly`` and the like move on."""
        return numbered(self.tag)

    @property
    def site(self) -> str:
        """Where the repository's pages are."""
        parts = urlsplit(self.api)
        base = SITE if self.api == API else f"{parts.scheme}://{parts.netloc}"
        return f"{base}/{web.quoted(self.owner, self.repo)}"


@record
class Asset:
    """One file of a release; its SHA-256 and its size in bytes where the API tells them."""

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None


@record
class Release:
    """A release and its files by name; no files at all when only its tag is known."""

    tag: str
    assets: Mapping[str, Asset] = field(default_factory=dict)


def numbered(tag: str) -> bool:
    """Whether a tag is a version."""
    return bool(_NUMBERED.fullmatch(tag))


def token(environ: Mapping[str, str]) -> str:
    """The token for the API, if there is one."""
    return environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN") or ""


def find(repository: Repository, token: str = "") -> Release:
    """The release wanted; raises NotThere, or Unreachable when neither the API nor the pages help."""
    try:
        return _by_api(repository, token)
    except web.NotThere as error:
        what = "releases" if repository.tag == LATEST else f"release {repository.tag}"
        missing = web.NotThere(f"{repository.name} has no {what} (asked {repository.api}).")
        if not token:  # GitHub says the same of what one may not see
            missing.guidance = f"{missing.guidance} A private one wants a GITHUB_TOKEN that may read it."
        raise missing from error
    except web.Unreachable as refused:
        try:
            found = _by_pages(repository)
        except ReleaseUnavailable:
            raise refused from None
        if token:  # whoever gave one expects it to be good for something
            log.warning("%s The release was found without it.", refused)
        return found


def checksums(repository: Repository, release: Release) -> dict[str, set[str]]:
    """The SHA-256 of a release's files, from every list among them."""
    names = [name for name in release.assets if re.search(r"sha256|checksums", name, re.IGNORECASE)]
    found: dict[str, set[str]] = {}
    for name in names or ([] if release.assets else sum_names(repository.repo, release.tag)):
        url = release.assets[name].url if release.assets else asset(repository, release.tag, name).url
        try:
            listed = sums.read(web.text(url, sums.LONGEST))
        except web.NotThere:
            continue
        for file, values in listed.items():
            found.setdefault(file or name.removesuffix(".sha256"), set()).update(values)
    return found


def sum_names(repo: str, tag: str) -> tuple[str, ...]:
    """What the list of checksums may be called: goreleaser's way first."""
    return (f"{repo}_{tag.removeprefix('v')}_checksums.txt", *sums.COMMON)


def names_beside(url: str) -> tuple[str, ...]:
    """What the list of checksums may be called beside a file of a release."""
    found = _DOWNLOAD.fullmatch(urlsplit(url).path)
    return sum_names(found[2], unquote(found[3])) if found else ()


def asset(repository: Repository, tag: str, name: str) -> Asset:
    """A file of a release by its name, whether it is there or not."""
    return Asset(name, f"{repository.site}/releases/download/{web.quoted(tag, name)}")


def first_there(repository: Repository, tag: str, names: Iterable[str]) -> Asset:
    """The first of the names that a release has a file of; raises NotThere."""
    for name in names:
        found = asset(repository, tag, name)
        try:
            web.redirect(found.url)
        except web.NotThere:
            continue
        return found
    raise web.NotThere(f"{repository.name} {tag} has no {' or '.join(names)}.")


def order(tag: str) -> tuple[tuple[int, ...], bool]:
    """A tag's numbers, so that v0.10.0 comes after v0.9.1, and v1.0-rc1 before v1.0."""
    numbers, _, rest = tag.lstrip("v").partition("-")
    return tuple(int(part) for part in re.findall(r"\d+", numbers)), not rest


def _by_api(repository: Repository, token: str) -> Release:
    which = LATEST if repository.tag == LATEST else f"tags/{web.quoted(repository.tag)}"
    url = f"{repository.api}/repos/{web.quoted(repository.owner, repository.repo)}/releases/{which}"
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    answer = web.text(url, LONGEST, headers)
    try:
        return _release(json.loads(answer))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise web.Unreachable(f"{url} answered with something that is no release.") from error


def _release(answer: Any) -> Release:
    assets = [_asset(each) for each in answer.get("assets") or []]
    if not isinstance(answer["tag_name"], str) or not answer["tag_name"]:
        raise ValueError(answer["tag_name"])
    return Release(answer["tag_name"], {each.name: each for each in assets})


def _asset(answer: Any) -> Asset:
    digest, size = answer.get("digest"), answer.get("size")
    return Asset(
        name=str(answer["name"]),
        url=str(answer["browser_download_url"]),
        sha256=digest.removeprefix("sha256:").lower() if str(digest).startswith("sha256:") else None,
        size=size if isinstance(size, int) else None,
    )


def _by_pages(repository: Repository) -> Release:
    """The release by the tag that the page of the latest one leads to; a renamed repository leads on once more."""
    if repository.tag != LATEST:
        return Release(repository.tag)
    url = f"{repository.site}/releases/latest"
    for _ in range(web.HOPS):
        to = web.redirect(url)
        if to is None:
            break
        tag = urlsplit(to).path.partition("/releases/tag/")[2]
        if tag:
            return Release(unquote(tag))
        url = to
    raise web.NotThere(f"{url} leads to no release.")
