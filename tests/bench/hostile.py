"""SSH servers that misbehave, each in one way; every one is a context manager that gives a ``Hostile``."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import struct
import threading
from collections.abc import Iterator

import paramiko
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from tests.bench.listening import Handler, Hostile, hang_up, listening

BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"


def banner_never() -> contextlib.AbstractContextManager[Hostile]:
    """Accepts connections and says nothing, ever."""
    return listening(_wait)


def banner_drips(seconds: float = 1.0) -> contextlib.AbstractContextManager[Hostile]:
    """Says its banner one byte at a time, so many seconds apart."""

    def drip(sock: socket.socket, over: threading.Event) -> None:
        for byte in BANNER:
            sock.sendall(bytes([byte]))
            if over.wait(seconds):
                return
        over.wait()

    return listening(drip)


def kex_never_ends() -> contextlib.AbstractContextManager[Hostile]:
    """Begins the key exchange, and leaves it at that."""

    def begin(sock: socket.socket, over: threading.Event) -> None:
        sock.sendall(BANNER + _kexinit())
        over.wait()

    return listening(begin)


def auth_stalls() -> contextlib.AbstractContextManager[Hostile]:
    """Never answers a login."""
    return _ssh("auth")


def channel_never_opens() -> contextlib.AbstractContextManager[Hostile]:
    """Lets everybody in, and never answers the request for a channel."""
    return _ssh("channel")


def exec_unanswered() -> contextlib.AbstractContextManager[Hostile]:
    """Opens channels, and never answers the request to run something."""
    return _ssh("exec")


def exec_silent() -> contextlib.AbstractContextManager[Hostile]:
    """Says yes to every command, and then nothing: no output, no end."""
    return _ssh("silence")


def drops_the_link(said: bytes = b"the first half of an answer") -> contextlib.AbstractContextManager[Hostile]:
    """Sends some output of every command, then resets the connection."""
    return _ssh("drop", said)


def closes_at_once() -> contextlib.AbstractContextManager[Hostile]:
    """Accepts connections and resets them before a word is said."""

    def close(sock: socket.socket, over: threading.Event) -> None:
        hang_up(sock, reset=True)

    return listening(close)


@contextlib.contextmanager
def not_listening() -> Iterator[Hostile]:
    """A port on which nobody listens, and nobody else will while the block runs."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield Hostile(*sock.getsockname())


@contextlib.contextmanager
def answers_nobody() -> Iterator[Hostile]:
    """A port that drops whoever knocks, as a machine that is switched off does: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listener.getsockname())
        yield Hostile(*listener.getsockname())


def _wait(sock: socket.socket, over: threading.Event) -> None:
    over.wait()


def _kexinit() -> bytes:
    """A key exchange packet (RFC 4253, 7.1) in which every usual algorithm is on offer."""
    offers = [
        "curve25519-sha256,curve25519-sha256@libssh.org",
        "ssh-ed25519",
        "aes128-ctr",
        "aes128-ctr",
        "hmac-sha2-256",
        "hmac-sha2-256",
    ]
    lists = [*offers, "none", "none", "", ""]
    payload = b"\x14" + os.urandom(16)
    payload += b"".join(struct.pack(">I", len(name)) + name.encode() for name in lists) + bytes(5)
    padding = 8 - (len(payload) + 5) % 8 + 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


@functools.cache
def _host_key() -> paramiko.ECDSAKey:
    return paramiko.ECDSAKey.generate()


def _ssh(stall: str, said: bytes = b"") -> contextlib.AbstractContextManager[Hostile]:
    key = _host_key()
    return listening(_ssh_handler(stall, said), f"{key.get_name()} {key.get_base64()}")


def _ssh_handler(stall: str, said: bytes) -> Handler:
    def handle(sock: socket.socket, over: threading.Event) -> None:
        transport = paramiko.Transport(sock)
        transport.add_server_key(_host_key())
        server = _Server(stall, over)
        try:
            transport.start_server(server=server, event=threading.Event())
            while not over.wait(0.02):
                if stall == "drop" and server.asked.is_set():
                    channel = transport.accept(10)
                    if channel is not None:
                        channel.sendall(said)
                    over.wait(0.2)  # a reset throws away what the other side has not read yet
                    hang_up(sock, reset=True)
                    return
        finally:
            transport.close()

    return handle


class _Server(paramiko.ServerInterface):
    """Lets everybody in and runs nothing; stops answering at one point."""

    def __init__(self, stall: str, over: threading.Event) -> None:
        self.asked = threading.Event()
        self._stall = stall
        self._over = over

    def _pause(self, point: str) -> None:
        if self._stall == point:
            self._over.wait()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._pause("auth")
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._pause("channel")
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._pause("exec")
        self.asked.set()
        return True
