"""Agents, engines and formats by name, through entry points: loaded when asked for, never at import.

What ships is declared in setup.cfg like any stranger's. A broken plug-in cannot break the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from difflib import get_close_matches
from functools import cache, cached_property
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from fleet_tasks.errors import RequestError, UnknownName

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint  # which loads slowly; what ships is known without

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
"""What setup.cfg declares, known without a look at all that is installed; a test compares the two."""


class Unloadable(RequestError):
    """A plug-in that is there and raises when it is loaded."""


def names(kind: str, also: Iterable[str] = ()) -> list[str]:
    """The names that ``load`` knows for ``agents``, ``engines`` or ``formats``, sorted."""
    return sorted({*SHIPPED.get(kind, {}), *_declared(kind), *also})


class Names(Collection[str]):
    """The same names; all are looked up only when one is asked for that does not ship."""

    def __init__(self, kind: str, also: Callable[[], Iterable[str]]) -> None:
        self._kind = kind
        self._also = also

    def __contains__(self, name: object) -> bool:
        return name in SHIPPED[self._kind] or name in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @cached_property
    def _all(self) -> list[str]:
        return names(self._kind, self._also())


def formats() -> list[str]:
    """The names of the formats that are there, sorted."""
    return names("formats")


def load(kind: str, name: str, also: Iterable[str] = ()) -> Any:
    """The class behind ``name``; raises UnknownName with the nearest, or Unloadable."""
    if name in SHIPPED.get(kind, {}):
        return resolve_name(SHIPPED[kind][name])
    declared = _declared(kind).get(name)
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
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=f"fleet_tasks.{kind}")}
