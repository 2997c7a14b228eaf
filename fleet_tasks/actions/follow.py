"""A detached run read on from the last byte seen, through any number of reconnects, to the result it comes to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from fleet_tasks.actions.get import fetch_values
from fleet_tasks.actions.hearing import Ending, Hearing
from fleet_tasks.actions.stage import Stage, result
from fleet_tasks.actions.stop import stop
from fleet_tasks.conversation import Conversation, Said
from fleet_tasks.detached import recall
from fleet_tasks.errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    DeviceError,
    DeviceRebooted,
    LinkError,
    NotVerified,
)
from fleet_tasks.frames import Frame
from fleet_tasks.incoming import Reader
from fleet_tasks.jobs import Job
from fleet_tasks.results import Result, State
from fleet_tasks.scripts import Script
from fleet_tasks.stopping import Stopping

PAUSE = 0.4
"""Seconds between two looks at a run that goes on."""
PATIENCE = 120.0
"""Seconds a device may be out of reach before we give it up."""


def follow(stage: Stage, job: Job) -> Result:
    """Follows the job's run until it ends; when we are told to stop, the run goes on without us."""
    return _Follow(stage, job).carry_out()


class RunGone(ConnectionLost):
    """The device answers, and knows nothing of the run any more."""


class _Follow:
    def __init__(self, stage: Stage, job: Job) -> None:
        self._stage = stage
        self._job = job
        self._hearing = Hearing(stage, job, stage.agent(job.agent or "shell"))
        self._read = {"out": 0, "err": 0}
        self._lost: float | None = None
        self._took: float | None = None
        self._boot = ""
        noted = (errand for errand in recall(stage.spool) if errand.device.name == stage.device.name)
        self._errand = next(noted, None)

    def carry_out(self) -> Result:
        trouble: DeviceError | None = None
        try:
            self._through_reconnects()
        except DeviceError as error:
            trouble = error
        if trouble is not None and trouble is self._stage.stopping.reason:
            if self._job.cleanup:
                return self._ended()
            return result(self._stage, self._job, self._hearing.clock, State.RUNNING)
        if isinstance(trouble, (DeviceRebooted, RunGone)):
            trouble = self._cleared(trouble)
        if self._job.cleanup and isinstance(trouble, ConnectError):
            # We were there, and have begun something: that is more than a device which was never reached.
            trouble = ConnectionLost(f"The link broke, and the device did not come back: {trouble.message}")
        return self._judge(trouble)

    def _cleared(self, trouble: DeviceError) -> DeviceError:
        """Ends what a run without a supervisor still has on the device; the trouble that remains."""
        try:
            self._end(cleanup=True)
        except DeviceError as error:
            return error if isinstance(error, NotVerified) else trouble
        return trouble

    def _ended(self) -> Result:
        """Ends the run because we were told to stop, and reads what was still to come."""
        self._stage = replace(self._stage, stopping=Stopping())
        trouble: DeviceError | None = None
        try:
            self._end()
            self._through_reconnects()
        except DeviceError as error:
            trouble = error
        return self._judge(trouble)

    def _end(self, *, cleanup: bool = False) -> None:
        """Ends what of the run is on the device, with or without its supervisor."""
        job = replace(self._job, folder=PurePosixPath(self._folder).name, cleanup=cleanup)
        error = stop(self._stage, job).error
        if error is not None:
            raise NotVerified(error.message, guidance=error.guidance)

    def _judge(self, trouble: DeviceError | None) -> Result:
        """What is made of it all; the task began when it was given, and took its own time, not that of our looking."""
        found = self._hearing.judge(trouble)
        found = replace(found, started=self._errand.started) if self._errand else found
        return found if self._took is None else replace(found, seconds=self._took)

    @property
    def _folder(self) -> str:
        """The run's folder on the device: the job's, else what was noted when it was started."""
        return self._job.folder or (self._errand.folder if self._errand else "")

    def _through_reconnects(self) -> None:
        while True:
            try:
                self._stage.stopping.check()
                with self._stage.conversation(self._script()) as talk:
                    self._talk(talk)
                return
            except (LinkError, ConnectError) as error:
                now = time.monotonic()
                self._lost = self._lost or now
                if isinstance(error, (DeviceRebooted, RunGone)):
                    raise
                if isinstance(error, ConnectError) and (not error.passing or now > self._lost + PATIENCE):
                    raise
                if now > self._lost + PATIENCE:
                    raise ConnectTimeout(f"The link breaks all the time, for {PATIENCE:g} s by now.") from error
                self._stage.tell("reconnecting")
                self._stage.connection.close()
                self._stage.stopping.event.wait(1.0)

    def _script(self) -> Script:
        job = self._job
        values = {
            "run": self._folder,
            "workdir": job.workdir or str(PurePosixPath(self._folder) / "work"),
            **fetch_values(job),
        }
        return self._stage.script("follow", ("files", "follow"), values)

    def _talk(self, talk: Conversation) -> None:
        items = self._stage.words(talk)
        self._answer(items)
        while self._hearing.ending is None:
            self._stage.stopping.check()
            talk.say(f"more {self._read['out']} {self._read['err']}")
            fresh = self._answer(items)
            if not fresh and self._hearing.ending is None:
                self._stage.stopping.event.wait(PAUSE)
        if self._job.fetch:
            self._hearing.expect_files()
            talk.say("give")
            self._answer(items)

    def _answer(self, items: Iterator[Said | Frame]) -> bool:
        """Reads one answer, up to its frame ``asked``; whether there was anything new."""
        fresh = False
        for item in items:
            if not isinstance(item, Frame) or self._hearing.files(item, items):
                continue
            if item.word == "asked":
                self._lost = None
                return fresh
            if item.word == "chunk":
                fresh = True
                self._chunk(item, items)
            elif item.word == "took":
                self._took = int(item.rest) / 100
            elif item.word == "boot":
                self._boot = item.rest.strip()
            elif item.word == "exit":
                self._ends(Ending.of(item))
            elif item.word == "gone":
                raise self._gone(item.rest.strip())
        raise ConnectionLost("The device said nothing more.")

    def _ends(self, ending: Ending) -> None:
        """Notes how the run ended. Where a device that was shut down in good order ended it, the restart is why."""
        if ending.why == "gone" and isinstance(error := self._gone(self._boot), DeviceRebooted):
            raise error
        self._hearing.ending = ending

    def _chunk(self, frame: Frame, items: Iterator[Said | Frame]) -> None:
        name, size = frame.parts
        left = int(size)
        reader = Reader(items)
        while left:
            data = reader.exactly(min(left, 1 << 16))
            if not data:
                raise ConnectionLost("The connection broke in the middle of the output.")
            left -= len(data)
            self._read[name] += len(data)
            self._hearing.said(Said(data, error=name == "err"))

    def _gone(self, boot: str) -> DeviceError:
        """Why a run's folder, or its supervisor, is not there any more."""
        if self._errand is not None and self._errand.boot not in ("-", boot):
            return DeviceRebooted(f"{self._stage.device.name} restarted while the task ran.")
        return RunGone(f"Nothing is left of the run on {self._stage.device.name}: it was removed or killed.")
