"""A batch before it is carried out: its tasks spread over devices, and all of it as it is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet_tasks.batch.tasks import REDUCE, Task, TaskError, Where, spread
from fleet_tasks.batch.written import limits_of, task_rows, tasks_of, wish_row
from fleet_tasks.chores import Chores
from fleet_tasks.devices import Device
from fleet_tasks.errors import RequestError, UnknownName
from fleet_tasks.fleet import Fleet
from fleet_tasks.history import folder
from fleet_tasks.history.journal import Journal
from fleet_tasks.ids import new_run
from fleet_tasks.jobs import Plan, Visit
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish, failures_allowed
from fleet_tasks.record import record


@record
class Batch:
    """A whole batch, spread over its devices: what is written down so that it can be resumed.

    ``slots`` is how many tasks a device works on at a time (its own setting when None). ``into`` is the local folder
    for files, one folder a task. ``rerun`` says which ended tasks are done again: "lost", or "failed" (lost too).
    """

    run: str
    tasks: tuple[Task, ...]
    devices: tuple[Device, ...]
    wish: Wish
    bounds: Bounds
    into: str
    slots: int | None = None
    continues: bool = False
    rerun: str | None = None

    @property
    def plan(self) -> Plan:
        """The batch as history and limits see it."""
        return Plan(
            run=self.run,
            command="batch",
            visits=tuple(Visit(device, ()) for device in self.devices),
            parallel=self.bounds.parallel,
            retries=self.bounds.retries,
            connect_timeout=self.bounds.connect_timeout,
            deadline=self.bounds.deadline,
            max_failures=failures_allowed(self.bounds.max_failures, len(self.tasks)),
            continues=self.continues,
        )


def prepare(
    fleet: Fleet,
    tasks: Sequence[Task],
    devices: Sequence[Device],
    wish: Wish,
    bounds: Bounds,
    slots: int | None,
    exclude: tuple[str, ...] = (),
) -> Batch:
    """A batch ready to be carried out; raises TaskError for a task that could not be meant, before anything starts.

    ``devices`` do what says nothing of where; what is to ``exclude`` does nothing, whoever names it.
    """
    run = new_run()
    places: dict[Where, tuple[Device, ...]] = {}
    for task in tasks:
        if task.where.named and task.where not in places:
            places[task.where] = _devices_of(fleet, task, exclude)
    everyone = {device.name: device for chosen in (tuple(devices), *places.values()) for device in chosen}
    names = {where: tuple(device.name for device in chosen) for where, chosen in places.items()}
    anywhere = tuple(device.name for device in devices)
    homes = {task.id: names[task.where] if task.where.named else anywhere for task in tasks}
    if REDUCE in homes:
        homes[REDUCE] = anywhere or tuple(everyone)
    batch = Batch(
        run=run,
        tasks=tuple(spread(tasks, homes)),
        devices=tuple(everyone.values()),
        wish=wish,
        bounds=bounds,
        into=wish.into or f"fleet-{run}",
        slots=slots,
    )
    chores(fleet, batch).try_out(batch.tasks)
    return batch


def chores(fleet: Fleet, batch: Batch) -> Chores:
    """What the tasks of a batch mean on its devices."""
    return Chores(fleet, batch.devices, batch.wish, batch.into, batch.bounds.grace)


def with_reduce(tasks: Sequence[Task], text: str, agent: str | None) -> list[Task]:
    """The tasks, and one more that comes after all of them and gets their answers."""
    after = tuple(task.id for task in tasks)
    return [*tasks, Task(REDUCE, text, len(tasks) + 1, agent=agent, after=after, need="ended")]


def resume(fleet: Fleet, run: str, rerun: str | None) -> Batch:
    """What is left of a batch; raises RequestError when the run is none, or goes on elsewhere.

    What only devices could do that the registry has no more is left, too, for when it has them again. Finished tasks
    stay finished. What may have run is lost, and runs again when it is idempotent, or with ``rerun`` "lost" or
    "failed".
    """
    place = folder() / "runs" / run
    if not Journal.exists(place):
        raise RequestError(f"The run {run} was no batch: only batches can be resumed.")
    with closing(Journal(place)) as journal:
        return replace(_restored(fleet, journal.spec()), continues=True, rerun=rerun)


def written(batch: Batch) -> dict[str, object]:
    """A batch as plain values, all that it takes to resume it."""
    return {
        "run": batch.run,
        **task_rows(batch.tasks),
        "devices": [device.name for device in batch.devices],
        "wish": wish_row(batch.wish),
        "bounds": vars(batch.bounds),
        "into": str(Path(batch.into).resolve()),
        "slots": batch.slots,
    }


def _devices_of(fleet: Fleet, task: Task, exclude: tuple[str, ...]) -> tuple[Device, ...]:
    where = task.where
    try:
        return fleet.choose(Targets(device=where.device, group=where.group, tag=where.tag, exclude=exclude))
    except RequestError as error:
        raise TaskError(task.index - 1, f"The task {task.id}: {error}") from error


def _restored(fleet: Fleet, spec: Mapping[str, Any]) -> Batch:
    wish, bounds = limits_of(spec)
    # One by one: chosen together, an address is left out where a device with a name stands there too.
    found = {name: device for name in spec["devices"] for device in _still_known(fleet, name)}
    if not found:
        raise RequestError(f"The registry has none of the batch's devices any more: {', '.join(spec['devices'][:9])}.")
    tasks = tasks_of(spec)
    if len(found) < len(spec["devices"]):
        tasks = tuple(task.but(devices=tuple(name for name in task.devices if name in found)) for task in tasks)
    return Batch(spec["run"], tasks, tuple(found.values()), wish, bounds, spec["into"], spec["slots"])


def _still_known(fleet: Fleet, name: str) -> tuple[Device, ...]:
    """The device of that name; nothing when the registry has it no more."""
    try:
        return fleet.choose(Targets(device=(name,)))
    except UnknownName:
        return ()
