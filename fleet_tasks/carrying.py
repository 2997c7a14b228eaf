"""One plan being carried out: its engine, its deadline, its secrets, its history."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fleet_tasks import history, plugins
from fleet_tasks.actions.stage import now
from fleet_tasks.devices import Device
from fleet_tasks.errors import DeadlineReached, StopError, TooManyFailures
from fleet_tasks.jobs import Action, Job, Plan, Visit
from fleet_tasks.results import Chunk, Progress, Report, Result, State
from fleet_tasks.secrets import Scrubber, refuse_told, warn_of_short
from fleet_tasks.transfer import want_writable
from fleet_tasks.worker import Worker

if TYPE_CHECKING:
    from fleet_tasks.fleet import Fleet


class Carrying:
    """One plan being carried out: its engine, its deadline, its history."""

    def __init__(self, fleet: Fleet, plan: Plan, record: bool) -> None:
        self._fleet = fleet
        self._plan = plan
        self._started = now()
        for folder in dict.fromkeys(self._places()):
            want_writable(folder)
        self._history = history.History.open(history.folder()) if record else None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._failures = 0
        checks = (job for visit in plan.visits for job in visit.jobs if job.action is Action.CHECK)
        self._secrets = fleet.secrets_for(self._secret_jobs()) | fleet.secrets_looked_for(checks)
        refuse_told(self._secrets.values(), self._tasks())
        if record:
            warn_of_short(self._secrets.values())
        fleet.scrubber = Scrubber(secret.reveal() for secret in self._secrets.values())
        self._spool = history.folder() / "runs" / plan.run

    def items(self) -> Iterator[Progress | Chunk | Result]:
        """What the engine yields, recorded on the way."""
        plan, fleet = self._plan, self._fleet
        self._begin_history()
        self._set_deadline()
        connections = fleet.session.connections([v.device for v in plan.visits], plan.connect_timeout)
        visits = {v.device.name: v for v in plan.visits}
        worker = Worker(plan, fleet.agent, fleet.stopping, self._spool, self._secrets)
        engine = plugins.load("engines", "threads")()
        members = [connections[visit.device.name] for visit in plan.visits]
        for item in engine.carry_out(
            members, lambda c, notify: self._counted(worker.visit(visits[c.login.device], c, notify)), plan.parallel
        ):
            if isinstance(item, Result) and self._history is not None and not self._is_away(item):
                self._history.record(plan.run, item, again=plan.continues)
            yield item

    def _counted(self, results: Iterable[Result]) -> Iterator[Result]:
        """A visit's results, counted in its own thread: before that thread begins the next visit."""
        for result in results:
            if not result and result.state is not State.SKIPPED:
                self._count_failure()
            yield result

    def _count_failure(self) -> None:
        """Lets nothing new begin once --max-failures is reached."""
        with self._lock:
            self._failures += 1
            failures, allowed = self._failures, self._plan.max_failures
        if allowed is not None and failures >= allowed:
            self._fleet.stopping.bar(TooManyFailures(f"{failures} failed, and --max-failures allows no more."))

    def end(self) -> None:
        """Stops the deadline's clock."""
        if self._timer is not None:
            self._timer.cancel()

    def report(self, results: Sequence[Result], seconds: float) -> Report:
        """The finished report, results in the plan's order; recorded as finished."""
        plan = self._plan
        order = {(v.device.name, job.task_id): n for n, (v, job) in enumerate(_reported(plan))}
        ranked = sorted(results, key=lambda r: order.get((r.device, r.task_id), len(order)))
        report = Report(
            run=plan.run,
            command=plan.command,
            started=self._started,
            seconds=round(seconds, 3),
            results=tuple(ranked),
            interrupted=_interrupted(self._fleet.stopping.reason),
        )
        if self._history is None:
            return report
        if plan.continues and self._history.knows(plan.run):
            known = self._history.load(plan.run)
            away = {(result.device, result.task_id): result for result in results if self._is_away(result)}
            told = tuple(away.get((result.device, result.task_id), result) for result in known.results)
            took = known.seconds + seconds
            if plan.command == "follow":  # of a detached run only is known how long it took to start
                took = max([known.seconds, *(result.seconds for result in told)])
            report = replace(known, results=told, seconds=round(took, 3), interrupted=report.interrupted)
        self._history.finish(report)
        self._history.close()
        return report

    def _is_away(self, result: Result) -> bool:
        """Whether a followed device was out of reach just now: its run goes on, as far as we know."""
        return self._plan.command == "follow" and result.state in (State.UNREACHABLE, State.SKIPPED)

    def _secret_jobs(self) -> Iterable[tuple[Device, Job]]:
        """Every job whose agent may need secrets, with its device."""
        jobs = ((visit.device, job) for visit in self._plan.visits for job in visit.jobs)
        return ((device, job) for device, job in jobs if job.action in (Action.DISPATCH, Action.FOLLOW))

    def _places(self) -> Iterable[str]:
        """The local folders that files are to be brought into."""
        return (job.into or "." for visit in self._plan.visits for job in visit.jobs if job.fetch)

    def _tasks(self) -> Iterable[str]:
        """The text of every task that there is."""
        return (job.task for _device, job in self._secret_jobs())

    def _begin_history(self) -> None:
        plan = self._plan
        if self._history is not None and not plan.continues:
            self._history.begin(plan.run, plan.command, self._started, history.planned(plan.visits))

    def _set_deadline(self) -> None:
        seconds = self._plan.deadline
        if seconds is None:
            return
        reason = DeadlineReached(f"The run's deadline of {seconds:g} s came.")
        self._timer = threading.Timer(seconds, self._fleet.stopping.request, [reason])
        self._timer.daemon = True
        self._timer.start()


def _reported(plan: Plan) -> list[tuple[Visit, Job]]:
    return [(visit, job) for visit in plan.visits for job in visit.reported]


def _interrupted(reason: StopError | None) -> bool:
    """Whether a person or a signal ended the run, rather than its deadline."""
    return reason is not None and not isinstance(reason, DeadlineReached)
