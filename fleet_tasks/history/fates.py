"""How work stands that has no result in history: by its process, and for a batch by its journal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fleet_tasks.errors import RequestError
from fleet_tasks.history.journal import Journal
from fleet_tasks.history.records import Fate
from fleet_tasks.results import Problem, State


def fates(folder: Path, *, alive: bool) -> Callable[[str | None], Fate]:
    """For the run with this folder, how a task stands, by its id (None outside of batches).

    Work is running while its process is ``alive``, else lost; but what a killed batch had not begun was skipped.
    """
    usual = Fate(State.RUNNING if alive else State.LOST)
    if not Journal.exists(folder):
        return lambda task: usual
    try:
        with closing(Journal(folder)) as journal:
            known = journal.known()
    except RequestError:
        return lambda task: usual
    unbegun = (
        Fate(State.RUNNING, attempts=0) if alive else Fate(State.SKIPPED, error=_unbegun(folder.name), attempts=0)
    )

    def fate(task: str | None) -> Fate:
        name = task or ""
        tries = known.tries.get(name, 0)
        if name in known.ends:
            return Fate(known.ends[name], known.devices.get(name, ""), attempts=tries)
        return Fate(usual.state, known.open[name], attempts=tries) if name in known.open else unbegun

    return fate


def _unbegun(run: str) -> Problem:
    return Problem("cancelled", "It had not begun when the batch was ended.", f"Go on with: fleet resume --run {run}")
