"""How to log in to a device: the registry's words, filled up with ssh_config's, in one record."""

from __future__ import annotations

import getpass
import re
import shlex
from collections.abc import Mapping
from dataclasses import field

from fleet_tasks.devices import Device, Endpoint
from fleet_tasks.hostkeys import known_name
from fleet_tasks.record import record
from fleet_tasks.sshconfig import HostSettings


@record
class Login:
    """Everything a connection needs to know; ``connect_timeout`` is seconds for the whole login."""

    device: str
    host: str
    user: str
    port: int
    keys: tuple[str, ...] = ()
    only_keys: bool = False
    agent_socket: str | None = None
    jump: tuple[Endpoint, ...] = ()
    proxy_command: str | None = None
    host_keys: str = "accept-new"
    known_hosts: tuple[str, ...] = ()
    alias: str | None = None
    connect_timeout: float = 10.0
    password: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """``user@host:port``, as documents show it."""
        return f"{self.user}@{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def words(self) -> Mapping[str, object]:
        """What a guidance sentence may name; ``login`` is what ssh and ssh-copy-id want to hear after ``-p PORT``."""
        key = ["-i", *map(_typed, self.keys[:1])] if self.keys else []
        jump = ["-o", f"ProxyJump={shlex.quote(','.join(map(str, self.jump)))}"] if self.jump else []
        return {
            "login": " ".join([*key, *jump, f"{self.user}@{self.host}"]),
            "host": self.host,
            "port": self.port,
            "known_as": self.known_as,
            "known_hosts": " ".join(map(_typed, self.known_hosts[:1])),
        }

    @property
    def known_as(self) -> str:
        """What known_hosts calls it."""
        return self.alias or known_name(self.host, self.port)


@record
class Habits:
    """What holds for every login of this program: flags, environment and defaults."""

    identities: tuple[str, ...] = ()
    agent_socket: str | None = None
    host_keys: str = "accept-new"
    connect_timeout: float | None = None
    password: str | None = field(default=None, repr=False)


def _typed(path: str) -> str:
    """A path as it is typed: quoted where it must be, but never what stands for the home."""
    return path if re.fullmatch(r"~?[\w./+-]+", path) else shlex.quote(path)


def login(device: Device, settings: HostSettings, habits: Habits, known_hosts: str) -> Login:
    """The registry's word first, then a flag of the program, then ssh_config, then what ssh would do."""
    jumps = device.jump or settings.jump
    keys = habits.identities or ((device.key,) if device.key else settings.identity_files)
    return Login(
        device=device.name,
        host=settings.hostname or device.host,
        user=device.user or settings.user or getpass.getuser(),
        port=device.port or settings.port or 22,
        keys=tuple(keys),
        only_keys=settings.identities_only,
        agent_socket=None if settings.identity_agent == "none" else settings.identity_agent or habits.agent_socket,
        jump=jumps,
        proxy_command=None if jumps else settings.proxy_command,
        host_keys=device.host_keys or settings.strict or habits.host_keys,
        known_hosts=settings.user_known_hosts or (known_hosts,),
        alias=settings.host_key_alias,
        connect_timeout=habits.connect_timeout or device.connect_timeout or 10.0,
        password=habits.password,
    )
