"""Many at once, where little is allowed: sessions and logins of a server, one gateway for all, descriptors of ours."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.client import entry
from tests.program import Said, fleet

MakeSshd = Callable[..., Bench]


def test_a_server_that_allows_one_session_at_a_time(make_sshd: MakeSshd, tmp_path: Path) -> None:
    small = make_sshd(options=["MaxSessions 1"])
    (small.home / "file").write_text("x\n")
    small.registry(small.home / "fleet.yaml", ["deck"], defaults={"agent": "demo"})
    words = ("dispatch", "-d", "deck", "--task", "hello", "--send", "file", "--fetch", "file", "--into", str(tmp_path))
    said = fleet(small, *words, "--cleanup", "-f", "json")
    assert (said.code, said.results[0]["state"]) == (0, "done"), said


def test_a_server_that_turns_newcomers_away(make_sshd: MakeSshd) -> None:
    """The error proposes to come less crowded; once there is room, everybody gets in."""
    small = make_sshd(options=["MaxStartups 2:100:2"], addresses=4)
    names = [f"n{number}" for number in range(4)]
    small.registry(small.home / "fleet.yaml", names)
    place = small.device("n0")
    with contextlib.ExitStack() as stack:
        for _ in range(2):  # strangers who say nothing, and so are in the way until the server loses its patience
            stack.enter_context(socket.create_connection((place.host, place.port))).recv(4)
        crowd = fleet(small, "run", "--all", "--task", "echo hi", "-f", "json", "--retries", "1")
    assert (crowd.code, crowd.document["summary"]["unreachable"]) == (3, 4), crowd
    errors = [result["error"] for result in crowd.results]
    assert {(error["code"], "-j" in error["guidance"]) for error in errors} == {("throttled", True)}
    room = fleet(small, "run", "--all", "--task", "echo hi", "-f", "json")
    assert (room.code, room.document["summary"]["done"]) == (0, 4), room


def test_one_gateway_for_fifty_devices_is_logged_in_to_once(make_sshd: MakeSshd, bench: Bench) -> None:
    gate = make_sshd(options=["AllowTcpForwarding yes"])
    door = gate.device("gate")
    (bench.home / ".ssh" / "config").write_text(f"Host {door.host}\n  IdentityFile {door.key}\n")
    behind = {**entry(bench.device("deck")), "jump": f"{door.user}@{door.host}:{door.port}"}
    bench.registry(bench.home / "fleet.yaml", [], devices={f"n{number:02}": behind for number in range(50)})
    said = fleet(bench, "run", "--all", "--task", "echo hi", "-f", "json")
    assert (said.code, said.document["summary"]["done"]) == (0, 50), said
    assert (gate.logins(), bench.logins()) == (1, 50)


@pytest.mark.parametrize(("limit", "count"), [("-n 64", 66), ("-S -n 64", 30)], ids=["for good", "may be raised"])
def test_few_descriptors_mean_fewer_at_once(limit: str, count: int, bench: Bench) -> None:
    """So many connections do not fit in, neither at once nor, one after the other, kept open."""
    deck = entry(bench.device("deck"))
    bench.registry(bench.home / "fleet.yaml", [], devices={f"n{number:02}": deck for number in range(count)})
    words = [sys.executable, "-m", "fleet_tasks", "run", "--all", "-j", "80", "--task", "echo hi", "-f", "json"]
    done = subprocess.run(
        ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *words],
        cwd=bench.home, env=bench.environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = Said(done.returncode, done.stdout, done.stderr)
    assert (said.code, said.document["summary"]["done"]) == (0, count), said.stderr
    assert ("Only 6 devices are visited at once" in said.stderr) == (limit == "-n 64")
