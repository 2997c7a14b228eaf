"""The user's own keys: files loaded once, an ssh-agent asked when there is one."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from paramiko import Agent, PasswordRequiredException, PKey, SSHException

from fleet_tasks.errors import NoAgentKey

_ASKING = threading.Lock()
DEFAULT_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


class Keyring:
    """Private keys by path, each file read once however many devices use it."""

    def __init__(self, home: Path, passphrase: str | None = None) -> None:
        self._home = home
        self._passphrase = passphrase
        self._loaded: dict[str, PKey | str] = {}
        self._lock = threading.Lock()

    def load(self, path: str) -> PKey:
        """The private key in the file ``path``; raises NoAgentKey with the reason it cannot be used."""
        with self._lock:
            if path not in self._loaded:
                self._loaded[path] = self._read(expand(path, self._home))
            key = self._loaded[path]
        if isinstance(key, str):
            raise NoAgentKey(key)
        return key

    def defaults(self) -> Iterator[PKey]:
        """The keys ``ssh`` would try without being told any, as far as they need no passphrase."""
        for name in DEFAULT_NAMES:
            path = self._home / ".ssh" / name
            if path.is_file():
                try:
                    yield self.load(str(path))
                except NoAgentKey:
                    continue

    def _read(self, path: Path) -> PKey | str:
        try:
            mode = path.stat().st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO) and path.stat().st_uid == os.getuid():
                return f"The key {path} can be read by others; ssh refuses such keys: chmod 600 {path}"
            key: PKey = PKey.from_path(path, self._passphrase)
        except (PasswordRequiredException, TypeError):
            # cryptography says TypeError where a passphrase is wanted and none is given.
            return f"The key {path} has a passphrase and is not in the ssh-agent: ssh-add {path}"
        except OSError as error:
            return f"The key {path} cannot be read: {error.strerror}."
        except (SSHException, ValueError) as error:
            return f"The key {path} cannot be used: {error}."
        return key


def agent_keys(socket: str | None) -> list[PKey]:
    """What the ssh-agent at ``socket`` holds; nothing where there is none. One agent connection serves one login.

    Paramiko only knows SSH_AUTH_SOCK, so another socket (IdentityAgent) is set there for the moment of asking.
    """
    if not socket:
        return []
    with _ASKING:
        before = os.environ.get("SSH_AUTH_SOCK")
        os.environ["SSH_AUTH_SOCK"] = socket
        try:
            return list(Agent().get_keys())
        except (SSHException, OSError):
            return []
        finally:
            if before is None:
                del os.environ["SSH_AUTH_SOCK"]
            else:
                os.environ["SSH_AUTH_SOCK"] = before


def expand(path: str, home: Path) -> Path:
    """``~`` is $HOME, here as everywhere."""
    if path == "~" or path.startswith("~/"):
        return home / path[2:]
    return Path(path)
