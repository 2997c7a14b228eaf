"""No agent lets a key be seen: neither while it works nor afterwards, however its task ends.

The key is looked for in the arguments and environments of processes, on the device's disk and the laptop's, in the
history, in what --debug prints and in what the SSH server wrote down. Each agent's program tries to give it away: the
model repeats it in its answer, and in its refusal.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet_tasks.agents.presets import presets
from tests.bench import CLEAN_PATH, Bench, BenchDevice
from tests.bench.fleet import ROOT
from tests.bench.models import Answer, Models, models
from tests.bench.picoclaw import binary
from tests.bench.programs import programs
from tests.program import fleet, started
from tests.waiting import until

TELL = """: >~/asked
until [ -e ~/go ]; do sleep 0.05; done
echo "The key is $MY_KEY."
echo "The key is $MY_KEY." >&2
exit "$(cat ~/go)"
"""
"""A task, and a command, that waits until somebody looked, and then tells everything."""
UNAME = """#!/bin/sh
[ -n "${FLEET_TASK_ID:-}" ] || exec /bin/uname "$@"
: >~/asked
until [ -e ~/go ]; do sleep 0.05; done
[ "$(cat ~/go)" = 0 ] || mkdir -p report.md
echo "The key is $MY_KEY."
echo "The key is $MY_KEY." >&2
"""
"""The same in a program that the demo agent asks; its report cannot be written where it is to fail."""
ALONE = {"clio", "picoclaw"}
"""Agents that are given their key on a pipe: it is in no process's environment either."""
PLAIN = {"demo", "shell", "parrot"}
"""Agents that ask no model."""
AGENTS = sorted({*ALONE, *PLAIN, *presets()})
REAL = {name: os.environ[f"FLEET_TEST_{name.upper()}"] for name in ALONE if f"FLEET_TEST_{name.upper()}" in os.environ}
PRESETS = os.environ.get("FLEET_TEST_PRESETS", "")
"""A PATH with real programs on it."""
REAL_ONES = (*REAL, *(name for name in sorted(presets()) if shutil.which(name, path=PRESETS or "/nowhere")))
LIMITS = ("4", "20", "90")
"""Seconds for a task that is to time out; more, where a busy machine had not even begun it."""
ENDINGS = {"success": "done", "failure": "failed", "timeout": "timed-out", "killed": None}


class Canary:
    """A key that JSON and shells write differently, unless it is to be ``plain``, and where it was seen."""

    def __init__(self, *, plain: bool = False) -> None:
        self.sign = secrets.token_hex(8)
        self.key = f"k-{self.sign}" + ("" if plain else "\"'\\")
        sign = self.sign.encode()
        # Wherever it begins, base64 shows one of these three.
        shifted = (base64.b64encode(b"." * shift + sign)[4 if shift else 0 : -4] for shift in range(3))
        self._signs = (sign, *shifted)

    def __contains__(self, data: bytes) -> bool:
        return any(sign in data for sign in self._signs)

    def processes(self, part: str) -> dict[Path, bytes]:
        """The ``cmdline`` or ``environ`` of each process that has the key there."""
        read = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # one that ended just now
                read[folder] = (folder / part).read_bytes()
        return {folder: data for folder, data in read.items() if data in self}

    def files(self, places: Collection[Path]) -> list[str]:
        """The files that hold it."""
        found = []
        everywhere = (*places, *Path("/tmp").glob("clio*"))
        for path in (path for place in everywhere for path in (place, *place.rglob("*"))):
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink() and path.read_bytes() in self:
                    found.append(str(path))
        return found


@pytest.fixture
def endpoint() -> Iterator[Models]:
    with models() as running:
        running.hold()
        yield running


class Scene:
    """A device, one agent on it, and what happens there."""

    def __init__(self, bench: Bench, tmp_path: Path, name: str, endpoint: Models, ending: str, *, real: bool) -> None:
        self.bench, self.name, self.endpoint = bench, name, endpoint
        self.canary = Canary(plain=name == "opencode")  # which puts it into its config as it stands
        self.device: BenchDevice = bench.device("deck", path=f"{self._programs(tmp_path / 'bin', real)}:{CLEAN_PATH}")
        self.places = (bench.home, self.device.home, tmp_path, Path(tempfile.gettempdir()), Path("/dev/shm"))
        endpoint.usual = Answer(text=f"{self.canary.key} is the key.", status=400 if ending == "failure" else 200)
        kind = next(iter(presets()[name].keys)) if name in presets() else "openai"
        base = endpoint.url + ("/v1beta" if kind == "gemini" else "/v1")
        bench.registry(
            bench.home / "fleet.yaml", ["deck"], agents={name: self._settings(tmp_path, real)},
            providers={"mine": {"kind": kind, "api_base": base, "key": "MY_KEY"}},
        )  # fmt: skip

    def _programs(self, folder: Path, real: bool) -> str:
        """A folder with what the agent needs of the device."""
        if self.name in presets():
            return PRESETS if real else programs(folder, only=(self.name,))
        folder.mkdir()
        if self.name == "demo":
            (folder / "uname").write_text(UNAME)
            (folder / "uname").chmod(0o755)
        return str(folder)

    def _settings(self, tmp_path: Path, real: bool) -> dict[str, Any]:
        if self.name in ("demo", "shell"):
            return {"secrets": ["MY_KEY"]}
        if self.name == "parrot":
            return {"secrets": ["MY_KEY"], "dispatch": TELL, "needs": ["sh"]}
        source = {}
        if self.name == "clio":
            source = {"source": REAL["clio"] if real else str(ROOT / "tests" / "bench" / "clio")}
        if self.name == "picoclaw":
            (tmp_path / "picoclaw").write_bytes(binary("0.2.9"))
            (tmp_path / "picoclaw").chmod(0o755)
            source = {"source": REAL["picoclaw"] if real else str(tmp_path / "picoclaw")}
        return {"provider": "mine", "model": "mock-model", **source}

    @property
    def task(self) -> str:
        """What the agent is to do."""
        return TELL if self.name == "shell" else "say hello"

    @property
    def words(self) -> list[str]:
        """The command line."""
        return ["dispatch", "-d", "deck", "-a", self.name, "--task", self.task, "-f", "json", "--debug"]

    @property
    def asked(self) -> bool:
        """Whether the agent is in the middle of its task."""
        if self.name in PLAIN:
            return (self.device.home / "asked").exists()
        return any(each.method == "POST" and each.key == self.canary.key for each in self.endpoint.asked)

    def go_on(self, status: int) -> None:
        """Lets the task go on to its end."""
        self.endpoint.release()
        (self.device.home / "go").write_text(str(status))

    def look_around(self) -> None:
        """Nobody sees the key just now who is not meant to."""
        assert self.canary.processes("cmdline") == {}
        holders = self.canary.processes("environ").values()
        home = b"HOME=" + os.fsencode(self.device.home)
        there = [each for each in holders if home in each.split(b"\0")]
        assert there == [] if self.name in ALONE else all(b"\0FLEET_TASK_ID=" in each for each in there)
        assert self.canary.files(self.places) == []


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("name", "real"),
    [
        *(pytest.param(name, False, id=name) for name in AGENTS),
        *(pytest.param(name, True, id=f"real {name}") for name in REAL_ONES),
    ],
)
def test_the_key_is_nowhere(bench: Bench, tmp_path: Path, endpoint: Models, name: str, real: bool, ending: str) -> None:
    scene = Scene(bench, tmp_path, name, endpoint, ending, real=real)
    for seconds in LIMITS if ending == "timeout" else (None,):
        limit = ("--timeout", seconds) if seconds else ()
        with started(bench, *scene.words, *limit, MY_KEY=scene.canary.key) as program:
            until(lambda: scene.asked or program.poll() is not None, seconds=120)
            scene.look_around()
            if ending == "killed":
                program.send_signal(signal.SIGKILL)
            elif ending != "timeout":
                scene.go_on(0 if ending == "success" else 1)
            stdout, stderr = program.communicate(timeout=120)
        assert scene.device.quiet()
        scene.look_around()
        if scene.asked:
            break
    assert scene.asked
    assert stdout not in scene.canary and stderr not in scene.canary
    assert scene.bench.log().encode() not in scene.canary
    if ending != "killed":
        result = json.loads(stdout)["results"][0]
        assert result["state"] == ENDINGS[ending], result
        said = result["stdout"] + (result["error"] or {"message": ""})["message"]
        assert ("[secret]" in said) is (ending in ("success", "failure")), said


@pytest.mark.parametrize("name", ["claude", "clio", "parrot", "picoclaw"])
def test_the_key_is_nowhere_while_nobody_watches(bench: Bench, tmp_path: Path, endpoint: Models, name: str) -> None:
    scene = Scene(bench, tmp_path, name, endpoint, "success", real=False)
    begun = fleet(bench, *scene.words, "--detach", MY_KEY=scene.canary.key)
    assert begun.results[0]["state"] == "running", begun.stderr
    until(lambda: scene.asked)
    scene.look_around()
    scene.go_on(0)
    words = ("follow", "--run", begun.document["run"], "-f", "json", "--debug")
    followed = fleet(bench, *words, MY_KEY=scene.canary.key)
    assert followed.results[0]["state"] == "done", followed.stderr
    assert "[secret]" in followed.results[0]["stdout"]
    for said in (begun, followed):
        assert (said.stdout + said.stderr).encode() not in scene.canary
    assert scene.device.quiet()
    scene.look_around()


@pytest.mark.parametrize("ending", ["success", "killed"])
@pytest.mark.parametrize("name", ["claude", "clio", "demo", "parrot", "picoclaw", "shell"])
def test_the_key_is_nowhere_after_a_batch(
    bench: Bench, tmp_path: Path, endpoint: Models, name: str, ending: str
) -> None:
    scene = Scene(bench, tmp_path, name, endpoint, "success", real=False)
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"id": each, "task": scene.task}) + "\n" for each in ("one", "two")))
    words = ("-d", "deck", "-a", name, "--file", str(tasks), "--reduce", scene.task, "-f", "json", "--debug")
    with started(bench, "batch", *words, MY_KEY=scene.canary.key) as program:
        until(lambda: scene.asked or program.poll() is not None)
        scene.look_around()
        if ending == "killed":
            program.send_signal(signal.SIGKILL)
            assert program.wait(60)
            assert scene.device.quiet()
            scene.look_around()
        scene.go_on(0)
        said = [*program.communicate(timeout=120)]
    journal = next(bench.home.rglob("journal.db"))
    if ending == "killed":
        run = ("resume", "--run", journal.parent.name, "--rerun", "lost", "-f", "json", "--debug")
        again = fleet(bench, *run, MY_KEY=scene.canary.key)
        said += [again.stdout.encode(), again.stderr.encode()]
    assert scene.asked and not any(each in scene.canary for each in said)
    results = json.loads(said[-2])["results"]
    assert [(each["task_id"], each["state"]) for each in results] == [
        ("one", "done"), ("two", "done"), ("reduce", "done"),
    ], results  # fmt: skip
    assert all("[secret]" in each["stdout"] for each in results)
    answers = [path.read_bytes() for path in (journal.parent / "answers").iterdir()]
    assert len(answers) >= 2 and all(b"[secret]" in each for each in answers)
    assert scene.device.quiet()
    scene.look_around()


def test_a_canary_is_seen_wherever_it_sits(tmp_path: Path) -> None:
    canary = Canary()
    (tmp_path / "one").write_text(json.dumps({"key": canary.key}))
    for shift in range(3):
        (tmp_path / f"at {shift}").write_bytes(base64.b64encode(b"x" * shift + canary.key.encode() + b"yy"))
    assert len(canary.files([tmp_path])) == 4
    with subprocess.Popen(["sleep", "60", canary.key][:2], env={"KEY": canary.key}) as environed:
        with subprocess.Popen(["sh", "-c", 'read -r _; : "$0"', canary.key], stdin=subprocess.PIPE) as argued:
            until(lambda: canary.processes("environ"))
            assert list(canary.processes("environ")) == [Path(f"/proc/{environed.pid}")]
            assert Path(f"/proc/{argued.pid}") in canary.processes("cmdline")
            argued.kill()
        environed.kill()
