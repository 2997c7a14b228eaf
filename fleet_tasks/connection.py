"""A Fabric Connection that knows its device, checks its host key, and runs scripts.

The one border where Paramiko's and the system's errors become ours.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy

import fabric
from paramiko import AuthenticationException, BadAuthenticationType, Channel, SSHException
from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
from paramiko.ssh_exception import ChannelException, IncompatiblePeer

from fleet_tasks import errors
from fleet_tasks.authentication import authenticate, key_trouble
from fleet_tasks.conversation import Conversation
from fleet_tasks.hostkeys import HostKey, KnownHosts
from fleet_tasks.keys import Keyring
from fleet_tasks.logins import Login
from fleet_tasks.runner import CONFIG
from fleet_tasks.scripts import COMMAND, Script
from fleet_tasks.transport import FleetTransport, Wire, dial, through_command

BUSY = 0.2
"""Seconds to wait before a server that opens no channel just now is asked again."""

MEMORY = 60.0
"""Seconds after which the failure of a jump host says nothing any more of whether it is there."""

FORWARDING = "Its sshd_config must have AllowTcpForwarding yes, and its PermitOpen, if any, {host}:{port}."

log = logging.getLogger(__name__)


class DeviceConnection(fabric.Connection):  # type: ignore[misc]
    """The session with one device; ``round_trip`` is how many seconds it last took to open a channel.

    Two devices at one address stay two: connections are told apart by the device's name. ``open`` checks the host
    key before anything is sent, and raises only ConnectErrors.
    """

    login: Login
    transport: FleetTransport | None
    _keyring: Keyring
    _known: KnownHosts
    _through: DeviceConnection | None
    _lock: threading.Lock
    _opening: socket.socket | FleetTransport | None
    throttle: threading.Semaphore
    round_trip: float
    _fresh: bool
    _failures: list[errors.ConnectError]
    _failed: float
    _shared: int
    _sharing: threading.Lock

    def __init__(
        self,
        login: Login,
        keyring: Keyring,
        known: KnownHosts,
        through: DeviceConnection | None = None,
        throttle: threading.Semaphore | None = None,
    ) -> None:
        super().__init__(login.host, user=login.user, port=login.port, config=CONFIG.clone(), connect_kwargs={})
        # Fabric keeps plain attributes in its configuration, so ours go past it.
        self._set(login=login, _keyring=keyring, _known=known, _through=through)
        self._set(throttle=throttle or threading.Semaphore(), _lock=threading.Lock(), _opening=None)
        self._set(_failures=[], _failed=0.0, _shared=0, _sharing=threading.Lock())

    def _identity(self) -> tuple[str, str, str, int]:
        return (self.login.device, self.host, self.user, self.port)

    def open(self) -> None:
        """Logs in, within the login's connect_timeout; does nothing when there is a living session."""
        with self._lock, connecting(self.login):
            if not self.is_connected:
                try:
                    self._open(time.monotonic() + self.login.connect_timeout)
                finally:
                    self._set(_opening=None)

    def open_for(self, shared: int) -> None:
        """As ``open``, of a jump host for one behind it, who had a share in so many failures since the last success.

        A try that fails counts for all behind it, for a while: they neither wait for one each, nor knock once each with
        a bad key.
        """
        with self._sharing:
            if self._failures and time.monotonic() - self._failed > MEMORY:
                self._failures.clear()
            if shared < len(self._failures):
                raise copy(self._failures[shared])
            try:
                self.open()
            except errors.ConnectError as error:
                error.guidance = error.problem(**self.login.words).guidance
                self._failures.append(error)
                self._set(_failed=time.monotonic())
                raise
            self._failures.clear()

    def give_up(self) -> None:
        """Ends a login that is under way, which then raises; may be called from any thread."""
        opening = self._opening
        if isinstance(opening, socket.socket):
            with suppress(OSError):
                opening.shutdown(socket.SHUT_RDWR)
        elif opening is not None:
            opening.close()
        if self._through is not None:
            self._through.give_up()

    def close(self) -> None:
        """Ends the session; a jump host's is shared and stays open."""
        transport, self.transport = self.transport, None
        self._set(_sftp=None)
        if transport is not None:
            transport.close()

    def converse(
        self, script: Script, patience: float | None = None, rest: Callable[[float], object] = time.sleep
    ) -> Conversation:
        """Starts ``script`` on the device; raises LinkError when the session is gone.

        For ``patience`` seconds, else the login's connect_timeout, a server that refuses a channel is asked again: one
        that allows few may still be busy with the end of the last. ``rest`` waits so many seconds before that; what it
        raises ends it.
        """
        transport = self.transport
        if transport is None:
            raise errors.ConnectionLost(f"There is no connection to {self.login.device}.")
        try:
            asked = time.monotonic()
            channel = self._channel(transport, self.login.connect_timeout if patience is None else patience, rest)
            self._set(round_trip=time.monotonic() - asked, _fresh=False)
            return Conversation(self.login.device, script, channel, transport)
        except ChannelException as error:
            raise errors.Throttled(f"{self.login.device} opens no more sessions: {error.text}.") from error
        except (SSHException, OSError, EOFError) as error:
            if self._fresh and transport.is_active():  # a session that was used before may have gone stale instead
                seconds = f"{self.login.connect_timeout:g} s"
                raise errors.ConnectTimeout(f"{self.login.device} opened no channel within {seconds}.") from error
            raise errors.ConnectionLost(f"The connection to {self.login.device} is gone: {error}.") from error

    def key_trouble(self) -> errors.NoAgentKey | None:
        """Why no key that is named can be offered, or no key at all where none is; None where a password is given."""
        return key_trouble(self.login, self._keyring)

    def _channel(self, transport: FleetTransport, patience: float, rest: Callable[[float], object]) -> Channel:
        until = time.monotonic() + patience
        while True:
            try:
                return transport.execute(COMMAND, timeout=self.login.connect_timeout)
            except ChannelException:
                if time.monotonic() > until:
                    raise
                rest(BUSY)

    def _open(self, until: float) -> None:
        login, begun = self.login, time.monotonic()
        wire = self._wire(until)
        if login.host_keys == "off":
            log.warning("%s: its host key is NOT checked (host_keys: off).", login.device)
        name = login.known_as
        types = tuple(key.kind for key in self._known.keys(name))
        transport = FleetTransport(wire, types)
        self._set(_opening=transport)
        try:
            transport.banner_timeout = transport.auth_timeout = max(0.1, until - time.monotonic())
            transport.channel_timeout = login.connect_timeout
            transport.start_client(timeout=transport.banner_timeout)
            shown = transport.get_remote_server_key()
            self._known.check(name, HostKey(shown.get_name(), shown.asbytes()), login.host_keys)
            transport.auth_timeout = max(0.1, until - time.monotonic())
            authenticate(transport, login, self._keyring)
        except BaseException:
            transport.close()
            raise
        self._set(_fresh=True)
        self.transport = transport
        self.client._transport = transport
        log.debug("%s: logged in to %s in %.3f s.", login.device, login.address, time.monotonic() - begun)

    def _wire(self, until: float) -> Wire:
        login = self.login
        left = max(0.1, until - time.monotonic())
        if self._through is not None:
            self._set(_shared=self._shared + 1)
            self._through.open_for(self._shared - 1)
            self._set(_shared=0)
            assert self._through.transport is not None  # open() sees to it
            channel = self._through.transport.open_channel(
                "direct-tcpip", (login.host, login.port), ("127.0.0.1", 0), timeout=left
            )
            return Wire(channel)
        if login.proxy_command:
            return through_command(login.proxy_command, left)
        return dial(login.host, login.port, left, lambda sock: self._set(_opening=sock))


@contextmanager
def connecting(login: Login) -> Iterator[None]:
    """Translates whatever a login can raise into a ConnectError that says what to do."""
    name = login.device
    begun = time.monotonic()
    try:
        yield
    except errors.DeviceError:
        raise
    except BadAuthenticationType as error:
        kinds = ", ".join(error.allowed_types)
        raise errors.AuthRefused(f"{name} does not let {login.user} in with a key (it wants {kinds}).") from error
    except AuthenticationException as error:
        if "timeout" in str(error).lower():
            seconds = f"{login.connect_timeout:g} s"
            raise errors.ConnectTimeout(f"{name} did not answer the login within {seconds}.") from error
        raise errors.AuthRefused(f"{name} accepts no key of ours for {login.user}.") from error
    except IncompatiblePeer as error:
        raise errors.ConnectError(f"{name} speaks no SSH algorithm that we do: {error}.") from error
    except ChannelException as error:
        sentence = f"The jump host {login.jump[-1]} does not let us through to {login.host}:{login.port}: {error.text}."
        forbidden = FORWARDING if error.code == OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED else None
        raise errors.ConnectionRefused(sentence, guidance=forbidden) from error
    except (SSHException, EOFError, OSError) as error:
        raise _broken(login, error, time.monotonic() - begun) from error


def _broken(login: Login, error: Exception, seconds: float) -> errors.ConnectError:
    text = str(error)
    # Paramiko has the same words for a banner that took too long and for one that never came.
    late = isinstance(error, TimeoutError) or seconds >= login.connect_timeout
    if late or "timeout" in text.lower() or "timed out" in text.lower():
        return errors.ConnectTimeout(f"{login.device} did not speak SSH within {login.connect_timeout:g} s.")
    if "banner" in text.lower() or isinstance(error, (EOFError, ConnectionResetError)) or not text:
        return errors.Throttled(f"{login.device} hung up before the login was through.")
    return errors.Throttled(f"{login.device} broke off the login: {text}.")

