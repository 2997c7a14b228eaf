"""What a login shows for itself: keys in the order of ssh, then a password, or nothing where nothing is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from paramiko import AuthenticationException, BadAuthenticationType, PKey, Transport

from fleet_tasks.errors import NoAgentKey
from fleet_tasks.keys import Keyring, agent_keys
from fleet_tasks.logins import Login


def authenticate(transport: Transport, login: Login, keyring: Keyring) -> None:
    """Logs in on a started ``transport``.

    Raises NoAgentKey when there is nothing to offer, AuthenticationException when all of it is refused, EOFError when
    the link breaks before anything was.
    """
    refused: AuthenticationException | None = None
    offered = 0
    for key in _keys(login, keyring):
        offered += 1
        try:
            transport.auth_publickey(login.user, key)
            return
        except BadAuthenticationType as error:
            refused = error
            break
        except AuthenticationException as error:
            if offered == 1 and not transport.is_active():
                raise EOFError from error  # nothing was refused: the link broke, or the server hung up
            refused = error
    if login.password is not None and transport.is_active():
        transport.auth_password(login.user, login.password)
    elif not offered:
        _enter_freely(transport, login)
    else:
        raise refused or AuthenticationException("no key was accepted")


def key_trouble(login: Login, keyring: Keyring) -> NoAgentKey | None:
    """Why a login would have no key to offer, found out without one; None when there is a key, or a password."""
    try:
        found = next(_keys(login, keyring), None)
    except NoAgentKey as error:
        return error
    return None if found is not None or login.password is not None else _keyless(login)


def _enter_freely(transport: Transport, login: Login) -> None:
    """Some servers (Tailscale's) ask for no key at all."""
    try:
        transport.auth_none(login.user)
    except AuthenticationException as error:
        raise _keyless(login) from error


def _keyless(login: Login) -> NoAgentKey:
    return NoAgentKey(
        f"There is no key to offer to {login.device}: no key: in the registry, none in an ssh-agent, "
        "no usable default key in ~/.ssh."
    )


def _keys(login: Login, keyring: Keyring) -> Iterator[PKey]:
    """Named keys first, then the agent's, then the default files."""
    held = agent_keys(login.agent_socket)
    troubles: list[NoAgentKey] = []
    for path in login.keys:
        try:
            yield keyring.load(path)
        except NoAgentKey as error:
            troubles.append(error)
    if troubles and len(troubles) == len(login.keys) and not held:
        raise troubles[0]
    if not login.only_keys or troubles:
        yield from held
    if not login.keys:
        yield from keyring.defaults()
