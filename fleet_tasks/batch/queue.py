"""Who does which task next: a queue that devices take from. Pure but for its lock; cost per task does not grow."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from fleet_tasks.batch.fitness import Fitness
from fleet_tasks.batch.gates import Gate, Gates
from fleet_tasks.batch.lists import Lists, Places
from fleet_tasks.batch.tasks import Task
from fleet_tasks.batch.turns import Turns
from fleet_tasks.errors import Cancelled
from fleet_tasks.record import record
from fleet_tasks.results import State
from fleet_tasks.stopping import Stopping


@record
class Attempt:
    """One try of a task on a device; ``number`` counts from 1, tries of earlier processes included.

    ``seen`` is how many failures of its device had been counted when it was taken.
    """

    task: Task
    device: str
    number: int
    seen: int = 0


class Queue:
    """Tasks that wait, run and are over; safe in threads.

    ``over`` are the states of tasks that ended before, ``tries`` how often each was begun before, ``most`` how many
    may run at the same time, and ``slots`` how many on each device. ``through`` ends what a device does in hope of a
    task, once there will be none.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        over: Mapping[str, State] | None = None,
        tries: Mapping[str, int] | None = None,
        most: int | None = None,
        slots: Mapping[str, int] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._states: dict[str, State] = dict(over or {})
        self._before = dict(tries or {})
        self._tries: dict[str, int] = defaultdict(int, self._before)
        self._lists = Lists({name: number for number, name in enumerate(self._tasks)})
        self._gates = Gates()
        self._fitness = Fitness(now)
        self._turns = Turns(slots or {}, now, self._able)
        self._unreached: set[str] = set()
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
                rests = (self._rest(device), self._turns.rest())
                self._changed.wait(min((rest for rest in rests if rest > 0), default=None))
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
            task = self._tasks[self._lists.pop(min(self._offers(device), key=self._lists.order))]
            self._running += 1
            self._tries[task.id] += 1
            self._turns.began(device)
            self._pass_on()
            return Attempt(task, device, self._tries[task.id], self._fitness.ever(device))

    def give_back(self, attempt: Attempt, *, elsewhere: bool = False) -> bool:
        """The attempt did not begin, and the task waits again.

        With ``elsewhere`` not for this device; false when no device is left for it then, and it has to be finished.
        """
        with self._changed:
            task = attempt.task
            if elsewhere:
                others = tuple(name for name in task.devices if name != attempt.device)
                if not others:
                    return False
                task = self._tasks[task.id] = replace(task, devices=others)
            self._tries[task.id] -= 1
            self._return(attempt, task)
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
            self._return(attempt, attempt.task)

    def finish(self, attempt: Attempt, state: State) -> None:
        """The task is over; whoever waited for it may be ready now, or blocked for good."""
        with self._changed:
            self._put_down(attempt)
            self._settle(attempt.task.id, state)
            self._tell()

    def arrived(self, device: str, load: float, *, ready: bool) -> None:
        """A device is there, with so much load per core; ``ready`` is whether it has the agents it needs."""
        with self._changed:
            self._turns.arrived(device, load, ready=ready)
            self._pass_on()

    def away(self, device: str) -> None:
        """A device is not there just now: it is being logged in to, or made ready."""
        with self._changed:
            self._turns.away(device)
            self._pass_on()

    def worked(self, device: str) -> None:
        """An attempt ended properly on the device: its failures are forgotten, unless it was given up."""
        with self._changed:
            self._fitness.worked(device)

    def failed(self, device: str, attempt: Attempt | None = None, *, passing: bool = True) -> bool:
        """The device was not reached, or lost under an attempt; for good if it cannot pass. True when set aside now."""
        with self._changed:
            self._turns.left(device)
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
        if not task.after:  # nearly all of thousands
            if not self._enqueue(task):
                self._settle(task.id, State.UNREACHABLE)
        elif (state := self._judge(task, self._gates.add(task, self._states))) is not None:
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
        return self._closed or not (self._running or self._lists.waiting)

    def _tell(self) -> None:
        """Everybody looks again at what there is to do."""
        self._changed.notify_all()
        if self._over():
            self.through.request(Cancelled("Nothing is left to do."))

    def _pass_on(self) -> None:
        """Somebody else may have a turn now."""
        if self._turns.was_refused():
            self._changed.notify_all()

    def _put_down(self, attempt: Attempt) -> None:
        self._running -= 1
        self._turns.ended(attempt.device)

    def _return(self, attempt: Attempt, task: Task) -> None:
        """A task that was taken is the first to be taken again."""
        self._put_down(attempt)
        if not self._enqueue(task, first=True):
            self._settle(task.id, State.UNREACHABLE)
        self._tell()

    def _enqueue(self, task: Task, *, first: bool = False) -> bool:
        """Lets a task wait for a device; false when none is left that it could wait for."""
        if self._fitness.are_given_up(task.devices):
            self._unreached.add(task.id)
            return False
        self._lists.add(task.id, task.devices, first=first)
        return True

    def _fits(self, device: str) -> bool:
        if self._closed or not self._able(device) or (self._most and self._running >= self._most):
            return False
        return next(self._offers(device), None) is not None

    def _able(self, device: str) -> bool:
        """Whether it is neither given up nor set aside."""
        return not self._fitness.is_given_up(device) and self._rest(device) <= 0

    def _offers(self, device: str) -> Iterator[Places]:
        """Where something waits of which it is this device's turn to take."""
        return (places for places, count in self._lists.of(device) if self._turns.is_next(device, count, places))

    def _rest(self, device: str) -> float:
        """Seconds for which the device is still set aside."""
        return self._fitness.rest(device, self._busy)

    def _busy(self) -> bool:
        """Whether anybody works, or finds something to do while some are set aside."""
        aside = self._fitness.is_aside
        return self._running > 0 or any(not all(map(aside, names)) for names in self._lists.places())

    def _leave(self, device: str) -> None:
        """Tasks that only this device could have done are over, for now: they never began."""
        for places in [places for places, _ in self._lists.of(device) if self._fitness.are_given_up(places)]:
            names = self._lists.clear(places)
            self._unreached.update(names)
            for name in names:
                self._settle(name, State.UNREACHABLE)

    def _settle(self, name: str, state: State) -> None:
        """Notes an end and looks again at those who wait for it; without recursion, chains may be long."""
        ended = deque([(name, state)])
        while ended:
            name, state = ended.popleft()
            self._states[name] = state
            for waiter, gate in self._gates.ended(name, state):
                verdict = self._judge(self._tasks[waiter], gate)
                if verdict is not None:
                    ended.append((waiter, verdict))
