"""fleet.yaml: reading it, finding it, changing it in place, and taking in the lists of other tools."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fleet_tasks.registry.finding import find, user_registry, write_template
from fleet_tasks.registry.providers import LOGIN, WELL_KNOWN, Provider
from fleet_tasks.registry.records import (
    AgentSettings,
    Defaults,
    Limits,
    Registry,
    SecretSource,
    Settings,
    unknown,
    unnamed,
)

__all__ = [
    "LOGIN",
    "WELL_KNOWN",
    "AgentSettings",
    "Defaults",
    "Provider",
    "Registry",
    "SecretSource",
    "Settings",
    "find",
    "load",
    "unnamed",
    "user_registry",
    "write_template",
]


def load(path: Path, *, agents: Collection[str] | None = None, limits: Limits = unknown) -> Registry:
    """The registry in a file; RegistryError with file, line and path where it is missing or wrong.

    ``agents`` are the agents that exist; where given, the names of others are refused. ``limits`` names those of each.
    """
    from fleet_tasks.registry.reading import read
    from fleet_tasks.registry.storing import read_text

    return read(read_text(path), str(path), path=path, agents=agents, limits=limits)
