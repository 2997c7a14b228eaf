"""Commands that visit devices."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke import Context

from fleet_tasks.cli import task
from fleet_tasks.commands import bounds, carry_out, choose, open_fleet, pick, run_id
from fleet_tasks.errors import RequestError
from fleet_tasks.jobs import Action
from fleet_tasks.options import (
    Agency,
    AnyOf,
    Connecting,
    Fetching,
    Limits,
    Model,
    Output,
    Removal,
    RunChoice,
    Sending,
    Targets,
    Where,
    Work,
)
from fleet_tasks.plans import Wish, fetches, told
from fleet_tasks.transfer import sends


@task
def check(c: Context, targets: Targets, agency: Agency, connecting: Connecting, output: Output, where: Where) -> None:
    """Tell what a dispatch would stumble over.

    Looks at keys, login, host key, what the agent needs, disk, clock; each cross comes with its fix.

        fab check -g handhelds
    """
    fleet = open_fleet(c, where)
    devices = choose(c, fleet, targets, everyone=True)
    wish = Wish(agent=agency.agent)
    carry_out(c, fleet, fleet.plan_simple(Action.CHECK, devices, wish, bounds(fleet, connecting)), output)


@task
def status(c: Context, targets: Targets, agency: Agency, connecting: Connecting, output: Output, where: Where) -> None:
    """Show one row of facts for each device.

    Reachable or not, agent and version, ready or why not, system, load, memory, disk, round trip.

        fab status --format json
    """
    fleet = open_fleet(c, where)
    devices = choose(c, fleet, targets, everyone=True)
    wish = Wish(agent=agency.agent)
    carry_out(c, fleet, fleet.plan_simple(Action.STATUS, devices, wish, bounds(fleet, connecting)), output)


@task
def deploy(c: Context, targets: Targets, agency: Agency, connecting: Connecting, output: Output, where: Where) -> None:
    """Install or update the agent where needed.

    What is current is skipped; what is sent is checked before it is put in its place.

        fab deploy -g handhelds
    """
    fleet = open_fleet(c, where)
    wish = Wish(agent=agency.agent)
    plan = fleet.plan_simple(Action.DEPLOY, choose(c, fleet, targets), wish, bounds(fleet, connecting))
    carry_out(c, fleet, plan, output)


@task
def dispatch(
    c: Context,
    targets: Targets,
    any_of: AnyOf,
    agency: Agency,
    model: Model,
    work: Work,
    connecting: Connecting,
    limits: Limits,
    output: Output,
    where: Where,
) -> None:
    """Give one task to every chosen device.

    The agent is deployed where it is missing, does the task, and its answer comes back. When the run
    ends, for whatever reason, the work on the devices ends too.

        fab dispatch -g handhelds --task "report CPU architecture and free disk space"
    """
    fleet = open_fleet(c, where)
    devices = choose(c, fleet, targets)
    wish = _wish(work, agency.agent, model)
    limit = bounds(fleet, connecting, limits)
    carry_out(c, fleet, fleet.plan_dispatch(pick(c, fleet, devices, any_of, wish, limit), wish, limit), output)


@task
def run(
    c: Context,
    targets: Targets,
    any_of: AnyOf,
    work: Work,
    connecting: Connecting,
    limits: Limits,
    output: Output,
    where: Where,
) -> None:
    """Run a plain shell command on the devices.

    The same as dispatch with the agent shell.

        fab run --all --task "uname -m"
    """
    fleet = open_fleet(c, where)
    devices = choose(c, fleet, targets)
    wish = _wish(work, "shell", Model())
    limit = bounds(fleet, connecting, limits)
    chosen = pick(c, fleet, devices, any_of, wish, limit)
    carry_out(c, fleet, fleet.plan_dispatch(chosen, wish, limit, command="run"), output)


@task
def put(c: Context, targets: Targets, files: Sending, connecting: Connecting, output: Output, where: Where) -> None:
    """Copy files and folders to the devices.

    They appear whole or not at all, in --workdir (relative to the home) or at home.

        fab put -g handhelds --send config.toml --workdir .config/tool
    """
    if not files.send:
        raise RequestError("Nothing to put: name a file or folder with --send.")
    fleet = open_fleet(c, where)
    wish = Wish(send=sends(files.send), workdir=files.workdir)
    plan = fleet.plan_simple(Action.PUT, choose(c, fleet, targets), wish, bounds(fleet, connecting))
    carry_out(c, fleet, plan, output)


@task
def get(
    c: Context,
    targets: Targets,
    files: Fetching,
    choice: RunChoice,
    connecting: Connecting,
    output: Output,
    where: Where,
) -> None:
    """Copy files and folders from the devices.

    Each device has a folder of its own below --into. With --run they come from where that detached
    run works, until it is followed to its end: then that folder goes.

        fab get --all --fetch "logs/*.log" --into collected
    """
    if not files.fetch:
        raise RequestError("Nothing to get: name a file, folder or glob with --fetch.")
    fleet = open_fleet(c, where)
    wish = Wish(fetch=fetches(files.fetch), into=files.into, workdir=files.workdir)
    limit = bounds(fleet, connecting)
    if choice.run:
        run = run_id(choice.run)
        devices = choose(c, fleet, targets) if targets.named else fleet.parts_of(run)
        plan = fleet.plan_fetch(run, devices, wish, limit)
    else:
        plan = fleet.plan_simple(Action.GET, choose(c, fleet, targets), wish, limit)
    carry_out(c, fleet, plan, output)


@task
def teardown(
    c: Context,
    targets: Targets,
    agency: Agency,
    removal: Removal,
    connecting: Connecting,
    output: Output,
    where: Where,
) -> None:
    """Remove what was installed.

    Exactly what deploy made, and nothing that was there before: every agent
    that is on the device, or with --agent that one.

        fab teardown -g handhelds --verify
    """
    fleet = open_fleet(c, where)
    wish = Wish(agent=agency.agent, verify=removal.verify)
    plan = fleet.plan_simple(Action.TEARDOWN, choose(c, fleet, targets), wish, bounds(fleet, connecting))
    carry_out(c, fleet, plan, output)


def _wish(work: Work, agent: str | None, model: Model) -> Wish:
    """What a dispatch asks for; raises RequestError for a task that is none."""
    return Wish(
        task=_task(work),
        agent=agent,
        model=model.model,
        provider=model.provider,
        timeout=work.timeout,
        send=sends(work.send),
        fetch=fetches(work.fetch),
        into=work.into,
        workdir=work.workdir,
        cleanup=work.cleanup,
        detach=work.detach,
        reconnect=work.reconnect and not work.detach,
        idempotent=work.idempotent,
        stream=work.stream,
    )


def _task(work: Work) -> str:
    if work.task is not None and work.task_file is not None:
        raise RequestError("--task and --task-file contradict each other; use one of them.")
    text = _read(work.task_file) if work.task_file is not None else work.task or ""
    if not text.strip():
        raise RequestError("The task is empty: say what to do with --task TEXT or --task-file FILE.")
    return told(text)


def _read(name: str) -> str:
    if name == "-" and sys.stdin is None:
        raise RequestError("--task-file - reads standard input, and that is closed.")
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise RequestError(f"--task-file {name} cannot be read: {error.strerror}.") from error
    return data.decode("utf-8", "surrogateescape")
