"""What a visit can do: one module for each kind of job, each with a function from a Stage and a Job to a Result."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from fleet_tasks.actions.stage import Stage
from fleet_tasks.jobs import Action, Job
from fleet_tasks.results import Result


def find(action: Action) -> Callable[[Stage, Job], Result]:
    """The function that carries out ``action``; its module is loaded when first asked for."""
    function: Callable[[Stage, Job], Result] = getattr(import_module(f"{__name__}.{action.value}"), action.value)
    return function
