"""A TCP server of a few lines: a thread for each connection, all gone at the end."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: What handles one connection; the event is set when the server ends, and waiting must end then.
Handler = Callable[[socket.socket, threading.Event], None]


@dataclass(frozen=True)
class Hostile:
    """Where a server of this bench listens; ``public_key`` is its host key, empty when it shows none."""

    host: str
    port: int
    public_key: str = ""


@contextlib.contextmanager
def listening(handle: Handler, public_key: str = "") -> Iterator[Hostile]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        listener.settimeout(0.05)
        acceptor = threading.Thread(target=_accept, args=(listener, handle, over, threads, sockets), daemon=True)
        acceptor.start()
        try:
            host, port = listener.getsockname()
            yield Hostile(host, port, public_key)
        finally:
            over.set()
            acceptor.join()
            for sock in sockets:
                hang_up(sock)
            for thread in threads:
                thread.join(10)


def hang_up(sock: socket.socket, *, reset: bool = False) -> None:
    """Close a connection, whoever waits for it; ``reset`` makes the other side see a RST."""
    with contextlib.suppress(OSError):
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A shut-down wakes a thread that reads; writing stays open for a reset, or a FIN would go before it.
        sock.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
    sock.close()


def _accept(
    listener: socket.socket,
    handle: Handler,
    over: threading.Event,
    threads: list[threading.Thread],
    sockets: list[socket.socket],
) -> None:
    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            handle(sock, over)
        hang_up(sock)

    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            sock, _ = listener.accept()
            sockets.append(sock)
            threads.append(threading.Thread(target=serve, args=(sock,), daemon=True))
            threads[-1].start()
