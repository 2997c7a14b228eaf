"""The contract kit: what ships passes it, and it finds what it is there to find."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fleet_tasks.agents.contract import Order, Outcome, Payload, Platform, ScriptedAgent
from fleet_tasks.agents.demo import Demo
from fleet_tasks.agents.shell import Shell
from fleet_tasks.results import Problem
from fleet_tasks.testing import AgentContract, LocalDevice


class TestShell(AgentContract):
    """The plainest agent."""

    kind = Shell
    task = "echo hello"


class TestDemo(AgentContract):
    """One that installs."""

    kind = Demo


class Script(ScriptedAgent):
    """An agent whose scripts are in its class."""

    name = "script"
    description = "Does as it is told."
    scripts: Mapping[str, str] = {"dispatch": "echo hello", "status": "echo ready=yes"}

    def script(self, name: str) -> str:
        return self.scripts.get(name, "")


def contract(agent: type[object]) -> AgentContract:
    found = AgentContract()
    found.kind = agent
    return found


class Litterer(Script):
    scripts = {"dispatch": "echo hello; echo more >~/.littererrc"}


class Tidy(Script):
    scripts = {"dispatch": "echo hello; echo more >~/.tidyrc", "teardown": "rm ~/.tidyrc"}


class Blabber(Script):
    secrets = ("BLABBER_KEY",)
    scripts = {"dispatch": 'echo hello; echo "$BLABBER_KEY" >~/.key', "teardown": "rm ~/.key"}


class Mute(Script):
    scripts = {"dispatch": ":"}


def test_an_agent_that_tidies_up_passes(tmp_path: Path) -> None:
    contract(Tidy).test_it_does_a_task_and_leaves_nothing(tmp_path)


@pytest.mark.parametrize(
    ("agent", "sentence"),
    [(Litterer, "this is left"), (Blabber, "secret is in these files"), (Mute, "no answer")],
)
def test_a_task_that_breaks_the_contract_is_found(agent: type[object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=sentence):
        contract(agent).test_it_does_a_task_and_leaves_nothing(tmp_path)


class Bashism(Script):
    scripts = {"dispatch": "for ((i = 0; i < 3; i++)); do echo $i; done"}


class Shifting(Script):
    installs = True
    count = 0

    def payload(self, platform: Platform) -> Payload:
        Shifting.count += 1
        return Payload(str(Shifting.count), {})


class Escaping(Script):
    installs = True

    def payload(self, platform: Platform) -> Payload:
        return Payload("1", {"../elsewhere": Path(__file__)})


class Credulous(Script):
    def verdict(self, outcome: Outcome) -> Problem | None:
        return None


class Fickle(Script):
    def __init__(self, settings: object = None) -> None:
        super().__init__()
        self._calls = 0

    def answer(self, stdout: bytes) -> bytes:
        self._calls += 1
        return stdout + str(self._calls).encode()


class Nul(Script):
    def environment(self, order: Order) -> dict[str, str]:
        return {"NAME": "a\0b"}


class Nameless(Script):
    name = "Two Words"


@pytest.mark.parametrize(
    ("agent", "test"),
    [
        (Bashism, "test_its_scripts_are_posix_sh"),
        (Shifting, "test_its_payload_is_the_same_every_time"),
        (Escaping, "test_its_payload_is_the_same_every_time"),
        (Credulous, "test_silence_without_an_end_is_no_success"),
        (Fickle, "test_its_judgements_are_pure"),
        (Nul, "test_its_environment_is_fit_for_a_process"),
        (Nameless, "test_it_says_what_it_is"),
        (dict, "test_it_says_what_it_is"),
    ],
)
def test_an_agent_that_breaks_the_contract_is_found(agent: type[object], test: str) -> None:
    with pytest.raises((AssertionError, TypeError)):
        getattr(contract(agent), test)()


class Refusing(Script):
    installs = True
    scripts = {"deploy": "echo reason=too old; exit 3"}

    def payload(self, platform: Platform) -> Payload:
        return Payload("1", {"file": Path(__file__)})


class Unready(Script):
    scripts = {"status": "echo ready=no; echo reason=not logged in"}


@pytest.mark.parametrize(("agent", "sentence"), [(Refusing, "too old"), (Unready, "not logged in")])
def test_one_that_cannot_work_is_found(agent: type[object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=sentence):
        contract(agent).test_deployed_it_is_ready(tmp_path)


def test_a_refused_payload_leaves_nothing(tmp_path: Path) -> None:
    device = LocalDevice(tmp_path, Refusing())
    assert device.deploy().status == 3
    assert device.left() == []
    assert [path.name for path in (tmp_path / "device" / "agents").iterdir()] == []
