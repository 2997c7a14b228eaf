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
    found: list[dict[str, str]] = []
    entry: dict[str, str] | None = None
    lead = text[: len(text) - len(text.lstrip(" "))]
    begins = {f"{lead}- {key}": key for key in KEYS}
    goes_on = {f"{lead}  {key}": key for key in KEYS}
    for line in text.split("\n"):
        head, _, raw = line.partition(": ")
        if key := begins.get(head):
            entry = {}
            found.append(entry)
        elif not (key := goes_on.get(head)):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            entry = None  # nothing goes on behind a brace
            if not line.startswith(f"{lead}- {{") or (within := _braced(line[len(lead) + 2 :])) is None:
                return None
            found.append(within)
            continue
        if entry is None or key in entry or (value := _value(key, raw)) is None:
            return None
        entry[key] = value
    return found


def _braced(text: str) -> dict[str, str] | None:
    """The texts of a mapping in braces, if it has no comma but those between them."""
    if not text.endswith("}"):
        return None
    found: dict[str, str] = {}
    for pair in text[1:-1].split(", "):
        key, _, raw = pair.partition(": ")
        value = _value(key, raw)
        if key not in KEYS or key in found or value is None:
            return None
        if value == raw and not _FLOW.isdisjoint(raw):
            return None
        found[key] = value
    return found


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
