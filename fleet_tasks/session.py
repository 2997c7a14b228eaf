"""The open connections of one program: each device's is made once, and closed when the program ends."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fleet_tasks.connection import DeviceConnection
from fleet_tasks.devices import Device, Endpoint
from fleet_tasks.hostkeys import SYSTEM, KnownHosts
from fleet_tasks.keys import Keyring, expand
from fleet_tasks.logins import Habits, Login, login
from fleet_tasks.sshconfig import HostSettings, resolve_all

LOGINS_AT_ONCE = 8
"""Logins under way at one address: OpenSSH begins to hang up on more than ten (MaxStartups)."""


class Session:
    """Connections by device, keys and known hosts; everything is read once."""

    def __init__(self, home: Path, environ: Mapping[str, str], habits: Habits) -> None:
        self._home = home
        self._environ = environ
        self._habits = habits
        self._keyring = Keyring(home)
        self._known: dict[tuple[str, ...], KnownHosts] = {}
        self._open: dict[tuple[Device, float | None], DeviceConnection] = {}
        self._gateways: dict[tuple[Endpoint, ...], DeviceConnection] = {}
        self._throttles: dict[tuple[str, int], threading.Semaphore] = {}

    def connections(
        self, devices: Iterable[Device], connect_timeout: float | None = None
    ) -> dict[str, DeviceConnection]:
        """A connection for each device, by its name; not opened, and the same as last time where there was one.

        All are made in the calling thread: Fabric's configuration is not safe to share while it is built.
        """
        devices = list(devices)
        settings = resolve_all([device.endpoint for device in devices], self._home, self._environ)
        found = {}
        for device in devices:
            key = (device, connect_timeout)
            if key not in self._open:
                self._open[key] = self._connection(device, settings[device.endpoint], connect_timeout)
            found[device.name] = self._open[key]
        return found

    def close(self) -> None:
        """Ends every session, those of jump hosts last."""
        for connection in (*self._open.values(), *reversed(list(self._gateways.values()))):
            connection.close()
        self._open.clear()
        self._gateways.clear()

    def _connection(self, device: Device, settings: HostSettings, timeout: float | None) -> DeviceConnection:
        how = login(device, settings, self._habits, str(self._home / ".ssh" / "known_hosts"))
        how = replace(how, connect_timeout=timeout) if timeout else how
        jumps = device.jump or settings.jump
        return self._connect(how, self._gateway(jumps, how) if jumps else None)

    def _connect(self, how: Login, through: DeviceConnection | None) -> DeviceConnection:
        throttle = through.throttle if through else self._throttles.setdefault(
            (how.host, how.port), threading.Semaphore(LOGINS_AT_ONCE)
        )
        return DeviceConnection(how, self._keyring, self._known_hosts(how.known_hosts), through, throttle)

    def _gateway(self, jumps: tuple[Endpoint, ...], behind: Login) -> DeviceConnection:
        """The one login at a jump host that all devices behind it share; a chain is reached hop by hop."""
        if jumps not in self._gateways:
            hop = jumps[-1]
            settings = resolve_all([hop], self._home, self._environ)[hop]
            settings = replace(settings, jump=(), proxy_command=settings.proxy_command if len(jumps) == 1 else None)
            device = Device(str(hop), hop.host, hop.user, hop.port, host_keys=behind.host_keys)
            how = login(device, settings, self._habits, str(self._home / ".ssh" / "known_hosts"))
            how = replace(how, keys=how.keys or behind.keys, jump=jumps[:-1], connect_timeout=behind.connect_timeout)
            before = self._gateway(jumps[:-1], how) if len(jumps) > 1 else None
            self._gateways[jumps] = self._connect(how, before)
        return self._gateways[jumps]

    def _known_hosts(self, files: tuple[str, ...]) -> KnownHosts:
        paths = tuple(str(expand(file, self._home)) for file in files)
        if paths not in self._known:
            self._known[paths] = KnownHosts((*paths, *SYSTEM))
        return self._known[paths]
