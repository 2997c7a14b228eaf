"""The engine for debugging: one device after the other, in the caller's thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet_tasks.connection import DeviceConnection
from fleet_tasks.engines import Item, Work


class Serial:
    """Visits one device at a time, in the order of the plan."""

    def carry_out(self, connections: Sequence[DeviceConnection], work: Work, parallel: int) -> Iterator[Item]:
        """What the visits yield; signs of life are dropped, there is nobody to see them meanwhile."""
        for connection in connections:
            yield from work(connection, lambda sign: None)
