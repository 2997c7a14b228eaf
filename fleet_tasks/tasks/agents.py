"""Commands that tell about agents."""

from __future__ import annotations

from invoke import Context

from fleet_tasks import commands
from fleet_tasks.agents import catalogue
from fleet_tasks.agents.broken import BrokenAgent
from fleet_tasks.agents.contract import SCRIPTS, Agent
from fleet_tasks.cli import task
from fleet_tasks.commands import open_fleet
from fleet_tasks.errors import RequestError
from fleet_tasks.options import AgentChoice, Output, Where
from fleet_tasks.record import record
from fleet_tasks.registry import Registry


@record
class AgentRow:
    """An agent as people are shown it; ``timeout`` is seconds."""

    name: str
    description: str
    installs: bool
    ephemeral: bool
    timeout: float
    secrets: tuple[str, ...]
    needs: tuple[str, ...]
    scripts: tuple[str, ...] = ()


@task(name="list", default=True)
def agents(c: Context, output: Output, where: Where) -> None:
    """List the agents that can be used.

        fab agent.list
    """
    fleet = open_fleet(c, where)
    rows = [row(fleet.agent(name), fleet.registry) for name in catalogue.known(fleet.registry.agents)]
    commands.show("agents", rows, output)


@task
def show(c: Context, choice: AgentChoice, output: Output, where: Where) -> None:
    """Show what one agent is and needs.

        fab agent.show --name demo
    """
    if not choice.name:
        raise RequestError("Say which agent: --name NAME (fleet agent.list lists them).")
    fleet = open_fleet(c, where)
    commands.show("agents", [row(fleet.agent(choice.name), fleet.registry)], output, sheet=True)


def row(agent: Agent, registry: Registry) -> AgentRow:
    """The agent in a few words; its secrets include its provider's key: a device may have another provider, though."""
    own = registry.agents.get(agent.name)
    provider = registry.providers.get((own.provider if own else None) or agent.provider or "")
    key = (provider.key,) if provider and provider.key and agent.wants_key else ()
    needs = (need.program + (f">={need.version}" if need.version else "") + (f":{need.module}" if need.module else "")
             for need in agent.needs)  # fmt: skip
    return AgentRow(
        name=agent.name,
        description=agent.description,
        installs=agent.installs,
        ephemeral=agent.ephemeral,
        timeout=agent.timeout,
        secrets=(*agent.secrets, *key),
        needs=tuple(needs),
        scripts=() if isinstance(agent, BrokenAgent) else tuple(name for name in SCRIPTS if agent.script(name)),
    )
