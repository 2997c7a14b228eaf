"""Run ids: 26 characters that sort by time and never repeat.

The form is that of ULID (https://github.com/ulid/spec): 48 bits of milliseconds since 1970, then 80 random
bits, in Crockford's base 32, which has no I, L, O or U to be misread.
"""

from __future__ import annotations

import re
import secrets
import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26
_RANDOM_BITS = 80
_RUN = re.compile(f"[0-7][{ALPHABET}]{{{LENGTH - 1}}}")

_last = 0


def new_run() -> str:
    """A new run's id; greater than every earlier one of this process, also within one millisecond."""
    global _last
    fresh = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    _last = fresh if fresh > _last else _last + 1
    return _encode(_last)


def first_at(seconds: float) -> str:
    """The least id of a moment, in seconds since 1970: every id made before it is smaller."""
    return _encode(max(0, int(seconds * 1000)) << _RANDOM_BITS)


def is_run(text: str) -> bool:
    """Whether a text is a whole run id (and so safe as the name of a folder)."""
    return _RUN.fullmatch(text) is not None


def _encode(number: int) -> str:
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(LENGTH)))
