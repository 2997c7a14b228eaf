"""Whose turn it is when there are fewer tasks than devices: who is idle, ready and little loaded goes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

PATIENCE = 0.5
"""Seconds after the first device is there for which the others are waited for, where each would be preferred."""


class Turns:
    """Who is there, and in which order they are asked; ``slots`` is how many tasks each device works on at a time.

    A device that nothing is known of goes before nobody and lets nobody go first, and nobody is kept waiting for one
    that is not ``able`` to take anything now.
    """

    def __init__(self, slots: Mapping[str, int], now: Callable[[], float], able: Callable[[str], bool]) -> None:
        self._now = now
        self._slots = slots
        self._able = able
        self._coming = set(slots)
        self._there: dict[str, tuple[bool, float]] = {}
        self._working: Counter[str] = Counter()
        self._until: float | None = None
        self._refused = False

    def arrived(self, device: str, load: float, *, ready: bool) -> None:
        """It is there, with so much load per core; ``ready`` is whether it has the agents it needs."""
        if self._until is None:
            self._until = self._now() + PATIENCE
        self._coming.discard(device)
        self._there[device] = (not ready, load)

    def away(self, device: str) -> None:
        """It is not there just now: who has never been there may be on its way."""
        self._there.pop(device, None)

    def left(self, device: str) -> None:
        """It was not reached, or lost, and is waited for no more."""
        self._coming.discard(device)
        self.away(device)

    def began(self, device: str) -> None:
        """It works on one task more."""
        self._working[device] += 1

    def ended(self, device: str) -> None:
        """It works on one task less."""
        self._working[device] -= 1

    def was_refused(self) -> bool:
        """Whether anybody left tasks to others since this was asked last, and so may wait for a turn."""
        refused, self._refused = self._refused, False
        return refused

    def is_next(self, device: str, tasks: int, devices: Sequence[str]) -> bool:
        """Whether it gets one of so many tasks, or leaves them to those of ``devices`` who come before it."""
        if tasks >= len(devices) or device not in self._there:
            return tasks > 0
        mine, waits = self._rank(device), self.rest() > 0
        for other in devices:
            if tasks <= 0:
                break
            if other in self._there:
                tasks -= self._is_free(other) and self._rank(other) < mine
            else:
                tasks -= waits and other in self._coming
        self._refused |= tasks <= 0
        return tasks > 0

    def rest(self) -> float:
        """Seconds for which those are still waited for who were not there yet."""
        return self._until - self._now() if self._until is not None and self._coming else 0.0

    def _is_free(self, device: str) -> bool:
        return self._working[device] < self._slots.get(device, 1) and self._able(device)

    def _rank(self, device: str) -> tuple[int, bool, float]:
        return (self._working[device], *self._there[device])
