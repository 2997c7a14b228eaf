"""A YAML text as a tree that knows its lines, and nothing of YAML's surprises.

The tree is built from the parser's events, so that what PyYAML would turn into objects, dates or 1.1
booleans never does: a scalar stays the text it was, with a note whether it was quoted. Tags are
refused, duplicate keys too; an alias is the node it names, at its own line, and all nodes are counted with
the aliases, so that a few lines cannot stand for millions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from fleet_tasks import ranges
from fleet_tasks.errors import Place, RegistryError

DEEPEST = 16  # levels of nesting
MOST = 200_000  # nodes, each alias counted as all that it stands for
LONGEST = 5_000_000  # bytes

_DEEP = f"This is nested more than {DEEPEST} levels deep."
_SCALAR, _ENDS = yaml.ScalarEvent, (yaml.SequenceEndEvent, yaml.MappingEndEvent)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NOTHING = ("", "~", "null")
_WORDS = frozenset((*_BOOLEANS, *_NOTHING))
_LONGEST_WORD = max(map(len, _WORDS))
_FIRST_OF_NUMBERS = "+-.0123456789"
_NUMBER = re.compile(
    r"[-+]?((\.[0-9]+|[0-9]+(\.[0-9]*)?)(e[-+]?[0-9]+)?"
    r"|0[xob][0-9a-f_]+|[0-9][0-9_]*(:[0-5]?[0-9])*(\.[0-9_]*)?|\.(inf|nan))",
    re.IGNORECASE,
)


class Scalar(NamedTuple):
    """A text, from one line to another; ``plain`` when it stood there without quotes."""

    line: int
    end: int
    text: str
    plain: bool
    size: int = 1
    alias: bool = False

    @property
    def boolean(self) -> bool | None:
        """What YAML 1.1 takes the plain word for, if it is one of its booleans."""
        return _BOOLEANS.get(self.text.lower()) if self.plain else None

    @property
    def empty(self) -> bool:
        """Whether there is no value at all."""
        return self.plain and self.text.lower() in _NOTHING

    @property
    def number(self) -> bool:
        """Whether some reader of YAML would see a number here."""
        return self.plain and _NUMBER.fullmatch(self.text) is not None

    @property
    def certain(self) -> bool:
        """Whether every reader of YAML takes it for a text and nothing else."""
        return not (self.plain and _is_unsure(self.text))


class Sequence(NamedTuple):
    """Nodes in order; ``flow`` when they stood in brackets."""

    line: int
    end: int
    flow: bool
    items: tuple[Node, ...]
    size: int
    alias: bool = False


class Mapping(NamedTuple):
    """Nodes by key; ``keys`` holds the keys themselves, with their lines; ``flow`` when they stood in braces."""

    line: int
    end: int
    flow: bool
    items: dict[str, Node]
    keys: dict[str, Scalar]
    size: int
    alias: bool = False


Node = Scalar | Sequence | Mapping


def parse(text: str, file: str, *, tags: bool = False) -> Node:
    """The tree of a YAML text; RegistryError with the line where it is none. ``tags`` lets tags pass, unread."""
    if len(text) > LONGEST:
        raise RegistryError(f"is larger than {LONGEST:,} bytes, which is no list of devices.", Place(file))
    return _Builder(file, tags).document(text)


def reads_as_text(text: str) -> bool:
    """Whether a plain scalar of this text is a text and nothing else, for any reader of YAML."""
    return not _is_unsure(text)


@dataclass
class _Builder:
    """Puts events together; ``anchors`` are the nodes that aliases may name."""

    file: str
    tags: bool
    anchors: dict[str, Node] = field(default_factory=dict)

    def document(self, text: str) -> Node:
        try:
            events = iter(_LOADER(text).get_event, None)
            next(events)  # the stream's start
            if isinstance(next(events), yaml.StreamEndEvent):
                return Mapping(1, 1, False, {}, {}, 0)
            root = self.node(next(events), events, DEEPEST)
            next(events)  # the document's end
            extra = next(events)
            if not isinstance(extra, yaml.StreamEndEvent):
                raise self.error("A second YAML document begins here; a file holds one.", extra.start_mark)
        except yaml.MarkedYAMLError as error:
            deep = "nesting" in str(error.problem)  # libyaml, from 0.2.6 on, looks ahead and has a bound of its own
            sentence = _DEEP if deep else f"This is not YAML: {error.problem}."
            raise self.error(sentence, error.problem_mark) from error
        except yaml.YAMLError as error:  # a character that YAML has no place for
            found = _UNPRINTABLE.search(text)
            if found is None:
                raise RegistryError(f"is not YAML: {' '.join(str(error).split())}", Place(self.file)) from error
            place = Place(self.file, text.count("\n", 0, found.start()) + 1)
            raise RegistryError(f"This is not YAML: the character {found[0]!r} may not stand there.", place) from error
        return root

    def node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise self.error(f"The alias *{event.anchor} stands for nothing above it.", event.start_mark)
            here = _line(event.start_mark)
            return self.anchors[event.anchor]._replace(line=here, end=here, alias=True)
        if event.tag is not None and not self.tags:
            raise self.error("YAML tags (!) have no meaning here.", event.start_mark)
        if depth == 0:
            raise self.error(_DEEP, event.start_mark)
        node = self.built(event, events, depth - 1)
        if node.size > MOST:
            raise self.error(f"This stands for more than {MOST:,} values.", event.start_mark)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def built(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if isinstance(event, _SCALAR):
            return _scalar(event)
        line, flow = _line(event.start_mark), bool(event.flow_style)
        children: list[Node] = []
        below = 0
        for inner in events:
            if type(inner) is _SCALAR and inner.tag is None and inner.anchor is None and depth:
                children.append(_scalar(inner))  # nearly all nodes are: what node() looks for is not there
            elif isinstance(inner, _ENDS):
                break
            else:
                children.append(self.node(inner, events, depth))
                below += children[-1].size - 1
        end = _line(inner.end_mark) if flow else children[-1].end if children else line
        size = 1 + len(children) + below
        if isinstance(inner, yaml.SequenceEndEvent):
            return Sequence(line, end, flow, tuple(children), size)
        keys = self.keys(children[::2])
        return Mapping(line, end, flow, dict(zip(keys, children[1::2], strict=True)), keys, size)

    def keys(self, nodes: list[Node]) -> dict[str, Scalar]:
        keys = {key.text: key for key in nodes if isinstance(key, Scalar)}
        if len(keys) == len(nodes):
            return keys
        keys.clear()
        for key in nodes:
            if not isinstance(key, Scalar):
                raise RegistryError("A key must be a word.", Place(self.file, key.line))
            if key.text in keys:
                sentence = f"{ranges.shown(key.text)} is given twice, first on line {keys[key.text].line}."
                raise RegistryError(sentence, Place(self.file, key.line))
            keys[key.text] = key
        return keys

    def error(self, sentence: str, mark: Any) -> RegistryError:
        return RegistryError(sentence, Place(self.file, _line(mark) if mark else None))


def _is_unsure(text: str) -> bool:
    """Whether some reader of YAML takes the plain text for something else."""
    if text[:1] in _FIRST_OF_NUMBERS:
        return not text or _NUMBER.fullmatch(text) is not None
    return len(text) <= _LONGEST_WORD and text.lower() in _WORDS


def _scalar(event: Any) -> Scalar:
    values = event.start_mark.line + 1, event.end_mark.line + 1, event.value, not event.style, 1, False
    return tuple.__new__(Scalar, values)  # half the time of Scalar(...), of which there may be tens of thousands


def _line(mark: Any) -> int:
    """The line of a mark, counted from 1."""
    return int(mark.line) + 1
