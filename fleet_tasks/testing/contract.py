"""The contract as tests."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet_tasks.agents.contract import SCRIPTS, Agent, Order, Outcome
from fleet_tasks.registry import AgentSettings
from fleet_tasks.results import Problem
from fleet_tasks.secrets import Secret
from fleet_tasks.testing.local import LocalDevice, this_platform

CANARY = "canary-3f1c9a7e5b2d4860"
"""A secret's value, to be searched for wherever it must not be."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
ODD_OUTPUTS = (b"", b"\n", b"\xff\xfe\x00", b"{", b"plain words\n", b"\x1b[1mbold\x1b[0m\r\n", b'{"result": 1}\n' * 3)
"""What an agent may find on its standard output, like it or not."""


class AgentContract:
    """What every agent must hold to. A subclass whose name begins with Test says which ``kind`` it is about.

    ``task`` is one that the agent can do in a test; ``settings`` are the registry's for it, ``env`` what its scripts
    find in their environment; ``model``, ``provider`` and ``api_base`` are what it is told to use.
    """

    kind: type[Any]
    task = "say hello"
    settings: Mapping[str, Any] = {}
    env: Mapping[str, str] = {}
    model: str | None = None
    provider: tuple[str, str] | None = None
    api_base: str | None = None

    def agent(self) -> Agent:
        """A fresh agent with its settings, as the registry gives them."""
        agent: Agent = self.kind(AgentSettings(getattr(self.kind, "name", ""), **self.settings))
        return agent

    def order(self, agent: Agent) -> Order:
        """The task as the agent is given it."""
        name, kind = self.provider or (None, None)
        return Order(
            task=self.task,
            run="0000test",
            device="here",
            model=self.model,
            provider=name,
            provider_kind=kind,
            api_base=self.api_base,
            key=Secret("KEY", CANARY) if agent.wants_key else None,
        )

    def secrets(self, agent: Agent) -> dict[str, str]:
        """A value for each secret the agent asks for."""
        return dict.fromkeys(agent.secrets, CANARY)

    def test_it_says_what_it_is(self) -> None:
        """A name to type, a description to read, limits that can be kept."""
        agent = self.agent()
        assert isinstance(agent, Agent), f"{type(agent).__name__} lacks something of fleet_tasks.agents.contract.Agent"
        assert NAME.fullmatch(agent.name), f"{agent.name!r} is no name for a command line"
        assert agent.description.strip(), "people want a word on what it does"
        assert agent.timeout > 0
        assert agent.script("dispatch").strip(), "there is no dispatch.sh"

    def test_its_scripts_are_posix_sh(self) -> None:
        """Every script can be parsed by this machine's ``sh``, and by dash and busybox where they are."""
        shells = [["sh"], ["dash"], ["busybox", "sh"]]
        for shell in (words for words in shells if shutil.which(words[0])):
            for name in SCRIPTS:
                said = subprocess.run(
                    [*shell, "-n"], input=self.agent().script(name).encode(), capture_output=True, check=False
                )
                assert said.returncode == 0, f"{name}.sh under {' '.join(shell)}: {said.stderr.decode()}"

    def test_its_payload_is_the_same_every_time(self) -> None:
        """One version for the same files; names that stay inside the agent's folder."""
        if not self.agent().installs:
            assert self.agent().payload(this_platform()) is None, "installs is False, and there is a payload"
            return
        payload = self.agent().payload(this_platform())
        assert payload == self.agent().payload(this_platform())
        assert payload is not None, f"there is nothing to install on {this_platform()}"
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", payload.version), f"{payload.version!r} names no folder"
        for name, path in payload.files.items():
            assert path.is_file(), f"{path} is no file"
            assert not name.startswith("/") and ".." not in name.split("/"), f"{name} leaves the agent's folder"

    def test_deployed_it_is_ready(self, tmp_path: Path) -> None:
        """deploy.sh accepts the payload, twice as well; status.sh then says ready, in key=value lines."""
        device = LocalDevice(tmp_path, self.agent(), self.env)
        for _time in range(2):
            said = device.deploy()
            assert said.status == 0, f"deploy.sh exited with {said.status}: {said.text}"
        said = device.status()
        assert said.ready, f"status.sh says: {said.text}"
        assert said.values.get("ready"), "status.sh does not print ready=yes or ready=no"

    def test_it_does_a_task_and_leaves_nothing(self, tmp_path: Path) -> None:
        """The task gets an answer, no secret gets into a file, and after teardown nothing is left."""
        agent = self.agent()
        device = LocalDevice(tmp_path, agent, self.env)
        device.deploy()
        outcome = device.dispatch(self.order(agent), self.secrets(agent))
        assert agent.verdict(outcome) is None, f"{agent.verdict(outcome)}: {outcome}"
        assert agent.answer(outcome.stdout).strip(), f"no answer in {outcome.stdout!r}"
        assert device.holding(CANARY) == [], "a secret is in these files"
        device.teardown()
        assert device.left() == [], "this is left after teardown"

    def test_its_environment_is_fit_for_a_process(self) -> None:
        """Names and values that every shell can export, the same ones each time."""
        agent = self.agent()
        first = dict(agent.environment(self.order(agent)))
        assert first == dict(agent.environment(self.order(agent)))
        for name, value in first.items():
            assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name), f"{name!r} is no name of a variable"
            assert "\0" not in value, f"{name} holds a NUL"

    def test_its_judgements_are_pure(self) -> None:
        """Whatever was printed, answer, verdict and usage say the same twice, and never raise."""
        agent = self.agent()
        for stdout in ODD_OUTPUTS:
            assert agent.answer(stdout) == agent.answer(stdout)
            for status in (0, 1, 15, 137, None):
                outcome = Outcome(status, stdout, stdout)
                verdict = agent.verdict(outcome)
                assert verdict == agent.verdict(outcome)
                assert verdict is None or isinstance(verdict, Problem)
                assert agent.usage(outcome) == agent.usage(outcome)

    def test_silence_without_an_end_is_no_success(self) -> None:
        """A task that was cut off before it said anything has failed."""
        assert self.agent().verdict(Outcome(None, b"", b"")) is not None
