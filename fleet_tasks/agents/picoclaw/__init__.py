"""PicoClaw: a release binary pushed to the device, a config made for each task, an answer freed of the noise around it.

Its key travels inside the config, on a pipe that only the agent reads. What is known of PicoClaw here comes from its
source, https://github.com/sipeed/picoclaw, versions 0.2.1 to 0.2.9.
"""

from __future__ import annotations

import threading
import time
from functools import cached_property
from importlib.resources import files

from fleet_tasks.agents.contract import Order, Outcome, Payload, Platform, ScriptedAgent
from fleet_tasks.agents.picoclaw import answers, config, limits, platforms
from fleet_tasks.errors import DeviceError, WrongBinary
from fleet_tasks.registry import AgentSettings
from fleet_tasks.releases import Wish, fetch
from fleet_tasks.results import Problem

SOURCE = "github:sipeed/picoclaw"
FRESH = 30.0
"""Seconds for which what was found in the releases holds for all devices of a run; so does that it was not found."""


class Picoclaw(ScriptedAgent):
    """PicoClaw by sipeed, or a fork of it: ``source:`` says which, ``asset:`` what its files are called.

    ``memory: keep`` lets it remember earlier tasks on a device until teardown; otherwise every task starts afresh.
    """

    name = "picoclaw"
    description = "PicoClaw, a small agent of one binary; brought along, for eight architectures."
    timeout = 120.0
    needs_model = True
    wants_key = True
    provider = "anthropic"
    kinds = ("openai", "anthropic", "gemini")
    installs = True
    link = "bin/picoclaw"
    limits = tuple(limits.KINDS)

    def __init__(self, settings: AgentSettings | None = None) -> None:
        super().__init__(settings)
        limits.check_names(self.settings.limits)
        self._lock = threading.Lock()
        self._found: dict[Platform, tuple[float, Payload | DeviceError]] = {}

    @cached_property
    def _version_script(self) -> str:
        return (files(__package__) / "version.sh").read_text("utf-8")

    def script(self, name: str) -> str:
        """One of the scripts, after the functions they share."""
        own = super().script(name)
        return f"{self._version_script}\n{own}" if own else ""

    def payload(self, platform: Platform) -> Payload:
        """The binary for such a device, looked for once for all devices alike.

        Raises ReleaseUnavailable, ChecksumMismatch, WrongPlatform, or WrongBinary for a file that is for another.
        """
        with self._lock:
            until, found = self._found.get(platform, (0.0, None))
            if found is None or until < time.monotonic():
                found = self._look(platform)
                self._found[platform] = (time.monotonic() + FRESH, found)
        if isinstance(found, DeviceError):
            raise type(found)(found.message, guidance=found.guidance) from found
        return found

    def _look(self, platform: Platform) -> Payload | DeviceError:
        own = self.settings
        wish = Wish(
            source=platforms.filled(own.source or SOURCE, platform),
            names=(platforms.filled(own.asset, platform),) if own.asset else platforms.asset_names(platform),
            member=platforms.program(platform),
            checksum=own.checksum,
            api=own.releases_api,
        )
        try:
            got = fetch(wish)
        except DeviceError as error:
            return error
        other = platforms.misfit(got.path, platform)
        if other:
            return WrongBinary(f"{got.path} is a program for {other}, not for {platform.os} on {platform.arch}.")
        version, mark = got.version.replace("/", "-"), got.sha256[:12]
        return Payload(version if version.endswith(mark) else f"{version}-{mark}", {"bin/picoclaw": got.path})

    def environment(self, order: Order) -> dict[str, str]:
        """Whether to remember, and the few limits that are variables; the config is no matter for the environment."""
        variables = limits.sorted_out(order.limits).variables
        return {"FLEET_PICOCLAW_MEMORY": "keep" if self.settings.memory else "", **variables}

    def stdin(self, order: Order) -> str:
        """The config, with the key; raises AgentUnready for what no config can say."""
        return config.lines(order)

    def answer(self, stdout: bytes) -> bytes:
        """What stands behind the banner and the log lines."""
        return answers.cut(stdout)

    def verdict(self, outcome: Outcome) -> Problem | None:
        """Its exit status is honest, except for empty answers and for tasks that ran out of tool calls."""
        return answers.judge(outcome)
