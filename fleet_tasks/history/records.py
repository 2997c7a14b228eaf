"""What history is told and what it tells: the entries of a plan, and runs in a line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet_tasks.jobs import Visit
from fleet_tasks.record import record
from fleet_tasks.results import Problem, State


@record
class Entry:
    """One job that a run is going to report; ``device`` is empty where it is not known before it begins."""

    device: str
    host: str
    action: str
    agent: str | None = None
    model: str | None = None
    task_id: str | None = None
    task: str | None = None


@record
class RunSummary:
    """One run in a line; ``summary`` counts its results by state and holds its exit code."""

    run: str
    command: str
    started: str
    seconds: float
    summary: Mapping[str, int]


def planned(visits: Iterable[Visit]) -> tuple[Entry, ...]:
    """What a plan is going to report, in its order."""
    return tuple(
        Entry(
            device=visit.device.name,
            host=str(visit.device.endpoint),
            action=job.action.shown,
            agent=job.agent,
            model=job.model,
            task_id=job.task_id,
            task=job.task or None,
        )
        for visit in visits
        for job in visit.reported
    )


@record
class Fate:
    """How work stands that has no result: running or lost, or as a batch's journal knows it; how often it was begun."""

    state: State
    device: str = ""
    error: Problem | None = None
    attempts: int = 1
