"""What is heard of one task, however it is heard: its streams, its files, its end; and the result it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fleet_tasks.actions.stage import Clock, Stage, failed, guidance_values, result
from fleet_tasks.agents.contract import REFUSED, Agent, Outcome
from fleet_tasks.capture import Capture
from fleet_tasks.conversation import Said
from fleet_tasks.errors import Cancelled, ConnectionLost, DeviceError, NotVerified, TimedOut, TransferError
from fleet_tasks.frames import Frame
from fleet_tasks.incoming import Incoming
from fleet_tasks.jobs import Job
from fleet_tasks.record import record
from fleet_tasks.results import Chunk, Problem, Result, State


@record
class Ending:
    """How the supervisor says a task ended: its status, why, and the processes that would not go."""

    status: int
    why: str
    left: tuple[str, ...] = ()

    @classmethod
    def of(cls, frame: Frame) -> Ending:
        """From a frame ``exit``."""
        status, why, *left = frame.parts
        return cls(int(status), why, tuple(left))


class Hearing:
    """Collects what comes of a job, and judges it at the end."""

    def __init__(self, stage: Stage, job: Job, agent: Agent) -> None:
        self.stage = stage
        self.job = job
        self.agent = agent
        self.clock = Clock()
        self.ending: Ending | None = None
        name = f"{stage.device.name}{'-' + job.task_id if job.task_id else ''}".replace("/", "_")
        self._out = Capture(stage.spool / f"{name}.stdout", stage.scrubber)
        self._err = Capture(stage.spool / f"{name}.stderr", stage.scrubber)
        self.expect_files()

    def said(self, said: Said) -> None:
        """Takes some bytes of the task's output."""
        capture = self._err if said.error else self._out
        clean = capture.add(said.data)
        if self.job.stream and clean:
            self.stage.notify(Chunk(self.stage.device.name, clean, said.error))
        self.stage.tell("running", capture.last_line)

    def expect_files(self) -> None:
        """Begins anew with files: those that came before a link broke come once more."""
        stage = self.stage
        self._incoming = Incoming.of(stage.device.name, self.job, lambda line: stage.tell("fetching", line))

    def files(self, frame: Frame, items: Iterator[Said | Frame]) -> bool:
        """Takes a file, when ``frame`` announces one."""
        return self._incoming.take(frame, items)

    @property
    def ended_well(self) -> bool:
        """Whether the task came to its own end, and left nobody behind."""
        return self.ending is not None and self.ending.why == "ended" and not self.ending.left

    def judge(self, trouble: DeviceError | None) -> Result:
        """The result, from how the task ended and what went wrong around it."""
        ending, agent = self.ending, self.agent
        stdout, stderr = self._out.finish(), self._err.finish()
        outcome = Outcome(ending.status if ending else None, stdout, stderr)
        answer = agent.answer(stdout)
        more: dict[str, Any] = {
            "exit_status": outcome.exit_status,
            "stdout": answer,
            "raw_stdout": stdout if answer != stdout else None,
            "stderr": stderr,
            "truncated": self._out.truncated or self._err.truncated,
            "stdout_file": self._out.path,
            "stderr_file": self._err.path,
            "files": tuple(self._incoming.copies),
            "usage": agent.usage(outcome),
        }
        problem = self._ended_early(outcome) or trouble
        if problem is not None:
            return failed(self.stage, self.job, self.clock, problem, **more)
        verdict = agent.verdict(outcome) or self._missing()
        if verdict is None:
            return result(self.stage, self.job, self.clock, **more)
        guidance = verdict.guidance or f"Read more: fleet history.show --run {self.stage.run}"
        verdict = replace(verdict, guidance=guidance)
        return result(self.stage, self.job, self.clock, State.FAILED, error=verdict, **more)

    def _ended_early(self, outcome: Outcome) -> DeviceError | None:
        """The error for a task that did not end by itself, or whose processes would not go."""
        ending, name = self.ending, self.stage.device.name
        if ending is None:
            return None
        if ending.left:
            return NotVerified(
                f"Processes of the task are still there on {name}: {' '.join(ending.left)}.",
                guidance=f"Look: ssh -p {{port}} {{login}} ps -fp {','.join(ending.left)}",
            )
        if ending.why == "timed-out":
            late = TimedOut(f"The task took longer than {self.job.timeout:g} s and was ended.")
            said = self.agent.verdict(outcome)
            if said is not None and said.guidance in REFUSED.values():  # more time would not help: it was refused
                late = TimedOut(f"{late.message} {said.message}", guidance=said.guidance)
            return late
        if ending.why == "cancelled":
            return self.stage.stopping.reason or Cancelled("The task was ended.")
        if ending.why == "gone":
            return ConnectionLost("The connection broke; the task was ended with it.")
        return None

    def _missing(self) -> Problem | None:
        if not self._incoming.absent:
            return None
        wanted = ", ".join(self.job.fetch[index - 1].remote for index in self._incoming.absent)
        guidance = f"See what it said: fleet history.show --run {self.stage.run}"
        return TransferError(f"The task left no {wanted}.", guidance=guidance).problem(**guidance_values(self.stage))
