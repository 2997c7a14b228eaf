"""What deploy made, removed: all of it, and only that."""

from __future__ import annotations

import secrets

from fleet_tasks.actions import saying
from fleet_tasks.actions.stage import Clock, Stage, failed, result
from fleet_tasks.actions.status import agent_values, exported
from fleet_tasks.errors import PlaceError
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.results import Result


class LeftOver(PlaceError):
    """Something of ours would not go."""

    code = "not-verified"
    guidance = "Look at it yourself: ssh -p {port} {login}"


def teardown(stage: Stage, job: Job) -> Result:
    """Removes the job's agent; anything of ours left is a failure.

    With ``verify``, so is an agent's own script that did not end well: what it left undone cannot be seen from outside.
    """
    clock = Clock()
    agent = stage.agent(job.agent or "shell")
    values = {
        **agent_values(agent),
        "agent": agent.name,
        "alone": not agent.installs,
        "device": stage.device.name,
        **saying.supervision(secrets.token_hex(16)),
        "script": agent.script("teardown"),
    }
    script = stage.script("teardown", ("supervisor", "facts", "teardown"), values, **exported(agent, job, stage))
    left: list[str] = []
    trouble, done = "", "removed"
    stage.tell("removing")
    with stage.conversation(script) as talk:
        items = stage.words(talk)
        for item in items:
            if isinstance(item, Frame) and item.word == "left":
                left.append(item.rest)
            elif isinstance(item, Frame) and item.word == "absent":
                done = "nothing to remove of"
            elif isinstance(item, Frame) and item.word == "says":
                done = "removed"
                said = saying.listen(items)
                trouble = f"Its own teardown did not end well: {said.reason}." if said.status else ""
    if left:
        return failed(stage, job, clock, LeftOver(f"Still there on {stage.device.name}: {', '.join(left)}."))
    if trouble and job.verify:
        return failed(stage, job, clock, LeftOver(f"{agent.name} on {stage.device.name}: {trouble}"))
    stdout, stderr = f"{done} {agent.name}\n", f"{trouble}\n" if trouble else ""
    return result(stage, job, clock, exit_status=0, stdout=stdout.encode(), stderr=stderr.encode())
