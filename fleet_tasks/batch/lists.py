"""Tasks that wait for a device: a short list of lists, so that a device looks only at a few heads."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping

Places = tuple[str, ...]
"""The names of the devices that a task may run on."""


class Lists:
    """Names of tasks, in a list for each set of devices; ``order`` is where each stood in the file."""

    def __init__(self, order: Mapping[str, int]) -> None:
        self._order = order
        self._lists: dict[Places, deque[str]] = {}
        self._of: dict[str, list[Places]] = defaultdict(list)
        self.waiting = 0

    def add(self, task: str, places: Places, *, first: bool) -> None:
        """One more waits, as the first or the last of its list."""
        if places not in self._lists:
            self._lists[places] = deque()
            for name in places:
                self._of[name].append(places)
        (self._lists[places].appendleft if first else self._lists[places].append)(task)
        self.waiting += 1

    def of(self, device: str) -> Iterator[tuple[Places, int]]:
        """Where something waits for a device, and how much."""
        return ((places, len(self._lists[places])) for places in self._of[device] if self._lists[places])

    def places(self) -> Iterator[Places]:
        """Where anything waits."""
        return (places for places, names in self._lists.items() if names)

    def order(self, places: Places) -> int:
        """Where the head of a list stood in the file."""
        return self._order[self._lists[places][0]]

    def pop(self, places: Places) -> str:
        """The head of a list, which waits no more."""
        self.waiting -= 1
        return self._lists[places].popleft()

    def clear(self, places: Places) -> list[str]:
        """All of a list, which waits no more."""
        names = list(self._lists[places])
        self._lists[places].clear()
        self.waiting -= len(names)
        return names
