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
from tests.bench import CLEAN_PATH, Bench, end, lives
from tests.program import fleet
from tests.runs import ONE, folders, going
from tests.supervised import SHELLS, Supervised, supervised

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


#: A process that turns into another program while it is looked at: on a real one that takes some microseconds.
TURNING = """
mkdir proc proc/self proc/9 proc/20
printf '9 (stranger) S 1 9 9 %s 555\n' "$FIELDS" | tee proc/self/stat >proc/9/stat
printf '0 0 0 1/2 20\n' >proc/loadavg
printf 'FLEET_MARK=of-another' >proc/9/environ
printf '20 (daemon) R 1 20 20 %s 0\n' "$FIELDS" >proc/20/stat
: >proc/20/environ
grep() {
    command grep "$@"
    ft_found=$?
    printf '20 (daemon) S 1 20 20 %s 777\n' "$FIELDS" >proc/20/stat
    printf 'FLEET_MARK=mine' >proc/20/environ
    return $ft_found
}
ft_child=8 ft_left='' ft_self=7 ft_timer=21 ft_watcher=22 ft_mark=mine
"""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("look", ["ft_lurks '' && echo 20", "ft_survey; echo $ft_left"], ids=["sweep", "survey"])
def test_a_process_that_turns_into_another_program_is_found(tmp_path: Path, shell: str, look: str) -> None:
    fields = " ".join(str(field) for field in range(7, 51))
    text = f"{scripts.shell_file('prelude')}\n{scripts.shell_file('supervisor')}\n{TURNING}ft_newest\n{look}\n"
    said = subprocess.run(
        [*SHELLS[shell], "-s"],
        input=text.replace("/proc/", "proc/"),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": CLEAN_PATH, "FIELDS": fields},
    )
    assert said.stdout.split() == ["20"], said


@pytest.mark.parametrize("shell", SHELLS)
def test_one_that_never_stops_turning_is_ended(tmp_path: Path, shell: str) -> None:
    (tmp_path / "again").write_text('#!/bin/sh\nexec "$0"\n')
    (tmp_path / "again").chmod(0o755)
    program, *words = SHELLS[shell]
    command = [shutil.which(program, path=CLEAN_PATH) or program, *words, "-s"]
    env = {"PATH": CLEAN_PATH, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    task = 'setsid sh -c \'echo $$ >"$HOME/pid"; exec "$HOME/again"\' & until [ -s "$HOME/pid" ]; do :; done'
    for _ in range(2):
        with supervised(task, command, env) as work:
            ended = work.end()
        pid = int((tmp_path / "pid").read_text())
        (tmp_path / "pid").unlink()
        left = lives(pid)
        end([pid])
        assert (ended.why, ended.left, left) == ("ended", (), False)


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
