"""Which runs are on a device: going on, or ended and not fetched yet."""

from __future__ import annotations

from fleet_tasks.actions.stage import Clock, Stage, result
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.results import Result, State


def ps(stage: Stage, job: Job) -> Result:
    """The runs of this device, as ``facts["runs"]``: run, task_id, started, state.

    Devices that share a machine and a login share its folders, so each run says for which it is.
    """
    clock = Clock()
    runs: list[dict[str, object]] = []
    mine = False
    stage.tell("looking")
    with stage.conversation(stage.script("ps", ("ps",), {})) as talk:
        for item in stage.words(talk):
            if isinstance(item, Frame) and item.word == "run" and len(item.parts) == 5:
                state, run, device, task_id, started = item.parts
                mine = device == stage.device.name
                if mine:
                    runs.append({"run": run, "task_id": task_id, "started": started, "state": state})
            elif isinstance(item, Frame) and item.word == "ended" and mine and len(item.parts) > 1:
                runs[-1]["state"] = _ended(*item.parts[:2])
    return result(stage, job, clock, facts={"runs": runs})


def _ended(status: str, why: str) -> str:
    """The state of a run that has ended and waits to be fetched."""
    if why in ("timed-out", "cancelled"):
        return State(why).value
    return State.DONE.value if status == "0" else State.FAILED.value
