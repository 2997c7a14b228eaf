"""Commands that show the groups of fleet.yaml, and change them in place."""

from __future__ import annotations

from invoke import Context

from fleet_tasks import commands
from fleet_tasks.cli import task
from fleet_tasks.commands import change_registry, open_fleet
from fleet_tasks.errors import RequestError
from fleet_tasks.formats import Streams
from fleet_tasks.options import GroupName, Members, Output, Remark, Where
from fleet_tasks.tasks.registry import name_of


@task(name="list", default=True)
def groups(c: Context, output: Output, where: Where) -> None:
    """List the groups of the registry.

        fab group.list
    """
    commands.want_registry(where)
    commands.show("groups", list(open_fleet(c, where).registry.groups.values()), output)


@task
def create(c: Context, named: GroupName, members: Members, remark: Remark, where: Where) -> None:
    """Write a new group into the registry.

        fab group.create --name handhelds --member steam-deck,legion-go
    """
    from fleet_tasks.registry import editing

    name = name_of(named.name, "group")
    with change_registry(c, where) as (path, _):
        editing.create_group(path, name, members=members.member, description=remark.description or "")
    Streams().say(f"The group {name} is in {path}.")


@task
def delete(c: Context, named: GroupName, where: Where) -> None:
    """Take a group out of the registry.

    Its devices stay, and so do the groups that it holds.

        fab group.delete --name handhelds
    """
    from fleet_tasks.registry import editing

    name = name_of(named.name, "group")
    with change_registry(c, where) as (path, _):
        editing.delete_group(path, name)
    Streams().say(f"The group {name} is no longer in {path}.")


@task(name="add")
def join(c: Context, named: GroupName, members: Members, where: Where) -> None:
    """Put devices or groups into a group.

    Who is in it already stays in it once.

        fab group.add --name handhelds --member rog-ally
    """
    from fleet_tasks.registry import editing

    name, joining = name_of(named.name, "group"), _members(members)
    with change_registry(c, where) as (path, _):
        editing.add_members(path, name, joining)
    Streams().say(f"{','.join(joining)} in {name} now.")


@task(name="remove")
def part(c: Context, named: GroupName, members: Members, where: Where) -> None:
    """Take devices or groups out of a group.

    They stay in the registry.

        fab group.remove --name handhelds --member rog-ally
    """
    from fleet_tasks.registry import editing

    name, parting = name_of(named.name, "group"), _members(members)
    with change_registry(c, where) as (path, _):
        editing.remove_members(path, name, parting)
    Streams().say(f"{','.join(parting)} no longer in {name}.")


def _members(members: Members) -> tuple[str, ...]:
    if not members.member:
        raise RequestError("Say who: --member NAME, which may be a device, a group, a range or user@host.")
    return members.member
