"""Flags' texts as values: each kind of option has one reader, and one sentence for what makes no sense."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import Field
from typing import Any

from fleet_tasks.errors import RequestError
from fleet_tasks.options import FORMATS
from fleet_tasks.ranges import nearest, shown, split

Formats = Callable[[], Iterable[str]]

_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")


def read(field: Field[Any], given: Any, *, refused: bool = False, formats: Formats = tuple) -> Any:
    """The value of an option from what the parser found, None where it was not given.

    ``formats`` names those of plug-ins; it is asked only for one that does not ship.

    Raises RequestError for a value that makes no sense, and for an empty one: behind ``-x "$KEEP"`` stands
    somebody who believes that something is kept.
    """
    kind, flag = field.metadata["kind"], "--" + field.name.replace("_", "-")
    if kind == "maybe":
        if given and refused:
            raise RequestError(f"{flag} and --no-{flag[2:]} contradict each other.")
        return True if given else False if refused else None
    if kind == "yes":
        return bool(given)
    if kind in ("names", "many"):
        return _several(kind, flag, (given,) if isinstance(given, str) else tuple(given or ()))
    return None if given is None else _read(kind, flag, str(given), formats)


def setting(field: Field[Any], label: str, given: Any, *, formats: Formats = tuple) -> Any:
    """The value of an option from a settings file or the environment; ``label`` is what a refusal calls it."""
    if given is None or given == "":
        return None
    if field.metadata["kind"] not in ("yes", "maybe"):
        return _read(field.metadata["kind"], label, str(given), formats)
    word = str(given).lower()
    if word not in (*_YES, *_NO):
        raise RequestError(f"{label} wants yes or no, not {shown(str(given))}.")
    return word in _YES


def _read(kind: str, label: str, text: str, formats: Formats) -> Any:
    if not text.strip():
        raise RequestError(f"{label} is empty; leave it out, or give it a value.")
    return _format(label, text, formats) if kind == "format" else _READERS[kind](label, text)


def _several(kind: str, flag: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Each of the texts, comma lists of names taken apart; a comma within the brackets of a range divides nothing."""
    found: list[str] = []
    for text in texts:
        parts = split(text) if kind == "names" else (text,) if text.strip() else ()
        if not parts:
            raise RequestError(f"{flag} is empty; leave it out, or give it a value.")
        found += parts
    return tuple(found)


def _text(label: str, text: str) -> str:
    return text


def _seconds(label: str, text: str) -> float:
    seconds = _float(text)
    if not 0 < seconds <= 10**9:
        raise RequestError(f"{label} wants seconds, a number above 0, not {shown(text)}.")
    return seconds


def _wait(label: str, text: str) -> float:
    seconds = _float(text)
    if not 0 <= seconds <= 10**9:
        raise RequestError(f"{label} wants seconds, a number from 0, not {shown(text)}.")
    return seconds


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _count(label: str, text: str) -> int:
    return _whole(label, text, 1)


def _number(label: str, text: str) -> int:
    return _whole(label, text, 0)


def _whole(label: str, text: str, least: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
        raise RequestError(f"{label} wants a whole number from {least}, not {shown(text)}.")
    return int(text)


def _failures(label: str, text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}|(100|[0-9]{1,2})%", text) or text.strip("%0") == "":
        raise RequestError(f"{label} wants a number from 1 or a percentage such as 20%, not {shown(text)}.")
    return text


def _format(label: str, text: str, formats: Formats) -> str:
    if text in FORMATS:
        return text
    known = tuple(dict.fromkeys((*FORMATS, *formats())))
    if text not in known:
        near = nearest(text, known)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}."
        raise RequestError(f"{label} does not know {shown(text)}; {hint}")
    return text


_READERS: dict[str, Callable[[str, str], Any]] = {
    "text": _text,
    "seconds": _seconds,
    "wait": _wait,
    "count": _count,
    "number": _number,
    "failures": _failures,
}
