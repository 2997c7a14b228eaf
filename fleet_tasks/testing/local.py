"""This machine as a device, and what is laid out on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fleet_tasks.actions.saying import SECONDS, Saying
from fleet_tasks.actions.status import ARCHITECTURES
from fleet_tasks.agents.contract import Agent, Order, Outcome, Payload, Platform


def this_platform() -> Platform:
    """What a device would say of itself if it were this machine."""
    machine = platform.machine()
    return Platform(platform.system().lower(), ARCHITECTURES.get(machine, machine))


class LocalDevice:
    """This machine as a device: an empty home, a folder for temporary files, one for the agent; nothing else is used.

    ``env`` is set for every script, as ``env:`` of a registry would be; ``PATH`` is where programs are found.
    """

    def __init__(self, folder: Path, agent: Agent, env: Mapping[str, str] | None = None) -> None:
        self.agent = agent
        folder = folder / "device"
        self.home, self.temporary, self._agents = folder / "home", folder / "tmp", folder / "agents"
        self._env = dict(env or {})
        self._current: Path | None = None
        for each in (self.home, self.temporary, self._agents):
            each.mkdir(mode=0o700, parents=True)

    def deploy(self) -> Saying:
        """Lays the payload out, lets deploy.sh look at it, and moves it to its place when that exits with 0."""
        payload = self.agent.payload(this_platform()) if self.agent.installs else None
        if payload is None:
            return Saying(0)
        staged, wanted = self._agents / ".new", self._agents / payload.version
        lay_out(payload, staged)
        said = self._says("deploy", staged)
        if said.status != 0:
            shutil.rmtree(staged)
            return said
        shutil.rmtree(wanted, ignore_errors=True)
        staged.rename(wanted)
        self._current = wanted
        return said

    def status(self) -> Saying:
        """What status.sh says."""
        return self._says("status", self._current)

    def dispatch(self, order: Order, secrets: Mapping[str, str] | None = None, folder: Path | None = None) -> Outcome:
        """Runs dispatch.sh in a fresh folder, or in ``folder``; raises TimeoutExpired after the agent's timeout."""
        run = self.temporary / "run"
        work = folder or run / "work"
        work.mkdir(parents=True, exist_ok=True)
        run.mkdir(exist_ok=True)
        (run / "task").write_text(order.task)
        given = {
            "FLEET_TASK": order.task,
            "FLEET_TASK_FILE": str(run / "task"),
            "FLEET_TASK_ID": order.run,
            "FLEET_RUN": order.run,
            "FLEET_DEVICE": order.device,
            "FLEET_MODEL": order.model or "",
            "FLEET_PROVIDER": order.provider or "",
            "FLEET_API_BASE": order.api_base or "",
            **self.agent.environment(order),
            **(secrets or {}),
        }
        try:
            done = self._run("dispatch", self._current, given, work, self.agent.stdin(order))
        finally:
            shutil.rmtree(run)
        return Outcome(done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr)

    def teardown(self) -> Saying:
        """Lets teardown.sh tidy up, then removes the agent's folder."""
        said = self._says("teardown", self._current)
        shutil.rmtree(self._agents)
        self._agents.mkdir()
        self._current = None
        return said

    def left(self) -> list[str]:
        """Every file and folder there is beside the agent's own, by its path."""
        found = [each for top in (self.home, self.temporary) for each in top.rglob("*")]
        return sorted(str(each.relative_to(self.home.parent)) for each in found)

    def holding(self, text: str) -> list[str]:
        """Every file, the agent's own included, that holds ``text``."""
        files = [each for each in self.home.parent.rglob("*") if each.is_file() and not each.is_symlink()]
        return sorted(str(each) for each in files if text.encode() in each.read_bytes())

    def _says(self, script: str, home: Path | None) -> Saying:
        done = self._run(script, home, {}, home or self.home)
        text = (done.stdout + done.stderr).decode("utf-8", "replace")
        pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
        return Saying(done.returncode, {key.strip(): value.strip() for key, value in pairs}, text)

    def _run(
        self, script: str, home: Path | None, given: Mapping[str, str], folder: Path, stdin: str = ""
    ) -> subprocess.CompletedProcess[bytes]:
        there = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.home), "TMPDIR": str(self.temporary)}
        there |= {"FLEET_AGENT_HOME": str(home) if home else "", **self._env, **given}
        return subprocess.run(
            ["sh", "-c", self.agent.script(script)],
            env=there,
            cwd=folder,
            input=stdin.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=self.agent.timeout if script == "dispatch" else SECONDS,
            check=False,
        )


def lay_out(payload: Payload, folder: Path) -> None:
    """The payload's files below ``folder`` as they arrive on a device."""
    folder.mkdir(parents=True)
    for name, path in payload.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
