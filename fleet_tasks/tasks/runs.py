"""Commands about runs that go on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace

from invoke import Context, Exit

from fleet_tasks import formats, settings
from fleet_tasks.cli import task
from fleet_tasks.commands import bounds, carry_out, choose, open_fleet, run_id, show
from fleet_tasks.detached import attending, unattended
from fleet_tasks.errors import RequestError
from fleet_tasks.fleet import Fleet
from fleet_tasks.history import History, folder
from fleet_tasks.jobs import Action
from fleet_tasks.options import Connecting, Following, Limits, Output, RunChoice, Stopped, Targets, Where
from fleet_tasks.plans import Wish
from fleet_tasks.record import record
from fleet_tasks.results import Report, Result, State, exit_code


@record
class RunRow:
    """A run that devices know of: its summary counts them by state, and holds the exit code that makes."""

    run: str
    command: str
    started: str
    seconds: float | None
    devices: tuple[str, ...]
    summary: dict[str, int] = field(default_factory=dict)


@task
def ps(
    c: Context, targets: Targets, choice: RunChoice, connecting: Connecting, output: Output, where: Where
) -> None:
    """Show which runs the devices know of.

    Those going on, and those that ended and wait to be followed.

        fab ps -g handhelds
    """
    fleet = open_fleet(c, where)
    wanted = run_id(choice.run) if choice.run else ""
    named = targets.named or settings.host(c) is not None
    devices = fleet.devices_of(wanted) if wanted and not named else choose(c, fleet, targets, everyone=True)
    plan = fleet.plan_simple(Action.PS, devices, Wish(), bounds(fleet, connecting))
    if c.config.run.dry:
        carry_out(c, fleet, plan, output)
        return
    report = fleet.collect(plan, record=False)
    streams = formats.Streams()
    for result in report.results:
        if result.error is not None:
            streams.say(f"{result.device}: {result.error.message} {result.error.guidance}")
    rows = [row for row in _rows(report.results) if row.run.startswith(wanted)]
    show("runs", rows, output)
    if report.exit_code == 3:
        raise Exit(code=3)


@task
def follow(
    c: Context, choice: RunChoice, following: Following, connecting: Connecting, output: Output, where: Where
) -> None:
    """Read on in a detached run until it ends.

    Starts with its first byte, survives reconnects, and ends with the same document and exit code as
    an attached run. Ctrl-C stops following; the run goes on.

        fab follow --run 01J8 --stream
    """
    fleet = open_fleet(c, where)
    run = run_id(choice.run)
    try:
        with attending(folder() / "runs" / run):
            known = History.open(folder()).load(run)
            if _is_over(known):
                _show(known, output)
            else:
                carry_out(c, fleet, fleet.plan_follow(run, following.stream, bounds(fleet, connecting)), output)
    finally:
        if not c.config.run.dry:
            _sweep(fleet, run)


@task
def stop(
    c: Context,
    targets: Targets,
    stopped: Stopped,
    connecting: Connecting,
    limits: Limits,
    output: Output,
    where: Where,
) -> None:
    """End a run, and see that it is gone.

    With --all every run of yours on the chosen devices (on every device when none is chosen).

        fab stop --run 01J8
    """
    fleet = open_fleet(c, where)
    limit = bounds(fleet, connecting, limits)
    if stopped.run:
        run = run_id(stopped.run)
        devices = fleet.devices_of(run)
    elif targets.named:
        # --all says "every run"; which devices is said by the others, or it is every device.
        chosen = replace(targets, all=not (targets.device or targets.group or targets.tag))
        run, devices = "*", choose(c, fleet, chosen)
    else:
        raise RequestError("Say which run: --run ID (fleet ps lists them), or --all for every run.")
    plan = fleet.plan_stop(run, devices, limits.grace, limit)
    failed = None
    try:
        carry_out(c, fleet, plan, output)
    except Exit as error:
        failed = error
    if run != "*" and not c.config.run.dry:
        _collect(fleet, run, plan.run)
    if failed is not None:
        raise failed


def _collect(fleet: Fleet, run: str, stopping: str) -> None:
    """Brings in what a detached run that was ended had to say, so that history knows its end.

    Not from devices that ``stopping``, the run that ended it, did not get to: nobody should wait for these once more.
    """
    if not fleet.is_detached(run):
        return
    results = History.open(folder()).load(stopping).results
    reached = {result.device for result in results if result.state in (State.DONE, State.FAILED)}
    plan = fleet.plan_follow(run)
    visits = tuple(visit for visit in plan.visits if visit.device.name in reached)
    if not visits:
        return
    with attending(folder() / "runs" / run):
        fleet.collect(replace(plan, visits=visits))
    _sweep(fleet, run)


def _sweep(fleet: Fleet, run: str) -> None:
    """Removes the run from its devices when everything of it is here, and nobody else is reading it."""
    if not fleet.is_detached(run):
        return
    with unattended(folder() / "runs" / run) as alone:
        if alone and _is_over(History.open(folder()).load(run)):
            fleet.sweep(run)


def _is_over(known: Report) -> bool:
    """Whether the run's end is known on every device."""
    return all(result.state is not State.RUNNING for result in known.results)


def _show(report: Report, output: Output) -> None:
    with formats.open(output.format or "text", formats.Streams(), output) as view:
        for result in report.results:
            view.see(result)
        view.close(report)
    if report.exit_code:
        raise Exit(code=report.exit_code)


def _rows(results: Iterable[Result]) -> list[RunRow]:
    """What the devices told, a row for each run, newest first; history adds what it knows."""
    records = History.open(folder())
    known = {run.run: run for run in records.runs(1000)}
    found: dict[str, list[tuple[str, str, str]]] = {}
    for result in results:
        for each in (result.facts or {}).get("runs", ()):  # type: ignore[attr-defined]
            found.setdefault(each["run"], []).append((result.device, each["state"], each["started"]))
    rows = []
    for run, parts in sorted(found.items(), reverse=True):
        head = known.get(run)
        rows.append(
            RunRow(
                run=run,
                command=head.command if head else "dispatch",
                started=head.started if head else min(started for *_, started in parts),
                seconds=head.seconds if head else None,
                devices=tuple(device for device, *_ in parts),
                summary=_summary([State(state) for _, state, _ in parts]),
            )
        )
    return rows


def _summary(states: list[State]) -> dict[str, int]:
    """The same fields as history's, so that one reader serves both."""
    code = exit_code([Result("", "", "", state) for state in states])
    return {**{state.value: states.count(state) for state in State}, "exit_code": code}
