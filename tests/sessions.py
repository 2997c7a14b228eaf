"""The commands that a document shows, done as its reader would do them: on an embedded fleet, in an empty home.

A ``console`` block is a session: lines that begin with ``$ `` are typed, the lines under one are what it prints. A line
``...`` stands for anything, and a command without lines under it is only run. It must exit with 0, unless the next one
is ``$ echo $?``. In ``sh`` blocks every command of ours is run. What differs from run to run is compared as a word:
ids, times, sizes, ports, the machine's architecture.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet_tasks.embedded import HANDHELDS, EmbeddedFleet
from tests import warm
from tests.bench.fleet import ROOT

OTHERS = {"fab": "fabric", "inv": "invoke"}
OURS = ("fleet", *OTHERS)

TAGS = {"build": ["gpu"], "lab01": ["lab"], "lab02": ["lab"], "lab03": ["lab"]}
GROUPS = {
    "handhelds": list(HANDHELDS),
    "lab": ["lab[01-03]"],
    "workers": ["build", "lab"],
    "everyone": ["handhelds", "workers", "pi"],
}
DEVICES = (*HANDHELDS, "build", "pi", "lab01", "lab02", "lab03")
"""The fleet that the documents speak of."""


@dataclass(frozen=True)
class Step:
    """One command of a document: its line, what it should print (None: not shown), and how it should exit.

    A ``helper`` is another program in an ``sh`` block: for people, and not run.
    """

    line: int
    command: str
    printed: str | None = None
    exits: int = 0
    helper: bool = False


@dataclass(frozen=True)
class World:
    """Where commands are run: a folder and an environment."""

    folder: Path
    environment: dict[str, str]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """One command line, by a shell; standard error comes where it was written, as on a terminal.

        A ``cd`` holds for the lines after it.
        """
        here = self.folder / ".here"
        return subprocess.run(
            ["sh", "-c", 'cd "$(cat "$1")" && eval "$2"; code=$?; pwd >"$1"; exit $code', "sh", str(here), command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )


@contextmanager
def world(place: Path) -> Iterator[World]:
    """The documents' fleet with its registry, a home that holds its key alone, and ``fleet fab inv`` on the PATH."""
    programs = place / "programs"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    others = {name: f'#!/bin/sh\nexec {python} -m {module} "$@"\n' for name, module in OTHERS.items()}
    for name, text in {"fleet": warm.script(), **others}.items():
        program = programs / name
        program.write_text(text)
        program.chmod(0o755)
    with EmbeddedFleet(place / "fleet", DEVICES) as fleet:
        for name in ("fabfile.py", "tasks.py"):
            (fleet.home / name).write_text((ROOT / name).read_text())
        (fleet.home / ".here").write_text(f"{fleet.home}\n")
        registry = fleet.home / "fleet.yaml"
        registry.write_text(_registry(fleet))
        yield World(fleet.home, _environment(fleet, programs, place / "state"))


def _environment(fleet: EmbeddedFleet, programs: Path, state: Path) -> dict[str, str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("FLEET_", "SSH_", "XDG_"))}
    return environment | {
        "HOME": str(fleet.home),
        "FLEET_STATE": str(state),
        "PATH": f"{programs}{os.pathsep}{environment['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "120",
    }


def _registry(fleet: EmbeddedFleet) -> str:
    devices = [f"  {d.name}: {{host: 127.0.0.1, port: {d.port}, tags: {TAGS.get(d.name, [])}}}" for d in fleet.devices]
    groups = [f"  {name}: {members}" for name, members in GROUPS.items()]
    defaults = f"defaults: {{user: demo, agent: demo, key: '{fleet.key}', host_keys: strict}}"
    return "\n".join(["version: 1", defaults, "devices:", *devices, "groups:", *groups, ""])


def steps(document: Path) -> list[Step]:
    """The commands of a document, in their order."""
    found: list[Step] = []
    for kind, start, lines in blocks(document.read_text("utf-8")):
        if kind == "console":
            found += _session(start, lines)
        elif kind == "sh":
            found += [Step(start, line, helper=line.split()[0] not in OURS) for line in _joined(lines) if line]
    return found


def blocks(text: str) -> Iterator[tuple[str, int, list[str]]]:
    """Every fenced block: its language, the number of its first line, its lines."""
    lines = text.split("\n")
    start: int | None = None
    for number, line in enumerate(lines):
        fence = re.match(r"```(\w*)\s*$", line)
        if fence and start is None:
            start, kind = number + 1, fence[1]
        elif fence and start is not None:
            yield kind, start + 1, lines[start:number]
            start = None


def _joined(lines: list[str]) -> list[str]:
    """Commands that go on behind a backslash, in one piece; comments are left out."""
    whole = "\n".join(lines).replace("\\\n", " ")
    return [re.sub(r"\s+# .*", "", line).strip() for line in whole.split("\n") if not line.startswith("#")]


def _session(start: int, lines: list[str]) -> list[Step]:
    found: list[Step] = []
    for number, line in enumerate(lines):
        if line.startswith("$ "):
            found.append(Step(start + number, line[2:]))
        elif found and found[-1].command.endswith("\\"):
            found[-1] = Step(found[-1].line, found[-1].command[:-1] + line.strip())
        elif found:
            last = found[-1]
            found[-1] = Step(last.line, last.command, f"{last.printed or ''}{line}\n")
    for number, step in enumerate(found):
        if step.command == "echo $?":
            before = found[number - 1]
            found[number - 1] = Step(before.line, before.command, before.printed, int(step.printed or 0))
    return [step for step in found if step.command != "echo $?"]


def plain(text: str) -> str:
    """The text with a word in place of everything that differs between two runs."""
    for pattern, word in _DIFFERENT:
        text = re.sub(pattern, word, text)
    return "\n".join(re.sub(r"[ -]{2,}", "  ", line.rstrip()) for line in text.strip("\n").split("\n"))


_DIFFERENT = (
    (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "RUN"),
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b(linux|darwin|freebsd)/\w+\s+\d+\s+[\d.]+\b", "SYSTEM"),
    (r"\b(linux|darwin|freebsd)/\w+", "SYSTEM"),
    (r"\b(Linux|Darwin|FreeBSD)\b", "SYSTEM"),
    (r"\b(x86_64|amd64|aarch64|arm64|armv\dl?|riscv64)\b", "ARCH"),
    (r"/home/me/|/\S*/(devices|laptop)/", "FOLDER/"),
    (r"\bTIME(\s+)[\d.]+", r"TIME\1N"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\bdemo \d+-[0-9a-f]{12}\b", "demo VERSION"),
    (r"\b\d+-[0-9a-f]{12}\b", "VERSION"),
    (r'"(seconds|load|cores|memory_mb|disk_mb|round_trip_ms|bytes)": [\d.]+', r'"\1": N'),
    (r"\b\d+(\.\d+)?(?= (s|ms|B|kB|MB|GB|TB|bytes)\b)", "N"),
    (r"\b\d+\.\d+\b", "N"),
)


def agrees(printed: str, expected: str) -> bool:
    """Whether a command printed what the document says."""
    lines = (r"(.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in plain(expected).split("\n"))
    return re.fullmatch("".join(lines), plain(printed) + "\n") is not None
