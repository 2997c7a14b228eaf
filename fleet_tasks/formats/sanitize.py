"""Makes remote bytes harmless to look at: what could drive or fool a terminal becomes visible text.

Neutralised are the C0 and C1 control characters (escape codes, carriage returns, backspaces, bells), the
direction overrides of Unicode's bidirectional algorithm (UAX #9), line separators, and characters that
take no room but carry data: zero-width ones, tags, variation selectors, fillers. Tabs and newlines stay,
``\\r\\n`` counts as a newline. Joiners stay where scripts and emoji need them, between two such letters.
"""

from __future__ import annotations

import re

# Controls without \t and \n; soft hyphen; fillers; direction marks; separators; zero width; surrogates;
# variation selectors except the two for emoji; byte order mark; interlinear and musical formatting; tags.
_HOSTILE = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Scripts from Hebrew to Mongolian and the emoji: what is written with joiners.
_JOINED = r"\u0590-\u115e\u1161-\u17b3\u17b6-\u180a\u1810-\u1fff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff"
HOSTILE = re.compile(
    f"[{_HOSTILE}]+|[\u200c\u200d](?![{_JOINED}])|(?<![{_JOINED}])[\u200c\u200d]",
)
_NEWLINE = re.compile(r"\r+\n")


class _Visible(dict[int, str]):
    """Maps a character's number to its picture or its escape; filled as characters are met."""

    def __missing__(self, number: int) -> str:
        self[number] = shown = _picture(number)
        return shown


def _picture(number: int) -> str:
    if number < 0x20:
        return chr(0x2400 + number)
    if number == 0x7F:
        return "\u2421"
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


_VISIBLE = _Visible()


def text(data: bytes | str) -> str:
    """Any bytes as text of one or more lines that is safe to print; what is not UTF-8 shows as ``\\xNN``."""
    words = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    return HOSTILE.sub(lambda match: match.group().translate(_VISIBLE), _NEWLINE.sub("\n", words))


def line(data: bytes | str, limit: int = 0) -> str:
    """The same as one line of at most ``limit`` characters (0: any), newlines as ``␤``, tabs as a space."""
    # A character takes four bytes at most, so nothing beyond this can be shown: 1 GB is not decoded for a cell.
    head = data[: 4 * limit + 4] if limit else data
    words = text(head).rstrip("\n").replace("\n", "\u2424").replace("\t", " ")
    return words if not limit or len(words) <= limit else words[: limit - 1] + "…"
