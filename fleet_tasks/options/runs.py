"""What is said of runs and of batches of tasks."""

from __future__ import annotations

from fleet_tasks.options.declaring import option
from fleet_tasks.record import record


@record
class Past:
    """Which past runs are meant."""

    limit: int | None = option("How many runs at the most [20].", kind="count")
    device: str | None = option("Only runs that visited this device.", short="d")


@record
class RunChoice:
    """One run."""

    run: str | None = option("The run's id; a unique beginning is enough.")


@record
class Following:
    """How a run is followed."""

    stream: bool = option("Show every line as it comes.", kind="yes")


@record
class Stopped:
    """Which run is to end."""

    run: str | None = option("The run's id; a unique beginning is enough.")


@record
class Pruning:
    """Which past runs are to be forgotten."""

    older_than: str | None = option("Age of the runs to forget: 30d, 12h, 2w.")
    keep: int | None = option("Forget all but the newest N.", kind="count")


@record
class BatchSource:
    """Where many tasks come from, and what is to be done with their outputs."""

    file: str | None = option("File of tasks: YAML, or JSON lines; - is standard input.")
    each: str | None = option("One task for each local file of this glob.")
    task: str | None = option("The task for --each; {input} is the file's name.")
    fetch: tuple[str, ...] = option("With --each: what to bring back of each task.", kind="many")
    into: str | None = option("Folder for what comes back [./fleet-RUN].")
    timeout: float | None = option("Seconds each task may take.", kind="seconds")
    slots: int | None = option("Tasks at a time on each device.", kind="count")
    cleanup: bool | None = option("Remove the agents afterwards, or keep them.", kind="maybe")
    reduce: str | None = option("One more task that gets all the answers.")
    reduce_agent: str | None = option("Agent of that last task.")


@record
class Rerun:
    """Which tasks that are over are to be done again."""

    rerun: str | None = option("Do again what is: lost, or failed (lost too).")
