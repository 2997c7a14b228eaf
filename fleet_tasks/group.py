"""FleetGroup: a Fabric ThreadingGroup with bounds, whose results come as they happen, keyed by device."""

from __future__ import annotations

import logging
import queue
import resource
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from fabric import GroupResult, ThreadingGroup
from fabric.exceptions import GroupException

from fleet_tasks.connection import DeviceConnection

Item = TypeVar("Item")
MOST_WAITING = 1000
"""Items that may wait to be shown before those who make them have to wait."""


class Arrivals:
    """What threads hand to the one that shows it; who is too fast waits, so a flood of output takes no memory."""

    def __init__(self) -> None:
        self._items: queue.Queue[tuple[bool, Any]] = queue.Queue(MOST_WAITING)
        self._closed = False

    def put(self, item: object) -> None:
        """Hands over one item; after the reader has gone, drops it."""
        self._put((False, item))

    def end(self, trouble: BaseException | None) -> None:
        """One thread hands over nothing more."""
        self._put((True, trouble))

    def until(self, running: int) -> Iterator[Any]:
        """Every item, until ``running`` threads have ended; then raises what escaped one of them."""
        escaped: BaseException | None = None
        try:
            while running:
                over, item = self._take()
                if not over:
                    yield item
                    continue
                running -= 1
                escaped = escaped or item
        finally:
            self._closed = True
        if escaped is not None:
            raise escaped

    def _take(self) -> tuple[bool, Any]:
        """The next one. Python hears a signal between two waits only, when the system gave it to another thread:
        as it may do with one that came while the program was stopped (Ctrl-Z, then ``kill %1``).
        """
        while True:
            with suppress(queue.Empty):
                return self._items.get(timeout=0.5)

    def _put(self, pair: tuple[bool, Any]) -> None:
        while not self._closed:
            try:
                self._items.put(pair, timeout=0.5)
                return
            except queue.Full:
                continue


OURS, EACH = 40, 3
"""Descriptors that the program itself may need, and those of a visit beside its socket: files it sends or keeps."""

log = logging.getLogger(__name__)


class FleetGroup(ThreadingGroup):  # type: ignore[misc]
    """Connections worked on at the same time, at most ``parallel`` of them.

    ``group.run("uptime")`` works as in Fabric, its results keyed by connection, and connections are told apart by
    device name. ``each`` is the way of the engine: an iterator instead of a dictionary at the end.
    """

    parallel = 32

    @classmethod
    def of(cls, connections: Iterable[DeviceConnection], parallel: int = 32) -> FleetGroup:
        """A group of these connections."""
        group: FleetGroup = cls.from_connections(connections)
        group.parallel = parallel
        return group

    def each(
        self, work: Callable[[DeviceConnection, Callable[[Item], None]], Iterable[Item]]
    ) -> Iterator[Item]:
        """What ``work`` yields or passes to its second argument, for every connection, as it happens.

        An exception that escapes ``work`` is raised here, after the others have come to their end.
        """
        waiting = deque(self)
        at_once, stay = room_for(min(self.parallel, len(self)), len(self))
        arrived = Arrivals()

        def run() -> None:
            trouble: BaseException | None = None
            try:
                while waiting:
                    connection = waiting.popleft()
                    for item in work(connection, arrived.put):
                        arrived.put(item)
                    if not stay:
                        connection.close()
            except IndexError:
                trouble = None  # another thread took the last one
            except BaseException as error:
                trouble = error
            arrived.end(trouble)

        threads = [
            threading.Thread(target=run, name=f"visits-{number}", daemon=True)
            for number in range(at_once)
        ]
        for thread in threads:
            thread.start()
        return arrived.until(len(threads))

    def _do(self, method: str, *args: Any, **kwargs: Any) -> GroupResult:
        results = GroupResult()

        def call(connection: DeviceConnection, _: object) -> Iterator[tuple[DeviceConnection, Any]]:
            try:
                yield connection, getattr(connection, method)(*args, **kwargs)
            except Exception as error:  # as in Fabric: an exception is a member's result
                yield connection, error

        for connection, value in self.each(call):
            results[connection] = value
        if results.failed:
            raise GroupException(results)
        return results


def room_for(visits: int, connections: int) -> tuple[int, bool]:
    """How many visits can go on at once, at least one, and whether all connections can stay open after theirs.

    The process allows itself as many descriptors as it needs for that, as far as the system lets it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OURS + connections + visits * EACH
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return visits, True
    allowed = wanted if hard == resource.RLIM_INFINITY else max(soft, min(wanted, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == wanted:
        return visits, True
    fit = max(1, min(visits, (allowed - OURS) // (EACH + 1)))
    if fit < visits:
        log.warning("Only %d devices are visited at once: no more than %d files may be open (ulimit -n).", fit, allowed)
    return fit, False
