"""A relay before a real server: the link that a test can refuse, freeze and cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.bench.listening import Hostile, hang_up, listening


class Relay:
    """Passes bytes between clients and one server, as long as it is let.

    ``connections`` counts those it was asked for, ``sent`` the bytes that clients sent. What passed is counted from the
    server's side.
    """

    def __init__(self, host: str, port: int) -> None:
        self.place = Hostile("127.0.0.1", 0)
        self.connections = 0
        self.sent = 0
        self._target = (host, port)
        self._refusals = 0
        self._cut_after: int | None = None
        self._freeze_after: int | None = None
        self._passed = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []

    def refuse(self, times: int) -> None:
        """Reset the next so many connections when they are made."""
        self._refusals = times

    def freeze(self) -> None:
        """Pass nothing on, and keep every connection open: a machine that hangs."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._flowing.set()

    def cut(self) -> bool:
        """Reset every connection there is; new ones are served. Whether there was any."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for client, server in pairs:
            hang_up(client, reset=True)
            hang_up(server, reset=True)
        return bool(pairs)

    def cut_after(self, count: int) -> None:
        """Cut as soon as the server has sent so many more bytes."""
        self._cut_after = self._passed + count

    def freeze_after(self, count: int) -> None:
        """Freeze as soon as the server has sent so many more bytes; ``frozen`` tells when."""
        self._freeze_after = self._passed + count

    @property
    def frozen(self) -> bool:
        """Whether nothing is passed on just now."""
        return not self._flowing.is_set()

    def serve(self, client: socket.socket, over: threading.Event) -> None:
        """Carry one connection until one side or the relay ends it."""
        self.connections += 1
        if self._refusals > 0:
            self._refusals -= 1
            hang_up(client, reset=True)
            return
        with socket.create_connection(self._target) as server:
            with self._lock:
                self._pairs.append((client, server))
            upward = threading.Thread(target=self._pump, args=(client, server), daemon=True)
            upward.start()
            self._pump(server, client, counted=True)
            upward.join()

    def _pump(self, source: socket.socket, drain: socket.socket, *, counted: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    self._hold(len(data))
                self._flowing.wait()
                drain.sendall(data)
                if counted:
                    self._count(len(data))
                else:
                    self.sent += len(data)
        hang_up(drain)
        hang_up(source)

    def _hold(self, size: int) -> None:
        if self._freeze_after is not None and self._passed + size > self._freeze_after:
            self._freeze_after = None
            self.freeze()

    def _count(self, size: int) -> None:
        self._passed += size
        if self._cut_after is not None and self._passed >= self._cut_after:
            self._cut_after = None
            self.cut()


@contextlib.contextmanager
def relay(host: str, port: int, public_key: str = "") -> Iterator[Relay]:
    """A relay to that server for the length of the block."""
    link = Relay(host, port)
    with listening(link.serve, public_key) as link.place:
        try:
            yield link
        finally:
            link.thaw()
            link.cut()
