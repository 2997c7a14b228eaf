"""Folding: many devices that say the same are shown once, under one short name."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from fleet_tasks.ranges import fold
from fleet_tasks.results import Result


def alike(results: Iterable[Result], sameness: Callable[[Result], Hashable]) -> list[list[Result]]:
    """Results in groups that are the same, in the order in which the groups begin."""
    groups: dict[Hashable, list[Result]] = {}
    for result in results:
        groups.setdefault(sameness(result), []).append(result)
    return list(groups.values())


def names(results: Iterable[Result]) -> str:
    """Whose results these are: ``lab[01-20],nas``, each with its task where a batch gave them ids.

    Tasks that no device was given stand by themselves, at the end: ``t1 on nas, t[2-9]``.
    """
    tasks: dict[str | None, list[str]] = {}
    for result in results:
        tasks.setdefault(result.task_id, []).append(result.device)
    idle = [task for task, devices in tasks.items() if task and not any(devices)]
    for task in idle:
        del tasks[task]
    at_work = [f"{task} on {fold(devices)}" if task else fold(devices) for task, devices in tasks.items()]
    return ", ".join((*at_work, *((fold(idle),) if idle else ())))
