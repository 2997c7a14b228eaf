"""Who does which task next: a queue that devices take from. Pure but for its lock; cost per task does not grow.

Tasks wait by the set of devices they may run on, so a device looks only at the heads of a few short lists.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from fleet_tasks.batch.gates import Gate
from fleet_tasks.batch.tasks import Task
from fleet_tasks.results import State

FAILURES = 2
"""Connection failures in a row after which a device is set aside."""
GIVEN_UP = 2 * FAILURES
"""Connection failures in a row after which a device gets nothing more."""
ASIDE = 30.0
"""Seconds after which a device that was set aside is tried again; twice as many the next time."""
SOON = 1.0
"""Seconds after which it is tried again when nobody else has anything to do: all that is left waits for it."""


@dataclass(frozen=True)
class Attempt:
    """One try of a task; ``number`` counts from 1, tries of earlier processes included."""

    task: Task
    number: int


class Queue:
    """Tasks that wait, run and are over. Safe in threads; ``take`` blocks until there is something to do.

    ``over`` are the states of tasks that ended before, ``tries`` how often each was begun before, ``most`` how many
    may run at the same time.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        over: Mapping[str, State] | None = None,
        tries: Mapping[str, int] | None = None,
        most: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._order = {name: number for number, name in enumerate(self._tasks)}
        self._states: dict[str, State] = dict(over or {})
        self._before = dict(tries or {})
        self._tries: dict[str, int] = defaultdict(int, self._before)
        self._ready: dict[tuple[str, ...], deque[str]] = {}
        self._keys: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self._waiters: dict[str, list[str]] = defaultdict(list)
        self._gates: dict[str, Gate] = {}
        self._aside: dict[str, float] = {}
        self._failures: dict[str, int] = defaultdict(int)
        self._waiting = 0
        self._running = 0
        self._most = most
        self._closed = False
        self._now = now
        self._changed = threading.Condition()
        self.blocked: list[Task] = []
        for task in self._tasks.values():
            if task.id not in self._states:
                self._admit(task)

    def take(self, device: str) -> Attempt | None:
        """The next task for a device; None when there will be none. Blocks while others may still make some ready."""
        with self._changed:
            while not self._closed and self._failures[device] < GIVEN_UP:
                rest = self._rest(device)
                if rest <= 0 and (self._most is None or self._running < self._most):
                    task = self._pop(device)
                    if task is not None:
                        self._running += 1
                        self._tries[task.id] += 1
                        return Attempt(task, self._tries[task.id])
                if not self._running and not self._waiting:
                    return None
                self._changed.wait(rest if rest > 0 else None)
        return None

    def give_back(self, attempt: Attempt, device: str, *, elsewhere: bool = False) -> bool:
        """The attempt did not begin, and the task waits again.

        With ``elsewhere`` not for this device; false when no device is left for it then, and it has to be finished.
        """
        with self._changed:
            task = attempt.task
            if elsewhere:
                others = tuple(name for name in task.devices if name != device)
                if not others:
                    return False
                task = self._tasks[task.id] = replace(task, devices=others)
            self._running -= 1
            self._tries[task.id] -= 1
            self._enqueue(task, first=True)
            self._changed.notify_all()
            return True

    def may_repeat(self, attempt: Attempt, state: State) -> bool:
        """Whether a task that ended so is tried once more: as often as it says, and after a cut link at least once."""
        task = attempt.task
        if self._closed or not task.idempotent or state not in (State.FAILED, State.LOST, State.TIMED_OUT):
            return False
        made = attempt.number - self._before.get(task.id, 0)
        return made <= (max(task.retries, 1) if state is State.LOST else task.retries)

    def again(self, attempt: Attempt) -> None:
        """The attempt is over, and its task waits again."""
        with self._changed:
            self._running -= 1
            self._enqueue(attempt.task, first=True)
            self._changed.notify_all()

    def finish(self, attempt: Attempt, state: State) -> None:
        """The task is over; whoever waited for it may be ready now, or blocked for good."""
        with self._changed:
            self._running -= 1
            self._settle(attempt.task.id, state)
            self._changed.notify_all()

    def connected(self, device: str) -> None:
        """The device answered: its failures are forgotten, unless it was given up."""
        with self._changed:
            if self._failures[device] < GIVEN_UP:
                self._failures[device] = 0

    def failed(self, device: str, *, passing: bool = True) -> bool:
        """A connection to the device failed; whether it is set aside because of that, for good if it cannot pass."""
        with self._changed:
            before = self._failures[device]
            self._failures[device] = before + 1 if passing else max(before + 1, GIVEN_UP)
            if self._failures[device] < FAILURES:
                return False
            self._aside[device] = self._now()
            if before < GIVEN_UP <= self._failures[device]:
                self._leave(device)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Nobody gets anything more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def left(self) -> list[Task]:
        """Every task that never came to an end, in order."""
        with self._changed:
            return [task for name, task in self._tasks.items() if name not in self._states]

    # -- inside the lock ----------------------------------------------------------------------

    def _admit(self, task: Task) -> None:
        gate = self._gates[task.id] = Gate()
        for name in task.after:
            if name in self._states:
                gate.count(self._states[name])
            else:
                gate.open += 1
                self._waiters[name].append(task.id)
        if self._judge(task, gate):
            self._settle(task.id, State.SKIPPED)

    def _judge(self, task: Task, gate: Gate) -> bool:
        """Queues a task that may begin; true for one that never can."""
        if gate.entered:
            return False
        hopeless = gate.hopeless(task.need)
        if hopeless:
            self.blocked.append(task)
        elif gate.ready(task.need):
            self._enqueue(task)
        gate.entered = hopeless or gate.ready(task.need)
        return hopeless

    def _enqueue(self, task: Task, *, first: bool = False) -> None:
        key = task.devices
        if key not in self._ready:
            self._ready[key] = deque()
            for name in key:
                self._keys[name].append(key)
        (self._ready[key].appendleft if first else self._ready[key].append)(task.id)
        if self._alive(key):
            self._waiting += 1

    def _pop(self, device: str) -> Task | None:
        heads = [(self._order[self._ready[key][0]], key) for key in self._keys[device] if self._ready[key]]
        if not heads:
            return None
        self._waiting -= 1
        return self._tasks[self._ready[min(heads)[1]].popleft()]

    def _rest(self, device: str) -> float:
        """Seconds for which the device is still set aside."""
        since = self._aside.get(device)
        if since is None or self._failures[device] < FAILURES:
            return 0.0
        others = self._running or any(not self._aside_all(key) for key, names in self._ready.items() if names)
        pause = ASIDE * (self._failures[device] - FAILURES + 1) if others else SOON
        return since + pause - self._now()

    def _aside_all(self, devices: tuple[str, ...]) -> bool:
        """Whether none of these devices is at work."""
        return all(self._failures[name] >= FAILURES for name in devices)

    def _alive(self, devices: tuple[str, ...]) -> bool:
        return any(self._failures[name] < GIVEN_UP for name in devices)

    def _leave(self, device: str) -> None:
        """Nobody needs to wait any more for tasks that only this device could have done."""
        self._waiting -= sum(len(self._ready[key]) for key in self._keys[device] if not self._alive(key))

    def _settle(self, name: str, state: State) -> None:
        """Notes an end and looks again at those who wait for it; without recursion, chains may be long."""
        ended = deque([(name, state)])
        while ended:
            name, state = ended.popleft()
            self._states[name] = state
            for waiter in self._waiters.pop(name, ()):
                gate = self._gates[waiter]
                gate.open -= 1
                gate.count(state)
                if self._judge(self._tasks[waiter], gate):
                    ended.append((waiter, State.SKIPPED))
