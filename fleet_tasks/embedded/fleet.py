"""EmbeddedFleet: keys, homes, servers and a registry, from entering a block to leaving it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

from fleet_tasks.embedded.command import temporary
from fleet_tasks.embedded.server import Server
from fleet_tasks.record import record

HANDHELDS = ("steam-deck", "legion-go", "rog-ally")

_REGISTRY = """\
# The embedded fleet: devices on this machine's loopback, gone when the demo ends.
version: 1
defaults: {{user: demo, agent: demo, key: {key}, host_keys: strict}}
devices:
{devices}
groups:
  handhelds: [{names}]
"""


@record
class EmbeddedDevice:
    """One device of the fleet: its name, its port on 127.0.0.1, and the folder that is its home."""

    name: str
    port: int
    home: Path


class EmbeddedFleet:
    """Devices that live in one folder as long as the block lasts; the folder itself stays.

    ``registry`` is a fleet.yaml of them. ``home`` is what a client's HOME must be: its ``.ssh`` holds ``key`` and
    the ``known_hosts`` that the registry's strict host keys ask for.
    """

    def __init__(self, folder: Path, names: Sequence[str] = HANDHELDS) -> None:
        folder = folder.resolve()
        self.home = folder / "laptop"
        self.key = self.home / ".ssh" / "id_ed25519"
        self.known_hosts = self.home / ".ssh" / "known_hosts"
        self.registry = folder / "fleet.yaml"
        self.devices: tuple[EmbeddedDevice, ...] = ()
        self._homes = {name: folder / "devices" / name for name in names}
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make keys and homes, listen, and write down how to get in; raises OSError when that cannot be."""
        for folder in (self.key.parent, *self._homes.values(), *map(temporary, self._homes.values())):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        host, client = (asyncssh.generate_private_key("ssh-ed25519", comment=name) for name in ("host", "demo"))
        self.key.touch(mode=0o600)
        client.write_private_key(self.key)
        client.write_public_key(self.key.with_suffix(".pub"))
        self._server = Server(self._homes, host, client)
        ports = self._server.start()
        self.devices = tuple(EmbeddedDevice(name, ports[name], home) for name, home in self._homes.items())
        self._write_down(host)

    def stop(self) -> None:
        """Stop listening, and end every process that runs on a device; once more does no harm."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _write_down(self, host: asyncssh.SSHKey) -> None:
        kind, blob = host.export_public_key().decode().split()[:2]
        self.known_hosts.write_text("".join(f"[127.0.0.1]:{d.port} {kind} {blob}\n" for d in self.devices))
        lines = [f"  {d.name}: {{host: 127.0.0.1, port: {d.port}}}" for d in self.devices]
        key, names = json.dumps(str(self.key)), ", ".join(self._homes)
        self.registry.write_text(_REGISTRY.format(key=key, devices="\n".join(lines), names=names))
