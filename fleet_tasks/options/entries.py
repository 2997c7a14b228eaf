"""What is said of what has a name: devices, groups, agents, and the demo."""

from __future__ import annotations

from fleet_tasks.options.declaring import option
from fleet_tasks.record import record


@record
class AgentChoice:
    """One agent."""

    name: str | None = option("The agent's name.", short="n")


@record
class NewDevice:
    """A device to be written into the registry."""

    name: str | None = option("Name of the device.", short="n")
    host: str | None = option("Where it is: [user@]host[:port].")
    user: str | None = option("Login name.")
    port: int | None = option("SSH port.", kind="count")
    key: str | None = option("Key file.")
    jump: str | None = option("Jump host: [user@]host[:port], comma list for a chain.")
    arch: str | None = option("Architecture, detected when absent.")
    agent: str | None = option("Agent it works with.", short="a")
    model: str | None = option("Model its agent uses.", short="m")
    tag: tuple[str, ...] = option("Tag to carry.", kind="names")
    group: tuple[str, ...] = option("Group to be in.", short="g", kind="names")
    description: str | None = option("A few words for people.")
    replace: bool = option("Replace a device of that name.", kind="yes")


@record
class DeviceName:
    """One device of the registry."""

    name: str | None = option("Name of the device.", short="n")


@record
class Foreign:
    """Another tool's list of devices."""

    file: str | None = option("File to read.")
    kind: str | None = option("ssh-config, ansible, picoclaw-fleet or clio [detected].")
    replace: bool = option("Replace devices that are known already.", kind="yes")


@record
class GroupName:
    """One group of the registry."""

    name: str | None = option("Name of the group.", short="n")


@record
class Members:
    """Who belongs to a group."""

    member: tuple[str, ...] = option("Device, group, range or user@host.", kind="names")


@record
class Remark:
    """What people should know about it."""

    description: str | None = option("A few words for people.")


@record
class DemoWishes:
    """How the demo is to go."""

    keep: bool = option("Leave the fleet up until Ctrl-C or --stop.", kind="yes")
    stop: bool = option("End a fleet that was kept.", kind="yes")
