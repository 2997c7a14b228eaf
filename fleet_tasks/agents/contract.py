"""What an agent is: scripts that run on devices, and two judgements made on the laptop.

Scripts are POSIX sh and see only environment variables, so they can be run and tested by hand:

    status.sh    prints key=value lines: version, ready (yes or no), reason
    deploy.sh    runs in the folder that holds the payload, before it is put in its place; exits 0 when fit
    dispatch.sh  does the task in FLEET_TASK_FILE (and FLEET_TASK, up to 100 kB); standard output is the answer
    teardown.sh  removes what the agent itself left outside its folder

``FLEET_AGENT_HOME`` is the folder of the installed version. ``FLEET_MODEL FLEET_PROVIDER FLEET_API_BASE
FLEET_RUN FLEET_DEVICE FLEET_TASK_ID`` are set for dispatch. Standard input is the null device, or a pipe with what
``stdin`` says: the way for a secret that must not stand in any process's environment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Protocol, runtime_checkable

from fleet_tasks.record import record
from fleet_tasks.registry import AgentSettings
from fleet_tasks.results import Problem, Usage
from fleet_tasks.secrets import Secret

SCRIPTS = ("status", "deploy", "dispatch", "teardown")


@record
class Platform:
    """A device's system: ``os`` as uname says it in lower case, ``arch`` in the registry's words."""

    os: str
    arch: str


@record
class Payload:
    """What is to be installed: local files by the name they get in the agent's folder, and what it is called.

    ``version`` names the folder, so two contents never share one. ``modes`` are those of the local files.
    """

    version: str
    files: Mapping[str, Path]


@record
class Need:
    """One thing the device must have: a program, at least in a version; or a module of an interpreter."""

    program: str
    version: str = ""
    module: str = ""


@record
class Order:
    """One task as an agent is given it.

    ``provider_kind`` is the protocol (openai, anthropic, gemini, copilot); ``key`` the provider's, for agents with
    ``wants_key``. What ``environment`` makes of it reaches the agent's process alone.
    """

    task: str
    run: str
    device: str
    model: str | None = None
    provider: str | None = None
    provider_kind: str | None = None
    api_base: str | None = None
    key: Secret | None = None
    limits: Mapping[str, object] = field(default_factory=dict)


@record
class Outcome:
    """How a task's process ended: its exit status (128+n for signal n) and what it wrote, up to the inline cap."""

    exit_status: int | None
    stdout: bytes
    stderr: bytes


@runtime_checkable
class Agent(Protocol):
    """What the rest of the package asks of an agent.

    ``ephemeral``: removed after a dispatch unless told otherwise. ``installs``: there is a payload to deploy.
    ``timeout`` is seconds. ``secrets`` are names, each exported under its own name; ``needs_model``: useless without
    a model chosen; ``wants_key``: is given the key of the provider in its Order. ``provider`` is whom it asks when
    nobody says otherwise, ``kinds`` are the protocols it speaks (empty: that is no question to it). ``asks_ahead``: its
    status.sh has something to say also where nothing was installed; ``installed=no`` there means that this is all that
    is missing.
    ``link`` is the program in the agent's folder that gets a link in ~/.local/bin when nothing is there. ``limits`` are
    the names that ``limits:`` of a registry may set for it.
    """

    name: str
    description: str
    ephemeral: bool
    timeout: float
    secrets: tuple[str, ...]
    needs: tuple[Need, ...]
    needs_model: bool
    wants_key: bool
    provider: str | None
    kinds: tuple[str, ...]
    installs: bool
    asks_ahead: bool
    link: str | None
    limits: tuple[str, ...]

    def script(self, name: str) -> str:
        """The text of one of SCRIPTS; empty when there is nothing to do."""
        ...

    def payload(self, platform: Platform) -> Payload | None:
        """What to install on such a device; None when nothing needs to be. May download; raises DeviceError."""
        ...

    def environment(self, order: Order) -> Mapping[str, str]:
        """Variables of the agent's own, beyond the FLEET_ ones; raises DeviceError when the order cannot be met."""
        ...

    def stdin(self, order: Order) -> str:
        """What dispatch.sh reads on its standard input, secrets and all; empty for the null device."""
        ...

    def answer(self, stdout: bytes) -> bytes:
        """The answer, freed of whatever the agent prints around it."""
        ...

    def verdict(self, outcome: Outcome) -> Problem | None:
        """Why the task failed; None when it succeeded."""
        ...

    def usage(self, outcome: Outcome) -> Usage | None:
        """What the model calls took, where the agent tells."""
        ...


class ScriptedAgent:
    """An agent made of the shell files that lie beside its class.

    A subclass names itself and overrides what differs. It gets the registry's settings for its name, whose secrets are
    added to its own.
    """

    name = ""
    description = ""
    ephemeral = False
    timeout = 300.0
    secrets: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    needs_model = False
    wants_key = False
    provider: str | None = None
    kinds: tuple[str, ...] = ()
    installs = False
    asks_ahead = False
    link: str | None = None
    limits: tuple[str, ...] = ()

    def __init__(self, settings: AgentSettings | None = None) -> None:
        self.settings = settings or AgentSettings(self.name)
        self.secrets = tuple(dict.fromkeys((*self.secrets, *self.settings.secrets)))

    def script(self, name: str) -> str:
        """The file ``<name>.sh`` in the folder of the class's module; empty when there is none."""
        return self._scripts.get(name, "")

    @cached_property
    def _scripts(self) -> dict[str, str]:
        module = sys.modules[type(self).__module__]
        folder = files(module.__spec__.parent if module.__spec__ and module.__spec__.parent else module.__name__)
        found = ((name, folder / f"{name}.sh") for name in SCRIPTS)
        return {name: file.read_text("utf-8") for name, file in found if file.is_file()}

    def payload(self, platform: Platform) -> Payload | None:
        """Nothing, unless a subclass knows better."""
        return None

    def environment(self, order: Order) -> Mapping[str, str]:
        """Nothing, unless a subclass knows better."""
        return {}

    def stdin(self, order: Order) -> str:
        """Nothing, unless a subclass knows better."""
        return ""

    def answer(self, stdout: bytes) -> bytes:
        """Standard output as it is."""
        return stdout

    def verdict(self, outcome: Outcome) -> Problem | None:
        """Believes the exit status."""
        if outcome.exit_status == 0:
            return None
        return Problem("agent-failed", failure_sentence(outcome.exit_status), "")

    def usage(self, outcome: Outcome) -> Usage | None:
        """Unknown, unless a subclass knows better."""
        return None


REFUSED: Mapping[int, str] = {
    401: "Check the provider's key: its variable in the environment, or secrets: in fleet.yaml.",
    403: "Check what the provider's key may do.",
    404: "Check model: and the provider's api_base: in fleet.yaml.",
    429: "Wait a while, or visit fewer devices at once: -j 4",
}
"""What to do when a model's provider refuses, by the status that it answered with."""


def failure_sentence(status: int | None) -> str:
    """How a process that did not exit with 0 ended."""
    if status is None:
        return "The task ended without an exit status."
    if status > 128:
        return f"The task was ended by signal {status - 128}."
    return f"The task exited with {status}."
