"""A slot of a device at work on a batch: takes tasks, one after the other, over one connection."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleet_tasks.actions.stage import Line, Stage, now
from fleet_tasks.batch.queue import Attempt, Queue
from fleet_tasks.batch.tasks import Task
from fleet_tasks.connection import DeviceConnection
from fleet_tasks.devices import Device
from fleet_tasks.errors import ConnectError, ConnectionLost, DeviceError, RequestError
from fleet_tasks.history.journal import Journal
from fleet_tasks.jobs import Action, Job
from fleet_tasks.results import LEFT, Chunk, Problem, Progress, Result, State
from fleet_tasks.retry import passing, patiently
from fleet_tasks.stopping import Stopping
from fleet_tasks.worker import Worker

log = logging.getLogger(__name__)
Notify = Callable[[Progress | Chunk], None]


@dataclass
class Workshop:
    """What the slots of a batch share: the queue, the journal, which agents are ready where, and what went wrong."""

    worker: Worker
    queue: Queue
    journal: Journal
    jobs: Callable[[Task, Device], tuple[Job, ...]]
    answers: Path
    ready: set[tuple[str, str]] = field(default_factory=set)
    locks: dict[str, threading.Lock] = field(default_factory=dict)
    used: dict[str, list[Job]] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, DeviceError] = field(default_factory=dict)

    def slot(self, device: Device, connection: DeviceConnection, notify: Notify) -> Iterator[Result]:
        """The results of the tasks that this slot takes; the device's last slot cleans up."""
        line = Line()
        stage = replace(self.worker.stage(device, connection, notify), line=line)
        try:
            while not self._over() and (attempt := self.queue.take(device.name)) is not None:
                if self._over():
                    self.queue.give_back(attempt, device.name)
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

    def _attempt(self, stage: Stage, attempt: Attempt) -> Iterator[Result]:
        task, name = attempt.task, stage.device.name
        try:
            # Patience is for the first time: who failed before is tried again later anyway.
            attempts = 1 if name in self.troubles else self.worker.plan.retries
            if not stage.connection.is_connected:
                stage.tell("connecting")
            with stage.connection.throttle:
                patiently(stage.connection.open, attempts, self.worker.stopping)
            self.queue.connected(name)
            self.troubles.pop(name, None)
        except ConnectError as error:
            self.troubles[name] = error
            self.queue.give_back(attempt, name)
            if self.queue.failed(name, passing=passing(error)):
                log.warning("%s is set aside: %s", name, error.message)
            return
        except DeviceError:
            self.queue.give_back(attempt, name)
            return
        *before, job = self.jobs(task, stage.device)
        try:
            trouble = self._prepare(stage, before)
        except ConnectionLost as error:
            self.troubles[name] = error
            self.queue.give_back(attempt, name)
            self.queue.failed(name)
            return
        if trouble is None:
            yield from self._do(stage, attempt, job)
        elif self._over():
            self.queue.give_back(attempt, name)
        elif self.queue.give_back(attempt, name, elsewhere=True):
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
                    result = self.worker.carry_out(stage, job)
                    if result.state is State.LOST:
                        raise ConnectionLost(f"The connection to {stage.device.name} broke.")
                    if not result:
                        return result
                    self.ready.add(key)
        return None

    def _do(self, stage: Stage, attempt: Attempt, job: Job) -> Iterator[Result]:
        task = attempt.task
        self.journal.started(task.id, attempt.number, stage.device.name, now())
        result = replace(self.worker.carry_out(stage, job), attempts=attempt.number)
        repeat = self.worker.stopping.reason is None and self.queue.may_repeat(attempt, result.state)
        if result:
            keep_answer(self.answers, task.id, result)
        self.journal.ended(task.id, attempt.number, result.state, over=not repeat)
        if repeat:
            log.info("%s is tried again: it %s on %s.", task.id, result.state, stage.device.name)
            self.queue.again(attempt)
            return
        self.queue.finish(attempt, result.state)
        yield result

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


def not_begun(blocked: list[Task], left: list[Task], why: Callable[[Task], DeviceError]) -> Iterator[Result]:
    """Results for the tasks that never began: those whose forerunners failed, and the rest."""
    for task in blocked:
        waited = ", ".join(task.after[:3]) + ("..." if len(task.after) > 3 else "")
        yield skipped(task, "dependency-failed", f"What {task.id} comes after ({waited}) did not succeed.")
    for task in left:
        reason = why(task)
        result = skipped(task, reason.code, reason.message)
        yield replace(result, state=State.UNREACHABLE) if isinstance(reason, ConnectError) else result


def skipped(task: Task, code: str, message: str) -> Result:
    """A result for a task that no device was given."""
    return Result("", "", Action.DISPATCH.value, State.SKIPPED, agent=task.agent, task_id=task.id, started=now(),
                  error=Problem(code, message, "Go on later with: fleet resume --run RUN"))  # fmt: skip

