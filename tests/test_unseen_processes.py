"""What belongs to a task is found where there is no /proc, and in whatever order processes are listed."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fleet_tasks import scripts
from tests.bench import CLEAN_PATH, Bench
from tests.program import fleet
from tests.runs import ONE, folders, going
from tests.supervised import SHELLS, Supervised

PS = shutil.which("ps", path=CLEAN_PATH)
KINDS = {
    "as it is here": f'exec {PS} "$@"',
    # In a list with commas a heading is the rest of the word (POSIX, XCU, ps, -o).
    "one that keeps to POSIX": f'case "$*" in *=,*) {PS} -A -o pid="heading" ;; *) exec {PS} "$@" ;; esac',
    "one that fails": "exit 1",
}


class Blind(Supervised):
    """Scripts that believe there is no /proc."""

    @property
    def script(self) -> scripts.Script:
        """As ever, but for that."""
        script = super().script
        return replace(script, text=script.text.replace(b"/proc/", b"/nowhere/"))


@contextmanager
def blind(task: str, shell: str, folder: Path, ps: str) -> Iterator[Blind]:
    """One at work, with its own ``ps`` on the PATH."""
    (folder / "bin").mkdir()
    (folder / "bin" / "ps").write_text(f"#!/bin/sh\n{KINDS[ps]}\n")
    (folder / "bin" / "ps").chmod(0o755)
    program, *words = SHELLS[shell]
    env = {"PATH": f"{folder / 'bin'}:{CLEAN_PATH}", "HOME": str(folder), "TMPDIR": str(folder)}
    work = Blind(task)
    try:
        yield work.start([shutil.which(program, path=CLEAN_PATH) or program, *words, "-s"], env)  # type: ignore[misc]
    finally:
        work.close()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("ps", KINDS)
def test_without_proc_the_tree_is_ended(tmp_path: Path, shell: str, ps: str) -> None:
    # Where nobody tells of other processes, those in the task's own group are what can be reached.
    lead = "" if ps == "one that fails" else "setsid"
    task = f"""
{lead} sh -c ': >a; exec sleep 998' &
({lead} sh -c ': >b; exec sleep 997' & wait) &
(sh -c ': >c; exec sleep 999' & wait) &
until [ -e a ] && [ -e b ] && [ -e c ]; do sleep 0.1; done
echo begun
wait
"""
    with blind(task, shell, tmp_path, ps) as work:
        work.until_said(b"begun")
        work.send(b"stop\n")
        ended = work.end()
        assert ended.why == "cancelled" and work.alive() == 0
        assert ended.left == () or ps == "one that fails"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_child_that_is_listed_before_its_parent_is_found(shell: str) -> None:
    rows = "10019 10017 10017 10017 10017 9978 10017 10017 1 0 1 1 20 1 20 20 9978 1 9978 9978 9979 20 20 20"
    text = f"""{scripts.shell_file("prelude")}
{scripts.shell_file("supervisor")}
ft_newest() {{ return 1; }}
ft_rows_from_proc() {{ ft_marked=; ft_rows=" {rows}"; }}
ft_child=9978 ft_left='' ft_self=20 ft_timer=21 ft_watcher=22 ft_mark=none
ft_survey
echo $ft_left
"""
    said = subprocess.run([*SHELLS[shell], "-s"], input=text, capture_output=True, text=True, check=True)
    assert sorted(said.stdout.split()) == ["10017", "10019", "9978"], said


def test_a_stubborn_attached_run_is_ended_too(bench: Bench) -> None:
    bench.registry(bench.home / "fleet.yaml", [ONE], defaults={"agent": "shell"})
    device = bench.device(ONE)
    task = "trap '' TERM; echo begun; while :; do sleep 1; done"
    with going(bench, "run", "-d", ONE, "--task", task, "--grace", "60", "--stream", "-f", "json") as attached:
        attached.until("begun")
        (row,) = fleet(bench, "ps", "-f", "json").document["runs"]
        run = row["run"]
        with going(bench, "stop", "--run", run, "--grace", "1", "-f", "json") as stop:
            said = stop.end(60)
        assert said.results[0]["state"] == "done", said
        assert device.quiet() and not folders(run)
        attached.signal(signal.SIGINT)
        attached.end(60)
