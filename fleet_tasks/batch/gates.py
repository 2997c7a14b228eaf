"""What stands between a task and its beginning: those it comes after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleet_tasks.batch.tasks import Task
from fleet_tasks.results import State


@dataclass
class Gate:
    """What one task waits for: how many forerunners are ``open``, and how many of the others were done or not."""

    open: int = 0
    good: int = 0
    bad: int = 0
    entered: bool = False

    def count(self, state: State) -> None:
        """One more forerunner is over."""
        if state is State.DONE:
            self.good += 1
        else:
            self.bad += 1

    def ready(self, need: str) -> bool:
        """Whether the task may begin."""
        return (not self.open and (need == "ended" or not self.bad)) or (need == "any" and self.good > 0)

    def hopeless(self, need: str) -> bool:
        """Whether it never can."""
        return self.bad > 0 and (need == "all" or (need == "any" and not self.open and not self.good))


class Gates:
    """The gates of all tasks, and who waits at them for whom."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}
        self._waiters: dict[str, list[str]] = defaultdict(list)

    def add(self, task: Task, over: Mapping[str, State]) -> Gate:
        """A task's gate, where some of those it comes after may be over."""
        gate = self._gates[task.id] = Gate()
        for name in task.after:
            if name in over:
                gate.count(over[name])
            else:
                gate.open += 1
                self._waiters[name].append(task.id)
        return gate

    def ended(self, name: str, state: State) -> Iterator[tuple[str, Gate]]:
        """Whoever waited for a task that ended so, with its gate."""
        for waiter in self._waiters.pop(name, ()):
            gate = self._gates[waiter]
            gate.open -= 1
            gate.count(state)
            yield waiter, gate
