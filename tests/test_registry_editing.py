from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.devices import Device, Endpoint
from fleet_tasks.errors import RegistryError, RequestError, UnknownName
from fleet_tasks.registry import editing, load, patching, write_template
from fleet_tasks.registry.reading import read

TEXT = """\
# our machines
version: 1
devices:
  a: deck@a.local   # the first

  # b builds
  b:
    host: b.local
    tags: [gpu]     # a big one

  # all of the lab
  "lab[01-03]": {host: "{name}.lab"}   # three
  c: c.local
# what belongs together
groups:
  some: [a, "lab[01-03]"]   # in brackets
  lines:
    # one a line
    - a
    - b   # the builder
    # and c
    - c
  told: {members: [a], description: with words}
  outer: [some]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "fleet" / "fleet.yaml"
    file.parent.mkdir()
    file.write_text(TEXT)
    return file


def removed(path: Path) -> list[str]:
    now = path.read_text().splitlines()
    return [line for line in TEXT.splitlines() if line not in now]


def added(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line not in TEXT.splitlines()]


# -- devices --------------------------------------------------------------------------------


def test_a_device_is_added_after_the_others_and_all_else_stays(path: Path) -> None:
    registry = editing.add_device(path, Device("d", "deck@d.local:2222"))
    assert registry.devices["d"].endpoint == Endpoint("d.local", "deck", 2222)
    assert (removed(path), added(path)) == ([], ["  d: deck@d.local:2222"])
    assert path.read_text().index("  d:") < path.read_text().index("# what belongs together")


def test_every_setting_of_a_device_is_written_and_read_back(path: Path) -> None:
    device = Device(
        name="full", host="h", user="u", port=7, key="~/k", jump=(Endpoint("j", "me", 9), Endpoint("::1", None, 22)),
        arch="arm64",
        tags=("x", "10", "no"), slots=3, agent="clio", provider="openai", model="off",
        env={"A": "no", "B": "1"}, description="yes: # it is",
        timeout=1.5, connect_timeout=2.0, host_keys="off", cleanup=False, workdir="~/w",
        home="/srv/x", key_delivery="stream", limits={"n": 1, "on": True, "word": "no"},
    )  # fmt: skip
    assert editing.add_device(path, device).devices["full"] == device
    assert removed(path) == []


def test_a_range_of_devices_is_added_into_groups(path: Path) -> None:
    registry = editing.add_device(path, Device("web[1-3]", "{name}.web", user="www"), groups=["lines", "told", "some"])
    assert registry.devices["web2"].host == "web2.web"
    for group in ("lines", "told", "some", "outer"):
        assert registry.groups[group].devices[-3:] == ("web1", "web2", "web3")
    assert "    # and c" in path.read_text()


@pytest.mark.parametrize(
    ("device", "says"),
    [
        (Device("a", "x"), "There is a device 'a' already; --replace"),
        (Device("lab[03-04]", "x"), "There is a device 'lab03' already"),
        (Device("some", "x"), "some is a group already|some is a device already"),
        (Device("all", "x"), "every device is --all"),
        (Device("../x", "x"), "is no name"),
        (Device("d", "-oProxyCommand=x"), "devices.d: .* is no host name: .* Nothing was changed."),
        (Device("d", "h", port=70000), "devices.d.port: must be a whole number .* Nothing was changed."),
        (Device("d", "h", provider="opnai"), "did you mean openai?"),
        (Device("d", ""), "has no host"),
    ],
)
def test_what_cannot_be_is_not_added(path: Path, device: Device, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        editing.add_device(path, device)
    assert caught.value.exit_code == 2
    assert path.read_text() == TEXT


def test_an_unknown_group_is_named_and_nothing_changes(path: Path) -> None:
    with pytest.raises(UnknownName, match="no group 'line'; did you mean lines"):
        editing.add_device(path, Device("d", "h"), groups=["line"])
    assert path.read_text() == TEXT


def test_replacing_keeps_the_place_and_the_groups(path: Path) -> None:
    registry = editing.add_device(path, Device("b", "me@new.local"), replace=True)
    assert list(registry.devices) == ["a", "b", "lab01", "lab02", "lab03", "c"]
    assert registry.devices["b"].endpoint == Endpoint("new.local", "me")
    assert registry.groups["lines"].devices == ("a", "b", "c")
    assert "  # all of the lab" in path.read_text() and "  # b builds" in path.read_text()


def test_replacing_what_is_not_there_adds_it(path: Path) -> None:
    assert "d" in editing.add_device(path, Device("d", "h"), replace=True).devices


def test_one_of_a_range_is_neither_replaced_nor_removed(path: Path) -> None:
    refused = pytest.raises(RequestError, match=r"lab02 comes from lab\[01-03\] on line 12; change that line")
    with refused:
        editing.add_device(path, Device("lab02", "x"), replace=True)
    with refused:
        editing.remove_device(path, "lab02")
    assert path.read_text() == TEXT


def test_removing_a_device_leaves_groups_clean_and_comments_alone(path: Path) -> None:
    registry = editing.remove_device(path, "b")
    assert "b" not in registry.devices and registry.groups["lines"].devices == ("a", "c")
    lost = ["  b:", "    host: b.local", "    tags: [gpu]     # a big one", "    - b   # the builder"]
    assert (removed(path), added(path)) == (lost, [])


def test_removing_the_first_device_cleans_every_form_of_group(path: Path) -> None:
    registry = editing.remove_device(path, "a")
    assert registry.groups["some"].devices == ("lab01", "lab02", "lab03")
    assert (registry.groups["lines"].devices, registry.groups["told"].devices) == (("b", "c"), ())
    assert "  # b builds" in path.read_text() and "    # one a line" in path.read_text()


def test_removing_a_range_takes_all_of_it(path: Path) -> None:
    registry = editing.remove_device(path, "lab[01-03]")
    assert list(registry.devices) == ["a", "b", "c"]
    assert registry.groups["outer"].devices == ("a",)


def test_a_range_in_a_group_shrinks_by_the_one_that_goes(path: Path) -> None:
    path.write_text("devices: {x1: h, x2: h, x3: h}\ngroups:\n  g: ['x[1-3]']   # kept\n")
    assert editing.remove_device(path, "x2").groups["g"].members == ("x[1,3]",)
    assert "# kept" in path.read_text()


def test_unknown_devices_are_not_removed(path: Path) -> None:
    with pytest.raises(UnknownName, match="no device 'lab04'; did you mean lab0"):
        editing.remove_device(path, "lab04")


def test_a_name_that_looks_like_a_number_or_a_boolean_is_a_name(path: Path) -> None:
    path.write_text("devices: {007: h}\ngroups: {10: [007]}\n")
    editing.add_device(path, Device("no", "h"), groups=["10"])
    editing.add_device(path, Device("8", "h"), groups=["10"])
    editing.add_device(path, Device("007", "i"), replace=True)
    assert load(path).groups["10"].devices == ("007", "no", "8")
    registry = editing.remove_device(path, "007")
    assert list(registry.devices) == ["no", "8"] and registry.groups["10"].devices == ("no", "8")


# -- groups ---------------------------------------------------------------------------------


def test_groups_are_made_and_unmade(path: Path) -> None:
    editing.create_group(path, "new")
    editing.create_group(path, "more", members=["a", "lab[01-02]", "root@10.0.0.7"], description="words")
    registry = editing.add_members(path, "new", ["more", "b"])
    assert registry.groups["new"].devices == ("a", "lab01", "lab02", "root@10.0.0.7", "b")
    assert registry.groups["more"].description == "words"
    registry = editing.delete_group(path, "more")
    assert registry.groups["new"].members == ("b",)
    assert removed(path) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: editing.create_group(path, "some"), "There is a group 'some' already"),
        (lambda path: editing.create_group(path, "a"), "groups.a: a is a device already"),
        (lambda path: editing.create_group(path, "x y"), "is no name for a group"),
        (lambda path: editing.create_group(path, "all"), "'all' is no name for a group; it is kept: every device is"),
        (lambda path: editing.create_group(path, "x", members=["nobody"]), "no device or group 'nobody'"),
        (lambda path: editing.delete_group(path, "sum"), "no group 'sum'"),
        (lambda path: editing.add_members(path, "lines", ["aa", "lab04"]), "There is no device or group"),
        (lambda path: editing.add_members(path, "some", ["outer"]), "circle: .* Nothing was changed"),
        (lambda path: editing.add_members(path, "sone", ["a"]), "did you mean some"),
        (lambda path: editing.remove_members(path, "lines", ["lab01"]), "lab01 is not in lines"),
        (lambda path: editing.remove_members(path, "outer", ["a"]), "in outer by way of another group"),
        (lambda path: editing.remove_members(path, "lines", ["web[1-999999999]"]), "999,999,999 names"),
    ],
)
def test_what_cannot_be_a_group_is_refused(path: Path, change, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RequestError, match=says):
        change(path)
    assert path.read_text() == TEXT


def test_members_come_and_go(path: Path) -> None:
    registry = editing.add_members(path, "lines", ["a", "lab[01-03]", "lab[01-03]", "u@h:22"])
    assert registry.groups["lines"].members == ("a", "b", "c", "lab[01-03]", "u@h:22")
    registry = editing.remove_members(path, "lines", ["lab02", "c", "u@h:22"])
    assert registry.groups["lines"].members == ("a", "b", "lab[01,03]")
    registry = editing.remove_members(path, "lines", ["a", "b", "lab[01,03]"])
    assert registry.groups["lines"].devices == ()
    assert editing.add_members(path, "lines", ["a"]).groups["lines"].devices == ("a",)
    assert "    # one a line" in path.read_text()


def test_adding_what_is_there_changes_nothing(path: Path) -> None:
    editing.add_members(path, "some", ["a", "lab02"])
    assert path.read_text() == TEXT


def test_what_several_groups_share_is_left_to_its_author(path: Path) -> None:
    path.write_text("devices: {a: h, b: h}\ngroups:\n  g: &m\n  - &a a\n  h: *m\n  i:\n  - *a\n  - b\n")
    with pytest.raises(RequestError, match="h is an alias of something above it, on line 5"):
        editing.add_members(path, "h", ["b"])
    assert editing.remove_members(path, "i", ["a"]).groups["i"].devices == ("b",)


# -- files ----------------------------------------------------------------------------------


def test_the_template_can_be_filled(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    write_template(path)
    comments = path.read_text().count("#")
    editing.create_group(path, "g")
    editing.add_device(path, Device("a", "u@h"), groups=["g"])
    editing.add_device(path, Device("b", "h", tags=("x",)), groups=["g"])
    assert editing.remove_device(path, "a").groups["g"].devices == ("b",)
    assert path.read_text().count("#") == comments


@pytest.mark.parametrize("text", ["", "# only words\n", "version: 1\n", "{}", "devices: {}\ngroups: {}\n"])
def test_a_registry_may_begin_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    editing.create_group(path, "g")
    registry = editing.add_device(path, Device("a", "h"), groups=["g"])
    assert registry.groups["g"].devices == ("a",)
    assert path.read_text().startswith(text.rstrip("{}\n").removesuffix("devices: {}\ngroups: "))


def test_mode_and_link_are_kept_and_nothing_is_left_over(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "project" / "fleet.yaml"
    link.parent.mkdir()
    link.symlink_to(path)
    editing.add_device(link, Device("d", "h"))
    assert link.is_symlink() and "d: h" in path.read_text()
    assert path.stat().st_mode & 0o7777 == 0o640
    assert [file.name for file in path.parent.iterdir()] == ["fleet.yaml"]
    assert [file.name for file in link.parent.iterdir()] == ["fleet.yaml"]


def test_line_ends_are_kept(path: Path) -> None:
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    editing.add_device(path, Device("d", "h"))
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n") == TEXT.count("\n") + 1


def test_indentation_is_kept(path: Path) -> None:
    text = "devices:\n    a:\n        host: h\ngroups:\n    g:\n    - a\n    h:\n    - a\n"
    path.write_text(text)
    editing.add_device(path, Device("b", "h", port=7), groups=["g"])
    assert path.read_text() == (
        "devices:\n    a:\n        host: h\n    b:\n        host: h\n        port: 7\n"
        "groups:\n    g:\n    - a\n    - b\n    h:\n    - a\n"
    )


def test_a_registry_that_is_wrong_already_is_not_touched(path: Path) -> None:
    path.write_text("devices: {a: h}\nnonsense: 1\n")
    with pytest.raises(RegistryError, match="nonsense"):
        editing.add_device(path, Device("d", "h"))
    assert path.read_text() == "devices: {a: h}\nnonsense: 1\n"
    with pytest.raises(RegistryError, match="no such file"):
        editing.add_device(path.parent / "none.yaml", Device("d", "h"))
    with pytest.raises(RequestError, match="cannot be opened"):
        editing.add_device(path.parent / "none" / "none.yaml", Device("d", "h"))


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RequestError, match="No space left on device"):
        editing.add_device(path, Device("d", "h"))
    assert path.read_text() == TEXT
    assert [file.name for file in path.parent.iterdir()] == ["fleet.yaml"]


def test_programs_that_add_at_once_lose_nothing(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from fleet_tasks.devices import Device; "
        "from fleet_tasks.registry import editing\n"
        "for number in range(5):\n"
        "    editing.add_device(Path(sys.argv[1]), Device(f'{sys.argv[2]}{number}', 'h'), groups=['lines'])"
    )
    several = [subprocess.Popen([sys.executable, "-c", script, str(path), who]) for who in ("x", "y", "z")]
    assert [one.wait(timeout=60) for one in several] == [0, 0, 0]
    wanted = {f"{who}{number}" for who in "xyz" for number in range(5)}
    registry = load(path)
    assert wanted <= set(registry.devices) and wanted <= set(registry.groups["lines"].devices)


# -- properties -----------------------------------------------------------------------------

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,6}", fullmatch=True).filter(lambda name: name != "all")


@given(st.lists(names, unique=True, min_size=1, max_size=8), st.data())
def test_what_was_added_is_there_and_what_was_removed_is_gone(added: list[str], data: st.DataObject) -> None:
    text = "# top\ndevices:\n  # keep me\n  first: h\ngroups:\n  g:\n  # me too\n"
    before = read(text, "x")
    for name in added:
        if name in ("first", "g"):
            continue
        text = editing.with_device(text, read(text, "x"), Device(name, "h"), groups=["g"])
    gone = data.draw(st.sampled_from(list(read(text, "x").devices)))
    after = read(patching.erase(editing._without_members(text, [gone]), ("devices", gone)), "x")
    assert set(after.devices) == {*before.devices, *added} - {gone} - {"g"} | ({"first"} - {gone})
    assert gone not in after.groups["g"].devices
    assert "# keep me" in text and "# me too" in text


@given(st.text(min_size=1, max_size=30))
def test_any_description_comes_back_as_it_was_or_is_refused(words: str) -> None:
    try:
        text = editing.with_device("devices:\n", read("", "x"), Device("a", "h", description=words))
        assert read(text, "x").devices["a"].description == words
    except RequestError:
        assert not words.isprintable() or not words.strip()
