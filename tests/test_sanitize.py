"""Remote bytes must be harmless on a terminal, whatever they are."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.formats import sanitize

ATTACKS = {
    "colour": b"\x1b[31mred",
    "clear screen": b"\x1b[2J",
    "window title": b"\x1b]0;owned\x07",
    "link": b"\x1b]8;;http://evil\x07click\x1b]8;;\x07",
    "clipboard": b"\x1b]52;c;ZXZpbA==\x07",
    "C1 as UTF-8": b"\xc2\x9b31m",
    "C1 raw": b"\x9b31m",
    "overwrite": b"failed\rdone  ",
    "backspace": b"rm\x08\x08ls",
    "bell": b"\x07" * 10,
    "NUL": b"a\0b",
    "form feed": b"a\x0cb\x0bc",
    "delete": b"\x7f",
    "override": "\u202egnp.exe".encode(),
    "isolate": "\u2066x\u2069".encode(),
    "mark": "\u200e\u200f\u061c".encode(),
    "separators": "a\u2028b\u2029c\x85d".encode(),
    "zero width": "pass\u200bword\ufeff\u2060".encode(),
    "tags": "\U000e0041\U000e0042".encode(),
    "selectors": "a\U000e0100\ufe01".encode(),
    "joiner in a word": "pay\u200dpal\u200c".encode(),
    "not UTF-8": b"\xff\xfe\xc3(",
    "surrogates": b"\xed\xa0\x80",
}


def harmless(text: str) -> bool:
    allowed = {"\n", "\t", "\u200c", "\u200d"}
    hostile = {"Cc", "Cs", "Zl", "Zp"}
    directions = "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
    return not any(
        (unicodedata.category(char) in hostile and char not in allowed)
        or char in directions
        or 0xE0000 <= ord(char) <= 0xE0FFF
        for char in text
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_becomes_visible_text(name: str) -> None:
    shown = sanitize.text(ATTACKS[name])
    assert harmless(shown)
    assert shown.isprintable()
    assert len(shown) >= 1


@given(st.binary())
def test_any_bytes_are_harmless_as_text_and_as_a_line(data: bytes) -> None:
    assert harmless(sanitize.text(data))
    assert "\n" not in sanitize.line(data)
    assert "\t" not in sanitize.line(data)


@given(st.text(st.characters()))
def test_any_text_is_harmless_and_cleaning_twice_changes_nothing(text: str) -> None:
    shown = sanitize.text(text)
    assert harmless(shown)
    assert sanitize.text(shown) == shown


@given(st.text(), st.integers(1, 50))
def test_a_line_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(sanitize.line(text, limit)) <= limit


def test_no_format_or_control_character_of_unicode_gets_through_but_visible_ones() -> None:
    # Arabic and other number signs, which Unicode calls format characters, are seen by everyone.
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
    for number in set(range(0x110000)) - visible:
        char = chr(number)
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and char not in "\n\t":
            assert char not in sanitize.text(char), hex(number)


def test_pictures_say_what_was_there() -> None:
    assert sanitize.text(b"\x1b[2J\x07\x00\x7f\r") == "␛[2J␇␀␡␍"
    assert sanitize.text(b"\x9b \xc2\x9b") == r"\x9b \x9b"
    assert sanitize.text("\u202e\U000e0041") == r"\u202e\U000e0041"


def test_ordinary_text_stays() -> None:
    for text in ("a\tb\nc\n", "Grüße, 世界, مرحبا, שלום", "👩‍💻 ❤️ 👍🏽", "नमस्ते क्‍ष", "می‌خواهم", "│ ─ ✓"):
        assert sanitize.text(text) == text


def test_the_newlines_of_dos_and_of_terminals_are_newlines() -> None:
    assert sanitize.text(b"a\r\nb\r\r\nc") == "a\nb\nc"


def test_a_line_shows_its_newlines() -> None:
    assert sanitize.line(b"a\nb\tc\n") == "a␤b c"
    assert sanitize.line("abcdef", 4) == "abc…"


def test_floods_are_shown_in_a_moment() -> None:
    begun = time.process_time()
    assert len(sanitize.text(b"\x07" * (1 << 20))) == 1 << 20
    assert len(sanitize.text(b"x\x1b" * (1 << 19))) == 1 << 20
    assert len(sanitize.line(b"x" * (100 << 20), 80)) == 80
    assert time.process_time() - begun < 5
