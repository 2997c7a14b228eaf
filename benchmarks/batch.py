"""``python -m benchmarks.batch``: many short tasks on a few devices, beside GNU parallel and xargs with ssh.

Every program gets the same devices, the same server and as many tasks at a time; rounds alternate. What is told is the
wall time of the whole command, start included, and tasks per second. With ``--queued N`` also how long it takes until
the first of N queued tasks is at work on a device, and the most memory the command held until then.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.__main__ import Contestant, measure
from tests.bench import Bench, running_sshd

ROUNDS = 3
OURS = (sys.executable, "-m", "fleet_tasks")


def main() -> None:
    """Measure the contestants in turns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--tasks", type=int, default=500, metavar="N")
    parser.add_argument("--devices", type=int, default=8, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--queued", type=int, nargs="*", default=[], metavar="N")
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_sshd(addresses=wishes.devices) as sshd:
        bench = Bench(sshd, Path(folder))
        names = [f"d{number}" for number in range(1, wishes.devices + 1)]
        registry = bench.registry(Path(folder) / "fleet.yaml", names)
        environment = bench.environment(FLEET_STATE=f"{folder}/state", FLEET_REGISTRY=str(registry))
        times: dict[str, list[float]] = {}
        for _round in range(wishes.rounds):
            for contestant in contestants(bench, names, wishes.tasks):
                times.setdefault(contestant.name, []).append(measure(contestant, environment))
        report(times, wishes.tasks, wishes.devices)
        for count, kind in itertools.product(wishes.queued, QUEUES):
            begun = sorted(start(bench, kind, count, environment) for _round in range(wishes.rounds))
            (best, peak), (middle, _) = begun[0], begun[len(begun) // 2]
            told = f"{best:.2f} s at best, {middle:.2f} s in the middle, {peak / 1024:.0f} MiB"
            sys.stdout.write(f"{count} tasks queued as {kind}: the first at work after {told}\n")


def contestants(bench: Bench, names: Sequence[str], count: int) -> Iterator[Contestant]:
    """Ours, and the other programs that are here."""
    tasks = bench.home / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"task": f"echo {number}"}) + "\n" for number in range(count)))
    words = ["batch", "--all", "--agent", "shell", "--file", str(tasks), "--quiet"]
    yield Contestant("fleet batch", [*OURS, *words])
    yield Contestant("xargs -P, one ssh a task", ["sh", "-c", _xargs(bench, names, count)])
    if shutil.which("parallel"):
        for name, options in (
            ("parallel --sshlogin", []),
            ("parallel, ControlMaster", _masters(bench)),
        ):
            yield Contestant(name, ["sh", "-c", _parallel(bench, names, count, options)])
    else:
        sys.stderr.write("parallel is not here: its rows are missing (apt install parallel).\n")


def start(bench: Bench, kind: str, count: int, environment: Mapping[str, str]) -> tuple[float, int]:
    """Seconds until the first of so many tasks is at work, and the most KiB held until then (VmHWM: proc(5))."""
    mark = bench.home / f"mark-{count}"
    mark.unlink(missing_ok=True)
    words = QUEUES[kind](bench.home / f"queued-{count}", count, mark)
    began = time.perf_counter()
    with subprocess.Popen(
        [*OURS, "batch", "--all", "--agent", "shell", *words, "--quiet"], env=environment, stdout=subprocess.DEVNULL
    ) as process:
        while not mark.exists():
            time.sleep(0.002)
        seconds = time.perf_counter() - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.kill()
    bench.gone(str(mark), 10)
    return seconds, next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def _json_lines(place: Path, count: int, mark: Path) -> list[str]:
    rows = ({"id": f"t{number}", "task": _marking(mark)} for number in range(count))
    path = place.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--file", str(path)]


def _yaml(place: Path, count: int, mark: Path) -> list[str]:
    path = place.with_suffix(".yaml")
    entries = (f"  - id: t{number}\n    task: {_marking(mark)}\n" for number in range(count))
    path.write_text("tasks:\n" + "".join(entries))
    return ["--file", str(path)]


def _each(place: Path, count: int, mark: Path) -> list[str]:
    place.mkdir(exist_ok=True)
    for number in range(count):
        (place / f"{number}.log").touch()
    return ["--each", f"{place}/*.log", "--task", _marking(mark)]


def _marking(mark: Path) -> str:
    return f"echo >{shlex.quote(str(mark))}; sleep 30"


QUEUES = {"JSON lines": _json_lines, "YAML": _yaml, "--each": _each}
"""The ways to write many tasks down: each gives the words of the command."""


def report(times: dict[str, list[float]], tasks: int, devices: int) -> None:
    """Write down each contestant's best and middle time, in seconds, and its best rate."""
    sys.stdout.write(f"\n{f'{tasks} tasks on {devices} devices':28}  best  middle  tasks/s\n")
    for name, measured in times.items():
        best, middle = min(measured), sorted(measured)[len(measured) // 2]
        sys.stdout.write(f"  {name:26}  {best:6.2f}  {middle:6.2f}  {tasks / best:6.0f}\n")


def _masters(bench: Bench) -> list[str]:
    return ["-o", "ControlMaster=auto", "-o", f"ControlPath={bench.home}/%C", "-o", "ControlPersist=2"]


def _login(bench: Bench, name: str, options: Sequence[str] = ()) -> str:
    return shlex.join(bench.ssh(name, *options))


def _xargs(bench: Bench, names: Sequence[str], count: int) -> str:
    """As many at a time as there are devices; a task's number says which is its own, for xargs has no queue."""
    choice = " ".join(f"{number}) exec {_login(bench, name)} echo $1;;" for number, name in enumerate(names))
    script = f"case $(($1 % {len(names)})) in {choice} esac"
    return f"seq 0 {count - 1} | xargs -P {len(names)} -n 1 sh -c {shlex.quote(script)} sh"


def _parallel(bench: Bench, names: Sequence[str], count: int, options: Sequence[str]) -> str:
    """One job at a time on each login, each given by its whole ssh command."""
    logins = bench.home / f"logins{len(options)}"
    logins.write_text("".join(f"1/{_login(bench, name, options)}\n" for name in names))
    return f"seq 0 {count - 1} | parallel --will-cite --sshloginfile {shlex.quote(str(logins))} echo"


if __name__ == "__main__":
    main()
