"""What ssh's own configuration says about a host: asked from ``ssh -G``, which knows ``Match`` and all the rest.

Where the configuration has nothing to say about a host, nothing is asked; where there is no ``ssh``, Paramiko's
parser answers. Only what was configured is reported, never ssh's built-in defaults for files.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from fleet_tasks import addresses, ranges, sshfiles
from fleet_tasks.devices import Endpoint
from fleet_tasks.errors import RequestError
from fleet_tasks.record import record
from fleet_tasks.sshfiles import SshConfig

AT_ONCE = 8
PATIENCE = 30.0  # seconds; a Match exec or a canonical name may ask the network

_STRICT = {"yes": "strict", "true": "strict", "accept-new": "accept-new", "no": "off", "off": "off", "false": "off"}

Answer = Mapping[str, list[str]]


@record
class HostSettings:
    """How a host is reached; None and empty mean that nobody said so. Paths are absolute.

    ``identity_agent`` is a socket, or ``none``; ``strict`` is one of our words: strict, accept-new, off.
    """

    hostname: str
    user: str | None = None
    port: int | None = None
    identity_files: tuple[str, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    jump: tuple[Endpoint, ...] = ()
    proxy_command: str | None = None
    user_known_hosts: tuple[str, ...] = ()
    host_key_alias: str | None = None
    strict: str | None = None


def resolve(endpoint: Endpoint, home: Path, environ: Mapping[str, str]) -> HostSettings:
    """What holds for one host; RequestError where ssh cannot read its configuration."""
    return resolve_all([endpoint], home, environ)[endpoint]


def resolve_all(
    endpoints: Iterable[Endpoint], home: Path, environ: Mapping[str, str]
) -> Mapping[Endpoint, HostSettings]:
    """What holds for each host. Answers are kept for as long as the configuration stays the same."""
    config = sshfiles.read(home)
    distinct = list(dict.fromkeys(endpoints))
    found = {endpoint: HostSettings(endpoint.host, endpoint.user, endpoint.port) for endpoint in distinct}
    asked = [endpoint for endpoint in distinct if config.concerns(endpoint.host)]
    if asked:
        source = _Source(config, home, tuple(sorted(environ.items())))
        with ThreadPoolExecutor(min(AT_ONCE, len(asked))) as pool:
            found |= zip(asked, pool.map(lambda endpoint: _settings(source, endpoint), asked), strict=True)
    return found


@record
class _Source:
    """Where answers come from, hashable so that they can be kept."""

    config: SshConfig
    home: Path
    variables: tuple[tuple[str, str], ...]

    @property
    def environ(self) -> dict[str, str]:
        return dict(self.variables)

    @property
    def ssh(self) -> str | None:
        """The ssh binary; None where there is none, or where it would refuse to work for an unknown user."""
        return shutil.which("ssh", path=self.environ.get("PATH")) if _login() else None

    @property
    def foreign(self) -> Path | None:
        """The home that ssh would look into, when it is another one than ``$HOME``."""
        login = _login()
        other = Path(login.pw_dir) if login else self.home
        return other if other.resolve() != self.home.resolve() else None


@lru_cache(maxsize=4096)
def _settings(source: _Source, endpoint: Endpoint) -> HostSettings:
    if source.ssh is None:
        return _Reading(source, endpoint, _parsed(source, endpoint), {}).settings()
    answer = _asked(source, source.ssh, endpoint)
    return _Reading(source, endpoint, answer, _defaults(source.ssh)).settings()


def _asked(source: _Source, ssh: str, endpoint: Endpoint) -> Answer:
    """The answer of ``ssh -G``; with our own copy of the configuration where ssh would read another home's."""
    if source.foreign is None:
        return _run([ssh, "-G"], endpoint, source.environ)
    with tempfile.NamedTemporaryFile("w", prefix="fleet-ssh-", encoding="utf-8") as copy:
        copy.write(source.config.text)
        copy.flush()
        return _run([ssh, "-G", "-F", copy.name], endpoint, source.environ)


@lru_cache(maxsize=8)
def _defaults(ssh: str) -> Answer:
    """What ssh answers when nothing is configured."""
    return _run([ssh, "-G", "-F", os.devnull], Endpoint("localhost"), {})


def _run(command: list[str], endpoint: Endpoint, environ: Mapping[str, str]) -> Answer:
    copy = command[-1]  # where it is one: its name would say nothing to the user
    if endpoint.user:
        command = [*command, "-l", endpoint.user]
    if endpoint.port:
        command = [*command, "-p", str(endpoint.port)]
    try:
        done = subprocess.run(
            [*command, "--", endpoint.host],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False, env=dict(environ),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RequestError(f"ssh -G {endpoint.host} did not answer within {PATIENCE:g} s.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        reason = said[0].removeprefix(f"{copy}: ")
        raise RequestError(f"ssh cannot read its configuration: {ranges.shown(reason)}")
    answer: dict[str, list[str]] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        key, _, value = line.partition(" ")
        answer.setdefault(key.lower(), []).append(value)
    return answer


def _parsed(source: _Source, endpoint: Endpoint) -> Answer:
    """The answer of Paramiko's parser, which knows nothing of what was given beside the host."""
    from paramiko import SSHConfig
    from paramiko.ssh_exception import ConfigParseError, CouldNotCanonicalize

    given = {"user": endpoint.user, "port": str(endpoint.port) if endpoint.port else None}
    text = source.config.text.replace("%d", str(source.home))
    for token, value in (("%r", given["user"]), ("%p", given["port"])):
        text = text.replace(token, value or token)
    try:
        found = SSHConfig.from_text(text).lookup(endpoint.host)
    except (ConfigParseError, CouldNotCanonicalize) as error:
        raise RequestError(f"ssh's configuration cannot be read: {ranges.shown(str(error))}") from error
    answer = {key: value if isinstance(value, list) else [value] for key, value in found.items()}
    return answer | {key: [value] for key, value in given.items() if value}


@record
class _Reading:
    """Makes settings of an answer, and leaves out what is only a default or lies in another home."""

    source: _Source
    endpoint: Endpoint
    answer: Answer
    defaults: Answer

    def settings(self) -> HostSettings:
        port = self.one("port")
        return HostSettings(
            hostname=self.one("hostname") or self.endpoint.host,
            user=self.one("user"),
            port=int(port) if port else None,
            identity_files=self.files("identityfile", [[value] for value in self.answer.get("identityfile", [])]),
            identities_only=self.one("identitiesonly") == "yes",
            identity_agent=self.agent(),
            jump=self.jump(),
            proxy_command=self.filled(self.one("proxycommand") or "") or None,
            user_known_hosts=self.known_hosts(),
            host_key_alias=self.one("hostkeyalias"),
            strict=_STRICT.get(self.one("stricthostkeychecking") or ""),
        )

    def one(self, key: str) -> str | None:
        value = self.answer.get(key, [""])[0]
        return value if value and value.lower() != "none" else None

    def jump(self) -> tuple[Endpoint, ...]:
        text = self.filled(self.one("proxyjump") or "").replace("ssh://", "")
        return addresses.jumps(text) if text else ()

    def agent(self) -> str | None:
        value = self.answer.get("identityagent", [""])[0]
        if value.startswith("$") and not value.startswith("${"):
            return self.source.environ.get(value[1:])
        if value.lower() == "none":
            return "none"
        return self.path(value) if value not in ("", "SSH_AUTH_SOCK") else None

    def known_hosts(self) -> tuple[str, ...]:
        value = self.answer.get("userknownhostsfile", [""])[0]
        if value.lower() == "none":
            return (os.devnull,)
        return self.files("userknownhostsfile", [sshfiles.words(value)] if '"' in value else [_paths(value)])

    def files(self, key: str, values: list[list[str]]) -> tuple[str, ...]:
        """Paths that were configured."""
        if self.answer.get(key) == self.defaults.get(key):
            return ()
        found = [self.path(value) for several in values for value in several if value.lower() != "none"]
        return tuple(path for path in found if path is not None)

    def path(self, value: str) -> str | None:
        """A path in full; None when it lies among the keys of a home that is not ours."""
        filled = self.filled(re.sub(r"\$\{(\w+)\}", lambda name: self.source.environ.get(name[1], ""), value))
        path = self.source.home / filled.removeprefix("~/") if filled.startswith("~/") else Path(filled)
        foreign = self.source.foreign
        return None if foreign and path.is_relative_to(foreign / ".ssh") else str(path)

    def filled(self, text: str) -> str:
        """The text with ssh's tokens (TOKENS in ssh_config(5)) replaced."""
        login = _login()
        local = login.pw_name if login else self.source.environ.get("USER", "")
        values = {
            "%": "%", "d": str(self.source.home), "h": self.one("hostname") or self.endpoint.host,
            "n": self.endpoint.host, "p": self.one("port") or "22", "r": self.one("user") or local, "u": local,
        }  # fmt: skip
        return re.sub(r"%([%dhnpru])", lambda token: values[token[1]], text)


def _paths(value: str) -> list[str]:
    """Paths in a row, which ``ssh -G`` prints without their quotes: a new one begins with ``/`` or ``~``."""
    return re.split(r" (?=[/~])", value) if value else []


def _login() -> pwd.struct_passwd | None:
    """Who we are for the password database."""
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None
