"""Files and folders to a device, each in place in one step."""

from __future__ import annotations

import secrets

from fleet_tasks.actions.stage import DIGESTING, Clock, Stage, result
from fleet_tasks.errors import HomeMissing, HomeReadOnly
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.results import FileCopy, Result
from fleet_tasks.transfer import survey
from fleet_tasks.uploads import answer_ready


def put(stage: Stage, job: Job) -> Result:
    """Sends what the job names; raises DeviceError, and then nothing was put in place."""
    try:
        return _put(stage, job)
    except (HomeMissing, HomeReadOnly) as error:  # the place is the command's, not the registry's
        error.guidance = "Name a folder of {device} that may be written in: --workdir DIR"
        raise


def _put(stage: Stage, job: Job) -> Result:
    clock = Clock()
    values = {"id": f"{stage.run}-{secrets.token_hex(4)}", "at": job.workdir or ""}
    script = stage.script("put", ("files", "put"), values)
    copies: list[FileCopy] = []
    stage.tell("sending")
    with stage.conversation(script) as talk, talk.undone():
        items = stage.words(talk, DIGESTING)
        for item in items:
            if isinstance(item, Frame) and item.word == "ready":
                manifest = answer_ready(talk, items, item, survey(job.send), lambda line: stage.tell("sending", line))
                copies = [
                    FileCopy(name, str(manifest.paths[name]), manifest.sizes[name], digest)
                    for name, digest in manifest.digests.items()
                ]
    return result(stage, job, clock, files=tuple(copies), exit_status=0)
