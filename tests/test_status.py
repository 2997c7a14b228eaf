"""status: one row of facts for every device, whatever shell and tools it has, on one login and one question each."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fleet_tasks import connection as connections
from fleet_tasks.actions import saying, status
from fleet_tasks.actions.stage import PATIENCE
from fleet_tasks.conversation import Said
from fleet_tasks.fleet import Fleet
from fleet_tasks.formats.json import schema
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Action
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Result, State
from fleet_tasks.scripts import Script
from tests.bench import CLEAN_PATH, SHELLS, Bench, hostile
from tests.program import fleet

#: Nothing that POSIX does not ask for, and of that nothing that a small system may lack.
SPARE = ("getconf", "grep", "awk", "sed", "nohup", "id", "logger")


def looked(fleet: Fleet, agent: str = "shell", bounds: Bounds | None = None) -> dict[str, Result]:
    """What status finds on every device of a fleet."""
    devices = fleet.choose(Targets(all=True))
    report = fleet.collect(fleet.plan_simple(Action.STATUS, devices, Wish(agent=agent), bounds or Bounds()))
    return {result.device: result for result in report.results}


def plausible(facts: Any) -> None:
    """The facts are those of this machine, on which every device of the bench lives."""
    jsonschema.Draft202012Validator({"$ref": "#/$defs/status", "$defs": schema()["$defs"]}).validate(facts)
    machine = os.uname()
    assert facts["os"] == machine.sysname.lower()
    assert facts["arch"] == status.ARCHITECTURES.get(machine.machine, machine.machine)
    assert facts["cores"] == os.cpu_count()
    assert 0 <= facts["load"] < 10_000
    assert 16 < facts["memory_mb"] < 1 << 30
    assert 0 < facts["disk_mb"] < 1 << 40
    assert facts["home_writable"] is True
    assert 0 < facts["round_trip_ms"] < 30_000
    assert (facts["agent"], facts["ready"], facts["reason"]) == ("shell", True, None)


def test_every_login_shell_and_a_spare_system(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for shell in SHELLS:
        bench.device(shell, shell=shell)
    bench.device("spare", shell="busybox", path=bench.bin(without=SPARE, sh="busybox"))
    bench.device("spare-dash", shell="dash", path=bench.bin(without=SPARE))
    names = [*SHELLS, "spare", "spare-dash"]
    asked: list[str] = []
    converse = connections.DeviceConnection.converse

    def counted(self: connections.DeviceConnection, script: Script, **more: Any) -> Any:
        asked.append(self.login.device)
        return converse(self, script, **more)

    monkeypatch.setattr(connections.DeviceConnection, "converse", counted)
    with Fleet.load(bench.registry(tmp_path / "fleet.yaml", names)) as rows:
        found = looked(rows)
    assert list(found) == names
    for result in found.values():
        assert (result.state, result.exit_status) == (State.DONE, 0), result
        plausible(result.facts)
    assert sorted(asked) == sorted(names)
    assert bench.logins() == len(names)


def test_the_document_and_a_dead_device_beside_good_ones(bench: Bench) -> None:
    with hostile.not_listening() as nobody, hostile.banner_never() as mute:
        gone = {"gone": bench.entry(nobody), "mute": bench.entry(mute) | {"connect_timeout": 1}}
        bench.registry(bench.home / "fleet.yaml", ["deck", "pi"], devices=gone)
        said = fleet(bench, "status", "--all", "--agent", "shell", "-f", "json", "--retries", "1")
    assert said.code == 1, said
    jsonschema.Draft202012Validator(schema()).validate(json.loads(said.stdout))
    rows = {row["device"]: row for row in said.results}
    for name in ("deck", "pi"):
        assert rows[name]["state"] == "done"
        plausible(rows[name]["facts"])
    assert (rows["gone"]["state"], rows["gone"]["error"]["code"]) == ("unreachable", "connection-refused")
    assert (rows["mute"]["state"], rows["mute"]["error"]["code"]) == ("unreachable", "connect-timeout")
    assert rows["gone"]["facts"] is None and rows["gone"]["error"]["guidance"]


def test_the_devices_are_looked_at_all_at_once(bench: Bench, tmp_path: Path) -> None:
    slow = "mkdir -p ../meeting && touch ../meeting/$FLEET_DEVICE\nn=0\nwhile [ $n -lt 200 ]; do\n"
    slow += "set -- ../meeting/*; [ $# -eq 4 ] && echo ready=yes && exit; n=$((n+1)); sleep 0.1; done; echo ready=no"
    agents = {"meets": {"dispatch": "true", "status": f"cd ~\n{slow}\n"}}
    names = ["a", "b", "c", "d"]
    with Fleet.load(bench.registry(tmp_path / "fleet.yaml", names, agents=agents)) as rows:
        found = looked(rows, "meets")
    assert [result.facts["ready"] for result in found.values() if result.facts] == [True] * 4


def test_an_agent_that_is_not_there_or_not_ready(bench: Bench, tmp_path: Path) -> None:
    agents = {
        "tired": {"dispatch": "true", "status": "echo version=1.2.3; echo ready=no; echo reason=no key"},
        "broken": {"dispatch": "true", "status": "exit 3"},
    }
    with Fleet.load(bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents)) as rows:
        kinds = {agent: looked(rows, agent)["deck"] for agent in ("demo", "tired", "broken")}
    facts: dict[str, Any] = {agent: result.facts for agent, result in kinds.items()}
    assert all(result.state is State.DONE for result in kinds.values())
    assert (facts["demo"]["ready"], facts["demo"]["reason"]) == (False, "not installed")
    tired = facts["tired"]
    assert (tired["version"], tired["ready"], tired["reason"]) == ("1.2.3", False, "no key")
    assert facts["broken"]["ready"] is False and facts["broken"]["reason"]


def test_a_home_that_cannot_be_written(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck", shell="zsh")
    (deck.home / ".zshenv").write_text("HOME=/proc/self\n")
    with Fleet.load(bench.registry(tmp_path / "fleet.yaml", ["deck"])) as rows:
        facts: Any = looked(rows)["deck"].facts
    assert facts["home_writable"] is False
    assert facts["ready"] is True


def test_a_status_that_hangs_is_ended(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saying.SECONDS + 10 < PATIENCE, "we would hang up before the device has ended the script"
    supervision = saying.supervision
    monkeypatch.setattr(saying, "supervision", lambda mark: supervision(mark, 1))
    agents = {"hangs": {"dispatch": "true", "status": "sleep 1234 & sleep 1234"}}
    deck = bench.device("deck")
    with Fleet.load(bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents)) as rows:
        result = looked(rows, "hangs")["deck"]
        assert deck.quiet(0)
    facts: Any = result.facts
    assert result.state is State.DONE
    assert (facts["ready"], facts["reason"]) == (False, "its script took longer than 1 s and was ended")


def test_a_teardown_script_that_did_not_end_well_is_told(bench: Bench, tmp_path: Path) -> None:
    agents = {"sticky": {"dispatch": "true", "teardown": "echo no way; exit 3"}}
    registry = ("--registry", str(bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents)))
    words = ("teardown", "--all", "-a", "sticky", "-f", "json", *registry)
    removed, verified = (fleet(bench, *words, *more).results[0] for more in ((), ("--verify",)))
    assert (removed["state"], removed["stderr"]) == ("done", "Its own teardown did not end well: no way.\n")
    assert (verified["state"], verified["error"]["code"]) == ("failed", "not-verified")
    none = fleet(bench, "teardown", "--all", "-a", "demo", "--verify", *registry)
    assert (none.code, none.stdout) == (0, "nothing to remove of demo\n")


# -- what a device tells is not believed to be what it should be ------------------------------------


def test_facts_that_are_none() -> None:
    told = {"cores": "many", "load": "x", "memory_kb": "-1", "disk_kb": "", "arch": "pdp11", "os": ""}
    frames: list[Said | Frame] = [Frame("fact", f"{key} {value}") for key, value in told.items()]
    facts, said, missing = status.read(iter([Said(b"noise"), *frames, Frame("what")]))
    assert (said, missing) == (None, False)
    assert facts == told
    assert [status.number(facts.get(key)) for key in ("cores", "memory_kb", "disk_kb", "none")] == [None] * 4


MACHINES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv8l": "armv7",
    "armv7l": "armv7",
    "armv6l": "armv6",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
    "s390x": "s390x",
    "mipsel": "mipsle",
}
ORDERS = {"little": r"printf '\001'", "big": r"printf '\002'", "unknown": "exit 1"}
"""A dd that reads the head of a program for a machine of this kind."""


def named(folder: Path, machine: str, dd: str = "") -> str:
    """A path with programs that make the device one of another kind."""
    folder.mkdir()
    programs = {"uname": f'[ "$1" = -m ] && echo {machine} || exec /bin/uname "$@"', **({"dd": dd} if dd else {})}
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{CLEAN_PATH}"


@pytest.mark.parametrize(("machine", "arch"), MACHINES.items())
def test_architectures_in_the_words_of_the_registry(machine: str, arch: str) -> None:
    assert status.ARCHITECTURES[machine] == arch


@pytest.mark.parametrize(
    ("machine", "order", "arch"),
    [
        ("mips", "little", "mipsle"),
        ("mips", "big", "mips"),
        ("mips", "unknown", "mips"),
        ("mips", "", "mipsle" if sys.byteorder == "little" else "mips"),
        ("mips64", "little", "mips64le"),
        ("mips64", "big", "mips64"),
        ("armv7l", "little", "armv7"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_one_word_for_two_orders_of_bytes(
    bench: Bench, tmp_path: Path, machine: str, order: str, arch: str, shell: str
) -> None:
    bench.device("deck", shell=shell, path=named(tmp_path / "bin", machine, ORDERS.get(order, "")))
    with Fleet.load(bench.registry(tmp_path / "fleet.yaml", ["deck"])) as rows:
        facts: Any = looked(rows)["deck"].facts
    assert facts["arch"] == arch


@pytest.mark.parametrize(("order", "arch"), [("little", "mipsle"), ("big", "mips")])
def test_an_agent_is_chosen_by_the_order_of_bytes(bench: Bench, tmp_path: Path, order: str, arch: str) -> None:
    bench.device("deck", path=named(tmp_path / "bin", "mips", ORDERS[order]))
    agents = {"picoclaw": {"source": str(tmp_path / "{os}-{arch}")}}
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents)
    said = fleet(bench, "deploy", "-d", "deck", "-a", "picoclaw", "-f", "json", "--registry", str(registry))
    assert str(tmp_path / f"linux-{arch}") in said.results[0]["error"]["message"]
