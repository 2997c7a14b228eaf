"""A run ended on one device, whoever started it, and a look whether it is gone."""

from __future__ import annotations

import secrets

from fleet_tasks.actions.stage import Clock, Stage, failed, result
from fleet_tasks.errors import NotVerified
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.results import Result


def stop(stage: Stage, job: Job) -> Result:
    """Ends every run on the device whose folder matches ``job.folder`` (this run's own when it names none).

    Done when nothing is left of them. Each has its own grace, unless the job ``insists`` on one.

    With ``cleanup`` the folders of ended runs are removed, too.
    """
    clock = Clock()
    values = {
        "pattern": job.folder or f"fleet-tasks-{stage.run}-*",
        "device": stage.device.name,
        "asked": round(job.grace * 5),
        "insists": job.insists,
        "remove": job.cleanup,
        "mark": secrets.token_hex(16),
        "timeout": 1,
    }
    left: list[str] = []
    ended = 0
    stage.tell("stopping")
    with stage.conversation(stage.script("stop", ("supervisor", "stop"), values)) as talk:
        for item in stage.words(talk, patience=job.grace + 60):
            if isinstance(item, Frame) and item.word == "stopped":
                ended += 1
                left += item.parts
    if left:
        pids = ",".join(left)
        error = NotVerified(
            f"Still there on {stage.device.name}: processes {pids}.",
            guidance=f"Look: ssh -p {{port}} {{login}} ps -fp {pids}",
        )
        return failed(stage, job, clock, error)
    return result(stage, job, clock, exit_status=0, stdout=f"ended {ended}\n".encode() if ended else b"nothing ran\n")
