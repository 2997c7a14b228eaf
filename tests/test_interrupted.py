"""Ctrl-C, a kill, or a laptop that falls asleep, at the moments when that is least convenient."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet_tasks import conversation
from fleet_tasks.errors import Cancelled
from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Action
from fleet_tasks.options import Targets
from fleet_tasks.plans import Wish
from tests.bench import PATIENCE, Bench, BenchDevice, relay
from tests.client import Client
from tests.program import fleet
from tests.runs import ONE, going
from tests.waiting import eventually, until

HELD = "echo >~/begun; while [ ! -e ~/go ]; do sleep 0.1; done"
"""A script of an agent that waits to be let go on."""


@pytest.fixture
def one(bench: Bench) -> BenchDevice:
    return bench.device(ONE)


def agent(bench: Bench, **scripts: str) -> None:
    """A registry with an agent that is installed by a script, and whatever else it does."""
    mine = {"deploy": "echo >tool", "dispatch": "echo hi", **scripts}
    bench.registry(bench.home / "fleet.yaml", [ONE], agents={"mine": mine})


def at_home(device: BenchDevice) -> list[str]:
    return sorted(file.name for file in device.home.iterdir())


def test_ctrl_c_between_two_attempts_to_connect(bench: Bench, one: BenchDevice) -> None:
    with relay(one.host, one.port, bench.sshd.public_key) as link:
        link.refuse(1000)
        bench.registry(bench.home / "fleet.yaml", [], devices={ONE: bench.entry(link.place)})
        with going(bench, "run", "-d", ONE, "--task", "x", "--retries", "50", "-f", "json") as work:
            assert eventually(lambda: link.connections == 3)  # the third wait is one of two seconds or more
            begun = time.monotonic()
            work.signal(signal.SIGINT)
            said = work.end()
    assert time.monotonic() - begun < PATIENCE
    assert (said.code, said.results[0]["state"], link.connections) == (130, "cancelled", 3)


def test_ctrl_c_while_the_server_opens_no_session(make_sshd: Callable[..., Bench]) -> None:
    bench = make_sshd(options=["MaxSessions 0"])
    bench.device(ONE)
    bench.registry(bench.home / "fleet.yaml", [ONE])
    with going(bench, "run", "-d", ONE, "--task", "x", "--connect-timeout", "600", "-f", "json") as work:
        assert eventually(lambda: bench.logins() == 1)
        work.signal(signal.SIGINT)
        said = work.end()
    assert (said.code, said.results[0]["state"]) == (130, "cancelled"), said


def test_ctrl_c_while_an_agent_is_installed(bench: Bench, one: BenchDevice) -> None:
    """Whoever hears that it is over may rely on it: nothing runs there any more, and nothing half installed is left."""
    agent(bench, deploy=f"trap '' TERM; {HELD}")
    with going(bench, "dispatch", "-a", "mine", "-d", ONE, "--task", "x", "-f", "json") as work:
        assert eventually((one.home / "begun").exists)
        work.signal(signal.SIGINT)
        said = work.end()
        left = one.processes(), at_home(one)
    assert (said.code, said.results[0]["state"]) == (130, "cancelled")
    assert left == ([], ["begun"])


def test_ctrl_c_when_an_agent_is_in_its_place_is_too_late(bench: Bench, one: BenchDevice) -> None:
    """What is there is told as such, whole, although its own look at the device was not waited for."""
    agent(bench, status=HELD)
    words = ("deploy", "-a", "mine", "-d", ONE, "-f", "json")
    with going(bench, *words) as work:
        assert eventually((one.home / "begun").exists)
        work.signal(signal.SIGINT)
        said = work.end()
    assert (said.code, said.results[0]["state"]) == (130, "done"), said
    assert said.results[0]["stdout"].startswith("installed mine ")
    assert one.quiet()
    (one.home / "go").touch()
    assert fleet(bench, "dispatch", "-a", "mine", "-d", ONE, "--task", "x", "--cleanup").stdout == "hi\n"


def test_ctrl_c_is_not_slow_where_nothing_is_to_be_undone(bench: Bench, one: BenchDevice) -> None:
    bench.registry(bench.home / "fleet.yaml", [ONE])
    with (one.home / "big").open("wb") as file:
        file.truncate(4_000_000_000)
    with going(bench, "get", "-d", ONE, "--fetch", "big", "--into", "back", "-f", "json") as work:
        assert eventually(lambda: [*(bench.home / "back").rglob("*")])
        since = time.monotonic()
        work.signal(signal.SIGINT)
        said = work.end()
    assert (said.code, said.results[0]["state"]) == (130, "cancelled"), said
    assert time.monotonic() - since < conversation.PARTING
    assert one.quiet()


def test_a_deploy_that_is_not_undone_in_time_is_said(
    bench: Bench, one: BenchDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "PARTING", 0.0)
    agent(bench, deploy=f"trap '' TERM; {HELD}")
    with Fleet.load(bench.home / "fleet.yaml") as fleet:
        plan = fleet.plan_simple(Action.DEPLOY, fleet.choose(Targets(all=True)), Wish(agent="mine"))
        threading.Timer(0, stopping_when, [fleet, (one.home / "begun")]).start()
        (result,) = fleet.collect(plan).results
    assert result.error is not None and result.error.code == "not-verified" and "undo" in result.error.message, result
    assert one.quiet()


def stopping_when(fleet: Fleet, there: Path) -> None:
    assert eventually(there.exists)
    fleet.stopping.request(Cancelled("Enough."))


def test_killed_while_an_agent_is_installed(bench: Bench, one: BenchDevice) -> None:
    agent(bench, deploy=HELD)
    with going(bench, "deploy", "-a", "mine", "-d", ONE) as work:
        assert eventually((one.home / "begun").exists)
        work.signal(signal.SIGKILL)
    assert one.quiet()
    assert eventually(lambda: at_home(one) == ["begun"])
    (one.home / "go").touch()
    again = fleet(bench, "dispatch", "-a", "mine", "-d", ONE, "--task", "x", "--cleanup")
    assert (again.code, again.stdout) == (0, "hi\n")
    assert at_home(one) == ["begun", "go"]


def test_ctrl_c_while_it_tears_down_lets_it_finish(bench: Bench, one: BenchDevice) -> None:
    agent(bench, teardown=HELD)
    with going(bench, "dispatch", "-a", "mine", "-d", ONE, "--task", "x", "--cleanup", "-f", "json") as work:
        assert eventually((one.home / "begun").exists)
        work.signal(signal.SIGINT)
        work.until("SIGINT")
        (one.home / "go").touch()
        said = work.end()
    (result,) = said.results
    assert (said.code, result["state"], result["stdout"]) == (130, "done", "hi\n")
    assert one.quiet()
    assert at_home(one) == ["begun", "go"]


def test_a_laptop_that_sleeps_longer_than_the_lease(bench: Bench, one: BenchDevice, tmp_path: Path) -> None:
    """When it wakes the task is over, and told to be lost; nobody started it again."""
    bench.registry(bench.home / "fleet.yaml", [ONE])
    start = "from fleet_tasks.actions import dispatch as d; d.LEASE = 2; d.BEAT = 0.5\n"
    start += "from fleet_tasks.__main__ import main; main()\n"
    task = "echo x >>~/count; sleep 600"
    words = ("run", "-d", ONE, "--task", task, "-f", "json")
    client = Client(bench, words, python=_python(tmp_path, start))
    try:
        until((one.home / "count").exists, "the task")
        client.send(signal.SIGSTOP)
        assert one.quiet(), "the device waits for a laptop that sleeps"
        client.send(signal.SIGCONT)
        gone = client.end()
    finally:
        client.close()
    (result,) = gone.results
    assert (gone.code, result["state"], result["error"]["code"]) == (1, "lost", "connection-lost"), result
    assert (one.home / "count").read_text() == "x\n"


def _python(folder: Path, start: str) -> str:
    """An interpreter that runs this instead of a module."""
    program = folder / "python"
    (folder / "start.py").write_text(start)
    program.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {folder}/start.py "$@"\n')
    program.chmod(0o755)
    return str(program)


# -- host keys --------------------------------------------------------------------------------


def test_nothing_is_sent_to_a_server_with_another_key(make_sshd: Any) -> None:
    """Not even the name of the user: the key is looked at before anything is asked for."""
    real = make_sshd(options=["LogLevel DEBUG1"])
    deck = real.device("deck")
    stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxgeXYZkzrGqk7IOGUvBrQ2Ss3D1M1DXBdIHQ8cSxTN"
    real.known_hosts.write_text("")
    real.trust(deck.host, deck.port, stranger)
    real.registry(real.home / "fleet.yaml", ["deck"])
    said = fleet(real, "run", "-d", "deck", "--task", "echo hi", "-f", "json")
    assert said.results[0]["error"]["code"] == "host-key-changed"
    assert "userauth-request" not in real.log()

    real.known_hosts.write_text("")
    real.trust(deck.host, deck.port, real.sshd.public_key)
    assert fleet(real, "run", "-d", "deck", "--task", "echo hi").code == 0
    assert "userauth-request" in real.log(), "the log would not have shown it"


@pytest.mark.parametrize("where", ["registry", "ssh_config"])
def test_a_key_that_is_not_looked_at_is_said_loudly(where: str, bench: Bench, one: BenchDevice) -> None:
    bench.known_hosts.write_text("")
    if where == "registry":
        bench.registry(bench.home / "fleet.yaml", [ONE], defaults={"host_keys": "off"})
    else:
        (bench.home / ".ssh" / "config").write_text("Host 127.0.0.*\n  StrictHostKeyChecking no\n")
        entry = f"{{host: {one.host}, port: {one.port}, key: {one.key}}}"
        (bench.home / "fleet.yaml").write_text(f"devices: {{{ONE}: {entry}}}\n")
    said = fleet(bench, "run", "-d", ONE, "--task", "echo hi", "--quiet")
    assert (said.code, said.stdout) == (0, "hi\n")
    assert f"{ONE}: its host key is NOT checked (host_keys: off)." in said.stderr
    (checks,) = [result["facts"]["checks"] for result in fleet(bench, "check", "-f", "json", "-a", "shell").results]
    assert [(row["ok"], row["found"]) for row in checks if row["name"] == "host key"] == [(False, "not checked")]
