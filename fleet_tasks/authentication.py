"""What a login shows for itself: keys in the order of ssh, then a password, or nothing where nothing is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paramiko import AuthenticationException, BadAuthenticationType, PKey, SSHException

from fleet_tasks.errors import AuthRefused, NoAgentKey
from fleet_tasks.keys import Keyring, agent_keys
from fleet_tasks.logins import Login
from fleet_tasks.transport import FleetTransport


def authenticate(transport: FleetTransport, login: Login, keyring: Keyring) -> None:
    """Logs in on a started ``transport``.

    Raises NoAgentKey when there is nothing to offer, AuthenticationException or AuthRefused when what was offered is
    refused, EOFError, OSError or SSHException when the link breaks before anything was.
    """
    refused: AuthenticationException | None = None
    with agent_keys(login.agent_socket) as held:
        named, trouble = _named(login, keyring, held)
        for key in _distinct(named, _unnamed(login, keyring, held)):
            refused = _offer(transport, login.user, key, refused)
            if refused is None:
                return
            if isinstance(refused, BadAuthenticationType) or not transport.is_active():
                break
    if login.password is not None and transport.is_active():
        transport.auth_password(login.user, login.password)
    elif refused is None:
        _enter_freely(transport, login, trouble or _keyless(login))
    elif trouble is None or isinstance(refused, BadAuthenticationType):
        raise refused
    else:
        sentence = f"{login.device} accepts no key of ours for {login.user}. {trouble.message}"
        raise AuthRefused(sentence, guidance=trouble.guidance) from refused


def key_trouble(login: Login, keyring: Keyring) -> NoAgentKey | None:
    """Why no key that is named can be offered, or no key at all where none is; found out without a login.

    None where a password is given.
    """
    if login.password is not None:
        return None
    with agent_keys(login.agent_socket) as held:
        named, trouble = _named(login, keyring, held)
        if trouble is None and not named and next(_unnamed(login, keyring, held), None) is None:
            return _keyless(login)
    return trouble


def _offer(
    transport: FleetTransport, user: str, key: PKey, before: AuthenticationException | None
) -> AuthenticationException | None:
    """Shows one key; the refusal, or None when it opened the door. ``before`` is the refusal of an earlier key.

    Servers hang up on who has shown too many (OpenSSH's MaxAuthTries), so once a key was refused an end of the link
    is a refusal too: to come again would change nothing.
    """
    try:
        transport.auth_publickey(user, key)
    except AuthenticationException as error:
        if "timeout" in str(error).lower():
            raise
        if before is None and not transport.is_active() and "authentication failures" not in transport.farewell:
            raise EOFError from error  # nothing was refused: the link broke, or the server hung up
        return error
    except (SSHException, EOFError, OSError):
        if before is None:
            raise
        return before
    return None


def _enter_freely(transport: FleetTransport, login: Login, trouble: NoAgentKey) -> None:
    """Some servers (Tailscale's) ask for no key at all, which is not tried where the user wants a certain one."""
    if login.keys:
        raise trouble
    try:
        transport.auth_none(login.user)
    except AuthenticationException as error:
        raise trouble from error


def _keyless(login: Login) -> NoAgentKey:
    return NoAgentKey(
        f"There is no key to offer to {login.device}: no key: in the registry, none in an ssh-agent, "
        "no usable default key in ~/.ssh."
    )


def _named(login: Login, keyring: Keyring, held: Sequence[PKey]) -> tuple[list[PKey], NoAgentKey | None]:
    """The keys that are named, as far as there is a way to use them; what is wrong where there is none for any."""
    keys: list[PKey] = []
    troubles: list[NoAgentKey] = []
    for path in login.keys:
        try:
            keys.append(keyring.load(path))
        except NoAgentKey as error:
            there = keyring.among(held, path)
            if there is None:
                troubles.append(error)
            else:
                keys.append(there)
    return keys, troubles[0] if troubles and not keys else None


def _unnamed(login: Login, keyring: Keyring, held: Sequence[PKey]) -> Iterator[PKey]:
    """What else there is: the agent's keys, default ones first, then the default files."""
    defaults = () if login.keys else keyring.defaults()
    for path in defaults:
        there = keyring.among(held, path)
        if there is not None:
            yield there
    if not login.only_keys:
        yield from held
    for path in defaults:
        try:
            yield keyring.load(path)
        except NoAgentKey:
            continue


def _distinct(named: Sequence[PKey], unnamed: Iterator[PKey]) -> Iterator[PKey]:
    """One after the other, none twice: a server counts."""
    shown = set()
    for keys in (named, unnamed):
        for key in keys:
            blob = key.public_blob.key_blob if key.public_blob else key.asbytes()
            if blob not in shown:
                shown.add(blob)
                yield key
