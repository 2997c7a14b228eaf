"""How the devices of a batch have fared: who is at work, who is set aside for a while, who is given up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

FAILURES = 2
"""Failed and lost connections in a row after which a device is set aside."""
GIVEN_UP = 2 * FAILURES
"""Failed and lost connections in a row after which a device gets nothing more."""
ASIDE = 30.0
"""Seconds after which a device that was set aside is tried again; twice as many the next time."""
SOON = 1.0
"""Seconds after which it is tried again when nobody else has anything to do: all that is left waits for it."""


class Fitness:
    """Counts failures in a row, by device; ``now`` is a clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._row: dict[str, int] = defaultdict(int)
        self._ever: dict[str, int] = defaultdict(int)
        self._last: dict[str, float] = {}
        self._given_up: set[str] = set()

    def ever(self, device: str) -> int:
        """How many failures there were at all: it tells whether there was another since."""
        return self._ever[device]

    def is_aside(self, device: str) -> bool:
        """Whether it failed too often to be at work."""
        return self._row[device] >= FAILURES

    def is_given_up(self, device: str) -> bool:
        """Whether it failed so often that it gets nothing more."""
        return device in self._given_up

    def are_given_up(self, devices: Iterable[str]) -> bool:
        """Whether none of them gets anything more."""
        return self._given_up.issuperset(devices)

    def rest(self, device: str, busy: Callable[[], bool]) -> float:
        """Seconds for which it is still set aside, zero or less for none; ``busy`` is whether others have work."""
        if not self.is_aside(device):
            return 0.0
        pause = ASIDE * (self._row[device] - FAILURES + 1) if busy() else SOON
        return self._last[device] + pause - self._now()

    def failed(self, device: str, seen: int | None = None, *, passing: bool = True) -> bool:
        """One more failure, for good if it cannot pass; whether the device is set aside now, and was not before.

        Attempts that are cut off together make one failure: ``seen`` is how many there ``ever`` were when one began.
        """
        if seen is not None and seen != self._ever[device]:
            return False
        before = self._row[device]
        self._row[device] = before + 1 if passing else max(before + 1, GIVEN_UP)
        self._ever[device] += 1
        if self._row[device] >= GIVEN_UP:
            self._given_up.add(device)
        self._last[device] = self._now()
        return before < FAILURES <= self._row[device]

    def worked(self, device: str) -> None:
        """All went well: its failures are forgotten, unless it was given up."""
        if not self.is_given_up(device):
            self._row[device] = 0
