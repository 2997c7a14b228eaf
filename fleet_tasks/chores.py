"""What a task of a batch means on a device: its agent, its jobs, its secrets; looked up once for what is alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fleet_tasks.batch.tasks import REDUCE, Task, TaskError, fill, has_places, oddest
from fleet_tasks.devices import Device
from fleet_tasks.errors import RequestError
from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Action, Fetch, Job, Send
from fleet_tasks.plans import Part, Wish, dispatch_jobs, fetches

_GLOB = frozenset("*?[")

Kind = tuple[str | None, str | None, float | None]
"""What tasks may differ in that matters to a device: agent, model, timeout."""


class Chores:
    """Makes jobs out of the tasks of one batch; ``grace`` is seconds, ``into`` the local folder for files."""

    def __init__(self, fleet: Fleet, devices: Sequence[Device], wish: Wish, into: str, grace: float) -> None:
        self._fleet = fleet
        self._devices = {device.name: device for device in devices}
        self._wish = wish
        self._into = Path(into)
        self._grace = grace
        self._parts: dict[tuple[Kind, str], Part] = {}
        self._agents: dict[tuple[Kind, tuple[str, ...]], tuple[frozenset[str], str]] = {}

    def jobs(self, task: Task, device: Device) -> tuple[Job, ...]:
        """What one task means on one device: deploying, cleaning up, and the task itself as the last.

        Its placeholders are variables too: FLEET_INPUT, FLEET_NAME, FLEET_STEM, FLEET_INDEX, FLEET_DEVICE.
        """
        part = self.part(task, device.name)
        places = {**task.places(), "device": device.name}
        given = [Send(str(self._into / name), name) for name in task.takes if (self._into / name).is_dir()]
        wish = replace(
            self._wished(task),
            task=_text(task, part.agent, places),
            send=(*task.send, *given),
            fetch=fetched(task),
            into=str(self._into / task.id),
        )
        jobs = dispatch_jobs(device, wish, part, self._grace)
        main = next(job for job in jobs if job.action is Action.DISPATCH)
        named = {f"FLEET_{name.upper()}": value for name, value in places.items()}
        main = replace(main, task_id=task.id, flat=True, env={**main.env, **named})
        return (*(job for job in jobs if job.action is not Action.DISPATCH), main)

    def part(self, task: Task, device: str) -> Part:
        """What the device works with for this task; raises RequestError when that is of no use."""
        key = (_kind(task), device)
        if key not in self._parts:
            self._parts[key] = self._fleet.able(self._devices[device], self._wished(task))
        return self._parts[key]

    def try_out(self, tasks: Sequence[Task]) -> None:
        """Raises TaskError for a task that could not begin as it stands: its placeholders, its agents, its files."""
        for task in tasks:
            number = task.index - 1
            if not task.devices:
                raise TaskError(number, f"The task {task.id} has no device: name some with -d or -g, or in its where.")
            try:
                agents, device = self._meant(task)
                for agent in agents if has_places(task.task) else ():
                    _text(task, agent, {**task.places(), "device": device})
                if task.fetch or task.expect:
                    fetched(task)
            except RequestError as error:
                raise TaskError(number, f"The task {task.id}: {error}") from error

    def samples(self, tasks: Sequence[Task]) -> Iterator[tuple[Device, Job]]:
        """One job for every kind of task and device there is, to find out which secrets are needed."""
        seen: set[tuple[Kind, tuple[str, ...]]] = set()
        for task in tasks:
            if (_kind(task), task.devices) not in seen:
                seen.add((_kind(task), task.devices))
                for device in map(self._devices.__getitem__, task.devices):
                    yield device, self.jobs(task, device)[-1]

    def _meant(self, task: Task) -> tuple[frozenset[str], str]:
        """The agents it would be given to, and the device whose name is the hardest to put into its text."""
        key = (_kind(task), task.devices)
        if key not in self._agents:
            agents = frozenset(self.part(task, name).agent for name in task.devices)
            self._agents[key] = agents, oddest(task.devices)
        return self._agents[key]

    def _wished(self, task: Task) -> Wish:
        wish = self._wish
        return replace(
            wish,
            agent=task.agent or wish.agent,
            model=task.model or wish.model,
            timeout=task.timeout or wish.timeout,
        )


def fetched(task: Task) -> tuple[Fetch, ...]:
    """What is brought here of a task: what it says, and what is expected, each in one place.

    What lies in a folder that is brought is expected there; of two files with one name, each keeps its whole path.
    Raises RequestError.
    """
    said = list(fetches(dict.fromkeys(task.fetch)))
    expected = [each for each in fetches(dict.fromkeys(task.expect)) if each not in said]
    names = Counter(each.remote.rpartition("/")[2] for each in expected)
    for each in expected:
        if each.name or not _GLOB.isdisjoint(each.remote):
            said.append(each)
            continue
        path, name = each.remote.removeprefix("./"), each.remote.rpartition("/")[2]
        inside = next((_inside(folder, path) for folder in said if _inside(folder, path)), "")
        twice = names[name] > 1 and not path.startswith(("/", "~")) and ".." not in path.split("/")
        said.append(Fetch(each.remote, inside or (path if twice else "")))
    return tuple(said)


def _inside(folder: Fetch, path: str) -> str:
    """Where a file is here that lies in a folder which is brought; nothing when it does not."""
    top = folder.remote.removeprefix("./").rstrip("/")
    if not top or not path.startswith(f"{top}/") or not _GLOB.isdisjoint(top):
        return ""
    return (folder.name.rstrip("/") or top.rpartition("/")[2]) + path[len(top) :]


def _kind(task: Task) -> Kind:
    return (task.agent, task.model, task.timeout)


def _text(task: Task, agent: str, places: Mapping[str, str]) -> str:
    return task.task if task.id == REDUCE else fill(task.task, places, shell=agent == "shell")
