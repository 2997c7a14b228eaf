"""Adding, changing and removing devices and groups in fleet.yaml, in place.

Every change is made under a lock, read again before it replaces the file, and refused whole where the
result would be wrong: then the file stays as it was, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from fleet_tasks import ranges
from fleet_tasks.devices import Device
from fleet_tasks.errors import RegistryError, RequestError, UnknownName
from fleet_tasks.registry import document, patching, storing
from fleet_tasks.registry.reading import read
from fleet_tasks.registry.records import Registry

Change = Callable[[str, Registry], str]


def add_device(path: Path, device: Device, *, groups: Iterable[str] = (), replace: bool = False) -> Registry:
    """Write a device down, with the settings that are not left open, and put it into groups.

    ``device.host`` may be ``[user@]host[:port]``, ``device.name`` a range. A name that is known is a
    RequestError unless ``replace``; the registry after the change is given back.
    """
    return edit(path, lambda text, before: with_device(text, before, device, groups=groups, replace=replace))


def remove_device(path: Path, name: str) -> Registry:
    """Take a device, or a range that is written as one, out of the registry and out of all its groups."""

    def change(text: str, before: Registry) -> str:
        entries = names_in(text, "devices")
        if name not in entries:
            raise _not_removable(text, before, name)
        return _without_members(patching.erase(text, ("devices", name)), ranges.expand(name))

    return edit(path, change)


def create_group(path: Path, name: str, *, members: Sequence[str] = (), description: str = "") -> Registry:
    """Write a new group down."""

    def change(text: str, before: Registry) -> str:
        if name in before.groups:
            raise RequestError(f"There is a group {name!r} already; fleet group.add puts members into it.")
        return patching.put(text, ("groups",), {name: group_of(members, description)})

    return edit(path, change)


def delete_group(path: Path, name: str) -> Registry:
    """Take a group out of the registry and out of the groups that hold it; its devices stay."""

    def change(text: str, before: Registry) -> str:
        _known_group(before, name)
        return _without_members(patching.erase(text, ("groups", name)), [name])

    return edit(path, change)


def add_members(path: Path, group: str, members: Sequence[str]) -> Registry:
    """Put devices, ranges, addresses or groups into a group; what is in it already stays as it is."""
    return edit(path, lambda text, before: with_members(text, before, group, members))


def remove_members(path: Path, group: str, members: Sequence[str]) -> Registry:
    """Take members out of a group; RequestError for one that is not in it."""

    def change(text: str, before: Registry) -> str:
        _known_group(before, group)
        direct = {name for member in before.groups[group].members for name in ranges.expand(member)}
        gone = [name for member in members for name in ranges.expand(member)]
        for name in gone:
            if name not in direct:
                raise RequestError(_not_a_member(before, group, name))
        return _without_members(text, gone, groups=[group])

    return edit(path, change)


# -- what changes are made of ---------------------------------------------------------------


def edit(path: Path, change: Change) -> Registry:
    """Change the text of a registry, under the lock, and only into one that is valid; gives back the new one."""
    real = path.resolve()
    with storing.locked(real.parent):
        text = storing.read_text(path)
        before = read(text, str(path), path=path)
        changed = change(text, before)
        try:
            after = read(changed, str(path), path=path)
        except RegistryError as error:
            where = f"{error.place.path}: " if error.place and error.place.path else ""
            sentence = str(error).removeprefix(f"{error.place}: ")
            raise RequestError(f"{where}{sentence} Nothing was changed.") from error
        if changed != text:
            storing.overwrite(real, changed)
    return after


def with_device(
    text: str, before: Registry, device: Device, *, groups: Iterable[str] = (), replace: bool = False
) -> str:
    """The registry's text with one more device, or with another in its place."""
    known = [name for name in ranges.names(device.name) if name in before.devices]
    if known and not replace:
        raise RequestError(f"There is a device {known[0]!r} already; --replace puts the new one in its place.")
    if known and device.name not in names_in(text, "devices"):
        raise _not_removable(text, before, known[0])
    text = patching.put(text, ("devices",), {device.name: settings_of(device)})
    for group in groups:
        text = with_members(text, before, group, [device.name])
    return text


def with_members(text: str, before: Registry, group: str, members: Iterable[str]) -> str:
    """The registry's text with more members in a group that is there."""
    _known_group(before, group)
    held = {name for member in before.groups[group].members for name in (member, *ranges.expand(member))}
    fresh = [member for member in dict.fromkeys(members) if not set(ranges.expand(member)) <= held]
    return patching.append(text, _members_path(text, group), fresh) if fresh else text


def _without_members(text: str, gone: Collection[str], *, groups: Iterable[str] | None = None) -> str:
    """The registry's text with some names in no group any more, or in none of some groups."""
    lost = set(gone)
    for group in names_in(text, "groups") if groups is None else groups:
        path = _members_path(text, group)
        for index, member in reversed(list(enumerate(_members(text, path)))):
            names = ranges.expand(member)
            left = [name for name in names if name not in lost]
            if not left:
                text = patching.erase(text, (*path, index))
            elif len(left) < len(names):
                first, *others = ranges.split(ranges.fold(left))
                text = patching.append(patching.change_item(text, path, index, first), path, others)
    return text


def group_of(members: Sequence[str], description: str = "") -> list[str] | dict[str, Any]:
    """What is to be written of a group: the short form where there is nothing to say about it."""
    return {"members": list(members), "description": description} if description else list(members)


def settings_of(device: Device) -> str | dict[str, Any]:
    """What is to be written of a device: the short form where its address says everything."""
    given: dict[str, Any] = {}
    for field in fields(device):
        value = getattr(device, field.name)
        if field.name == "name" or value is None or value == "" or value == () or value == {}:
            continue
        if field.name != "slots" or value != 1:
            given[field.name] = [str(part) for part in value] if isinstance(value, tuple) else value
    return device.host if given.keys() == {"host"} else given


def names_in(text: str, part: str) -> list[str]:
    """The names in one part of the registry, as they are written."""
    return list(_part(text, part).items)


def _part(text: str, part: str) -> document.Mapping:
    root = document.parse(text, "")
    found = root.items.get(part) if isinstance(root, document.Mapping) else None
    return found if isinstance(found, document.Mapping) else document.Mapping(1, 1, False, {}, {}, 0)


def _members_path(text: str, group: str) -> patching.Path:
    """Where a group's members are listed: under its name, or under ``members:``."""
    value = _part(text, "groups").items.get(group)
    return ("groups", group, "members") if isinstance(value, document.Mapping) else ("groups", group)


def _members(text: str, path: patching.Path) -> list[str]:
    node: document.Node | None = _part(text, "groups").items.get(str(path[1]))
    if isinstance(node, document.Mapping):
        node = node.items.get("members")
    items = node.items if isinstance(node, document.Sequence) else ()
    return [item.text for item in items if isinstance(item, document.Scalar)]


def _known_group(registry: Registry, name: str) -> None:
    if name not in registry.groups:
        raise UnknownName("group", name, ranges.nearest(name, registry.groups))


def _not_removable(text: str, registry: Registry, name: str) -> RequestError:
    """Why a name that is no key cannot be taken out."""
    part = _part(text, "devices")
    for key, at in part.keys.items():
        if name in ranges.expand(key):
            return RequestError(f"{name} comes from {key} on line {at.line}; change that line, or remove {key}.")
    return UnknownName("device", name, ranges.nearest(name, registry.devices))


def _not_a_member(registry: Registry, group: str, name: str) -> str:
    if name in registry.groups[group].devices:
        return f"{name} is in {group} by way of another group; take it out of that one."
    near = ranges.nearest(name, [member for text in registry.groups[group].members for member in ranges.expand(text)])
    return f"{name} is not in {group}" + (f"; did you mean {near}?" if near else ".")
