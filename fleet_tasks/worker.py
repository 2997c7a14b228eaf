"""Carries out one visit: connects, does the jobs in their order, and always those that clean up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path

from fleet_tasks import actions
from fleet_tasks.actions.stage import Clock, Stage, failed
from fleet_tasks.agents.contract import Agent
from fleet_tasks.connection import DeviceConnection
from fleet_tasks.devices import Device
from fleet_tasks.errors import AgentMissing, ConnectError, DeviceError, PlugInBroken
from fleet_tasks.jobs import Action, Job, Plan, Visit
from fleet_tasks.record import record
from fleet_tasks.results import Chunk, Progress, Result, State
from fleet_tasks.retry import patiently
from fleet_tasks.secrets import Scrubber, Secret
from fleet_tasks.stopping import Stopping

log = logging.getLogger(__name__)
Work = Callable[[Stage, Job], Result]
TRIES = 3
"""How often an agent that was brought may be missing when its task begins."""


@record
class Worker:
    """What all visits of a run share."""

    plan: Plan
    agent: Callable[[str], Agent]
    stopping: Stopping
    spool: Path
    secrets: Mapping[str, Secret] = field(default_factory=dict)

    def visit(
        self, visit: Visit, connection: DeviceConnection, notify: Callable[[Progress | Chunk], None]
    ) -> Iterator[Result]:
        """The results of the visit's reported jobs, in order; raises nothing that a device can cause."""
        stage = self.stage(visit.device, connection, notify)
        for result in self._jobs(stage, visit):
            yield _scrubbed(result, stage.scrubber)

    def stage(self, device: Device, connection: DeviceConnection, notify: Callable[[Progress | Chunk], None]) -> Stage:
        """What the jobs on one device find."""
        return Stage(
            run=self.plan.run,
            device=device,
            connection=connection,
            agent=self.agent,
            stopping=self.stopping,
            spool=self.spool,
            secrets=self.secrets,
            scrubber=Scrubber(secret.reveal() for secret in self.secrets.values()),
            notify=notify,
        )

    def carry_out(self, stage: Stage, job: Job, bring: Job | None = None) -> Result:
        """One job on an open connection, its agent brought by ``bring``; never raises what a device can cause."""
        return _scrubbed(self._brought(stage, job, bring, self._job), stage.scrubber)

    def _jobs(self, stage: Stage, visit: Visit) -> Iterator[Result]:
        clock = Clock()
        try:
            self.stopping.begin()
            stage = self._connected(stage)
        except DeviceError as error:
            if isinstance(error, ConnectError):
                stage = replace(stage, attempts=error.attempts)
            for job in visit.reported:
                yield self._unvisited(stage, job, clock, error)
            return
        trouble: Result | None = None
        for job in visit.jobs:
            if trouble is not None and not job.always:
                if job.reported:
                    yield replace(trouble, action=job.action.shown, agent=job.agent, task_id=job.task_id)
                continue
            bring = next((each for each in visit.jobs if each.brings(job)), None)
            result = self._brought(stage, job, bring, self._once)
            if job.reported:
                yield result
            elif not result:
                log.info("%s: %s failed: %s", stage.device.name, job.action, result.error)
                trouble = trouble or result

    def _unvisited(self, stage: Stage, job: Job, clock: Clock, error: DeviceError) -> Result:
        """The result of a job whose device was not reached, or not even tried."""
        if self.stopping.barred is error:
            return replace(failed(stage, job, clock, error), state=State.SKIPPED, attempts=0)
        if job.action is Action.CHECK:
            from fleet_tasks.actions.check import unreached

            return unreached(stage, job, clock, error)
        return failed(stage, job, clock, error)

    def _connected(self, stage: Stage) -> Stage:
        """The stage with a living session; raises ConnectError or the reason to stop."""
        stage.tell("connecting")
        try:
            with stage.connection.throttle, self.stopping.waking(stage.connection.give_up):
                self.stopping.check()
                attempts = patiently(stage.connection.open, self.plan.retries, self.stopping)
        except ConnectError:
            self.stopping.check()  # then it failed because we gave it up
            raise
        return replace(stage, attempts=attempts)

    def _brought(self, stage: Stage, job: Job, bring: Job | None, work: Work) -> Result:
        """The job's result; its agent is brought again where another run cleaned it away before the task began."""
        for _ in range(TRIES):
            result = work(stage, job)
            if bring is None or result.error is None or result.error.code != AgentMissing.code:
                break
            if not self._job(stage, bring):
                break
        return result

    def _once(self, stage: Stage, job: Job) -> Result:
        """The job's result; only an idempotent task whose link broke is started again, and only once."""
        if job.always:
            # Cleaning up is what there is to do when the run is told to stop.
            stage = replace(stage, stopping=Stopping())
        result = self._job(stage, job)
        if result.state is not State.LOST or not job.idempotent or self.stopping.reason is not None:
            return result
        stage.connection.close()
        try:
            stage = self._connected(stage)
        except DeviceError:
            return result
        return self._job(replace(stage, attempts=stage.attempts + 1), job)

    def _job(self, stage: Stage, job: Job) -> Result:
        clock = Clock()
        try:
            return actions.find(job.action)(stage, job)
        except DeviceError as error:
            return failed(stage, job, clock, error)
        except Exception as error:  # an agent's own code may raise anything; the other devices go on
            log.debug("%s: %s", stage.device.name, job.action, exc_info=True)
            broken = PlugInBroken(f"{job.agent or job.action} broke: {type(error).__name__}: {error}")
            broken.__cause__ = error
            return failed(stage, job, clock, broken)


def _scrubbed(result: Result, scrubber: Scrubber) -> Result:
    """The result without known secret values in its sentences; its streams were scrubbed as they came."""
    if result.error is None:
        return result
    error = replace(
        result.error, message=scrubber.text(result.error.message), guidance=scrubber.text(result.error.guidance)
    )
    return replace(result, error=error)


