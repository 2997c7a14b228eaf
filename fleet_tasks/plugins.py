"""Agents, engines and formats by name, through entry points: loaded when asked for, never at import.

What ships is declared in setup.cfg like any stranger's. A broken plug-in cannot break the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from fleet_tasks.errors import RequestError, UnknownName

SHIPPED = {
    "agents": {
        "clio": "fleet_tasks.agents.clio:Clio",
        "shell": "fleet_tasks.agents.shell:Shell",
        "demo": "fleet_tasks.agents.demo:Demo",
        "picoclaw": "fleet_tasks.agents.picoclaw:Picoclaw",
    },
    "engines": {
        "serial": "fleet_tasks.engines.serial:Serial",
        "threads": "fleet_tasks.engines.threads:Threads",
    },
}
"""What setup.cfg declares, for a checkout that was never installed; a test compares the two."""


class Unloadable(RequestError):
    """A plug-in that is there and raises when it is loaded."""


def names(kind: str, also: Iterable[str] = ()) -> list[str]:
    """The names that ``load`` knows for ``agents``, ``engines`` or ``formats``, sorted."""
    return sorted({*SHIPPED.get(kind, {}), *_declared(kind), *also})


def formats() -> list[str]:
    """The names of the formats that are there, sorted."""
    return names("formats")


def load(kind: str, name: str, also: Iterable[str] = ()) -> Any:
    """The class behind ``name``; raises UnknownName with the nearest, or Unloadable."""
    declared = _declared(kind).get(name)
    if declared is None and name in SHIPPED.get(kind, {}):
        declared = EntryPoint(name, SHIPPED[kind][name], f"fleet_tasks.{kind}")
    if declared is None:
        near = get_close_matches(name, names(kind, also), 1)
        raise UnknownName(kind.removesuffix("s"), name, near[0] if near else None)
    try:
        return declared.load()
    except Exception as error:  # whatever a stranger's module raises at import
        what = f"The {kind.removesuffix('s')} {name!r} of {declared.value} cannot be loaded"
        raise Unloadable(f"{what}: {type(error).__name__}: {error}") from error


@cache
def _declared(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"fleet_tasks.{kind}")}
