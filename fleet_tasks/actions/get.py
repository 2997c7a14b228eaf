"""Files and folders from a device, below a folder of its own."""

from __future__ import annotations

from fleet_tasks.actions.stage import DIGESTING, Clock, Stage, failed, result
from fleet_tasks.errors import DeviceError, TransferError
from fleet_tasks.frames import Frame
from fleet_tasks.incoming import Incoming
from fleet_tasks.jobs import Job
from fleet_tasks.results import Result


def get(stage: Stage, job: Job) -> Result:
    """Brings what the job names; what came before a failure is kept and listed."""
    clock = Clock()
    incoming = Incoming.of(stage.device.name, job, lambda line: stage.tell("fetching", line))
    values = {"at": job.workdir or "", **fetch_values(job)}
    script = stage.script("get", ("files", "get"), values)
    trouble: DeviceError | None = None
    stage.tell("fetching")
    try:
        with stage.conversation(script) as talk:
            items = stage.words(talk, DIGESTING)
            for item in items:
                if isinstance(item, Frame):
                    incoming.take(item, items)
    except DeviceError as error:
        trouble = error
    if trouble is None and incoming.absent:
        wanted = ", ".join(job.fetch[index - 1].remote for index in incoming.absent)
        trouble = TransferError(f"There is no {wanted} on {stage.device.name}.")
    files = tuple(incoming.copies)
    if trouble is not None:
        return failed(stage, job, clock, trouble, files=files)
    return result(stage, job, clock, files=files, exit_status=0)


def fetch_values(job: Job) -> dict[str, object]:
    """What a script needs to know to give the job's files: how many patterns, and each."""
    patterns = {f"fetch_{index}": fetch.remote for index, fetch in enumerate(job.fetch, 1)}
    return {"fetches": len(job.fetch) or "", **patterns}
