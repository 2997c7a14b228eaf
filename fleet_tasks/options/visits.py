"""What is said of work on devices: which ones, what to do there, how patiently, how it is shown."""

from __future__ import annotations

from fleet_tasks.options.declaring import option
from fleet_tasks.record import record


@record
class Targets:
    """Which devices a command means."""

    device: tuple[str, ...] = option("Device to visit: name, glob, range or user@host.", short="d", kind="names")
    group: tuple[str, ...] = option("Group to visit.", short="g", kind="names")
    all: bool = option("Visit every device in the registry.", kind="yes")
    exclude: tuple[str, ...] = option("Device or group to leave out.", short="x", kind="names")
    tag: tuple[str, ...] = option("Only devices that carry this tag.", kind="names")

    @property
    def named(self) -> bool:
        """Whether anything was chosen at all."""
        return bool(self.device or self.group or self.all or self.tag)


@record
class AnyOf:
    """How many of the chosen devices are enough."""

    any: int | None = option("Only the N best: ready ones, then least loaded.", kind="count")


@record
class Agency:
    """Which agent is meant."""

    agent: str | None = option("Agent to use; fleet agent.list names them.", short="a")


@record
class Model:
    """Which model the agent talks to."""

    model: str | None = option("Model the agent should use.", short="m")
    provider: str | None = option("Provider of the model.")


@record
class Work:
    """What the agent should do, where, and with which files."""

    task: str | None = option("What to do, in plain words.")
    task_file: str | None = option("File that holds the task; - is standard input.")
    timeout: float | None = option("Seconds each task may take.", kind="seconds")
    send: tuple[str, ...] = option("File or folder to send along: LOCAL[=NAME].", kind="many")
    fetch: tuple[str, ...] = option("File, folder or glob to bring back: REMOTE[=NAME].", kind="many")
    into: str | None = option("Folder for what comes back [./fleet-RUN].")
    workdir: str | None = option("Folder on the device to work in.")
    cleanup: bool | None = option("Remove the agent afterwards, or keep it.", kind="maybe")
    detach: bool = option("Start it, print the run's id, and leave.", kind="yes")
    reconnect: bool = option("Survive a cut link: the task goes on meanwhile.", kind="yes")
    idempotent: bool = option("The task may be started again after a cut link.", kind="yes")
    stream: bool = option("Show every line as it comes.", kind="yes")


@record
class Sending:
    """What goes to a device, and where to."""

    send: tuple[str, ...] = option("File or folder to send: LOCAL[=NAME].", kind="many")
    workdir: str | None = option("Folder on the device, made where missing [~].")


@record
class Fetching:
    """What comes from a device, and where to."""

    fetch: tuple[str, ...] = option("File, folder or glob to bring: REMOTE[=NAME].", kind="many")
    workdir: str | None = option("Folder on the device to look in [~].")
    into: str | None = option("Folder for what comes back [./fleet-RUN].")


@record
class Removal:
    """How sure a removal has to be."""

    verify: bool = option("Exit with 1 when anything is left.", kind="yes")


@record
class Connecting:
    """How patiently devices are reached."""

    parallel: int | None = option("Devices visited at the same time [32].", short="j", kind="count")
    retries: int | None = option("Attempts to connect before giving up [3].", kind="number")
    connect_timeout: float | None = option("Seconds a connection may take [10].", kind="seconds")
    deadline: float | None = option("Seconds the whole run may take.", kind="seconds")


@record
class Limits:
    """When to stop."""

    max_failures: str | None = option("Begin nothing more after N or P% failed.", kind="failures")
    grace: float | None = option("Seconds between TERM and KILL [5].", kind="wait")


@record
class Output:
    """How results are shown."""

    format: str | None = option("text, table, json, jsonl, markdown or html.", short="f", kind="format")
    output: str | None = option("File to write the document to.")
    quiet: bool = option("No progress, no summary.", kind="yes")
    debug: bool = option("Show what is done on which connection.", kind="yes")


@record
class Where:
    """Which registry is meant."""

    registry: str | None = option("Registry file [nearest fleet.yaml].")
