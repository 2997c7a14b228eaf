"""What came of it: a State for each job, a Result for each device, a Report for the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from fleet_tasks.record import record


class State(StrEnum):
    """How a job stands; the words are those of the JSON documents."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    SKIPPED = "skipped"
    RUNNING = "running"


@record
class Problem:
    """Why a job is not done: a stable word, a sentence, and what to type next."""

    code: str
    message: str
    guidance: str = ""


@record
class FileCopy:
    """One file that was brought across; ``bytes`` is its size."""

    remote: str
    local: str
    bytes: int
    sha256: str


@record
class Usage:
    """What the model calls of one task took; ``cost`` is in US dollars."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    requests: int | None = None
    cost: float | None = None


@record
class Result:
    """What one device did with one job.

    ``stdout`` and ``stderr`` are the device's exact bytes up to the inline cap; where there was
    more, ``truncated`` is true and the ``*_file`` holds the whole stream. ``started`` is RFC 3339
    in UTC by the laptop's clock, ``seconds`` is measured on the laptop and monotonic.
    ``answer`` is what people are shown: the agent's cleaned standard output.
    """

    device: str
    host: str
    action: str
    state: State
    agent: str | None = None
    task_id: str | None = None
    exit_status: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    stdout_file: str | None = None
    stderr_file: str | None = None
    seconds: float = 0.0
    attempts: int = 1
    started: str = ""
    files: tuple[FileCopy, ...] = ()
    usage: Usage | None = None
    error: Problem | None = None
    facts: Mapping[str, object] | None = None
    raw_stdout: bytes | None = None

    def __bool__(self) -> bool:
        return self.state in (State.DONE, State.RUNNING)


@record
class Progress:
    """A sign of life from one device, for people who watch; ``line`` is remote bytes, unsafe to print.

    In a batch ``task_id`` says at which of its tasks; the phase ``LEFT`` that what it was at is over, or given up.
    """

    device: str
    phase: str
    line: bytes = b""
    task_id: str | None = None


LEFT = "left"


@record
class Chunk:
    """Output of one task as it comes, for people who watch every line; remote bytes, unsafe to print."""

    device: str
    data: bytes
    error: bool = False


@record
class Report:
    """One command's whole work, ready for a document, the history and an exit code."""

    run: str
    command: str
    started: str
    seconds: float
    results: tuple[Result, ...]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some job failed, 3 no device could be reached, 130 interrupted."""
        return exit_code(self.results, interrupted=self.interrupted)

    @property
    def counts(self) -> dict[State, int]:
        """How many results stand in each state, every state named."""
        return {state: sum(r.state is state for r in self.results) for state in State}


def exit_code(results: Iterable[Result], *, interrupted: bool = False) -> int:
    """The run's exit code, from its results alone."""
    states = [result.state for result in results]
    if interrupted:
        return 130
    if states and all(state is State.UNREACHABLE for state in states):
        return 3
    return 0 if all(state in (State.DONE, State.RUNNING) for state in states) else 1
