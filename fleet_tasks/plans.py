"""From devices and wishes to a Plan: pure functions, so a plan can be shown before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace

from fleet_tasks.devices import Device
from fleet_tasks.errors import RequestError
from fleet_tasks.jobs import Action, Fetch, Job, Plan, Send, Visit
from fleet_tasks.record import record
from fleet_tasks.results import Result

TIMEOUT = 300.0
GRACE = 5.0
PARALLEL = 32
RETRIES = 3
CONNECT_TIMEOUT = 10.0
"""What holds when nobody says otherwise; times are seconds."""


@record
class Wish:
    """What a command asks of every device, its flags already understood; ``None`` leaves it to the registry."""

    task: str = ""
    agent: str | None = None
    model: str | None = None
    provider: str | None = None
    timeout: float | None = None
    grace: float | None = None
    send: tuple[Send, ...] = ()
    fetch: tuple[Fetch, ...] = ()
    into: str | None = None
    workdir: str | None = None
    cleanup: bool | None = None
    verify: bool = False
    detach: bool = False
    reconnect: bool = False
    idempotent: bool = False
    stream: bool = False


@record
class Part:
    """What one device works with: the agent and its settings there, flags and registry put together."""

    agent: str
    installed: bool
    cleanup: bool
    timeout: float
    model: str | None = None
    provider: str | None = None
    provider_kind: str | None = None
    api_base: str | None = None
    key: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    limits: Mapping[str, object] = field(default_factory=dict, hash=False)
    secrets: tuple[str, ...] = ()


@record
class Bounds:
    """The limits of a run, flags and registry put together."""

    parallel: int = PARALLEL
    retries: int = RETRIES
    connect_timeout: float | None = None
    deadline: float | None = None
    max_failures: str | None = None
    grace: float = GRACE


def plan(
    run: str, command: str, devices: Sequence[Device], jobs: Callable[[Device], tuple[Job, ...]], bounds: Bounds
) -> Plan:
    """A visit for every device, each with its jobs."""
    return Plan(
        run=run,
        command=command,
        visits=tuple(Visit(device, jobs(device)) for device in devices),
        parallel=bounds.parallel,
        retries=bounds.retries,
        connect_timeout=bounds.connect_timeout,
        deadline=bounds.deadline,
        max_failures=failures_allowed(bounds.max_failures, len(devices)),
    )


def dispatch_jobs(device: Device, wish: Wish, part: Part, grace: float) -> tuple[Job, ...]:
    """Deploy where the agent has something to install, the task itself, and cleaning up where that is wanted.

    Raises RequestError for a task that cannot be told.
    """
    task = Job(
        Action.DISPATCH,
        agent=part.agent,
        task=told(wish.task),
        model=part.model,
        provider=part.provider,
        provider_kind=part.provider_kind,
        api_base=part.api_base,
        key=part.key,
        timeout=part.timeout,
        grace=grace,
        send=wish.send,
        fetch=wish.fetch,
        into=wish.into,
        workdir=wish.workdir or device.workdir,
        env=part.env,
        limits=part.limits,
        secrets=part.secrets,
        detach=wish.detach or wish.reconnect,
        idempotent=wish.idempotent,
        stream=wish.stream,
    )
    work = (task,) if not wish.reconnect else _reconnecting(task)
    if not part.installed:
        return work
    # What an agent needs may depend on whom it is going to ask.
    before = Job(
        Action.DEPLOY,
        agent=part.agent,
        model=part.model,
        provider=part.provider,
        api_base=part.api_base,
        env=part.env,
        reported=False,
    )
    after = Job(Action.TEARDOWN, agent=part.agent, env=part.env, reported=False, always=True)
    # What a detached task works with has to stay until it is over.
    return (before, *work, after) if part.cleanup and not wish.detach else (before, *work)


def _reconnecting(task: Job) -> tuple[Job, ...]:
    """A task that survives a cut link: started by itself, followed, and its folder removed."""
    start = replace(task, reported=False)
    watch = replace(task, action=Action.FOLLOW, task="", send=(), cleanup=True)
    return (start, watch, Job(Action.STOP, folder="", cleanup=True, reported=False, always=True))


def told(task: str) -> str:
    """The task, when it can be told at all; raises RequestError for one with a NUL byte in it."""
    if "\0" in task:
        raise RequestError("The task holds a NUL byte, which no shell and no agent can be given.")
    return task


def simple_jobs(action: Action, wish: Wish, part: Part | None = None) -> tuple[Job, ...]:
    """One reported job: check, status, deploy, put, get, teardown."""
    return (
        Job(
            action,
            agent=part.agent if part else None,
            model=part.model if part else None,
            provider=part.provider if part else None,
            api_base=part.api_base if part else None,
            secrets=part.secrets if part else (),
            key=part.key if part else None,
            env=part.env if part else {},
            send=wish.send,
            fetch=wish.fetch,
            into=wish.into,
            workdir=wish.workdir,
            verify=wish.verify,
        ),
    )


def fetches(texts: Iterable[str]) -> tuple[Fetch, ...]:
    """``REMOTE[=NAME]`` words as records; raises RequestError for a name that leaves the device's folder."""
    found = []
    for text in texts:
        remote, _, name = text.rpartition("=") if "=" in text else (text, "", "")
        if not remote or "\0" in text:
            raise RequestError(f"--fetch {text!r} names no file.")
        if name.startswith("/") or ".." in name.split("/"):
            raise RequestError(f"The name {name!r} in --fetch {text!r} would leave the device's folder.")
        found.append(Fetch(remote, name))
    return tuple(found)


def failures_allowed(text: str | None, devices: int) -> int | None:
    """How many failures end a run, from ``N`` or ``P%`` of the devices; None when there is no such limit."""
    if text is None:
        return None
    if text.endswith("%"):
        return max(1, -(-int(text[:-1]) * devices // 100))
    return max(1, int(text))


def best(results: Iterable[Result], wanted: int) -> list[str]:
    """The names of the ``wanted`` best devices of a fresh status: ready ones first, then lowest load per core."""
    ranked = []
    for order, result in enumerate(results):
        if not result or result.facts is None:
            continue
        load, cores = result.facts.get("load"), result.facts.get("cores")
        per_core = load / max(1, cores) if isinstance(load, (int, float)) and isinstance(cores, int) else float("inf")
        ranked.append((not result.facts.get("ready"), per_core, order, result.device))
    return [name for *_, name in sorted(ranked)[:wanted]]
