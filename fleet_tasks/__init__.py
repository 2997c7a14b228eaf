"""AI agents on machines reachable by SSH, for as long as a task takes.

The public names, each loaded when it is first asked for: importing the package costs next to nothing. ``namespace``
holds every command, which is all that ``Collection.from_module(fleet_tasks)`` needs in a fabfile of your own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet_tasks import errors
    from fleet_tasks.cli import FleetTask, task
    from fleet_tasks.devices import Device, Group
    from fleet_tasks.errors import DeviceError, FleetError, RequestError
    from fleet_tasks.fleet import Fleet
    from fleet_tasks.group import FleetGroup
    from fleet_tasks.jobs import Action, Fetch, Job, Plan, Send, Visit
    from fleet_tasks.options import (
        Agency,
        AnyOf,
        Connecting,
        Fetching,
        Limits,
        Model,
        Output,
        Removal,
        RunChoice,
        Sending,
        Targets,
        Where,
        Work,
        option,
    )
    from fleet_tasks.plans import Bounds, Wish
    from fleet_tasks.registry import Registry
    from fleet_tasks.results import FileCopy, Problem, Progress, Report, Result, State, Usage
    from fleet_tasks.tasks import namespace

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Agency",
    "AnyOf",
    "Bounds",
    "Connecting",
    "Device",
    "DeviceError",
    "Fetch",
    "Fetching",
    "FileCopy",
    "Fleet",
    "FleetError",
    "FleetGroup",
    "FleetTask",
    "Group",
    "Job",
    "Limits",
    "Model",
    "Output",
    "Plan",
    "Problem",
    "Progress",
    "Registry",
    "Removal",
    "Report",
    "RequestError",
    "Result",
    "RunChoice",
    "Send",
    "Sending",
    "State",
    "Targets",
    "Usage",
    "Visit",
    "Where",
    "Wish",
    "Work",
    "errors",
    "namespace",
    "option",
    "task",
]

_HOMES = {
    "cli": "FleetTask task",
    "devices": "Device Group",
    "errors": "DeviceError FleetError RequestError",
    "fleet": "Fleet",
    "group": "FleetGroup",
    "jobs": "Action Fetch Job Plan Send Visit",
    "options": "Agency AnyOf Connecting Fetching Limits Model Output Removal RunChoice Sending Targets Where Work"
    " option",
    "plans": "Bounds Wish",
    "registry": "Registry",
    "results": "FileCopy Problem Progress Report Result State Usage",
    "tasks": "namespace",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # or mypy would believe that every name is here

    def __getattr__(name: str) -> object:
        """A public name, from the module where it lives; kept for the next time."""
        if name == "errors":
            return import_module(f"{__name__}.errors")
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
