"""The presets: agents that ship as data, each an entry as ``agents:`` of a registry could hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from importlib.resources import files

from fleet_tasks.registry import AgentSettings


@cache
def presets() -> Mapping[str, AgentSettings]:
    """Every preset by its name."""
    from fleet_tasks.registry.reading import read

    name = "presets.yaml"
    return read((files(__package__) / name).read_text("utf-8"), name).agents


def settled(preset: AgentSettings, own: AgentSettings | None) -> AgentSettings:
    """The preset with whatever the registry says about it in its place."""
    if own is None:
        return preset
    silent = AgentSettings(own.name)
    said = {each.name: getattr(own, each.name) for each in fields(own)}
    return replace(preset, **{name: value for name, value in said.items() if value != getattr(silent, name)})
