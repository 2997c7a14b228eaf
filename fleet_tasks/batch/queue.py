"""Who does which task next: a queue that devices take from. Pure but for its lock; cost per task does not grow.

Tasks wait by the set of devices they may run on, so a device looks only at the heads of a few short lists.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from fleet_tasks.batch.fitness import Fitness
from fleet_tasks.batch.gates import Gate
from fleet_tasks.batch.tasks import Task
from fleet_tasks.errors import Cancelled
from fleet_tasks.results import State
from fleet_tasks.stopping import Stopping


@dataclass(frozen=True)
class Attempt:
    """One try of a task; ``number`` counts from 1, tries of earlier processes included.

    ``seen`` is how many failures of its device had been counted when it was taken.
    """

    task: Task
    number: int
    seen: int = 0


class Queue:
    """Tasks that wait, run and are over; safe in threads.

    ``over`` are the states of tasks that ended before, ``tries`` how often each was begun before, ``most`` how many
    may run at the same time. ``through`` ends what a device does in hope of a task, once there will be none.
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
        self._fitness = Fitness(now)
        self._unreached: set[str] = set()
        self._waiting = 0
        self._running = 0
        self._most = most
        self._closed = False
        self._changed = threading.Condition()
        self.through = Stopping()
        self.blocked: list[Task] = []
        for task in self._tasks.values():
            if task.id not in self._states:
                self._admit(task)

    def wait(self, device: str) -> bool:
        """Whether a device finds something to take; blocks while others may still make some ready."""
        with self._changed:
            while not (self._over() or self._fitness.is_given_up(device)):
                if self._fits(device):
                    return True
                self._changed.wait(max(0.0, self._rest(device)) or None)
        return False

    def fits(self, device: str) -> bool:
        """Whether there is something that a device could take now."""
        with self._changed:
            return self._fits(device)

    def take(self, device: str) -> Attempt | None:
        """The next task for a device; None when there is none now."""
        with self._changed:
            if not self._fits(device):
                return None
            heads = ((self._order[self._ready[key][0]], key) for key in self._keys[device] if self._ready[key])
            task = self._tasks[self._ready[min(heads)[1]].popleft()]
            self._waiting -= 1
            self._running += 1
            self._tries[task.id] += 1
            return Attempt(task, self._tries[task.id], self._fitness.ever(device))

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
            self._return(task)
            return True

    def may_repeat(self, attempt: Attempt, state: State) -> bool:
        """Whether a task that ended so is tried once more: as often as it says, and after a cut link at least once."""
        task = attempt.task
        if self._closed or state is State.UNREACHABLE:  # which is no end, for it did not begin
            return not self._closed
        if not task.idempotent or state not in (State.FAILED, State.LOST, State.TIMED_OUT):
            return False
        made = attempt.number - self._before.get(task.id, 0)
        return made <= (max(task.retries, 1) if state is State.LOST else task.retries)

    def again(self, attempt: Attempt) -> None:
        """The attempt is over, and its task waits again."""
        with self._changed:
            self._running -= 1
            self._return(attempt.task)

    def finish(self, attempt: Attempt, state: State) -> None:
        """The task is over; whoever waited for it may be ready now, or blocked for good."""
        with self._changed:
            self._running -= 1
            self._settle(attempt.task.id, state)
            self._tell()

    def worked(self, device: str) -> None:
        """An attempt ended properly on the device: its failures are forgotten, unless it was given up."""
        with self._changed:
            self._fitness.worked(device)

    def failed(self, device: str, attempt: Attempt | None = None, *, passing: bool = True) -> bool:
        """The device was not reached, or lost under an attempt; for good if it cannot pass. True when set aside now."""
        with self._changed:
            aside = self._fitness.failed(device, attempt.seen if attempt else None, passing=passing)
            if self._fitness.is_given_up(device):
                self._leave(device)
            self._tell()
            return aside

    def close(self) -> None:
        """Nobody gets anything more."""
        with self._changed:
            self._closed = True
            self._tell()

    def left(self) -> list[Task]:
        """Every task that never came to an end, in order."""
        with self._changed:
            return [task for name, task in self._tasks.items() if name not in self._states or name in self._unreached]

    def _admit(self, task: Task) -> None:
        gate = self._gates[task.id] = Gate()
        for name in task.after:
            if name in self._states:
                gate.count(self._states[name])
            else:
                gate.open += 1
                self._waiters[name].append(task.id)
        if (state := self._judge(task, gate)) is not None:
            self._settle(task.id, state)

    def _judge(self, task: Task, gate: Gate) -> State | None:
        """Queues a task that may begin; the state of one that is over without."""
        if gate.entered:
            return None
        hopeless = gate.hopeless(task.need)
        gate.entered = hopeless or gate.ready(task.need)
        if hopeless:
            self.blocked.append(task)
            return State.SKIPPED
        return State.UNREACHABLE if gate.entered and not self._enqueue(task) else None

    def _over(self) -> bool:
        return self._closed or not (self._running or self._waiting)

    def _tell(self) -> None:
        """Everybody looks again at what there is to do."""
        self._changed.notify_all()
        if self._over():
            self.through.request(Cancelled("Nothing is left to do."))

    def _return(self, task: Task) -> None:
        """A task that was taken is the first to be taken again."""
        if not self._enqueue(task, first=True):
            self._settle(task.id, State.UNREACHABLE)
        self._tell()

    def _enqueue(self, task: Task, *, first: bool = False) -> bool:
        """Lets a task wait for a device; false when none is left that it could wait for."""
        key = task.devices
        if all(map(self._fitness.is_given_up, key)):
            self._unreached.add(task.id)
            return False
        if key not in self._ready:
            self._ready[key] = deque()
            for name in key:
                self._keys[name].append(key)
        (self._ready[key].appendleft if first else self._ready[key].append)(task.id)
        self._waiting += 1
        return True

    def _fits(self, device: str) -> bool:
        if self._closed or self._fitness.is_given_up(device) or (self._most and self._running >= self._most):
            return False
        return self._rest(device) <= 0 and any(self._ready[key] for key in self._keys[device])

    def _rest(self, device: str) -> float:
        """Seconds for which the device is still set aside."""
        return self._fitness.rest(device, self._busy)

    def _busy(self) -> bool:
        """Whether anybody works, or finds something to do while some are set aside."""
        aside = self._fitness.is_aside
        return self._running > 0 or any(not all(map(aside, key)) for key, names in self._ready.items() if names)

    def _leave(self, device: str) -> None:
        """Tasks that only this device could have done are over, for now: they never began."""
        for key in self._keys[device]:
            names = self._ready[key]
            if names and all(map(self._fitness.is_given_up, key)):
                self._ready[key] = deque()
                self._waiting -= len(names)
                self._unreached.update(names)
                for name in names:
                    self._settle(name, State.UNREACHABLE)

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
                verdict = self._judge(self._tasks[waiter], gate)
                if verdict is not None:
                    ended.append((waiter, verdict))
