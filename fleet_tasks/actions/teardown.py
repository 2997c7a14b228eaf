"""What deploy made, removed: all of it, and only that."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet_tasks.actions import saying
from fleet_tasks.actions.stage import Clock, Stage, failed, result
from fleet_tasks.actions.status import exported
from fleet_tasks.conversation import Said
from fleet_tasks.errors import PlaceError, UnknownName
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Action, Job
from fleet_tasks.results import Result


class LeftOver(PlaceError):
    """Something of ours would not go."""

    code = "not-verified"
    guidance = "Look at it yourself: ssh -p {port} {login}"


@dataclass
class _Removal:
    """What one agent's removal came to: whether there was anything, what is left, and who else is there."""

    agent: str
    done: bool = True
    trouble: str = ""
    left: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def teardown(stage: Stage, job: Job) -> Result:
    """Removes the job's agent, and with ``others`` every other that is there; anything of ours left is a failure.

    With ``verify``, so is an agent's own script that did not end well: what it left undone cannot be seen from outside.
    """
    clock = Clock()
    stage.tell("removing")
    removals = list(_removals(stage, job))
    where = stage.device.name
    left = [path for each in removals for path in each.left]
    if left:
        return failed(stage, job, clock, LeftOver(f"Still there on {where}: {', '.join(left)}."))
    troubles = [each for each in removals if each.trouble]
    if troubles and job.verify:
        why = " ".join(f"{each.agent} on {where}: {each.trouble}" for each in troubles)
        return failed(stage, job, clock, LeftOver(why))
    names = ", ".join(each.agent for each in removals if each.done)
    nothing = "nothing to remove" if job.others is not None else f"nothing to remove of {removals[0].agent}"
    stdout = f"removed {names}\n" if names else f"{nothing}\n"
    stderr = "".join(f"{each.trouble}\n" for each in troubles)
    return result(stage, job, clock, exit_status=0, stdout=stdout.encode(), stderr=stderr.encode())


def _removals(stage: Stage, job: Job) -> Iterator[_Removal]:
    """The job's agent first: it tells who else is there."""
    first = _remove(stage, job)
    yield first
    if job.others is not None:
        for name in first.others:
            env = job.others.get(name, job.others[""])
            yield _remove(stage, Job(Action.TEARDOWN, agent=name, env=env, others=job.others))


def _remove(stage: Stage, job: Job) -> _Removal:
    """Removes one agent; among others also one whose script cannot be had: they are not its victims."""
    removal = _Removal(job.agent or "shell")
    script, alone, trouble = "", False, ""
    try:
        agent = stage.agent(removal.agent)
        script, alone = agent.script("teardown"), not agent.installs
    except Exception as error:  # whatever a stranger's class raises
        if job.others is None:
            raise
        if not isinstance(error, UnknownName):  # which the registry has forgotten
            trouble = f"The teardown of {removal.agent} could not be run: {error}"
    values = {
        "agent": removal.agent,
        "alone": alone,
        "spare": job.always,
        "id": secrets.token_hex(6),
        "device": stage.device.name,
        **saying.supervision(secrets.token_hex(16)),
        "script": script,
    }
    parts = ("supervisor", "facts", "base", "teardown")
    with stage.conversation(stage.script("teardown", parts, values, **exported(job, stage))) as talk:
        _listen(stage.words(talk), removal)
    if removal.done:
        removal.trouble = removal.trouble or trouble
    return removal


def _listen(items: Iterator[Said | Frame], removal: _Removal) -> None:
    """Writes down what the device says of a removal."""
    for item in items:
        if not isinstance(item, Frame):
            continue
        if item.word == "left":
            removal.left.append(item.rest)
        elif item.word == "other":
            removal.others.append(item.rest)
        elif item.word == "absent":
            removal.done = False
        elif item.word == "says":
            removal.done = True
            said = saying.listen(items)
            why = said.reason.rstrip(".")
            removal.trouble = f"Its own teardown did not end well: {why}." if said.status else ""
