"""The agent's: it is missing, unready, unfit for the device, or it failed."""

from __future__ import annotations

from fleet_tasks.errors.roots import DeviceError


class AgentError(DeviceError):
    """The agent could not do the task."""


class AgentMissing(AgentError):
    """The agent is not on the device."""

    code = "agent-missing"
    guidance = "Install it: fleet deploy -d {device} -a {agent}"


class AgentUnready(AgentError):
    """The agent is there, but cannot work yet (not logged in, no model, no key)."""

    code = "agent-unready"
    guidance = "See what it wants: fleet check -d {device} -a {agent}"


class AgentFailed(AgentError):
    """The agent ran and reported failure."""

    code = "agent-failed"
    guidance = "Read its standard error: fleet history.show --run {run}"


class RequirementMissing(AgentError):
    """The device lacks something that the agent needs."""

    code = "requirement-missing"
    guidance = "See the whole list: fleet check -d {device} -a {agent}"


class WrongPlatform(AgentError):
    """The agent has no build for the device's system and architecture."""

    code = "wrong-platform"
    guidance = "Choose another agent for {device}, or name its architecture: arch: ... in fleet.yaml"


class WrongBinary(AgentError):
    """The installed program does not run on the device."""

    code = "wrong-binary"
    guidance = "Check source: of {agent} and arch: of {device} in fleet.yaml, then: fleet deploy -d {device} -a {agent}"


class TaskTooLong(AgentError):
    """The agent takes its task as an argument, and this one does not fit."""

    code = "task-too-long"
    guidance = "Put the text into a file: --send notes.txt, and let the task say to read it."


class PlugInBroken(AgentError):
    """A plug-in raised something it should not."""

    code = "plug-in-broken"
    guidance = "Report it to the plug-in's author; --debug shows where."


class DeviceSecretMissing(AgentError):
    """A secret this device's agent needs was not found."""

    code = "secret-missing"
    guidance = "Set it in the environment or under secrets: in fleet.yaml."
