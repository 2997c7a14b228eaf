"""Names and ranges of names: ``lab[01-20]`` becomes twenty names, and twenty names become it again.

Sizes are counted before anything is expanded: a slip like ``web[1-999999999]`` must not eat the memory.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Iterable

from fleet_tasks.errors import RequestError
from fleet_tasks.record import record

MOST = 10_000  # names that one range may mean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_BRACKETS = re.compile(r"\[([0-9,-]*)\]")
_SPAN = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_LONGEST = 4000  # characters a pattern may have; Python reads no number of more than 4,300 digits


@record
class _Span:
    """Numbers in a row, both ends included, written with at least ``width`` digits."""

    first: int
    last: int
    width: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @property
    def texts(self) -> list[str]:
        return [f"{number:0{self.width}d}" for number in range(self.first, self.last + 1)]


def is_name(text: str) -> bool:
    """Whether a device or group may be called so: letters, digits, ``.``, ``_``, ``-``; not ``all``."""
    return bool(_NAME.fullmatch(text)) and text.lower() != "all"


def unfit(name: str) -> str:
    """Why nothing may be called so, as the end of a sentence."""
    if name.lower() == "all":
        return "it is kept: every device is --all"
    if not name:
        return "it is empty"
    if len(name) > 128:
        return "128 characters are the most"
    return "letters, digits, dots, dashes and underscores make one, a letter or digit first"


def split(text: str) -> tuple[str, ...]:
    """The parts of a comma list; commas inside brackets belong to their range."""
    parts: list[str] = []
    opened = 0
    for piece in text.split(","):
        if opened > 0:
            parts[-1] += "," + piece
        else:
            parts.append(piece)
            opened = 0
        opened += piece.count("[") - piece.count("]")
    return tuple(part.strip() for part in parts if part.strip())


def is_range(text: str) -> bool:
    """Whether the text holds brackets with numbers, and so may mean several names."""
    return bool(_BRACKETS.search(text))


def is_glob(text: str) -> bool:
    """Whether the text is a pattern, to be matched against the names there are."""
    return any(sign in text for sign in "*?") or ("[" in text and not is_range(text))


def names(text: str) -> tuple[str, ...]:
    """The names a name or a range means, in order; RequestError where one of them is none."""
    meant = expand(text)
    for name in meant:
        if not is_name(name):
            raise RequestError(f"{shown(name)} is no name; {unfit(name)}.")
    return meant


def expand(text: str) -> tuple[str, ...]:
    """Every text that the ranges inside a text stand for, in order, whatever surrounds them."""
    if len(text) > _LONGEST:
        raise RequestError(f"{shown(text)} is too long to be a name or a range.")
    pieces = _BRACKETS.split(text)
    ranges = [_spans(piece, text) for piece in pieces[1::2]]
    count = math.prod(sum(span.size for span in spans) for spans in ranges)
    if count > MOST:
        size = f"{count:,}" if count < 10**12 else "more than a trillion"
        raise RequestError(f"{shown(text)} means {size} names; a range may mean {MOST:,} at most.")
    numbers = [[number for span in spans for number in span.texts] for spans in ranges]
    return tuple(
        "".join(itertools.chain.from_iterable(zip(pieces[::2], (*chosen, ""), strict=True)))
        for chosen in itertools.product(*numbers)
    )


def fold(texts: Iterable[str]) -> str:
    """Names in their shortest form for display: ``lab[01-20],nas``; addresses stay as they are."""
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet  # type: ignore[import-untyped]

    known = list(dict.fromkeys(texts))
    folded = NodeSet(resolver=RESOLVER_NOGROUP, fold_axis=(-1,))
    folded.updaten([name for name in known if _NAME.fullmatch(name)])
    return ",".join([part for part in [str(folded)] if part] + [name for name in known if not _NAME.fullmatch(name)])


def nearest(name: str, known: Iterable[str], *, closeness: float = 0.6) -> str | None:
    """The known name that a mistyped one most likely means, if any is near."""
    spellings = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name[:128].lower(), spellings, n=1, cutoff=closeness)
    return spellings[found[0]] if found else None


def shown(text: str) -> str:
    """A text that may be anything, fit for a sentence."""
    return ascii(text if len(text) <= 80 else text[:80] + "...")


def _spans(inside: str, text: str) -> list[_Span]:
    return [_span(part, text) for part in inside.split(",")]


def _span(part: str, text: str) -> _Span:
    found = _SPAN.fullmatch(part)
    if not found:
        raise RequestError(f"{shown(text)} holds no range in its brackets; write it like lab[01-20] or lab[1,3,5-7].")
    first, last = found[1], found[2] or found[1]
    if int(first) > int(last):
        raise RequestError(f"{shown(text)} counts backwards; write [{last}-{first}].")
    padded = len(first) > 1 and first.startswith("0")
    if (padded or last.startswith("0")) and len(first) != len(last):
        raise RequestError(f"{shown(text)} needs as many digits at both ends of [{part}].")
    return _Span(int(first), int(last), len(first) if padded else 1)
