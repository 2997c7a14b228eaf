"""A link that freezes while files go out: whoever waits for room on the other side can still be told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_tasks import conversation, transport
from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Action, Send
from fleet_tasks.options import Targets
from fleet_tasks.plans import Wish
from tests.bench import Bench, Relay, relay
from tests.runs import ONE, going
from tests.waiting import eventually

BIG = 400_000_000
"""Bytes, of a file that takes no room: more than what lies between us and a device holds."""


@pytest.fixture
def big(bench: Bench) -> Path:
    with (bench.home / "big").open("wb") as file:
        file.truncate(BIG)
    return bench.home / "big"


def freezing(bench: Bench, link: Relay) -> Callable[[], bool]:
    """Freezes the link once the file is under way; says whether it was."""
    bench.registry(bench.home / "fleet.yaml", [], devices={ONE: bench.entry(link.place)}, defaults={"agent": "shell"})

    def frozen() -> bool:
        if link.sent > 5_000_000:
            link.freeze()
        return link.frozen

    return frozen


@pytest.mark.parametrize("command", [("put",), ("run", "--task", "sleep 600")], ids=["put", "run"])
@pytest.mark.parametrize("how", ["Ctrl-C", "deadline"])
def test_it_ends_when_it_is_told_to(bench: Bench, big: Path, command: tuple[str, ...], how: str) -> None:
    device = bench.device(ONE)
    words = ("--deadline", "8") if how == "deadline" else ()
    with relay(device.host, device.port, bench.sshd.public_key) as link:
        frozen = freezing(bench, link)
        with going(bench, *command, "-d", ONE, "--send", str(big), "-f", "json", *words) as work:
            assert eventually(frozen)
            if how == "Ctrl-C":
                work.signal(signal.SIGINT)
            said = work.end(40)
    assert said.code == (130 if how == "Ctrl-C" else 1), said
    assert "Traceback" not in said.stderr
    assert device.quiet()


def test_a_link_that_is_silent_for_too_long_is_lost(bench: Bench, big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "ROOM", 0.2)
    monkeypatch.setattr(transport, "QUIET", 1.0)
    monkeypatch.setattr(transport, "DEAD", 3.0)
    device = bench.device(ONE)
    with relay(device.host, device.port, bench.sshd.public_key) as link:
        freezer = threading.Thread(target=eventually, args=(freezing(bench, link),))
        with Fleet.load(bench.home / "fleet.yaml") as fleet:
            freezer.start()
            devices = fleet.choose(Targets(all=True))
            plan = fleet.plan_simple(Action.PUT, devices, Wish(send=(Send(str(big), "big"),)))
            (result,) = fleet.collect(plan).results
        freezer.join()
        assert link.frozen
    assert result.error is not None and result.error.code == "connection-lost", result
