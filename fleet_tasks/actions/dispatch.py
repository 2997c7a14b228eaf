"""A task given to an agent: started once, watched to its end, its files brought back; or left to go on alone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

from fleet_tasks.actions.get import fetch_values
from fleet_tasks.actions.hearing import Ending, Hearing
from fleet_tasks.actions.stage import PATIENCE, TASK, Stage, result, whole_seconds
from fleet_tasks.agents.contract import Order
from fleet_tasks.conversation import Conversation, Said, failure
from fleet_tasks.detached import Errand, remember
from fleet_tasks.errors import DeviceError, HomeMissing, NotVerified
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job, Send
from fleet_tasks.results import Result, State
from fleet_tasks.scripts import Script
from fleet_tasks.transfer import Outgoing, survey
from fleet_tasks.uploads import answer_ready

LONG_TASK = 100_000
"""Bytes of a task that still travel as a variable; longer ones go as a file (one string of a process holds 128 KiB)."""
MARGIN = 30.0
"""Seconds beyond timeout and grace after which a silent device counts as out of reach: a small one that is busy may
take long to look through its processes."""
BEAT = 10.0
"""Seconds between two signs of life to the device."""
SILENCE = 25.0
"""Seconds without output that are worth telling those who watch."""
LEASE = 30
"""Seconds within which the device must have had one: a link cut without a word costs the task at most twice that."""


def dispatch(stage: Stage, job: Job) -> Result:
    """Carries a dispatch job out; a DeviceError on the way becomes the result's error, with all that came before."""
    return _Dispatch(stage, job).carry_out()


class _Dispatch:
    def __init__(self, stage: Stage, job: Job) -> None:
        self._stage = stage
        self._job = job
        self._hearing = Hearing(stage, job, stage.agent(job.agent or "shell"))
        self._asked = time.monotonic()
        self._begun: float | None = None
        self._told: float | None = None
        self._beaten = time.monotonic()
        self._heard = time.monotonic()
        self._alone = False

    def carry_out(self) -> Result:
        trouble: DeviceError | None = None
        try:
            script = self._script()
            self._stage.stopping.check()
            with self._stage.conversation(script, serve=not self._job.detach) as talk:
                with talk.undone(lambda: self._begun is None and self._hearing.ending is None):
                    self._talk(talk)
                talk.kept = self._hearing.ended_well
        except DeviceError as error:
            trouble = error
            if isinstance(error, HomeMissing) and self._job.workdir:
                error.guidance = "Name a folder that is there: --workdir DIR for the task, home: in fleet.yaml for us"
        if self._alone and trouble is None:
            return result(self._stage, self._job, self._hearing.clock, State.RUNNING)
        return self._hearing.judge(trouble)

    def _script(self) -> Script:
        stage, job, agent = self._stage, self._job, self._hearing.agent
        long = len(job.task.encode("utf-8", "surrogateescape")) > LONG_TASK
        values = {
            "id": f"{stage.run}-{secrets.token_hex(4)}",
            "about": f"{stage.run} {stage.device.name} {job.task_id or '-'} {self._hearing.clock.started}",
            "task": "" if long else job.task,
            "script": agent.script("dispatch"),
            "at": job.workdir or "",
            "agent": agent.name if agent.installs else "",
            "sends": "1" if job.send or long else "",
            "timeout": whole_seconds(job.timeout),
            "ticks": round(job.grace * 5),
            "lease": LEASE,
            "detach": job.detach,
            "mark": secrets.token_hex(16),
            "stdin": agent.stdin(self._order),
            **fetch_values(job),
        }
        return stage.script("dispatch", TASK, values, **self._environment())

    @property
    def _order(self) -> Order:
        stage, job = self._stage, self._job
        return Order(
            task=job.task,
            run=stage.run,
            device=stage.device.name,
            model=job.model,
            provider=job.provider,
            provider_kind=job.provider_kind,
            api_base=job.api_base,
            key=stage.secrets[job.key] if job.key else None,
            limits=job.limits,
        )

    def _environment(self) -> dict[str, str]:
        stage, job = self._stage, self._job
        return {
            **job.env,
            "FLEET_TASK_ID": job.task_id or stage.run,
            "FLEET_RUN": stage.run,
            "FLEET_DEVICE": stage.device.name,
            "FLEET_MODEL": job.model or "",
            "FLEET_PROVIDER": job.provider or "",
            "FLEET_API_BASE": job.api_base or "",
            **self._hearing.agent.environment(self._order),
            **{name: stage.secrets[name].reveal() for name in job.secrets},
        }

    def _talk(self, talk: Conversation) -> None:
        """Listens until the script's last frame, doing what each frame asks for."""
        self._stage.tell("starting")
        self._asked = time.monotonic()
        items = talk.listen(lambda: self._wake(talk))
        for item in items:
            if isinstance(item, Said):
                self._heard = time.monotonic()
                self._hearing.said(item)
            elif not self._hearing.files(item, items):
                self._frame(item, talk, items)

    def _frame(self, frame: Frame, talk: Conversation, items: Iterator[Said | Frame]) -> None:
        if frame.word == "ready":
            answer_ready(talk, items, frame, self._entries(), lambda line: self._stage.tell("sending", line))
        elif frame.word == "started":
            self._begun = time.monotonic()
            self._stage.tell("running")
        elif frame.word == "detached":
            self._alone = True
            self._note(frame)
        elif frame.word == "exit":
            self._hearing.ending = Ending.of(frame)
            self._begun = None
        elif frame.word == "fail":
            raise failure(frame)
        elif self._stage.line is not None:
            self._stage.line.hear(frame)

    def _entries(self) -> Iterator[Outgoing]:
        yield from survey(self._job.send, below="work/")
        task = self._job.task.encode("utf-8", "surrogateescape")
        if len(task) > LONG_TASK:
            file = self._stage.spool / f"{secrets.token_hex(6)}.task"
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.write_bytes(task)
            try:
                yield from survey([Send(str(file), "task")])
            finally:
                file.unlink()

    def _note(self, frame: Frame) -> None:
        """Writes down where the task goes on, for follow, get and stop."""
        job, boot, folder = self._job, *frame.rest.split(" ", 1)
        errand = Errand(
            device=self._stage.device,
            agent=job.agent or "shell",
            folder=folder,
            boot=boot,
            started=self._hearing.clock.started,
            timeout=job.timeout,
            fetch=job.fetch,
            into=job.into,
            workdir=job.workdir,
            task_id=job.task_id,
            key=job.key,
            secrets=job.secrets,
        )
        remember(self._stage.spool, errand)

    def _wake(self, talk: Conversation) -> float:
        """Passes on that the run is to stop, keeps the timeout a second time from here, and gives signs of life."""
        reason, now = self._stage.stopping.reason, time.monotonic()
        if not talk.begun and now > self._asked + PATIENCE:
            raise NotVerified(f"{self._stage.device.name} did not run our script within {PATIENCE:g} s.")
        if self._told is not None and now > self._told + self._job.grace + MARGIN:
            raise NotVerified(f"{self._stage.device.name} does not answer, so its task may still run.")
        if reason is not None and self._told is None:
            if self._begun is None:
                raise reason
            self._told = now
            talk.say("stop")
        elif self._begun is not None and self._told is None and now >= self._begun + self._job.timeout:
            self._told = now
            talk.say("timeout")
        if self._begun is not None and now >= self._beaten + BEAT:
            self._beaten = now
            talk.say("alive")
            if now - self._heard > SILENCE:
                self._stage.tell("silent", b"%d s" % (now - self._heard))
        if self._begun is None or self._told is not None:
            return 1.0
        return min(self._beaten + BEAT, self._begun + self._job.timeout) - now
