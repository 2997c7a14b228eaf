"""What fleet.yaml says, as plain frozen records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TypeVar

from fleet_tasks import addresses
from fleet_tasks.devices import Device, Group
from fleet_tasks.record import record
from fleet_tasks.registry.providers import WELL_KNOWN, Provider

T = TypeVar("T")

Limits = Callable[[str], Collection[str] | None]
"""The names of the limits that an agent has; None where nobody knows."""


def unknown(agent: str) -> Collection[str] | None:
    """The limits of agents where nobody was asked for them."""
    return None


@record
class SecretSource:
    """Where a secret's value is found when it is needed; exactly one of the three is set.

    ``member`` is the key to look at where the file is a JSON document.
    """

    name: str
    env: str | None = None
    file: str | None = None
    command: tuple[str, ...] = ()
    member: str = ""


@record
class AgentSettings:
    """What the registry says about one agent; what is not said is None or empty.

    ``dispatch status deploy teardown login`` are shell texts, given by agents of the user's own; ``answer``,
    ``fails_when`` and ``usage`` say where in their output to look. ``keys`` are the variables in which the program
    wants its key, by the provider's kind. ``timeout`` is seconds.
    """

    name: str
    source: str | None = None
    checksum: str | None = None
    asset: str | None = None
    releases_api: str | None = None
    provider: str | None = None
    model: str | None = None
    timeout: float | None = None
    cleanup: bool | None = None
    memory: bool | None = None
    limits: Mapping[str, object] = field(default_factory=dict, hash=False)
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    dispatch: str | None = None
    status: str | None = None
    deploy: str | None = None
    teardown: str | None = None
    answer: str | None = None
    fails_when: str | None = None
    usage: Mapping[str, str] = field(default_factory=dict, hash=False)
    description: str | None = None
    program: str | None = None
    login: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict, hash=False)
    secrets: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    needs_model: bool | None = None


@record
class Defaults:
    """What holds where nothing nearer says otherwise: a device's settings, and those of a whole run.

    ``device`` is a pattern without a name; times are seconds.
    """

    device: Device = field(default_factory=lambda: Device(name="", host=""))
    parallel: int | None = None
    retries: int | None = None
    grace: float | None = None
    deadline: float | None = None

    @property
    def agent(self) -> str | None:
        """The agent of devices that name none."""
        return self.device.agent

    @property
    def timeout(self) -> float | None:
        """Seconds a task may take."""
        return self.device.timeout

    @property
    def connect_timeout(self) -> float | None:
        """Seconds a connection may take."""
        return self.device.connect_timeout

    @property
    def host_keys(self) -> str | None:
        """How host keys are checked."""
        return self.device.host_keys


@record
class Settings:
    """What one agent works with on one device, as far as the registry says."""

    provider: str | None
    model: str | None
    timeout: float | None
    cleanup: bool | None
    env: Mapping[str, str]
    limits: Mapping[str, object]


@record
class Registry:
    """Every name the registry gives, resolved.

    A device's ``provider model timeout cleanup env limits`` are its own only: an agent's settings stand
    between them and the defaults, and ``settings`` puts the three together. All its other fields have
    the defaults filled in.
    """

    path: Path | None = None
    enabled: bool = True
    devices: Mapping[str, Device] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    agents: Mapping[str, AgentSettings] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=lambda: WELL_KNOWN)
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    defaults: Defaults = field(default_factory=Defaults)

    @classmethod
    def empty(cls) -> Registry:
        """The registry of someone who has none and visits unnamed devices only."""
        return cls()

    def unnamed(self, text: str) -> Device:
        """The device at an address, with the defaults; RequestError when it is no address."""
        return unnamed(text, self.defaults)

    def settings(self, device: Device, agent: str) -> Settings:
        """Provider, model, timeout, cleanup, env and limits: the device's, else the agent's, else the defaults'."""
        general, own = self.defaults.device, self.agents.get(agent, AgentSettings(agent))
        return Settings(
            provider=_first(device.provider, own.provider, general.provider),
            model=_first(device.model, own.model, general.model),
            timeout=_first(device.timeout, own.timeout, general.timeout),
            cleanup=_first(device.cleanup, own.cleanup, general.cleanup),
            env={**general.env, **own.env, **device.env},
            limits={**general.limits, **own.limits, **device.limits},
        )


def unnamed(text: str, defaults: Defaults) -> Device:
    """The device at ``[user@]host[:port]``, called as it was typed; RequestError when it is no address."""
    place = addresses.endpoint(text)
    pattern = without_settings(defaults.device)
    return replace(
        pattern, name=text, host=place.host, user=place.user or pattern.user, port=place.port or pattern.port
    )


def without_settings(device: Device) -> Device:
    """The device without what agents have a say in as well."""
    return replace(device, provider=None, model=None, timeout=None, cleanup=None, env={}, limits={})


def _first(*values: T | None) -> T | None:
    return next((value for value in values if value is not None), None)
