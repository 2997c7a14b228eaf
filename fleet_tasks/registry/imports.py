"""Taking the devices and groups of another tool into fleet.yaml; the kind of its file is found out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fleet_tasks import ranges
from fleet_tasks.errors import Place, RegistryError, RequestError, UnknownName
from fleet_tasks.record import record
from fleet_tasks.registry import ansible, foreign, patching
from fleet_tasks.registry.document import Mapping
from fleet_tasks.registry.document import parse as parse_yaml
from fleet_tasks.registry.editing import edit, group_of, names_in, settings_of, with_members
from fleet_tasks.registry.harvest import Harvest, Imported
from fleet_tasks.registry.records import Registry
from fleet_tasks.registry.storing import read_text

KINDS = ("ssh-config", "ansible", "picoclaw-fleet", "clio")

_INVENTORY = re.compile(r"^\s*(\[[^\[\]\n]+\]|hosts:|children:|[^#\n]*\bansible_\w+\s*[=:])", re.MULTILINE)


@record
class Merged:
    """What an import has done: names of devices that were added, replaced and kept as they were, and of groups."""

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]
    groups: tuple[str, ...]
    notes: tuple[str, ...]


def read_foreign(path: Path, kind: str | None = None) -> Imported:
    """The devices and groups in a file; RequestError when it cannot be read as what it is, or says it is.

    Keys and passwords are never taken over, and what is left out is told in the notes.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownName("kind of file", kind, ranges.nearest(kind, KINDS) or ", ".join(KINDS))
    text = read_text(path, missing="There is no such file.")
    return _read(path, text, kind or _kind(path, text)).gathered()


def import_into(path: Path, imported: Imported, *, replace: bool = False) -> Merged:
    """Write imported devices and groups into the registry; known devices stay as they are unless ``replace``."""
    done: list[Merged] = []

    def change(text: str, before: Registry) -> str:
        changed, merged = _merged(text, before, imported, replace=replace)
        done.append(merged)
        return changed

    edit(path, change)
    return done[0]


# -- kinds ----------------------------------------------------------------------------------


def _kind(path: Path, text: str) -> str:
    """What kind of file this is, by what is in it."""
    data = _json(text)
    if isinstance(data, dict) and isinstance(data.get("hosts"), list):
        return "picoclaw-fleet"
    if isinstance(data, dict) and ("devices" in data or "groups" in data):
        return "clio"
    if re.search(r"^\s*(Host|Match|Include)[ \t=]", text, re.MULTILINE | re.IGNORECASE):
        return "ssh-config"
    if re.search(r"^\s*\[[^\[\]]+\]", text, re.MULTILINE) or re.search(
        r"^[^#\n]*\bansible_\w+\s*[=:]", text, re.MULTILINE
    ):
        return "ansible"
    if re.search(r"^\s*(hosts|children):", text, re.MULTILINE) or path.suffix == ".ini" or path.name == "hosts":
        return "ansible"
    raise RequestError(f"It is not clear what {path} is; say --kind with one of {', '.join(KINDS)}.")


def _read(path: Path, text: str, kind: str) -> Harvest:
    if kind == "ssh-config":
        return foreign.read_ssh_config(path, Path(os.environ.get("HOME") or Path.home()))
    if kind == "ansible":
        return _inventory(path, text).harvest()
    data = _json(text)
    if not isinstance(data, dict):
        raise RegistryError(f"This is no JSON object, as a list of {kind} would be.", Place(str(path)))
    return (foreign.read_clio if kind == "clio" else foreign.read_picoclaw_fleet)(data, str(path))


def _inventory(path: Path, text: str) -> ansible.Inventory:
    """The inventory, in whichever of its two forms it is."""
    try:
        if isinstance(parse_yaml(text, str(path), tags=True), Mapping):
            return ansible.read_yaml(text, str(path))
    except RegistryError:
        if path.suffix in (".yaml", ".yml"):
            raise
    return ansible.read_ini(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text.lstrip().startswith(("{", "[")) else None
    except (ValueError, RecursionError):
        return None


# -- merging --------------------------------------------------------------------------------


def _merged(text: str, before: Registry, imported: Imported, *, replace: bool) -> tuple[str, Merged]:
    """The registry's text with what was imported, and what that came to."""
    notes = list(imported.notes)
    devices = {device.name: device for device in imported.devices if _free(device.name, before.groups, notes)}
    groups = {group.name: group for group in imported.groups if _free(group.name, before.devices, notes)}
    added = [name for name in devices if name not in before.devices]
    replaceable = set(names_in(text, "devices")) if replace else set()
    replaced = [name for name in devices if name in replaceable]
    if added or replaced:
        text = patching.put(text, ("devices",), {name: settings_of(devices[name]) for name in (*added, *replaced)})
    known = {*before.devices, *before.groups, *devices, *groups}
    members = {name: [one for one in group.members if one in known or "@" in one] for name, group in groups.items()}
    fresh = {
        name: group_of(members[name], group.description) for name, group in groups.items() if name not in before.groups
    }
    if fresh:
        text = patching.put(text, ("groups",), fresh)
    for name in groups:
        if name in before.groups:
            text = with_members(text, before, name, members[name])
    kept = tuple(name for name in devices if name not in added and name not in replaced)
    return text, Merged(tuple(added), tuple(replaced), kept, tuple(groups), tuple(notes))


def _free(name: str, others: Collection[str], notes: list[str]) -> bool:
    """Whether a name does not mean something else in the registry already."""
    if name in others:
        notes.append(f"{name} is left out: the registry uses that name for something else.")
    return name not in others
