"""Device and Group: who can be visited, with every default already filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from fleet_tasks.record import record


@record
class Endpoint:
    """Where an SSH server listens and whom it knows us as; ``None`` means: ssh_config decides."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        login = f"{self.user}@{host}" if self.user else host
        return f"{login}:{self.port}" if self.port else login


@record
class Device:
    """One machine reachable by SSH.

    Fields left ``None`` are open: ssh_config or the product's default fills them where they are
    used. ``timeout`` and ``connect_timeout`` are seconds; ``slots`` is tasks at a time; ``home`` is
    our folder on the device (``~/.local/share/fleet-tasks`` when open); ``limits`` are settings for the
    agent such as ``max_tokens``.
    """

    name: str
    host: str
    user: str | None = None
    port: int | None = None
    key: str | None = None
    jump: tuple[Endpoint, ...] = ()
    arch: str | None = None
    tags: tuple[str, ...] = ()
    slots: int = 1
    agent: str | None = None
    provider: str | None = None
    model: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    description: str = ""
    timeout: float | None = None
    connect_timeout: float | None = None
    host_keys: str | None = None
    cleanup: bool | None = None
    workdir: str | None = None
    home: str | None = None
    key_delivery: str | None = None
    limits: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def endpoint(self) -> Endpoint:
        """Where the device listens, as far as the registry says."""
        return Endpoint(self.host, self.user, self.port)


@record
class Group:
    """A named set of devices, flat and in order, with the members as they were written."""

    name: str
    members: tuple[str, ...]
    devices: tuple[str, ...]
    description: str = ""
