"""Waiting for a condition of which the system tells nobody: it is looked at again and again, within a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.bench import PATIENCE


def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Whether ``condition`` holds within so many seconds."""
    over = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > over:
            return False
        time.sleep(0.02)
    return True


def until(condition: Callable[[], object], what: str = "it", seconds: float = PATIENCE) -> None:
    """Waits until ``condition`` holds; AssertionError when ``what`` never comes."""
    assert eventually(condition, seconds), f"{what} did not come within {seconds:g} s"
