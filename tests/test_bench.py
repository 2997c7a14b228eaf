"""The bench itself: what the other tests lean on must hold."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.bench import SHELLS, Bench, end, gone, processes
from tests.bench.fleet import ROOT


def over_ssh(bench: Bench, name: str, command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*bench.ssh(name), command], input=stdin, capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_device_has_its_own_home_and_login_shell(bench: Bench, shell: str) -> None:
    device = bench.device("one", shell=shell)
    answer = over_ssh(bench, "one", "/bin/pwd; echo $HOME; readlink /proc/$$/exe || ps -o comm= -p $$; exit 7")
    if shell == "fish":  # fish spells the process id differently
        answer = over_ssh(bench, "one", "/bin/pwd; echo $HOME; readlink /proc/$fish_pid/exe; exit 7")
    assert answer.returncode == 7
    folder, home, program = answer.stdout.decode().split()
    assert folder == home == str(device.home)
    assert shell.removeprefix("b").removeprefix("t") in program
    assert answer.stderr == b""


def test_an_rc_file_is_read_once(bench: Bench) -> None:
    device = bench.device("noisy", shell="bash")
    (device.home / ".bashrc").write_text("echo noise\n")
    assert over_ssh(bench, "noisy", "echo answer").stdout == b"noise\nanswer\n"


def test_a_session_starts_with_the_environment_sshd_gives(bench: Bench) -> None:
    bench.device("plain", shell="dash")
    names = {line.partition("=")[0] for line in over_ssh(bench, "plain", "env").stdout.decode().splitlines()}
    assert names - {"LANG", "MAIL", "TZ"} == {
        "USER",
        "LOGNAME",
        "HOME",
        "PATH",
        "SHELL",
        "TMPDIR",
        "SSH_CLIENT",
        "SSH_CONNECTION",
        "PWD",
    }


def test_streams_are_clean_for_any_byte(bench: Bench) -> None:
    payload = os.urandom(1_000_000) + bytes(range(256))
    answer = over_ssh(bench, "one", "cat", payload)
    assert hashlib.sha256(answer.stdout).digest() == hashlib.sha256(payload).digest()


def test_sftp_sees_the_home(bench: Bench, tmp_path: Path) -> None:
    device = bench.device("files")
    (device.home / "a.txt").write_text("hello")
    _, *options, there = bench.ssh("files")
    options[options.index("-p")] = "-P"
    command = ["sftp", *options, f"{there}:a.txt", str(tmp_path / "b.txt")]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    assert (tmp_path / "b.txt").read_text() == "hello"


def test_twenty_devices_are_kept_apart(bench: Bench) -> None:
    devices = bench.devices(*(f"d{number}" for number in range(20)))
    for device in devices:
        (device.home / "name").write_text(device.name)
    running = [subprocess.Popen([*bench.ssh(d.name), "cat name"], stdout=subprocess.PIPE) for d in devices]
    assert [p.communicate(timeout=60)[0].decode() for p in running] == [d.name for d in devices]
    assert bench.logins() == 20
    with pytest.raises(LookupError, match="no room for d20"):
        bench.device("d20")


def test_homes_are_empty_again_and_leftovers_are_ended(bench: Bench) -> None:
    device = bench.device("left")
    assert list(device.home.iterdir()) == []
    over_ssh(bench, "left", "env -i sh -c 'sleep 600 & echo $!' >pid 2>&1 </dev/null")
    left = int((device.home / "pid").read_text())
    assert [p.pid for p in device.processes()] == [left]
    assert not device.quiet(0.05)
    assert bench.sshd.sweep() == [left]
    assert device.quiet()


def test_a_path_of_posix_utilities_lacks_everything_else(bench: Bench) -> None:
    bench.device("bare", shell="dash", path=bench.bin(without=("awk",), also=("tar",), sh="busybox"))
    tools = "sed setsid timeout mktemp seq stat sha256sum perl python3 awk tar"
    asked = f"for t in {tools}; do command -v $t; done; exec sh -c 'ls -l /proc/$$/exe; :'"
    said = over_ssh(bench, "bare", asked).stdout.decode()
    assert [Path(line).name for line in said.splitlines()[:2]] == ["sed", "tar"]
    assert said.rstrip().endswith("busybox")


def test_the_registry_names_what_is_there(bench: Bench, tmp_path: Path) -> None:
    path = bench.registry(tmp_path / "fleet.yaml", ["a", "b"], groups={"both": ["a", "b"]}, defaults={"agent": "shell"})
    written = yaml.safe_load(path.read_text())
    assert written["defaults"] == {"host_keys": "strict", "agent": "shell"}
    assert written["groups"] == {"both": ["a", "b"]}
    assert written["devices"]["b"]["host"] == bench.device("b").host


def test_options_make_another_server(make_sshd: Callable[..., Bench]) -> None:
    other = make_sshd(options=["LogLevel DEBUG"], addresses=2)
    assert [over_ssh(other, name, "echo $HOME").returncode for name in ("x", "y")] == [0, 0]
    assert "debug1: " in other.log()


def test_nothing_is_left_of_a_server(make_sshd: Callable[..., Bench], own_home: Path) -> None:
    from tests.bench import running_sshd

    with running_sshd(addresses=17) as server:
        folder, pids = server.folder, [daemon.pid for daemon in server.daemons]
        assert len(pids) == 2
    assert not folder.exists()
    assert end(pids) == []


def test_nothing_is_left_of_a_server_whose_tests_were_killed() -> None:
    program = "import time, tests.bench as b\nwith b.running_sshd() as s: print(s.folder, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout
        folder = tests.stdout.readline().strip()
        assert len(processes(f"{folder}/log")) >= 2
        tests.kill()
    assert gone(f"{folder}/log")
    shutil.rmtree(folder)


def test_the_environment_is_nobodys(bench: Bench, own_home: Path) -> None:
    asked = "import os, pathlib, fleet_tasks; print(pathlib.Path.home(), os.environ.get('SSH_AUTH_SOCK'))"
    said = subprocess.run(
        [sys.executable, "-c", asked], env=bench.environment(), capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [str(own_home), "None"]


def test_other_machines_are_out_of_reach(loopback: list[str]) -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="stay on loopback"):
        sock.connect(("192.0.2.1", 22))
    assert loopback == ["192.0.2.1:22"]
    loopback.clear()
    with pytest.raises(socket.gaierror):
        socket.create_connection(("example.org", 22), timeout=1)
