"""Places in fleet.yaml and the plain values there: each reader gives what it promises, or says what is wrong where."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple, TypeVar

from fleet_tasks import ranges
from fleet_tasks.errors import Place, RegistryError, RequestError
from fleet_tasks.registry.document import Mapping, Node, Scalar, Sequence

T = TypeVar("T")

WHOLE = re.compile(r"0|[1-9][0-9]{0,9}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_HALF = re.compile(r"[\ud800-\udfff]")
_LOOKS_SECRET = re.compile(
    r"(?=(sk-|gh[opusr]_|github_pat_|glpat-|xox[abp]-|AIza|AKIA|hf_|gsk_)[A-Za-z0-9_-]{16,})(?=.*[0-9])(?=.*[A-Z])"
)
_PLAIN = re.compile(rf"(?!{_LOOKS_SECRET.pattern}) *[!-~][ -~]*")


class Spot(NamedTuple):
    """A node, and where it stands: the file and the dotted path."""

    file: str
    path: str
    node: Node

    def wrong(self, sentence: str) -> RegistryError:
        """The error that something at this spot is not right."""
        return RegistryError(sentence, Place(self.file, self.node.line, self.path))

    def under(self, key: str, node: Node) -> Spot:
        """The spot of a value inside this one."""
        return Spot(self.file, f"{self.path}.{key}" if self.path else key, node)


def is_plain(value: object) -> bool:
    """Whether a value is a text that each reader of texts takes as it stands: one line of ASCII, and no secret."""
    return type(value) is str and _PLAIN.fullmatch(value) is not None


# -- what holds other values ----------------------------------------------------------------


def entries(spot: Spot) -> Iterator[tuple[Spot, str, Spot]]:
    """Each key's own spot, the key and its value's spot; an empty value is an empty mapping."""
    for key, value in _named(spot):
        yield _at(spot, key), key, spot.under(key, value)


def _named(spot: Spot) -> Iterator[tuple[str, Node]]:
    node = spot.node
    if isinstance(node, Scalar) and node.empty:
        return
    if not isinstance(node, Mapping):
        raise spot.wrong("must be a mapping of names to values.")
    for key, value in node.items.items():
        if node.keys[key].boolean is not None or node.keys[key].empty:
            raise _at(spot, key).wrong(f"YAML takes {key or 'an empty key'} for something else than a name; quote it.")
        yield key, value


def _at(spot: Spot, key: str) -> Spot:
    """The key's own spot."""
    assert isinstance(spot.node, Mapping)
    return spot.under(key, spot.node.keys[key])


def fields(spot: Spot, known: Collection[str]) -> dict[str, Spot]:
    """The values of a mapping whose keys are all known; keys without a value are left out."""
    found = {}
    for key, value in _named(spot):
        if key not in known:
            near = ranges.nearest(key, known)
            hint = f"did you mean {near}?" if near else f"known are {', '.join(known)}."
            raise _at(spot, key).wrong(f"The key {ranges.shown(key)} is not known here; {hint}")
        if not (isinstance(value, Scalar) and value.empty):
            found[key] = spot.under(key, value)
    return found


def items(spot: Spot) -> list[Spot]:
    """The values of a list."""
    node = spot.node
    if isinstance(node, Scalar) and node.empty:
        return []
    if isinstance(node, Scalar):
        raise spot.wrong("must be a list: write it in brackets, [one, two].")
    if not isinstance(node, Sequence):
        raise spot.wrong("must be a list.")
    return [Spot(spot.file, f"{spot.path}[{number}]", item) for number, item in enumerate(node.items)]


def checked(spot: Spot, read: Callable[[str], T]) -> T:
    """What a reader of plain texts makes of the value; its RequestError gets the place."""
    try:
        return read(text(spot))
    except RegistryError:
        raise
    except RequestError as error:
        raise spot.wrong(str(error)) from error


# -- single values --------------------------------------------------------------------------


def scalar(spot: Spot) -> Scalar:
    """A single value, whatever it is."""
    if not isinstance(spot.node, Scalar):
        raise spot.wrong("must be a single value, not a list or a mapping.")
    if spot.node.empty:
        raise spot.wrong("has no value.")
    return spot.node


def lines(spot: Spot) -> str:
    """A text that may have several lines."""
    value = scalar(spot)
    if value.boolean is not None:
        raise spot.wrong(f'YAML takes {value.text} for yes or no where a text is wanted; quote it: "{value.text}".')
    if value.number:
        raise spot.wrong(f'YAML takes {value.text} for a number where a text is wanted; quote it: "{value.text}".')
    if _LOOKS_SECRET.match(value.text):
        raise spot.wrong("looks like the value of a secret; name it instead, and say under secrets: where it is kept.")
    if "\0" in value.text:
        raise spot.wrong("holds a NUL character.")
    if not value.text.isascii() and _HALF.search(value.text):
        raise spot.wrong("holds one half of a pair of surrogates, which is no character.")
    return value.text


def text(spot: Spot) -> str:
    """A text of one line without control characters."""
    value = lines(spot)
    if _CONTROL.search(value):
        raise spot.wrong("holds a line break or a control character.")
    if not value.strip():
        raise spot.wrong("is empty.")
    return value


def script(spot: Spot) -> str:
    """A text of one or more lines, for a shell."""
    value = lines(spot)
    if not value.strip():
        raise spot.wrong("is empty.")
    return value


def label(spot: Spot) -> str:
    """A text of one line in which a number stands for itself, like a device called 10."""
    value = scalar(spot)
    return value.text if value.number else text(spot)


def prose(spot: Spot) -> str:
    """A text of one line that may be empty, like a description."""
    return "" if isinstance(spot.node, Scalar) and not spot.node.text else text(spot)


def word(spot: Spot) -> str:
    """A text without blanks, like a model's name."""
    value = text(spot)
    if re.search(r"\s", value) or value.startswith("-"):
        raise spot.wrong("must be one word, without blanks and not beginning with a dash.")
    return value


def path(spot: Spot) -> str:
    """A path or other text that is going to be an argument: it may not begin with a dash."""
    value = text(spot)
    if value.startswith("-"):
        raise spot.wrong("must not begin with a dash.")
    return value


def choice(spot: Spot, words: Collection[str]) -> str:
    """One of a few words."""
    value = scalar(spot).text
    if value in words:
        return value
    near = ranges.nearest(value, words)
    hint = f"; did you mean {near}?" if near else "."
    raise spot.wrong(f"must be one of {', '.join(words)}, not {ranges.shown(value)}{hint}")


def yes(spot: Spot) -> bool:
    """True or false."""
    value = scalar(spot).boolean
    if value is None:
        raise spot.wrong("must be true or false.")
    return value


def whole(spot: Spot, *, least: int = 1, most: int = 2**31) -> int:
    """A whole number; digits in quotes will do."""
    value = scalar(spot).text
    if not WHOLE.fullmatch(value) or not least <= int(value) <= most:
        limits = f"from {least} to {most}" if most < 2**31 else f"of at least {least}"
        raise spot.wrong(f"must be a whole number {limits}, not {ranges.shown(value)}.")
    return int(value)


def seconds(spot: Spot) -> float:
    """A number of seconds above 0."""
    value = scalar(spot).text
    if not _NUMBER.fullmatch(value) or not float(value) > 0:
        raise spot.wrong(f"must be a number of seconds above 0, not {ranges.shown(value)}.")
    return float(value)


def name(spot: Spot) -> str:
    """A name, and only one."""
    value = text(spot)
    if not ranges.is_name(value):
        raise spot.wrong(f"{ranges.shown(value)} is no name; {ranges.unfit(value)}.")
    return value
