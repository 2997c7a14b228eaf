"""Commands for many tasks at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Context, Exit

from fleet_tasks import formats
from fleet_tasks.batch.reading import Source, each, placing, read
from fleet_tasks.batch.tasks import Task, in_order
from fleet_tasks.cli import task
from fleet_tasks.commands import bounds, choose, open_fleet, pick, run_id, show
from fleet_tasks.errors import FleetError, RequestError
from fleet_tasks.fleet import Fleet
from fleet_tasks.options import (
    Agency,
    AnyOf,
    BatchSource,
    Connecting,
    Limits,
    Model,
    Output,
    Rerun,
    RunChoice,
    Targets,
    Where,
)
from fleet_tasks.plans import Wish
from fleet_tasks.record import record
from fleet_tasks.registry.storing import decoded
from fleet_tasks.watching import watch

if TYPE_CHECKING:
    from fleet_tasks.batching import Batch  # loads all that visits devices, which a look at --help has no use for


@record
class TaskRow:
    """One task of a batch before anything is touched; ``wave`` estimates in which round it can begin."""

    id: str
    agent: str
    devices: tuple[str, ...]
    after: tuple[str, ...]
    wave: int
    task: str


@task
def batch(
    c: Context,
    targets: Targets,
    any_of: AnyOf,
    source: BatchSource,
    agency: Agency,
    model: Model,
    connecting: Connecting,
    limits: Limits,
    output: Output,
    where: Where,
) -> None:
    """Work off many tasks with the fleet.

    Tasks wait in one queue and every device takes the next when it is free. Each start is written
    down before it happens, so that fleet resume can finish a batch that was killed.

        fab batch -g workers --each "logs/*.log" --task "Summarise {input}"
    """
    from fleet_tasks import batching

    if source.reduce_agent is not None and source.reduce is None:
        raise RequestError("--reduce-agent goes with --reduce TEXT: say what it is to do.")
    fleet = open_fleet(c, where)
    tasks, given = _tasks(source)
    if targets.exclude:
        choose(c, fleet, targets, everyone=True)  # a slip in it is none of the tasks'
    devices = choose(c, fleet, targets) if targets.named or not all(each.where.named for each in tasks) else ()
    if agency.agent is not None:
        fleet.agent(agency.agent)  # every task may name its own: a slip would go unseen
    wish = Wish(
        agent=agency.agent,
        model=model.model,
        provider=model.provider,
        timeout=source.timeout,
        into=source.into,
        cleanup=source.cleanup,
    )
    limit = bounds(fleet, connecting, limits)
    chosen = pick(c, fleet, devices, any_of, wish, limit) if devices else ()
    if source.reduce:
        tasks = batching.with_reduce(tasks, source.reduce, source.reduce_agent)
    with placing(given):
        whole = batching.prepare(fleet, tasks, chosen, wish, limit, source.slots, targets.exclude)
    if connecting.parallel is None:
        whole = replace(whole, bounds=replace(limit, parallel=_slots(whole)))
    if c.config.run.dry:
        _preview(fleet, whole, output)
        return
    _watch(fleet, whole, output)


@task
def resume(
    c: Context,
    choice: RunChoice,
    rerun: Rerun,
    connecting: Connecting,
    output: Output,
    where: Where,
) -> None:
    """Finish a batch that was interrupted.

    Finished tasks are not done again; those that may have run become lost, and run again only when
    they are idempotent or --rerun says so.

        fab resume --run 01J8
    """
    from fleet_tasks import batching

    fleet = open_fleet(c, where)
    if rerun.rerun not in (None, "lost", "failed"):
        raise RequestError(f"--rerun takes lost or failed, not {rerun.rerun!r}.")
    whole = batching.resume(fleet, run_id(choice.run), rerun.rerun)
    given = {key: value for key, value in vars(connecting).items() if value is not None and hasattr(whole.bounds, key)}
    whole = replace(whole, bounds=replace(whole.bounds, **given))
    if c.config.run.dry:
        _preview(fleet, whole, output)
        return
    _watch(fleet, whole, output)


def _preview(fleet: Fleet, whole: Batch, output: Output) -> None:
    """Shows which tasks are to be done, and in which wave."""
    rows = list(_rows(fleet, whole))
    show("plan", rows, output)
    formats.Streams().say(f"batch: {len(rows)} task{'' if len(rows) == 1 else 's'} planned, nothing was touched.")


def _watch(fleet: Fleet, whole: Batch, output: Output) -> None:
    from fleet_tasks import carrying_batch, standing

    # A table tells more of many tasks than folded answers do.
    output = replace(output, format=output.format or "table")
    rest = f"What is left is done with: fleet resume --run {whole.run} (failed and lost too: --rerun failed)"
    try:
        states = standing.states(whole)
        watch(fleet, whole.plan, output, lambda: carrying_batch.carry_out(fleet, whole), states)
    except (Exit, FleetError) as ended:
        # An error may be that no more can be written down: all the same some of it was done.
        begun = isinstance(ended, Exit) or (standing.is_written(whole) and not whole.continues)
        if begun and not output.quiet:
            formats.Streams().say(rest)
        raise


def _tasks(source: BatchSource) -> tuple[list[Task], Source | None]:
    """The tasks, and the text they stand in."""
    if source.each is not None:
        if source.file is not None:
            raise RequestError("--each and --file contradict each other; use one of them.")
        if not (source.task or "").strip():
            raise RequestError("--each wants a task for each file: --task TEXT.")
        return each(source.each, source.task or "", source.fetch), None
    if source.task is not None or source.fetch:
        given = "--fetch" if source.task is None else "--task"
        raise RequestError(f"{given} goes with --each; tasks of a file say it in the file.")
    if source.file is None and sys.stdin.isatty():
        raise RequestError("Say which tasks: --file tasks.yaml, --each GLOB, or JSON lines on standard input.")
    text = _text(source.file or "-")
    return read(text, Path(source.file).parent if source.file else Path()), text


def _text(name: str) -> Source:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise RequestError(f"--file {name} cannot be read: {error.strerror}.") from error
    if name != "-":
        return Source(name, decoded(data, name), lines=name.endswith((".jsonl", ".ndjson")))
    text = decoded(data, "standard input")
    return Source("standard input", text, lines=text.lstrip()[:1] in ("", "{"))


def _slots(whole: Batch) -> int:
    return sum(whole.slots or device.slots for device in whole.devices)


def _rows(fleet: Fleet, whole: Batch) -> Iterator[TaskRow]:
    """The tasks that are left, with the round in which each can begin: after what it waits for, when a slot is free."""
    from fleet_tasks import batching, standing

    left = {task.id for task in standing.left(whole)}
    width = max(1, min(_slots(whole), whole.bounds.parallel))
    waves: dict[str, int] = {}
    filled: dict[int, int] = {}
    after: dict[int, int] = {}
    chores = batching.chores(fleet, whole)
    for each_ in in_order(whole.tasks):
        if each_.id not in left:
            continue
        wave = _with_room(after, 1 + max((waves.get(name, 0) for name in each_.after), default=0))
        filled[wave] = filled.get(wave, 0) + 1
        if filled[wave] == width:
            after[wave] = wave + 1
        waves[each_.id] = wave
        # Nobody is left to do it where the registry has its devices no more.
        agent = chores.part(each_, each_.devices[0]).agent if each_.devices else each_.agent or ""
        yield TaskRow(each_.id, agent, each_.devices, each_.after, wave, each_.task)


def _with_room(after: dict[int, int], wave: int) -> int:
    """The first wave from this one on that is not full; ``after`` leads from a full one on, ever straighter."""
    passed = []
    while wave in after:
        passed.append(wave)
        wave = after[wave]
    for each_ in passed:
        after[each_] = wave
    return wave
