"""Files and folders to devices and back, whatever they are called and whatever a device lacks."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Action, Fetch, Send
from fleet_tasks.options import Targets
from fleet_tasks.plans import Wish
from fleet_tasks.results import Report, State
from tests.bench import CLEAN_PATH, Bench, BenchDevice
from tests.client import runs_left, started
from tests.program import fleet
from tests.waiting import until

NAMES = [
    "plain",
    "a b",
    "it's",
    'say "x"',
    "{x}",
    "%s %n %",
    "new\nline",
    "tail\n",
    "-rf",
    "--",
    "*",
    "[a]",
    "~",
    "$(touch hacked)",
    "`x`;&|",
    "a\\b",
    "a\\nb",
    "tab\there",
    "esc\x1b[2J",
    ".hidden",
    "..double",
    ".name",
    "ünï 🤖",
    "caf\udce9",
    "x" * 200,
]
"""Names of files, as a file system takes them; the last but one is not UTF-8."""

LACKING = {
    "everything is there": None,
    "no tar": ("sha256sum",),
    "no sha256sum": ("tar",),
    "nothing but POSIX": (),
}


@pytest.fixture(params=LACKING)
def device(request: pytest.FixtureRequest, bench: Bench) -> BenchDevice:
    """A device that lacks something."""
    also = LACKING[request.param]
    return bench.device("deck", path=CLEAN_PATH if also is None else bench.bin(also=also))


def carry(fleet: Fleet, action: Action, **wish: object) -> Report:
    """One plain job on every device."""
    return fleet.collect(fleet.plan_simple(action, fleet.choose(Targets(all=True)), Wish(**wish)))  # type: ignore[arg-type]


def tree(folder: Path) -> Path:
    """A folder of everything."""
    for place in (folder, folder / "in side", folder / "in side" / "-deep", folder / "empty"):
        place.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        for place in (folder, folder / "in side" / "-deep"):
            (place / name).write_bytes(b"%d\0\xff\n" % number * (number * 100))
    for name, mode in (("open", 0o666), ("closed", 0o600), ("program", 0o755), ("setuid", 0o4755), ("setgid", 0o2711)):
        (folder / name).write_bytes(name.encode())
        (folder / name).chmod(mode)
    (folder / "in side").chmod(0o750)
    (folder / "in side" / "-deep").chmod(0o700)
    return folder


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below, with its bytes; folders have none."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def files(folder: Path) -> dict[str, bytes]:
    """Every file below, without the folders."""
    return {name: data for name, data in contents(folder).items() if data is not None}


def test_a_tree_goes_there_and_comes_back(
    device: BenchDevice, opened: Callable[..., Fleet], tmp_path: Path
) -> None:
    source = tree(tmp_path / "the tree")
    fleet = opened("deck")
    (sent,) = carry(fleet, Action.PUT, send=(Send(str(source), "the tree"),), workdir="some where").results
    there = device.home / "some where" / "the tree"
    assert (sent.state, sent.error) == (State.DONE, None)
    assert contents(there) == contents(source)
    assert {path.name: path.stat().st_mode & 0o7777 for path in there.iterdir() if path.name in _MODES} == _MODES
    assert {copy.remote: copy.sha256 for copy in sent.files} == digests(source, "the tree")
    assert [path.name for path in (device.home / "some where").iterdir()] == ["the tree"]

    (got,) = carry(fleet, Action.GET, fetch=(Fetch("some where/the tree"),), into=str(tmp_path / "back")).results
    here = tmp_path / "back" / "deck" / "the tree"
    assert (got.state, got.error) == (State.DONE, None)
    assert contents(here) == contents(source)
    for path in source.rglob("*"):
        assert (here / path.relative_to(source)).stat().st_mode & 0o7777 == path.stat().st_mode & 0o777, path
    assert {copy.remote: copy.sha256 for copy in got.files} == digests(source, "the tree")
    assert device.quiet()


_MODES = {"open": 0o666, "closed": 0o600, "program": 0o755, "setuid": 0o755, "setgid": 0o711}


def digests(folder: Path, name: str) -> dict[str, str]:
    """What every file of a tree should be listed as."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {f"{name}/{path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_single_files_with_any_name(device: BenchDevice, opened: Callable[..., Fleet], tmp_path: Path) -> None:
    fleet = opened("deck")
    for number, name in enumerate(NAMES):
        source = tmp_path / "one" / name
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(b"%d" % number)
        (sent,) = carry(fleet, Action.PUT, send=(Send(str(source), name),)).results
        assert sent.error is None
        assert (device.home / name).read_bytes() == b"%d" % number
        (got,) = carry(fleet, Action.GET, fetch=(Fetch(name),), into=str(tmp_path / "back")).results
        assert got.error is None
        assert (tmp_path / "back" / "deck" / name).read_bytes() == b"%d" % number
        source.unlink()


def test_what_a_task_gets_and_gives(
    device: BenchDevice, bench: Bench, registry: Callable[..., Path], tmp_path: Path
) -> None:
    registry("deck")
    for name in ("a b.log", "-x"):
        (bench.home / name).write_text(f"{name}\n")
    folder = tree(bench.home / "data")
    task = """cat 'a b.log' ./-x; find data -type f -exec echo x \\; | wc -l
mkdir -p out/in; echo 1 >out/in/1; echo 2 >'r 2.md'; echo 3 >r3.md; exit 4"""
    said = fleet(
        bench, "run", "-d", "deck", "--task", task, "--send", "a b.log", "--send", "./-x", "--send", "data",
        "--fetch", "out", "--fetch", "*.md", "--fetch", "r3.md=as/three", "--into", "back", "-f", "json",
    )  # fmt: skip
    (result,) = said.results
    assert (said.code, result["state"], result["exit_status"]) == (1, "failed", 4)
    first, second, count = result["stdout"].splitlines()
    assert (first, second) == ("a b.log", "-x")
    assert int(count) == len(files(folder))
    assert contents(bench.home / "back") == {
        "deck": None, "deck/out": None, "deck/out/in": None, "deck/out/in/1": b"1\n", "deck/r 2.md": b"2\n",
        "deck/r3.md": b"3\n", "deck/as": None, "deck/as/three": b"3\n",
    }  # fmt: skip
    assert device.quiet() and not runs_left(device)


def test_a_file_that_is_not_there_fails_and_the_others_come(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    (bench.device("deck").home / "here").write_text("x")
    said = fleet(bench, "get", "-d", "deck", "--fetch", "here", "--fetch", "no/where", "--into", "back", "-f", "json")
    (result,) = said.results
    assert (said.code, result["state"], result["error"]["code"]) == (1, "failed", "transfer-failed")
    assert "no/where" in result["error"]["message"]
    assert [copy["remote"] for copy in result["files"]] == ["here"]
    task = fleet(bench, "run", "-d", "deck", "--task", "true", "--fetch", "*.none", "-f", "json")
    assert (task.code, task.results[0]["error"]["code"]) == (1, "transfer-failed")


@pytest.mark.parametrize(
    "words",
    [
        ["get", "--fetch", "x"],
        ["run", "--task", "touch x", "--fetch", "x"],
        ["batch", "-a", "shell", "--each", "taken", "--task", "touch x", "--fetch", "x"],
    ],
)
def test_a_place_on_this_machine_that_is_none_is_named(
    words: list[str], bench: Bench, registry: Callable[..., Path]
) -> None:
    """Before anything is begun: what a task has made would be lost."""
    registry("deck")
    (bench.home / "taken").write_text("a file")
    said = fleet(bench, *words, "-d", "deck", "--into", "taken/here", "-f", "json")
    assert (said.code, said.stdout, bench.logins()) == (2, "", 0)
    assert said.stderr == f"--into taken/here: {bench.home}/taken is no folder.\n"


def test_each_device_has_a_folder_of_its_own(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("a", "b")
    (bench.home / "x").write_text("same")
    assert fleet(bench, "put", "--all", "--send", "x=sub/dir/y").code == 0
    for name in "ab":
        assert (bench.device(name).home / "sub" / "dir" / "y").read_text() == "same"
        (bench.device(name).home / "mine").write_text(name)
    assert fleet(bench, "get", "--all", "--fetch", "mine", "--into", "back").code == 0
    assert contents(bench.home / "back") == {"a": None, "a/mine": b"a", "b": None, "b/mine": b"b"}


def test_paths_from_the_home_and_from_the_root(
    bench: Bench, opened: Callable[..., Fleet], tmp_path: Path
) -> None:
    home = bench.device("deck").home
    (tmp_path / "x").write_text("x")
    fleet = opened("deck")
    for workdir in ("rel/a tive", "~/tilde", str(tmp_path / "absolute"), "~"):
        assert carry(fleet, Action.PUT, send=(Send(str(tmp_path / "x"), "x"),), workdir=workdir).exit_code == 0
    places = [home / "rel" / "a tive", home / "tilde", tmp_path / "absolute", home]
    assert all((place / "x").read_text() == "x" for place in places)
    for number, place in enumerate(["rel/a tive/x", "~/tilde/x", str(tmp_path / "absolute" / "x")]):
        assert carry(fleet, Action.GET, fetch=(Fetch(place),), into=str(tmp_path / str(number))).exit_code == 0
        assert (tmp_path / str(number) / "deck" / "x").read_text() == "x"


def test_two_files_of_one_name_are_not_taken_for_one(
    device: BenchDevice, opened: Callable[..., Fleet], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (device.home / name).mkdir()
        (device.home / name / "x").write_text(name)
    fleet = opened("deck")
    (both,) = carry(fleet, Action.GET, fetch=(Fetch("a/x"), Fetch("b/x")), into=str(tmp_path / "one")).results
    assert both.error is not None and both.error.code == "transfer-failed"
    assert (tmp_path / "one" / "deck" / "x").read_text() == "a"
    (named,) = carry(fleet, Action.GET, fetch=(Fetch("a/x"), Fetch("b/x", "y")), into=str(tmp_path / "two")).results
    assert named.error is None
    assert contents(tmp_path / "two" / "deck") == {"x": b"a", "y": b"b"}
    (same,) = carry(fleet, Action.GET, fetch=(Fetch("a/x"), Fetch("a/*")), into=str(tmp_path / "three")).results
    assert same.error is None


# -- what is no file --------------------------------------------------------------------------


def special(folder: Path) -> Path:
    """A folder with links and a pipe beside a file."""
    folder.mkdir()
    (folder / "file").write_text("file")
    (folder / "to passwd").symlink_to("/etc/passwd")
    (folder / "to folder").symlink_to("/etc")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "a pipe")
    return folder


def test_links_and_pipes_of_a_device_are_passed_over_and_named(
    device: BenchDevice, bench: Bench, registry: Callable[..., Path]
) -> None:
    registry("deck")
    special(device.home / "odd")
    said = fleet(bench, "get", "-d", "deck", "--fetch", "odd", "--into", "back", seconds=30)
    assert said.code == 0
    assert contents(bench.home / "back") == {"deck": None, "deck/odd": None, "deck/odd/file": b"file"}
    assert all(name in said.stderr for name in ("to passwd", "to folder", "dangling", "a pipe"))


def test_links_and_pipes_of_ours_are_passed_over_and_named(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    special(bench.home / "odd")
    said = fleet(bench, "put", "-d", "deck", "--send", "odd", seconds=30)
    assert said.code == 0
    assert contents(bench.device("deck").home / "odd") == {"file": b"file"}
    assert all(name in said.stderr for name in ("to passwd", "to folder", "dangling", "a pipe"))


def test_what_cannot_be_sent_is_refused_before_anybody_is_visited(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    os.mkfifo(bench.home / "pipe")
    for words in (["--send", "pipe"], ["--send", "/dev/null"], ["--send", "nowhere"], []):
        said = fleet(bench, "put", "-d", "deck", *words, seconds=30)
        assert (said.code, said.stdout) == (2, ""), words
        assert len(said.stderr.strip().splitlines()) == 1
    assert bench.logins() == 0


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..", "."])
def test_a_name_that_leaves_the_folder_is_refused(name: str, bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    (bench.home / "file").write_text("x")
    assert fleet(bench, "put", "-d", "deck", "--send", f"file={name}").code == 2
    assert fleet(bench, "run", "-d", "deck", "--task", "true", "--send", f"file={name}").code == 2
    if name not in (".",):
        assert fleet(bench, "get", "-d", "deck", "--fetch", f"file={name}").code == 2
    assert bench.logins() == 0


# -- whole or not at all ----------------------------------------------------------------------


def test_a_file_is_replaced_in_one_step(device: BenchDevice, opened: Callable[..., Fleet], tmp_path: Path) -> None:
    (tmp_path / "x").write_text("new")
    (device.home / "x").write_text("old and longer")
    with (device.home / "x").open() as before:
        assert carry(opened("deck"), Action.PUT, send=(Send(str(tmp_path / "x"), "x"),)).exit_code == 0
        assert before.read() == "old and longer", "it was written into, not replaced"
    assert (device.home / "x").read_text() == "new"


def test_folders_are_joined_and_a_folder_is_not_replaced_by_a_file(
    device: BenchDevice, opened: Callable[..., Fleet], tmp_path: Path
) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "new").write_text("new")
    (device.home / "d" / "e").mkdir(parents=True)
    (device.home / "d" / "e" / "old").write_text("old")
    fleet = opened("deck")
    assert carry(fleet, Action.PUT, send=(Send(str(tmp_path / "d"), "d"),)).exit_code == 0
    assert contents(device.home / "d") == {"e": None, "e/old": b"old", "e/new": b"new"}
    (result,) = carry(fleet, Action.PUT, send=(Send(str(tmp_path / "d" / "e" / "new"), "d"),)).results
    assert result.error is not None and result.error.code == "transfer-failed"
    assert device.quiet()
    assert contents(device.home / "d") == {"e": None, "e/old": b"old", "e/new": b"new"}
    assert not [path for path in device.home.rglob("*") if "fleet-tasks" in path.name]


@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGINT])
def test_an_upload_that_ends_early_leaves_nothing(
    ended: signal.Signals, bench: Bench, registry: Callable[..., Path]
) -> None:
    registry("deck")
    device = bench.device("deck")
    with (bench.home / "big").open("wb") as file:
        file.truncate(2_000_000_000)
    (device.home / "big").write_text("what was there before")
    with started(bench, "put", "-d", "deck", "--send", "big") as client:
        until(lambda: [p for p in device.home.glob(".fleet-tasks-*/big") if p.stat().st_size > 1_000_000], "the upload")
        client.send(ended)
        assert client.end().code == {signal.SIGKILL: -9, signal.SIGINT: 130}[ended]
    assert device.quiet()
    assert contents(device.home) == {"big": b"what was there before"}


def test_a_download_that_ends_early_leaves_no_file(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    device = bench.device("deck")
    with (device.home / "big").open("wb") as file:
        file.truncate(2_000_000_000)
    back = bench.home / "back" / "deck"
    with started(bench, "get", "-d", "deck", "--fetch", "big", "--into", "back") as client:
        until(lambda: back.exists() and any(path.stat().st_size > 1_000_000 for path in back.iterdir()), "the download")
        client.send(signal.SIGINT)
        assert client.end().code == 130
    assert list(back.iterdir()) == []
    assert device.quiet()


def fake(bench: Bench, program: str, script: str) -> str:
    """A PATH where one program is another."""
    folder = Path(bench.bin(also=("tar", "sha256sum"), without=(program,)))
    (folder / program).unlink(missing_ok=True)
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o755)
    return str(folder)


def test_what_arrives_broken_is_not_put_in_place(
    bench: Bench, opened: Callable[..., Fleet], tmp_path: Path
) -> None:
    script = 'for name in "$@"; do echo "' + "0" * 64 + '  $name"; done'
    device = bench.device("deck", path=fake(bench, "sha256sum", script))
    (tmp_path / "x").write_text("new")
    (device.home / "x").write_text("old")
    fleet = opened("deck")
    (result,) = carry(fleet, Action.PUT, send=(Send(str(tmp_path / "x"), "x"),)).results
    assert result.error is not None and result.error.code == "checksum-mismatch"
    assert device.quiet()
    assert contents(device.home) == {"x": b"old"}
    (result,) = carry(fleet, Action.GET, fetch=(Fetch("x"),), into=str(tmp_path / "back")).results
    assert result.error is not None and result.error.code == "checksum-mismatch"


def test_a_place_that_is_none_comes_with_the_flag_to_change(
    bench: Bench, opened: Callable[..., Fleet], tmp_path: Path
) -> None:
    device = bench.device("deck")
    (tmp_path / "x").write_text("x")
    (device.home / "x").write_text("x")
    (device.home / "file").write_text("no folder")
    send = (Send(str(tmp_path / "x"), "x"),)
    (put,) = carry(opened("deck"), Action.PUT, send=send, workdir="file/in").results
    assert put.error is not None and put.error.guidance.endswith("folder of deck that may be written in: --workdir DIR")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "deck").mkdir()
    (tmp_path / "back" / "deck" / "sub").write_text("in the way")
    fetch = (Fetch("x", "sub/x"),)
    (got,) = carry(opened("deck"), Action.GET, fetch=fetch, into=str(tmp_path / "back")).results
    assert got.error is not None and "is in the way" in got.error.message
    assert got.error.guidance.endswith("--into DIR")


def test_a_full_disk_is_said_so(bench: Bench, opened: Callable[..., Fleet], tmp_path: Path) -> None:
    tar = shutil.which("tar", path=CLEAN_PATH)
    script = f"{tar} -tf - >/dev/null; echo 'tar: x: Cannot write: No space left on device' >&2; exit 2"
    device = bench.device("deck", path=fake(bench, "tar", script))
    (tmp_path / "x").write_bytes(bytes(1_000_000))
    (result,) = carry(opened("deck"), Action.PUT, send=(Send(str(tmp_path / "x"), "x"),)).results
    assert result.error is not None and result.error.code == "no-space"
    assert device.quiet()
    assert contents(device.home) == {}


@pytest.mark.parametrize("tools", ["tar", "no tar"])
def test_how_far_a_long_transfer_is_shows_both_ways(
    bench: Bench, opened: Callable[..., Fleet], tmp_path: Path, tools: str
) -> None:
    bench.device("deck", path=CLEAN_PATH if tools == "tar" else bench.bin(also=("head",)))
    (tmp_path / "big").write_bytes(bytes(3_000_000))
    fleet = opened("deck")
    devices = fleet.choose(Targets(all=True))
    for action, wish in (
        (Action.PUT, Wish(send=(Send(str(tmp_path / "big"), "big"),))),
        (Action.GET, Wish(fetch=(Fetch("big"),), into=str(tmp_path / "back"))),
    ):
        items = list(fleet.carry_out(fleet.plan_simple(action, devices, wish)))
        told = [re.findall(rb"^big: ([0-9]+) of 3000000 bytes$", getattr(item, "line", b"")) for item in items]
        steps = [int(found[0]) for found in told if found]
        assert len(steps) > 5 and steps == sorted(steps) and steps[-1] > 2_500_000, (action, steps)


def test_a_source_that_vanishes_or_shrinks_is_a_failed_transfer(
    opened: Callable[..., Fleet], bench: Bench, tmp_path: Path
) -> None:
    device = bench.device("deck")
    fleet = opened("deck")
    for victim, trouble in (("z", Path.unlink), ("a", lambda path: os.truncate(path, 10))):
        for name in ("a", "z"):
            (tmp_path / "d").mkdir(exist_ok=True)
            with (tmp_path / "d" / name).open("wb") as file:
                file.truncate(200_000_000 if name == "a" else 1000)  # the first takes its time
        plan = fleet.plan_simple(
            Action.PUT, fleet.choose(Targets(all=True)), Wish(send=(Send(str(tmp_path / "d"), "d"),))
        )
        for item in fleet.carry_out(plan):
            if getattr(item, "line", b"").startswith(b"d/a,"):
                trouble(tmp_path / "d" / victim)
            if isinstance(item, Report):
                (result,) = item.results
        assert result.state is State.FAILED
        assert result.error is not None and result.error.code == "transfer-failed", result.error
        assert device.quiet()
        assert contents(device.home) == {}


# -- many and large ---------------------------------------------------------------------------


def test_many_small_files(opened: Callable[..., Fleet], bench: Bench, tmp_path: Path) -> None:
    bench.device("deck")
    (tmp_path / "many").mkdir()
    for number in range(3000):
        (tmp_path / "many" / f"{number:05}").write_bytes(b"%d\n" % number)
    fleet = opened("deck")
    (sent,) = carry(fleet, Action.PUT, send=(Send(str(tmp_path / "many"), "many"),)).results
    (got,) = carry(fleet, Action.GET, fetch=(Fetch("many"),), into=str(tmp_path / "back")).results
    assert (len(sent.files), len(got.files)) == (3000, 3000)
    assert contents(tmp_path / "back" / "deck" / "many") == contents(tmp_path / "many")
    assert sent.seconds + got.seconds < 30


def test_a_large_file_is_never_in_memory(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    with (bench.home / "big").open("wb") as file:
        file.truncate(100_000_000)
        file.write(b"the end")
    with started(bench, "put", "-d", "deck", "--send", "big", python=sys.executable) as client:
        there = client.end()
    with started(bench, "get", "-d", "deck", "--fetch", "big", "--into", "back", python=sys.executable) as client:
        back = client.end()
    assert (there.code, back.code) == (0, 0)
    with (bench.home / "back" / "deck" / "big").open("rb") as copy, (bench.home / "big").open("rb") as original:
        assert hashlib.file_digest(copy, "sha256").digest() == hashlib.file_digest(original, "sha256").digest()
    assert max(there.peak, back.peak) < 150_000_000, f"{there.peak:,} and {back.peak:,} bytes"


def test_two_files_of_one_name_are_refused(bench: Bench, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes").touch()
    said = fleet(bench, "run", "-d", "user@d1", "--task", "ls", "--send", "a/notes", "--send", "b/notes", cwd=tmp_path)
    assert said.code == 2 and "b/notes=NAME" in said.stderr, said
