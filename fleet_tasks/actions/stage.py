"""What every job finds when it begins: the open connection, who is visited, and how to make a Result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet_tasks.agents.contract import Agent
from fleet_tasks.connection import DeviceConnection
from fleet_tasks.conversation import Conversation, Said, failure
from fleet_tasks.devices import Device
from fleet_tasks.errors import ConnectionLost, DeviceError, NotVerified
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.record import record
from fleet_tasks.results import Chunk, Progress, Result, State
from fleet_tasks.scripts import Script, build
from fleet_tasks.secrets import Scrubber, Secret
from fleet_tasks.stopping import Stopping

PATIENCE = 60.0
"""Seconds a script of ours, that runs no task, may be silent."""
DIGESTING = 3600.0
"""Seconds it may be silent over files: it reads them once more when they are there, maybe many, from a slow disk."""

TASK = ("supervisor", "files", "dispatch")
"""The shell files that a task needs on the device."""


@record
class Condition:
    """What a device said of itself last: load per core, and the agents that are installed in our folder there."""

    load: float
    agents: frozenset[str]

    @classmethod
    def of(cls, frame: Frame) -> Condition:
        """As a ``here`` frame tells it; what it cannot tell counts as the worst."""
        load, cores, *agents = [*frame.parts, "-", "-"]
        try:
            return cls(float(load) / max(1, int(cores)), frozenset(agents))
        except (ValueError, OverflowError):
            return cls(math.inf, frozenset(agents))


class Line:
    """A channel with a shell on it that serves (remote/serve.sh), kept from one task to the next.

    ``condition`` is how the device was when it last told.
    """

    condition: Condition | None = None

    def __init__(self) -> None:
        self._kept: Conversation | None = None

    def hear(self, frame: Frame) -> None:
        """Takes note of what the device says of itself."""
        if frame.word == "here":
            self.condition = Condition.of(frame)

    def take(self) -> Conversation | None:
        """What was kept, when it can still be trusted."""
        talk, self._kept = self._kept, None
        if talk is None or talk.fresh:
            return talk
        talk.close()
        return None

    def keep(self, talk: Conversation) -> None:
        """Keeps it for the next."""
        self._kept = talk

    def hang_up(self) -> None:
        """Nothing follows, or something that wants a channel of its own."""
        talk, self._kept = self._kept, None
        if talk is not None:
            talk.close()


@record
class Stage:
    """One visit in progress; ``line`` where it has many tasks, one after the other, and ``task_id`` the one at hand."""

    run: str
    device: Device
    connection: DeviceConnection
    agent: Callable[[str], Agent]
    stopping: Stopping
    spool: Path
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    scrubber: Scrubber = field(default_factory=Scrubber)
    notify: Callable[[Progress | Chunk], None] = lambda sign: None
    connect_seconds: float = 0.0
    attempts: int = 1
    line: Line | None = None
    task_id: str | None = None

    def script(self, name: str, parts: tuple[str, ...], values: Mapping[str, object], **exported: str) -> Script:
        """A script of ours for this device, which knows where our folder is to be."""
        common = {"home": self.device.home or "", "id": "", "run": "", "keep": "", "plain": ""}
        return build(name, ("prelude", *parts), {**common, **values}, exported)

    def tell(self, phase: str, line: bytes = b"") -> None:
        """A sign of life for people who watch."""
        self.notify(Progress(self.device.name, phase, line, self.task_id))

    @contextmanager
    def conversation(self, script: Script, *, serve: bool = False) -> Iterator[Conversation]:
        """``script`` at work; hung up at the end, woken when the run is to stop.

        With ``serve`` it may be given to a shell on the stage's line, which stays for the next when all went well.
        """
        if self.line is None or not serve:
            if self.line is not None:
                self.line.hang_up()
            talk = self._start(script)
        else:
            talk = self._follow(self.line, script)
        talk.heed = self.stopping.check
        try:
            with self.stopping.waking(talk.ring):
                yield talk
        finally:
            if self.line is not None and talk.kept:
                self.line.keep(talk)
            else:
                talk.close()

    def call(self) -> Condition | None:
        """How the device is, told by the shell that serves the line, which is there for the first task then."""
        if self.line is not None:
            self.line.keep(self._serving(self.line))
        return self.line.condition if self.line is not None else None

    @contextmanager
    def aside(self, script: Script) -> Iterator[Conversation]:
        """``script`` on a channel beside that of another; raises Throttled where the server allows only one."""
        with closing(self.connection.converse(script, patience=0)) as talk, self.stopping.waking(talk.ring):
            yield talk

    def _start(self, script: Script) -> Conversation:
        """The script on a new channel. A session that went stale is opened anew: nothing of it was sent yet."""
        try:
            return self.connection.converse(script, rest=self.stopping.rest)
        except ConnectionLost:
            self.connection.close()
            self.connection.open()
            return self.connection.converse(script, rest=self.stopping.rest)

    def _follow(self, line: Line, script: Script) -> Conversation:
        """The script on the line; nothing of it begins before all of it arrived, so a stale line is opened anew."""
        kept = line.take()
        if kept is not None:
            try:
                return kept.follow(script)
            except ConnectionLost:
                kept.close()
        opening = self._serving(line)
        try:
            return opening.follow(script)
        except DeviceError:
            opening.close()
            raise

    def _serving(self, line: Line) -> Conversation:
        """A shell that serves; what it says of the device, the line takes note of."""
        opening = self._start(self.script("serve", (*TASK, "load", "serve"), {}))
        try:
            with self.stopping.waking(opening.ring):
                for item in self.words(opening):
                    if isinstance(item, Frame):
                        line.hear(item)
        except DeviceError:
            opening.close()
            raise
        return opening

    def words(self, talk: Conversation, patience: float = PATIENCE) -> Iterator[Said | Frame]:
        """What a script of ours says; raises the error it names, or that the run is to stop."""
        heard = time.monotonic()

        def wake() -> float:
            self.stopping.check()
            if time.monotonic() - heard > patience:
                raise NotVerified(f"{self.device.name} did not finish {talk.script.name} within {patience:g} s.")
            return patience

        for item in talk.listen(wake):
            heard = time.monotonic()
            if isinstance(item, Frame) and item.word == "fail":
                raise failure(item)
            yield item
            heard = time.monotonic()  # what was done with it here, a download perhaps, is no silence of the device


class Clock:
    """When a job began, by the wall, and how long it has taken, by a clock that never jumps."""

    def __init__(self) -> None:
        self.started = now()
        self._from = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self._from


def now() -> str:
    """The time in UTC, as RFC 3339 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def result(stage: Stage, job: Job, clock: Clock, state: State = State.DONE, **more: Any) -> Result:
    """A Result with everything filled in that the stage knows."""
    return Result(
        device=stage.device.name,
        host=stage.connection.login.address,
        action=job.action.shown,
        state=state,
        agent=job.agent,
        task_id=job.task_id,
        seconds=round(clock.seconds, 3),
        attempts=stage.attempts,
        started=clock.started,
        **more,
    )


def guidance_values(stage: Stage) -> dict[str, object]:
    """What a guidance sentence may name."""
    return {"device": stage.device.name, "run": stage.run, **stage.connection.login.words}


def failed(stage: Stage, job: Job, clock: Clock, error: DeviceError, **more: Any) -> Result:
    """A Result for a job that came to nothing."""
    problem = error.problem(agent=job.agent or "", **guidance_values(stage))
    return result(stage, job, clock, error.state, error=problem, **more)


def whole_seconds(seconds: float) -> int:
    """Seconds for ``sleep``, which everywhere understands whole ones only: never early."""
    return max(1, math.ceil(seconds))
