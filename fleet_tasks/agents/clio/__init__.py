"""CLIO: its Perl tree pushed to the device, its settings and its key on a pipe, its answer freed of what surrounds it.

What is known of CLIO here comes from running and reading https://github.com/SyntheticAutonomicMind/CLIO, 20260228.1.
``FleetTasks.pm`` is loaded into it on the device and mends what would be in the way there.
"""

from __future__ import annotations

import json
import threading
import time
from functools import cached_property
from importlib.resources import files

from fleet_tasks.agents.clio import answers, source
from fleet_tasks.agents.contract import Need, Order, Outcome, Payload, Platform, ScriptedAgent
from fleet_tasks.errors import AgentUnready, DeviceError
from fleet_tasks.registry import LOGIN, WELL_KNOWN, AgentSettings
from fleet_tasks.results import Problem

FRESH = 30.0
"""Seconds for which what was found as CLIO's source holds for all devices; so does that it was not found."""
MODULES = ("JSON::PP", "HTTP::Tiny", "Time::HiRes", "Digest::SHA")
"""Perl's own modules that bare installations of Perl leave out."""
ENDPOINTS = {"openai": "/chat/completions", "anthropic": "/chat/completions", "gemini": "/openai/chat/completions"}
"""Where a provider of each kind answers in OpenAI's protocol, below its base: CLIO speaks that one best."""


class Clio(ScriptedAgent):
    """CLIO by SyntheticAutonomicMind; ``source:`` is a checkout, a release archive, a URL or github:owner/repo."""

    name = "clio"
    description = "CLIO, a coding agent in Perl; brought along for each task."
    ephemeral = True
    timeout = 300.0
    needs = (Need("perl", "5.16"), *(Need("perl", module=module) for module in MODULES))
    needs_model = True
    wants_key = True
    provider = "github_copilot"
    kinds = ("openai", "anthropic", "gemini", "copilot")
    installs = True
    asks_ahead = True

    def __init__(self, settings: AgentSettings | None = None) -> None:
        super().__init__(settings)
        self._lock = threading.Lock()
        self._found: tuple[float, Payload | DeviceError] | None = None

    def script(self, name: str) -> str:
        """One of the scripts; those that look at a device know what CLIO needs of it."""
        own = super().script(name)
        return f"{self._requirements}\n{own}" if name in ("status", "deploy") else own

    @cached_property
    def _requirements(self) -> str:
        return (files(__package__) / "requirements.sh").read_text("utf-8")

    def payload(self, platform: Platform) -> Payload:
        """CLIO's program and library, the same for every platform; raises ReleaseUnavailable or ChecksumMismatch."""
        with self._lock:
            if self._found is None or self._found[0] < time.monotonic():
                self._found = (time.monotonic() + FRESH, self._look())
            found = self._found[1]
        if isinstance(found, DeviceError):
            raise type(found)(found.message, guidance=found.guidance) from found
        return found

    def _look(self) -> Payload | DeviceError:
        try:
            return source.payload(self.settings)
        except DeviceError as error:
            return error

    def stdin(self, order: Order) -> str:
        """One line of JSON for FleetTasks.pm: provider, model, endpoint and key; raises AgentUnready without any."""
        if order.provider == LOGIN:
            raise AgentUnready(
                f"clio does not work with a login of its own on {order.device}.",
                guidance="Name a provider: --provider NAME, or provider: in fleet.yaml.",
            )
        return json.dumps(_settings(order)) + "\n"

    def answer(self, stdout: bytes) -> bytes:
        """What stands behind [RESPONSE]."""
        return answers.cut(stdout)

    def verdict(self, outcome: Outcome) -> Problem | None:
        """Whether there is an answer; its exit status tells nothing."""
        return answers.judge(outcome)


def _settings(order: Order) -> dict[str, str]:
    copilot = order.provider_kind == "copilot"
    name = "github_copilot" if copilot else "openai"
    given = {
        "provider": name,
        "model": f"{name}/{order.model}" if order.model else "",
        "api_base": _endpoint(order),
        # Some of its versions want a key also where the endpoint wants none.
        "key": order.key.reveal() if order.key else "" if copilot else "none",
    }
    return {key: value for key, value in given.items() if value}


def _endpoint(order: Order) -> str:
    """The whole URL; empty for GitHub Copilot's usual one, as CLIO asks GitHub which it is for this user."""
    base, kind = (order.api_base or "").rstrip("/"), order.provider_kind or "openai"
    if kind == "copilot":
        return "" if base == WELL_KNOWN["github_copilot"].api_base else base
    return base if not base or base.endswith("/chat/completions") else base + ENDPOINTS[kind]
