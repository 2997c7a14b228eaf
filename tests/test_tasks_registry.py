"""``init``, ``device.*`` and ``group.*``: what they write, what they show, what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import fleet_tasks
from fleet_tasks import commands, program
from tests.program import Said

Typed = Callable[..., Said]

REGISTRY = """\
version: 1
defaults: {agent: demo, model: small}   # what everybody gets
devices:
  deck: deck@127.0.0.1:2200
  lab[01-03]: {host: "{name}.lab", tags: [lab], agent: shell}
groups:
  handhelds: [deck]      # carried about
  everyone: [handhelds, "lab[01-03]", root@127.0.0.9]
agents:
  demo: {timeout: 60}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that we stand in."""
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    monkeypatch.setattr(commands, "_fleets", {})
    return inner


@pytest.fixture
def registry(folder: Path) -> Path:
    """A registry in the folder that we stand in."""
    path = folder / "fleet.yaml"
    path.write_text(REGISTRY)
    return path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """``fleet WORDS`` in this process: none of these commands visits anything."""

    def type_(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["fleet", *words])
        code: object = 0
        try:
            program.main()
        except SystemExit as error:
            code = error.code or 0
        said = capfd.readouterr()
        assert isinstance(code, int)
        return Said(code, said.out, said.err)

    return type_


def written(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def test_help_leaves_a_command_as_it_is(typed: Typed) -> None:
    assert "fleet dispatch -g handhelds" in typed("dispatch", "--help").stdout
    assert "fab dispatch -g handhelds" in (fleet_tasks.namespace["dispatch"].__doc__ or "")


# -- init -----------------------------------------------------------------------------------


def test_init_writes_a_registry_that_can_be_used_at_once(folder: Path, typed: Typed) -> None:
    said = typed("init")
    assert (said.code, said.stdout) == (0, "")
    assert "Wrote fleet.yaml" in said.stderr
    assert typed("device.list", "-f", "json").document == {"schema": 1, "devices": []}
    assert typed("group.list", "-f", "json").document == {"schema": 1, "groups": []}
    assert typed("device.add", "-n", "deck", "--host", "deck@127.0.0.1").code == 0
    assert [row["name"] for row in typed("device.list", "-f", "json").document["devices"]] == ["deck"]


def test_init_never_writes_over_anything(registry: Path, typed: Typed) -> None:
    assert typed("init") == Said(2, "", "fleet.yaml exists already; nothing was changed.\n")
    assert registry.read_text() == REGISTRY


def test_init_writes_where_it_is_told(
    folder: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    assert typed("init", "--registry", "new/own.yaml").code == 0
    assert typed("device.list", "--registry", "new/own.yaml").code == 0
    assert typed("init", "--registry", "~/mine.yaml").code == 0
    assert (own_home / "mine.yaml").exists()
    monkeypatch.setenv("FLEET_REGISTRY", str(folder / "environment.yaml"))
    assert typed("init").code == 0
    assert (folder / "environment.yaml").exists()
    assert not (folder / "fleet.yaml").exists()


def test_init_says_why_it_cannot_write(folder: Path, typed: Typed) -> None:
    (folder / "file").touch()
    said = typed("init", "--registry", "file/fleet.yaml")
    assert (said.code, len(said.stderr.splitlines())) == (2, 1)
    assert "cannot be written" in said.stderr


@pytest.mark.parametrize(
    "words",
    ["device.list", "device.show -n x", "device.add -n x --host y", "device.remove -n x", "group.list",
     "group.create -n x", "group.add -n x --member y", "group.remove -n x --member y", "group.delete -n x",
     "device.import --file inventory", "status", "check", "ps", "run --all --task x", "teardown -g lab"],
)  # fmt: skip
def test_a_missing_registry_is_offered(words: str, folder: Path, typed: Typed) -> None:
    (folder / "inventory").write_text("[web]\nhost1\n")
    offer = "There is no registry yet. Write a commented template with: fleet init\n"
    assert typed(*words.split()) == Said(2, "", offer)
    path = folder / "there.yaml"
    offer = f"There is no {path}. Write a commented template with: fleet init --registry {path}\n"
    assert typed(*words.split(), "--registry", "there.yaml") == Said(2, "", offer)


def test_a_mistyped_agent_is_named_with_file_and_line(registry: Path, typed: Typed) -> None:
    registry.write_text(REGISTRY.replace("agent: shell", "agent: shel"))
    said = typed("device.list")
    assert said.code == 2
    place = f"{registry}:5: devices.lab[01-03].agent"
    assert said.stderr.startswith(f"{place}: There is no agent 'shel'; did you mean shell?")


# -- looking --------------------------------------------------------------------------------


def test_devices_are_listed_in_every_format(registry: Path, typed: Typed) -> None:
    rows = typed("device.list", "-f", "json").document["devices"]
    assert [row["name"] for row in rows] == ["deck", "lab01", "lab02", "lab03"]
    deck, lab, *_ = rows
    assert (deck["host"], deck["user"], deck["port"]) == ("127.0.0.1", "deck", 2200)
    assert deck["groups"] == ["handhelds", "everyone"]
    assert (deck["agent"], deck["model"], deck["timeout"]) == ("demo", "small", 60)
    assert (lab["agent"], lab["model"], lab["timeout"], lab["host"]) == ("shell", "small", None, "lab01.lab")
    assert [json.loads(line)["name"] for line in typed("device.list", "-f", "jsonl").stdout.splitlines()] == [
        "deck", "lab01", "lab02", "lab03",
    ]  # fmt: skip
    for format in ("text", "table", "markdown", "html"):
        said = typed("device", "-f", format)
        assert (said.code, said.stderr) == (0, "")
        assert "lab02" in said.stdout


def test_devices_are_listed_as_targets_choose_them(registry: Path, typed: Typed) -> None:
    def names(*words: str) -> list[str]:
        return [row["name"] for row in typed("device.list", "-f", "json", *words).document["devices"]]

    assert names("-d", "lab[01,03],deck") == ["lab01", "lab03", "deck"]
    assert names("-g", "everyone", "-x", "handhelds") == ["lab01", "lab02", "lab03", "root@127.0.0.9"]
    assert names("--tag", "lab", "-x", "lab02") == ["lab01", "lab03"]


def test_one_device_is_shown_with_all_that_holds_for_it(registry: Path, typed: Typed) -> None:
    said = typed("device.show", "-n", "lab02")
    assert dict(line.split(maxsplit=1) for line in said.stdout.splitlines()) == {
        "name": "lab02", "host": "lab02.lab", "tags": "lab", "slots": "1", "agent": "shell", "model": "small",
        "groups": "everyone",
    }  # fmt: skip
    assert [row["name"] for row in typed("device.show", "-n", "lab02", "-f", "json").document["devices"]] == ["lab02"]


def test_groups_are_listed(registry: Path, typed: Typed) -> None:
    assert typed("group.list", "-f", "json").document["groups"] == [
        {"name": "handhelds", "members": ["deck"], "devices": ["deck"], "description": ""},
        {"name": "everyone", "members": ["handhelds", "lab[01-03]", "root@127.0.0.9"],
         "devices": ["deck", "lab01", "lab02", "lab03", "root@127.0.0.9"], "description": ""},
    ]  # fmt: skip
    assert "handhelds" in typed("group").stdout


def test_a_listing_goes_to_a_file_whole_or_not_at_all(registry: Path, typed: Typed, folder: Path) -> None:
    assert typed("device.list", "-f", "json", "--output", "devices.json") == Said(0, "", "")
    assert len(json.loads((folder / "devices.json").read_text())["devices"]) == 4
    assert typed("device.list", "--output", "missing/devices.json").code == 2
    assert sorted(path.name for path in folder.iterdir()) == ["devices.json", "fleet.yaml"]


# -- devices --------------------------------------------------------------------------------


def test_a_device_is_added_with_all_its_settings(registry: Path, typed: Typed) -> None:
    words = ("--host", "build.internal", "--user", "admin", "--port", "2222", "--key", "~/.ssh/build", "--jump",
             "a@b,c", "--arch", "aarch64", "--agent", "shell", "--model", "large", "--tag", "gpu,big", "--tag", "new",
             "--group", "handhelds", "--description", "builds at night")  # fmt: skip
    said = typed("device.add", "--name", "build", *words)
    assert said == Said(0, "", f"build is in {registry}.\n")
    assert written(registry)["devices"]["build"] == {
        "host": "build.internal", "user": "admin", "port": 2222, "key": "~/.ssh/build", "jump": ["a@b", "c"],
        "arch": "aarch64", "agent": "shell", "model": "large", "tags": ["gpu", "big", "new"],
        "description": "builds at night",
    }  # fmt: skip
    assert written(registry)["groups"]["handhelds"] == ["deck", "build"]
    assert "# carried about" in registry.read_text()


def test_a_range_is_added_as_one(registry: Path, typed: Typed) -> None:
    assert typed("device.add", "-n", "node[1-3]", "--host", "root@{name}.lan", "-g", "handhelds").code == 0
    assert written(registry)["devices"]["node[1-3]"] == "root@{name}.lan"
    assert typed("device.show", "-n", "node2", "-f", "json").document["devices"][0]["host"] == "node2.lan"


def test_a_known_device_is_replaced_only_when_asked(registry: Path, typed: Typed) -> None:
    again = ("device.add", "-n", "deck", "--host", "127.0.0.7")
    said = typed(*again)
    assert (said.code, registry.read_text()) == (2, REGISTRY)
    assert "--replace" in said.stderr
    assert typed(*again, "--replace").code == 0
    assert written(registry)["devices"]["deck"] == "127.0.0.7"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("device.add -n x", "Say where x is"),
        ("device.add --host x", "Say which device"),
        ("device.add -n x --host a@b:99999", "'99999' is no port"),
        ("device.add -n x --host x --port 70000", "must be a whole number from 1 to 65535"),
        ("device.add -n x --host x --port ssh", "--port wants a whole number from 1, not 'ssh'"),
        ("device.add -n x --host u@x --user v", "gives the user twice"),
        ("device.add -n x --host x --agent shel", "There is no agent 'shel'; did you mean shell?"),
        ("device.add -n x --host x --arch vax", "'vax' is no architecture"),
        ("device.add -n x --host x --jump a:b", "'b' is no port"),
        ("device.add -n x --host x -g handheld", "There is no group 'handheld'; did you mean handhelds?"),
        ("device.add -n all --host x", "'all' is no name"),
        ("device.add -n a/b --host x", "'a/b' is no name"),
        ("device.add -n handhelds --host x", "handhelds"),
        ("device.remove", "Say which device"),
        ("device.remove -n dekc", "There is no device 'dekc'; did you mean deck?"),
        ("device.remove -n lab02", "lab02 comes from lab[01-03] on line 5"),
        ("device.show", "Say which device"),
        ("device.show -n dekc", "There is no device 'dekc'; did you mean deck?"),
        ("device.import", "Say what to read"),
        ("device.import --file nowhere", "nowhere: There is no such file."),
        ("device.import --file .", "cannot be read"),
        ("device.import --file fleet.yaml --kind puppet", "There is no kind of file 'puppet'"),
        ("group.create", "Say which group"),
        ("group.create -n handhelds", "There is a group 'handhelds' already"),
        ("group.create -n deck", "deck is a device already"),
        ("group.create -n g --member g", "go round in a circle"),
        ("group.create -n g --member dekc", "There is no device or group 'dekc'; did you mean deck?"),
        ("group.add -n handhelds", "Say who"),
        ("group.add -n handheld --member deck", "There is no group 'handheld'; did you mean handhelds?"),
        ("group.add -n handhelds --member everyone", "go round in a circle"),
        ("group.remove -n handhelds --member lab01", "lab01 is not in handhelds"),
        ("group.delete -n nobody", "There is no group 'nobody'"),
    ],
)
def test_what_cannot_be_changed_changes_nothing(words: str, sentence: str, registry: Path, typed: Typed) -> None:
    said = typed(*words.split())
    assert (said.code, said.stdout, len(said.stderr.splitlines())) == (2, "", 1)
    assert sentence in said.stderr
    assert registry.read_text() == REGISTRY


def test_a_removed_device_leaves_its_groups_clean(registry: Path, typed: Typed) -> None:
    assert typed("device.remove", "-n", "deck") == Said(0, "", f"deck is no longer in {registry}.\n")
    assert "deck" not in written(registry)["devices"]
    assert not written(registry)["groups"]["handhelds"]
    assert typed("device.list").code == 0


def test_another_tools_devices_are_taken_in(registry: Path, typed: Typed, folder: Path) -> None:
    (folder / "config").write_text("Host deck\n  HostName 127.0.0.8\nHost nas\n  HostName 127.0.0.3\n  User root\n")
    said = typed("device.import", "--file", "config")
    assert (said.code, said.stdout) == (0, "")
    assert "added: nas\n" in said.stderr
    assert "kept: deck\n" in said.stderr
    assert said.stderr.endswith(f"1 taken into {registry}, 1 known already.\n")
    assert written(registry)["devices"]["deck"] == "deck@127.0.0.1:2200"
    assert typed("device.import", "--file", "config", "--kind", "ssh-config", "--replace").code == 0
    assert "2200" not in str(written(registry)["devices"]["deck"])


# -- groups ---------------------------------------------------------------------------------


def test_a_group_from_its_beginning_to_its_end(registry: Path, typed: Typed) -> None:
    assert typed("group.create", "-n", "few", "--member", "lab[01,03],deck", "--description", "a few").code == 0
    assert written(registry)["groups"]["few"] == {"members": ["lab[01,03]", "deck"], "description": "a few"}
    assert typed("group.add", "-n", "few", "--member", "handhelds", "--member", "root@127.0.0.9").code == 0
    assert typed("group.remove", "-n", "few", "--member", "lab03,deck").code == 0
    assert written(registry)["groups"]["few"]["members"] == ["lab01", "handhelds", "root@127.0.0.9"]
    assert typed("group.add", "-n", "everyone", "--member", "few").code == 0
    assert typed("group.delete", "-n", "few") == Said(0, "", f"The group few is no longer in {registry}.\n")
    assert written(registry)["groups"] == yaml.safe_load(REGISTRY)["groups"]


def test_two_programs_that_write_at_once_lose_nothing(registry: Path) -> None:
    start = [sys.executable, "-m", "fleet_tasks", "device.add", "-g", "handhelds"]
    names = [f"at-once-{number}" for number in range(6)]
    running = [
        subprocess.Popen([*start, "-n", name, "--host", name, "--registry", str(registry)],
                         cwd=Path(commands.__file__).parents[1], stderr=subprocess.PIPE)
        for name in names
    ]  # fmt: skip
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert set(names) <= set(written(registry)["devices"])
    assert set(written(registry)["groups"]["handhelds"]) == {"deck", *names}
