"""A process of a task that will not go is told of, with its device, its id and the command to look for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import Bench, BenchDevice, end
from tests.program import fleet
from tests.runs import ONE, detach, folders
from tests.waiting import eventually

#: A shell whose kill reaches none of the processes named in ~/others: as if they were another login's.
SHELL = """#!/bin/bash
kill() {
    local word reached=()
    for word; do grep -qsx -- "${word#-}" "$HOME/others" || reached+=("$word"); done
    [ ${#reached[@]} -eq $# ] && builtin kill "$@" && return
    [ ${#reached[@]} -gt 1 ] && builtin kill "${reached[@]}"
    return 1
}
export -f kill
exec /bin/bash --posix "$@"
"""
OTHERS = "setsid sleep 1000 >/dev/null 2>&1 & echo $! >~/others; echo begun"


@pytest.fixture
def one(bench: Bench) -> Iterator[BenchDevice]:
    path = bench.bin(also=("setsid",))
    shell = Path(path, "sh")
    shell.unlink()
    shell.write_text(SHELL)
    shell.chmod(0o755)
    device = bench.device(ONE, path=path)
    bench.registry(bench.home / "fleet.yaml", [ONE])
    yield device
    assert device.quiet(0), "the test left the process"


def ended(device: BenchDevice) -> int:
    """Ends the one process that is left, which nobody there could; its id."""
    (left,) = device.processes()
    end([left.pid])
    assert device.quiet()
    return left.pid


def test_a_task_that_leaves_a_process_is_not_verified(bench: Bench, one: BenchDevice) -> None:
    said = fleet(bench, "run", "-d", ONE, "--task", OTHERS, "--grace", "0", "-f", "json")
    pid = ended(one)
    (entry,) = said.results
    assert (said.code, entry["state"], entry["stdout"]) == (1, "failed", "begun\n")
    assert entry["error"] == {
        "code": "not-verified",
        "message": f"Processes of the task are still there on {ONE}: {pid}.",
        "guidance": f"Look: ssh -p {one.port} -i {one.key} {one.user}@{one.host} ps -fp {pid}",
    }


def test_a_stop_that_leaves_a_process_is_not_verified(bench: Bench, one: BenchDevice) -> None:
    run = detach(bench, f"{OTHERS}; sleep 1000", "--grace", "0")
    assert eventually((one.home / "others").exists)
    said = fleet(bench, "stop", "--run", run, "--grace", "0", "-f", "json")
    kept = folders(run)
    pid = ended(one)
    (entry,) = said.results
    assert (said.code, entry["state"]) == (1, "failed")
    assert entry["error"] == {
        "code": "not-verified",
        "message": f"Still there on {ONE}: processes {pid}.",
        "guidance": f"Look: ssh -p {one.port} -i {one.key} {one.user}@{one.host} ps -fp {pid}",
    }
    assert kept, "with the folder goes what is known of the process"
    assert fleet(bench, "stop", "--run", run).code == 0
