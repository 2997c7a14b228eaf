"""Tasks in a YAML text that are plain texts and nothing else, read line by line in a tenth of a parser's time.

What programs write for thousands of tasks is like that. Whatever is not, is left to the parser: one line that takes a
closer look, and nothing is read here at all.
"""

from __future__ import annotations

from fleet_tasks.registry.document import LONGEST, MOST, reads_as_text

KEYS = ("id", "task", "agent", "model")
"""What is read here; all but the task are names, in which a number stands for itself."""


def entries(text: str) -> list[dict[str, str]] | None:
    """The texts of each item of a list of mappings; None where it says anything else.

        - id: a
          task: Summarise {input}
        - {id: b, task: "Count the lines"}

    The text is what stands below the list's key, and all there is.
    """
    if len(text) > LONGEST or text.count("\n") * 3 > MOST:
        return None
    if not (text.isascii() and text.replace("\n", "").isprintable()):
        return None
    lead = text[: len(text) - len(text.lstrip(" "))]
    begins, goes_on = f"{lead}- ", f"{lead}  "
    found: list[dict[str, str]] = []
    is_open = False
    for line in text.split("\n"):
        bare = line.lstrip(" ")
        if not bare or bare[0] == "#":
            continue
        mark, rest = line[: len(begins)], line[len(begins) :]
        braced = mark == begins and rest[:1] == "{" and rest[-1] == "}"
        if mark == begins:
            found.append({})
            is_open = not braced
        elif mark != goes_on or not is_open:
            return None
        pairs = rest[1:-1].split(", ") if braced else (rest,)
        if not all(_add(found[-1], pair, braced) for pair in pairs):
            return None
    return found


def _add(entry: dict[str, str], pair: str, braced: bool) -> bool:
    """Adds a key and its value to an entry; false where that is not so plain, as with a comma in a value in braces."""
    key, _, raw = pair.partition(": ")
    value = _value(key, raw)
    if key not in KEYS or key in entry or value is None:
        return False
    if braced and value == raw and not _FLOW.isdisjoint(raw):
        return False
    entry[key] = value
    return True


def _value(key: str, raw: str) -> str | None:
    """The text of a value on one line, in quotes or without; None where it may be something else."""
    if raw[:1] == '"':
        text = raw[1:-1]
        return None if len(raw) < 2 or raw[-1] != '"' or '"' in text or "\\" in text else text
    if raw[:1] == "'":
        text = raw[1:-1]
        return None if len(raw) < 2 or raw[-1] != "'" or "'" in text.replace("''", "") else text.replace("''", "'")
    if not (raw[:1].isalnum() or raw[:1] in _LETTERS) or raw[-1:] in _LAST or ": " in raw or " #" in raw:
        return None
    if reads_as_text(raw) or (key != "task" and raw[0].isdigit()):
        return raw
    return None


_LETTERS = ("_", "/", "$", "(")
_LAST = ("", ":", " ")
_FLOW = frozenset(",[]{}")
