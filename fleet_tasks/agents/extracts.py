"""What is read out of an agent's output: a place in a JSON document, in JSON lines, or a pattern in plain text.

    json:result             the value of that key in the JSON document on standard output
    json:payloads.0.text    keys with dots between; numbers count from 0 in lists; * stands for each
    jsonl:item.text         the same in JSON lines; the last line that has it counts
    text:(?m)^Error: .*     what a regular expression finds
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from fleet_tasks.errors import RequestError
from fleet_tasks.record import record


@record
class Extract:
    """One thing to look for; ``kind`` is json, jsonl or text."""

    kind: str
    keys: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None

    @classmethod
    def of(cls, text: str, where: str) -> Extract:
        """What ``text`` asks for; raises RequestError, which names ``where`` it stands."""
        kind, colon, rest = text.partition(":")
        if kind in ("json", "jsonl") and rest and all(rest.split(".")):
            return cls(kind, tuple(rest.split(".")))
        if kind == "text" and not rest and not colon:
            return cls(kind)
        if kind == "text" and rest:
            try:
                return cls(kind, pattern=re.compile(rest))
            except re.error as error:
                raise RequestError(f"{where}: {rest!r} is no regular expression: {error}.") from error
        raise RequestError(f"{where}: {text!r} is neither json:KEY, jsonl:KEY nor text:PATTERN.")

    def at(self, path: str) -> Extract:
        """Another place in the same kind of document."""
        return Extract(self.kind, tuple(path.split(".")))

    def values(self, data: bytes) -> list[object]:
        """Everything that is found, in order."""
        text = data.decode("utf-8", "replace")
        if self.kind == "text":
            return [found[0] for found in self.pattern.finditer(text)] if self.pattern else []
        return [value for document in _documents(self.kind, text) for value in _follow(document, self.keys)]

    def last(self, data: bytes) -> str | None:
        """The last of them as text; None where there is none."""
        found = [value for value in self.values(data) if value is not None]
        if not found:
            return None
        return found[-1] if isinstance(found[-1], str) else json.dumps(found[-1])

    def total(self, data: bytes) -> float | None:
        """The sum of the numbers among them; None where there is none."""
        numbers = [value for value in self.values(data) if isinstance(value, (int, float))]
        return sum(numbers) if numbers else None


def _documents(kind: str, text: str) -> Iterator[object]:
    """The JSON in a text: each line that is some, or the one document with whatever was printed around it."""
    if kind == "jsonl":
        for line in text.splitlines():
            yield from _parsed(line)
        return
    whole = list(_parsed(text))
    start = re.search(r"^\{", text, re.MULTILINE)
    yield from whole or (_parsed(text[start.start() : text.rfind("}") + 1]) if start else ())


def _parsed(text: str) -> Iterator[object]:
    try:
        yield json.loads(text)
    except (ValueError, RecursionError):
        return


def _follow(value: object, keys: tuple[str, ...]) -> Iterator[object]:
    if not keys:
        yield value
        return
    key, *rest = keys
    inner: list[object] = []
    if isinstance(value, dict):
        inner = list(value.values()) if key == "*" else [value[key]] if key in value else []
    elif isinstance(value, list):
        chosen = key.isdigit() and int(key) < len(value)
        inner = value if key == "*" else [value[int(key)]] if chosen else []
    for each in inner:
        yield from _follow(each, tuple(rest))
