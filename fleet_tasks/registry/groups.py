"""``groups:`` of fleet.yaml: lists of devices, of ranges, of addresses and of other groups, made flat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fleet_tasks import addresses, ranges
from fleet_tasks.devices import Device, Group
from fleet_tasks.errors import RequestError
from fleet_tasks.record import record
from fleet_tasks.registry import spots
from fleet_tasks.registry.document import Mapping as Table
from fleet_tasks.registry.spots import Spot
from fleet_tasks.targets import is_address

DEEPEST = 50  # groups inside groups


def read_groups(spot: Spot | None, devices: Mapping[str, Device], origins: Mapping[str, Spot]) -> dict[str, Group]:
    """The groups by name, in the order of the file; unknown members and cycles are errors."""
    written = {}
    for at, key, value in spots.entries(spot) if spot else ():
        if not ranges.is_name(key):
            raise at.wrong(f"{ranges.shown(key)} is no name for a group; {ranges.unfit(key)}.")
        if key in origins:
            raise at.wrong(f"{key} is a device already, on line {origins[key].node.line}.")
        written[key] = _written(at, value)
    flattening = _Flattening(written, devices)
    return {
        name: Group(name, tuple(text for text, _ in group.members), flattening.devices(name), group.description)
        for name, group in written.items()
    }


@record
class _Written:
    """A group as it stands in the file."""

    at: Spot
    members: tuple[tuple[str, Spot], ...]
    description: str = ""


@dataclass
class _Flattening:
    """Follows groups into groups, each group once."""

    written: Mapping[str, _Written]
    known: Mapping[str, Device]
    done: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def devices(self, name: str, above: tuple[str, ...] = ()) -> tuple[str, ...]:
        if name not in self.done:
            way = (*above, name)
            if name in above:
                raise self.written[above[-1]].at.wrong(f"The groups go round in a circle: {' -> '.join(way)}.")
            if len(way) > DEEPEST:
                raise self.written[name].at.wrong(f"is a group inside more than {DEEPEST} others.")
            self.done[name] = tuple(dict.fromkeys(self.members(self.written[name], way)))
        return self.done[name]

    def members(self, group: _Written, way: tuple[str, ...]) -> Iterator[str]:
        for text, spot in group.members:
            for member in _expanded(spot, text):
                if member in self.written:
                    yield from self.devices(member, way)
                else:
                    yield self.member(member, spot)

    def member(self, name: str, spot: Spot) -> str:
        """A device's name or an address, checked."""
        if name in self.known:
            return name
        if not is_address(name, self.known):
            near = ranges.nearest(name, [*self.known, *self.written])
            hint = f"did you mean {near}?" if near else "add it to devices:, or write user@host."
            raise spot.wrong(f"There is no device or group {ranges.shown(name)}; {hint}")
        try:
            addresses.endpoint(name)
        except RequestError as error:
            raise spot.wrong(str(error)) from error
        return name


def _written(at: Spot, value: Spot) -> _Written:
    """A group in its short form, a list, or with ``members:`` and ``description:``."""
    if not isinstance(value.node, Table):
        return _Written(at, _members(value))
    parts = spots.fields(value, ("members", "description"))
    description = spots.prose(parts["description"]) if "description" in parts else ""
    return _Written(at, _members(parts["members"]) if "members" in parts else (), description)


def _members(spot: Spot) -> tuple[tuple[str, Spot], ...]:
    return tuple((spots.label(item), item) for item in spots.items(spot))


def _expanded(spot: Spot, text: str) -> tuple[str, ...]:
    try:
        return ranges.expand(text)
    except RequestError as error:
        raise spot.wrong(str(error)) from error
