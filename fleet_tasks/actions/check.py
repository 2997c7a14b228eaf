"""Everything that must hold before a dispatch, as ticks and crosses, each cross with its fix.

The connection itself was checked by opening it: one that cannot be opened becomes crosses here too.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fleet_tasks.actions import ground, saying
from fleet_tasks.actions.ground import Check, Place
from fleet_tasks.actions.saying import Saying
from fleet_tasks.actions.stage import Clock, Stage, failed, guidance_values, result
from fleet_tasks.actions.status import agent_values, exported, number
from fleet_tasks.agents.command import wants_model
from fleet_tasks.agents.contract import Agent, Need, ScriptedAgent
from fleet_tasks.conversation import Said
from fleet_tasks.errors import DeviceError
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.results import Problem, Result, State


@dataclass
class _Heard:
    """What the script told, as it came; the places are those of the run and, where it is installed, of the agent."""

    facts: dict[str, str]
    places: dict[str, Place]
    programs: dict[int, str]
    endpoint: str | None = None
    said: Saying | None = None
    missing: bool = False


def check(stage: Stage, job: Job) -> Result:
    """Looks at everything a dispatch of the job's agent needs on this device."""
    clock = Clock()
    agent = stage.agent(job.agent or "shell")
    programs = {f"program_{n}": need.program for n, need in enumerate(agent.needs, 1)}
    modules = {f"module_{n}": need.module for n, need in enumerate(agent.needs, 1)}
    values = {
        **agent_values(agent),
        **saying.supervision(secrets.token_hex(16)),
        "id": secrets.token_hex(6),
        "script": agent.script("status"),
        "needs": len(agent.needs),
        "endpoint": job.api_base if agent.needs_model or agent.wants_key else "",
        **programs,
        **modules,
    }
    script = stage.script("check", ("supervisor", "facts", "check"), values, **exported(job, stage))
    stage.tell("checking")
    with stage.conversation(script) as talk:
        heard = _listen(stage.words(talk))
    checks = [
        *logged_in(stage),
        *_secrets(stage, job),
        *_source(agent),
        *ground.room_and_rights(heard.places),
        ground.clock(heard.facts),
        *_programs(agent, heard),
        *_agent(agent, heard, job),
    ]
    filled = [_filled(each, stage) for each in checks]
    return verdict(stage, job, clock, filled)


def verdict(stage: Stage, job: Job, clock: Clock, checks: list[Check]) -> Result:
    """The result of all checks: failed while a cross remains."""
    crosses = [each for each in checks if not each.ok]
    facts = {"checks": [asdict(each) for each in checks]}
    if not crosses:
        return result(stage, job, clock, facts=facts)
    first = crosses[0]
    many = f" (and {len(crosses) - 1} more)" if len(crosses) > 1 else ""
    problem = Problem("requirement-missing", f"{first.name}: {first.found.rstrip('.')}{many}.", first.guidance)
    return result(stage, job, clock, State.FAILED, facts=facts, error=problem)


RUNGS = (
    ("key", ("no-agent-key",), "a key to offer: named, in the ssh-agent, or a default one without a passphrase"),
    ("name", ("unknown-host",), "a name that resolves"),
    ("port", ("connection-refused", "connect-timeout", "throttled"), "an SSH server that answers"),
    ("host key", ("host-key-unknown", "host-key-changed", "host-key-revoked"), "the host key we know"),
    ("login", ("auth-refused",), "a login with a key"),
)
"""The steps of a login in their order, each with the codes that mean it failed."""


def unreached(stage: Stage, job: Job, clock: Clock, error: DeviceError) -> Result:
    """A check of a device that cannot be logged in to: ticks up to the step that failed, and the cross.

    Whether there is a key shows on this side, however far the login came.
    """
    checks = []
    known = any(error.code in codes for _, codes, _ in RUNGS)
    for name, codes, wanted in RUNGS if known else ():  # a run that was ended says nothing about the login
        trouble = error if error.code in codes else stage.connection.key_trouble() if name == "key" else None
        checks.append(_filled(_rung(name, wanted, trouble), stage))
        if trouble is error:
            break
    return failed(stage, job, clock, error, facts={"checks": [asdict(each) for each in checks]})


def logged_in(stage: Stage) -> Iterator[Check]:
    """What opening the connection has shown."""
    login = stage.connection.login
    trouble = stage.connection.key_trouble() if login.keys else None
    for name, _, wanted in RUNGS[:3]:
        yield _rung(name, wanted, trouble if name == "key" else None)
    yield Check("login", True, f"{login.address} without a prompt", "a login with a key")
    loud = login.host_keys != "off"
    yield Check(
        "host key", loud, "checked" if loud else "not checked", "checked", "Remove host_keys: off from fleet.yaml."
    )


def _rung(name: str, wanted: str, trouble: DeviceError | None) -> Check:
    found, guidance = (trouble.message, trouble.guidance) if trouble else ("fine", "")
    return Check(name, trouble is None, found, wanted, guidance)


def _secrets(stage: Stage, job: Job) -> Iterator[Check]:
    """What the agent needs from this machine besides the login."""
    for name in dict.fromkeys(filter(None, (*job.secrets, job.key))):
        nowhere = stage.secrets[name].nowhere
        fix = f"Set {name} in the environment, or say under secrets: in fleet.yaml where it is."
        yield Check(f"secret {name}", not nowhere, f"not in {nowhere}" if nowhere else "found", "its value", fix)


def _source(agent: Agent) -> Iterator[Check]:
    """Whether a source on this machine is there; others are asked when something has to be fetched."""
    source = agent.settings.source if isinstance(agent, ScriptedAgent) and agent.installs else None
    if source and not re.match("[a-z]+:", source):
        path = Path(source).expanduser()
        found = "found" if path.exists() else f"there is no {path}"
        yield Check("source", path.exists(), found, source, f"Mend source: of {agent.name} in fleet.yaml.")


def _listen(items: Iterator[Said | Frame]) -> _Heard:
    heard = _Heard({}, {}, {})
    for item in items:
        if not isinstance(item, Frame):
            continue
        if item.word == "fact":
            key, _, value = item.rest.partition(" ")
            heard.facts[key] = value.strip()
        elif item.word == "place":
            what, may, free, path = item.rest.split(" ", 3)
            heard.places[what] = Place(path, (number(free) or 0) // 1024, may)
        elif item.word == "program":
            index, _, found = item.rest.partition(" ")
            heard.programs[int(index)] = found
        elif item.word == "endpoint":
            heard.endpoint = item.rest
        elif item.word == "says":
            heard.said = saying.listen(items)
        elif item.word == "missing":
            heard.missing = True
    return heard


def _programs(agent: Agent, heard: _Heard) -> Iterator[Check]:
    for index, need in enumerate(agent.needs, 1):
        found = heard.programs.get(index, "missing")
        yield _program(need, found)


def _program(need: Need, found: str) -> Check:
    wanted = need.program + (f" >= {need.version}" if need.version else "")
    fix = f"Install {need.program} on {{device}}, on the PATH of a login without a terminal."
    if need.module:
        right = found.startswith("found")
        fix = f"Install {need.module} for {need.program} on {{device}}."
        return Check(f"{need.program}:{need.module}", right, "found" if right else "missing", need.module, fix)
    if not found.startswith("found"):
        return Check(need.program, False, "missing", wanted, fix)
    version = first_version(found.partition(" ")[2].partition(" ")[2])
    right = not need.version or (version is not None and _numbers(version) >= _numbers(need.version))
    shown = version or ("found" if right else "found, but it does not say its version")
    return Check(need.program, right, shown, wanted, f"Bring {need.program} on {{device}} up to {need.version}.")


def first_version(text: str) -> str | None:
    """The first thing in a ``--version`` line that looks like a version, without a leading v; else a number alone."""
    found = re.search(r"\bv?(\d+(?:\.\d+)+)", text) or re.search(r"(?<!\S)v?(\d+)(?!\S)", text)
    return found[1] if found else None


def _numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, so that 1.10 comes after 1.9, and 1.9 is 1.9.0."""
    numbers = [int(part) for part in re.findall(r"\d+", version)]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _agent(agent: Agent, heard: _Heard, job: Job) -> Iterator[Check]:
    if agent.installs and (found := _presence(heard)):
        yield Check("agent", True, f"{agent.name} {found}", agent.name)
    if heard.said is not None and not (heard.missing and heard.said.values.get("installed") == "no"):
        ready = heard.said.ready
        found = heard.said.values.get("version", "ready") if ready else heard.said.reason
        fix = heard.said.values.get("guidance", f"See on {{device}} what {agent.name} says itself.")
        yield Check("agent ready", ready, found, f"{agent.name} can work", fix)
    if wants_model(agent, job.provider):
        fix = "Name one when you dispatch, --model NAME, or model: in fleet.yaml."
        yield Check("model", bool(job.model), job.model or "none", "a model", fix)
    if heard.endpoint is not None:
        reached = not heard.endpoint.startswith("unreachable")
        fix = f"Let {{device}} reach {job.api_base}, or choose another provider."
        yield Check("model endpoint", reached, heard.endpoint, job.api_base or "", fix)


def _presence(heard: _Heard) -> str:
    """Whether it is installed, by us or by somebody else; nothing where it cannot be, which its own words tell."""
    if not heard.missing:
        return "installed"
    if heard.said is None or heard.said.values.get("installed") == "no":
        return "not installed yet; dispatch does it"
    return "is there already" if heard.said.ready or heard.said.values.get("version") else ""


def _filled(each: Check, stage: Stage) -> Check:
    guidance = "" if each.ok else each.guidance
    for key, value in guidance_values(stage).items():
        guidance = guidance.replace("{" + key + "}", str(value))
    return Check(each.name, each.ok, each.found, each.wanted, guidance)
