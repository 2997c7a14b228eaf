"""Commands that look back."""

from __future__ import annotations

import re
from dataclasses import asdict

from invoke import Context

from fleet_tasks import commands, formats
from fleet_tasks.cli import task
from fleet_tasks.commands import run_id
from fleet_tasks.errors import RequestError
from fleet_tasks.history import History, folder
from fleet_tasks.options import Output, Past, Pruning, RunChoice

DAYS = {"s": 1 / 86400, "m": 1 / 1440, "h": 1 / 24, "d": 1, "w": 7}


@task(name="list", default=True)
def history(c: Context, past: Past, output: Output) -> None:
    """List past runs, newest first.

        fab history --limit 5
    """
    records = History.open(folder())
    rows = [asdict(run) for run in records.runs(past.limit or 20, past.device)]
    commands.show("runs", rows, output)


@task
def show(c: Context, choice: RunChoice, output: Output) -> None:
    """Show one past run as it was.

    A unique beginning of its id is enough.

        fab history.show --run 01J8 --format markdown
    """
    records = History.open(folder())
    report = records.load(run_id(choice.run))
    with formats.open(output.format or "text", formats.Streams(), output) as view:
        for result in report.results:
            view.see(result)
        view.close(report)


@task
def prune(c: Context, pruning: Pruning) -> None:
    """Forget old runs and their files.

        fab history.prune --older-than 30d
    """
    if pruning.older_than is None and pruning.keep is None:
        raise RequestError("Say what to forget: --older-than 30d, or --keep N for all but the newest N.")
    commands.refuse_dry(c)
    days = _days(pruning.older_than) if pruning.older_than is not None else None
    count = History.open(folder()).prune(days, pruning.keep)
    formats.Streams().say(f"Forgot {count} run{'' if count == 1 else 's'}.")


def _days(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip())
    if found is None:
        raise RequestError(f"--older-than wants a time such as 30d, 12h or 2w, not {text!r}.")
    return float(found[1]) * DAYS[found[2] or "d"]
