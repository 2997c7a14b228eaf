"""Every run ends: the supervisor under each shell that may be a device's ``sh``, and over a real SSH server."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fleet_tasks import scripts
from tests.bench import CLEAN_PATH, PATIENCE, POSIX, Bench, gone, relay
from tests.supervised import SHELLS, Supervised, supervised

Start = Callable[..., AbstractContextManager[Supervised]]

STUBBORN = """trap '' TERM HUP INT
echo begun
while :; do sleep 1; done
"""


class Place:
    """A device without SSH: a shell, a PATH, a temporary folder."""

    def __init__(self, shell: str, folder: Path) -> None:
        self.shell = shell
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        self.home = folder / "at-home"
        self.home.mkdir()
        self.program = shutil.which(SHELLS[shell][0], path=CLEAN_PATH)

    def start(self, task: str, path: str = CLEAN_PATH, **more: object) -> AbstractContextManager[Supervised]:
        program, *words = SHELLS[self.shell]
        assert self.program is not None, f"There is no {program}."
        env = {"PATH": path, "HOME": str(self.home), "TMPDIR": str(self.tmp)}
        return supervised(task, [self.program, *words, "-s"], env, **more)

    def left(self) -> list[str]:
        """Folders and files of runs."""
        return [found.name for above in (self.tmp, self.home) for found in above.iterdir()]


@pytest.fixture(params=SHELLS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(request.param, tmp_path)
    yield place
    assert place.left() == [], "a run's folder was left behind"


@pytest.fixture
def start(place: Place) -> Start:
    return place.start


def posix_only(folder: Path, also: tuple[str, ...] = ()) -> str:
    """A PATH with nothing but the utilities of POSIX: no setsid, timeout, tar, sha256sum, perl, python, busybox."""
    folder.mkdir()
    for name in POSIX | {"sh", *also}:
        found = shutil.which(name, path=CLEAN_PATH)
        if found:
            (folder / name).symlink_to(found)
    return str(folder)


def waits(pid: int) -> bool:
    """Whether the supervisor has started the task, its timer and its watcher, and sleeps."""
    parents = []
    for found in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = found.read_text(errors="replace").rpartition(")")[2].split()
            parents.append(parent)
            if found.parent.name == str(pid) and state != "S":
                return False
    return parents.count(str(pid)) == 3


# -- a task that ends by itself ---------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 127, 128, 130, 255])
def test_an_exit_status_comes_back_exactly(start: Start, status: int) -> None:
    with start(f"exit {status}") as work:
        ended = work.end()
        assert (ended.status, ended.why, ended.left) == (status, "ended", ())
        assert work.nothing_left()


@pytest.mark.parametrize("name", ["HUP", "KILL", "SEGV", "TERM", "ALRM", "USR1"])
def test_a_signal_comes_back_exactly(start: Start, name: str) -> None:
    with start(f"kill -{name} $$") as work:
        ended = work.end()
        assert (ended.status, ended.why) == (128 + getattr(signal, f"SIG{name}"), "ended")
        assert work.nothing_left()


def test_both_streams_are_separate_and_exact(start: Start, place: Place) -> None:
    every = bytes(range(256)) * 300
    (place.home / "bytes").write_bytes(every)
    task = 'cat "$HOME/bytes"; cat "$HOME/bytes" "$HOME/bytes" >&2; printf "no newline at the end"; rm "$HOME/bytes"'
    with start(task) as work:
        ended = work.end()
        assert ended.stdout == every + b"no newline at the end"
        assert ended.stderr == every * 2


def test_the_task_reads_the_null_device_and_finds_no_other_descriptor(start: Start) -> None:
    task = 'cat; for fd in 3 4 5 6 7 8 9; do (: <&$fd) 2>/dev/null && echo "open: $fd"; done; echo through'
    with start(task) as work:
        assert work.end().stdout == b"through\n"


def test_the_task_ignores_no_signal_but_what_every_background_command_does(start: Start) -> None:
    with start("grep ^SigIgn: /proc/self/status") as work:
        ignored = int(work.end().stdout.split()[1], 16)
        here = int(Path("/proc/self/status").read_text().partition("SigIgn:")[2].split()[0], 16)
        usual = 1 << (signal.SIGINT - 1) | 1 << (signal.SIGQUIT - 1)  # POSIX, 2.11: asynchronous lists ignore both
        assert ignored & ~here & ~usual == 0, f"{ignored:x}"


def test_what_the_task_may_see(start: Start) -> None:
    exported = {"FLEET_RUN": "01J", "QUOTED": """it's "$HOME" `x`\n\\"""}
    with start('printf "%s|%s|%s|" "$FLEET_RUN" "$QUOTED" "$(env | grep -c "^ft_")"', exported=exported) as work:
        assert work.end().stdout == f"01J|{exported['QUOTED']}|0|".encode()


# -- a task that leaves something behind ------------------------------------------------------

LEAVERS = {
    "a child in the background": "sleep 1000 & exit 3",
    "a child that holds stdout": "sleep 1000 2>/dev/null & echo out; exit 3",
    "a child that ignores TERM": "(trap '' TERM; sleep 1000; sleep 1000) & exit 3",
    "a double fork": "(sleep 1000 &) & wait; exit 3",
    "a daemon in a session of its own": "setsid sleep 1000 >/dev/null 2>&1 & exit 3",
    "a daemon of a daemon": "setsid sh -c 'setsid sleep 1000 & exec setsid sleep 999' & exit 3",
    "nohup": "nohup sleep 1000 >/dev/null 2>&1 & exit 3",
    "a stopped child": "sleep 1000 & kill -STOP $!; exit 3",
}


@pytest.mark.parametrize("task", LEAVERS.values(), ids=LEAVERS)
def test_what_a_task_leaves_behind_is_ended_with_it(start: Start, task: str) -> None:
    with start(task) as work:
        ended = work.end()
        assert (ended.status, ended.why, ended.left) == (3, "ended", ())
        assert work.alive() == 0, "it said exit, and something runs on"


def test_a_task_that_closes_its_streams_but_runs_on(start: Start) -> None:
    with start("echo one; exec >&- 2>&-; sleep 0.5 || sleep 1; exit 5") as work:
        ended = work.end()
        assert (ended.status, ended.stdout) == (5, b"one\n")
        assert ended.seconds >= 0.5


# -- causes -----------------------------------------------------------------------------------

STAYERS = {
    "an obedient task": "echo begun; exec sleep 1000",
    "a task that ignores TERM": STUBBORN,
    "a double fork that ignores TERM": f"(trap '' TERM; (sh -c '{'sleep 1000; ' * 3}') & echo begun; wait) & wait",
    "a daemon in a session of its own": "setsid sleep 1000 >/dev/null 2>&1 & echo begun; wait",
    "a daemon whose environment was emptied": "env -i setsid sleep 1000 & sleep 0.3 || sleep 1; echo begun; wait",
    "a task that closed its streams": "echo begun; exec >&- 2>&-; sleep 1000",
    "a stopped task": "echo begun; kill -STOP $$; sleep 1000",
    "a task that starts another for each that ends": "echo begun; trap 'sleep 1000 &' TERM; while :; do sleep 9; done",
}


@pytest.mark.parametrize("task", STAYERS.values(), ids=STAYERS)
def test_the_word_stop_ends_it(start: Start, task: str) -> None:
    with start(task) as work:
        work.until_said(b"begun")
        work.send(b"stop\n")
        ended = work.end()
        assert (ended.why, ended.left, ended.stdout) == ("cancelled", (), b"begun\n")
        assert work.alive() == 0


@pytest.mark.parametrize("task", STAYERS.values(), ids=STAYERS)
def test_a_laptop_that_is_gone_ends_it(start: Start, task: str) -> None:
    with start(task, ticks=25 if task is STUBBORN else 2) as work:
        work.until_said(b"begun")
        since = time.monotonic()
        work.hang_up()
        ended = work.end()
        assert (ended.why, ended.left) == ("gone", ())
        assert work.alive() == 0
        assert time.monotonic() - since < PATIENCE, "ten seconds are promised, and a busy machine has more"


@pytest.mark.parametrize("task", [STUBBORN, STAYERS["a daemon in a session of its own"]], ids=["stubborn", "daemon"])
def test_the_deadline_is_kept_on_the_device(start: Start, task: str) -> None:
    with start(task, timeout=1) as work:
        work.until_said(b"begun")
        ended = work.end()
        assert (ended.why, ended.left, ended.stdout) == ("timed-out", (), b"begun\n")
        assert work.alive() == 0
        assert 1 <= ended.seconds < PATIENCE


def test_the_laptop_may_say_that_time_is_over(start: Start) -> None:
    with start("echo begun; sleep 1000") as work:
        work.until_said(b"begun")
        work.send(b"timeout\n")
        assert work.end().why == "timed-out"


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_a_supervisor_that_is_told_to_go_takes_the_task_along(start: Start, name: str) -> None:
    with start("echo begun; sleep 1000") as work:
        work.until_said(b"begun")
        until = time.monotonic() + PATIENCE
        while not waits(work.process.pid) and time.monotonic() < until:
            time.sleep(0.01)  # the task is there a moment before the supervisor is ready
        work.process.send_signal(getattr(signal, f"SIG{name}"))
        assert work.end().why == "gone"
        assert work.alive() == 0


def test_a_supervisor_that_was_killed_leaves_a_watcher_that_does_its_work(start: Start, place: Place) -> None:
    with start(f"setsid sleep 999 & {STUBBORN}") as work:
        work.until_said(b"begun")
        work.process.kill()
        work.process.wait()
        work.hang_up()
        assert gone(str(place.tmp)), "the task, the timer or the watcher is left"


def test_a_task_that_kills_its_supervisor_gains_nothing(start: Start, place: Place) -> None:
    with start("kill -KILL $PPID; setsid sleep 999 & sleep 998") as work:
        work.process.wait()
        work.hang_up()
        assert gone(str(place.tmp)), "the task, the timer or the watcher is left"


def test_a_supervisor_killed_the_moment_the_task_is_there(
    start: Start, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = scripts.shell_file, "    ft_child=$!\n"
    assert real("supervisor").count(begun) == 1
    monkeypatch.setattr(scripts, "shell_file", lambda name: real(name).replace(begun, f"{begun}    sleep 3\n"))
    with start("kill -KILL $PPID; echo begun >&2; setsid sleep 999 & sleep 998") as work:
        work.process.wait()
        work.hang_up()
        assert gone(str(place.tmp)), "nobody was there yet to notice"
        assert gone(work.mark)


def test_the_first_cause_counts(start: Start) -> None:
    with start(STUBBORN.replace("trap ''", "trap 'echo asked'"), ticks=5) as work:
        work.until_said(b"begun")
        work.send(b"timeout\n")
        work.until_said(b"asked")
        work.send(b"stop\nstop\n")
        work.hang_up()
        assert work.end().why == "timed-out"
        assert work.alive() == 0


def test_causes_without_end_are_one_and_nobody_else_is_ended(start: Start) -> None:
    """A signal that comes while another is dealt with must not make strangers look like processes of the task."""
    strangers = [subprocess.Popen(["sleep", "60"]) for _ in range(60)]
    with start(STUBBORN, ticks=10) as work:
        work.until_said(b"begun")
        while work.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                work.send(b"stop\ntimeout\n")
        ended = work.end()
        assert (ended.left, work.alive()) == ((), 0)
    alive = [stranger.poll() is None for stranger in strangers]
    for stranger in strangers:
        stranger.kill()
        stranger.wait()
    assert all(alive)


def test_a_task_has_the_grace_to_end_well(start: Start) -> None:
    task = "trap 'sleep 0.5 || sleep 1; echo saved; exit 9' TERM; echo begun; while :; do sleep 0.1 || sleep 1; done"
    with start(task, ticks=500) as work:
        work.until_said(b"begun")
        work.send(b"stop\n")
        ended = work.end()
        assert (ended.status, ended.why, ended.stdout) == (9, "cancelled", b"begun\nsaved\n")
        assert ended.seconds < PATIENCE


def test_a_task_without_grace_is_killed_at_once(start: Start) -> None:
    with start(STUBBORN, ticks=0) as work:
        work.until_said(b"begun")
        since = time.monotonic()
        work.send(b"stop\n")
        ended = work.end()
        assert (ended.status, ended.why) == (137, "cancelled")
        assert time.monotonic() - since < PATIENCE


def test_words_that_nobody_understands_are_passed_over(start: Start, place: Place) -> None:
    with start('until rm "$HOME/go" 2>/dev/null; do sleep 0.1 || sleep 1; done; exit 4') as work:
        work.until(lambda: work.frame("started") is not None)
        work.send(b"please\n\n$(exit)\n\xff\nstop it\n")
        (place.home / "go").touch()
        ended = work.end()
        assert (ended.status, ended.why) == (4, "ended")


# -- a task that fills the pipe ---------------------------------------------------------------


@pytest.mark.parametrize("cause", ["stop", "timeout", "gone"])
def test_a_task_that_fills_the_pipe_ends_while_nobody_reads(start: Start, cause: str) -> None:
    with start("yes | tee /dev/stderr", deaf=True, timeout=1 if cause == "timeout" else 60) as work:
        deadline = time.monotonic() + 20
        while work.alive() < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        if cause == "stop":
            work.send(b"stop\n")
        elif cause == "gone":
            work.hang_up()
        assert work.nothing_left(), "it waits for a reader"
        work.listen()
        ended = work.end()
        assert ended.why == {"stop": "cancelled", "timeout": "timed-out"}.get(cause, cause)
        assert ended.stdout.startswith(b"y\ny\n")


def test_much_output_comes_back_whole(start: Start) -> None:
    with start("yes 0123456789abcde | head -c 16000000") as work:
        ended = work.end()
        assert len(ended.stdout) == 16_000_000
        assert ended.stdout == b"0123456789abcde\n" * 1_000_000


# -- many -------------------------------------------------------------------------------------

THOUSAND = "n=0; while [ $n -lt 1000 ]; do sleep 1000 & n=$((n + 1)); done; echo begun; wait"


def test_a_thousand_children_are_ended(start: Start) -> None:
    with start(THOUSAND) as work:
        work.until_said(b"begun")
        assert work.alive() > 1000
        work.send(b"stop\n")
        ended = work.end()
        assert (ended.why, ended.left) == ("cancelled", ())
        assert work.alive() == 0


# -- a device that lacks things ---------------------------------------------------------------

LEADERS = {
    "setsid": ("setsid",),
    "busybox": ("busybox",),
    "perl": ("perl",),
    "python3": ("python3",),
    "nothing that makes a session": (),
}


@pytest.fixture(params=["dash", "busybox"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., AbstractContextManager[Supervised]]]:
    """Starts tasks under a shell that makes no session, with a PATH that holds POSIX and what is named."""
    place = Place(request.param, tmp_path)
    if request.param == "busybox":
        place.program = without_setsid(tmp_path / "busybox")

    def start(task: str, also: tuple[str, ...], **more: object) -> AbstractContextManager[Supervised]:
        return place.start(task, path=posix_only(tmp_path / "bin", also), **more)

    yield start
    assert place.left() == [], "a run's folder was left behind"


def without_setsid(file: Path) -> str:
    """A busybox that knows no setsid, and finds busybox on the PATH alone: its own list of names is changed."""
    found = shutil.which("busybox", path=CLEAN_PATH)
    assert found is not None
    # The list of names begins with those of test, is sorted and stays so; the same words elsewhere are the linker's.
    own = re.compile(rb"\0\[\0\[\[\0([a-z0-9_.+-]+\0)+")
    program, lists = own.subn(lambda names: _renamed(names[0]), Path(found).read_bytes())
    assert lists == 1
    file.write_bytes(program)
    file.chmod(0o755)
    assert subprocess.run([file, "setsid", "true"], capture_output=True).returncode == 127
    return str(file)


def _renamed(names: bytes) -> bytes:
    return names.replace(b"\0setsid\0", b"\0setsie\0").replace(b"\0busybox\0", b"\0busybow\0")


@pytest.mark.parametrize("also", LEADERS.values(), ids=LEADERS)
def test_any_way_to_a_session_does(bare: Start, also: tuple[str, ...]) -> None:
    with bare('read -r _ _ _ _ _ sid _ </proc/$$/stat; echo "$sid" $$; exit 7', also) as work:
        ended = work.end()
        assert (ended.status, ended.why) == (7, "ended")
        sid, pid = ended.stdout.split()
        assert (sid == pid) == bool(also)


@pytest.mark.parametrize(
    ("also", "cause"), [*((also, "gone") for also in LEADERS.values()), ((), "stop"), ((), "timeout")]
)
def test_without_session_or_timeout_programs_the_tree_is_ended(
    bare: Start, also: tuple[str, ...], cause: str
) -> None:
    setsid = shutil.which("setsid", path=CLEAN_PATH)
    task = f"(trap '' TERM; sleep 1000; sleep 999) & (sleep 998 &) & {setsid} sleep 997 & sleep 1; echo begun; wait"
    with bare(task, also, timeout=2 if cause == "timeout" else 60) as work:
        work.until_said(b"begun")
        if cause == "stop":
            work.send(b"stop\n")
        elif cause == "gone":
            work.hang_up()
        ended = work.end()
        assert (ended.why, ended.left) == ({"stop": "cancelled", "timeout": "timed-out"}.get(cause, cause), ())
        assert work.alive() == 0


def test_without_session_programs_what_was_left_is_swept(bare: Start) -> None:
    setsid = shutil.which("setsid", path=CLEAN_PATH)
    with bare(f"sleep 1000 & (sleep 999 &) & {setsid} sleep 998 & exit 3", ()) as work:
        ended = work.end()
        assert (ended.status, ended.why, ended.left) == (3, "ended", ())
        assert work.alive() == 0


# -- a lease ----------------------------------------------------------------------------------


def test_a_laptop_that_falls_silent_ends_the_task_when_its_lease_is_over(start: Start) -> None:
    with start("echo begun; sleep 1000", values={"lease": 1}) as work:
        work.until_said(b"begun")
        ended = work.end()
        assert (ended.why, ended.left) == ("gone", ())
        assert ended.seconds < PATIENCE
        assert work.alive() == 0


def test_a_laptop_that_gives_signs_of_life_keeps_its_lease(start: Start, place: Place) -> None:
    task = 'until rm "$HOME/go" 2>/dev/null; do sleep 0.1 || sleep 1; done; exit 4'
    with start(task, values={"lease": 1}) as work:
        since = time.monotonic()
        while time.monotonic() < since + 2.5:
            work.send(b"alive\n")
            time.sleep(0.1)
        (place.home / "go").touch()
        ended = work.end()
        assert (ended.status, ended.why) == (4, "ended")


# -- what it costs ----------------------------------------------------------------------------


ALONE = ("unshare", "--pid", "--fork", "--mount-proc")
COUNTED = '"$@" >/dev/null 2>&1; true & echo "$!"'


def next_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        return process.pid


def alone() -> tuple[str, ...]:
    """Words that give a program process ids of its own; none where this machine does not let us."""
    for words in (ALONE, (*ALONE, "--user", "--map-root-user")) if shutil.which(ALONE[0]) else ():
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    return ()


def processes_started(shell: str, folder: Path) -> int:
    """How far process ids went on during one task, its own and its shell's left out."""
    program, *words = SHELLS[shell]
    command = [str(shutil.which(program, path=CLEAN_PATH)), *words, "-s"]
    env = {"PATH": CLEAN_PATH, "HOME": str(folder), "TMPDIR": str(folder)}
    text = Supervised("exit 0").script.text
    if unshared := alone():
        counted = [*unshared, "sh", "-c", COUNTED, "sh", *command]
        with subprocess.Popen(counted, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(text)
            process.stdin.flush()
            return int(process.stdout.readline()) - 4
    with tempfile.TemporaryFile() as nowhere:
        before = next_pid()
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere) as process:
            assert process.stdin is not None
            process.stdin.write(text)
            process.stdin.flush()
            assert process.wait(PATIENCE) == 0
            return next_pid() - before - 3


@pytest.mark.parametrize("shell", SHELLS)
def test_supervision_starts_at_most_four_processes_beyond_the_task(shell: str, tmp_path: Path) -> None:
    """Process ids are given out in turn, so the smallest distance seen is what it takes; others only add to it."""
    most = 4 + {"dash": 2, "bash": 3, "busybox": 2}[shell]  # and the run's folder, made with mkdir
    place = Place(shell, tmp_path)
    seen = [processes_started(shell, place.tmp)]
    until = time.monotonic() + PATIENCE
    while not any(0 < number <= most for number in seen) and time.monotonic() < until:
        seen.append(processes_started(shell, place.tmp))
    assert any(0 < number <= most for number in seen), seen
    assert place.left() == []


# -- over SSH ---------------------------------------------------------------------------------

LOGIN_SHELLS = ("bash", "dash", "busybox", "fish", "tcsh", "zsh")


@pytest.fixture(params=LOGIN_SHELLS)
def login(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Start]:
    """Starts tasks on a device of that login shell, with the OpenSSH client for a laptop."""
    name = f"with-{request.param}"
    device = bench.device(name, shell=request.param)

    def start(task: str, **more: object) -> AbstractContextManager[Supervised]:
        more["values"] = {"home": str(device.home / "ours")}
        return supervised(task, [*bench.ssh(name), scripts.COMMAND], None, **more)

    yield start
    assert device.quiet()
    assert [each.name for each in (device.home / "ours").iterdir()] == ["manifest"], "a run's folder was left behind"


def test_over_ssh_status_and_streams_are_exact(login: Start) -> None:
    with login("echo out; echo err >&2; kill -TERM $$") as work:
        ended = work.end()
        assert (ended.status, ended.why, ended.stdout, ended.stderr) == (143, "ended", b"out\n", b"err\n")
        assert work.alive() == 0


def test_over_ssh_a_killed_laptop_ends_everything(login: Start) -> None:
    with login(f"setsid sleep 999 & {STUBBORN}") as work:
        work.until_said(b"begun")
        assert work.alive() > 1
        work.process.kill()
        assert work.nothing_left()


def test_over_ssh_the_word_stop_ends_everything(login: Start) -> None:
    with login(f"setsid sleep 999 & {STUBBORN}") as work:
        work.until_said(b"begun")
        work.send(b"stop\n")
        assert (work.end().why, work.alive()) == ("cancelled", 0)


def test_over_ssh_the_deadline_ends_everything(login: Start) -> None:
    with login(f"setsid sleep 999 & {STUBBORN}", timeout=1) as work:
        assert (work.end().why, work.alive()) == ("timed-out", 0)


def test_over_ssh_a_daemon_is_ended_with_its_task(login: Start) -> None:
    with login("setsid sh -c 'setsid sleep 1000 & exec setsid sleep 999' & exit 3") as work:
        assert (work.end().status, work.alive()) == (3, 0)


def test_over_ssh_a_thousand_children_are_ended(bench: Bench) -> None:
    device = bench.device("deck")
    with supervised(THOUSAND, [*bench.ssh("deck"), scripts.COMMAND]) as work:
        work.until_said(b"begun")
        work.process.kill()
        assert work.nothing_left()
        assert device.quiet()


def test_over_ssh_a_cut_link_ends_everything(bench: Bench) -> None:
    device = bench.device("deck")
    with relay(device.host, device.port, bench.sshd.public_key) as link:
        bench.trust(link.place.host, link.place.port, link.place.public_key)
        command = [word if word != str(device.port) else str(link.place.port) for word in bench.ssh("deck")]
        target = f"{device.user}@{link.place.host}"
        with supervised(STUBBORN, [*command[:-1], target, scripts.COMMAND]) as work:
            work.until_said(b"begun")
            link.cut()
            assert work.nothing_left()
            assert device.quiet()
            assert not Path(tempfile.gettempdir(), f"fleet-tasks-{work.id}").exists()
