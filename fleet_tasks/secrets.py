"""Named secrets: found where the registry says, kept out of every repr, scrubbed from what is shown."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from fleet_tasks.errors import RequestError, SecretMissing
from fleet_tasks.quoting import disguises
from fleet_tasks.ranges import fold
from fleet_tasks.record import record
from fleet_tasks.registry import SecretSource

log = logging.getLogger(__name__)

CUSTOMARY = {
    "GITHUB_TOKEN": (
        SecretSource("GITHUB_TOKEN", env="GITHUB_TOKEN"),
        SecretSource("GITHUB_TOKEN", env="GH_TOKEN"),
        SecretSource("GITHUB_TOKEN", command=("gh", "auth", "token")),
        SecretSource("GITHUB_TOKEN", file="~/.clio/github_tokens.json", member="github_token"),
    ),
}
"""Where some secrets are found when the registry does not say: GitHub's own names and program, and CLIO's login."""
SHORTEST = 6
"""Characters a value needs to be scrubbed: shorter ones would blot out innocent text."""
ASKING = 60.0
"""Seconds a command may take to give a secret."""
MASK = b"[secret]"


class Secret:
    """A value that does not print itself; ``nowhere`` tells where it was looked for in vain."""

    __slots__ = ("_value", "name", "nowhere")

    def __init__(self, name: str, value: str, nowhere: str = "") -> None:
        self.name = name
        self._value = value
        self.nowhere = nowhere

    def reveal(self) -> str:
        """The value, for the one stream that carries it."""
        return self._value

    def __repr__(self) -> str:
        return f"<Secret {self.name}>"


@record
class Need:
    """Which agent on which device needs a secret, for the sentence that says it is missing."""

    secret: str
    agent: str
    device: str


def find(needs: Iterable[Need], sources: Mapping[str, SecretSource], environ: Mapping[str, str]) -> dict[str, Secret]:
    """The secrets that are needed, each looked up once; raises SecretMissing with all that are nowhere."""
    needs = tuple(dict.fromkeys(needs))
    found = {name: look(name, sources, environ) for name in dict.fromkeys(need.secret for need in needs)}
    missing = [_missing(secret, needs) for secret in found.values() if secret.nowhere]
    if missing:
        raise SecretMissing(" ".join(missing))
    return found


def _missing(secret: Secret, needs: Iterable[Need]) -> str:
    """Every agent that needs it, with its devices, and where it was looked for."""
    devices: dict[str, list[str]] = {}
    for need in needs:
        if need.secret == secret.name:
            devices.setdefault(need.agent, []).append(need.device)
    who = " and ".join(f"{agent} on {fold(names)}" for agent, names in devices.items())
    one = "The agent {} needs" if len(devices) == 1 else "The agents {} need"
    return f"{one.format(who)} {secret.name}, and it was not found in {secret.nowhere}."


def look(name: str, sources: Mapping[str, SecretSource], environ: Mapping[str, str]) -> Secret:
    """One secret, from where the registry says, or else from where it is by custom."""
    own = sources.get(name)
    tried = []
    for place in (own,) if own else CUSTOMARY.get(name, (SecretSource(name, env=name),)):
        value, where = _look(place, environ)
        if value:
            return Secret(name, value)
        tried.append(where)
    return Secret(name, "", nowhere=", ".join(tried))


def refuse_told(secrets: Iterable[Secret], tasks: Iterable[str]) -> None:
    """Raises RequestError for a task that holds a secret's value: tasks are kept here, and written down on devices."""
    secrets = [secret for secret in secrets if len(secret.reveal()) >= SHORTEST]
    everything = Scrubber(secret.reveal() for secret in secrets)
    for task in dict.fromkeys(tasks) if secrets else ():
        if everything.text(task) != task:
            names = (each.name for each in secrets if Scrubber([each.reveal()]).text(task) != task)
            raise RequestError(f"The task holds the value of {next(names)}, and tasks are kept: leave the value out.")


def warn_of_short(secrets: Iterable[Secret]) -> None:
    """Says whose value is too short to be scrubbed."""
    for secret in secrets:
        if 0 < len(secret.reveal()) < SHORTEST:
            log.warning("The value of %s has fewer than %d characters: it is not scrubbed.", secret.name, SHORTEST)


def _look(source: SecretSource, environ: Mapping[str, str]) -> tuple[str, str]:
    """The value, empty where there is none, and the place in words."""
    value, where = "", ""
    if source.env:
        value, where = environ.get(source.env, ""), f"the environment variable {source.env}"
    elif source.file:
        path = Path(os.path.expandvars(source.file.replace("~/", environ.get("HOME", "") + "/", 1)))
        where = f"the file {path}"
        try:
            value = _member(path.read_text("utf-8"), source.member).strip("\r\n")
        except OSError as error:
            where += f" ({error.strerror})"
        except ValueError:
            where += " (it is not what it should be)"
    elif source.command:
        where = f"the command {source.command[0]}"
        value, trouble = _ask(source.command)
        where += trouble
    return value, where


def _member(text: str, member: str) -> str:
    """A file's text, or one value of the JSON document in it; raises ValueError where it is none."""
    if not member:
        return text
    document = json.loads(text)
    value = document.get(member) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""


def _ask(command: tuple[str, ...]) -> tuple[str, str]:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ASKING, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        return "", f" ({error.strerror})"
    except subprocess.TimeoutExpired:
        return "", f" (it took longer than {ASKING:g} s)"
    if done.returncode:
        return "", f" (it exited with {done.returncode})"
    return done.stdout.strip("\r\n"), ""


class Scrubber:
    """Replaces known secret values, in one piece or in a stream whose pieces may cut a value in two."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = (value.encode("utf-8", "surrogateescape") for value in values if len(value) >= SHORTEST)
        # Agents print JSON, and shells their variables, in which a quote or a backslash of a value looks different.
        wanted = {look for value in known for look in disguises(value)}
        self._values = sorted(wanted, key=len, reverse=True)
        self._held = b""

    def clean(self, data: bytes) -> bytes:
        """``data`` without any known value."""
        for value in self._values:
            data = data.replace(value, MASK)
        return data

    def text(self, text: str) -> str:
        """The same for text."""
        return self.clean(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def stream(self) -> Scrubber:
        """A fresh one for one more stream."""
        fresh = Scrubber()
        fresh._values = self._values
        return fresh

    def feed(self, data: bytes) -> bytes:
        """As much of the stream so far as can hold no beginning of a value any more."""
        if not self._values:
            return data
        data = self.clean(self._held + data)
        kept = max((_tail(data, value) for value in self._values), default=0)
        self._held = data[len(data) - kept :] if kept else b""
        return data[: len(data) - kept]

    def rest(self) -> bytes:
        """What was held back, at the stream's end."""
        held, self._held = self._held, b""
        return held


def _tail(data: bytes, value: bytes) -> int:
    """How many bytes at the end of ``data`` may begin ``value``."""
    for size in range(min(len(value) - 1, len(data)), 0, -1):
        if data.endswith(value[:size]):
            return size
    return 0
