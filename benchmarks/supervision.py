"""``python -m benchmarks.supervision``: what it costs to see to a task's end, beside the same command run bare.

Both go over one open connection to one device, one after another and in turns; what is told is the time and the
processes that a task takes, all of its shells included.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fleet_tasks import Bounds, Fleet, Targets, Wish
from fleet_tasks.actions.dispatch import dispatch
from fleet_tasks.stopping import Stopping
from fleet_tasks.worker import Worker
from tests.bench import Bench, running_sshd

TASKS = 200
ROUNDS = 5


def main() -> None:
    """Measure both in turns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.supervision", description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--task", default="true", metavar="COMMAND")
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_sshd(addresses=1) as sshd:
        bench = Bench(sshd, Path(folder))
        registry = bench.registry(Path(folder) / "fleet.yaml", ["deck"])
        os.environ.update(bench.environment(FLEET_STATE=f"{folder}/state"))
        with Fleet.load(registry) as fleet:
            ways = contestants(fleet, wishes.task, Path(folder) / "spool")
            measured: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
            for _round in range(wishes.rounds):
                for name, once in ways.items():
                    measured[name].append(measure(once, wishes.tasks))
    report(measured, wishes.tasks)


def contestants(fleet: Fleet, task: str, spool: Path) -> dict[str, Callable[[], None]]:
    """The two ways to run the task once, on the same connection."""
    plan = fleet.plan_dispatch(fleet.choose(Targets(all=True)), Wish(task=task, agent="shell"), Bounds())
    (visit,) = plan.visits
    connection = fleet.session.connections([visit.device], plan.connect_timeout)[visit.device.name]
    connection.open()
    stage = Worker(plan, fleet.agent, Stopping(), spool).stage(visit.device, connection, lambda sign: None)

    def supervised() -> None:
        if not (result := dispatch(stage, visit.jobs[-1])):
            raise SystemExit(f"The supervised task ended badly: {result.error}")

    def bare() -> None:
        if (found := connection.run(task, hide=True)).exited:
            raise SystemExit(f"The bare task ended with {found.exited}.")

    return {"bare": bare, "supervised": supervised}


def measure(once: Callable[[], None], tasks: int) -> tuple[float, int]:
    """Seconds and processes that so many tasks take."""
    processes, began = started(), time.perf_counter()
    for _task in range(tasks):
        once()
    return time.perf_counter() - began, started() - processes


def started() -> int:
    """How many processes this machine has started since its boot, everybody's counted (proc(5))."""
    (line,) = (line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("processes "))
    return int(line.split()[1])


def report(measured: dict[str, list[tuple[float, int]]], tasks: int) -> None:
    """A line a way: its best round, and how that compares to the bare one."""
    best = {name: (min(t for t, _ in rounds), min(n for _, n in rounds)) for name, rounds in measured.items()}
    sys.stdout.write(f"{tasks} tasks            ms a task  processes a task\n")
    for name, (seconds, processes) in best.items():
        sys.stdout.write(f"  {name:20}  {1000 * seconds / tasks:6.1f}  {processes / tasks:16.1f}\n")
    sys.stdout.write(f"  supervised / bare: {best['supervised'][0] / best['bare'][0]:.2f} times the time\n")


if __name__ == "__main__":
    main()
