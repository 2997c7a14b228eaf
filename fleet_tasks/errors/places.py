"""The device's: it has no fit place to work in, or files did not get to it or from it."""

from __future__ import annotations

from fleet_tasks.errors.roots import DeviceError


class PlaceError(DeviceError):
    """There is no fit place to work in on the device."""


class NotExecutable(PlaceError):
    """Files may not be executed where we would put them (noexec)."""

    code = "not-executable"
    guidance = "Name a folder that allows it: home: /path in fleet.yaml"


class NoSpace(PlaceError):
    """The device's disk or quota is full."""

    code = "no-space"
    guidance = "Free some space there, or name another folder: home: /path in fleet.yaml"


class HomeMissing(PlaceError):
    """The login has no home folder."""

    code = "home-missing"
    guidance = "Name a folder we may use: home: /path in fleet.yaml"


class HomeReadOnly(PlaceError):
    """The login's home folder cannot be written."""

    code = "home-read-only"
    guidance = "Name a folder we may write: home: /path in fleet.yaml"


class TransferError(DeviceError):
    """Files did not get across."""

    code = "transfer-failed"
    guidance = "Look at the place yourself: ssh -p {port} {login}"


class ChecksumMismatch(TransferError):
    """What arrived is not what was sent; nothing was put in place."""

    code = "checksum-mismatch"
    guidance = "Try once more; if it stays so, suspect the disk of {device}."


class ReleaseUnavailable(TransferError):
    """The agent's release could not be fetched, and no copy is cached."""

    code = "release-unavailable"
    guidance = "Name a local file as the agent's source: in fleet.yaml"
