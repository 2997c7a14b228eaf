"""What can go wrong: a tree in which every error knows its sentence, its code and the way out.

    FleetError
    ├── RequestError            the request cannot be met: exit 2, nothing was changed
    │   ├── RegistryError       fleet.yaml is wrong (file, line, path)
    │   ├── UnknownName         a device, group, agent, ... nobody has heard of
    │   ├── SecretMissing       a key the agent needs is nowhere to be found
    │   └── Refused             switched off, nested, or too dangerous
    └── DeviceError             one device failed: becomes that device's Result
        ├── ConnectError        ... before anything was started: the device is unreachable
        ├── LinkError           ... while something was under way
        ├── AgentError          ... the agent is missing, unready or failed
        ├── PlaceError          ... the device has no room, no home, no permission
        ├── TransferError       ... files did not arrive as they were sent
        └── StopError           ... the work was ended before its end

Every device error's ``code`` is one of the stable words of the JSON documents.
"""

from __future__ import annotations

from fleet_tasks.errors.agents import (
    AgentError,
    AgentFailed,
    AgentMissing,
    AgentUnready,
    DeviceSecretMissing,
    PlugInBroken,
    RequirementMissing,
    TaskTooLong,
    WrongBinary,
    WrongPlatform,
)
from fleet_tasks.errors.endings import (
    Cancelled,
    DeadlineReached,
    DependencyFailed,
    DeviceSetAside,
    NotVerified,
    StopError,
    TimedOut,
    TooManyFailures,
)
from fleet_tasks.errors.links import (
    AuthRefused,
    ConnectError,
    ConnectionLost,
    ConnectionRefused,
    ConnectTimeout,
    DeviceRebooted,
    HostKeyChanged,
    HostKeyRevoked,
    HostKeyUnknown,
    LinkError,
    NoAgentKey,
    Throttled,
    UnknownHost,
)
from fleet_tasks.errors.places import (
    ChecksumMismatch,
    HomeMissing,
    HomeReadOnly,
    NoSpace,
    NotExecutable,
    PlaceError,
    ReleaseUnavailable,
    TransferError,
)
from fleet_tasks.errors.requests import Place, Refused, RegistryError, RequestError, SecretMissing, UnknownName
from fleet_tasks.errors.roots import DeviceError, FleetError

__all__ = [
    "AgentError",
    "AgentFailed",
    "AgentMissing",
    "AgentUnready",
    "AuthRefused",
    "Cancelled",
    "ChecksumMismatch",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "ConnectionRefused",
    "DeadlineReached",
    "DependencyFailed",
    "DeviceError",
    "DeviceRebooted",
    "DeviceSecretMissing",
    "DeviceSetAside",
    "FleetError",
    "HomeMissing",
    "HomeReadOnly",
    "HostKeyChanged",
    "HostKeyRevoked",
    "HostKeyUnknown",
    "LinkError",
    "NoAgentKey",
    "NoSpace",
    "NotExecutable",
    "NotVerified",
    "Place",
    "PlaceError",
    "PlugInBroken",
    "Refused",
    "RegistryError",
    "ReleaseUnavailable",
    "RequestError",
    "RequirementMissing",
    "SecretMissing",
    "StopError",
    "TaskTooLong",
    "Throttled",
    "TimedOut",
    "TooManyFailures",
    "TransferError",
    "UnknownHost",
    "UnknownName",
    "WrongBinary",
    "WrongPlatform",
]
