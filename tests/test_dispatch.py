"""The main job, through the program and through the Fleet API, on real devices."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet_tasks.errors import RequestError
from fleet_tasks.fleet import Fleet
from fleet_tasks.options import Targets
from fleet_tasks.results import State
from tests.bench import PATIENCE, SHELLS, Bench, BenchDevice, Hostile, hostile, relay
from tests.client import runs_left, started
from tests.program import fleet
from tests.waiting import until

ECHO = {"dispatch": 'cat "$FLEET_TASK_FILE"'}
"""An agent that gives back what it was given, however long it is."""

BOTH = {"dispatch": 'cat "$FLEET_TASK_FILE"; printf %s "$FLEET_TASK" >&2'}
"""One that gives it back twice: as a file, and as a variable."""

AGENTS = {"echo": ECHO, "both": BOTH}

STUBBORN = "trap '' TERM INT HUP; echo begun; while :; do sleep 1; done"


def clean(*devices: BenchDevice) -> bool:
    """Whether nothing of a run is left: no process, no folder."""
    return all(device.quiet() for device in devices) and not any(runs_left(device) for device in devices)


def runs(device: BenchDevice, command: str) -> bool:
    """Whether such a command line is at work there."""
    return any(process.command.strip() == command for process in device.processes())


# -- what a task may be -----------------------------------------------------------------------

TEXTS = {
    "quotes": """it's "so" `called` 'quoted' \\' \\" \\\\""",
    "substitutions": "$(touch ~/hacked) `touch ~/hacked` ${HOME} $((1+1)) !! !x ~ * ? [a] {a,b} <(x) ; & | > /tmp/x",
    "end of a here document": "EOF\n'\nEOF\n'; touch ~/hacked #\nmain; exit\n",
    "newlines around": "\n\n  words  \n\n\n",
    "carriage returns and tabs": "a\r\nb\rc\td\x0b\x0c",
    "a leading dash": "-x --help -- -",
    "a leading at": "@file %s %n %% \\n \\x41 \\0101",
    "emoji": "🤖 ünïcödé \u2028 \u202e אבג \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "invalid UTF-8": b"\xff\xfe caf\xe9 \xc3( \xed\xa0\x80".decode("utf-8", "surrogateescape"),
    "control characters": "".join(chr(number) for number in range(1, 32)) + "\x7f",
    "every byte but NUL": bytes(range(1, 256)).decode("utf-8", "surrogateescape"),
    "a kilobyte of quotes": "'" * 1024,
    "as much as a variable holds": "x'" * 50_000,
    "a byte more": "x'" * 50_000 + "y",
    "a megabyte": "0123456789 'abc'\n" * 61_000,
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_task_arrives_byte_for_byte(shell: str, bench: Bench, opened: Callable[..., Fleet]) -> None:
    device = bench.device(shell, shell=shell)
    fleet = opened(shell, agents=AGENTS)
    for name, text in TEXTS.items():
        raw = text.encode("utf-8", "surrogateescape")
        short = len(raw) <= 100_000
        (result,) = fleet.dispatch(text, Targets(all=True), agent="both" if short else "echo").results
        assert (name, result.error) == (name, None)
        assert result.stdout == raw, name
        assert result.stderr == (raw if short else b""), name
    assert not (device.home / "hacked").exists()
    assert clean(device)


def test_any_bytes_arrive(bench: Bench, opened: Callable[..., Fleet]) -> None:
    fleet = opened("deck", agents=AGENTS)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(min_size=1, max_size=300).filter(lambda raw: b"\0" not in raw and raw.strip()))
    def arrives(raw: bytes) -> None:
        (result,) = fleet.dispatch(raw.decode("utf-8", "surrogateescape"), Targets(all=True), agent="both").results
        assert (result.stdout, result.stderr) == (raw, raw)

    arrives()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_agent_runs_the_task_with_sh_whatever_the_login_shell(
    shell: str, bench: Bench, opened: Callable[..., Fleet]
) -> None:
    bench.device(shell, shell=shell)
    task = 'for word in "a b" c; do printf "<%s>" "$word"; done; [ -t 0 ] || cat; echo "$FLEET_DEVICE" >&2; exit 6'
    (result,) = opened(shell).dispatch(task, Targets(all=True), agent="shell").results
    assert (result.state, result.exit_status) == (State.FAILED, 6)
    assert (result.stdout, result.stderr) == (b"<a b><c>", shell.encode() + b"\n")


@pytest.mark.parametrize("task", ["a\0b", "\0"])
def test_nul_is_refused_with_a_sentence(task: str, bench: Bench, opened: Callable[..., Fleet]) -> None:
    with pytest.raises(RequestError, match="NUL"):
        opened("deck", agents=AGENTS).dispatch(task, Targets(all=True), agent="echo")
    with started(bench, "dispatch", "-a", "echo", "--all", "--task-file", "-", stdin=task.encode()) as client:
        gone = client.end()
        assert (gone.code, gone.stdout) == (2, b"")
        assert b"NUL" in gone.stderr
    assert bench.logins() == 0


@pytest.mark.parametrize("raw", [b"-x", b"--help", b"\xff-", "🤖 'x' $(y)\n".encode(), b"x" * 1_000_000])
def test_a_task_from_standard_input(raw: bytes, bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck", agents=AGENTS)
    with started(bench, "dispatch", "-a", "echo", "-d", "deck", "--task-file", "-", stdin=raw) as client:
        gone = client.end()
        assert (gone.code, gone.stdout) == (0, raw)


def test_a_task_from_the_command_line(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck", agents=AGENTS)
    text = """--help 'it"s' $(touch ~/hacked) `x` \\ \n 🤖"""
    assert fleet(bench, "dispatch", "-a", "echo", "-d", "deck", "--task", text).stdout == text


@pytest.mark.parametrize("words", [["--task", ""], ["--task", "  \n"], [], ["--task-file", "/nowhere"]])
def test_no_task_is_exit_2(words: list[str], bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck", agents=AGENTS)
    said = fleet(bench, "dispatch", "-a", "echo", "-d", "deck", *words)
    assert (said.code, said.stdout) == (2, "")
    assert len(said.stderr.strip().splitlines()) == 1
    assert bench.logins() == 0


# -- which devices ----------------------------------------------------------------------------


def test_any_takes_the_ready_ones_first(bench: Bench, registry: Callable[..., Path]) -> None:
    picky = {"dispatch": "echo $FLEET_DEVICE", "status": '[ -e "$HOME/ready" ] && echo ready=yes || echo ready=no'}
    registry("a", "b", "c", agents={"picky": picky})
    (bench.device("b").home / "ready").touch()
    one = fleet(bench, "dispatch", "-a", "picky", "--all", "--any", "1", "--task", "x", "-f", "json")
    assert (one.code, [result["device"] for result in one.results]) == (0, ["b"])
    two = fleet(bench, "dispatch", "-a", "picky", "--all", "--any", "2", "--task", "x", "-f", "json")
    assert two.code == 0
    assert len(two.results) == 2 and "b" in {result["device"] for result in two.results}
    all_of_them = fleet(bench, "dispatch", "-a", "picky", "--all", "--any", "9", "--task", "x", "-f", "json")
    assert len(all_of_them.results) == 3


def test_any_deploys_where_the_agent_is_missing(bench: Bench, registry: Callable[..., Path]) -> None:
    """What goes wrong on one of the chosen devices is that device's alone."""
    deploy = 'echo x >>~/deployed; [ ! -e ~/bad ] || exit 3; echo >"$FLEET_AGENT_HOME/tool"'
    tool = {"deploy": deploy, "dispatch": 'test -e "$FLEET_AGENT_HOME/tool" && echo used'}
    with hostile.not_listening() as place:
        registry("there", "missing", "bad", devices={"dead": bench.entry(place)}, agents={"tool": tool})
        (bench.device("bad").home / "bad").touch()
        assert fleet(bench, "deploy", "-d", "there", "-a", "tool").code == 0
        words = ("dispatch", "-a", "tool", "--all", "--any", "3", "--task", "x", "--retries", "1", "-f", "json")
        said = fleet(bench, *words)
    found = {result["device"]: (result["state"], result["stdout"]) for result in said.results}
    assert said.code == 1
    assert found == {"there": ("done", "used\n"), "missing": ("done", "used\n"), "bad": ("failed", "")}
    assert {name: (bench.device(name).home / "deployed").read_text() for name in found} == dict.fromkeys(found, "x\n")


def test_any_passes_over_a_dead_device(bench: Bench, registry: Callable[..., Path]) -> None:
    with hostile.not_listening() as place:
        registry("good", devices={"dead": bench.entry(place)})
        said = fleet(bench, "run", "-d", "dead,good", "--any", "1", "--task", "echo hi", "--retries", "1", "-f", "json")
        assert (said.code, [result["device"] for result in said.results]) == (0, ["good"])


def test_a_dead_device_does_not_stop_the_others(bench: Bench, registry: Callable[..., Path]) -> None:
    with hostile.not_listening() as refused, hostile.banner_never() as silent:
        others = {"refused": bench.entry(refused), "silent": bench.entry(silent), "nowhere": {"host": "no.invalid"}}
        registry("a", "b", devices=others)
        said = fleet(
            bench, "run", "--all", "--task", "echo hi", "--retries", "1", "--connect-timeout", "2", "-f", "json"
        )
    found = {result["device"]: (result["state"], (result["error"] or {}).get("code")) for result in said.results}
    assert said.code == 1
    assert found == {
        "a": ("done", None),
        "b": ("done", None),
        "refused": ("unreachable", "connection-refused"),
        "silent": ("unreachable", "connect-timeout"),
        "nowhere": ("unreachable", "unknown-host"),
    }
    assert all(result["error"]["guidance"] for result in said.results if result["error"])


def test_a_device_named_twice_is_visited_once(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("a", "b", groups={"both": ["a", "b"]})
    said = fleet(bench, "run", "-d", "a,a", "-g", "both", "--task", "echo x >>~/visits", "-f", "json")
    assert (said.code, [result["device"] for result in said.results]) == (0, ["a", "b"])
    assert (bench.device("a").home / "visits").read_text() == "x\n"


def test_inside_a_task_a_further_dispatch_is_refused(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("a")
    said = fleet(bench, "run", "-d", "a", "--task", "true", FLEET_TASK_ID="t1")
    assert (said.code, said.stdout, bench.logins()) == (2, "", 0)


# -- ends -------------------------------------------------------------------------------------


def test_the_timeout_ends_a_task_and_keeps_its_output(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    said = fleet(bench, "run", "-d", "deck", "--task", STUBBORN, "--timeout", "1", "--grace", "0.4", "-f", "json")
    (result,) = said.results
    assert (said.code, result["state"], result["error"]["code"]) == (1, "timed-out", "timed-out")
    assert (result["stdout"], result["exit_status"]) == ("begun\n", 137)
    assert clean(bench.device("deck"))


def test_the_deadline_ends_the_whole_run(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("a", "b", "c")
    since = time.monotonic()
    said = fleet(
        bench, "run", "-d", "a,b,c", "-j", "1", "--task", f'[ "$FLEET_DEVICE" = a ] || {{ {STUBBORN}; }}',
        "--deadline", "3", "--grace", "0.4", "-f", "json",
    )  # fmt: skip
    assert said.code == 1
    a, b, c = said.results
    assert a["state"] == "done"
    assert (b["state"], b["error"]["code"], b["stdout"]) == ("cancelled", "deadline", "begun\n")
    assert (c["state"], c["error"]["code"]) == ("skipped", "deadline")
    assert time.monotonic() - since < PATIENCE
    assert clean(*(bench.device(name) for name in "abc"))


@pytest.mark.parametrize(("allowed", "begun"), [("1", 1), ("2", 2), ("50%", 3)])
def test_max_failures_lets_nothing_more_begin(
    allowed: str, begun: int, bench: Bench, registry: Callable[..., Path]
) -> None:
    names = [f"n{number}" for number in range(6)]
    registry(*names)
    said = fleet(
        bench, "run", "--all", "-j", "1", "--task", "touch ~/was-here; exit 3", "--max-failures", allowed, "-f", "json"
    )
    assert said.code == 1
    assert [result["state"] for result in said.results] == ["failed"] * begun + ["skipped"] * (6 - begun)
    assert {result["error"]["code"] for result in said.results[begun:]} == {"too-many-failures"}
    assert [result["attempts"] for result in said.results] == [1] * begun + [0] * (6 - begun)
    assert [(bench.device(name).home / "was-here").exists() for name in names] == [True] * begun + [False] * (6 - begun)


def test_a_terminal_that_closes_tells_it_twice_and_means_it_once(bench: Bench, registry: Callable[..., Path]) -> None:
    """Its shell says so to every job, and then the system to everyone who is left."""
    registry("slow")
    with started(bench, "run", "--all", "--task", STUBBORN, "--grace", "0.4", "-f", "json") as client:
        until(lambda: runs(bench.device("slow"), "sleep 1"), "the task")
        client.send(signal.SIGHUP)
        until(lambda: b"SIGHUP" in client.stderr, "the word about it")
        client.send(signal.SIGHUP)
        gone = client.end()
    assert (gone.code, gone.results[0]["state"]) == (130, "cancelled")
    assert clean(bench.device("slow"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_and_shows_what_there_is(
    number: signal.Signals, bench: Bench, registry: Callable[..., Path]
) -> None:
    registry("quick", "slow")
    task = f'[ "$FLEET_DEVICE" = slow ] || {{ echo answer; exit; }}; setsid sleep 999 & {STUBBORN}'
    with started(bench, "run", "--all", "--task", task, "--grace", "0.4", "-f", "json") as client:
        until(lambda: runs(bench.device("slow"), "sleep 1"), "the task")
        until(lambda: not bench.device("quick").processes(), "the quick one's end")
        client.send(number)
        gone = client.end(15)
    assert gone.code == 130
    quick, slow = gone.results
    assert (quick["state"], quick["stdout"]) == ("done", "answer\n")
    assert (slow["state"], slow["error"]["code"], slow["stdout"]) == ("cancelled", "cancelled", "begun\n")
    assert not bench.device("slow").processes()
    assert clean(bench.device("quick"), bench.device("slow"))


def test_who_starts_it_with_nohup_means_it(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    home = bench.device("deck").home
    task = "echo >~/begun; until [ -e ~/go ]; do sleep 0.1; done; echo ended"
    words = [sys.executable, "-m", "fleet_tasks", "run", "-d", "deck", "--task", task]
    with subprocess.Popen(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *words],
        env=bench.environment(), cwd=bench.home, stdout=subprocess.PIPE,
    ) as program:  # fmt: skip
        until((home / "begun").exists, "the task")
        program.send_signal(signal.SIGHUP)
        (home / "go").touch()
        said, _ = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0 and b"ended" in said


def test_a_second_ctrl_c_leaves_at_once_and_names_who_may_still_run(
    bench: Bench, registry: Callable[..., Path]
) -> None:
    registry("slow", "slower")
    with started(bench, "run", "--all", "--task", STUBBORN, "--grace", "20") as client:
        until(lambda: all(runs(bench.device(name), "sleep 1") for name in ("slow", "slower")), "the task")
        client.send(signal.SIGINT)
        until(lambda: b"SIGINT" in client.stderr, "the word about it")
        since = time.monotonic()
        client.send(signal.SIGINT)
        gone = client.end()
        assert time.monotonic() - since < 18
    assert gone.code == 130
    assert b"slow, slower" in gone.stderr
    assert all(device.quiet(PATIENCE) for device in (bench.device("slow"), bench.device("slower")))
    assert clean(bench.device("slow"), bench.device("slower"))


SILENT = (hostile.answers_nobody, hostile.banner_never, hostile.kex_never_ends, hostile.auth_stalls)


@pytest.mark.parametrize("server", SILENT, ids=[server.__name__ for server in SILENT])
def test_ctrl_c_while_connecting_is_heard_at_once(
    server: Callable[[], contextlib.AbstractContextManager[Hostile]], bench: Bench, registry: Callable[..., Path]
) -> None:
    with server() as place:
        registry(devices={"silent": bench.entry(place)})
        with started(
            bench, "run", "-d", "silent", "--task", "true", "-f", "json", "--connect-timeout", "30"
        ) as client:
            until(lambda: list(Path(os.environ["FLEET_STATE"]).rglob("*.db*")), "the run's beginning")
            time.sleep(0.5)  # nothing tells when a server begins to be silent
            client.send(signal.SIGINT)
            gone = client.end(25)
    assert (gone.code, gone.results[0]["state"]) == (130, "cancelled")


def test_ctrl_c_while_output_floods_in(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    with started(bench, "run", "-d", "deck", "--task", "yes", "--timeout", "60", "-f", "json") as client:
        spool = Path(bench.environment()["FLEET_STATE"])
        until(lambda: any(f.stat().st_size > 5_000_000 for f in spool.rglob("*.stdout")), "the flood")
        client.send(signal.SIGINT)
        gone = client.end()
    assert (gone.code, gone.results[0]["state"], gone.results[0]["truncated"]) == (130, "cancelled", True)
    assert clean(bench.device("deck"))


@pytest.mark.parametrize("shell", ["bash", "dash", "busybox"])
def test_a_killed_client_leaves_nothing_while_a_task_runs(
    shell: str, bench: Bench, registry: Callable[..., Path]
) -> None:
    device = bench.device("deck", shell=shell)
    registry("deck")
    with started(bench, "run", "-d", "deck", "--task", f"setsid sleep 999 & {STUBBORN}", "--grace", "1") as client:
        until(lambda: runs(device, "sleep 999") and runs(device, "sleep 1"), "the task")
        client.kill()
    assert device.quiet()
    assert clean(device)


def test_a_killed_client_leaves_nothing_while_it_uploads(
    bench: Bench, registry: Callable[..., Path], tmp_path: Path
) -> None:
    device = bench.device("deck")
    registry("deck")
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(2_000_000_000)
    with started(bench, "run", "-d", "deck", "--task", "echo never", "--send", str(big)) as client:
        until(lambda: any("tar" in process.command for process in device.processes()), "the upload")
        client.kill()
    assert clean(device)


def test_a_killed_client_leaves_nothing_while_it_fetches(bench: Bench, registry: Callable[..., Path]) -> None:
    device = bench.device("deck")
    registry("deck")
    task = "truncate -s 2000000000 big || dd if=/dev/zero of=big bs=1 count=1 seek=2000000000"
    with started(bench, "run", "-d", "deck", "--task", task, "--fetch", "big", "--into", "back") as client:
        until(lambda: any("tar" in process.command for process in device.processes()), "the fetch")
        client.kill()
    assert clean(device)
    assert not (bench.home / "back" / "deck" / "big").exists()


@pytest.mark.skipif(not Path("/proc/sys/kernel/random/boot_id").exists(), reason="a boot has no name here")
@pytest.mark.parametrize("shell", SHELLS)
def test_the_next_task_removes_what_a_restart_left(shell: str, bench: Bench, registry: Callable[..., Path]) -> None:
    device = bench.device("deck", shell=shell)
    registry("deck")

    def left_by(name: str, boot: str, of: str = "deck") -> Path:
        place = device.home / "ours" / f"fleet-tasks-{name}"
        (place / "work").mkdir(parents=True)
        (place / "about").write_text(f"01J8 {of} - 2026-01-01T00:00:00.000Z\n")
        (place / "supervisor").write_text(f"{os.getpid()} {boot}\n")
        return place

    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    attached, detached = left_by("attached", "another-boot"), left_by("detached", "another-boot")
    (detached / "out").touch()
    kept = {detached, left_by("now", boot), left_by("unknown", "-"), left_by("other", "another-boot", of="other")}
    assert fleet(bench, "run", "-d", "deck", "--task", "echo fine").stdout.endswith("fine\n")
    assert not attached.exists()
    assert set((device.home / "ours").glob("fleet-tasks-*")) == kept


def test_a_cut_link_is_a_lost_task_that_is_not_started_again(bench: Bench, registry: Callable[..., Path]) -> None:
    device = bench.device("deck")
    task = f"echo x >>~/starts; {STUBBORN}"
    with relay(device.host, device.port, bench.sshd.public_key) as link:
        registry(devices={"deck": {**bench.entry(link.place), "home": str(device.home / "ours")}})
        with started(bench, "run", "-d", "deck", "--task", task, "--grace", "1", "-f", "json") as client:
            until(lambda: runs(device, "sleep 1"), "the task")
            link.cut()
            gone = client.end()
    (result,) = gone.results
    assert (gone.code, result["state"], result["error"]["code"]) == (1, "lost", "connection-lost")
    assert result["stdout"] == "begun\n"
    assert (device.home / "starts").read_text() == "x\n"
    assert clean(device)


def test_an_idempotent_task_may_be_started_once_more(bench: Bench, registry: Callable[..., Path]) -> None:
    device = bench.device("deck")
    task = 'echo x >>~/starts; [ "$(wc -l <~/starts)" -gt 1 ] || sleep 1000; echo fine'
    with relay(device.host, device.port, bench.sshd.public_key) as link:
        registry(devices={"deck": {**bench.entry(link.place), "home": str(device.home / "ours")}})
        with started(bench, "run", "-d", "deck", "--task", task, "--idempotent", "-f", "json") as client:
            until(lambda: runs(device, "sleep 1000"), "the task")
            link.cut()
            gone = client.end()
    (result,) = gone.results
    assert (gone.code, result["state"], result["stdout"], result["attempts"]) == (0, "done", "fine\n", 2)
    assert (device.home / "starts").read_text() == "x\nx\n"
    assert clean(device)


def test_a_reader_who_leaves_does_not_leave_work_behind(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("a", "b")
    with started(bench, "run", "--all", "--task", "echo hi; sleep 1", "-f", "jsonl") as client:
        assert client.process.stdout is not None
        os.set_blocking(client.process.stdout.fileno(), True)
        gone = client.end()
    assert gone.code == 0
    assert clean(bench.device("a"), bench.device("b"))


# -- what comes back --------------------------------------------------------------------------


def test_streams_and_status_come_back_exactly(bench: Bench, opened: Callable[..., Fleet]) -> None:
    every = bytes(range(256)) * 40
    device = bench.device("deck")
    (device.home / "bytes").write_bytes(every)
    task = "cat ~/bytes; cat ~/bytes ~/bytes >&2; kill -9 $$"
    (result,) = opened("deck").dispatch(task, Targets(all=True), "shell").results
    assert (result.stdout, result.stderr) == (every, every * 2)
    assert (result.state, result.exit_status) == (State.FAILED, 137)
    assert result.error is not None and "signal 9" in result.error.message


def test_much_output_is_whole_in_a_file_and_never_in_memory(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    task = "yes 0123456789abcde | head -c 400000000; echo err >&2"
    with started(bench, "run", "-d", "deck", "--task", task, "-f", "json", python=sys.executable) as client:
        gone = client.end(240)
    (result,) = gone.results
    assert (gone.code, result["state"], result["truncated"], result["stderr"]) == (0, "done", True, "err\n")
    assert len(result["stdout"]) == 1 << 20
    with Path(result["stdout_file"]).open("rb") as file:
        assert os.fstat(file.fileno()).st_size == 400_000_000
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for _ in range(25_000):
        whole.update(b"0123456789abcde\n" * 1000)
    assert digest == whole.hexdigest()
    assert gone.peak < 150_000_000, f"{gone.peak:,} bytes"


def test_a_workdir_is_used_and_kept(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck")
    folder = bench.device("deck").home / "a b"
    folder.mkdir()
    assert fleet(bench, "run", "-d", "deck", "--task", "pwd; touch x", "--workdir", "a b").stdout == f"{folder}\n"
    assert [found.name for found in folder.iterdir()] == ["x"]
    said = fleet(bench, "run", "-d", "deck", "--task", "pwd", "--workdir", "nowhere", "-f", "json")
    assert (said.code, said.results[0]["state"]) == (1, "failed")
    error = said.results[0]["error"]
    assert "nowhere" in error["message"] and "--workdir DIR" in error["guidance"]
    assert clean(bench.device("deck"))


def test_what_a_task_is_told_about_itself(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("deck", defaults={"env": {"GREETING": "it's \"me\" $HOME"}})
    said = fleet(bench, "run", "-d", "deck", "--task", 'env; echo "pwd=$PWD"', "-f", "json")
    seen = dict(line.partition("=")[::2] for line in said.results[0]["stdout"].splitlines())
    assert seen["FLEET_RUN"] == said.document["run"] == seen["FLEET_TASK_ID"]
    assert (seen["FLEET_DEVICE"], seen["GREETING"]) == ("deck", "it's \"me\" $HOME")
    assert seen["FLEET_TASK"] == 'env; echo "pwd=$PWD"'
    assert Path(seen["FLEET_TASK_FILE"]).parent == Path(seen["pwd"]).parent
    assert not [name for name in seen if name.startswith("ft_")]


def test_one_json_line_for_each_result_and_a_summary(bench: Bench, registry: Callable[..., Path]) -> None:
    registry("a", "b", "c")
    said = fleet(bench, "run", "--all", "--task", '[ "$FLEET_DEVICE" != b ]', "-f", "jsonl")
    *results, summary = [json.loads(line) for line in said.stdout.splitlines()]
    assert {result["device"]: result["state"] for result in results} == {"a": "done", "b": "failed", "c": "done"}
    assert (summary["type"], summary["done"], summary["exit_code"]) == ("summary", 2, 1)
    assert said.code == 1
