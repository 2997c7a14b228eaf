"""``devices:`` and ``defaults:`` of fleet.yaml: what a machine may be given, and how defaults reach it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fleet_tasks import addresses, ranges
from fleet_tasks.devices import Device, Endpoint
from fleet_tasks.errors import RequestError
from fleet_tasks.registry import schema, spots
from fleet_tasks.registry.document import Scalar, Sequence
from fleet_tasks.registry.names import Names
from fleet_tasks.registry.records import Defaults, without_settings
from fleet_tasks.registry.spots import Spot

Reader = Callable[[Spot], Any]

HOST_KEYS = ("strict", "accept-new", "off")

_NAMED = ("key", "description", "workdir", "home")  # texts, beside the host, in which {name} means the device's name
_RUN: Mapping[str, Reader] = {
    "parallel": partial(spots.whole, most=10_000),
    "retries": partial(spots.whole, least=0, most=1000),
    "grace": spots.seconds,
    "deadline": spots.seconds,
}


def readers(names: Names) -> dict[str, Reader]:
    """How each setting of a device is read."""
    return {
        "host": spots.text,
        "user": lambda spot: spots.checked(spot, addresses.user),
        "port": partial(spots.whole, most=65535),
        "key": spots.path,
        "jump": _jump,
        "arch": schema.architecture,
        "tags": lambda spot: tuple(spots.name(item) for item in spots.items(spot)),
        "slots": partial(spots.whole, most=1000),
        "agent": names.agent,
        "provider": names.provider,
        "model": spots.word,
        "env": schema.variables,
        "description": spots.prose,
        "timeout": spots.seconds,
        "connect_timeout": spots.seconds,
        "host_keys": partial(spots.choice, words=HOST_KEYS),
        "cleanup": spots.yes,
        "workdir": spots.path,
        "home": _home,
        "key_delivery": _key_delivery,
        "limits": names.limits_of,
    }


def read_defaults(spot: Spot | None, names: Names) -> Defaults:
    """What holds for every device and every run."""
    if spot is None:
        return Defaults()
    known = readers(names)
    given = spots.fields(spot, (*known, *_RUN))
    general = {key: known[key](value) for key, value in given.items() if key in known}
    run = {key: _RUN[key](value) for key, value in given.items() if key in _RUN}
    device = Device(name="", **{"host": "", **general})
    if device.host:
        _place(given["host"], device.host, "name")
    return Defaults(device=device, **run)


def read_devices(spot: Spot | None, defaults: Defaults, names: Names) -> tuple[dict[str, Device], dict[str, Spot]]:
    """The devices by name, in the order of the file, and where each one's name stands."""
    devices: dict[str, Device] = {}
    origins: dict[str, Spot] = {}
    known = readers(names)
    pattern = without_settings(defaults.device)
    for at, key, value in spots.entries(spot) if spot else ():
        called = _names(at, key)
        settings = _settings(value, known)
        for name in called:
            if name in origins:
                first = origins[name]
                raise at.wrong(f"{name} is already there as {first.path}, on line {first.node.line}.")
            devices[name] = _device(value, name, settings, pattern)
            origins[name] = at
    return devices, origins


def _names(at: Spot, key: str) -> tuple[str, ...]:
    try:
        return ranges.names(key)
    except RequestError as error:
        raise at.wrong(str(error)) from error


def _settings(spot: Spot, known: Mapping[str, Reader]) -> dict[str, Any]:
    """A device's own settings: all of them, or the address alone in the short form."""
    if isinstance(spot.node, Scalar) and not spot.node.empty:
        return {"host": spots.text(spot)}
    given = spots.fields(spot, known)
    return {key: known[key](value) for key, value in given.items()}


def _device(spot: Spot, name: str, settings: Mapping[str, Any], pattern: Device) -> Device:
    """One device: its own settings over the defaults, its address taken apart."""
    written = settings.get("host", pattern.host)
    if not written:
        raise spot.wrong("has no host: write [user@]host[:port], or a mapping with host: in it.")
    place = _place(spot, written, name)
    for field, inside in (("user", place.user), ("port", place.port)):
        if inside is not None and field in settings:
            raise spot.wrong(f"gives the {field} twice: in host: and as {field}:.")
    own = dict(settings)
    own |= {key: own[key].replace("{name}", name) for key in _NAMED if key in own}
    own |= {"name": name, "host": place.host}
    own |= {key: value for key, value in (("user", place.user), ("port", place.port)) if value is not None}
    return replace(pattern, **own)


def _place(spot: Spot, written: str, name: str) -> Endpoint:
    try:
        return addresses.endpoint(written.replace("{name}", name))
    except RequestError as error:
        raise spot.wrong(str(error)) from error


def _jump(spot: Spot) -> tuple[Endpoint, ...]:
    """Jump hosts, as a text with commas like that of ``ssh -J``, or as a list."""
    if isinstance(spot.node, Sequence):
        return tuple(spots.checked(item, addresses.endpoint) for item in spots.items(spot))
    return spots.checked(spot, addresses.jumps)


def _home(spot: Spot) -> str:
    """A folder of our own on the device: never the root, never the user's home itself."""
    folder = spots.path(spot)
    steps = [step for step in folder.split("/") if step not in ("", ".")]
    if not folder.startswith(("/", "~/")) or ".." in steps or not [step for step in steps if step != "~"]:
        raise spot.wrong("must be a folder of its own: an absolute path, or one that begins with ~/.")
    return folder


def _key_delivery(spot: Spot) -> str:
    way = spots.choice(spot, ("stream", "gateway"))
    if way == "gateway":
        raise spot.wrong("gateway is not available yet; stream is the only way.")
    return way
