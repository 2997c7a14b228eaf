"""The SSH server: one listener for each device, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import asyncssh

from fleet_tasks.embedded.command import Commands
from fleet_tasks.embedded.processes import end_all


class Server:
    """Lets one client key in on free ports of 127.0.0.1, and runs what it asks for in a device's home."""

    def __init__(self, homes: Mapping[str, Path], host: asyncssh.SSHKey, client: asyncssh.SSHKey) -> None:
        self._homes = homes
        self._host = host
        self._clients = asyncssh.import_authorized_keys(client.export_public_key().decode())
        self._commands = Commands()
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._ready: Future[dict[str, int]] = Future()
        self._over = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="embedded-fleet", daemon=True)

    def start(self) -> dict[str, int]:
        """Listen for every device; the port of each. Raises OSError when there is none to be had."""
        self._thread.start()
        return self._ready.result()

    def stop(self) -> None:
        """Stop listening, end what runs in the homes, hang up, and wait until all that is done."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._serve())
            except OSError as error:
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        listeners = {name: await self._listen(home) for name, home in self._homes.items()}
        self._ready.set_result({name: listener.get_port() for name, listener in listeners.items()})
        await self._over.wait()
        for listener in listeners.values():
            listener.close()
        await asyncio.to_thread(end_all, self._homes.values(), self._commands.groups)
        await self._commands.over()
        for connection in tuple(self._connections):
            connection.abort()
            await connection.wait_closed()

    async def _listen(self, home: Path) -> asyncssh.SSHAcceptor:
        async def attend(session: asyncssh.SSHServerProcess[bytes]) -> None:
            await self._commands.run(session, home)

        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Visitor(self._connections),
            server_host_keys=[self._host],
            authorized_client_keys=self._clients,
            process_factory=attend,
            encoding=None,
            line_editor=False,
            allow_pty=False,
            agent_forwarding=False,
        )


class _Visitor(asyncssh.SSHServer):
    """Counts itself among the open connections as long as it is one."""

    def __init__(self, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._connection)
