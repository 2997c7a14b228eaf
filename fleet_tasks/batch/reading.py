"""Tasks from a YAML file, from JSON lines, or one for each file of a glob.

A wrong file is refused whole, with the line of what is wrong.
"""

from __future__ import annotations

import fnmatch
import gc
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from fleet_tasks.batch import jsonlines, plain
from fleet_tasks.batch.tasks import ID, REDUCE, UNSAID, Task, TaskError, Where, check
from fleet_tasks.errors import Place, RegistryError, RequestError
from fleet_tasks.jobs import Send
from fleet_tasks.record import record
from fleet_tasks.registry import spots
from fleet_tasks.registry.document import Mapping, Scalar, parse
from fleet_tasks.registry.spots import Spot
from fleet_tasks.transfer import apart, sends

DEFAULTS = ("agent", "model", "timeout", "fetch", "where", "idempotent", "retries", "expect")


@record
class Source:
    """The text of a batch and what it is called in sentences; ``lines`` when each line is a JSON object."""

    name: str
    text: str
    lines: bool


def read(source: Source, folder: Path) -> list[Task]:
    """The tasks of a file, paths relative to ``folder``; raises RegistryError with the line of what is wrong."""
    with _growing():
        tasks = _tasks(source, folder)
    if not tasks:
        raise RegistryError("There is no task in it.", Place(source.name))
    with placing(source):
        check(tasks)
    return tasks


def _tasks(source: Source, folder: Path) -> list[Task]:
    if source.lines:
        values = enumerate(jsonlines.values(source.text, source.name), 1)
        return [
            _plain_task(UNSAID, value, number)
            if _is_plain(value)
            else _task(jsonlines.spot(source.name, line, value), number, {}, folder)
            for number, (line, value) in values
        ]
    if plainly := _plain_tasks(source, folder):
        return plainly
    defaults, rows = _rows(source)
    return [_task(spot, number, defaults, folder) for number, spot in enumerate(rows, 1)]


def _plain_tasks(source: Source, folder: Path) -> list[Task]:
    """The tasks of a YAML file that say little, all of them; none where a closer look has to say what is there."""
    above, key, below = f"\n{source.text}".partition("\ntasks:\n")
    texts = plain.entries(below) if key else None
    if not texts or not all(map(_is_plain, texts)):
        return []
    unsaid = UNSAID
    if above.strip():
        try:
            root = spots.fields(Spot(source.name, "", parse(above, source.name)), ("defaults",))
            unsaid = _task_of(_defaults(root), UNSAID, folder)
        except RegistryError:
            return []
    return [_plain_task(unsaid, each, number) for number, each in enumerate(texts, 1)]


@contextmanager
def _growing() -> Iterator[None]:
    """While nearly all that is made is kept, nobody looks for what is not: a fifth of the time for thousands."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def placing(source: Source | None) -> Iterator[None]:
    """Gives a TaskError the line of its task in ``source``, if it is one of a file."""
    try:
        yield
    except TaskError as error:
        # What was read of thousands of tasks is not kept for this: it is read once more.
        wrong = next(islice(_rows(source)[1], error.number, None), None) if source else None
        if wrong is None:
            raise
        raise wrong.wrong(str(error)) from error


def each(pattern: str, text: str, fetch: Sequence[str]) -> list[Task]:
    """One task for each file that ``pattern`` names, in the order of their names; each file is sent along."""
    paths = sorted(_files(os.path.expanduser(pattern)))  # noqa: PTH111
    if not paths:
        raise RequestError(f"--each {pattern!r} names no file.")
    task = UNSAID.but(task=text, fetch=tuple(fetch))
    return [
        task.but({"id": f"t{index}", "index": index, "send": (Send(path, path.rpartition("/")[2]),)})
        for index, path in enumerate(paths, 1)
    ]


def _files(pattern: str) -> Iterable[str]:
    """The files that a pattern names; as texts, for paths that are objects take their time where there are thousands.

    Which of a folder's names are files the folder itself knows: to ask for each takes as long as to read all tasks.
    """
    folder, name = os.path.split(pattern)
    if glob.has_magic(folder) or name == "**" or not glob.has_magic(name):
        return filter(os.path.isfile, glob.glob(pattern, recursive=True))  # noqa: PTH207
    try:
        with os.scandir(folder or os.curdir) as entries:
            files = [each.name for each in entries if _is_file(each)]
    except OSError:
        return []  # as where a glob names nothing
    shown = files if name.startswith(".") else [each for each in files if not each.startswith(".")]
    before = os.path.join(folder, "")  # noqa: PTH118
    return (before + each for each in fnmatch.filter(shown, name))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads back to itself, or where nobody may look
        return False


def _rows(source: Source) -> tuple[dict[str, Spot], Iterator[Spot]]:
    """What stands behind every task, and the tasks one after the other."""
    if source.lines:
        values = jsonlines.values(source.text, source.name)
        return {}, (jsonlines.spot(source.name, line, value) for line, value in values)
    root = spots.fields(Spot(source.name, "", parse(source.text, source.name)), ("defaults", "tasks"))
    if "tasks" not in root:
        raise RegistryError("There is no list called tasks.", Place(source.name))
    return _defaults(root), iter(spots.items(root["tasks"]))


def _defaults(root: dict[str, Spot]) -> dict[str, Spot]:
    return spots.fields(root["defaults"], DEFAULTS) if "defaults" in root else {}


def _is_plain(value: Any) -> bool:
    """Whether an entry says little, as most of thousands do: there is nothing in it that takes a closer look."""
    if type(value) is not dict or "task" not in value:
        return False
    for key, text in value.items():
        if key not in _PLAIN or not spots.is_plain(text):
            return False
    return "id" not in value or _is_id(value["id"])


def _plain_task(unsaid: Task, texts: dict[str, Any], number: int) -> Task:
    return unsaid.but({"id": f"t{number}", "index": number, **texts})


def _task(spot: Spot, number: int, defaults: dict[str, Spot], folder: Path) -> Task:
    given = {**defaults, **spots.fields(spot, KEYS)}
    if "task" not in given:
        raise spot.wrong("has no task: say what to do.")
    return _task_of(given, UNSAID.but(id=f"t{number}", index=number), folder)


def _task_of(given: dict[str, Spot], unsaid: Task, folder: Path) -> Task:
    """``unsaid`` with what is given; files to send are relative to ``folder``."""
    said = {key: _READERS[key](value) for key, value in given.items() if key != "send"}
    if "send" in given:
        said["send"], said["takes"] = _sends(given["send"], folder)
    task = unsaid.but(**said)
    if task.retries and not task.idempotent:
        raise given["retries"].wrong("is for idempotent tasks only: say idempotent: true, if it may run again.")
    return task


def _sends(spot: Spot, folder: Path) -> tuple[tuple[Send, ...], tuple[str, ...]]:
    """Local files, and the ids that ``{from: id}`` names for the outputs of other tasks."""
    files: list[Send] = []
    takes: list[str] = []
    for item in _listed(spot):
        if isinstance(item.node, Mapping):
            found = spots.fields(item, ("from",))
            if "from" not in found:
                raise item.wrong("names no task: {from: id}.")
            takes.append(_id(found["from"]))
            continue
        words = spots.path(item)
        try:
            files += sends([words if Path(words).is_absolute() else str(folder / words)])
        except RequestError as error:
            raise item.wrong(str(error)) from error
    try:
        apart([*(Send(f"the files of {name}", name) for name in takes), *files])
    except RequestError as error:
        raise spot.wrong(str(error)) from error
    return tuple(files), tuple(takes)


def _where(spot: Spot) -> Where:
    given = spots.fields(spot, ("device", "group", "tag", "each"))
    each_one = spots.yes(given.pop("each")) if "each" in given else False
    where = Where(**{key: _texts(value) for key, value in given.items()}, each=each_one)
    if not where.named:
        raise spot.wrong("names no device, group or tag.")
    return where


def _id(spot: Spot) -> str:
    name = spots.label(spot)
    if name == REDUCE:
        raise spot.wrong(f"The id {REDUCE!r} is kept for the task that puts the answers together.")
    if not _is_id(name):
        raise spot.wrong(f"{name!r} is no id: up to 120 letters, digits, dots, underscores and dashes.")
    return name


def _is_id(name: str) -> bool:
    return ID.fullmatch(name) is not None and name.strip(".") != "" and name != REDUCE


def _ids(spot: Spot) -> tuple[str, ...]:
    return tuple(_id(item) for item in _listed(spot))


def _texts(spot: Spot) -> tuple[str, ...]:
    return tuple(spots.label(item) for item in _listed(spot))


def _listed(spot: Spot) -> list[Spot]:
    """A list, or one value that stands for a list of one."""
    one = isinstance(spot.node, Mapping) or (isinstance(spot.node, Scalar) and not spot.node.empty)
    return [spot] if one else spots.items(spot)


_READERS: dict[str, Callable[[Spot], Any]] = {
    "id": _id,
    "task": spots.script,
    "agent": spots.label,
    "model": spots.label,
    "timeout": spots.seconds,
    "fetch": _texts,
    "where": _where,
    "idempotent": spots.yes,
    "after": _ids,
    "need": lambda spot: spots.choice(spot, ("all", "any")),
    "retries": lambda spot: spots.whole(spot, least=0, most=100),
    "expect": _texts,
}
KEYS = (*_READERS, "send")
"""What a task may say."""
_PLAIN = frozenset(plain.KEYS)
