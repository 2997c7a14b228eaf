"""Addresses as people write them: ``[user@]host[:port]``, IPv6 in brackets.

Whatever passes here is safe to be an argument of ``ssh`` and to stand in a sentence: no leading dash,
no blank, no ``%`` (ssh would expand it), nothing a shell would act upon.
"""

from __future__ import annotations

import ipaddress
import re

from fleet_tasks.devices import Endpoint
from fleet_tasks.errors import RequestError

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9._@+\\-]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LONGEST = 253  # characters of a DNS name, RFC 1035


def endpoint(text: str) -> Endpoint:
    """Read ``[user@]host[:port]``; RequestError says what is wrong with it."""
    login, at, place = text.rpartition("@")
    host_text, port_text = _divide(place)
    return Endpoint(
        host=host(host_text),
        user=user(login) if at else None,
        port=port(port_text) if port_text is not None else None,
    )


def jumps(text: str) -> tuple[Endpoint, ...]:
    """Read jump hosts, the nearest first, separated by commas as in ``ssh -J``."""
    return tuple(endpoint(part.strip()) for part in text.split(","))


def host(text: str) -> str:
    """Check a host name or an IP address, without brackets, and give it back."""
    if len(text) <= _LONGEST and (_HOST.fullmatch(text) or is_ip(text)):
        return text
    raise RequestError(f"{_shown(text)} is no host name: letters, digits, dots and dashes, or an IP address.")


def user(text: str) -> str:
    """Check a login name and give it back."""
    if len(text) <= _LONGEST and _USER.fullmatch(text):
        return text
    raise RequestError(f"{_shown(text)} is no login name: letters, digits, dots and dashes.")


def port(text: str) -> int:
    """Read a TCP port."""
    if _PORT.fullmatch(text) and int(text) <= 65535:
        return int(text)
    raise RequestError(f"{_shown(text)} is no port: a number from 1 to 65535.")


def is_ip(text: str) -> bool:
    """Whether the text is a bare IPv4 or IPv6 address; zones (``fe80::1%eth0``) are not."""
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _divide(place: str) -> tuple[str, str | None]:
    """Cut ``host[:port]`` in two; a bare IPv6 address has no port."""
    if place.startswith("["):
        inside, closed, rest = place[1:].partition("]")
        if closed and ":" in inside and (not rest or rest.startswith(":")):
            return inside, rest[1:] if rest else None
        raise RequestError(f"{_shown(place)} is no address: IPv6 with a port is written [::1]:22.")
    if place.count(":") > 1:
        return place, None
    host_text, colon, port_text = place.partition(":")
    return host_text, port_text if colon else None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")
