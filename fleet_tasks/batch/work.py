"""A slot of a device at work on a batch: takes tasks, one after the other, over one connection."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleet_tasks.actions.stage import Condition, Line, Stage, now
from fleet_tasks.batch.queue import Attempt, Queue
from fleet_tasks.batch.tasks import Task
from fleet_tasks.connection import DeviceConnection
from fleet_tasks.devices import Device
from fleet_tasks.errors import ConnectError, ConnectionLost, DeviceError, LinkError, RequestError, StopError
from fleet_tasks.history.journal import Journal
from fleet_tasks.jobs import Action, Job
from fleet_tasks.results import LEFT, Chunk, Problem, Progress, Result, State
from fleet_tasks.retry import passing, patiently
from fleet_tasks.stopping import Stopping
from fleet_tasks.worker import Worker

log = logging.getLogger(__name__)
Notify = Callable[[Progress | Chunk], None]
AWAY = (State.LOST, State.UNREACHABLE)
"""What speaks against a device: it was lost on the way, or before the beginning."""


@dataclass
class Workshop:
    """What the slots of a batch share: the queue, the journal, which agents are ready where, and what went wrong.

    ``agents`` are those that a device needs to have installed. ``written`` is set once the batch is on disk.
    """

    worker: Worker
    queue: Queue
    journal: Journal
    jobs: Callable[[Task, Device], tuple[Job, ...]]
    answers: Path
    logins: threading.Semaphore
    ready: set[tuple[str, str]] = field(default_factory=set)
    locks: dict[str, threading.Lock] = field(default_factory=dict)
    used: dict[str, list[Job]] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    agents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    troubles: dict[str, DeviceError] = field(default_factory=dict)
    written: threading.Event = field(default_factory=threading.Event)

    def slot(self, device: Device, connection: DeviceConnection, notify: Notify) -> Iterator[Result]:
        """The results of the tasks that this slot takes; the device's last slot cleans up."""
        line = Line()
        stage = replace(self.worker.stage(device, connection, notify), line=line)
        try:
            while not self._over() and self.queue.wait(device.name):
                # Who is not ready holds no task that another could do.
                attempt = self.queue.take(device.name) if self._connected(stage) and self.written.wait() else None
                if attempt is None:
                    continue
                if self._over():
                    self.queue.give_back(attempt)
                    break
                on_task = replace(stage, task_id=attempt.task.id)
                yield from self._attempt(on_task, attempt)
                on_task.tell(LEFT)
        except BaseException:
            # The others would wait for an attempt that nobody ends; without a journal nothing may begin anyway.
            self.queue.close()
            raise
        finally:
            line.hang_up()
            self._leave(stage)

    def _leave(self, stage: Stage) -> None:
        with self._lock(stage.device):
            self.slots[stage.device.name] -= 1
            if self.slots[stage.device.name] == 0:
                self._clean(stage)

    def _over(self) -> bool:
        stopping = self.worker.stopping
        return stopping.reason is not None or stopping.barred is not None

    def _lock(self, device: Device) -> threading.Lock:
        return self.locks.setdefault(device.name, threading.Lock())

    def _connected(self, stage: Stage) -> bool:
        """Whether there is a session with the device, which is logged in to where there is none."""
        connection, name, through = stage.connection, stage.device.name, self.queue.through
        with self._lock(stage.device):
            if connection.is_connected:
                return True
            if not self.queue.fits(name):  # the login of another slot has just failed, or its task is taken
                return False
            self.queue.away(name)
            stage.tell("connecting")
            try:
                with self.logins, connection.throttle, through.waking(connection.give_up):
                    through.check()
                    # Patience is for the first time: who failed before is tried again later anyway.
                    patiently(connection.open, 1 if name in self.troubles else self.worker.plan.retries, through)
                self._arrived(name, replace(stage, stopping=through).call())
            except DeviceError as error:
                connection.close()
                if through.reason is None:
                    self._failed(name, error, passing=passing(error) or isinstance(error, (LinkError, StopError)))
                return False
            finally:
                stage.tell(LEFT)
            return True

    def _arrived(self, name: str, condition: Condition | None) -> None:
        """The device is there, and has told how it is."""
        if condition is not None:
            self.queue.arrived(name, condition.load, ready=self.agents[name] <= condition.agents)

    def _failed(self, name: str, error: DeviceError, attempt: Attempt | None = None, *, passing: bool = True) -> None:
        """The device was not reached, or lost."""
        self.troubles[name] = error
        if self.queue.failed(name, attempt, passing=passing):
            log.warning("%s is set aside: %s", name, error.message)

    def _attempt(self, stage: Stage, attempt: Attempt) -> Iterator[Result]:
        task, name = attempt.task, stage.device.name
        *before, job = self.jobs(task, stage.device)
        try:
            trouble = self._prepare(stage, before)
        except ConnectionLost as error:
            self._failed(name, error, attempt)
            self.queue.give_back(attempt)
            return
        if trouble is None:
            yield from self._do(stage, attempt, job, next((each for each in before if each.brings(job)), None))
        elif self._over():
            self.queue.give_back(attempt)
        elif self.queue.give_back(attempt, elsewhere=True):
            log.warning("%s cannot do %s: %s", name, task.id, trouble.error and trouble.error.message)
        else:
            result = replace(trouble, action=Action.DISPATCH.value, task_id=task.id)
            self.journal.over(task.id, result.state)
            self.queue.finish(attempt, result.state)
            yield result

    def _prepare(self, stage: Stage, before: list[Job]) -> Result | None:
        """Deploys what the task's agent needs, once for each device; the result of what went wrong."""
        with self._lock(stage.device):
            for job in before:
                key = (stage.device.name, job.agent or "")
                if job.action is Action.TEARDOWN:
                    self.used.setdefault(stage.device.name, [])
                    if job not in self.used[stage.device.name]:
                        self.used[stage.device.name].append(job)
                elif key not in self.ready:
                    self.queue.away(stage.device.name)  # who is made ready first keeps nobody waiting
                    result = self.worker.carry_out(stage, job)
                    if result.state in AWAY:
                        raise ConnectionLost(f"The connection to {stage.device.name} broke.")
                    if not result:
                        return result
                    self.ready.add(key)
        return None

    def _do(self, stage: Stage, attempt: Attempt, job: Job, bring: Job | None) -> Iterator[Result]:
        task = attempt.task
        self.journal.started(task.id, attempt.number, stage.device.name, now())
        result = replace(self.worker.carry_out(stage, job, bring), attempts=attempt.number)
        repeat = self.worker.stopping.reason is None and self.queue.may_repeat(attempt, result.state)
        if result:
            keep_answer(self.answers, task.id, result)
        self.journal.ended(task.id, attempt.number, result.state, over=not repeat)
        self._learn(stage, attempt, result)
        if repeat:
            log.info("%s is tried again: it %s on %s.", task.id, result.state, stage.device.name)
            self.queue.again(attempt)
            return
        self.queue.finish(attempt, result.state)
        yield result

    def _learn(self, stage: Stage, attempt: Attempt, result: Result) -> None:
        """What an attempt tells about its device."""
        name = stage.device.name
        if result.state not in AWAY:
            self.queue.worked(name)
            self._arrived(name, stage.line.condition if stage.line else None)
            self.troubles.pop(name, None)
        elif self.worker.stopping.reason is None:
            self._failed(name, ConnectionLost(result.error.message if result.error else f"{name} was lost."), attempt)

    def _clean(self, stage: Stage) -> None:
        """Removes the agents that were to be removed, when nobody works on the device any more."""
        stage = replace(stage, stopping=Stopping())
        for job in self.used.get(stage.device.name, ()):
            try:
                stage.connection.open()
            except ConnectError as error:
                log.warning("%s stays on %s: %s", job.agent, stage.device.name, error.message)
                return
            self.worker.carry_out(stage, job)


def answer(folder: Path, name: str) -> Path:
    """The file that a task's answer is kept in."""
    return folder / f"{name.replace('/', '_')}.txt"


def keep_answer(folder: Path, name: str, result: Result) -> None:
    """Writes a task's whole answer to its file, byte for byte; raises RequestError where there is no room."""
    place = answer(folder, name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if result.truncated and result.stdout_file:
            shutil.copyfile(result.stdout_file, place)
        else:
            place.write_bytes(result.stdout)
    except OSError as error:
        raise RequestError(f"The answer of {name} cannot be kept in {place}: {error.strerror}.") from error


def not_begun(
    run: str, blocked: list[Task], left: list[Task], why: Callable[[Task], DeviceError]
) -> Iterator[Result]:
    """Results for the tasks that never began: those whose forerunners failed, and the rest."""
    for task in blocked:
        waited = ", ".join(task.after[:3]) + ("..." if len(task.after) > 3 else "")
        because = f"What {task.id} comes after ({waited}) did not succeed."
        yield skipped(run, task, "dependency-failed", because, "Do it again, and this then", " --rerun failed")
    for task in left:
        reason = why(task)
        result = skipped(run, task, reason.code, reason.message)
        yield replace(result, state=State.UNREACHABLE) if isinstance(reason, ConnectError) else result


def skipped(
    run: str, task: Task, code: str, message: str, way: str = "Go on later with", again: str = ""
) -> Result:
    """A result for a task of a run that no device was given; ``way`` and ``again`` say what resume would do."""
    problem = Problem(code, message, f"{way}: fleet resume --run {run}{again}")
    return Result("", "", Action.DISPATCH.value, State.SKIPPED, agent=task.agent, task_id=task.id, started=now(),
                  attempts=0, error=problem)  # fmt: skip
