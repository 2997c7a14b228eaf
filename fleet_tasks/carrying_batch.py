"""A batch carried out: one queue, one journal, every device taking what it can."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from fleet_tasks import history, plugins
from fleet_tasks.batch.queue import Queue
from fleet_tasks.batch.tasks import REDUCE, Task
from fleet_tasks.batch.work import Workshop, answer, not_begun, skipped
from fleet_tasks.batching import Batch, chores, written
from fleet_tasks.carrying import Carrying
from fleet_tasks.devices import Device
from fleet_tasks.errors import ConnectError, DeviceError, DeviceSetAside, RequestError
from fleet_tasks.fleet import Fleet
from fleet_tasks.history.journal import Journal, Known
from fleet_tasks.jobs import Action, Job, Send
from fleet_tasks.results import Chunk, Progress, Report, Result, State
from fleet_tasks.standing import done_again, uncertain
from fleet_tasks.worker import Worker


class CarryingBatch(Carrying):
    """One batch being carried out."""

    def __init__(self, fleet: Fleet, batch: Batch) -> None:
        self._batch = batch
        self._chores = chores(fleet, batch)
        super().__init__(fleet, batch.plan, record=True)
        self._queue = Queue(())
        self._told_history = False
        self._answers = self._spool / "answers"

    def items(self) -> Iterator[Progress | Chunk | Result]:
        """What the slots yield, recorded on the way; at the end, what nobody could begin."""
        batch, stopping = self._batch, self._fleet.stopping
        with _alone(self._spool), closing(Journal(self._spool)) as journal:
            if batch.continues:
                self._begin_history()
            known = self._reopened(journal)
            found = list(self._found(journal, known))
            known = journal.known()
            slots = {device.name: batch.slots or device.slots for device in batch.devices}
            self._queue = Queue(batch.tasks, known.ends, known.tries, self._plan.parallel, slots)
            shop = self._shop(journal, slots)
            self._set_deadline()
            with stopping.waking(self._queue.close):
                work = self._work(shop) if stopping.reason is None else iter(())
                self._write_down(journal, shop)
                for result in found:
                    yield self._record(result)
                for item in work:
                    if isinstance(item, Progress) and item.phase == "running":
                        self._plan_history()
                    yield self._record(item) if isinstance(item, Result) else item
            blocked, left = self._queue.blocked, self._queue.left()
            yield from self._record_all(list(not_begun(batch.run, blocked, left, lambda task: self._why(shop, task))))

    def _write_down(self, journal: Journal, shop: Workshop) -> None:
        """Writes a new batch down while the devices are logged in to; nothing of it is taken before."""
        try:
            if not self._batch.continues:
                journal.begin(written(self._batch))
                self._begin_history()
        except BaseException:
            self._queue.close()
            raise
        finally:
            shop.written.set()

    def _count_failure(self) -> None:
        super()._count_failure()
        if self._fleet.stopping.barred is not None:
            self._queue.close()

    def end(self) -> None:
        """Lets go of queue and clock."""
        super().end()
        self._queue.close()

    def report(self, results: Sequence[Result], seconds: float) -> Report:
        """The report, tasks in the order of the file."""
        report = super().report(results, seconds)
        order = {task.id: number for number, task in enumerate(self._batch.tasks)}
        ranked = sorted(report.results, key=lambda result: order.get(result.task_id or "", len(order)))
        return replace(report, results=tuple(ranked))

    def _secret_jobs(self) -> Iterable[tuple[Device, Job]]:
        return self._chores.samples(self._batch.tasks)

    def _places(self) -> Iterable[str]:
        return (self._batch.into for task in self._batch.tasks if task.fetch)

    def _tasks(self) -> Iterable[str]:
        return (task.task for task in self._batch.tasks)

    def _shop(self, journal: Journal, slots: Mapping[str, int]) -> Workshop:
        fleet = self._fleet
        worker = Worker(self._plan, fleet.agent, fleet.stopping, self._spool, self._secrets)
        logins = threading.Semaphore(self._plan.parallel)
        agents: dict[str, frozenset[str]] = dict.fromkeys(slots, frozenset())
        for device, job in self._secret_jobs():
            if job.agent and fleet.agent(job.agent).installs:
                agents[device.name] |= {job.agent}
        return Workshop(
            worker, self._queue, journal, self._jobs, self._answers, logins, slots=dict(slots), agents=agents
        )

    def _work(self, shop: Workshop) -> Iterator[Any]:
        """Every slot at work. Each has its thread, for one that waits must not stand in another's way."""
        devices = {device.name: device for device in self._batch.devices}
        connections = self._fleet.session.connections(devices.values(), self._plan.connect_timeout)
        slots = dict(shop.slots)
        members = [connections[name] for turn in range(max(slots.values())) for name in devices if slots[name] > turn]
        engine = plugins.load("engines", "threads")()
        return engine.carry_out(  # type: ignore[no-any-return]
            members, lambda c, notify: self._counted(shop.slot(devices[c.login.device], c, notify)), len(members)
        )

    def _jobs(self, task: Task, device: Device) -> tuple[Job, ...]:
        jobs = self._chores.jobs(task, device)
        return (*jobs[:-1], self._merging(task, jobs[-1])) if task.id == REDUCE else jobs

    def _merging(self, task: Task, job: Job) -> Job:
        """The last task with the answers it gets; it is told which are missing, a shell in a variable."""
        files = {name: answer(self._answers, name) for name in task.after}
        missing = " ".join(name for name, path in files.items() if not path.is_file())
        told = f"\n\nMissing parts: {missing}\n" if missing and job.agent != "shell" else ""
        return replace(
            job,
            send=tuple(Send(str(path), path.name) for path in files.values() if path.is_file()),
            task=job.task + told,
            env={**job.env, "FLEET_MISSING": missing},
        )

    def _why(self, shop: Workshop, task: Task) -> DeviceError:
        """Why a task never began: we were told to stop, or nobody who could have done it was reached."""
        stopping = self._fleet.stopping
        known = [shop.troubles[name] for name in task.devices if name in shop.troubles]
        if known and len(known) == len(task.devices) and all(isinstance(error, ConnectError) for error in known):
            nobody: DeviceError = type(known[0])(" ".join(error.message for error in known[:3]))
        else:
            said = " ".join(error.message for error in known[:3])
            nobody = DeviceSetAside(f"No device was left for {task.id}. {said}".strip())
        return stopping.reason or stopping.barred or nobody

    def _begin_history(self) -> None:
        """Begins what history has not heard of: a new batch, or one whose history was lost."""
        if self._history is not None and not self._history.knows(self._batch.run):
            self._history.begin(self._batch.run, self._plan.command, self._started, ())

    def _plan_history(self) -> None:
        """Tells history of all tasks, unless it was told before.

        To tell of thousands takes a while: so it is done once the first task runs, or has ended.
        """
        if self._told_history:
            return
        self._told_history = True
        batch, action = self._batch, Action.DISPATCH.value
        if self._history is not None and not self._history.is_planned(batch.run):
            agent, model = batch.wish.agent, batch.wish.model
            entries = (
                history.Entry("", "", action, task.agent or agent, task.model or model, task.id, task.task)
                for task in batch.tasks
            )
            self._history.plan(batch.run, entries)

    def _reopened(self, journal: Journal) -> Known:
        """What the journal knows, less the ends of those tasks that are done again."""
        known, batch = journal.known(), self._batch
        again = done_again(batch, known.ends)
        journal.reopen(again)
        if batch.continues and self._history is not None:
            self._history.resume(batch.run, again)
        return replace(known, ends={name: state for name, state in known.ends.items() if name not in again})

    def _found(self, journal: Journal, known: Known) -> Iterator[Result]:
        """Results for what an earlier process could not tell any more: attempts without an end, ends without a result.

        The first may have run, and are lost, unless they may run again.
        """
        run, tasks = self._batch.run, {task.id: task for task in self._batch.tasks}
        for name in uncertain(self._batch, known):
            journal.over(name, State.LOST)
            device = known.open[name]
            why = f"It was begun on {device} and may have run there."
            lost = skipped(run, tasks[name], "connection-lost", why, "If it did not, do it again", " --rerun lost")
            yield replace(lost, state=State.LOST, device=device, attempts=known.tries[name])
        if self._history is None or not self._batch.continues:
            return
        told = self._history.told(self._plan.run)
        for name, state in known.ends.items():
            if name not in told and state is not State.LOST:
                kept = answer(self._answers, name)
                said = kept.read_bytes() if kept.is_file() else b""
                why = "It ended as we were killed; only its state is known."
                unseen = skipped(run, tasks[name], "cancelled", why, "Do it again with", " --rerun failed")
                error = None if state is State.DONE else unseen.error
                found = replace(unseen, device=known.devices.get(name, ""), attempts=known.tries.get(name, 0))
                yield replace(found, state=state, stdout=said, error=error)

    def _record(self, result: Result) -> Result:
        return self._record_all([result])[0]

    def _record_all(self, results: list[Result]) -> list[Result]:
        if results:
            self._plan_history()
            if self._history is not None:
                self._history.record_all(self._plan.run, results)
        return results


def carry_out(fleet: Fleet, batch: Batch) -> Iterator[Progress | Chunk | Result | Report]:
    """Signs of life and results as they happen, and the report as the last item."""
    yield from fleet.carry_out(batch.plan, work=CarryingBatch(fleet, batch))


@contextmanager
def _alone(place: Path) -> Iterator[IO[str]]:
    """Holds the batch for this process; raises RequestError when another one works on it."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (place / "batch.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RequestError(f"The batch {place.name} is being worked on by another process.") from error
        yield file
