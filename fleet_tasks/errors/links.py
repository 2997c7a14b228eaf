"""The way's: a device was not reached, or was lost on the way."""

from __future__ import annotations

from fleet_tasks.errors.roots import DeviceError
from fleet_tasks.results import State


class ConnectError(DeviceError):
    """No session with the device came about, however often it was tried; ``passing`` ones are tried again."""

    code = "connect-timeout"
    state = State.UNREACHABLE
    passing = False
    attempts = 1


class UnknownHost(ConnectError):
    """The host's name does not resolve."""

    code = "unknown-host"
    guidance = "Check the spelling of {host} and your DNS: getent hosts {host}"


class ConnectionRefused(ConnectError):
    """Nothing listens on the port, or the network says no."""

    code = "connection-refused"
    passing = True
    guidance = "Is sshd running there, and is {port} its port? Try: ssh -p {port} {login}"


class ConnectTimeout(ConnectError):
    """The device, its banner or its login took too long."""

    code = "connect-timeout"
    passing = True
    guidance = "Is the device awake and on the network? Try: ping -c1 {host}"


class Throttled(ConnectError):
    """The SSH server hangs up on newcomers, as OpenSSH does beyond MaxStartups."""

    code = "throttled"
    passing = True
    guidance = "Visit fewer devices at once (-j 8), or raise MaxStartups in its sshd_config."


class AuthRefused(ConnectError):
    """The device accepts none of the keys offered."""

    code = "auth-refused"
    guidance = "Give it your key: ssh-copy-id -p {port} {login}"


class NoAgentKey(ConnectError):
    """There is no key to offer: none given, none in ssh-agent, no default key."""

    code = "no-agent-key"
    guidance = "Make a key (ssh-keygen -t ed25519) or load one (ssh-add), then: ssh-copy-id -p {port} {login}"


class HostKeyUnknown(ConnectError):
    """The device's host key is not known, and host_keys is strict."""

    code = "host-key-unknown"
    guidance = "Compare its fingerprint, then: ssh-keyscan -p {port} {host} >> {known_hosts}"


class HostKeyChanged(ConnectError):
    """The device shows another host key than last time: nothing was sent."""

    code = "host-key-changed"
    guidance = "If the device was really set up anew: ssh-keygen -f {known_hosts} -R '{known_as}'"


class HostKeyRevoked(ConnectError):
    """The device shows a key that known_hosts marks as revoked: nothing was sent."""

    code = "host-key-revoked"
    guidance = "Do not log in to {host} until its key was replaced."


class LinkError(DeviceError):
    """The session ended before the work did."""

    state = State.LOST


class ConnectionLost(LinkError):
    """The connection broke after the task may have started."""

    code = "connection-lost"
    guidance = "See what is left there: fleet ps -d {device}; the task was not started again."


class DeviceRebooted(LinkError):
    """The device restarted while the task ran."""

    code = "device-rebooted"
    guidance = "Dispatch again once {device} is up; the task was not started again."
