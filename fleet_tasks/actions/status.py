"""One look at a device: reachable, what it is, how busy, and whether the agent can work."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

from fleet_tasks.actions import saying
from fleet_tasks.actions.saying import Saying
from fleet_tasks.actions.stage import Clock, Stage, result
from fleet_tasks.agents.contract import Agent
from fleet_tasks.conversation import Said
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.results import Result

ARCHITECTURES = {
    "x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv8l": "armv7", "armv7l": "armv7",
    "armv6l": "armv6", "riscv64": "riscv64", "loongarch64": "loong64", "s390x": "s390x", "mips": "mips",
    "mipsel": "mipsle", "mips64": "mips64", "mips64el": "mips64le", "i686": "386", "i586": "386", "i386": "386",
    "ppc64le": "ppc64le",
}  # fmt: skip
"""What ``uname -m`` says, in the registry's words; for MIPS our scripts say which order of bytes it means."""


def status(stage: Stage, job: Job) -> Result:
    """The device's facts, and the agent's word on itself."""
    clock = Clock()
    agent = stage.agent(job.agent or "shell")
    values = {**agent_values(agent), **saying.supervision(secrets.token_hex(16)), "script": agent.script("status")}
    script = stage.script("status", ("supervisor", "load", "facts", "status"), values, **exported(job, stage))
    stage.tell("looking")
    with stage.conversation(script) as talk:
        facts, said, missing = read(stage.words(talk))
    shown = _facts(agent, facts, said, missing, stage.connection.round_trip)
    return result(stage, job, clock, exit_status=0, facts=shown)


def agent_values(agent: Agent) -> dict[str, object]:
    """Which installed agent a script is about; empty for one that needs no installing. Some are asked ``anyway``."""
    return {"agent": agent.name if agent.installs else "", "anyway": agent.asks_ahead}


def exported(job: Job, stage: Stage) -> dict[str, str]:
    """What an agent's own scripts may see of the settings; never a secret."""
    return {
        **job.env,
        "FLEET_DEVICE": stage.device.name,
        "FLEET_MODEL": job.model or "",
        "FLEET_PROVIDER": job.provider or "",
        "FLEET_API_BASE": job.api_base or "",
    }


def read(items: Iterator[Said | Frame]) -> tuple[dict[str, str], Saying | None, bool]:
    """The facts by name, what the agent says if it was asked, and whether it is missing."""
    facts: dict[str, str] = {}
    said, missing = None, False
    for item in items:
        if not isinstance(item, Frame):
            continue
        if item.word == "fact":
            key, _, value = item.rest.partition(" ")
            facts[key] = value.strip()
        elif item.word == "says":
            said = saying.listen(items)
        elif item.word == "missing":
            missing = True
    missing = missing and said is None
    return facts, said, missing


def number(text: str | None) -> int | None:
    """A whole number that a device told, if it is one."""
    return int(text) if text and text.isdigit() else None


def _facts(
    agent: Agent, facts: Mapping[str, str], said: Saying | None, missing: bool, trip: float
) -> dict[str, object]:
    said = said or Saying(0)
    memory, disk = number(facts.get("memory_kb")), number(facts.get("disk_kb"))
    reason = "not installed" if missing else said.reason
    machine = facts.get("arch", "")
    return {
        "agent": agent.name,
        "version": said.values.get("version"),
        "ready": not missing and said.ready,
        "reason": reason or None,
        "os": facts.get("os", "").lower() or None,
        "arch": ARCHITECTURES.get(machine, machine) or None,
        "cores": number(facts.get("cores")),
        "load": _decimal(facts.get("load")),
        "memory_mb": memory // 1024 if memory is not None else None,
        "disk_mb": disk // 1024 if disk is not None else None,
        "home_writable": facts.get("writable") == "yes",
        "round_trip_ms": round(trip * 1000, 1),
    }


def _decimal(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
