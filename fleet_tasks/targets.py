"""From what a command line says to the devices it means: in the order of first mention, each once."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from fleet_tasks import addresses, ranges
from fleet_tasks.devices import Device, Group
from fleet_tasks.errors import RequestError, UnknownName
from fleet_tasks.options import Targets


class Roster(Protocol):
    """What choosing needs to know of a registry."""

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices by name, in order."""
        ...

    @property
    def groups(self) -> Mapping[str, Group]:
        """The groups by name, in order."""
        ...

    def unnamed(self, text: str) -> Device:
        """The device behind an address that nobody gave a name."""
        ...


def choose(roster: Roster, targets: Targets) -> tuple[Device, ...]:
    """The devices meant: ``-d``, then ``-g``, then ``--all``, less ``-x``, and of those the tagged ones.

    Tags alone choose among every device; of several tags one is enough. An address that only repeats a
    chosen device is left out. Raises UnknownName for a name that is none, RequestError when nothing is left.
    """
    chosen = _device_names(roster, targets.device)
    chosen += [name for group in _group_names(roster, targets.group) for name in roster.groups[group].devices]
    if targets.all or (targets.tag and not targets.device and not targets.group):
        chosen += roster.devices
    devices = _without_repeats(roster, [device_of(roster, name) for name in dict.fromkeys(chosen)])
    devices = _without(roster, devices, [device_of(roster, name) for name in _excluded(roster, targets.exclude)])
    wanted = _tags(roster, targets.tag)
    devices = [device for device in devices if not wanted or wanted & set(device.tags)]
    if not devices:
        raise RequestError(_nothing(targets, chosen))
    return tuple(devices)


def device_of(roster: Roster, name: str) -> Device:
    """The device with this name, or behind this address; UnknownName when it is neither."""
    known = roster.devices.get(name)
    if known is not None:
        return known
    if is_address(name, roster.devices):
        return roster.unnamed(name)
    raise _unknown_device(roster, name)


def is_address(text: str, known: Iterable[str]) -> bool:
    """Whether a word that is no known name is ``[user@]host[:port]`` rather than a slip of the keyboard.

    With ``@`` or ``:`` it is; a word with a dot is, unless a known name is very near.
    """
    if "@" in text or ":" in text or addresses.is_ip(text):
        return True
    return "." in text and ranges.is_name(text) and ranges.nearest(text, known, closeness=0.8) is None


def _device_names(roster: Roster, texts: Iterable[str]) -> list[str]:
    def known(name: str) -> str:
        return device_of(roster, name).name

    return [name for word in _words(texts) for name in _matching(word, "device", roster.devices, known)]


def _group_names(roster: Roster, texts: Iterable[str]) -> list[str]:
    def known(name: str) -> str:
        if name in roster.groups:
            return name
        raise _unknown_group(roster, name)

    return [name for word in _words(texts) for name in _matching(word, "group", roster.groups, known)]


def _excluded(roster: Roster, texts: Iterable[str]) -> list[str]:
    """The devices that ``-x`` means, by themselves or by their group."""

    def known(name: str) -> str:
        return name if name in roster.groups else device_of(roster, name).name

    either = [*roster.devices, *roster.groups]
    named = [name for word in _words(texts) for name in _matching(word, "device or group", either, known)]
    groups = roster.groups
    return [device for name in named for device in (groups[name].devices if name in groups else (name,))]


def _words(texts: Iterable[str]) -> list[str]:
    """Comma lists come apart, and ranges become what they mean."""
    return [word for text in texts for part in ranges.split(text) for word in ranges.expand(part)]


def _matching(word: str, kind: str, names: Iterable[str], known: Callable[[str], str]) -> list[str]:
    """The names a glob matches, or the one that a plain word is."""
    if not ranges.is_glob(word) or is_address(word, ()):
        return [known(word)]
    found = [name for name in names if fnmatch.fnmatchcase(name, word)]
    if not found:
        raise RequestError(f"No {kind} matches {ranges.shown(word)}.")
    return found


def _tags(roster: Roster, texts: Iterable[str]) -> set[str]:
    carried = {tag for device in roster.devices.values() for tag in device.tags}
    wanted = {tag for text in texts for tag in ranges.split(text)}
    for tag in sorted(wanted - carried):
        raise UnknownName("tag", tag, ranges.nearest(tag, carried))
    return wanted


def _without_repeats(roster: Roster, devices: Iterable[Device]) -> list[Device]:
    """Addresses which lead where a chosen device stands are left out; names never are."""
    devices = list(devices)
    seen = {device.endpoint for device in devices if device.name in roster.devices}
    kept = []
    for device in devices:
        if device.name in roster.devices or device.endpoint not in seen:
            kept.append(device)
            seen.add(device.endpoint)
    return kept


def _without(roster: Roster, devices: Iterable[Device], excluded: Iterable[Device]) -> list[Device]:
    """What is left; an excluded address takes the device that stands there with it."""
    excluded = list(excluded)
    names = {device.name for device in excluded}
    places = {device.endpoint for device in excluded if device.name not in roster.devices}
    return [device for device in devices if device.name not in names and device.endpoint not in places]


def _unknown_device(roster: Roster, name: str) -> RequestError:
    if name.lower() == "all":
        return RequestError(f"{name!r} is no device; every device is --all.")
    if not ranges.is_name(name):
        return RequestError(f"{ranges.shown(name)} is no device: neither a name nor [user@]host[:port].")
    if name in roster.groups:
        return UnknownName("device", name, f"the group, -g {name}")
    nearest = ranges.nearest(name, roster.devices)
    return UnknownName("device", name, nearest or f"user@{name}, a machine outside the registry")


def _unknown_group(roster: Roster, name: str) -> RequestError:
    if name.lower() == "all":
        return RequestError(f"{name!r} is no group; every device is --all.")
    if name in roster.devices:
        return UnknownName("group", name, f"the device, -d {name}")
    return UnknownName("group", name, ranges.nearest(name, roster.groups))


def _nothing(targets: Targets, chosen: Iterable[str]) -> str:
    """Why there is nobody to visit."""
    if chosen and targets.tag:
        return f"None of the chosen devices carries the tag {' or '.join(targets.tag)}."
    if chosen:
        return "Every chosen device is excluded by -x; nobody is left to visit."
    if targets.all:
        return "The registry has no devices yet: fleet device.add --name NAME --host USER@HOST"
    if targets.group:
        return f"There is no device in {', '.join(targets.group)}: fleet group.add --name GROUP --member DEVICE"
    return "No device was named: say -d NAME, -g GROUP or --all."
