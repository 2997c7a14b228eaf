"""What stands between a task and its beginning: those it comes after."""

from __future__ import annotations

from dataclasses import dataclass

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
