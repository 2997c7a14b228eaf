"""Tally: a run that goes on, in one line: how much ended and how, how fast it goes, how long it may still take."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from fleet_tasks.formats.reporting import counts
from fleet_tasks.results import State

_WINDOW = 100
"""How many ends, counted from the last, tell how fast it goes now."""
_ENOUGH = 3
_EARLY = 2.0
"""Before so many tasks and seconds nobody can tell; nor before every slot that is at work could have ended one."""


class Tally:
    """Counts the tasks of a batch. ``tasks`` are all of them, with the states of those that were over before.

    Times are monotonic, in seconds.
    """

    def __init__(self, tasks: Mapping[str, State | None], begun: float) -> None:
        self._states = dict(tasks)
        self._begun = begun
        self._ending = False
        self._ends: deque[float] = deque([begun], maxlen=_WINDOW + 1)

    def over(self, task: str, state: State, worked: float | None) -> None:
        """A task is over; ``worked`` is when, for one that somebody worked on: what is skipped tells of no speed."""
        self._states[task] = state
        self._ending = self._ending or state is State.CANCELLED
        if worked is not None:
            self._ends.append(worked)

    def words(self, running: int, now: float) -> str:
        """``37/500 done, 8 running, 2 failed, 12/s, 3 s so far, ~40 s left``."""
        states = Counter(list(self._states.values()))
        ended = counts({state: states[state] for state in State if state is not State.DONE and states[state]})
        waiting = states[None] - running
        pace = self._pace(running, now)
        return ", ".join(
            (
                f"{states[State.DONE]}/{len(self._states)} done",
                f"{running} running",
                *((ended,) if ended != "nothing" else ()),
                *((_rate(pace),) if pace else ()),
                f"{span(now - self._begun)} so far",
                *((f"~{span(states[None] / pace)} left",) if pace and waiting > 0 else ()),
            )
        )

    def _pace(self, running: int, now: float) -> float:
        """Tasks in a second, lately; 0 while that is not known, and when nothing new begins any more."""
        ended, seconds = len(self._ends) - 1, now - self._ends[0]
        known = ended >= max(_ENOUGH, min(running, _WINDOW)) and now - self._begun >= _EARLY
        return ended / seconds if known and seconds > 0 and not self._ending else 0.0


def of_devices(running: int, waiting: int, ended: Mapping[State, int], seconds: float) -> str:
    """The same of a run in which every device has its one task: ``8 at work, 3 waiting, 12 done, 5 s``."""
    parts = (
        f"{running} at work",
        f"{waiting} waiting" if waiting else "",
        counts(ended) if any(ended.values()) else "",
        f"{seconds:.0f} s",
    )
    return ", ".join(filter(None, parts))


def span(seconds: float) -> str:
    """A time for people, no more exact than they need: ``7 s``, ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 20:
        return f"{seconds:.0f} s"
    if seconds < 100:
        return f"{round(seconds / 5) * 5} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _rate(pace: float) -> str:
    """Tasks in a second, a minute or an hour: whichever makes a number that says something."""
    if pace >= 1:
        return f"{pace:.0f}/s" if pace >= 10 else f"{pace:.1f}/s"
    return f"{pace * 60:.0f}/min" if pace >= 1 / 60 else f"{pace * 3600:.0f}/h"
