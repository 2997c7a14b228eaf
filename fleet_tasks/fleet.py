"""Fleet: the Python API. Puts the parts together: registry, session, plans, engine, history.

    fleet = Fleet.load("fleet.yaml")
    report = fleet.dispatch("uname -m", Targets(group=("handhelds",)), agent="shell")
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fleet_tasks import registry as registries
from fleet_tasks.devices import Device
from fleet_tasks.errors import Refused, RequestError
from fleet_tasks.jobs import Action, Job, Plan, Visit
from fleet_tasks.options import Targets
from fleet_tasks.planning import Planner, agent_names, limit_names
from fleet_tasks.plans import Bounds, Wish, best
from fleet_tasks.registry import Registry
from fleet_tasks.results import Chunk, Progress, Report, Result
from fleet_tasks.secrets import Scrubber
from fleet_tasks.stopping import Stopping

if TYPE_CHECKING:
    from fleet_tasks.carrying import Carrying
    from fleet_tasks.logins import Habits
    from fleet_tasks.secrets import Secret
    from fleet_tasks.session import Session


class Fleet(Planner):
    """The devices of one registry, and what can be done with them.

    Every method that works on devices returns a Report; a request that cannot be met raises a RequestError.
    """

    def __init__(
        self,
        registry: Registry,
        habits: Habits | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(registry)
        self.environ = dict(os.environ if environ is None else environ)
        self.home = Path(self.environ.get("HOME") or Path.home())
        self.stopping = Stopping()
        self.scrubber = Scrubber()
        self._habits = habits
        self._session: Session | None = None

    @classmethod
    def load(cls, path: str | Path | None = None) -> Fleet:
        """The fleet of a registry file; without one, of the registry that the command line would find."""
        home = Path(os.environ.get("HOME") or Path.home())
        found = registries.find(str(path) if path else None, os.environ, Path.cwd(), home)
        return cls(registries.load(found, agents=agent_names(), limits=limit_names) if found else Registry.empty())

    # -- work ---------------------------------------------------------------------------------

    def sweep(self, run: str) -> Report:
        """Removes what an ended detached run has on its devices, once its results are kept here."""
        devices = [errand.device for errand in self._errands(run)]
        visits = tuple(
            Visit(device, (Job(Action.STOP, folder=f"fleet-tasks-{run}-*", cleanup=True),)) for device in devices
        )
        return self.collect(Plan(run, "stop", visits), record=False)

    def pick(self, devices: Sequence[Device], wanted: int, wish: Wish, bounds: Bounds) -> tuple[Device, ...]:
        """The ``wanted`` best devices by a fresh status; raises RequestError when none answers."""
        if wish.task:
            self._carrying(self.plan_dispatch(devices, wish, bounds), record=False)  # says what is wrong with it
        report = self.collect(self.plan_simple(Action.STATUS, devices, wish, bounds), record=False)
        names = best(report.results, wanted)
        if not names and not report.interrupted:
            raise NobodyReached(report)
        return tuple(device for name in names for device in devices if device.name == name)

    def dispatch(self, task: str, targets: Targets, agent: str | None = None, **wishes: object) -> Report:
        """Gives one task to every chosen device and waits for the answers."""
        wish = Wish(task=task, agent=agent, **wishes)  # type: ignore[arg-type]
        return self.collect(self.plan_dispatch(self.choose(targets), wish, Bounds()))

    def status(self, targets: Targets | None = None) -> Report:
        """One row of facts for every chosen device, all of them when none is named."""
        return self.collect(self.plan_simple(Action.STATUS, self.choose(targets or Targets(all=True))))

    def collect(self, plan: Plan, record: bool = True) -> Report:
        """Carries a plan out and returns its report, results in the plan's order."""
        self.renew()
        done = None
        for item in self.carry_out(plan, record=record):
            if isinstance(item, Report):
                done = item
        assert done is not None  # carry_out always ends with its report
        return done

    def renew(self) -> None:
        """Forgets that an earlier run was told to stop; to be called before signals may come for the next one."""
        self.stopping = Stopping()

    def carry_out(
        self, plan: Plan, record: bool = True, work: Carrying | None = None
    ) -> Iterator[Progress | Chunk | Result | Report]:
        """Signs of life and results as they happen, and the report as the last item."""
        self._permit()
        begun = time.monotonic()
        work = work or self._carrying(plan, record)
        results: list[Result] = []
        try:
            for item in work.items():
                if isinstance(item, Result):
                    results.append(item)
                yield item
        finally:
            work.end()
        yield work.report(results, time.monotonic() - begun)

    def _carrying(self, plan: Plan, record: bool) -> Carrying:
        from fleet_tasks.carrying import Carrying

        return Carrying(self, plan, record)

    def _permit(self) -> None:
        if not self.registry.enabled or self.environ.get("FLEET_ENABLED", "").lower() in ("0", "no", "false", "off"):
            raise Refused("Remote work is switched off here (enabled: false in the registry, or FLEET_ENABLED=0).")
        if self.environ.get("FLEET_TASK_ID"):
            raise Refused("This is a dispatched task itself (FLEET_TASK_ID is set): it may not dispatch further.")

    @property
    def session(self) -> Session:
        """The open connections, made when first needed; they stay open for the next command."""
        if self._session is None:
            from fleet_tasks.logins import Habits
            from fleet_tasks.session import Session

            habits = self._habits or Habits(agent_socket=self.environ.get("SSH_AUTH_SOCK"))
            self._session = Session(self.home, self.environ, habits)
        return self._session

    def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            self._session.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def secrets_for(self, jobs: Iterable[tuple[Device, Job]]) -> dict[str, Secret]:
        """Every secret that the agents of some jobs need; raises SecretMissing before any connection is opened."""
        from fleet_tasks.secrets import Need, find

        needs = [
            Need(name, job.agent or "", device.name)
            for device, job in jobs
            for name in filter(None, (*job.secrets, job.key))
        ]
        return find(needs, self.registry.secrets, self.environ)

    def secrets_looked_for(self, jobs: Iterable[Job]) -> dict[str, Secret]:
        """The same for those who only want to know: what is nowhere says so itself."""
        from fleet_tasks.secrets import look

        names = dict.fromkeys(name for job in jobs for name in filter(None, (*job.secrets, job.key)))
        return {name: look(name, self.registry.secrets, self.environ) for name in names}


class NobodyReached(RequestError):
    """No device answered, so none can be chosen; carries the report that says why."""

    exit_code = 3

    def __init__(self, report: Report) -> None:
        super().__init__("No device could be reached, so none can be chosen.")
        self.report = report
