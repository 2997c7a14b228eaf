"""What the package has to say besides results: warnings always, everything under ``--debug``; never a secret."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleet_tasks.secrets import Scrubber

LOGGER = logging.getLogger("fleet_tasks")


class Speaker(logging.Handler):
    """Passes records on as sentences, scrubbed."""

    def __init__(self, say: Callable[[str], None], scrubber: Callable[[], Scrubber]) -> None:
        super().__init__()
        self._say = say
        self._scrubber = scrubber

    def emit(self, record: logging.LogRecord) -> None:
        """One record, with its traceback where there is one."""
        self._say(self._scrubber().text(self.format(record)))


@contextmanager
def speaking(say: Callable[[str], None], scrubber: Callable[[], Scrubber], *, debug: bool) -> Iterator[None]:
    """Within it, what the package logs is said."""
    handler = Speaker(say, scrubber)
    level, spread = LOGGER.level, LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG if debug else logging.WARNING)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        LOGGER.propagate = spread
