"""Keeps a test's traffic on this machine: the network beyond loopback is out of order."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any

import pytest


def stay_on_loopback(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make sockets refuse other addresses, and the resolver other names; the list fills with what was tried."""
    tried: list[str] = []

    def guarded(method: Any) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address[0]):
                tried.append(f"{address[0]}:{address[1]}")
                raise OSError(errno.ENETUNREACH, f"The tests stay on loopback, not {address[0]}")
            return method(self, address)

        return connect

    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and not is_address(name) and name != "localhost":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return tried


def is_local(host: str) -> bool:
    """Whether a socket may go there."""
    return host in ("", "localhost") or (is_address(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback)


def is_address(host: str) -> bool:
    """Whether this is an address and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
