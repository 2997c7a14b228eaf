"""Small changes to a YAML text that leave the rest as it is: comments, order, quotes.

What has lines of its own is put in and taken out by line; what stands in brackets is left to ruamel.yaml. (By
itself ruamel ties each comment to the value before it, so that what is said about the next device would go
with this one.)
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fleet_tasks.errors import RequestError
from fleet_tasks.registry import document
from fleet_tasks.registry.document import Node

if TYPE_CHECKING:
    from ruamel.yaml import YAML

Path = tuple[str | int, ...]
Collection = document.Mapping | document.Sequence
Value = str | int | float | bool | Sequence[Any] | Mapping[str, Any]


def put(text: str, path: Path, entries: Mapping[str, Value]) -> str:
    """The text with entries in the mapping at a path, new ones last; what is missing on the way there is made."""
    parent = _find(text, path)
    if isinstance(parent, document.Mapping) and parent.items and not parent.flow:
        fresh = {key: value for key, value in entries.items() if key not in parent.items}
        text = _spliced(text, *_after(text, parent), _rendered(text, fresh) if fresh else [], like=parent)
        known = [key for key in entries if key in parent.items]
        for key in sorted(known, key=lambda key: -parent.keys[key].line):
            text = _spliced(text, *_lines(text, parent, key), _rendered(text, {key: entries[key]}), like=parent)
        return text

    def change(root: Any) -> None:
        parent = _walk(root, path)
        for key, value in entries.items():
            parent[_key(parent, key)] = _written(value)

    return _changed(text, change)


def change_item(text: str, path: Path, index: int, value: str) -> str:
    """The text with another item in the list at a path."""

    def change(root: Any) -> None:
        _walk(root, path)[index] = _written(value)

    return _changed(text, change)


def append(text: str, path: Path, values: Sequence[str]) -> str:
    """The text with more items in the list at a path; an empty value becomes a list."""
    parent = _find(text, path)
    if not values:
        return text
    if isinstance(parent, document.Sequence) and parent.items and not parent.flow:
        return _spliced(text, *_after(text, parent), _rendered(text, values), like=parent)

    def change(root: Any) -> None:
        parent = _walk(root, path[:-1])
        key = _key(parent, path[-1])
        parent[key] = parent[key] or _written([])
        parent[key].extend(_written(value) for value in values)

    return _changed(text, change)


def erase(text: str, path: Path) -> str:
    """The text without the entry at a path; comments above and below it stay."""
    parent = _find(text, path[:-1])
    if isinstance(parent, (document.Mapping, document.Sequence)) and not parent.flow:
        return _spliced(text, *_lines(text, parent, path[-1]), [], like=parent)
    return _changed(text, lambda root: _drop(_walk(root, path[:-1]), path[-1]))


# -- by line --------------------------------------------------------------------------------


def _find(text: str, path: Path) -> Node | None:
    """The node at a path, if there is one."""
    node: Node | None = document.parse(text, "")
    for step in path:
        if isinstance(node, document.Mapping):
            node = node.items.get(str(step))
        elif isinstance(node, document.Sequence):
            node = node.items[int(step)]
        else:
            return None
        if node is not None and node.alias and not isinstance(node, document.Scalar):
            raise RequestError(f"{step} is an alias of something above it, on line {node.line}; edit that by hand.")
    return node


def _lines(text: str, parent: Collection, step: str | int) -> tuple[int, int]:
    """The lines that an entry takes, as a slice; blank lines and comments at its end are not part of it."""
    if isinstance(parent, document.Mapping):
        start, node = parent.keys[str(step)].line, parent.items[str(step)]
    else:
        node = parent.items[int(step)]
        start = node.line
    end = max(start, node.end)
    lines = text.splitlines()
    while end > start and re.match(r"\s*(#|$)", lines[end - 1]):
        end -= 1
    return start - 1, end


def _after(text: str, parent: Collection) -> tuple[int, int]:
    """The empty slice behind the last entry."""
    last = list(parent.items)[-1] if isinstance(parent, document.Mapping) else len(parent.items) - 1
    _, end = _lines(text, parent, last)
    return end, end


def _spliced(text: str, start: int, end: int, fresh: list[str], *, like: Collection) -> str:
    """The text with other lines in the place of some, indented as the entries of a collection are."""
    lines = text.splitlines()
    first = min(
        (key.line for key in like.keys.values()) if isinstance(like, document.Mapping) else [like.items[0].line]
    )
    margin = " " * _indent(lines[first - 1])
    lines[start:end] = [margin + line for line in fresh]
    return "\n".join(lines) + "\n"


def _rendered(text: str, value: Value) -> list[str]:
    """The lines of a mapping or a list, each entry on its own."""
    yaml = _yaml(text)
    if not isinstance(value, Mapping):
        yaml.indent(sequence=2, offset=0)
    out = io.StringIO()
    block = _written(value)
    block.fa.set_block_style()
    yaml.dump(block, out)
    return out.getvalue().splitlines()


# -- with ruamel ----------------------------------------------------------------------------


def _changed(text: str, change: Callable[[Any], None]) -> str:
    from ruamel.yaml.comments import CommentedMap

    yaml = _yaml(text)
    root = yaml.load(text)
    head = ""
    if root is None:  # nothing but comments, which have no value to be tied to
        head, root = text.rstrip("\n") + "\n" if text.strip() else "", CommentedMap()
    change(root)
    out = io.StringIO()
    yaml.dump(root, out)
    return head + out.getvalue()


def _yaml(text: str) -> YAML:
    """A reader and writer with the text's own way of indenting."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    content = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    steps = [
        (_indent(below) - _indent(above), below.lstrip().startswith("- "))
        for above, below in itertools.pairwise(content)
        if above.rstrip().endswith(":") and _indent(below) >= _indent(above)
    ]
    mapping = next((step for step, dash in steps if not dash and step), 2)
    offset = next((step for step, dash in steps if dash), 2)
    yaml.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    return yaml


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _walk(root: Any, path: Path) -> Any:
    """The collection at a path; mappings that are missing or empty are made."""
    from ruamel.yaml.comments import CommentedMap

    for step in path:
        key = _key(root, step)
        if isinstance(key, str) and root.get(key) is None:
            root[key] = CommentedMap()
        root = root[key]
    return root


def _key(parent: Any, step: str | int) -> Any:
    """The key as ruamel read it: 10 where the text says 10, and so do we, in letters."""
    if isinstance(step, int) or step in parent:
        return step
    return next((key for key in parent if not isinstance(key, str) and _same(key, step)), _written(step))


def _same(key: object, step: str) -> bool:
    return str(key) == step or (isinstance(key, int) and step.isdigit() and int(step) == key)


def _drop(parent: Any, step: str | int) -> None:
    del parent[_key(parent, step)]


def _written(value: Value) -> Any:
    """The value as it is to be written: in quotes where some reader might see no text, lists in brackets."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str):
        plain = value.isprintable() and document.reads_as_text(value)
        return value if plain else DoubleQuotedScalarString(value)
    if isinstance(value, Mapping):
        return CommentedMap((_written(key), _written(inner)) for key, inner in value.items())
    if isinstance(value, Sequence):
        items = CommentedSeq(_written(inner) for inner in value)
        items.fa.set_flow_style()
        return items
    return value
