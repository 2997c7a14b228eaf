"""Files of checksums: what goreleaser, sha256sum and BSD's sha256 write."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fleet_tasks.releases import web

COMMON = ("sha256sums.txt", "SHA256SUMS", "checksums.txt", "SHA256SUMS.txt")
"""What such files are called where nobody has a rule."""
LONGEST = 1 << 20
"""Bytes such a file may have."""

_LINE = re.compile(r"([0-9a-fA-F]{64})(?:[ \t]+\*?(\S.*?))?\s*")
_BSD = re.compile(r"SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})\s*")


def read(text: str) -> dict[str, set[str]]:
    """The SHA-256 of every file in the list, by its name without folders; a lone sum stands under ''."""
    found: dict[str, set[str]] = {}
    for line in text.lstrip("\ufeff").splitlines():
        plain, bsd = _LINE.fullmatch(line), _BSD.fullmatch(line)
        if plain:
            found.setdefault((plain[2] or "").rpartition("/")[2], set()).add(plain[1].lower())
        elif bsd:
            found.setdefault(bsd[1].rpartition("/")[2], set()).add(bsd[2].lower())
    return found


def beside(url: str, name: str, more: Iterable[str] = ()) -> set[str]:
    """The SHA-256 of the file at a URL, from a list in the same place; empty when there is none."""
    base = url.partition("?")[0].rpartition("/")[0]
    for other in (f"{name}.sha256", *more, *COMMON):
        try:
            found = read(web.text(f"{base}/{other}", LONGEST))
        except web.NotThere:
            continue
        if name in found or "" in found:
            return found.get(name, found.get("", set()))
    return set()
