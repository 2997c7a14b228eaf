"""What was found in another tool's list, made fit for fleet.yaml: every name and value checked, or left out aloud."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet_tasks import addresses, ranges
from fleet_tasks.devices import Device, Group
from fleet_tasks.errors import RegistryError, RequestError
from fleet_tasks.record import record
from fleet_tasks.registry.devices import readers
from fleet_tasks.registry.document import Scalar
from fleet_tasks.registry.names import Names
from fleet_tasks.registry.providers import WELL_KNOWN
from fleet_tasks.registry.spots import Spot

_READERS = readers(Names(WELL_KNOWN, ()))


@record
class Imported:
    """Devices and groups of another tool; ``notes`` are sentences about what could not be taken over."""

    devices: tuple[Device, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...]


@dataclass
class Harvest:
    """Collects devices and groups one by one; ``called`` is what each foreign name has become."""

    devices: dict[str, Device] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    called: dict[str, str] = field(default_factory=dict)

    def device(self, name: str, host: str, settings: Mapping[str, object]) -> None:
        """Take a device; ``host`` may be ``[user@]host[:port]``, empty settings are left open."""
        own = self._name(name)
        if own is None:
            return
        try:
            place = addresses.endpoint(host)
        except RequestError as error:
            self.note(f"{ranges.shown(name)} is left out: {error}")
            return
        given = {key: self._value(own, key, value) for key, value in settings.items() if value not in (None, "")}
        given = {key: value for key, value in given.items() if value is not None}
        address = {key: value for key, value in (("user", place.user), ("port", place.port)) if value is not None}
        self.devices[own] = Device(**{**address, **given, "name": own, "host": place.host})
        self.called[name] = own

    def group(self, name: str, members: Iterable[str], description: str = "") -> None:
        """Take a group; members are foreign names, or addresses."""
        own = self._name(name)
        if own is None:
            return
        known = [self._member(own, member) for member in members]
        words = self._value(own, "description", description) if description else ""
        self.groups[own] = Group(own, tuple(dict.fromkeys(member for member in known if member)), (), words or "")
        self.called[name] = own

    def note(self, sentence: str) -> None:
        """Something that people should know about."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def gathered(self) -> Imported:
        """All of it; groups that lost members of theirs say so in the notes."""
        return Imported(tuple(self.devices.values()), tuple(self.groups.values()), tuple(self.notes))

    def _name(self, name: str) -> str | None:
        """A name of ours for a foreign one: the same, or one without the signs we do not take."""
        own = name if ranges.is_name(name) else re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:128]
        if not ranges.is_name(own) or own in self.devices or own in self.groups:
            why = "the name is taken" if own in self.devices or own in self.groups else "that is no name here"
            self.note(f"{ranges.shown(name)} is left out: {why}.")
            return None
        if own != name:
            self.note(f"{ranges.shown(name)} is called {own} here.")
        return own

    def _member(self, group: str, member: str) -> str | None:
        if member in self.called:
            return self.called[member]
        try:
            if "@" in member:
                addresses.endpoint(member)
                return member
        except RequestError as error:
            self.note(f"{group}: {ranges.shown(member)} is left out: {error}")
            return None
        self.note(f"{group}: {ranges.shown(member)} is left out: there is no such device or group.")
        return None

    def _value(self, name: str, key: str, value: object) -> Any:
        """A setting as our own reader of it understands it; None, and a note, when it does not."""
        text = str(value)
        try:
            return _READERS[key](Spot("", key, Scalar(1, 1, text, plain=False)))
        except RegistryError as error:
            why = str(error).removeprefix(f"{error.place}: ")
            self.note(f"{name}: {key} is left out: {why if why[0].isupper() else f'it {why}'}")
            return None
