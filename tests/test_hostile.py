"""The servers that misbehave do so, and in the way they say."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path

import paramiko
import pytest

from tests.bench import PATIENCE, Bench, Hostile, hostile, relay


def client(place: Hostile, bench: Bench, patience: float = 0.3) -> paramiko.Transport:
    transport = paramiko.Transport(socket.create_connection((place.host, place.port), timeout=patience))
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = patience
    transport.start_client(timeout=patience)
    transport.auth_publickey("me", paramiko.Ed25519Key.from_private_key_file(str(bench.key)))
    return transport


@pytest.mark.parametrize("server", [hostile.banner_never, hostile.banner_drips, hostile.kex_never_ends])
def test_no_session_comes_about(server: object, bench: Bench) -> None:
    with server() as place, pytest.raises(paramiko.SSHException):  # type: ignore[operator]
        client(place, bench)


def test_the_banner_drips() -> None:
    with hostile.banner_drips(0.02) as place, socket.create_connection((place.host, place.port), timeout=5) as sock:
        assert [sock.recv(1) for _ in range(8)] == [bytes([byte]) for byte in b"SSH-2.0-"]


def test_the_key_exchange_begins(bench: Bench) -> None:
    with hostile.kex_never_ends() as place:
        transport = paramiko.Transport(socket.create_connection((place.host, place.port)))
        transport.start_client(event=threading.Event())
        until = time.monotonic() + 5
        while not transport.kex_engine and time.monotonic() < until:
            time.sleep(0.01)
        assert transport.kex_engine, "the packet was not understood"
        transport.close()


def test_a_login_stalls(bench: Bench) -> None:
    with hostile.auth_stalls() as place, pytest.raises(paramiko.AuthenticationException, match="timeout"):
        client(place, bench)


def test_a_channel_never_opens(bench: Bench) -> None:
    with hostile.channel_never_opens() as place:
        transport = client(place, bench, 5)
        with pytest.raises(paramiko.SSHException, match="Timeout"):
            transport.open_session(timeout=0.2)
        transport.close()


def test_a_command_is_not_answered(bench: Bench) -> None:
    with hostile.exec_unanswered() as place:
        transport = client(place, bench, 5)
        channel = transport.open_session(timeout=PATIENCE)

        def ask() -> None:
            with pytest.raises((paramiko.SSHException, EOFError)):
                channel.exec_command("x")

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(0.2)
        assert asking.is_alive()
        transport.close()
        asking.join(5)


def test_a_command_is_accepted_and_silent(bench: Bench) -> None:
    with hostile.exec_silent() as place:
        transport = client(place, bench, 5)
        channel = transport.open_session(timeout=PATIENCE)
        channel.exec_command("x")
        channel.settimeout(0.2)
        with pytest.raises(TimeoutError):
            channel.recv(1)
        assert not channel.exit_status_ready()
        transport.close()


def test_the_link_drops_in_the_middle_of_the_output(bench: Bench) -> None:
    with hostile.drops_the_link(b"half") as place:
        transport = client(place, bench, 5)
        channel = transport.open_session(timeout=PATIENCE)
        channel.exec_command("x")
        assert channel.makefile("rb").read() == b"half"
        transport.join(5)
        assert not transport.is_active()


def test_connections_are_reset() -> None:
    with hostile.closes_at_once() as place, socket.socket() as sock, pytest.raises(ConnectionResetError):
        sock.connect((place.host, place.port))
        sock.recv(1)


def test_nobody_listens() -> None:
    with hostile.not_listening() as place, pytest.raises(ConnectionRefusedError):
        socket.create_connection((place.host, place.port), timeout=PATIENCE)


def through(bench: Bench, place: Hostile, command: str) -> subprocess.Popen[bytes]:
    *line, _ = bench.ssh("good", "-o", f"HostKeyAlias=[{place.host}]:{place.port}")
    line[line.index("-p") + 1] = str(place.port)
    return subprocess.Popen(
        [*line, f"{bench.sshd.user}@{place.host}", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_relay_refuses_then_serves_then_freezes_then_cuts(bench: Bench) -> None:
    good = bench.device("good")
    with relay(good.host, good.port, bench.sshd.public_key) as link:
        bench.entry(link.place)
        link.refuse(2)
        codes = []
        for _ in range(3):
            asked = through(bench, link.place, "echo hello")
            said = asked.communicate(timeout=PATIENCE)[0]
            codes.append(asked.returncode)
        assert (codes, said, link.connections) == ([255, 255, 0], b"hello\n", 3)

        slow = through(bench, link.place, "echo begun; read x; echo ended")
        assert slow.stdout
        assert slow.stdout.readline() == b"begun\n"
        link.freeze()
        with pytest.raises(subprocess.TimeoutExpired):
            slow.wait(0.3)
        link.cut()
        assert slow.wait(5) == 255
        slow.communicate()


def test_a_relay_cuts_in_the_middle(bench: Bench) -> None:
    good = bench.device("good")
    with relay(good.host, good.port, bench.sshd.public_key) as link:
        bench.entry(link.place)
        link.cut_after(200_000)
        cut = through(bench, link.place, "head -c 1000000 /dev/zero")
        said = cut.communicate(timeout=PATIENCE)[0]
        assert cut.returncode == 255
        assert len(said) < 1_000_000


@pytest.mark.parametrize("hashed", [False, True])
def test_known_hosts_lines_are_what_ssh_reads(bench: Bench, tmp_path: Path, hashed: bool) -> None:
    bench.known_hosts.write_text("")
    good = bench.device("good")
    assert subprocess.run([*bench.ssh("good"), "true"], capture_output=True, check=False).returncode == 255
    bench.trust(good.host, good.port, bench.sshd.public_key, hashed=hashed)
    assert subprocess.run([*bench.ssh("good"), "true"], capture_output=True, check=False).returncode == 0
    bench.trust(good.host, good.port, bench.sshd.public_key, hashed=hashed, marker="@revoked")
    refused = subprocess.run([*bench.ssh("good"), "true"], capture_output=True, check=False)
    assert (refused.returncode, b"revoked" in refused.stderr) == (255, True)
