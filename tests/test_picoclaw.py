from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fleet_tasks.agents.contract import Order, Outcome, Platform
from fleet_tasks.agents.picoclaw import Picoclaw, answers, config, platforms
from fleet_tasks.errors import AgentUnready, ReleaseUnavailable, RequestError, WrongBinary
from fleet_tasks.registry import AgentSettings
from fleet_tasks.secrets import Secret
from fleet_tasks.testing import AgentContract
from tests.bench import PATIENCE, Bench, BenchDevice
from tests.bench.fleet import ROOT
from tests.bench.models import Answer, Call, Models, models
from tests.bench.mounts import mounted
from tests.bench.picoclaw import binary
from tests.bench.releases import Trouble, releases, tar
from tests.program import Said, fleet, started
from tests.waiting import until

KEY = "sk-canary-5f2b9c7d1e8a4036"
REAL = os.environ.get("FLEET_TEST_PICOCLAW")
PROGRAMS = ["stand-in", *(["real"] if REAL else [])]
"""The stand-in always; a real binary as well, where the environment names one."""
VERSIONS = ["0.2.1", "0.2.3", "0.2.4", "0.2.5", "0.2.6", "0.2.7", "0.2.8", "0.2.9", "v0.2.9-3-gabcdef", "0.10.0", "dev"]


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A PicoClaw of today."""
    if request.param == "real":
        return Path(str(REAL))
    return stand_in(tmp_path / "picoclaw", "0.2.9")


def stand_in(path: Path, version: str) -> Path:
    path.write_bytes(binary(version))
    path.chmod(0o755)
    return path


@pytest.fixture
def endpoint() -> Iterator[Models]:
    with models(key=KEY) as running:
        yield running


def command(text: str) -> Call:
    """A call of PicoClaw's tool for commands."""
    return Call("exec", {"action": "run", "command": text})


@dataclass
class World:
    """A device, a registry, an endpoint."""

    bench: Bench
    endpoint: Models
    device: BenchDevice
    agent: dict[str, Any]
    kind: str = "openai"
    key: str | None = "MOCK_KEY"
    more: dict[str, Any] = field(default_factory=dict)

    def fleet(self, *words: str, **more: Any) -> Said:
        """The program with this registry and the key in its environment."""
        self.write()
        return fleet(self.bench, *words, **{"MOCK_KEY": KEY, **more})

    def write(self) -> None:
        """Writes the registry."""
        provider = {"kind": self.kind, "api_base": f"{self.endpoint.url}/v1", **({"key": self.key} if self.key else {})}
        agent = {"provider": "mock", "model": "mock-model", **self.agent}
        agent = {name: value for name, value in agent.items() if value is not None}
        devices = {self.device.name: {**self.device.entry, **self.more}}
        self.bench.registry(
            self.bench.home / "fleet.yaml", [], defaults={"agent": "picoclaw"}, providers={"mock": provider},
            agents={"picoclaw": agent}, devices=devices,
        )  # fmt: skip

    def dispatch(self, task: str, *words: str, **more: Any) -> dict[str, Any]:
        """One task; its result."""
        said = self.fleet("dispatch", "-d", self.device.name, "--task", task, "-f", "json", *words, **more)
        assert said.stdout, said.stderr
        result: dict[str, Any] = said.results[0]
        assert KEY not in said.stdout + said.stderr
        return result

    def left(self) -> list[str]:
        """Every file and folder in the device's home."""
        return sorted(str(path.relative_to(self.device.home)) for path in self.device.home.rglob("*"))


@pytest.fixture
def world(bench: Bench, endpoint: Models, program: Path) -> World:
    return World(bench, endpoint, bench.device("deck"), {"source": str(program)})


# -- what stands in for PicoClaw does what PicoClaw does -------------------------------------


@dataclass
class Alone:
    """A PicoClaw of one version, started by hand in a folder."""

    folder: Path
    version: str

    def __call__(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        program = self.folder / "picoclaw"
        if not program.exists():
            stand_in(program, self.version)
        there = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PICOCLAW_HOME": str(self.folder), **variables}
        return subprocess.run(
            [str(program), *words], env=there, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def configure(self, endpoint: Models, **changes: Any) -> None:
        """Writes its config; ``changes`` are further fields of it."""
        entry = {"model_name": "m", "model": "openai/mock-model", "api_base": f"{endpoint.url}/v1", "api_keys": [KEY]}
        document = {"version": 3, "agents": {"defaults": {"model_name": "m"}}, "model_list": [entry], **changes}
        (self.folder / "config.json").write_text(json.dumps(document))


QUIET = {"NO_COLOR": "1", "PICOCLAW_LOG_LEVEL": "fatal"}


def test_the_stand_in_has_the_traps_of_its_output(tmp_path: Path, endpoint: Models) -> None:
    alone = Alone(tmp_path, "0.2.9")
    alone.configure(endpoint)
    said = alone("agent", "-m", "hello", TZ="Europe/Berlin")
    banner, _, rest = said.stdout.partition(" \n")  # read as text, its line ends are plain
    assert banner.startswith("\n\x1b[38;2;") and banner.count("\u2588") >= 6
    assert "TZ environment: Europe/Berlin" in rest
    assert any(line[2:3] == ":" and line[9:12] == "WRN" for line in rest.splitlines())
    assert rest.endswith("\n\n\U0001f99e MOCK-REPLY: hello\n") and (said.returncode, said.stderr) == (0, "")
    quiet = alone("agent", "-m", "hello", **QUIET).stdout
    assert quiet.startswith("\n\u2588") and "WRN" not in quiet and "\x1b" not in quiet
    assert "\U0001f99e picoclaw 0.2.9 (git: " in alone("version").stdout
    (tmp_path / "old").mkdir()
    assert "\u2588" not in Alone(tmp_path / "old", "0.2.0")("version").stdout


def test_the_stand_in_has_the_traps_of_its_config(tmp_path: Path, endpoint: Models) -> None:
    alone = Alone(tmp_path, "0.2.9")
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\nPROVIDER=openai\n")
    without = alone("agent", "-m", "hello", OPENAI_API_KEY=KEY, PICOCLAW_AGENTS_DEFAULTS_MODEL_NAME="m")
    assert without.returncode == 1 and "WRN" in without.stdout and 'model "" not found' in without.stderr
    assert alone("onboard").returncode == 0 and 'model "" not found' in alone("agent", "-m", "hello").stderr
    for changes, sentence in (
        ({"version": 4}, "unsupported config version: 4"),
        ({"unheard_of": 1}, "unknown field(s): unheard_of"),
        ({"agents": {"defaults": {"model_name": "other"}}}, 'model "other" not found'),
    ):
        alone.configure(endpoint, **changes)
        failed = alone("agent", "-m", "hello", **QUIET)
        assert failed.returncode == 1 and failed.stderr.startswith("Error: ") and sentence in failed.stderr
        assert "\U0001f99e" not in failed.stdout
    assert endpoint.prompts() == []
    alone.configure(endpoint, version=2)
    assert alone("agent", "-m", "hello").returncode == 0
    assert json.loads((tmp_path / "config.json").read_text())["version"] == 3
    assert [KEY in path.read_text() for path in tmp_path.glob("config.json.*.bak")] == [True]


@pytest.mark.parametrize(
    ("version", "known"), [("0.2.3", 0), ("0.2.4", 1), ("0.2.5", 2), ("0.2.6", 2), ("0.2.7", 3), ("0.2.8", 3)]
)
def test_the_stand_in_knows_the_config_of_its_version(
    tmp_path: Path, endpoint: Models, version: str, known: int
) -> None:
    alone = Alone(tmp_path, version)
    for number, unheard, status in ((known, {}, 0), (known + 1, {}, 1), (known, {"unheard_of": 1}, version == "0.2.8")):
        entry = {"api_key": KEY} if known < 2 else {"api_keys": [KEY]}
        model = {"model_name": "m", "model": "openai/m", "api_base": f"{endpoint.url}/v1", **entry}
        alone.configure(endpoint, version=number, model_list=[model], **unheard)
        assert alone("agent", "-m", "hello").returncode == status


def test_the_stand_in_has_the_traps_of_its_exit_status(tmp_path: Path, endpoint: Models) -> None:
    alone = Alone(tmp_path, "0.2.9")
    limits = {"model_name": "m", "max_tool_iterations": 1, "max_llm_retries": 1, "llm_retry_backoff_secs": 1}
    alone.configure(endpoint, agents={"defaults": limits})
    for answer, sentence in ((Answer(text=""), "returned an empty response"),
                             (Answer(call=command("true")), "max_tool_iterations")):  # fmt: skip
        endpoint.next(answer)
        said = alone("agent", "-m", "hello", **QUIET)
        assert said.returncode == 0 and sentence in said.stdout
    asked = len(endpoint.prompts())
    assert alone("agent", "-m", "/help me", **QUIET).returncode == 0 and len(endpoint.prompts()) == asked
    for status in (401, 429, 500):
        endpoint.next(Answer(status=status))
        refused = alone("agent", "-m", "hello", **QUIET)
        assert refused.returncode == 1 and "Error: error processing message: LLM call failed" in refused.stderr
    assert len(endpoint.prompts()) == asked + 3
    assert alone("agent", "--unheard-of").returncode == alone("unheard-of").returncode == 1
    assert alone("status").returncode == 0


@pytest.mark.parametrize(("session", "shared"), [("mine", True), ("agent:main:mine", False)])
def test_the_stand_in_shares_its_memory(tmp_path: Path, endpoint: Models, session: str, shared: bool) -> None:
    alone = Alone(tmp_path, "0.2.9")
    alone.configure(endpoint)
    alone("agent", "-m", "my name is Ada")
    alone("agent", "-s", session, "-m", "who am I?")
    assert (len(endpoint.asked[-1].body["messages"]) > 1) is shared


# -- a whole life ---------------------------------------------------------------------------


def test_deployed_asked_and_removed(world: World) -> None:
    deployed = world.fleet("deploy", "-d", "deck", "-f", "json")
    assert (deployed.code, deployed.results[0]["state"]) == (0, "done"), deployed.stderr
    assert re.fullmatch(r"installed picoclaw local-[0-9a-f]{12}\n", deployed.results[0]["stdout"])
    link = world.device.home / ".local" / "bin" / "picoclaw"
    assert link.is_symlink() and link.exists()
    facts = world.fleet("status", "-d", "deck", "-f", "json").results[0]["facts"]
    assert (facts["ready"], facts["reason"]) == (True, None) and facts["version"][0].isdigit()
    result = world.dispatch("say hello")
    assert (result["state"], result["stdout"]) == ("done", "MOCK-REPLY: say hello\n"), result
    assert (world.endpoint.asked[-1].path, world.endpoint.asked[-1].model) == ("/v1/chat/completions", "mock-model")
    assert "current" in world.fleet("deploy", "-d", "deck", "-f", "json").results[0]["stdout"]
    assert world.fleet("teardown", "-d", "deck", "--verify").code == 0
    assert world.left() == []
    assert world.device.quiet()


def test_the_same_bytes_as_another_version_do_not_travel_again(bench: Bench, endpoint: Models) -> None:
    with releases() as host:
        for tag in ("v0.2.8", "v0.2.9"):
            host.publish("sipeed/picoclaw", tag, {f"picoclaw_{tag}": binary("0.2.9")})
        world = World(bench, endpoint, bench.device("deck"), {"releases_api": host.api, "asset": "picoclaw_v*"})
        for tag, travels in (("v0.2.8", True), ("v0.2.9", False)):
            world.agent["source"] = f"github:sipeed/picoclaw@{tag}"
            said = world.fleet("deploy", "-d", "deck", "-f", "json", "--debug")
            assert said.results[0]["stdout"].startswith(f"installed picoclaw {tag}-"), said.stderr
            assert (" s: based" in said.stderr) is not travels, said.stderr
        assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"
        assert world.fleet("teardown", "-d", "deck", "--verify").code == 0
        assert world.left() == []


def test_the_link_follows_an_update_and_leaves_one_that_is_not_ours(
    bench: Bench, endpoint: Models, tmp_path: Path
) -> None:
    world = World(bench, endpoint, bench.device("deck"), {})
    link = world.device.home / ".local" / "bin" / "picoclaw"
    for version in ("0.2.8", "0.2.9"):
        file = tmp_path / version
        file.write_bytes(binary(version))
        world.agent = {"source": str(file)}
        assert world.fleet("deploy", "-d", "deck").code == 0
        assert f"VERSION = '{version}'" in link.read_text()
    assert [each.name for each in link.parent.iterdir()] == ["picoclaw"]
    link.unlink()
    link.symlink_to("/of/the/users/own")
    world.agent = {"source": str(tmp_path / "0.2.8")}
    assert world.fleet("deploy", "-d", "deck").code == 0
    assert str(link.readlink()) == "/of/the/users/own"
    assert world.fleet("teardown", "-d", "deck", "--verify").code == 0
    assert str(link.readlink()) == "/of/the/users/own"


def test_the_first_dispatch_brings_it_along(world: World) -> None:
    assert world.dispatch("first")["stdout"] == "MOCK-REPLY: first\n"


@pytest.mark.parametrize("shell", ["dash", "busybox", "fish", "tcsh"])
def test_on_systems_that_have_little(bench: Bench, endpoint: Models, program: Path, shell: str) -> None:
    device = bench.device(f"small-{shell}", shell=shell, path=bench.bin(without=("mktemp",), sh="busybox"))
    world = World(bench, endpoint, device, {"source": str(program)})
    assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"


def test_a_release_is_fetched_for_the_devices_architecture(bench: Bench, endpoint: Models, tmp_path: Path) -> None:
    name = platforms.asset_names(Platform("linux", os.uname().machine.replace("x86_64", "amd64")))[0]
    with releases() as host:
        host.publish("sipeed/picoclaw", "v0.2.9", {name: tar({"LICENSE": b"", "picoclaw": binary("0.2.9")})})
        world = World(bench, endpoint, bench.device("deck"), {"releases_api": host.api})
        assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"
        host.trouble["api"] = host.trouble["page"] = Trouble(status=429)
        assert world.dispatch("again")["stdout"] == "MOCK-REPLY: again\n"
        assert host.downloads() == [name]
        world.agent = {"source": "github:sipeed/picoclaw@v7", "releases_api": host.api}
        failed = world.dispatch("never")
        assert (failed["state"], failed["error"]["code"]) == ("failed", "release-unavailable")


@pytest.mark.parametrize("trouble", [Trouble(delay=60), Trouble(cut=50, hang=60)], ids=["silent", "halfway"])
def test_ctrl_c_during_a_download_ends_at_once_and_leaves_nothing(
    bench: Bench, endpoint: Models, tmp_path: Path, trouble: Trouble
) -> None:
    name = platforms.asset_names(Platform("linux", os.uname().machine.replace("x86_64", "amd64")))[0]
    cache = tmp_path / "cache"
    with releases() as host:
        host.publish("sipeed/picoclaw", "v0.2.9", {name: tar({"picoclaw": binary("0.2.9")})})
        host.trouble["file"] = trouble
        world = World(bench, endpoint, bench.device("deck"), {"releases_api": host.api})
        world.write()
        words = ("dispatch", "-d", "deck", "--task", "hello", "-f", "json")
        with started(bench, *words, MOCK_KEY=KEY, FLEET_CACHE=str(cache)) as program:
            until(lambda: host.downloads() and list(cache.rglob(".new-*" if trouble.delay else "download")))
            begun = time.monotonic()
            program.send_signal(signal.SIGINT)
            stdout, stderr = program.communicate(timeout=PATIENCE)
    assert time.monotonic() - begun < PATIENCE
    result = json.loads(stdout)["results"][0]
    assert (program.returncode, result["state"], result["error"]["code"]) == (130, "cancelled", "cancelled"), stderr
    assert [each for each in cache.rglob("*") if each.is_file() or each.name.startswith(".new-")] == []
    assert world.left() == []
    assert world.device.quiet()


def test_the_forks_raw_binaries(bench: Bench, endpoint: Models) -> None:
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    with releases() as host:
        files = {f"picoclaw-linux-{arch}": binary("0.2.9"), "picoclaw-linux-riscv64": b"other"}
        host.publish("EricGrill/picoclaw", "v1.0", files, sums="build")
        settings = {"source": "github:EricGrill/picoclaw", "releases_api": host.api}
        world = World(bench, endpoint, bench.device("deck"), settings)
        assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"
        world.agent = {**settings, "asset": "*-{os}-{arch}"}
        assert world.dispatch("again")["stdout"] == "MOCK-REPLY: again\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_config_is_made_for_the_binarys_own_version(
    bench: Bench, endpoint: Models, tmp_path: Path, version: str
) -> None:
    program = stand_in(tmp_path / "picoclaw", version)
    limits = {"max_tokens": 1000, "temperature": 0.5, "max_tool_iterations": 3, "context_window": 9000,
              "max_llm_retries": 1, "llm_retry_backoff_secs": 1, "request_timeout": 30, "exec_timeout": 5}  # fmt: skip
    world = World(bench, endpoint, bench.device("deck"), {"source": str(program), "limits": limits})
    result = world.dispatch("hello", "--workdir", ".")
    assert (result["state"], result["stdout"]) == ("done", "MOCK-REPLY: hello\n"), result
    assert [each for each in world.left() if not each.startswith(".local")] == []


@pytest.mark.parametrize("version", ["0.1.2", "0.2.0"])
def test_a_version_that_takes_its_config_from_the_user_alone_is_refused(
    bench: Bench, endpoint: Models, tmp_path: Path, version: str
) -> None:
    program = stand_in(tmp_path / "picoclaw", version)
    world = World(bench, endpoint, bench.device("deck"), {"source": str(program)})
    error = world.dispatch("hello")["error"]
    assert error["code"] == "agent-unready" and "too old" in error["message"]
    assert not list(world.device.home.rglob("picoclaw/*"))


def test_versions_stand_side_by_side_while_one_runs(world: World, tmp_path: Path) -> None:
    world.fleet("deploy", "-d", "deck")
    world.endpoint.next(Answer(text="late", delay=3))
    command = [sys.executable, "-m", "fleet_tasks", "dispatch", "-d", "deck", "--task", "wait", "-f", "json"]
    there = world.bench.environment(MOCK_KEY=KEY)
    running = subprocess.Popen(command, env=there, cwd=world.bench.home, stdout=subprocess.PIPE, text=True)
    until(lambda: bool(world.endpoint.asked))
    world.agent["source"] = str(stand_in(tmp_path / "newer", "0.2.10"))
    assert world.fleet("deploy", "-d", "deck").code == 0
    assert json.loads(running.communicate(timeout=PATIENCE)[0])["results"][0]["stdout"] == "late\n"
    folder = world.device.home / ".local/share/fleet-tasks/agents/picoclaw"
    assert world.fleet("deploy", "-d", "deck").code == 0
    assert len([each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]) == 1
    assert world.fleet("status", "-d", "deck", "-f", "json").results[0]["facts"]["version"] == "0.2.10"


# -- the model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("openai", "/v1/chat/completions"),
        ("anthropic", "/v1/messages"),
        ("gemini", "/v1/models/mock-model:generateContent"),
    ],
)
def test_every_protocol_with_the_providers_key(world: World, kind: str, path: str) -> None:
    world.kind = kind
    assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"
    asked = world.endpoint.asked[-1]
    assert (asked.path, asked.key, asked.model) == (path, KEY, "mock-model")


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
def test_a_provider_without_a_key(bench: Bench, program: Path, kind: str) -> None:
    with models() as endpoint:
        world = World(bench, endpoint, bench.device("deck"), {"source": str(program)}, kind=kind, key=None)
        assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"
        assert endpoint.asked[-1].key in ("", "none")


def test_what_it_does_not_speak_and_a_missing_model_or_key_are_refused_before_anything(world: World) -> None:
    world.kind = "copilot"
    said = world.fleet("dispatch", "-d", "deck", "--task", "x")
    assert said.code == 2 and "speaks openai or anthropic or gemini" in said.stderr
    world.kind = "openai"
    whole = world.agent
    world.agent = {**whole, "model": None}
    said = world.fleet("dispatch", "-d", "deck", "--task", "x")
    assert said.code == 2 and "The agent picoclaw on deck needs a model: --model NAME" in said.stderr
    world.agent = whole
    said = world.fleet("dispatch", "-d", "deck", "--task", "x", MOCK_KEY="")
    assert said.code == 2 and "needs MOCK_KEY" in said.stderr
    assert world.bench.logins() == 0


@pytest.mark.parametrize(
    ("answer", "says", "guidance"),
    [
        (Answer(status=401), "refused with 401: Incorrect API key provid", "Check the provider's key"),
        (Answer(status=429), "refused with 429: Rate limit reached.", "Wait a while"),
        (Answer(status=500), "refused with 500: The server had an error.", "history.show"),
        (Answer(text=""), "The model gave an empty answer.", "another model"),
        (Answer(call=command("true")), "more tool calls than it may", "limits:"),
    ],
    ids=["401", "429", "500", "empty", "tool limit"],
)
def test_what_is_no_answer_is_a_failure_with_its_reason(world: World, answer: Answer, says: str, guidance: str) -> None:
    world.agent["limits"] = {"max_llm_retries": 1, "llm_retry_backoff_secs": 1, "max_tool_iterations": 2}
    world.endpoint.usual = answer
    result = world.dispatch("hello")
    assert (result["state"], result["error"]["code"]) == ("failed", "agent-failed")
    assert says in result["error"]["message"] and guidance in result["error"]["guidance"]


def test_a_refusal_by_an_old_picoclaw_is_told_without_its_flags(world: World, tmp_path: Path) -> None:
    world.agent["source"] = str(stand_in(tmp_path / "old", "0.2.6"))
    world.endpoint.usual = Answer(status=401)
    result = world.dispatch("hello")
    assert "Usage:\n" in result["stderr"]
    assert result["error"]["message"] == "The model's provider refused with 401: Incorrect API key provid..."


@pytest.mark.parametrize("version", ["0.2.1", "0.2.3"])
def test_anthropic_is_asked_in_the_way_that_the_version_knows(
    bench: Bench, endpoint: Models, tmp_path: Path, version: str
) -> None:
    source = {"source": str(stand_in(tmp_path / "picoclaw", version))}
    world = World(bench, endpoint, bench.device("deck"), source, kind="anthropic")
    assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"
    assert endpoint.asked[-1].path == ("/v1/chat/completions" if version == "0.2.1" else "/v1/messages")
    endpoint.usual = Answer(text="")
    assert world.dispatch("hello")["error"]["message"].startswith("The model gave an empty answer, or took more tool")


def test_an_endpoint_that_is_not_there(world: World) -> None:
    world.agent["limits"] = {"max_llm_retries": 1, "llm_retry_backoff_secs": 1}
    with models() as gone:
        pass
    world.endpoint = gone
    result = world.dispatch("hello")
    assert result["state"] == "failed" and "picoclaw failed: " in result["error"]["message"]


# -- tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task",
    [
        "/status of the disk",
        " \n!important",
        "-x is a flag",
        """it's "quoted" $HOME `x` \\n""",
        "ümlaut\nand 🦞 lines\n",
    ],
)
def test_tasks_reach_the_model_whole(world: World, task: str) -> None:
    file = written(world.bench.home / "task", task)
    result = world.fleet("dispatch", "-d", "deck", "--task-file", str(file), "-f", "json").results[0]
    assert result["state"] == "done"
    assert world.endpoint.prompts()[-1].endswith(task)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_task_longer_than_an_argument_is_a_file_in_its_folder(world: World) -> None:
    task = "word " * 60_000 + "THE END"
    world.endpoint.next(Answer(call=command("tail -c 7 task-*.md; cat task-*.md | wc -c")))
    said = world.fleet(
        "dispatch", "-d", "deck", "--task-file", str(written(world.bench.home / "task", task)), "-f", "json"
    )
    assert said.results[0]["state"] == "done"
    assert "Read all of it" in world.endpoint.prompts()[0]
    assert f"THE END{len(task)}" in json.dumps(world.endpoint.asked[-1].body)


def test_it_works_in_the_tasks_folder(world: World) -> None:
    (world.bench.home / "notes.txt").write_text("milk")
    world.endpoint.next(Answer(call=command("ls -a; cat notes.txt >report.md; echo $HOME >home")))
    fetch = ["--send", "notes.txt", "--fetch", "*", "--into", "back"]
    result = world.dispatch("hello", *fetch)
    assert result["state"] == "done", result
    back = world.bench.home / "back" / "deck"
    assert {each.name for each in back.iterdir()} == {"notes.txt", "report.md", "home"}
    assert (back / "report.md").read_text() == "milk"
    assert (back / "home").read_text().strip() == str(world.device.home), "~ in a task is the user's home"


def test_a_folder_of_the_users_stays_as_it_was_even_after_a_timeout(world: World) -> None:
    place = world.device.home / 'my "work" \\ folder'
    (place / "memory").mkdir(parents=True)
    written(place / "memory" / "mine", "x")
    assert world.dispatch("hello", "--workdir", place.name)["state"] == "done"
    world.endpoint.usual = Answer(delay=30)
    assert world.dispatch("hello", "--workdir", place.name, "--timeout", "2")["state"] == "timed-out"
    assert sorted(str(each.relative_to(place)) for each in place.rglob("*")) == ["memory", "memory/mine"]


def test_memory_is_fresh_for_each_task_unless_it_is_to_be_kept(world: World) -> None:
    def history() -> int:
        return len(world.endpoint.asked[-1].body["messages"])

    for _ in range(2):
        world.dispatch("my name is Ada")
    fresh = history()
    world.agent["memory"] = "keep"
    world.dispatch("my name is Ada")
    assert history() == fresh
    world.dispatch("who am I?")
    assert history() == fresh + 2
    assert list(world.device.home.rglob("*.jsonl"))
    world.fleet("teardown", "-d", "deck")
    assert world.left() == []


# -- what is not ours -----------------------------------------------------------------------


def test_a_picoclaw_of_the_users_own_is_left_alone(world: World) -> None:
    home = world.device.home
    (home / ".local" / "bin").mkdir(parents=True)
    written(home / ".local" / "bin" / "picoclaw", "mine").chmod(0o755)
    (home / ".picoclaw" / "workspace").mkdir(parents=True)
    written(home / ".picoclaw" / "config.json", '{"version": 1}')
    exports = (
        "export TZ=Europe/Berlin PICOCLAW_CONFIG=/nowhere PICOCLAW_HOME=/nowhere PICOCLAW_LOG_LEVEL=debug config=x\n"
    )
    exports += "export PICOCLAW_AGENTS_DEFAULTS_MODEL_NAME=other PICOCLAW_LOG_FILE=/nowhere/log newer=x\n"
    written(home / ".bashrc", f"{exports}echo noise\n")
    before = world.left()
    world.more = {"env": {"BASH_ENV": ""}}
    result = world.dispatch("hello")
    assert (result["state"], result["stdout"]) == ("done", "MOCK-REPLY: hello\n"), result
    world.fleet("teardown", "-d", "deck", "--verify")
    assert world.left() == before
    assert (home / ".picoclaw" / "config.json").read_text() == '{"version": 1}'


def test_variables_of_the_registry_do_not_lead_it_astray(world: World) -> None:
    world.more = {"env": {"TZ": "Europe/Berlin", "PICOCLAW_CONFIG": "/nowhere", "PICOCLAW_LOG_LEVEL": "debug"}}
    assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"


# -- disks ----------------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="No other system gives a session mounts of its own.")
DISKS = [
    ("noexec", "not-executable", "Permission denied"),
    ("read-only", "home-read-only", "Read-only file system"),
    ("full", "no-space", "no space left"),
]


@linux
@pytest.mark.parametrize(("kind", "code", "says"), DISKS)
def test_a_home_that_is_of_no_use_is_named_and_nothing_is_half_installed(
    world: World, kind: str, code: str, says: str
) -> None:
    with mounted(world.device, world.device.home, kind) as disk:
        error = world.fleet("deploy", "-d", "deck", "-f", "json").results[0]["error"]
        left = disk.left()
    assert error["code"] == code
    assert says in error["message"]
    assert [each for each in left if "agents/picoclaw/" in each or "/bin" in each] == []
    assert world.fleet("teardown", "-d", "deck", "--verify").code == 0
    assert world.left() == []


@linux
def test_an_installed_program_that_may_not_run_any_more_is_named(world: World) -> None:
    assert world.fleet("deploy", "-d", "deck").code == 0
    with mounted(world.device, world.device.home, "noexec"):
        for result in (world.fleet("deploy", "-d", "deck", "-f", "json").results[0], world.dispatch("hello")):
            assert (result["state"], result["error"]["code"]) == ("failed", "not-executable"), result
    assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"


def test_an_installed_program_that_lost_its_mode_gets_it_back(world: World) -> None:
    assert world.fleet("deploy", "-d", "deck").code == 0
    (world.device.home / ".local" / "bin" / "picoclaw").resolve().chmod(0o600)
    assert world.dispatch("hello")["stdout"] == "MOCK-REPLY: hello\n"


@linux
@pytest.mark.parametrize(("kind", "code", "says"), DISKS)
def test_a_home_setting_that_is_of_no_use_is_named_too(world: World, kind: str, code: str, says: str) -> None:
    place = world.device.home / "disk"
    place.mkdir()
    world.more = {"home": str(place)}
    with mounted(world.device, place, kind):
        error = world.fleet("deploy", "-d", "deck", "-f", "json").results[0]["error"]
    assert error["code"] == code
    assert says.lower() in error["message"].lower()


@linux
@pytest.mark.parametrize("kind", [kind for kind, _, _ in DISKS])
def test_a_temporary_folder_that_is_of_no_use(world: World, kind: str) -> None:
    temporary = world.device.home / "tmp"
    temporary.mkdir()
    login = world.device.seat.login
    login.write_text(login.read_text().replace(f"TMPDIR={tempfile.gettempdir()}\n", f"TMPDIR={temporary}\n"))
    assert str(temporary) in login.read_text()
    assert world.fleet("deploy", "-d", "deck").code == 0
    with mounted(world.device, temporary, kind) as disk:
        result = world.dispatch("hello")
        left = disk.left()
    if kind == "full":
        assert (result["state"], result["error"]["code"]) == ("failed", "no-space"), result
    else:
        assert (result["state"], result["stdout"]) == ("done", "MOCK-REPLY: hello\n"), result
    assert left == []


def test_a_login_without_a_home(world: World) -> None:
    world.device.home.rmdir()
    error = world.dispatch("hello")["error"]
    assert (error["code"], error["message"]) == ("home-missing", "The login has no home folder.")
    assert not world.device.home.exists()


# -- the wrong program ----------------------------------------------------------------------


def elf(machine: int, width: int = 2, order: str = "<") -> bytes:
    return b"\x7fELF" + bytes([width, 1 if order == "<" else 2, 1]) + bytes(9) + struct.pack(f"{order}HH", 2, machine)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (elf(22, order=">"), "wrong-binary"),
        (b"#!/nonexistent/interpreter\n", "wrong-binary"),
        (b"#!/bin/sh\necho something else\n", "wrong-binary"),
        (b"#!/bin/sh\nexit 3\n", "wrong-binary"),
    ],
    ids=["for another machine", "not to be started", "another program", "silent"],
)
def test_a_wrong_program_is_named_and_nothing_is_installed(
    world: World, tmp_path: Path, data: bytes, code: str
) -> None:
    world.agent["source"] = str(tmp_path / "wrong")
    (tmp_path / "wrong").write_bytes(data)
    said = world.fleet("deploy", "-d", "deck", "-f", "json")
    assert (said.code, said.results[0]["error"]["code"]) == (1, code), said.stdout
    assert not list(world.device.home.rglob("picoclaw/*"))


def test_a_system_without_a_build_is_named(bench: Bench, endpoint: Models) -> None:
    with releases() as host:
        host.publish("sipeed/picoclaw", "v0.2.9", {"picoclaw_Linux_s390x.tar.gz": b""})
        world = World(bench, endpoint, bench.device("deck"), {"releases_api": host.api}, more={"arch": "riscv64"})
        error = world.dispatch("hello")["error"]
    assert error["code"] == "wrong-platform" and "picoclaw_Linux_riscv64.tar.gz" in error["message"]


# -- what it says ---------------------------------------------------------------------------

BANNER = "\r\n" + "\x1b[38;2;62;93;185m██████╗ ██╗\x1b[38;2;213;70;70m ██████╗\x1b[0m\r\n" * 6 + " \r\n"
PLAIN = "\r\n" + "██████╗ ██╗ ██████╗\r\n" * 6 + " \r\n"
LOGS = "12:34:56 WRN agent loop.go:71 > something key=value\n12:34:57 \x1b[31mERR\x1b[0m config x.go:1 > more\n"


@pytest.mark.parametrize("before", [BANNER, PLAIN, PLAIN + LOGS, PLAIN + "TZ environment: X\n" + LOGS, ""])
@pytest.mark.parametrize("answer", ["one line\n", "two\n🦞 lines\n", "\n"])
def test_the_answer_is_what_follows_the_first_lobster(before: str, answer: str) -> None:
    assert answers.cut(f"{before}\n🦞 {answer}".encode()) == answer.encode()


def test_without_an_answer_only_what_is_no_noise_is_left() -> None:
    assert answers.cut((BANNER + LOGS).encode()) == b""
    assert answers.cut(f"{PLAIN}{LOGS}words\n".encode()) == b"words\n"
    assert answers.cut(b"\xff\xfe") == b"\xff\xfe"


@pytest.mark.parametrize(
    ("status", "stdout", "stderr", "code", "says"),
    [
        (0, "🦞 fine\n", "", None, ""),
        (0, "🦞 Set max_tool_iterations: 80 in config.json.\n", "", None, ""),
        (0, "🦞 The log says: The model returned an empty response. (3 times)\n", "", None, ""),
        (0, "🦞 You have no response to give.\n", "", None, ""),
        (0, f"{PLAIN}Goodbye!\n", "", "agent-failed", "without an answer"),
        (0, f"{PLAIN}\n🦞 \n", "", "agent-failed", "without an answer"),
        (1, PLAIN, 'Error: error creating provider: model "" not found', "agent-unready", 'model "" not found'),
        (1, PLAIN, "Error: error loading config: unsupported config version: 3", "agent-unready", "unsupported"),
        (1, PLAIN, "Error: error processing message: LLM call failed after retries: request timeout", "agent-failed",
         "request timeout"),
        (1, PLAIN, "", "agent-failed", "exited with 1"),
        (137, PLAIN, "", "agent-failed", "signal 9"),
        (None, "", "", "agent-failed", "without an exit status"),
        (78, "", "picoclaw 0.1 is too old\n", "agent-unready", "too old"),
        (73, "", "There is no room for the task.\n", "no-space", "There is no room"),
        (1, "", "Error: LLM call failed: API request failed with status 529: overloaded", "agent-failed", "with 529"),
        (1, "", "Error: LLM call failed: a key must be of Latin letters (256)", "agent-failed", "picoclaw failed: "),
    ],
)  # fmt: skip
def test_verdicts(status: int | None, stdout: str, stderr: str, code: str | None, says: str) -> None:
    problem = answers.judge(Outcome(status, stdout.encode(), stderr.encode()))
    assert (problem.code if problem else None) == code
    assert says in (problem.message if problem else "")


# -- the config -----------------------------------------------------------------------------


def order(**more: Any) -> Order:
    given: dict[str, Any] = {
        "model": "m",
        "provider": "p",
        "provider_kind": "openai",
        "api_base": "http://x/v1",
        **more,
    }
    return Order(task="t", run="r", device="d", **given)


def made(**more: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(config.lines(order(**more)).splitlines()[0])
    return document


@pytest.mark.parametrize(
    ("given", "model", "base"),
    [
        ({}, "openai/m", "http://x/v1"),
        ({"api_base": "http://x/v1/chat/completions/"}, "openai/m", "http://x/v1"),
        ({"model": "openai/gpt-5", "provider": "openrouter"}, "openai/openai/gpt-5", "http://x/v1"),
        ({"model": "openai/gpt-5", "provider": "openai"}, "openai/gpt-5", "http://x/v1"),
        ({"provider_kind": "anthropic", "api_base": "http://x/v1/messages"}, "anthropic-messages/m", "http://x/v1"),
        ({"provider_kind": "gemini", "api_base": None}, "gemini/m", None),
    ],
)
def test_models_and_bases(given: dict[str, Any], model: str, base: str | None) -> None:
    entry = made(**given)["model_list"][0]
    assert (entry["model"], entry.get("api_base")) == (model, base)


def test_every_limit_is_described() -> None:
    text = (ROOT / "docs" / "agents.md").read_text("utf-8")
    assert [name for name in Picoclaw.limits if f"`{name}`" not in text] == []


def test_limits_stand_where_they_belong() -> None:
    limits = {"max_tokens": 5, "temperature": 0, "rpm": 3, "exec_timeout": 9, "deny_patterns": False,
              "restrict_to_workspace": True, "of_another_agent": 1, "max_llm_retries": 4}  # fmt: skip
    document = made(limits=limits)
    defaults = document["agents"]["defaults"]
    assert (defaults["max_tokens"], defaults["temperature"], defaults["restrict_to_workspace"]) == (5, 0, True)
    assert document["model_list"][0]["rpm"] == 3
    assert document["tools"]["exec"] == {"timeout_seconds": 9, "enable_deny_patterns": False}
    assert "of_another_agent" not in json.dumps(document) and "retries" not in json.dumps(document)
    variables = Picoclaw().environment(order(limits=limits))
    assert variables["PICOCLAW_AGENTS_DEFAULTS_MAX_LLM_RETRIES"] == "4"


def test_the_key_is_in_the_config_and_in_no_variable() -> None:
    with_key = order(key=Secret("K", KEY))
    assert config.lines(with_key).count(KEY) == 3
    assert KEY not in repr(Picoclaw().environment(with_key)) + repr(with_key)


@pytest.mark.parametrize("given", [{"model": "a b"}, {"model": "/x"}, {"model": "a//b"}, {"provider_kind": None}])
def test_what_no_config_can_say(given: dict[str, Any]) -> None:
    with pytest.raises(AgentUnready):
        config.lines(order(**given))


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_token": 1}, "did you mean max_tokens"),
        ({"max_tokens": "many"}, "must be a whole number"),
        ({"max_tokens": True}, "must be a whole number"),
        ({"temperature": -1.0}, "must be a number"),
        ({"deny_patterns": 1}, "must be true or false"),
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Picoclaw(AgentSettings("picoclaw", limits=limits))
    if "max_token" not in limits:
        with pytest.raises(AgentUnready, match=says.removeprefix("must ")):
            config.lines(order(limits=limits))


# -- platforms ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "arch", "names"),
    [
        ("linux", "amd64", ["picoclaw_Linux_x86_64.tar.gz", "picoclaw-linux-amd64"]),
        ("linux", "arm64", ["picoclaw_Linux_arm64.tar.gz", "picoclaw-linux-arm64", "picoclaw-arm64-linux"]),
        ("linux", "armv7", ["picoclaw_Linux_armv7.tar.gz", "picoclaw_Linux_armv6.tar.gz"]),
        ("linux", "loong64", ["picoclaw_Linux_loong64.tar.gz"]),
        ("linux", "mipsle", ["picoclaw_Linux_mipsle.tar.gz"]),
        ("darwin", "arm64", ["picoclaw_Darwin_arm64.tar.gz", "picoclaw-darwin-arm64"]),
        ("freebsd", "amd64", ["picoclaw_Freebsd_x86_64.tar.gz"]),
        ("netbsd", "arm64", ["picoclaw_Netbsd_arm64.tar.gz"]),
        ("windows", "amd64", ["picoclaw_Windows_x86_64.zip", "picoclaw-windows-amd64.exe"]),
    ],
)
def test_names_of_assets(system: str, arch: str, names: list[str]) -> None:
    found = platforms.asset_names(Platform(system, arch))
    assert [name for name in found if name in names] == names and found[0] == names[0]


@pytest.mark.parametrize(
    ("data", "system", "arch", "other"),
    [
        (elf(62), "linux", "amd64", ""),
        (elf(183), "linux", "amd64", "arm64"),
        (elf(40, 1), "linux", "armv7", ""),
        (elf(40, 1), "linux", "amd64", "arm"),
        (elf(243), "linux", "riscv64", ""),
        (elf(8, 1), "linux", "mipsle", ""),
        (elf(8, 1, ">"), "linux", "mipsle", "mips"),
        (elf(62), "darwin", "amd64", "Linux or the like, on amd64"),
        (b"\xcf\xfa\xed\xfe" + bytes(20), "linux", "amd64", "darwin"),
        (b"MZ\x90\0" + bytes(20), "linux", "amd64", "windows"),
        (b"#!/bin/sh\n", "linux", "amd64", ""),
        (elf(62), "linux", "unheard-of", ""),
        (b"\x7fELF", "linux", "amd64", ""),
    ],
)
def test_programs_that_do_not_fit(tmp_path: Path, data: bytes, system: str, arch: str, other: str) -> None:
    (tmp_path / "program").write_bytes(data)
    assert platforms.misfit(tmp_path / "program", Platform(system, arch)) == other


def test_what_was_not_found_is_looked_for_once_for_all_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path / "cache"))
    with releases() as host:
        agent = Picoclaw(AgentSettings("picoclaw", releases_api=host.api))
        for _ in range(3):
            with pytest.raises(ReleaseUnavailable, match="has no releases"):
                agent.payload(Platform("linux", "amd64"))
        assert len(host.asked) == 1


def test_each_architecture_of_a_release_is_kept_for_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path / "cache"))
    programs = {"amd64": elf(62) + b"one", "arm64": elf(183) + b"two", "mipsle": elf(8, 1) + b"three"}
    with releases() as host:
        names = {arch: platforms.asset_names(Platform("linux", arch))[0] for arch in programs}
        files = {names[arch]: tar({"picoclaw": data}) for arch, data in programs.items()}
        host.publish("sipeed/picoclaw", "v0.2.9", files)
        for _ in range(2):
            agent = Picoclaw(AgentSettings("picoclaw", source="github:sipeed/picoclaw@v0.2.9", releases_api=host.api))
            payloads = {arch: agent.payload(Platform("linux", arch)) for arch in programs}
            assert {arch: each.files["bin/picoclaw"].read_bytes() for arch, each in payloads.items()} == programs
            assert len({each.version for each in payloads.values()}) == len(programs)
        assert sorted(host.downloads()) == sorted(names.values())


def test_a_program_for_another_machine_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "{arch}").mkdir()
    written(tmp_path / "arm64", "").write_bytes(elf(183))
    agent = Picoclaw(AgentSettings("picoclaw", source=str(tmp_path / "{arch}")))
    assert agent.payload(Platform("linux", "arm64")).files
    (tmp_path / "amd64").write_bytes(elf(183))
    with pytest.raises(WrongBinary, match="is a program for arm64, not for linux on amd64"):
        agent.payload(Platform("linux", "amd64"))


class TestPicoclaw(AgentContract):
    kind = Picoclaw
    model = "mock-model"
    provider = ("openai", "openai")

    @pytest.fixture(autouse=True)
    def _endpoint(self, tmp_path: Path) -> Iterator[None]:
        with models() as running:
            self.api_base = f"{running.url}/v1"
            self.settings = {"source": str(stand_in(tmp_path / "picoclaw", "0.2.9"))}
            yield
