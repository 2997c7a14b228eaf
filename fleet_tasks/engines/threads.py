"""The default engine: one process, a bounded number of threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet_tasks.connection import DeviceConnection
from fleet_tasks.engines import Item, Work
from fleet_tasks.group import FleetGroup


class Threads:
    """Visits up to ``parallel`` devices at the same time."""

    def carry_out(self, connections: Sequence[DeviceConnection], work: Work, parallel: int) -> Iterator[Item]:
        """What the visits yield, as it happens."""
        return FleetGroup.of(connections, parallel).each(work)
