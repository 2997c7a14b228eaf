"""The Bench: devices by name on a running SSH server, and what a client needs to visit them."""

from __future__ import annotations

import base64
import hmac
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.bench.listening import Hostile
from tests.bench.processes import TIDY, Process, gone, processes
from tests.bench.seats import CLEAN_PATH, Seat
from tests.bench.server import Sshd, shell_path

ROOT = Path(__file__).parents[2]

#: The utilities that POSIX (XCU, 2017) asks of every system, and that scripts have a use for.
POSIX = frozenset(
    "[ awk basename cat chgrp chmod chown cksum cmp comm cp cut date dd df diff dirname du echo ed env expand expr"
    " false file find fold getconf grep head iconv id join kill link ln locale logger logname ls mkdir mkfifo more mv"
    " newgrp nice nl nohup od paste pathchk pr printf ps pwd renice rm rmdir sed sh sleep sort split strings stty"
    " tail tee test time touch tr true tsort tty uname unexpand uniq unlink wc who xargs".split()
)


@dataclass(frozen=True)
class BenchDevice:
    """One device: a name, an address, a home that is a folder here, and a login shell."""

    name: str
    seat: Seat
    user: str
    key: Path
    shell: str

    @property
    def host(self) -> str:
        """Its address on loopback."""
        return self.seat.host

    @property
    def port(self) -> int:
        """Its SSH port."""
        return self.seat.port

    @property
    def home(self) -> Path:
        """The folder that sessions see as their home."""
        return self.seat.home

    @property
    def entry(self) -> dict[str, object]:
        """Its entry in a registry."""
        return {"host": self.host, "port": self.port, "user": self.user, "key": str(self.key)}

    def processes(self) -> list[Process]:
        """What runs there: this device's home is its HOME, its folder, or in its command line."""
        return processes(str(self.home))

    def quiet(self, seconds: float = TIDY) -> bool:
        """Whether all of that ends within so many seconds."""
        return gone(str(self.home), seconds)


class Bench:
    """Devices as a test names them, each on the next free address of one server."""

    def __init__(self, sshd: Sshd, home: Path) -> None:
        self.sshd = sshd
        self.home = home
        self.key = sshd.key
        self._devices: dict[str, BenchDevice] = {}
        self._since = sshd.sizes()
        self.known_hosts = home / ".ssh" / "known_hosts"
        self.known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for seat in sshd.seats:
            self.trust(seat.host, seat.port, sshd.public_key)

    def device(self, name: str, shell: str = "bash", path: str = CLEAN_PATH) -> BenchDevice:
        """The device of this name; the first time it gets an address, an empty home and its shell."""
        if name not in self._devices:
            if len(self._devices) == len(self.sshd.seats):
                raise LookupError(f"The bench has {len(self.sshd.seats)} addresses: no room for {name}.")
            seat = self.sshd.seats[len(self._devices)]
            seat.settle(shell_path(self.sshd.folder, shell), path)
            self._devices[name] = BenchDevice(name, seat, self.sshd.user, self.key, shell)
        return self._devices[name]

    def devices(self, *names: str, shell: str = "bash") -> list[BenchDevice]:
        """Several devices at once."""
        return [self.device(name, shell) for name in names]

    def bin(
        self,
        without: Iterable[str] = (),
        also: Iterable[str] = (),
        sh: str = "dash",
        own: Mapping[str, str] | None = None,
    ) -> str:
        """A PATH of one folder that holds the POSIX utilities, less some, plus others.

        ``sh`` says which shell answers to that name; ``own`` are shell scripts by the names of programs. Give the
        result to ``device(path=...)``. What is there are links: to write to one would change the machine's program.
        """
        own = own or {}
        names = (POSIX | set(also)) - set(without) - {"sh", *own}
        number = len(list(self.sshd.folder.glob("bin*")))
        folder = self.sshd.folder / f"bin{number}"
        folder.mkdir()
        for name in names:
            found = shutil.which(name, path=CLEAN_PATH)
            if found:
                (folder / name).symlink_to(found)
        (folder / "sh").symlink_to(shell_path(self.sshd.folder, sh))
        for name, script in own.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return str(folder)

    def registry(
        self,
        path: Path,
        names: Iterable[str],
        groups: Mapping[str, list[str]] | None = None,
        **more: object,
    ) -> Path:
        """Write a registry of these devices (strict host keys); ``more`` are further top-level keys."""
        defaults = {"host_keys": "strict"}
        document: dict[str, object] = {"version": 1, **more}
        document["defaults"] = defaults | dict(more.get("defaults") or {})  # type: ignore[call-overload]
        document["devices"] = {name: self.device(name).entry for name in names} | dict(more.get("devices") or {})  # type: ignore[call-overload]
        if groups:
            document["groups"] = dict(groups)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def entry(self, place: Hostile) -> dict[str, object]:
        """A registry entry for a server that is none of the bench's devices; its host key becomes known."""
        if place.public_key:
            self.trust(place.host, place.port, place.public_key)
        return {"host": place.host, "port": place.port, "user": self.sshd.user, "key": str(self.key)}

    def trust(self, host: str, port: int, public_key: str, *, hashed: bool = False, marker: str = "") -> None:
        """Add a line to the known_hosts file; ``marker`` may be ``@revoked`` or ``@cert-authority``."""
        name = host if port == 22 else f"[{host}]:{port}"
        words = [marker, _hashed(name) if hashed else name, public_key]
        with self.known_hosts.open("a") as stream:
            stream.write(" ".join(filter(None, words)) + "\n")

    def environment(self, **more: str) -> dict[str, str]:
        """The environment in which a subprocess finds this checkout's program and the test's home."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        there = {**os.environ, "HOME": str(self.home), "PATH": path, "PYTHONPATH": str(ROOT), **more}
        there.pop("SSH_AUTH_SOCK", None)
        return there

    def ssh(self, name: str, *options: str) -> list[str]:
        """The OpenSSH client's command line up to the remote command, touching no user's files."""
        device = self.device(name)
        known_hosts = f"UserKnownHostsFile={self.known_hosts}"
        trust = ["-o", "StrictHostKeyChecking=yes", "-o", known_hosts, "-o", "GlobalKnownHostsFile=none"]
        alone = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", str(self.key)]
        return ["ssh", *alone, *trust, *options, "-p", str(device.port), f"{device.user}@{device.host}"]

    def log(self) -> str:
        """What the server said since this bench was handed out."""
        return self.sshd.log(self._since)

    def logins(self) -> int:
        """How many logins succeeded since this bench was handed out."""
        return self.log().count("Accepted publickey")

    def processes(self, marker: str) -> list[Process]:
        """The live processes whose command line or environment holds the text."""
        return processes(marker)

    def gone(self, marker: str, seconds: float = TIDY) -> bool:
        """Whether every such process ends within so many seconds."""
        return gone(marker, seconds)


def _hashed(name: str) -> str:
    """A host's name as ssh-keygen -H writes it: salted HMAC-SHA1 (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    salt = os.urandom(20)
    digest = hmac.digest(salt, name.encode(), "sha1")
    return "|1|" + "|".join(base64.b64encode(part).decode() for part in (salt, digest))
