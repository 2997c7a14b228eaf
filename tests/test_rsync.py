"""A tree that goes to a device by rsync, over the connection that is open, and what happens where that cannot be."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks import rsync
from fleet_tasks.agents.clio import source
from fleet_tasks.fleet import Fleet
from fleet_tasks.frames import Frame, Frames
from fleet_tasks.jobs import Action
from fleet_tasks.options import Targets
from fleet_tasks.plans import Wish
from fleet_tasks.registry import AgentSettings
from tests.bench import CLEAN_PATH, Bench, BenchDevice, gone, processes, relay
from tests.bench.fleet import ROOT
from tests.program import Said, fleet, started
from tests.waiting import until

STAND_IN = ROOT / "tests" / "bench" / "clio"
BULK = 300_000
"""Bytes of one file of the tree: far more than a login and our scripts take."""


@dataclass(frozen=True)
class Deck:
    """A device, and a tree to be brought to it."""

    bench: Bench
    device: BenchDevice
    tree: Path
    registry: Path

    @property
    def words(self) -> list[str]:
        """The command line."""
        return ["deploy", "-d", "deck", "-a", "clio", "-f", "json", "--debug", "--registry", str(self.registry)]

    def deploy(self, **variables: Any) -> Said:
        """Brings it."""
        said = fleet(self.bench, *self.words, **variables)
        assert said.code == 0, said.stderr
        return said

    def change(self) -> None:
        """Another version: some bytes in the middle of the large file, and a file that goes."""
        bulk = self.tree / "lib" / "CLIO" / "Bulk.pm"
        bulk.write_bytes(bulk.read_bytes()[: BULK // 2] + b"# some more\n" + bulk.read_bytes()[BULK // 2 :])
        (self.tree / "VERSION").write_text("20990102.1\n")
        (self.tree / "lib" / "CLIO" / "Gone.pm").unlink()

    @property
    def alike(self) -> bool:
        """Whether the device has the tree, as it is here, and nothing else."""
        (home,) = (each for each in self.agents.iterdir() if each.name != "current")
        sent = source.payload(AgentSettings("clio", source=str(self.tree))).files
        there = {each.relative_to(home).as_posix(): each for each in home.rglob("*") if not each.is_dir()}
        return (
            {name: each.read_bytes() for name, each in there.items()}
            == {name: each.read_bytes() for name, each in sent.items()}
            and not any(each.is_symlink() for each in there.values())
            and there["clio"].stat().st_mode & 0o777 == 0o755
            and there["VERSION"].stat().st_mode & 0o777 == 0o644
        )

    @property
    def agents(self) -> Path:
        """Where its versions are on the device."""
        return self.device.home / ".local/share/fleet-tasks/agents/clio"


@pytest.fixture
def deck(bench: Bench, tmp_path: Path) -> Callable[..., Deck]:
    """Makes one: ``path`` is the device's, ``entry`` of its registry."""

    def make(on: Bench = bench, path: str = CLEAN_PATH, **entry: Any) -> Deck:
        device = on.device("deck", path=path)
        tree = shutil.copytree(STAND_IN, tmp_path / "clio")
        (tree / "lib" / "CLIO" / "Bulk.pm").write_bytes(os.urandom(BULK))
        (tree / "lib" / "CLIO" / "Gone.pm").write_text("1;")
        (tree / "clio").chmod(0o775)
        devices = {"deck": {**device.entry, **entry}}
        agents = {"clio": {"source": str(tree)}}
        return Deck(on, device, tree, on.registry(tmp_path / "fleet.yaml", [], devices=devices, agents=agents))

    return make


def program(folder: Path, text: str) -> str:
    """A PATH that begins with an ``rsync`` of ours."""
    folder.mkdir()
    (folder / "rsync").write_text(f"#!/bin/sh\nrsync() {{ exec {shutil.which('rsync')} \"$@\"; }}\n{text}\n")
    (folder / "rsync").chmod(0o755)
    return f"{folder}:{CLEAN_PATH}"


def test_of_a_large_file_that_changed_only_the_change_travels(bench: Bench, deck: Callable[..., Deck]) -> None:
    device = bench.device("deck")
    with relay(device.host, device.port, bench.sshd.public_key) as link:
        one = deck(**bench.entry(link.place))
        one.deploy()
        assert link.sent > BULK and one.alike
        link.sent = 0
        one.change()
        said = one.deploy()
        assert link.sent < 60_000 and one.alike
    assert "20990102.1" in said.results[0]["stdout"]
    assert bench.logins() == 2


TROUBLES = {
    "it is not on the device": None,
    "the device's ends at once": "exit 1",
    "the device's breaks off": 'dd bs=1 count=1000 | rsync "$@"',
    "the device's talks nonsense": "head -c 100000 /dev/urandom",
    "the device's ends well and did nothing": "exit 0",
    "the device's damages what it got": '(rsync "$@"); echo 2 >VERSION; echo 1 >More.pm; rm clio',
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_where_it_fails_there_the_tree_is_sent_without_it(
    bench: Bench, tmp_path: Path, deck: Callable[..., Deck], trouble: str
) -> None:
    text = TROUBLES[trouble]
    also = ("perl", "head", "setsid", "tar", "sha256sum", "curl")
    path = bench.bin(also=also) if text is None else program(tmp_path / "bin", text)
    one = deck(path=path)
    if "damages" in trouble:  # nobody but a digest can tell
        assert "checksum-mismatch" in fleet(bench, *one.words).stdout and not list(one.agents.glob("*"))
        return
    one.deploy()
    assert one.alike
    one.change()
    one.deploy()
    assert one.alike


@pytest.mark.parametrize("here", ["exit 1", 'shift 8; echo "$@" >&2; exit 4', "kill -9 $$"])
def test_so_it_is_where_ours_does_not_do(bench: Bench, tmp_path: Path, deck: Callable[..., Deck], here: str) -> None:
    one = deck()
    one.deploy(PATH=program(tmp_path / "bin", here))
    assert one.alike


def test_a_server_that_allows_one_session_gets_it_without(
    make_sshd: Callable[..., Bench], deck: Callable[..., Deck]
) -> None:
    one = deck(make_sshd(options=["MaxSessions 1"], addresses=1))
    one.deploy()
    one.change()
    one.deploy()
    assert one.alike


def deployed_from_here(one: Deck) -> bool:
    """Whether it arrives when this process brings it."""
    with Fleet.load(one.registry) as opened:
        devices = opened.choose(Targets(all=True))
        return opened.collect(opened.plan_simple(Action.DEPLOY, devices, Wish(agent="clio"))).exit_code == 0


def test_one_that_is_stuck_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deck: Callable[..., Deck]
) -> None:
    monkeypatch.setattr(rsync, "STUCK", 1.0)
    one = deck(path=program(tmp_path / "bin", "exec cat >/dev/null"))
    assert deployed_from_here(one) and one.alike
    assert one.device.quiet()


def test_no_room_for_it_here_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch, deck: Callable[..., Deck]) -> None:
    def full(**_names: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    one = deck()
    monkeypatch.setattr("fleet_tasks.rsync.tempfile.TemporaryDirectory", full)
    assert deployed_from_here(one) and one.alike


def test_ctrl_c_in_the_middle_leaves_neither_rsync(bench: Bench, tmp_path: Path, deck: Callable[..., Deck]) -> None:
    one = deck()
    slowly = program(tmp_path / "bin", 'rsync --bwlimit=20 "$@"')
    with started(bench, *one.words, PATH=slowly) as running:
        until(lambda: any("--server" in each.command for each in one.device.processes()))
        assert any("tree/ device:." in each.command for each in processes(str(bench.home)))
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130
    assert one.device.quiet() and gone(str(bench.home))
    assert list(one.agents.glob("*")) == list(one.agents.glob(".new*")) == []


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_of_raw_bytes_none_is_ever_held_back(data: bytes, cuts: list[int]) -> None:
    nonce = b"5ecre7"
    whole = b"Welcome!\n" + nonce + b" begin\n" + nonce + data + nonce + b" end\n" + nonce[:3]
    frames, at, turn, got = Frames(nonce, raw=True), 0, 0, b""
    begun = []
    while at < len(whole):
        size = cuts[turn % len(cuts)]
        for item in frames.feed(whole[at : at + size]):
            if isinstance(item, Frame):
                begun.append(item.word)
            else:
                got += item
        at, turn = at + size, turn + 1
        start = len(b"Welcome!\n" + nonce + b" begin\n")
        assert got == whole[start : max(at, start)]
    assert begun == ["begin"]
