"""A batch as it is written into its journal: plain values, and the records made from them again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleet_tasks.batch.tasks import UNSAID, Task, Where
from fleet_tasks.jobs import Send
from fleet_tasks.plans import Bounds, Wish

_LISTS = ("takes", "fetch", "expect", "after")


def task_rows(tasks: Iterable[Task]) -> dict[str, object]:
    """Tasks as plain values, less what they do not hold; devices are named once for all that may run there."""
    places: dict[tuple[str, ...], int] = {}
    here = str(Path.cwd())
    rows = [_row(task, here, places.setdefault(task.devices, len(places))) for task in tasks]
    return {"tasks": rows, "places": list(places)}


def tasks_of(written: Mapping[str, Any]) -> tuple[Task, ...]:
    """The tasks of such values."""
    places = [tuple(names) for names in written["places"]]
    return tuple(_task(row, places[row["devices"]]) for row in written["tasks"])


def _row(task: Task, here: str, place: int) -> dict[str, object]:
    """What a task says, its local files with their whole paths: it may be resumed in another folder."""
    row: dict[str, object] = {**vars(task), "devices": place}
    if task.send:
        # Paths that are objects take their time, where there are thousands.
        row["send"] = [{"local": os.path.join(here, item.local), "name": item.name} for item in task.send]  # noqa: PTH118
    if "where" in row:
        row["where"] = vars(task.where)
    return row


def _task(row: Mapping[str, Any], devices: tuple[str, ...]) -> Task:
    lists: dict[str, Any] = {key: tuple(row[key]) for key in _LISTS if key in row}
    if "send" in row:
        lists["send"] = tuple(Send(**item) for item in row["send"])
    if "where" in row:
        said: dict[str, Any] = {key: value if key == "each" else tuple(value) for key, value in row["where"].items()}
        lists["where"] = Where(**said)
    return UNSAID.but(**{**row, **lists, "devices": devices})


def wish_row(wish: Wish) -> dict[str, object]:
    """A wish as plain values; files are the tasks' own."""
    return {key: value for key, value in asdict(wish).items() if key not in ("send", "fetch")}


def limits_of(row: Mapping[str, Any]) -> tuple[Wish, Bounds]:
    """The wish and the bounds of a written batch."""
    return Wish(**row["wish"]), Bounds(**row["bounds"])
