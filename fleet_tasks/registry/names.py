"""The names that other parts of fleet.yaml may refer to."""

from __future__ import annotations

from collections.abc import Collection

from fleet_tasks import ranges
from fleet_tasks.record import record
from fleet_tasks.registry import schema, spots
from fleet_tasks.registry.records import Limits, unknown
from fleet_tasks.registry.spots import Spot

_WAY_OUT = {
    "provider": "describe it under providers:.",
    "agent": "an agent of your own needs dispatch: under agents:.",
}


@record
class Names:
    """Providers and agents there are; where no agents are given, every agent's name is taken as it is.

    ``own`` are the agents that the registry itself describes, which have no limits; ``limits`` knows those of others.
    """

    providers: Collection[str]
    agents: Collection[str] | None
    own: Collection[str] = ()
    limits: Limits = unknown

    def provider(self, spot: Spot) -> str:
        """The name of a provider that is known."""
        return _known("provider", spot, spots.name(spot), self.providers)

    def agent(self, spot: Spot) -> str:
        """The name of an agent that is known."""
        name = spots.name(spot)
        if self.agents is None or name in self.own or name in self.agents:
            return name
        return _known("agent", spot, name, {*self.agents, *self.own})

    def limits_of(self, spot: Spot, agent: str | None = None) -> dict[str, object]:
        """Limits that the agent has, or any agent where they are said for all of them."""
        if agent is not None:
            whose: Collection[str] = (agent,)
        elif self.agents is not None:
            whose = (*self.agents, *self.own)
        else:
            return schema.options(spot)
        known: set[str] = set()
        for name in whose:
            found = () if name in self.own else self.limits(name)
            if found is None:
                return schema.options(spot)
            known.update(found)
        for at, name, _ in spots.entries(spot):
            if name not in known:
                raise at.wrong(_no_limit(agent, name, known))
        return schema.options(spot)


def _no_limit(agent: str | None, name: str, known: Collection[str]) -> str:
    near = ranges.nearest(name, known)
    whose = f"{agent} has" if agent else "There is"
    if near:
        return f"{whose} no limit {ranges.shown(name)}; did you mean {near}?"
    none = "it has none at all." if agent else "no agent has any."
    return f"{whose} no limit {ranges.shown(name)}; " + (f"known are {', '.join(sorted(known))}." if known else none)


def _known(kind: str, spot: Spot, name: str, known: Collection[str]) -> str:
    if name in known:
        return name
    near = ranges.nearest(name, known)
    raise spot.wrong(f"There is no {kind} {name!r}; " + (f"did you mean {near}?" if near else _WAY_OUT[kind]))
