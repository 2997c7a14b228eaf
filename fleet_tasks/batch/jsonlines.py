"""JSON lines as values with the numbers of their lines, and as the tree that YAML gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fleet_tasks.errors import Place, RegistryError
from fleet_tasks.registry.document import Mapping, Node, Scalar, Sequence
from fleet_tasks.registry.spots import Spot

_DEEP = "This line is nested too deep."


def spot(name: str, line: int, value: Any) -> Spot:
    """A value as the tree that YAML gives, so that one reader serves both; ``name`` is what its text is called."""
    try:
        return Spot(name, "", _node(value, line))
    except RecursionError as error:
        raise RegistryError(_DEEP, Place(name, line)) from error


def values(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """The number of each line that is not empty, and its value; raises RegistryError for one that is no JSON."""
    decoder = json.JSONDecoder(object_pairs_hook=_unrepeated, parse_int=_whole)
    # splitlines() would also divide at U+2028 and its kin, which JSON lets stand in a text.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            # To look for space around an object takes as long as to read it: most lines are an object and nothing else.
            value, end = decoder.raw_decode(line) if line[0] == "{" else (None, 0)
            if end != len(line):
                value = decoder.decode(line)
        except ValueError as error:
            raise RegistryError(f"This line is no JSON object: {_why(error)}.", Place(name, number)) from error
        except RecursionError as error:
            raise RegistryError(_DEEP, Place(name, number)) from error
        yield number, value


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _whole(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:  # Python reads no number that would take it long, and gives advice to programmers
        raise ValueError(f"a number of {len(digits.lstrip('-')):,} digits is too long") from error


def _why(error: ValueError) -> str:
    """What is wrong with a line. Its number is known better here: JSON counts from the line's own beginning."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    return f"{error.msg.removesuffix(' at')} at column {error.colno}"


def _node(value: Any, line: int) -> Node:
    if isinstance(value, str):
        return Scalar(line, line, value, plain=False)
    if isinstance(value, dict):
        items = {key: _node(each, line) for key, each in value.items()}
        # Of a key only its line is of interest, and that it stood in quotes.
        return Mapping(line, line, True, items, dict.fromkeys(value, Scalar(line, line, "", plain=False)), 1)
    if isinstance(value, list):
        return Sequence(line, line, True, tuple(_node(each, line) for each in value), 1)
    return Scalar(line, line, json.dumps(value), plain=True)
