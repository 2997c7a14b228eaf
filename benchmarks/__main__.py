"""``make bench``: the time a whole command takes, best of a few rounds, in one table."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import Bench, running_sshd

#: Rounds alternate between the programs, so that a busy moment of the machine hits all of them.
ROUNDS = 5
SIZES = (1, 50, 200)
FANOUT = "32"


@dataclass(frozen=True)
class Contestant:
    """A program and the command line that makes it do the measured work."""

    name: str
    command: Sequence[str]


def main() -> None:
    """Measure dispatch on more and more devices, then how long programs take to start."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--devices", type=int, nargs="*", default=SIZES, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_sshd(addresses=max(wishes.devices)) as sshd:
        bench = Bench(sshd, Path(folder))
        for size in wishes.devices:
            names = [f"d{number}" for number in range(1, size + 1)]
            registry = bench.registry(Path(folder) / f"fleet{size}.yaml", names)
            environment = bench.environment(FLEET_STATE=f"{folder}/state", FLEET_REGISTRY=str(registry))
            contestants = [ours(), *peers(bench, names)]
            report(f"true on {size} devices", contestants, environment, wishes.rounds)
        report("start-up", list(starts()), environment, wishes.rounds)


def ours() -> Contestant:
    """The product's own command."""
    words = ["dispatch", "--all", "--agent", "shell", "--task", "true", "--quiet", "-j", FANOUT]
    return Contestant("fleet dispatch", [sys.executable, "-m", "fleet_tasks", *words])


def peers(bench: Bench, names: Sequence[str]) -> Iterator[Contestant]:
    """The other programs that are here, each with as many connections at once."""
    devices = [bench.device(name) for name in names]
    settings = bench.home / "ssh_config"
    settings.write_text(
        f"Host *\nUser {devices[0].user}\nPort {devices[0].port}\nIdentityFile {bench.key}\nIdentitiesOnly yes\n"
        f"BatchMode yes\nStrictHostKeyChecking yes\nUserKnownHostsFile {bench.known_hosts}\nLogLevel ERROR\n"
    )
    hosts = bench.home / f"hosts{len(names)}"
    hosts.write_text("".join(f"{device.host}\n" for device in devices))
    addresses = ",".join(device.host for device in devices)
    found = Path(sys.executable).with_name("clush")
    if found.exists():
        yield Contestant("clush", [str(found), "-f", FANOUT, "-o", f"-F {settings}", "-w", addresses, "true"])
    for name in ("pssh", "parallel-ssh"):
        if shutil.which(name):
            yield Contestant(name, [name, "-p", FANOUT, "-x", f"-F {settings}", "-h", str(hosts), "true"])
            return
    sys.stderr.write("pssh is not here: its column is missing (apt install pssh).\n")


def starts() -> Iterator[Contestant]:
    """Commands that visit nothing: what is left is the time to start."""
    yield Contestant("python -c pass", [sys.executable, "-c", "pass"])
    yield Contestant("fleet device.list", [sys.executable, "-m", "fleet_tasks", "device.list"])
    fab = Path(sys.executable).with_name("fab")
    if fab.exists():
        yield Contestant("fab --list", [str(fab), "--list"])


def report(title: str, contestants: Sequence[Contestant], environment: Mapping[str, str], rounds: int) -> None:
    """Measure each in turns and write down its best time and its middle one, in seconds."""
    times: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for _round in range(rounds):
        for contestant in contestants:
            times[contestant.name].append(measure(contestant, environment))
    sys.stdout.write(f"\n{title:24}  best  middle\n")
    for name, measured in times.items():
        sys.stdout.write(f"  {name:20}  {min(measured):6.2f}  {sorted(measured)[len(measured) // 2]:6.2f}\n")
    sys.stdout.flush()


def measure(contestant: Contestant, environment: Mapping[str, str]) -> float:
    """The wall time of one run, in seconds; a run that fails ends the measuring."""
    began = time.perf_counter()
    done = subprocess.run(
        contestant.command,
        env=environment,
        stdin=subprocess.DEVNULL,  # clush waits for what it could pass on
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise SystemExit(
            f"{contestant.name} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
