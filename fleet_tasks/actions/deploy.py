"""An agent brought to a device: what is current is kept, what is sent is checked, and the swap is one step."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from fleet_tasks import errors, rsync
from fleet_tasks.actions import saying
from fleet_tasks.actions.saying import Saying
from fleet_tasks.actions.stage import PATIENCE, Clock, Stage, result
from fleet_tasks.actions.status import ARCHITECTURES, agent_values, exported
from fleet_tasks.agents.contract import Agent, Payload, Platform
from fleet_tasks.conversation import Conversation, Said
from fleet_tasks.errors import DeviceError
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.results import Result
from fleet_tasks.transfer import Manifest, Outgoing, same
from fleet_tasks.uploads import answer_ready, expect, told_digests

log = logging.getLogger(__name__)

REFUSALS: dict[str, type[DeviceError]] = {
    "no-space": errors.NoSpace,
    "not-executable": errors.NotExecutable,
    "requirement-missing": errors.RequirementMissing,
    "wrong-binary": errors.WrongBinary,
}
"""What the ``code`` that a deploy script may print stands for."""
PLAIN = re.compile(rb"\./([A-Za-z0-9_][A-Za-z0-9_.+/-]*|\.[A-Za-z0-9_+-][A-Za-z0-9_.+/-]*)")
"""Names of files that fit into a line of the script's."""


def deploy(stage: Stage, job: Job) -> Result:
    """Installs or updates the job's agent; raises DeviceError, and then what was there before still is.

    A tree goes by rsync where both sides have it, else as one stream, without the files that are there already.
    """
    clock = Clock()
    agent = stage.agent(job.agent or "shell")
    if not agent.installs:
        return result(stage, job, clock, exit_status=0, stdout=b"nothing to install\n")
    place = {**agent_values(agent), "id": secrets.token_hex(6)}
    values = {
        **place,
        **saying.supervision(secrets.token_hex(16), saying.INSTALLING),
        "script": agent.script("deploy"),
        "status_script": agent.script("status"),
        "link": agent.link or "",
    }
    parts = ("supervisor", "files", "facts", "base", "deploy")
    script = stage.script("deploy", parts, values, **exported(job, stage))
    stage.tell("deploying")
    with stage.conversation(script) as talk:
        work = _Deploy(stage, agent, talk, place)
        with talk.undone():
            work.carry_out()
    return result(stage, job, clock, exit_status=0, stdout=work.said.encode())


@dataclass
class _Deploy:
    stage: Stage
    agent: Agent
    talk: Conversation
    place: Mapping[str, object]
    payload: Payload | None = None
    rsync: bool = False
    sent: bool = False
    told: str = ""
    there: str = ""
    kept: frozenset[str] = frozenset()
    trouble: DeviceError | None = None

    def carry_out(self) -> None:
        """Answers the script until it ends; raises what its agent found wrong."""
        items = self.stage.words(self.talk, saying.INSTALLING + PATIENCE)
        platform = Platform("", "")
        for item in items:
            if not isinstance(item, Frame):
                continue
            if item.word == "platform":
                platform = _platform(item, self.stage.device.arch)
            elif item.word == "means":
                self.rsync = "rsync" in item.parts and rsync.here()
            elif item.word == "installed":
                self._decide(items, platform, item.rest.strip())
            elif item.word == "ready":
                self._send(items, item)
            elif item.word == "says":
                self._judge(saying.listen(items))
        if self.trouble is not None:  # only now is everything there as it was
            raise self.trouble

    @property
    def said(self) -> str:
        """A sentence on what was done."""
        version = self._payload.version if self._payload.files else self.told or self._payload.version
        named = f"{self.agent.name} {version}"
        if self.there:
            return f"{named} is there already: {self.there}\n"
        return f"installed {named}\n" if self.sent else f"{named} is current\n"

    @property
    def _payload(self) -> Payload:
        if self.payload is None:
            raise errors.WrongPlatform(f"There is no {self.agent.name} for {self.stage.device.name}.")
        return self.payload

    def _decide(self, items: Iterator[Said | Frame], platform: Platform, installed: str) -> None:
        """Keeps what is installed when it is the same version and the same bytes; else has it replaced.

        A program is one file, whose version ends with its digest: the same bytes under another name do not travel.
        """
        self.payload = self.stage.stopping.awaiting(lambda: self.agent.payload(platform))
        version, names = self._payload.version, self._payload.files.keys()
        current, tree = installed == version, len(names) > 1
        by_rsync = tree and self.rsync
        renamed = not tree and installed.rpartition("-")[2] == version.rpartition("-")[2]
        if installed and names and (current or renamed or (tree and not by_rsync)):
            self.talk.say(f"verify {installed}")
            found, style = told_digests(items)
            alike = same(_manifest(self._payload), found, style)
            current = current and alike == names
            if not current and not by_rsync and style != "sizes":
                self._take_over(items, installed, alike, found.keys())
        if not current and by_rsync:
            self._mirror(items, installed)
        self.talk.say("keep" if current else f"install {version}")

    def _mirror(self, items: Iterator[Said | Frame], installed: str) -> None:
        """Has the two rsyncs fill the new version, upon a copy of the installed one; what they fail at is sent anew."""
        self.talk.say(f"base {installed}" if installed else "begin")
        expect(items, "based", "baseless")
        if self._mirrored():
            self.kept = frozenset(self._payload.files)
        else:
            self.talk.say("begin")
            expect(items, "based")

    def _mirrored(self) -> bool:
        stage = self.stage
        try:
            with rsync.sending(self._payload.files) as sender, stage.stopping.waking(sender.stop):
                words = {f"word_{number}": word for number, word in enumerate(sender.words, 1)}
                if not words:
                    return False
                script = stage.script("rsync", ("rsync",), {**self.place, **words, "words": len(words)})
                with stage.aside(replace(script, raw=True)) as talk:
                    return sender.meet(talk, stage.stopping.check)
        except (errors.Throttled, OSError) as error:  # no second channel, or no room for it here
            log.debug("%s: no rsync: %s", stage.device.name, error)
            return False

    def _take_over(
        self, items: Iterator[Said | Frame], installed: str, alike: set[str], there: Collection[bytes]
    ) -> None:
        """Has the device begin with the files of another version that are as they are here, and with no others."""
        names = [PLAIN.fullmatch(name) for name in there]
        if not alike or not all(names):
            return
        self.talk.say(f"base {installed}")
        if expect(items, "based", "baseless").word == "baseless":
            return
        for name in names:
            if name and name[1].decode() not in alike:
                self.talk.say(f"drop {name[1].decode()}")
        self.kept = frozenset(alike)

    def _send(self, items: Iterator[Said | Frame], ready: Frame) -> None:
        entries = [each for each in _entries(self._payload) if each.folder or each.name not in self.kept]
        answer_ready(self.talk, items, ready, entries, self._note, _manifest(self._payload, self.kept))
        self.sent = True

    def _judge(self, said: Saying) -> None:
        self.told = said.values.get("version", "")
        self.there = said.values.get("there", self.there)
        # What is current may be of no use all the same: its device has changed, or the task wants more of it.
        if said.status == 0 and (said.ready or "code" not in said.values):
            return
        kind: type[DeviceError] = REFUSALS.get(said.values.get("code", ""), errors.AgentUnready)
        self.trouble = kind(f"{self.agent.name} does not run on {self.stage.device.name}: {said.reason}")

    def _note(self, line: bytes) -> None:
        self.stage.tell("deploying", line)


def _platform(frame: Frame, arch: str | None) -> Platform:
    os_name, machine = [*frame.parts, "", ""][:2]
    return Platform(os_name.lower(), arch or ARCHITECTURES.get(machine, machine))


def _entries(payload: Payload) -> Iterator[Outgoing]:
    """The payload's files, with the folders above them."""
    folders: set[str] = set()
    for name, path in sorted(payload.files.items()):
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in folders:
                folders.add(folder)
                yield Outgoing(path, folder, folder=True, mode=0o755)
        status = path.stat()
        yield Outgoing(path, name, folder=False, mode=status.st_mode & 0o755 | 0o600, size=status.st_size)


def _manifest(payload: Payload, only: Collection[str] | None = None) -> Manifest:
    """The digests of a payload's files, or of those among them."""
    manifest = Manifest()
    for entry in _entries(payload):
        if not entry.folder and (only is None or entry.name in only):
            with entry.path.open("rb") as file:
                manifest.add(entry, hashlib.file_digest(file, "sha256").hexdigest())
    return manifest
