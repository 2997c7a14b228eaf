"""Host keys: known_hosts files read once into a map, asked by name, and added to.

The format is that of OpenSSH's sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": names with wildcards and negation, hashed
names, ``[host]:port``, and the markers ``@revoked`` and ``@cert-authority`` (the latter is passed over).
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import hmac
import os
import threading
from fnmatch import fnmatchcase
from pathlib import Path

from fleet_tasks.errors import HostKeyChanged, HostKeyRevoked, HostKeyUnknown
from fleet_tasks.record import record

SYSTEM = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


@record
class HostKey:
    """A server's public key: its type and its bytes."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it: SHA256 in base64 without padding."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


class KnownHosts:
    """The host keys of a few files. Safe to use from many threads."""

    def __init__(self, files: tuple[str, ...]) -> None:
        self._files = files
        self._plain: dict[str, list[HostKey]] = {}
        self._hashed: list[tuple[bytes, bytes, HostKey]] = []
        self._patterns: list[tuple[list[str], HostKey]] = []
        self._revoked: set[bytes] = set()
        self._lock = threading.Lock()
        for file in files:
            self._read(Path(file))

    def keys(self, name: str) -> list[HostKey]:
        """Every key known for ``name``, which is ``host`` or ``[host]:port``."""
        known = list(self._plain.get(name, ()))
        known += [key for salt, digest, key in self._hashed if _hashed(salt, name) == digest]
        known += [key for patterns, key in self._patterns if _matches(patterns, name)]
        return known

    def check(self, name: str, shown: HostKey, policy: str) -> None:
        """Accepts ``shown`` for ``name`` under ``strict``, ``accept-new`` or ``off``, or raises.

        Raises HostKeyRevoked, HostKeyChanged or HostKeyUnknown. ``accept-new`` writes an unknown key down.
        """
        if shown.blob in self._revoked:
            raise HostKeyRevoked(f"{name} shows a revoked host key ({shown.fingerprint}).")
        if policy == "off":
            return
        with self._lock:
            known = self.keys(name)
            if shown in known:
                return
            if known:
                raise HostKeyChanged(f"{name} shows another host key than the known one: {shown.fingerprint}.")
            if policy != "accept-new":
                raise HostKeyUnknown(f"The host key of {name} is not known: {shown.kind} {shown.fingerprint}.")
            self._add(name, shown)

    def _add(self, name: str, key: HostKey) -> None:
        self._plain.setdefault(name, []).append(key)
        file = Path(self._files[0])
        line = f"{name} {key.kind} {base64.b64encode(key.blob).decode()}\n"
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            reason = f"The new host key of {name} cannot be written to {file}: {error.strerror}."
            raise HostKeyUnknown(reason) from error
        with os.fdopen(handle, "rb+") as out:
            fcntl.flock(out, fcntl.LOCK_EX)
            out.seek(0, os.SEEK_END)
            if out.tell():
                out.seek(-1, os.SEEK_END)
                line = line if out.read(1) == b"\n" else "\n" + line
            out.write(line.encode())

    def _read(self, file: Path) -> None:
        try:
            lines = file.read_text("utf-8", "replace").splitlines()
        except OSError:
            return
        for line in lines:
            words = line.split()
            marker = words.pop(0) if words and words[0].startswith("@") else ""
            if len(words) < 3 or words[0].startswith("#") or marker == "@cert-authority":
                continue
            try:
                key = HostKey(words[1], base64.b64decode(words[2], validate=True))
                self._learn(words[0], key, revoked=marker == "@revoked")
            except (binascii.Error, ValueError):
                continue  # a damaged line, as ssh does

    def _learn(self, names: str, key: HostKey, *, revoked: bool) -> None:
        if revoked:
            self._revoked.add(key.blob)
        elif names.startswith("|1|"):
            _, _, salt, digest = [*names.split("|"), "", ""][:4]
            self._hashed.append((base64.b64decode(salt), base64.b64decode(digest), key))
        elif any(mark in names for mark in "*?!"):
            self._patterns.append((names.split(","), key))
        else:
            for name in names.split(","):
                self._plain.setdefault(name, []).append(key)


def known_name(host: str, port: int) -> str:
    """How known_hosts calls a server."""
    return host if port == 22 else f"[{host}]:{port}"


def _hashed(salt: bytes, name: str) -> bytes:
    return hmac.new(salt, name.encode(), hashlib.sha1).digest()


def _matches(patterns: list[str], name: str) -> bool:
    if any(p.startswith("!") and fnmatchcase(name, _literal(p[1:])) for p in patterns):
        return False
    return any(not p.startswith("!") and fnmatchcase(name, _literal(p)) for p in patterns)


def _literal(pattern: str) -> str:
    """OpenSSH knows only ``*`` and ``?``; brackets stand for themselves."""
    return pattern.replace("[", "[[]")
