"""Agents that are data: a few lines of fleet.yaml, or a shipped preset."""

from __future__ import annotations

import hashlib
import re
import shlex
from functools import cached_property
from importlib.resources import files

from fleet_tasks.agents.contract import Agent, Need, Order, Outcome, Payload, Platform, ScriptedAgent, failure_sentence
from fleet_tasks.agents.extracts import Extract
from fleet_tasks.errors import RequestError, TaskTooLong
from fleet_tasks.registry import LOGIN, AgentSettings
from fleet_tasks.results import Problem, Usage

ARGUMENT = 128_000
"""Bytes that one argument of a process can hold (Linux: 128 KiB less its name)."""
LONGEST = 200
"""Characters of an agent's own words that a sentence repeats."""
KEYLESS = "none"
"""Stands where a client insists on a key and the endpoint asks for none."""
PACKAGE = re.compile(r"(npm|pip):((?:@[a-z0-9._-]+/)?[A-Za-z0-9._-]+)(?:(?:@|==)([A-Za-z0-9.+_-]+))?")
"""A program that a package registry has, with the version or without."""
PATHS = 'PATH="${FLEET_AGENT_HOME:+$FLEET_AGENT_HOME/bin:}$PATH"\nexport PATH\n'
"""What deploy has put into the agent's own bin goes before what the device has."""


class CommandAgent(ScriptedAgent):
    """One shell command that does a task: ``dispatch: 'gemini --prompt "$FLEET_TASK"'``.

    ``source: npm:PACKAGE`` or ``pip:PACKAGE`` (``@VERSION``, ``==VERSION``) brings it to devices that lack it;
    ``deploy`` does so in a way of its own. ``answer``, ``fails_when`` and ``usage`` say what to read out of its output.
    """

    def __init__(self, settings: AgentSettings | None = None) -> None:
        super().__init__(settings)
        own = self.settings
        self.name = own.name
        self.description = own.description or (own.dispatch or "").strip().partition("\n")[0]
        self.ephemeral = bool(own.cleanup)
        self.timeout = own.timeout or ScriptedAgent.timeout
        self.secrets = own.secrets
        self.provider = own.provider
        self.kinds = tuple(own.keys)
        self.wants_key = bool(own.keys)
        self.needs_model = bool(own.needs_model)
        self.program = own.program or _program(own.dispatch or "")
        self.installs = self.asks_ahead = bool(own.deploy or self._package)
        plain = (Need(self.program),) if self.program and not self.installs else ()
        self.needs = tuple(need(text, own.name) for text in own.needs) or plain
        self._answer = Extract.of(own.answer or "text", f"agents.{own.name}.answer")
        self._failure = Extract.of(own.fails_when, f"agents.{own.name}.fails_when") if own.fails_when else None

    def script(self, name: str) -> str:
        """What the settings say; where they say nothing, status looks whether the program is there."""
        own = self.settings
        text = {"status": own.status, "deploy": own.deploy, "dispatch": own.dispatch, "teardown": own.teardown}[name]
        if text is None and name == "status":
            text = self._status()
        elif text is None and name == "deploy":
            text = self._install()
        return PATHS + text if text and self.installs else text or ""

    def payload(self, platform: Platform) -> Payload | None:
        """No files: deploy fetches what it wants by itself. The script names the version, so a new one is new."""
        if not self.installs:
            return None
        return Payload(hashlib.sha256(self.script("deploy").encode()).hexdigest()[:12], {})

    def environment(self, order: Order) -> dict[str, str]:
        """The provider's protocol, and its key under the name that the program looks for."""
        size = len(order.task.encode("utf-8", "surrogateescape"))
        if size > ARGUMENT and re.search(r"\$(FLEET_TASK\b(?!_)|\{FLEET_TASK\b(?!_))", self.script("dispatch")):
            raise TaskTooLong(f"{self.name} takes its task as an argument, and this one has {size} bytes.")
        kind = order.provider_kind or ""
        given = {"FLEET_PROVIDER_KIND": kind}
        if not self.kinds or order.provider in (None, LOGIN):
            return given
        return {**given, self.settings.keys[kind]: order.key.reveal() if order.key else KEYLESS}

    def answer(self, stdout: bytes) -> bytes:
        """Standard output, or what is found on it."""
        if self._answer.kind == "text" and self._answer.pattern is None:
            return stdout
        found = self._answer.last(stdout)
        return stdout if found is None else found.rstrip("\n").encode() + b"\n"

    def verdict(self, outcome: Outcome) -> Problem | None:
        """The exit status, what ``fails_when`` finds, and whether there is an answer where one is looked for."""
        reason = self._reason(outcome)
        if reason is not None:
            return Problem("agent-failed", f"{self.name} failed: {reason}")
        if outcome.exit_status != 0:
            sentence = failure_sentence(outcome.exit_status)
            said = _line(outcome.stderr.decode("utf-8", "replace"))
            return Problem("agent-failed", f"{sentence} It said: {said}" if said else sentence)
        if not self._answer.keys:
            return None
        found = self._answer.last(outcome.stdout)
        if found is None:
            return Problem("agent-failed", f"{self.name} gave no JSON with {'.'.join(self._answer.keys)}.")
        if self.wants_key and not found.strip():  # a model that says nothing, where others may have nothing to say
            return Problem("agent-failed", f"{self.name} gave an empty answer.")
        return None

    def usage(self, outcome: Outcome) -> Usage | None:
        """The sums of what ``usage`` names, in the kind of document that the answer is in."""
        found = {name: self._answer.at(path).total(outcome.stdout) for name, path in self.settings.usage.items()}
        if all(value is None for value in found.values()):
            return None
        whole = {name: int(value) for name, value in found.items() if value is not None and name != "cost"}
        return Usage(**whole, cost=found.get("cost"))

    def _reason(self, outcome: Outcome) -> str | None:
        """Why it failed, where ``fails_when`` finds that; a plain yes is explained by the answer."""
        if self._failure is None:
            return None
        found = self._failure.last(outcome.stdout) or self._failure.last(outcome.stderr)
        if found == "true":
            found = self._answer.last(outcome.stdout) or found
        return None if found in (None, "false", "") else _line(found or "")

    @cached_property
    def _package(self) -> re.Match[str] | None:
        return PACKAGE.fullmatch(self.settings.source or "")

    def _install(self) -> str:
        package = self._package
        if package is None:
            return ""
        values = {"program": self.program, "kind": package[1], "package": package[2], "version": package[3] or ""}
        return _assigned(values) + _shell("means") + _shell("install")

    def _status(self) -> str:
        if not self.program:
            return "echo ready=yes\n"
        kind = self._package[1] if self._package and not self.settings.deploy else ""
        values = {"program": self.program, "login": self.settings.login or "true", "kind": kind}
        return _assigned(values) + _shell("means") + _shell("present")


def wants_model(agent: Agent, provider: str | None) -> bool:
    """Whether a model has to be named; a program that works with its own login on the device knows its own."""
    return agent.needs_model and not (isinstance(agent, CommandAgent) and provider == LOGIN)


def need(text: str, agent: str) -> Need:
    """``program``, ``program>=1.2`` or ``perl:JSON::PP`` as a Need; raises RequestError for anything else."""
    found = re.fullmatch(r"([A-Za-z0-9._+/-]+)(?: *>= *([0-9][0-9A-Za-z.]*)|:([A-Za-z0-9_.:]+))?", text)
    if found is None:
        raise RequestError(f"agents.{agent}.needs: {text!r} is neither program, program>=1.2 nor perl:Module.")
    return Need(found[1], found[2] or "", found[3] or "")


def _line(text: str) -> str:
    """The last line of a text, cut to a length for a sentence."""
    return " ".join(text.strip().rpartition("\n")[2].split())[:LONGEST]


def _program(dispatch: str) -> str:
    """The first word of the command, when it is plainly a program."""
    first = re.match(r"(?:exec\s+)?([A-Za-z0-9._+/-]+)(?:\s|$)", dispatch.strip())
    return first[1] if first else ""


def _assigned(values: dict[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _shell(name: str) -> str:
    return (files(__package__) / f"{name}.sh").read_text("utf-8")
