"""The user's own keys: files loaded once, an ssh-agent asked when there is one."""

from __future__ import annotations

import base64
import os
import shlex
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paramiko import Agent, Message, PasswordRequiredException, PKey, SSHException
from paramiko.pkey import UnknownKeyType

from fleet_tasks.errors import NoAgentKey

_Trouble = tuple[str, str]
"""What is wrong with a key, and what to do about it."""
_ASKING = threading.Lock()
DEFAULT_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


class Keyring:
    """Private keys by path, each file read once however many devices use it."""

    def __init__(self, home: Path, passphrase: str | None = None) -> None:
        self._home = home
        self._passphrase = passphrase
        self._loaded: dict[str, PKey | _Trouble] = {}
        self._public: dict[str, bytes | None] = {}
        self._lock = threading.Lock()

    def load(self, path: str) -> PKey:
        """The private key in the file ``path``; raises NoAgentKey with the reason it cannot be used."""
        with self._lock:
            if path not in self._loaded:
                self._loaded[path] = self._read(expand(path, self._home))
            key = self._loaded[path]
        if isinstance(key, tuple):
            raise NoAgentKey(key[0], guidance=key[1])
        return key

    def among(self, held: Sequence[PKey], path: str) -> PKey | None:
        """The key of an agent that is the one in the file ``path``, which may need a passphrase, or be gone."""
        if not held:
            return None
        with self._lock:
            if path not in self._public:
                self._public[path] = public_half(expand(path, self._home))
            public = self._public[path]
        return next((key for key in held if key.asbytes() == public), None)

    def defaults(self) -> tuple[str, ...]:
        """The files that ``ssh`` would try without being told any."""
        return tuple(str(path) for name in DEFAULT_NAMES if (path := self._home / ".ssh" / name).is_file())

    def _read(self, path: Path) -> PKey | _Trouble:
        typed = shlex.quote(str(path))
        try:
            if _public_line(path) is not None:
                private = shlex.quote(str(path).removesuffix(".pub"))
                return f"The key {path} is public; its private half is not in the ssh-agent.", f"ssh-add {private}"
            mode = path.stat().st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO) and path.stat().st_uid == os.getuid():
                return f"The key {path} can be read by others; ssh refuses such keys.", f"chmod 600 {typed}"
            key: PKey = PKey.from_path(path, self._passphrase)
        except (PasswordRequiredException, TypeError):
            # cryptography says TypeError where a passphrase is wanted and none is given.
            return f"The key {path} has a passphrase and is not in the ssh-agent.", f"ssh-add {typed}"
        except OSError as error:
            made = f"ssh-keygen -t ed25519 -f {typed}; then: ssh-copy-id -p {{port}} {{login}}"
            return f"The key {path} cannot be read: {error.strerror}.", f"Name another key, or make it: {made}"
        except UnknownKeyType:
            return f"The key {path} is of a kind that only an ssh-agent can use.", f"ssh-add {typed}"
        except (SSHException, ValueError) as error:
            return f"The key {path} cannot be used: {error}.", f"Is it a private key? Try: ssh-keygen -y -f {typed}"
        return key


@contextmanager
def agent_keys(socket: str | None) -> Iterator[tuple[PKey, ...]]:
    """What the ssh-agent at ``socket`` holds, usable within the block; nothing where there is none."""
    agent = _agent(socket) if socket else None
    try:
        yield agent.get_keys() if agent else ()
    finally:
        if agent:
            agent.close()


def _agent(socket: str) -> Agent | None:
    """A connection of our own to the agent.

    Paramiko only knows SSH_AUTH_SOCK, so another socket (IdentityAgent) is set there for the moment of asking.
    """
    with _ASKING:
        before = os.environ.get("SSH_AUTH_SOCK")
        os.environ["SSH_AUTH_SOCK"] = socket
        try:
            return Agent()
        except (SSHException, OSError):
            return None
        finally:
            if before is None:
                del os.environ["SSH_AUTH_SOCK"]
            else:
                os.environ["SSH_AUTH_SOCK"] = before


def public_half(path: Path) -> bytes | None:
    """The public key that belongs to the file ``path``, as it goes over the wire; None where nobody tells.

    A private key of OpenSSH has it in clear at its beginning, whatever its passphrase (OpenSSH's PROTOCOL.key). For
    others, and for one that lies elsewhere, there may be a file that ends in .pub.
    """
    return _public_part(path) or _public_line(path) or _public_line(path.with_name(f"{path.name}.pub"))


def _public_part(path: Path) -> bytes | None:
    _, begun, rest = _content(path).partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    text, ended, _ = rest.partition(b"-----END OPENSSH PRIVATE KEY-----")
    if not (begun and ended):
        return None
    try:
        message = Message(base64.b64decode(text).removeprefix(b"openssh-key-v1\0"))
    except ValueError:
        return None
    for _cipher_function_salt in range(3):
        message.get_binary()
    message.get_int()
    return message.get_binary() or None


def _public_line(path: Path) -> bytes | None:
    kind, _, rest = _content(path).partition(b" ")
    try:
        blob = base64.b64decode(rest.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None
    return blob if Message(blob).get_binary() == kind else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def expand(path: str, home: Path) -> Path:
    """``~`` is $HOME, here as everywhere."""
    if path == "~" or path.startswith("~/"):
        return home / path[2:]
    return Path(path)
