"""Tasks of a batch as plain data, and the pure rules about them: placeholders, names, what comes after what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from fleet_tasks.errors import RequestError
from fleet_tasks.jobs import Send
from fleet_tasks.ranges import nearest
from fleet_tasks.record import record

REDUCE = "reduce"
"""The id of the task that puts the others' answers together."""

ID = re.compile(r"[A-Za-z0-9_.-]{1,120}(@[A-Za-z0-9_.@:\[\]-]{1,250})?")
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_HARMLESS = re.compile(r"[\w ./:@%+=,-]*")
NAMES = ("input", "name", "stem", "index", "device")
"""What may stand between braces; index counts from 1."""


class TaskError(RequestError):
    """A task that cannot be meant; ``number`` is its place in the list, from 0."""

    def __init__(self, number: int, sentence: str) -> None:
        self.number = number
        super().__init__(sentence)


@record
class Where:
    """The devices a task may run on; all empty means the command's own targets. ``each``: once on every one."""

    device: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    each: bool = False

    @property
    def named(self) -> bool:
        """Whether anything is said at all."""
        return bool(self.device or self.group or self.tag)


@record
class Task:
    """One task of a batch.

    ``send`` are local files, ``takes`` the ids of tasks whose fetched files it gets. ``after`` are the ids it waits
    for: all of them, with ``need`` "any" for one, with "ended" until all are over, however they ended. ``retries`` is
    how often an idempotent one may be tried again; ``expect`` are files without which it failed. ``timeout`` is
    seconds. ``devices`` are the names it may run on.
    """

    id: str
    task: str
    index: int = 1
    agent: str | None = None
    model: str | None = None
    timeout: float | None = None
    send: tuple[Send, ...] = ()
    takes: tuple[str, ...] = ()
    fetch: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    where: Where = Where()
    idempotent: bool = False
    retries: int = 0
    after: tuple[str, ...] = ()
    need: str = "all"
    devices: tuple[str, ...] = ()

    def but(self, values: Mapping[str, object] = MappingProxyType({}), /, **more: object) -> Task:
        """The same with other values; many times as fast as ``replace``, of which thousands take their time."""
        other = object.__new__(Task)
        object.__setattr__(other, "__dict__", {**vars(self), **values, **more})
        return other

    def places(self) -> dict[str, str]:
        """What its placeholders stand for, but for {device}, which is known when it starts."""
        given = self.send[0].name if self.send else ""
        name = given.rpartition("/")[2]
        stem = name.rpartition(".")[0] or name
        return {"input": given, "name": name, "stem": stem, "index": str(self.index)}


UNSAID = object.__new__(Task)
"""A task that says nothing: what it and its copies do not hold is the class's own, so that thousands are small."""


def fill(text: str, places: Mapping[str, str], *, shell: bool = False) -> str:
    """``text`` with its placeholders replaced as they stand; doubled braces are braces.

    Raises RequestError for a placeholder that is none, for a brace that is alone, and, where a ``shell`` reads the
    text, for a value that it would act upon.
    """

    def one(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        name = found[1]
        if name is None or name not in NAMES:
            known = ", ".join("{" + each + "}" for each in NAMES)
            raise RequestError(f"{found[0]} is no placeholder; there are {known}, and {{{{ for a brace.")
        value = places.get(name, "")
        if shell and not _HARMLESS.fullmatch(value):
            raise RequestError(
                f"{{{name}}} stands for {value!r}, which a shell would act upon; use \"$FLEET_{name.upper()}\" instead."
            )
        return value

    return _PLACE.sub(one, text) if has_places(text) else text


def has_places(text: str) -> bool:
    """Whether there is a brace in it at all."""
    return "{" in text or "}" in text


def oddest(names: Sequence[str]) -> str:
    """The first of some devices' names that a shell would act upon; else the first."""
    return next((name for name in names if not _HARMLESS.fullmatch(name)), names[0])


def check(tasks: Sequence[Task]) -> None:
    """Raises TaskError for ids used twice, unknown ones, and tasks that wait for each other."""
    known = {task.id: number for number, task in enumerate(tasks)}
    if len(known) < len(tasks):
        _no_twins(tasks)
    later = [(number, task) for number, task in enumerate(tasks) if task.after or task.takes]
    for number, task in later:
        for other in (*task.after, *task.takes):
            if other not in known:
                near = nearest(other, known)
                hint = f"; did you mean {near}?" if near else "."
                raise TaskError(number, f"The task {task.id} comes after {other!r}, which is no task here{hint}")
        if missing := set(task.takes).difference(task.after):
            raise TaskError(number, f"The task {task.id} takes the files of {min(missing)}, so it must come after it.")
    if later:
        _no_circle(tasks, known)


def spread(tasks: Iterable[Task], devices: Mapping[str, tuple[str, ...]]) -> list[Task]:
    """Tasks with the devices they may run on (by id), those with ``each`` once for every device as ``id@device``.

    Whoever comes after such a task, or takes its files, comes after all of its copies. Raises TaskError where a task
    is called like one of them.
    """
    tasks = list(tasks)
    copies = {task.id: tuple(f"{task.id}@{name}" for name in devices[task.id]) for task in tasks if task.where.each}

    def expanded(ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(copy for each in ids for copy in copies.get(each, (each,)))

    found = []
    for task in tasks:
        task = task.but({"devices": devices[task.id]})
        if copies and task.after:
            task = task.but(after=expanded(task.after), takes=expanded(task.takes))
        if task.where.each:
            found += [task.but(id=f"{task.id}@{name}", devices=(name,)) for name in devices[task.id]]
        else:
            found.append(task)
    named: set[str] = set()
    for task in found if copies else ():
        if task.id in named:
            raise TaskError(task.index - 1, f"Two tasks are called {task.id!r}, one of them as a copy for a device.")
        named.add(task.id)
    return found


def in_order(tasks: Sequence[Task]) -> list[Task]:
    """Forerunners before those that come after them, else as they stood; whoever waits in a circle is left out."""
    waiting = {task.id: len(set(task.after)) if task.after else 0 for task in tasks}
    waiters: dict[str, list[Task]] = {}
    for task in tasks:
        for name in set(task.after) if task.after else ():
            waiters.setdefault(name, []).append(task)
    found = [task for task in tasks if not waiting[task.id]]
    for task in found:  # grows on the way
        for waiter in waiters.get(task.id, ()):
            waiting[waiter.id] -= 1
            if not waiting[waiter.id]:
                found.append(waiter)
    return found


def _no_twins(tasks: Sequence[Task]) -> None:
    """Raises TaskError for the first task with the id of an earlier one."""
    ids: set[str] = set()
    for number, task in enumerate(tasks):
        if task.id in ids:
            raise TaskError(number, f"Two tasks are called {task.id!r}.")
        ids.add(task.id)


def _no_circle(tasks: Sequence[Task], known: Mapping[str, int]) -> None:
    """Raises TaskError with the circle when tasks wait for each other."""
    free = {task.id for task in in_order(tasks)}
    stuck = [task for task in tasks if task.id not in free]
    if not stuck:
        return
    path: dict[str, None] = {}
    name = stuck[0].id
    while name not in path:
        path[name] = None
        name = next(other for other in tasks[known[name]].after if other not in free)
    names = list(path)
    circle = [*names[names.index(name) :], name]
    raise TaskError(known[name], f"These tasks wait for each other: {' after '.join(circle)}.")
