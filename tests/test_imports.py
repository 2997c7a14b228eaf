from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.devices import Device, Endpoint, Group
from fleet_tasks.errors import RequestError
from fleet_tasks.registry import load
from fleet_tasks.registry.ansible import read_ini, read_yaml
from fleet_tasks.registry.harvest import Imported
from fleet_tasks.registry.imports import import_into, read_foreign

CANARY = "sk-ant-Canary0123456789abcdefABCDEF"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def devices(imported: Imported) -> dict[str, Device]:
    return {device.name: device for device in imported.devices}


def groups(imported: Imported) -> dict[str, tuple[str, ...]]:
    return {group.name: group.members for group in imported.groups}


# -- ssh_config -----------------------------------------------------------------------------


def test_ssh_config_with_includes_and_wildcards(home: Path) -> None:
    (home / "conf.d").mkdir()
    (home / "conf.d" / "lab.conf").write_text("Host lab1 lab2\n  HostName %h.lab\n  IdentityFile ~/.ssh/lab\n")
    path = home / "config"
    path.write_text(
        "Include conf.d/*.conf\nHost nas\n  HostName 10.0.0.7\n  User admin\n  Port 2222\n  ProxyJump me@bastion:23\n"
        "Host *.web !no\n  Port 1\nHost v6\n  HostName ::1\nHost *\n  User deck\nMatch all\n  Port 9\n"
    )
    imported = read_foreign(path)
    found = devices(imported)
    assert list(found) == ["lab1", "lab2", "nas", "v6"]
    assert found["lab1"] == Device("lab1", "lab1.lab", user="deck", key="~/.ssh/lab")
    assert found["nas"] == Device("nas", "10.0.0.7", user="admin", port=2222, jump=(Endpoint("bastion", "me", 23),))
    assert found["v6"].host == "::1"
    assert imported.notes == ("Match blocks of ssh_config are left out.",)


# -- Ansible --------------------------------------------------------------------------------

INI = """
# lonely
lonely.example.com ansible_user=me
[web]
www[01:03].example.com:2222
db-[a:c] ansible_host=10.0.0.9 # words
[lab]
node[1:5:2]
[lab:vars]
ansible_user = lab
ansible_ssh_private_key_file=~/.ssh/lab
ansible_ssh_common_args='-o ProxyJump="me@gate:22"'
[site:children]
web
lab
[site:vars]
ansible_user=site
ansible_port=7
[all:vars]
ansible_user=everyone
ansible_become_pass=hunter2
"""


def test_ansible_ini_with_ranges_groups_and_inherited_variables(home: Path) -> None:
    path = home / "inventory.ini"
    path.write_text(INI)
    imported = read_foreign(path)
    found = devices(imported)
    assert list(found) == [
        "lonely.example.com", "www01.example.com", "www02.example.com", "www03.example.com", "db-a", "db-b", "db-c",
        "node1", "node3", "node5",
    ]  # fmt: skip
    assert found["lonely.example.com"].user == "me"
    assert (found["www02.example.com"].user, found["www02.example.com"].port) == ("site", 7)
    assert (found["db-b"].host, found["db-b"].user) == ("10.0.0.9", "site")
    assert found["node3"] == Device(
        "node3", "node3", user="lab", port=7, key="~/.ssh/lab", jump=(Endpoint("gate", "me", 22),)
    )
    assert groups(imported) == {
        "web": ("www01.example.com", "www02.example.com", "www03.example.com", "db-a", "db-b", "db-c"),
        "lab": ("node1", "node3", "node5"),
        "site": ("web", "lab"),
    }
    assert "ansible_become_pass is left out" in " ".join(imported.notes)
    assert "hunter2" not in repr(imported)


def test_ansible_yaml(home: Path) -> None:
    path = home / "hosts.yml"
    path.write_text(
        """
all:
  vars: {ansible_user: everyone}
  hosts:
    alone: {ansible_host: "::1", ansible_ssh_pass: !vault "hunter2"}
  children:
    web:
      hosts:
        www[1:2]:
        here: {ansible_connection: local}
        odd: {ansible_host: "{{ lookup('x') }}"}
      vars: {ansible_port: 2222}
    site:
      children: {web: }
"""
    )
    imported = read_foreign(path)
    found = devices(imported)
    assert list(found) == ["alone", "www1", "www2", "odd"]
    assert (found["alone"].host, found["alone"].port, found["alone"].user) == ("::1", None, "everyone")
    assert (found["www2"].port, found["www2"].user) == (2222, "everyone")
    assert groups(imported) == {"web": ("www1", "www2", "odd"), "site": ("web",)}
    notes = " ".join(imported.notes)
    assert "here is left out: it is not reached by SSH" in notes and "odd: ansible_host is a template" in notes
    assert "hunter2" not in repr(imported)


def test_a_host_of_several_lines_and_groups_has_all_its_variables() -> None:
    harvest = read_ini("[a]\nh ansible_port=1\n[b]\nh ansible_user=u\n[b:vars]\nansible_port=2\n").harvest()
    assert harvest.devices["h"] == Device("h", "h", user="u", port=1)


def test_circles_and_huge_ranges_in_an_inventory_end(home: Path) -> None:
    assert read_ini("[a:children]\nb\n[b:children]\na\n[a]\nh\n").harvest().devices.keys() == {"h"}
    for text in ("h[1:999999999]", "h[1:1000][1:1000]"):
        with pytest.raises(RequestError, match="means too many hosts"):
            read_ini(text)
    with pytest.raises(RequestError, match="from a number to a letter"):
        read_ini("h[1:f]")


@given(st.text(alphabet="ab[]:12 =\n#'\"{}!&*-"))
def test_any_text_is_an_inventory_or_a_request_error(text: str) -> None:
    for read in (read_ini, lambda text: read_yaml(text, "x")):
        try:
            assert read(text).harvest().gathered() is not None
        except RequestError as error:
            assert error.exit_code == 2


# -- JSON -----------------------------------------------------------------------------------


def test_picoclaw_fleet(home: Path) -> None:
    path = home / "picoclaw-fleet.json"
    hosts = [
        {"name": "pi", "host": "10.0.0.5", "user": "pi", "arch": "aarch64", "ssh_key": "~/.ssh/pi"},
        {"name": "Living Room", "host": "tv.local", "user": "root", "arch": "z80", "api_key": CANARY},
        {"name": "bad", "host": "-oProxyCommand=x"},
        {"name": "own", "host": "h", "provider": "zz"},
    ]
    path.write_text(json.dumps({"hosts": hosts, "defaults": {"provider": "anthropic", "api_key_env": "OTHER_KEY"}}))
    imported = read_foreign(path)
    found = devices(imported)
    assert found["pi"] == Device("pi", "10.0.0.5", user="pi", arch="arm64", key="~/.ssh/pi", provider="anthropic")
    assert (found["Living-Room"].host, found["Living-Room"].arch) == ("tv.local", None)
    assert "bad" not in found
    notes = "\n".join(imported.notes)
    for says in (
        "'Living Room' is called Living-Room",
        "Living-Room: arch is left out: it 'z80' is no architecture",
        "own: provider is left out: There is no provider",
        "'bad' is left out",
        "api_key is left out",
        "OTHER_KEY",
    ):
        assert says in notes
    assert CANARY not in repr(imported)


@pytest.mark.parametrize("lists", [True, False])
def test_clio_in_both_shapes(home: Path, lists: bool) -> None:
    members = ["steam-deck", "root@10.0.0.7", "gone"]
    deck: dict[str, object] = {"host": "deck@steamdeck.local", "description": "on the sofa", "ssh_key": ""}
    if not lists:
        deck |= {"ssh_port": 22, "default_model": "gpt-5", "added_at": 1750000000}
    data = {
        "devices": {"steam-deck": deck, "other": {"host": "h", "ssh_port": 2222, "ssh_key": "~/k", "description": ""}},
        "groups": {"handhelds": members if lists else {"members": members, "description": "toys", "created_at": 1}},
        "updated_at": 1750000000,
    }
    path = home / "devices.json"
    path.write_text(json.dumps(data))
    imported = read_foreign(path)
    found = devices(imported)
    assert found["steam-deck"] == Device(
        "steam-deck", "steamdeck.local", user="deck", description="on the sofa", model=None if lists else "gpt-5"
    )
    assert found["other"] == Device("other", "h", port=2222, key="~/k")
    assert imported.groups == (Group("handhelds", ("steam-deck", "root@10.0.0.7"), (), "" if lists else "toys"),)
    assert "'gone' is left out" in " ".join(imported.notes)


# -- kinds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("hello world", None, "It is not clear what"),
        ("hello", "nagios", "There is no kind of file 'nagios'"),
        ("hello", "clio", "no JSON object"),
        ("[1]", "picoclaw-fleet", "no JSON object"),
        ('{"devices": []}', "clio", "devices: must be a mapping"),
        ('{"devices": [1]}', "clio", "devices: must be a mapping"),
        ('{"devices": {"a": {}}}', None, "devices.a: has no host"),
        ('{"hosts": [{}]}', None, r"hosts\[0\]: has neither"),
        ('{"hosts": 1}', "picoclaw-fleet", "hosts: must be a list"),
        ("[" * 100_000, "clio", "no JSON object"),
    ],
)
def test_what_is_no_list_of_devices_is_one_sentence(home: Path, text: str, kind: str | None, says: str) -> None:
    path = home / "file"
    path.write_text(text)
    with pytest.raises(RequestError, match=says):
        read_foreign(path, kind)


def test_a_file_that_is_not_there(home: Path) -> None:
    with pytest.raises(RequestError, match=r"There is no such file\.$"):
        read_foreign(home / "none")


# -- merging --------------------------------------------------------------------------------

FLEET = """\
# mine
devices:
  a: old   # kept unless told otherwise
  "r[1-2]": "{name}.r"
groups:
  g: [a]
  taken: []
"""
FOREIGN = Imported(
    devices=(Device("a", "new"), Device("b", "h", user="u", port=7), Device("r1", "x"), Device("taken", "h")),
    groups=(Group("g", ("a", "b", "taken"), ()), Group("n", ("g", "r1", "x@y"), (), "words"), Group("r2", ("a",), ())),
    notes=("first",),
)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET)
    return path


def test_known_devices_are_kept_and_groups_grow(fleet: Path) -> None:
    merged = import_into(fleet, FOREIGN)
    assert (merged.added, merged.replaced, merged.kept, merged.groups) == (("b",), (), ("a", "r1"), ("g", "n"))
    assert merged.notes[0] == "first" and len(merged.notes) == 3
    registry = load(fleet)
    assert registry.devices["a"].host == "old"
    assert registry.groups["g"].devices == ("a", "b")
    assert (registry.groups["n"].devices, registry.groups["n"].description) == (("a", "b", "r1", "x@y"), "words")
    assert "# mine" in fleet.read_text() and "# kept unless" in fleet.read_text()


def test_known_devices_are_replaced_on_demand_but_not_those_of_a_range(fleet: Path) -> None:
    merged = import_into(fleet, FOREIGN, replace=True)
    assert (merged.added, merged.replaced, merged.kept) == (("b",), ("a",), ("r1",))
    assert load(fleet).devices["a"].host == "new"


def test_importing_twice_changes_nothing(fleet: Path) -> None:
    import_into(fleet, FOREIGN)
    once = fleet.read_text()
    import_into(fleet, FOREIGN)
    assert fleet.read_text() == once


def test_five_hundred_devices_are_imported_at_once(fleet: Path) -> None:
    many = Imported(tuple(Device(f"d{number}", "h", user="u", key="~/k") for number in range(500)), (), ())
    assert len(import_into(fleet, many).added) == 500
    assert len(load(fleet).devices) == 503
