"""Runs with mixed endings, one after another in one long-lived process: afterwards nothing is left and nothing grew.

``make test`` does a short one; ``make soak`` does FLEET_SOAK runs, 500 where nobody says otherwise.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_tasks.errors import Cancelled
from fleet_tasks.fleet import Fleet
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Chunk, Report, State
from tests.bench import Bench, relay
from tests.runs import ONE, TWO, folders
from tests.waiting import eventually

RUNS = int(os.environ.get("FLEET_SOAK", "25"))
WARM = 10
"""Runs before we count: by then every ending was seen once, and pools and modules are there."""


class Soak:
    """One fleet, used again and again; each way to end returns the states that it must come to."""

    def __init__(self, fleet: Fleet, cut: Callable[[], object]) -> None:
        self.fleet = fleet
        self.cut = cut
        self.runs: list[str] = []

    def ways(self) -> list[Callable[[], None]]:
        """Every way a run can end."""
        return [self.done, self.failed, self.timed_out, self.cancelled, self.lost, self.detached, self.stopped]

    def done(self) -> None:
        self.expect(self.run("echo done"), State.DONE)

    def failed(self) -> None:
        self.expect(self.run("exit 3"), State.FAILED)

    def timed_out(self) -> None:
        self.expect(self.run("setsid sleep 50 & sleep 600", timeout=1.0), State.TIMED_OUT)

    def cancelled(self) -> None:
        self.expect(self.run("echo begun; sleep 600", then=self.cancel), State.CANCELLED)

    def lost(self) -> None:
        self.expect(self.run("echo begun; sleep 600", then=self.cut, device=TWO), State.LOST)

    def detached(self) -> None:
        run = self.run("echo begun", detach=True).run
        self.expect(self.fleet.collect(self.fleet.plan_follow(run)), State.DONE)
        self.fleet.sweep(run)

    def stopped(self) -> None:
        run = self.run("echo begun; sleep 600", detach=True).run
        devices = self.fleet.devices_of(run)
        self.expect(self.fleet.collect(self.fleet.plan_stop(run, devices, 1.0)), State.DONE)
        self.expect(self.fleet.collect(self.fleet.plan_follow(run)), State.CANCELLED)
        self.fleet.sweep(run)

    def cancel(self) -> None:
        self.fleet.stopping.request(Cancelled("The run was interrupted."))

    def run(
        self, task: str, then: Callable[[], object] | None = None, device: str = ONE, **wishes: float | bool
    ) -> Report:
        """A run; ``then`` is called with its first line."""
        wish = Wish(task=task, agent="shell", stream=True, **wishes)  # type: ignore[arg-type]
        devices = self.fleet.choose(Targets(device=(device,)))
        self.fleet.renew()
        for item in self.fleet.carry_out(self.fleet.plan_dispatch(devices, wish, Bounds(grace=1.0))):
            if isinstance(item, Chunk) and then is not None:
                then()
                then = None
            if isinstance(item, Report):
                self.runs.append(item.run)
                return item
        raise AssertionError("the last item is always the report")

    @staticmethod
    def expect(report: Report, state: State) -> None:
        if [result.state for result in report.results] != [state]:
            going = subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=False).stdout
            pytest.fail(f"not {state.value}: {report}\n{going}")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_and_nothing_grows(bench: Bench) -> None:
    one, two = bench.devices(ONE, TWO)
    with relay(two.host, two.port, bench.sshd.public_key) as link:
        path = bench.registry(bench.home / "fleet.yaml", [ONE], devices={TWO: bench.entry(link.place)})
        with Fleet.load(path) as fleet:
            soak = Soak(fleet, link.cut)
            ways = soak.ways()
            threads = files = 0
            for number in range(RUNS):
                ways[number % len(ways)]()
                if number == WARM:
                    threads, files = threading.active_count(), descriptors()
            assert one.quiet() and two.quiet()
            assert [place for run in soak.runs for place in folders(run)] == []
            assert eventually(lambda: threading.active_count() <= threads + 4), threading.enumerate()
            assert eventually(lambda: descriptors() <= files + 8)
            assert len(soak.runs) == RUNS
