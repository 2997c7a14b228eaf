"""Engines: ways to carry visits out. An engine is one method, so that others can be plugged in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from fleet_tasks.connection import DeviceConnection
from fleet_tasks.results import Chunk, Progress, Result

Item = Progress | Chunk | Result
Work = Callable[[DeviceConnection, Callable[[Item], None]], Iterable[Item]]


class Engine(Protocol):
    """Carries visits out: ``work`` for every connection, what it yields as it happens."""

    def carry_out(self, connections: Sequence[DeviceConnection], work: Work, parallel: int) -> Iterator[Item]:
        """Calls ``work`` once for each connection, at most ``parallel`` at a time."""
        ...
