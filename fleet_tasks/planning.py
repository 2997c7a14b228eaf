"""Planner: what a registry and a wish amount to. Which devices, which agents, and plans of visits for an engine."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from fleet_tasks import history, plugins
from fleet_tasks import targets as choosing
from fleet_tasks.detached import Errand, recall, where
from fleet_tasks.devices import Device
from fleet_tasks.errors import RequestError, UnknownName
from fleet_tasks.ids import new_run
from fleet_tasks.jobs import Action, Job, Plan, Visit
from fleet_tasks.options import Targets
from fleet_tasks.plans import TIMEOUT, Bounds, Part, Wish, dispatch_jobs, plan, simple_jobs
from fleet_tasks.ranges import nearest
from fleet_tasks.registry import AgentSettings, Registry

if TYPE_CHECKING:
    from fleet_tasks.agents.contract import Agent

FALLBACK_AGENT = "picoclaw"


class Planner:
    """Makes plans from one registry; opens no connection and writes nothing."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._agents: dict[str, Agent] = {}

    # -- what is meant ------------------------------------------------------------------------

    def choose(self, targets: Targets) -> tuple[Device, ...]:
        """The devices that ``targets`` name, each once, in order of first mention."""
        return choosing.choose(self.registry, targets)

    def agent(self, name: str) -> Agent:
        """The agent of that name, with the registry's settings for it."""
        if name not in self._agents:
            from fleet_tasks.agents import catalogue

            self._agents[name] = catalogue.find(name, self.registry.agents)
        return self._agents[name]

    def agent_name(self, device: Device, wish: Wish) -> str:
        """The agent that a device works with: the flag's, else its own, else the product's default."""
        return wish.agent or device.agent or self.registry.defaults.agent or FALLBACK_AGENT

    def part(self, device: Device, wish: Wish) -> Part:
        """What ``device`` works with for this wish; raises UnknownName for an unknown agent or provider."""
        name = self.agent_name(device, wish)
        agent = self.agent(name)
        settings = self.registry.settings(device, name)
        provider = wish.provider or settings.provider or agent.provider
        known = self.registry.providers.get(provider) if provider else None
        if provider and known is None:
            raise UnknownName("provider", provider, nearest(provider, self.registry.providers))
        cleanup = wish.cleanup if wish.cleanup is not None else settings.cleanup
        return Part(
            agent=name,
            installed=bool(agent.installs),
            cleanup=agent.ephemeral if cleanup is None else cleanup,
            timeout=wish.timeout or settings.timeout or agent.timeout or TIMEOUT,
            model=wish.model or settings.model,
            provider=provider,
            provider_kind=known.kind if known else None,
            api_base=known.api_base if known else None,
            key=known.key if known and agent.wants_key else None,
            env=settings.env,
            limits=settings.limits,
            secrets=agent.secrets,
        )

    # -- plans --------------------------------------------------------------------------------

    def plan_dispatch(self, devices: Sequence[Device], wish: Wish, bounds: Bounds, command: str = "dispatch") -> Plan:
        """The plan of one task for every device."""
        run = new_run()
        wish = replace(wish, into=wish.into or f"fleet-{run}")

        def jobs(device: Device) -> tuple[Job, ...]:
            part = self.able(device, wish)
            if wish.detach and bounds.deadline:  # which is then the device's to keep
                part = replace(part, timeout=min(part.timeout, bounds.deadline))
            return dispatch_jobs(device, wish, part, bounds.grace)

        return plan(run, command, devices, jobs, bounds)

    def able(self, device: Device, wish: Wish) -> Part:
        """The device's part in a dispatch; raises RequestError when its agent is useless as things are."""
        from fleet_tasks.agents.command import wants_model

        part = self.part(device, wish)
        agent, who = self.agent(part.agent), f"The agent {part.agent} on {device.name}"
        if wants_model(agent, part.provider) and not part.model:
            raise RequestError(f"{who} needs a model: --model NAME, or model: in fleet.yaml.")
        if agent.kinds and part.provider_kind and part.provider_kind not in agent.kinds:
            speaks = " or ".join(agent.kinds)
            raise RequestError(f"{who} speaks {speaks}, and its provider {part.provider} speaks {part.provider_kind}.")
        return part

    def plan_simple(
        self, action: Action, devices: Sequence[Device], wish: Wish = Wish(), bounds: Bounds = Bounds()  # noqa: B008
    ) -> Plan:
        """The plan of one plain job for every device; a teardown that wishes for no agent is of all that are there."""
        run = new_run()
        wish = replace(wish, into=wish.into or f"fleet-{run}")
        agentless = action in (Action.PUT, Action.GET, Action.PS)
        of_all = action is Action.TEARDOWN and not wish.agent

        def jobs(device: Device) -> tuple[Job, ...]:
            (job,) = simple_jobs(action, wish, None if agentless else self.part(device, wish))
            return (replace(job, others=self._environments(device) if of_all else None),)

        return plan(run, action.value, devices, jobs, bounds)

    def _environments(self, device: Device) -> dict[str, Mapping[str, str]]:
        """What the registry wants in the environment of each agent that it describes there; of any other under ''."""
        return {name: self.registry.settings(device, name).env for name in (*self.registry.agents, "")}

    def plan_follow(self, run: str, stream: bool = False, bounds: Bounds = Bounds()) -> Plan:  # noqa: B008
        """The plan of reading on in a detached run; raises RequestError for one that was not detached."""
        errands = self._errands(run)
        visits = tuple(
            Visit(errand.device, (where(errand, Job(Action.FOLLOW, stream=stream)),)) for errand in errands
        )
        return Plan(run, "follow", visits, bounds.parallel, bounds.retries, bounds.connect_timeout, continues=True)

    def plan_fetch(self, run: str, devices: Sequence[Device], wish: Wish, bounds: Bounds) -> Plan:
        """The plan of fetching from the folders that a detached run works in, on some of its devices."""
        names = {device.name for device in devices}
        places = {errand.device.name: errand.place for errand in self._errands(run)}
        strangers = names - set(places)
        if strangers:
            raise RequestError(f"The run {run} has no part on {', '.join(sorted(strangers))}.")
        own = new_run()
        wish = replace(wish, into=wish.into or f"fleet-{own}")

        def jobs(device: Device) -> tuple[Job, ...]:
            return simple_jobs(Action.GET, replace(wish, workdir=wish.workdir or places[device.name]))

        return plan(own, "get", devices, jobs, bounds)

    def plan_stop(
        self, run: str, devices: Sequence[Device], grace: float | None = None, bounds: Bounds = Bounds()  # noqa: B008
    ) -> Plan:
        """The plan of ending a run, or with ``*`` every run, on some devices; ``grace`` is another than their own.

        A link may be cut just as a task goes on alone: what nobody has heard of nobody follows, and its folder goes.
        """
        folder = f"fleet-tasks-{run}-*" if run != "*" else "fleet-tasks-*"
        job = Job(Action.STOP, folder=folder)
        if grace is not None:
            job = replace(job, grace=grace, insists=True)
        heard = {errand.device.name for errand in recall(history.folder() / "runs" / run)}
        visits = tuple(
            Visit(device, (replace(job, cleanup=run != "*" and device.name not in heard),)) for device in devices
        )
        return Plan(new_run(), "stop", visits, bounds.parallel, bounds.retries, bounds.connect_timeout)

    def is_detached(self, run: str) -> bool:
        """Whether a run was left to go on alone."""
        return bool(recall(history.folder() / "runs" / run))

    def parts_of(self, run: str) -> tuple[Device, ...]:
        """The devices on which a run is known to go on alone; raises RequestError when it is on none."""
        return tuple(errand.device for errand in self._errands(run))

    def devices_of(self, run: str) -> tuple[Device, ...]:
        """The devices that a run visits: its parts as they were then, others as the registry knows them now."""
        then = {errand.device.name: errand.device for errand in recall(history.folder() / "runs" / run)}
        results = history.History.open(history.folder()).load(run).results
        others = tuple(dict.fromkeys(result.device for result in results if result.device not in then))
        return (*then.values(), *(self.choose(Targets(device=others)) if others else ()))

    def _errands(self, run: str) -> tuple[Errand, ...]:
        errands = recall(history.folder() / "runs" / run)
        if not errands:
            raise RequestError(f"The run {run} was not detached: there is nothing to follow or to fetch.")
        return errands


def agent_names(settings: Mapping[str, AgentSettings] = MappingProxyType({})) -> Collection[str]:
    """The agents that a registry may speak of: what ships, plug-ins, and those that its own settings describe."""

    def data() -> Iterable[str]:
        from fleet_tasks.agents import catalogue

        return catalogue.data(settings)

    return plugins.Names("agents", data)


def limit_names(agent: str) -> tuple[str, ...] | None:
    """The limits that a registry may set for an agent; None where it does not tell."""
    from fleet_tasks.agents import catalogue

    return catalogue.limits(agent)
