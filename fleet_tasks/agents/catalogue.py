"""Agents by name: those of the registry first, then the presets, then what ships as code and plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fleet_tasks import plugins
from fleet_tasks.agents.broken import BrokenAgent
from fleet_tasks.agents.command import CommandAgent
from fleet_tasks.agents.contract import Agent
from fleet_tasks.agents.presets import presets, settled
from fleet_tasks.errors import FleetError
from fleet_tasks.registry import AgentSettings


def find(name: str, settings: Mapping[str, AgentSettings]) -> Agent:
    """The agent called ``name``; raises UnknownName with the nearest one.

    For a plug-in that cannot be loaded, an agent that fails with the reason: the others are not its victims.
    """
    own = settings.get(name)
    if (own is None or not own.dispatch) and name not in plugins.SHIPPED["agents"]:
        preset = presets().get(name)
        own = settled(preset, own) if preset else own
    if own is not None and own.dispatch:
        return CommandAgent(own)
    try:
        kind = plugins.load("agents", name, also=data(settings))
    except plugins.Unloadable as error:
        return BrokenAgent(name, str(error))
    return _made(kind, own or AgentSettings(name))


def _made(kind: Callable[[AgentSettings], object], settings: AgentSettings) -> Agent:
    try:
        agent = kind(settings)
    except FleetError:
        raise
    except Exception as error:  # whatever a stranger's class raises
        return BrokenAgent(settings.name, f"The agent {settings.name!r} broke: {type(error).__name__}: {error}")
    if isinstance(agent, Agent):
        return agent
    return BrokenAgent(settings.name, f"The agent {settings.name!r} is no Agent as fleet_tasks.agents.contract has it.")


def known(settings: Mapping[str, AgentSettings]) -> list[str]:
    """Every name that ``find`` understands, sorted."""
    return plugins.names("agents", also=data(settings))


def data(settings: Mapping[str, AgentSettings]) -> Iterator[str]:
    """The names of agents that are data; looked up only when somebody wants to know."""
    yield from presets()
    yield from (name for name, own in settings.items() if own.dispatch)


def limits(name: str) -> tuple[str, ...] | None:
    """The names of the limits that an agent has; None for a plug-in that does not tell."""
    if name not in plugins.SHIPPED["agents"] and name in presets():
        return ()
    try:
        return tuple(plugins.load("agents", name).limits)
    except (plugins.Unloadable, AttributeError, TypeError):
        return None
