"""What is to be done: a Plan of Visits, each one device and its Jobs in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from fleet_tasks.devices import Device
from fleet_tasks.record import record


class Action(StrEnum):
    """The kinds of job a visit can hold."""

    CHECK = "check"
    STATUS = "status"
    DEPLOY = "deploy"
    DISPATCH = "dispatch"
    PUT = "put"
    GET = "get"
    TEARDOWN = "teardown"
    PS = "ps"
    FOLLOW = "follow"
    STOP = "stop"

    @property
    def shown(self) -> str:
        """The word a document has for it: following a dispatch is part of that dispatch."""
        return (Action.DISPATCH if self is Action.FOLLOW else self).value


@record
class Send:
    """A local file or folder and the name it gets on the device."""

    local: str
    name: str


@record
class Fetch:
    """A remote file, folder or glob and the name it gets below the device's folder ('' keeps its own)."""

    remote: str
    name: str = ""


@record
class Job:
    """One thing to do on one device.

    ``timeout`` and ``grace`` are seconds. ``into`` is the local folder for what is fetched; the device's own folder
    inside it is added by the worker unless ``flat``. ``reported`` jobs yield a Result, the others only matter when
    they fail; ``always`` jobs run even when an earlier job failed. ``secrets`` and ``key`` (the provider's) are names.
    ``folder`` is a detached run's own on the device, ``stream`` wants every line shown, ``idempotent`` tasks may be
    started again. A stop that ``insists`` has runs end with its grace instead of their own.
    A teardown with ``others`` is of every agent there: what the registry wants in the environment of each, of any that
    it does not describe under ''.
    """

    action: Action
    agent: str | None = None
    task: str = ""
    task_id: str | None = None
    model: str | None = None
    provider: str | None = None
    provider_kind: str | None = None
    api_base: str | None = None
    key: str | None = None
    timeout: float = 300.0
    grace: float = 5.0
    insists: bool = False
    send: tuple[Send, ...] = ()
    fetch: tuple[Fetch, ...] = ()
    into: str | None = None
    flat: bool = False
    workdir: str | None = None
    cleanup: bool = False
    detach: bool = False
    stream: bool = False
    idempotent: bool = False
    folder: str = ""
    verify: bool = False
    others: Mapping[str, Mapping[str, str]] | None = field(default=None, hash=False)
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    limits: Mapping[str, object] = field(default_factory=dict, hash=False)
    secrets: tuple[str, ...] = ()
    reported: bool = True
    always: bool = False

    def brings(self, other: Job) -> bool:
        """Whether it installs the agent that another job works with."""
        return self.action is Action.DEPLOY and other.action is Action.DISPATCH and self.agent == other.agent


@record
class Visit:
    """One connection to one device and the ordered jobs done while it is open."""

    device: Device
    jobs: tuple[Job, ...]

    @property
    def reported(self) -> tuple[Job, ...]:
        """The jobs that yield an entry in the results."""
        return tuple(job for job in self.jobs if job.reported)


@record
class Plan:
    """A whole run: its id, its command, its visits and its limits.

    ``deadline`` is seconds for the whole run; ``max_failures`` is how many failures stop it. ``continues`` is true for
    work on a run that history knows already.
    """

    run: str
    command: str
    visits: tuple[Visit, ...]
    parallel: int = 32
    retries: int = 3
    connect_timeout: float | None = None
    deadline: float | None = None
    max_failures: int | None = None
    continues: bool = False
