"""check: a tick or a cross for each thing a dispatch needs, and with every cross the fix to type."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks import connection as connections
from fleet_tasks.actions import check, ground
from fleet_tasks.actions.ground import Check, Place
from fleet_tasks.agents.contract import Need
from fleet_tasks.fleet import Fleet
from fleet_tasks.formats.json import schema
from fleet_tasks.jobs import Action
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Result, State
from fleet_tasks.scripts import Script
from tests.bench import SHELLS, Bench, BenchDevice, hostile
from tests.bench.models import models
from tests.bench.mounts import mounted
from tests.program import fleet

linux = pytest.mark.skipif(sys.platform != "linux", reason="No other system gives a session mounts of its own.")
LOGIN = ["key", "name", "port", "login", "host key"]
PLACES = ["disk", "write", "execute", "clock"]
STRANGER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxgeXYZkzrGqk7IOGUvBrQ2Ss3D1M1DXBdIHQ8cSxTN"


def checked(fleet: Fleet, agent: str = "shell", **wishes: Any) -> dict[str, Result]:
    """What check finds on every device of a fleet, in one attempt."""
    devices = fleet.choose(Targets(all=True))
    plan = fleet.plan_simple(Action.CHECK, devices, Wish(agent=agent, **wishes), Bounds(retries=1))
    return {result.device: result for result in fleet.collect(plan).results}


def look(registry: Path, agent: str = "shell", **wishes: Any) -> dict[str, Result]:
    with Fleet.load(registry) as found:
        return checked(found, agent, **wishes)


def rows(result: Result) -> dict[str, dict[str, Any]]:
    facts: Any = result.facts
    jsonschema.Draft202012Validator({"$ref": "#/$defs/check", "$defs": schema()["$defs"]}).validate(facts)
    return {row["name"]: row for row in facts["checks"]}


def crosses(result: Result) -> dict[str, dict[str, Any]]:
    found = {name: row for name, row in rows(result).items() if not row["ok"]}
    assert all(row["guidance"] and "{" not in row["guidance"] for row in found.values()), found
    assert bool(found) is (result.error is not None)
    return found


def test_nothing_to_complain_of_under_any_shell(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for shell in SHELLS:
        bench.device(shell, shell=shell)
    bench.device("spare", shell="busybox", path=bench.bin(without=("getconf", "grep", "awk", "sed"), sh="busybox"))
    names = [*SHELLS, "spare"]
    asked: list[str] = []
    converse = connections.DeviceConnection.converse

    def counted(self: connections.DeviceConnection, script: Script, **more: Any) -> Any:
        asked.append(self.login.device)
        return converse(self, script, **more)

    monkeypatch.setattr(connections.DeviceConnection, "converse", counted)
    found = look(bench.registry(tmp_path / "fleet.yaml", names))
    for name, result in found.items():
        assert result.state is State.DONE, (name, result)
        assert [row["name"] for row in rows(result).values() if row["ok"]] == [*LOGIN, *PLACES, "agent ready"]
    assert sorted(asked) == sorted(names) == sorted(found)
    assert bench.logins() == len(names)
    assert all(not [*bench.device(name).home.glob(".fleet*")] for name in names), "the tried file is still there"


def test_the_document_with_ticks_up_to_the_step_that_failed(bench: Bench) -> None:
    with hostile.not_listening() as nobody:
        bench.registry(bench.home / "fleet.yaml", ["deck"], devices={"gone": bench.entry(nobody)})
        said = fleet(bench, "check", "--all", "--agent", "shell", "-f", "json", "--retries", "1")
    assert said.code == 1, said
    jsonschema.Draft202012Validator(schema()).validate(json.loads(said.stdout))
    deck, gone = said.results
    assert (deck["state"], gone["state"], gone["error"]["code"]) == ("done", "unreachable", "connection-refused")
    ticks = [(row["name"], row["ok"]) for row in gone["facts"]["checks"]]
    assert ticks == [("key", True), ("name", True), ("port", False)]
    assert str(nobody.port) in gone["facts"]["checks"][-1]["found"]


def test_a_key_that_is_missing_is_seen_even_where_nobody_listens(bench: Bench) -> None:
    with hostile.not_listening() as nobody:
        entry = {**bench.entry(nobody), "key": "~/.ssh/nothing"}
        bench.registry(bench.home / "fleet.yaml", [], devices={"gone": entry})
        said = fleet(bench, "check", "--all", "--agent", "shell", "-f", "json", "--retries", "1")
    (gone,) = said.results
    assert (gone["state"], gone["error"]["code"]) == ("unreachable", "connection-refused")
    ticks = [(row["name"], row["ok"]) for row in gone["facts"]["checks"]]
    assert ticks == [("key", False), ("name", True), ("port", False)]
    assert ".ssh/nothing cannot be read" in gone["facts"]["checks"][0]["found"]


def test_a_person_sees_the_fix(bench: Bench) -> None:
    bench.device("deck")
    bench.registry(bench.home / "fleet.yaml", ["deck"], agents={"odd": {"dispatch": "no-such-program x"}})
    said = fleet(bench, "check", "--all", "--agent", "odd")
    assert said.code == 1, said
    assert "no-such-program" in said.stdout and "Install no-such-program on deck" in said.stdout


# -- the login ------------------------------------------------------------------------------------


def key(bench: Bench, name: str, mode: int) -> Path:
    copy = bench.home / name
    copy.write_bytes(bench.key.read_bytes())
    copy.chmod(mode)
    return copy


def test_the_steps_of_a_login(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    changed, unknown = bench.device("changed"), bench.device("unknown")
    bench.known_hosts.write_text("")
    bench.trust(deck.host, deck.port, bench.sshd.public_key)
    bench.trust(changed.host, changed.port, STRANGER)
    open_key, none = key(bench, "open", 0o644), bench.home / "none"
    keyless = {name: value for name, value in deck.entry.items() if name != "key"}
    devices = {
        "open": deck.entry | {"key": str(open_key)},
        "none": deck.entry | {"key": str(none)},
        "keyless": keyless,
        "nameless": deck.entry | {"host": "no-such-host.invalid"},
        "changed": changed.entry,
        "unknown": unknown.entry,
        "loose": deck.entry | {"host_keys": "off"},
    }
    found = look(bench.registry(tmp_path / "fleet.yaml", ["deck"], devices=devices))
    assert found["deck"].state is State.DONE
    wrong = {name: crosses(result) for name, result in found.items() if name != "deck"}
    assert {name: list(rows) for name, rows in wrong.items()} == {
        "open": ["key"],
        "none": ["key"],
        "keyless": ["key"],
        "nameless": ["name"],
        "changed": ["host key"],
        "unknown": ["host key"],
        "loose": ["host key"],
    }
    assert wrong["open"]["key"]["guidance"] == f"chmod 600 {open_key}"
    assert str(none) in wrong["none"]["key"]["found"]
    assert f"ssh-keygen -t ed25519 -f {none}" in wrong["none"]["key"]["guidance"]
    assert "no-such-host.invalid" in wrong["nameless"]["name"]["found"]
    for name, device in (("changed", changed), ("unknown", unknown)):
        code = {"changed": "host-key-changed", "unknown": "host-key-unknown"}[name]
        assert found[name].error is not None and found[name].error.code == code  # type: ignore[union-attr]
        guidance = wrong[name]["host key"]["guidance"]
        assert device.host in guidance and str(device.port) in guidance, guidance
    forget = shlex.split(wrong["changed"]["host key"]["guidance"].partition("anew: ")[2])
    subprocess.run(forget, check=True, capture_output=True)
    learn = wrong["unknown"]["host key"]["guidance"].partition("then: ")[2]
    subprocess.run(["sh", "-c", learn], check=True, capture_output=True)
    found = look(bench.registry(tmp_path / "fleet.yaml", [], devices=devices))
    assert found["changed"].error is not None and found["changed"].error.code == "host-key-unknown"
    assert found["unknown"].error is None or not found["unknown"].error.code.startswith("host-key")
    assert "host_keys: off" in wrong["loose"]["host key"]["guidance"]


def test_a_default_key_without_a_passphrase_counts(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    key(bench, ".ssh/id_ed25519", 0o600)
    keyless = {name: value for name, value in deck.entry.items() if name != "key"}
    assert look(bench.registry(tmp_path / "fleet.yaml", [], devices={"deck": keyless}))["deck"].state is State.DONE


# -- what the agent needs -------------------------------------------------------------------------


def programs(bench: Bench, **versions: str) -> str:
    folder = bench.home / "programs"
    folder.mkdir()
    for name, words in versions.items():
        (folder / name).write_text(f"#!/bin/sh\necho '{words}'\n")
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/local/bin:/usr/bin:/bin"


def test_programs_versions_and_modules(bench: Bench, tmp_path: Path) -> None:
    path = programs(bench, old="old 1.9.3", new="new version v1.10.0-rc1", mute="")
    bench.device("deck", path=path)
    needs = [
        "old>=1.10",
        "new>=1.9.9",
        "mute>=1",
        "nothing-there",
        "perl:strict",
        "perl:No::Such",
        "python3:json",
    ]
    agents = {"needy": {"dispatch": "true", "needs": needs}}
    result = look(bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents), "needy")["deck"]
    found, wrong = rows(result), crosses(result)
    assert list(wrong) == ["old", "mute", "nothing-there", "perl:No::Such"]
    assert (found["old"]["found"], found["old"]["wanted"]) == ("1.9.3", "old >= 1.10")
    assert found["old"]["guidance"] == "Bring old on deck up to 1.10."
    assert found["mute"]["found"] == "found, but it does not say its version"
    assert found["new"]["found"] == "1.10.0"
    assert wrong["nothing-there"]["found"] == "missing"
    assert wrong["perl:No::Such"]["guidance"] == "Install No::Such for perl on deck."
    assert result.state is State.FAILED and result.error is not None
    assert result.error.code == "requirement-missing" and "(and 3 more)" in result.error.message
    assert result.error.guidance == wrong["old"]["guidance"]


@given(st.lists(st.integers(0, 99), min_size=2, max_size=4), st.lists(st.integers(0, 99), min_size=2, max_size=4))
def test_versions_are_compared_as_numbers(installed: list[int], wanted: list[int]) -> None:
    version, least = (".".join(map(str, numbers)) for numbers in (installed, wanted))
    row = check._program(Need("tool", least), f"found /usr/bin/tool tool {version} (built today)")
    longest = max(len(installed), len(wanted))
    padded = [[*numbers, *[0] * (longest - len(numbers))] for numbers in (installed, wanted)]
    assert row.ok is (padded[0] >= padded[1])
    assert row.found == version


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("git version 2.39.5", "2.39.5"),
        ("v20.11.1", "20.11.1"),
        ("Python 3.11.7", "3.11.7"),
        ("This is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64", "5.36.0"),
        ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1", "7.88.1"),
        ("less 590 (GNU regular expressions)", "590"),
        ("unknown option --version", None),
        ("", None),
    ],
)
def test_the_version_in_a_line(line: str, version: str | None) -> None:
    assert check.first_version(line) == version


def test_an_agent_that_says_what_it_lacks(bench: Bench, tmp_path: Path) -> None:
    agents = {
        "picky": {"dispatch": "true", "status": "echo ready=no; echo reason=no key; echo guidance=picky login"},
    }
    result = look(bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents), "picky")["deck"]
    wrong = crosses(result)["agent ready"]
    assert (wrong["found"], wrong["guidance"]) == ("no key", "picky login")


def test_the_way_from_the_device_to_the_model(bench: Bench, tmp_path: Path) -> None:
    tools = {"curl": ("curl",), "wget": ("wget",), "neither": ()}
    for name, also in tools.items():
        bench.device(name, path=bench.bin(also=also))
    agent = {"dispatch": "true", "keys": {"openai": "OPENAI_API_KEY"}}
    with models() as endpoint, hostile.not_listening() as nobody:
        bases = {"up": f"{endpoint.url}/v1", "down": f"http://{nobody.host}:{nobody.port}/v1"}
        providers = {name: {"kind": "openai", "api_base": base} for name, base in bases.items()}
        registry = bench.registry(tmp_path / "fleet.yaml", list(tools), agents={"asks": agent}, providers=providers)
        up = look(registry, "asks", provider="up")
        down = look(registry, "asks", provider="down")
    assert {name: result.state for name, result in up.items()} == dict.fromkeys(tools, State.DONE)
    assert rows(up["curl"])["model endpoint"]["ok"] is True
    for name in ("curl", "wget"):
        wrong = crosses(down[name])["model endpoint"]
        assert wrong["found"] == "unreachable"
        assert name in wrong["guidance"] and bases["down"] in wrong["guidance"]


# -- where we would work --------------------------------------------------------------------------


ROOMY = Place("/tmp", 1 << 10, "execute")


@pytest.mark.parametrize(
    ("places", "wrong"),
    [
        ({"run": ROOMY}, []),
        ({"run": replace(ROOMY, free=50)}, []),
        ({"run": replace(ROOMY, free=49)}, ["disk"]),
        ({"run": replace(ROOMY, may="write")}, ["execute"]),
        ({"run": replace(ROOMY, may="nothing")}, ["write", "execute"]),
        ({"run": ROOMY, "agent": replace(ROOMY, free=49)}, ["disk"]),
        ({"run": replace(ROOMY, free=49), "agent": ROOMY}, ["disk"]),
        ({"run": ROOMY, "agent": replace(ROOMY, may="nothing")}, ["write", "execute"]),
        ({"run": replace(ROOMY, may="nothing"), "agent": ROOMY}, ["write"]),
        ({"run": replace(ROOMY, may="write"), "agent": ROOMY}, []),
        ({}, ["disk", "write", "execute"]),
    ],
)
def test_room_and_rights(places: dict[str, Place], wrong: list[str]) -> None:
    found: list[Check] = list(ground.room_and_rights(places))
    assert [each.name for each in found if not each.ok] == wrong
    assert all(each.guidance for each in found)


@pytest.mark.parametrize(
    ("told", "right"),
    [(0, True), (-60, True), (-3600, False), (3600, False), (None, False), ("late", False)],
)
def test_the_time(told: int | str | None, right: bool) -> None:
    clock = int(time.time()) + told if isinstance(told, int) else told
    assert ground.clock({} if clock is None else {"clock": str(clock)}).ok is right


@linux
def test_a_full_temporary_folder_is_seen_before_a_dispatch_fails_on_it(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    temporary = own_temporary(deck)
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    with mounted(deck, temporary, "full") as disk:
        wrong = crosses(look(registry)["deck"])
        assert disk.left() == []
    assert list(wrong) == ["disk"] and str(temporary) in wrong["disk"]["found"]


@linux
def test_a_home_that_is_of_no_use_is_no_matter_to_an_agent_that_has_nothing_there(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    for kind in ("read-only", "full", "noexec"):
        with mounted(deck, deck.home, kind), Fleet.load(registry) as fleet:
            result = checked(fleet)["deck"]
            assert result.state is State.DONE, result
            assert rows(result)["write"]["found"] == tempfile.gettempdir()
            assert fleet.dispatch("true", Targets(all=True), agent="shell").results[0].state is State.DONE


@linux
@pytest.mark.parametrize(
    ("kind", "wrong"), [("read-only", ["write", "execute"]), ("full", ["disk"]), ("noexec", ["execute"])]
)
def test_a_home_that_an_agent_cannot_be_put_in(kind: str, wrong: list[str], bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    assert rows(look(registry, "demo")["deck"])["write"]["found"] == tempfile.gettempdir()
    with mounted(deck, deck.home, kind):
        found = crosses(look(registry, "demo")["deck"])
    assert list(found) == wrong
    assert str(deck.home) in found[wrong[0]]["found"]


@linux
def test_a_temporary_folder_that_is_read_only_is_passed_over_for_the_home(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    with mounted(deck, own_temporary(deck), "read-only"):
        result = look(registry)["deck"]
    assert result.state is State.DONE, result
    assert rows(result)["write"]["found"] == str(deck.home)
    assert [each.name for each in deck.home.iterdir()] == ["tmp"]


@linux
def test_with_a_home_setting_nothing_else_is_looked_at(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    ours = tmp_path / "elsewhere"
    ours.mkdir()
    entry = deck.entry | {"home": str(ours / "deep" / "down")}
    registry = bench.registry(tmp_path / "fleet.yaml", [], devices={"deck": entry})
    with mounted(deck, deck.home, "read-only"):
        for agent in ("shell", "demo"):
            result = look(registry, agent)["deck"]
            assert result.state is State.DONE, result
            assert rows(result)["write"]["found"] == str(ours)
    assert list(ours.iterdir()) == []


def own_temporary(device: BenchDevice) -> Path:
    """A temporary folder of the device's own, below its home."""
    folder = device.home / "tmp"
    folder.mkdir()
    login = device.seat.login
    login.write_text(login.read_text().replace(f"TMPDIR={tempfile.gettempdir()}\n", f"TMPDIR={folder}\n"))
    assert str(folder) in login.read_text()
    return folder


def test_a_place_that_cannot_be_written_in(bench: Bench, tmp_path: Path) -> None:
    entry = bench.device("deck").entry | {"home": "/proc/here"}
    result = look(bench.registry(tmp_path / "fleet.yaml", [], devices={"deck": entry}))["deck"]
    wrong = crosses(result)
    assert {"write", "execute"} <= set(wrong)
    assert wrong["write"]["guidance"] == "Set home: to a folder of deck that may be written."
    assert wrong["execute"]["guidance"] == "Set home: to a folder of deck where programs may run."


def test_a_place_where_nothing_may_run(bench: Bench, tmp_path: Path) -> None:
    tools = bench.bin(without=("chmod",))
    (Path(tools) / "chmod").write_text('#!/bin/sh\nexec /bin/chmod 600 "$2"\n')
    (Path(tools) / "chmod").chmod(0o755)
    bench.device("deck", path=tools)
    result = look(bench.registry(tmp_path / "fleet.yaml", ["deck"]))["deck"]
    assert list(crosses(result)) == ["execute"]
    assert "noexec" in crosses(result)["execute"]["guidance"]


def test_secrets_are_looked_for_before_a_task_needs_them(bench: Bench, tmp_path: Path) -> None:
    agents = {"asks": {"dispatch": "true", "secrets": ["FIRST_KEY", "SECOND_KEY"]}}
    secrets = {"SECOND_KEY": {"command": ["false"]}}
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents, secrets=secrets)
    words = ["check", "-a", "asks", "--registry", str(registry), "-f", "json"]
    bare = fleet(bench, *words)
    checks = {row["name"]: row for row in bare.results[0]["facts"]["checks"]}
    first, second = checks["secret FIRST_KEY"], checks["secret SECOND_KEY"]
    assert (bare.code, first["ok"], second["ok"]) == (1, False, False)
    assert first["found"] == "not in the environment variable FIRST_KEY"
    assert second["found"] == "not in the command false (it exited with 1)"
    assert first["guidance"] == "Set FIRST_KEY in the environment, or say under secrets: in fleet.yaml where it is."
    registry.write_text(registry.read_text().replace("- 'false'", "- echo\n    - second-value"))
    there = fleet(bench, *words, FIRST_KEY="first-value")
    checks = {row["name"]: row for row in there.results[0]["facts"]["checks"]}
    assert checks["secret FIRST_KEY"]["found"] == checks["secret SECOND_KEY"]["found"] == "found"
    assert "first-value" not in there.stdout + there.stderr


def test_the_providers_key_is_a_secret_too(bench: Bench, tmp_path: Path) -> None:
    with models() as endpoint:
        providers = {"mine": {"kind": "openai", "api_base": endpoint.url + "/v1", "key": "MY_KEY"}}
        agents = {"picoclaw": {"provider": "mine", "model": "m"}}
        registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents, providers=providers)
        words = ["check", "-a", "picoclaw", "--registry", str(registry)]
        assert "\u2717 secret MY_KEY: not in the environment variable MY_KEY" in fleet(bench, *words).stdout
        assert "\u2713 secret MY_KEY: found" in fleet(bench, *words, MY_KEY="the-value").stdout
