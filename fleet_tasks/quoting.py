"""Quoting: how a value looks once a program has printed it so that it can be read in again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

_NAMED = {7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r", 39: b"\\'", 92: b"\\\\"}
_BASH = re.compile(rb"[ '\"\\|&;()<>!{}*\[\]?^$`,]|\A#|(?:\A|(?<=[:=]))~")
_ZSH = re.compile(rb"[ '\"\\|&;()<>{}*\[\]?^$`#]|\A[=~]")
_UNSEEN, _UNSEEN_IN_UTF8 = re.compile(rb"[\x00-\x1f\x7f-\xff]"), re.compile(rb"[\x00-\x1f\x7f]")
_PLAIN = re.compile(rb"[A-Za-z0-9_./:@%+-]*")


def disguises(value: bytes) -> frozenset[bytes]:
    """``value`` and its looks, without the quotes around them, in JSON and in what shells print.

    Shells are dash, bash, busybox and zsh, with ``set``, ``export -p``, ``set -x`` and ``printf %q``.
    """
    if _PLAIN.fullmatch(value):
        return frozenset((value,))
    shells = {value, *_shells(value)}
    return frozenset(shells.union(look for shell in shells for look in _json(shell)))


def _json(value: bytes) -> Iterator[bytes]:
    text = value.decode("utf-8", "surrogateescape")
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogateescape")


def _shells(value: bytes) -> Iterator[bytes]:
    yield _single(value, lambda quotes: b'"' + quotes + b'"')  # dash and busybox: 'can'"'"'t'
    yield _single(value, lambda quotes: b"''".join([b"\\'"] * len(quotes)))  # bash: 'can'\''t'
    yield _single(value, lambda quotes: b"\\'" * len(quotes))  # zsh does not open it between two of them
    yield re.sub(rb'[$`"\\]', rb"\\\g<0>", value)  # "..."
    yield _BASH.sub(rb"\\\g<0>", value)
    for unseen in (_UNSEEN, _UNSEEN_IN_UTF8):
        yield unseen.sub(lambda found: b"$'" + _octal(found[0][0]) + b"'", _ZSH.sub(rb"\\\g<0>", value))
    for byte in (_bash, _bash_in_utf8, _zsh):  # $'...'
        yield b"".join(map(byte, value))


def _single(value: bytes, written: Callable[[bytes], bytes]) -> bytes:
    """Between single quotes, which end before each quote and begin again after it. At the ends some leave them out."""
    quoted = re.sub(rb"'+", lambda found: b"'" + written(found[0]) + b"'", value)
    return quoted[value.startswith(b"'") : len(quoted) - value.endswith(b"'")]


def _bash(byte: int) -> bytes:
    return _octal(byte) if byte >= 128 else _bash_in_utf8(byte)


def _bash_in_utf8(byte: int) -> bytes:
    if 32 <= byte != 127 and byte not in _NAMED:
        return bytes((byte,))
    return b"\\E" if byte == 27 else _octal(byte)


def _octal(byte: int) -> bytes:
    return _NAMED.get(byte, b"\\%03o" % byte)


def _zsh(byte: int) -> bytes:
    if byte >= 128:
        return b"\\M-" + _zsh(byte - 128)
    return _NAMED.get(byte) or (b"\\C-%c" % (byte ^ 64) if byte < 32 or byte == 127 else bytes((byte,)))
