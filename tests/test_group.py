"""Many devices at once: Fabric's own ``group.run`` over large output, and no more visits at a time than allowed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fabric import ThreadingGroup

from fleet_tasks import FleetGroup
from fleet_tasks.fleet import Fleet
from fleet_tasks.group import Arrivals
from fleet_tasks.options import Targets
from tests.bench import PATIENCE, Bench
from tests.program import fleet

LINE = "äöü€é\n"
MANY = 2_500_000
FLOOD = f"yes '{LINE.strip()}' | head -n {MANY}"
"""30 MB, whose characters end nowhere near the ends of packets."""


@pytest.fixture
def grouped(opened: Callable[..., Fleet]) -> Iterator[Callable[..., FleetGroup]]:
    """A group of the devices named, logged in."""

    def group(*names: str, parallel: int = 32, **more: object) -> FleetGroup:
        ours = opened(*names, **more)
        connections = ours.session.connections(ours.choose(Targets(all=True))).values()
        for connection in connections:
            connection.open()
        return FleetGroup.of(connections, parallel)

    yield group


def in_time(work: Callable[[], Any], seconds: float) -> Any:
    """What ``work`` returns, when it does within so many seconds."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, f"it was not done within {seconds:g} s"
    return found[0]


def test_thirty_megabytes_come_fast_and_whole(grouped: Callable[..., FleetGroup]) -> None:
    group, before = grouped("one"), time.process_time()
    results = in_time(lambda: group.run(FLOOD, hide=True), 60)
    assert time.process_time() - before < 5, "it costs the more for each byte, the more there were"
    ((connection, result),) = results.items()
    assert isinstance(group, ThreadingGroup)
    assert connection.login.device == "one"
    assert result.stdout == LINE * MANY


def test_two_devices_at_one_address_give_two_results(
    bench: Bench, grouped: Callable[..., FleetGroup]
) -> None:
    entry = bench.device("first").entry
    group = grouped(devices={"first": entry, "second": entry})
    results = group.run("echo here", hide=True)
    assert {connection.login.device: result.stdout for connection, result in results.items()} == {
        "first": "here\n",
        "second": "here\n",
    }


def test_the_callers_standard_input_is_left_unread(
    grouped: Callable[..., FleetGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"mine\n")
    os.close(theirs)
    with os.fdopen(ours) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        grouped("one").run("sleep 0.3", hide=True)
        assert stdin.read() == "mine\n"


MEETING = """cd ~/..
mkdir -p meeting
touch "meeting/$FLEET_DEVICE"
most=0 looks=0
until [ $looks -ge 10 ] && [ -e met ]; do
    set -- meeting/*
    [ $# -gt $most ] && most=$#
    [ $# -ge 2 ] && : >met
    looks=$((looks + 1))
    [ $looks -lt 100 ] || break
    sleep 0.1
done
rm "meeting/$FLEET_DEVICE"
echo version=$most
"""
"""Tells how many were there at the same time: stays for a second, and the first until somebody came."""


def test_no_more_devices_are_visited_at_once_than_parallel_says(bench: Bench) -> None:
    names = ["a", "b", "c", "d"]
    agents = {"meets": {"dispatch": "true", "status": MEETING}}
    bench.registry(bench.home / "fleet.yaml", names, agents=agents)
    said = fleet(bench, "status", "--all", "-a", "meets", "-j", "2", "-f", "json")
    assert said.code == 0, said
    assert max(entry["facts"]["version"] for entry in said.results) == "2"


def test_a_signal_that_another_thread_was_given_is_heard_while_nothing_arrives() -> None:
    heard = threading.Event()
    arrived = Arrivals()

    def work() -> None:
        time.sleep(0.2)  # by then the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        arrived.put(heard.wait(PATIENCE))
        arrived.end(None)

    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.set())
    try:
        threading.Thread(target=work, daemon=True).start()
        assert list(arrived.until(1)) == [True]
    finally:
        signal.signal(signal.SIGUSR1, before)
