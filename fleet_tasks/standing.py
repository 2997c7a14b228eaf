"""How the tasks of a batch stand by its journal: over, lost, or still to be done."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from fleet_tasks.batch.queue import Queue
from fleet_tasks.batch.tasks import REDUCE, Task
from fleet_tasks.batching import Batch
from fleet_tasks.history import folder
from fleet_tasks.history.journal import Journal, Known
from fleet_tasks.results import State

LOST = (State.LOST, State.CANCELLED)
FAILED = (State.FAILED, State.TIMED_OUT, State.UNREACHABLE)


def states(batch: Batch) -> dict[str, State | None]:
    """Every task of a batch, with the state in which it ended before, unless it is still to be done."""
    ends: dict[str, State] = {}
    if batch.continues:
        with closing(Journal(_spool(batch))) as journal:
            known = journal.known()
        again = done_again(batch, known.ends)
        ends = {name: state for name, state in known.ends.items() if name not in again}
        ends |= dict.fromkeys(uncertain(batch, known), State.LOST)
    return {task.id: ends.get(task.id) for task in batch.tasks}


def left(batch: Batch) -> list[Task]:
    """The tasks of a batch that are still to be done, as far as anybody knows."""
    return Queue(batch.tasks, {name: state for name, state in states(batch).items() if state is not None}).left()


def done_again(batch: Batch, ends: Mapping[str, State]) -> set[str]:
    """Which ended tasks are done again: those that ``rerun`` wants, and what was lost and may be repeated."""
    wanted = {"lost": LOST, "failed": (*LOST, *FAILED)}.get(batch.rerun or "", ())
    free = {task.id for task in batch.tasks if task.idempotent}
    again = {name for name, state in ends.items() if state in wanted or (state in LOST and name in free)}
    ended = {name: state for name, state in ends.items() if name not in again}
    if REDUCE in ended and Queue(batch.tasks, ended).left():
        # What was put together is no longer what there is, or what there will be.
        again.add(REDUCE)
    return again


def uncertain(batch: Batch, known: Known) -> list[str]:
    """Tasks that were begun, and nobody saw them end: lost, unless they may run again."""
    idempotent = {task.id: task.idempotent for task in batch.tasks}
    return [] if batch.rerun is not None else [name for name in known.open if not idempotent[name]]


def is_written(batch: Batch) -> bool:
    """Whether the batch was begun, so that it can be resumed."""
    return Journal.exists(_spool(batch))


def _spool(batch: Batch) -> Path:
    return folder() / "runs" / batch.run
