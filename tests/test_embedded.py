"""The embedded fleet behaves as a fleet of sshds would."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh
import paramiko
import pytest
import yaml

from fleet_tasks.embedded import HANDHELDS, EmbeddedDevice, EmbeddedFleet
from tests.bench import PATIENCE, gone, processes


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[EmbeddedFleet]:
    with EmbeddedFleet(tmp_path / "fleet") as running:
        yield running


def connect(fleet: EmbeddedFleet, device: EmbeddedDevice) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.load_host_keys(str(fleet.known_hosts))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        "127.0.0.1", device.port, "demo", key_filename=str(fleet.key), allow_agent=False, look_for_keys=False
    )
    return client


def ssh(fleet: EmbeddedFleet, device: EmbeddedDevice, *words: str) -> list[str]:
    trust = ["-o", f"UserKnownHostsFile={fleet.known_hosts}", "-o", "GlobalKnownHostsFile=none"]
    alone = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-i", str(fleet.key)]
    return ["ssh", *alone, *trust, "-p", str(device.port), "demo@127.0.0.1", *words]


def ask(fleet: EmbeddedFleet, command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ssh(fleet, fleet.devices[0], command), input=stdin, capture_output=True, timeout=60, check=False
    )


def test_each_device_is_a_folder(fleet: EmbeddedFleet) -> None:
    assert tuple(device.name for device in fleet.devices) == HANDHELDS
    for device in fleet.devices:
        with connect(fleet, device) as client:
            said = client.exec_command("pwd; echo $HOME; umask >/dev/null; echo $FLEET_STATE")[1].read().decode()
        assert said.split() == [str(device.home), str(device.home)]


def test_the_registry_leads_to_them(fleet: EmbeddedFleet) -> None:
    written = yaml.safe_load(fleet.registry.read_text())
    assert written["groups"] == {"handhelds": list(HANDHELDS)}
    assert written["defaults"] == {"user": "demo", "agent": "demo", "key": str(fleet.key), "host_keys": "strict"}
    assert written["devices"] == {d.name: {"host": "127.0.0.1", "port": d.port} for d in fleet.devices}
    assert fleet.key.stat().st_mode & 0o077 == 0


def test_exit_statuses_and_signals_come_back(fleet: EmbeddedFleet) -> None:
    with connect(fleet, fleet.devices[0]) as client:
        assert client.exec_command("exit 7")[1].channel.recv_exit_status() == 7
    said = subprocess.run(ssh(fleet, fleet.devices[0], "-v", "kill -TERM $$"), capture_output=True, check=False)
    assert said.returncode == 255
    assert b"exit-signal" in said.stderr


def test_streams_are_binary_and_apart(fleet: EmbeddedFleet) -> None:
    payload = os.urandom(3_000_000)
    answer = ask(fleet, "cat; echo aside >&2", payload)
    assert answer.returncode == 0
    assert hashlib.sha256(answer.stdout).digest() == hashlib.sha256(payload).digest()
    assert answer.stderr == b"aside\n"


def test_a_command_reads_the_end_of_its_input(fleet: EmbeddedFleet) -> None:
    assert ask(fleet, "wc -c", b"12345").stdout.strip() == b"5"


def test_a_connection_serves_one_command_after_the_other(fleet: EmbeddedFleet) -> None:
    with connect(fleet, fleet.devices[0]) as client:
        for number in range(5):
            stdin, stdout, _ = client.exec_command("cat")
            stdin.write(str(number))
            stdin.channel.shutdown_write()
            assert stdout.read() == str(number).encode()
            assert stdout.channel.recv_exit_status() == 0


def test_a_command_may_leave_its_input_unread(fleet: EmbeddedFleet) -> None:
    answer = ask(fleet, "head -c 3; exit 4", bytes(5_000_000))
    assert (answer.returncode, answer.stdout) == (4, b"\0\0\0")


def test_a_script_on_standard_input_is_run(fleet: EmbeddedFleet) -> None:
    command = ssh(fleet, fleet.devices[0])
    answer = subprocess.run(command, input=b"echo hello; exit 3\n", capture_output=True, timeout=30, check=False)
    assert (answer.returncode, answer.stdout) == (3, b"hello\n")


def test_signals_reach_the_command(fleet: EmbeddedFleet) -> None:
    async def visit() -> tuple[str, int | None]:
        place = {"host": "127.0.0.1", "port": fleet.devices[0].port, "username": "demo", "config": None}
        trust = {"client_keys": [str(fleet.key)], "known_hosts": str(fleet.known_hosts)}
        async with asyncio.timeout(20), asyncssh.connect(**place, **trust) as client:
            command = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
            async with client.create_process(command) as process:
                assert await process.stdout.readline() == "ready\n"
                process.send_signal("TERM")
                return await process.stdout.read(), (await process.wait()).returncode

    assert asyncio.run(visit()) == ("caught\n", 5)


def test_a_command_outlives_a_link_that_breaks_and_reads_the_end(fleet: EmbeddedFleet) -> None:
    home = fleet.devices[0].home
    script = "echo $$; cat >/dev/null; echo input ended >a; sleep 0.3; echo still here >b"
    client = subprocess.Popen(ssh(fleet, fleet.devices[0], script), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdout
    assert client.stdout.readline()
    client.kill()
    client.communicate()
    assert gone(f"HOME={home}\n")
    assert (home / "a").read_text() + (home / "b").read_text() == "input ended\nstill here\n"


def test_what_writes_to_a_broken_link_is_told(fleet: EmbeddedFleet) -> None:
    client = subprocess.Popen(ssh(fleet, fleet.devices[0], "yes"), stdout=subprocess.PIPE)
    assert client.stdout
    assert client.stdout.read(100_000)
    client.kill()
    client.communicate()
    assert gone(f"HOME={fleet.devices[0].home}\n")


def test_output_waits_for_a_client_that_reads_slowly(fleet: EmbeddedFleet) -> None:
    with connect(fleet, fleet.devices[0]) as client:
        channel = client.exec_command("head -c 100000000 /dev/zero | tee /dev/null; echo done >written")[1].channel
        time.sleep(0.5)  # long enough to write it all, were nobody in the way
        assert not (fleet.devices[0].home / "written").exists()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        received = 0
        while data := channel.recv(1 << 20):
            received += len(data)
        assert received == 100_000_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kilobytes
        assert channel.recv_exit_status() == 0


def test_thirty_two_at_once(fleet: EmbeddedFleet) -> None:
    together = threading.Barrier(32)

    def visit(number: int) -> bytes:
        with connect(fleet, fleet.devices[number % 3]) as client:
            together.wait(30)
            return client.exec_command(f"echo {number}")[1].read()

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(visit, range(32))) == [f"{number}\n".encode() for number in range(32)]


def test_a_stranger_is_not_let_in(fleet: EmbeddedFleet, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    command = [str(other) if word == str(fleet.key) else word for word in ssh(fleet, fleet.devices[0], "true")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 255


def test_nothing_runs_on_after_the_end(tmp_path: Path) -> None:
    fleet = EmbeddedFleet(tmp_path / "fleet", names=("one",))
    fleet.start()
    device = fleet.devices[0]
    stubborn = "trap '' TERM; echo up; while :; do sleep 1; done"
    clients = [
        subprocess.Popen(
            ssh(fleet, device, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for command in (
            "sleep 600 >/dev/null 2>&1 & echo up; sleep 600",
            stubborn,
            "exec env -i sh -c 'echo up; read x'",
        )
    ]
    for client in clients:
        assert client.stdout
        assert client.stdout.readline() == b"up\n"
    assert processes(f"HOME={device.home}\n")
    fleet.stop()
    assert processes(f"HOME={device.home}\n") == []
    assert processes(str(device.home)) == []
    for client in clients:
        client.communicate(timeout=PATIENCE)
        assert client.returncode == 255
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", device.port), timeout=5)
    fleet.stop()
    assert not any(thread.name == "embedded-fleet" for thread in threading.enumerate())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
