"""Commands that begin fleet.yaml, show its devices, and change them in place."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

from invoke import Context

from fleet_tasks import addresses, commands, ranges
from fleet_tasks.cli import task
from fleet_tasks.commands import change_registry, choose, open_fleet
from fleet_tasks.devices import Device
from fleet_tasks.errors import RequestError, UnknownName
from fleet_tasks.fleet import Fleet
from fleet_tasks.formats import Streams
from fleet_tasks.options import DeviceName, Foreign, NewDevice, Output, Targets, Where
from fleet_tasks.planning import agent_names
from fleet_tasks.plans import Wish
from fleet_tasks.record import record


@record
class DeviceRow(Device):
    """A device as people are shown it: with everything that holds for it, and the groups it is in."""

    groups: tuple[str, ...] = ()


@task
def init(c: Context, where: Where) -> None:
    """Begin a registry: a commented fleet.yaml.

    Written to this folder, or where --registry or FLEET_REGISTRY say. What is there stays as it is.

        fab init
    """
    from fleet_tasks.registry import write_template

    commands.refuse_dry(c)
    path = Path(where.registry or os.environ.get("FLEET_REGISTRY") or "fleet.yaml").expanduser()
    write_template(path)
    Streams().say(f"Wrote {path}. Add a device: fleet device.add --name NAME --host USER@HOST")


@task(name="list", default=True)
def devices(c: Context, targets: Targets, output: Output, where: Where) -> None:
    """List the devices of the registry.

    All of them, or those that -d, -g, --tag and -x choose. Nothing is visited.

        fab device.list -g handhelds
    """
    fleet = open_fleet(c, where)
    if not fleet.registry.devices and not targets.named:
        commands.want_registry(where)
        chosen: tuple[Device, ...] = ()
    else:
        chosen = choose(c, fleet, targets, everyone=True)
    commands.show("devices", [row(fleet, device) for device in chosen], output)


@task(name="show")
def device(c: Context, named: DeviceName, output: Output, where: Where) -> None:
    """Show all that holds for one device.

    Defaults and the settings of its agent are filled in; what is left out is up to ~/.ssh/config.

        fab device.show --name steam-deck
    """
    name = name_of(named.name, "device")
    commands.want_registry(where)
    fleet = open_fleet(c, where)
    if name not in fleet.registry.devices:
        raise UnknownName("device", name, ranges.nearest(name, fleet.registry.devices))
    commands.show("devices", [row(fleet, fleet.registry.devices[name])], output, sheet=True)


@task
def add(c: Context, new: NewDevice, where: Where) -> None:
    """Write a device into the registry.

    The file keeps its comments and its order. A range adds many at once:
    --name "lab[01-20]" --host "{name}.lab"

        fab device.add --name steam-deck --host deck@steamdeck.local --group handhelds
    """
    from fleet_tasks.registry import editing

    name = name_of(new.name, "device")
    if not new.host:
        raise RequestError(f"Say where {name} is: --host [user@]host[:port].")
    wanted = Device(
        name=name, host=new.host, user=new.user, port=new.port, key=new.key,
        jump=addresses.jumps(new.jump) if new.jump else (), arch=new.arch, agent=new.agent, model=new.model,
        tags=new.tag, description=new.description or "",
    )  # fmt: skip
    with change_registry(c, where) as (path, fleet):
        known = agent_names(fleet.registry.agents)
        if new.agent and new.agent not in known:
            raise UnknownName("agent", new.agent, ranges.nearest(new.agent, known))
        editing.add_device(path, wanted, groups=new.group, replace=new.replace)
    Streams().say(f"{name} is in {path}.")


@task(name="remove")
def remove_device(c: Context, named: DeviceName, where: Where) -> None:
    """Take a device out of the registry.

    Out of all its groups as well. What is installed on it stays there: fleet teardown removes that.

        fab device.remove --name steam-deck
    """
    from fleet_tasks.registry import editing

    name = name_of(named.name, "device")
    with change_registry(c, where) as (path, _):
        editing.remove_device(path, name)
    Streams().say(f"{name} is no longer in {path}.")


@task(name="import")
def take_in(c: Context, foreign: Foreign, where: Where) -> None:
    """Take in the devices of another tool.

    From an ssh_config, an Ansible inventory, picoclaw-fleet.json or CLIO's devices.json. Devices that
    are known already stay as they are without --replace. Keys and passwords are never taken over.

        fab device.import --file ~/.ssh/config
    """
    from fleet_tasks.registry import imports

    if not foreign.file:
        raise RequestError("Say what to read: --file FILE.")
    found = imports.read_foreign(Path(foreign.file).expanduser(), foreign.kind)
    with change_registry(c, where) as (path, _):
        merged = imports.import_into(path, found, replace=foreign.replace)
    streams = Streams()
    for field in fields(merged):
        names = getattr(merged, field.name)
        if names and field.name != "notes":
            streams.say(f"{field.name}: {ranges.fold(names)}")
    for note in merged.notes:
        streams.say(f"note: {note}")
    streams.say(f"{len(merged.added) + len(merged.replaced)} taken into {path}, {len(merged.kept)} known already.")


def row(fleet: Fleet, device: Device) -> DeviceRow:
    """The device with the settings that its agent works with there, and its groups."""
    agent = fleet.agent_name(device, Wish())
    settings = fleet.registry.settings(device, agent)
    whole = replace(
        device, agent=agent, provider=settings.provider, model=settings.model, timeout=settings.timeout,
        cleanup=settings.cleanup, env=settings.env, limits=settings.limits,
    )  # fmt: skip
    inside = tuple(group.name for group in fleet.registry.groups.values() if device.name in group.devices)
    return DeviceRow(**{field.name: getattr(whole, field.name) for field in fields(whole)}, groups=inside)


def name_of(given: str | None, kind: str) -> str:
    """The name that was given; raises RequestError, with the way to one, where none was."""
    if given is None:
        raise RequestError(f"Say which {kind}: --name NAME (fab {kind}.list lists them).")
    return given
