"""Agents that ship as data: what they are started with, what they leave, and how they come to a device.

The programs are stand-ins that behave as the real ones were seen to; FLEET_TEST_PRESETS, a PATH with real ones on it,
has them tried as well. PyPI's llm is always the real one, installed by the preset itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet_tasks.agents.catalogue import find, known
from fleet_tasks.agents.command import PACKAGE, CommandAgent
from fleet_tasks.agents.contract import SCRIPTS
from fleet_tasks.agents.presets import presets
from fleet_tasks.registry import AgentSettings
from tests.bench import CLEAN_PATH, Bench, BenchDevice
from tests.bench.fleet import ROOT
from tests.bench.models import ECHO, Answer, Models, models
from tests.bench.mounts import mounted
from tests.bench.programs import programs
from tests.program import Said, fleet, holding

CANARY = f"canary-93c04af6-{os.getpid()}"
"""A key of this process alone, as other tests look into the same /tmp."""
NAMES = ("aider", "claude", "codex", "gemini", "llm", "opencode")
REAL = os.environ.get("FLEET_TEST_PRESETS", "")
KINDS = [(name, kind) for name in NAMES for kind in presets()[name].keys]


@pytest.fixture
def endpoint() -> Iterator[Models]:
    """A stand-in for models that wants the canary as its key."""
    with models(key=CANARY) as running:
        yield running


def test_the_presets_are_agents_like_those_of_a_registry() -> None:
    assert tuple(sorted(presets())) == NAMES
    assert set(NAMES) <= set(known({}))
    for name in NAMES:
        agent = find(name, {})
        assert isinstance(agent, CommandAgent)
        assert agent.installs and agent.wants_key and agent.description.endswith(".")
        assert PACKAGE.fullmatch(agent.settings.source or "")
        assert agent.provider is None or agent.provider in ("anthropic", "openai", "gemini")


def test_a_registry_changes_what_it_mentions() -> None:
    own = AgentSettings("llm", source="pip:llm==0.35", timeout=7.0)
    agent = find("llm", {"llm": own})
    assert isinstance(agent, CommandAgent)
    assert (agent.timeout, agent.settings.keys, "version=0.35" in agent.script("deploy")) == (
        7.0,
        {"openai": "OPENAI_API_KEY"},
        True,
    )
    replaced = find("llm", {"llm": AgentSettings("llm", dispatch="echo mine")})
    assert isinstance(replaced, CommandAgent)
    assert (replaced.installs, replaced.wants_key) == (False, False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_their_scripts_are_posix_sh(name: str, shell: str) -> None:
    for script in SCRIPTS:
        text = find(name, {}).script(script).encode()
        said = subprocess.run([*shell.split(), "-n"], input=text, capture_output=True, check=False)
        assert said.returncode == 0, said.stderr.decode()


def test_their_scripts_are_clean(tmp_path: Path) -> None:
    checked = []
    for name in NAMES:
        for script in SCRIPTS:
            file = tmp_path / f"{name}-{script}.sh"
            file.write_text("#!/bin/sh\n" + find(name, {}).script(script))
            checked.append(str(file))
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    words = [str(shellcheck), "--exclude", "SC2016", *checked]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


class Deck:
    """A device with some programs on it, a provider that is a stand-in, and one agent."""

    def __init__(self, bench: Bench, tmp_path: Path, path: str, name: str, kind: str, endpoint: Models) -> None:
        self.bench, self.name = bench, name
        self.device: BenchDevice = bench.device("deck", path=f"{path}:{CLEAN_PATH}")
        base = endpoint.url + ("/v1beta" if kind == "gemini" else "/v1")
        providers = {"mine": {"kind": kind, "api_base": base, "key": "MY_KEY"}}
        self.registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], providers=providers)

    def words(self, command: str, *more: str) -> list[str]:
        """A command line about the device and the agent."""
        common = ("-d", "deck", "-a", self.name, "-f", "json", "--registry", str(self.registry))
        asks = ("--provider", "mine", "--model", "mock-model") if command == "dispatch" else ()
        return [command, *common, *asks, *more]

    def __call__(self, command: str, *more: str, key: str = CANARY) -> Said:
        return fleet(self.bench, *self.words(command, *more), MY_KEY=key, seconds=300)

    def dispatch(self, *more: str, task: str = "say hello", key: str = CANARY) -> Said:
        return self("dispatch", "--task", task, *more, key=key)


def litter() -> list[Path]:
    """What programs have left where temporary files go."""
    return [*Path(tempfile.gettempdir()).glob("unpacked-by-*")]


PATHS = ["stand-in", *(["real"] if REAL else [])]


@pytest.mark.parametrize("programs_of", PATHS)
@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_each_asks_its_model_and_gives_a_clean_answer(
    bench: Bench, tmp_path: Path, endpoint: Models, name: str, kind: str, programs_of: str
) -> None:
    path = REAL if programs_of == "real" else programs(tmp_path / "bin")
    deck = Deck(bench, tmp_path, path, name, kind, endpoint)
    task = 'say "hello"; --and $HOME\nnicely'
    endpoint.usual = Answer(text=f"{ECHO}yes, hello\nnicely")
    said = deck.dispatch(task=task)
    result = said.results[0]
    assert said.code == 0, said.stdout + said.stderr
    assert result["stdout"].strip() == f"{ECHO}yes, hello\nnicely"
    asked = [each for each in endpoint.asked if each.method == "POST"]
    assert asked and all(each.model == "mock-model" and each.key == CANARY for each in asked)
    assert any(task in each.prompt for each in asked)
    if presets()[name].usage:
        assert (result["usage"]["input_tokens"], result["usage"]["output_tokens"]) == (11, 7)

    whole = "### Fine\n\n\n> quoted\n#### deeper\n    indented\n# end"
    endpoint.usual = Answer(text=whole)
    assert deck.dispatch().results[0]["stdout"].rstrip("\n") == whole
    if name != "llm":
        endpoint.usual = Answer(text="")
        empty = deck.dispatch()
        assert (empty.code, empty.results[0]["error"]["code"]) == (1, "agent-failed"), empty.stdout

    refused = deck.dispatch(key="wrong-" + CANARY)
    error = refused.results[0]["error"]
    assert (refused.code, error["code"]) == (1, "agent-failed")
    assert "Incorrect API key" in error["message"] or "AuthenticationError" in error["message"]
    assert deck("teardown", "--verify").code == 0
    assert list(deck.device.home.iterdir()) == [] and litter() == []


@pytest.mark.parametrize("programs_of", PATHS)
def test_what_aider_said_before_it_tried_again_does_not_count(
    bench: Bench, tmp_path: Path, endpoint: Models, programs_of: str
) -> None:
    path = REAL if programs_of == "real" else programs(tmp_path / "bin")
    deck = Deck(bench, tmp_path, path, "aider", "openai", endpoint)
    endpoint.next(*[Answer(status=500)] * 4, Answer(text="fine"))
    said = deck.dispatch()
    assert (said.code, said.results[0]["stdout"]) == (0, "fine\n"), said.stdout
    assert "Retrying in" in said.results[0]["stderr"]


LOGINS = {
    "claude": ".claude/.credentials.json",
    "codex": ".codex/auth.json",
    "gemini": ".gemini/oauth_creds.json",
    "llm": ".config/io.datasette.llm/keys.json",
    "opencode": ".local/share/opencode/auth.json",
}
"""Where each notes that it is logged in; aider has no login."""


def stubs(folder: Path, *names: str) -> str:
    """Programs that do nothing, as a path."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("name", NAMES)
def test_status_and_check_say_whether_it_is_there_and_logged_in(
    bench: Bench, tmp_path: Path, endpoint: Models, name: str
) -> None:
    path = f"{tmp_path / 'bin'}:{stubs(tmp_path / 'means', 'npm', 'node', 'python3', 'uv')}"
    deck = Deck(bench, tmp_path, path, name, "openai", endpoint)
    deck.registry.write_text(deck.registry.read_text() + f"agents: {{{name}: {{provider: login, needs: []}}}}\n")

    def checks() -> dict[str, Any]:
        return {each["name"]: each for each in deck("check").results[0]["facts"]["checks"]}

    facts = deck("status").results[0]["facts"]
    assert (facts["ready"], facts["reason"]) == (False, f"{name} is not installed")
    if name == "claude":
        assert checks()["agent"]["found"] == f"{name} not installed yet; dispatch does it"
        assert "agent ready" not in checks()
    programs(tmp_path / "bin", only=(name,))
    if name in LOGINS:
        assert checks()["agent"]["found"] == f"{name} is there already"
        found = checks()["agent ready"]
        assert (found["ok"], found["found"]) == (False, f"{name} is not logged in")
        assert found["guidance"].startswith("Log in there once: ssh -t -p ") and found["guidance"].endswith(f" {name}")
        assert [*deck.device.home.rglob("*")] == []
        (deck.device.home / LOGINS[name]).parent.mkdir(parents=True, exist_ok=True)
        (deck.device.home / LOGINS[name]).write_text('{"key": 1}')
    before = [*deck.device.home.iterdir()]
    facts = deck("status").results[0]["facts"]
    assert (facts["ready"], facts["reason"]) == (True, None)
    assert re.search(r"\d+\.\d+", facts["version"])
    assert [*deck.device.home.iterdir()] == before and litter() == []


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("claude", "openai", "The agent claude on deck speaks anthropic, and its provider mine speaks openai."),
        ("codex", "anthropic", "The agent codex on deck speaks openai, and its provider mine speaks anthropic."),
    ],
)
def test_a_provider_of_another_kind_is_refused_at_once(
    bench: Bench, tmp_path: Path, endpoint: Models, name: str, kind: str, sentence: str
) -> None:
    said = Deck(bench, tmp_path, "/nowhere", name, kind, endpoint).dispatch()
    assert (said.code, said.stdout, bench.logins()) == (2, "", 0)
    assert sentence in said.stderr


@pytest.mark.parametrize("dry", [(), ("--dry",)])
@pytest.mark.parametrize("name", ["aider", "opencode"])
def test_a_model_that_nobody_named_is_missed_before_any_connection(
    bench: Bench, tmp_path: Path, endpoint: Models, name: str, dry: tuple[str, ...]
) -> None:
    deck = Deck(bench, tmp_path, "/nowhere", name, "openai", endpoint)
    words = ("dispatch", "-d", "deck", "-a", name, "--task", "x", "--registry", str(deck.registry))
    for more in (("--provider", "mine"), ()):
        said = fleet(bench, *dry, *words, *more, MY_KEY=CANARY)
        assert (said.code, said.stdout, bench.logins()) == (2, "", 0)
        assert f"The agent {name} on deck needs a model: --model NAME" in said.stderr
    for enough in (("--provider", "login"), ("--model", "m"), ("--provider", "mine", "--model", "m")):
        planned = fleet(bench, "--dry", *words, *enough, MY_KEY=CANARY)
        assert planned.code == 0 and "planned" in planned.stderr, planned


def test_check_misses_a_model_only_where_one_is_needed(bench: Bench, tmp_path: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, programs(tmp_path / "bin", only=("opencode",)), "opencode", "openai", endpoint)
    text = deck.registry.read_text()
    for provider, missed in (("mine", True), ("login", False)):
        deck.registry.write_text(text + f"agents: {{opencode: {{provider: {provider}}}}}\n")
        checks = deck("check").results[0]["facts"]["checks"]
        assert [each["ok"] for each in checks if each["name"] == "model"] == [False] * missed


def test_a_key_that_is_nowhere_stops_before_any_connection(bench: Bench, tmp_path: Path) -> None:
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    said = fleet(bench, "dispatch", "-d", "deck", "-a", "claude", "--task", "x", "--registry", str(registry))
    assert (said.code, bench.logins()) == (2, 0)
    assert "The agent claude on deck needs ANTHROPIC_API_KEY" in said.stderr


# -- coming to a device and going from it --------------------------------------------------------

NPM = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in --prefix) prefix=$2 ;; --cache) mkdir -p "$2" ;; esac
    package=$1
    shift
done
case ${NPM_SAYS:-} in fails)
    echo 'npm error code E404' >&2
    echo 'npm error 404 Not Found - GET the package' >&2
    exit 1
    ;;
empty) exit 0 ;;
esac
mkdir -p "$prefix/node_modules/.bin"
printf '#!/bin/sh\\necho %s\\n' "${NPM_SAYS:-2.0.0}" >"$prefix/node_modules/.bin/codex"
chmod +x "$prefix/node_modules/.bin/codex"
"""


@pytest.mark.parametrize(
    ("source", "says", "code", "sentence"),
    [
        ("npm:@openai/codex", "", None, "installed codex 2.0.0"),
        ("npm:@openai/codex@2.0.0", "codex-cli 2.0.0", None, "installed codex codex-cli 2.0.0"),
        ("npm:@openai/codex@2.0", "2.0.0", "wrong-binary", "codex says: 2.0.0 (wanted: 2.0)"),
        ("npm:@openai/codex@2.0.10", "2.0.1", "wrong-binary", "codex says: 2.0.1 (wanted: 2.0.10)"),
        ("npm:@openai/codex", "fails", "agent-unready", "npm error 404 Not Found - GET the package"),
        ("npm:@openai/codex", "empty", "wrong-binary", "not found (wanted: any)"),
    ],
)
def test_what_npm_installed_is_looked_at(
    bench: Bench, tmp_path: Path, source: str, says: str, code: str | None, sentence: str
) -> None:
    (tmp_path / "npm").mkdir()
    (tmp_path / "npm" / "npm").write_text(NPM)
    (tmp_path / "npm" / "npm").chmod(0o755)
    deck = bench.device("deck", path=f"{tmp_path / 'npm'}:{bench.bin(also=('head', 'tar'))}")
    agents = {"codex": {"source": source, "env": {"NPM_SAYS": says}}}
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents)
    words = ("-d", "deck", "-a", "codex", "-f", "json", "--registry", str(registry))
    said = fleet(bench, "deploy", *words)
    result = said.results[0]
    assert (result["error"] or {"code": None})["code"] == code
    assert sentence in (result["error"] or {"message": result["stdout"]})["message"]
    assert fleet(bench, "status", *words).results[0]["facts"]["ready"] is (code is None)
    assert fleet(bench, "teardown", *words, "--verify").code == 0
    assert list(deck.home.iterdir()) == []


UV = """#!/bin/sh
[ "$1 $2" = "pip install" ] || exit 9
while [ $# -gt 0 ]; do
    case $1 in --target) target=$2 ;; --python) [ "$2" = python3 ] || exit 9 ;; esac
    last=$1
    shift
done
mkdir -p "$target/bin"
case $last in
llm==2.1) echo 'import sys; print("llm, version 2.1", *sys.argv[2:])' >"$target/bin/llm" ;;
llm==2.3) echo 'raise ImportError("click is too new")' >"$target/bin/llm" ;;
*)
    printf 'error: no\\n  cause: nothing is called %s\\n\\nhint: ask somebody\\n' "$last" >&2
    exit 1
    ;;
esac
"""


@pytest.mark.parametrize(
    ("version", "code", "sentence"),
    [
        ("2.1", None, "installed llm llm, version 2.1\n"),
        ("2.2", "agent-unready", "uv could not install llm: cause: nothing is called llm==2.2"),
        ("2.3", "wrong-binary", "llm says: ImportError: click is too new (wanted: 2.3)"),
    ],
)
def test_uv_goes_before_pip(bench: Bench, tmp_path: Path, version: str, code: str | None, sentence: str) -> None:
    folder = Path(stubs(tmp_path / "means", "uv", "python3"))
    (folder / "uv").write_text(UV)
    (folder / "python3").write_text(f'#!/bin/sh\ncase "$*" in "-m pip "*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    deck = bench.device("deck", path=f"{folder}:{bench.bin(also=('head', 'tar'))}")
    agents = {"llm": {"source": f"pip:llm=={version}"}}
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents)
    words = ("-d", "deck", "-a", "llm", "-f", "json", "--registry", str(registry))
    result = fleet(bench, "deploy", *words).results[0]
    assert (result["error"] or {"code": None})["code"] == code
    assert (result["error"] or {"message": result["stdout"]})["message"].endswith(sentence)
    assert fleet(bench, "teardown", *words, "--verify").code == 0
    assert list(deck.home.iterdir()) == []


INSTALLERS = {"npm": ("claude", "npm"), "uv": ("llm", "uv"), "pip": ("llm", "python3")}
"""What installs which agent, by which program."""


def installer(bench: Bench, means: str, does: str) -> str:
    """A PATH of a device which has one installer, that does this in ``$into``, the folder that it is given."""
    python = f'exec {sys.executable} "$@"'  # a session of the device's may be begun with it, too
    script = f"""
case "$*" in --version | "-m pip --version") exit ;; "-c "*) {python} ;; esac
words=$*
while [ $# -gt 0 ]; do
    case $1 in --prefix | --target) into=$2 ;; esac
    shift
done
{does}
"""
    others = {} if means == "npm" else {"python3": f'[ "$1" != -m ] && {python}'}
    return bench.bin(also=("head", "tar"), own={**others, INSTALLERS[means][1]: script})


NOSPC = "npm error code ENOSPC\nnpm error nospc ENOSPC: no space left on device, write\nnpm error nospc Clear it up"
WARNED = "npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write"
FILES = ", ".join(f"('tmp/{n}.py', 'lib/{n}.py', '[Errno 28] No space left on device')" for n in range(2_000))


@pytest.mark.parametrize(
    ("means", "says"),
    [
        ("npm", f"echo '{NOSPC}' >&2"),
        ("npm", f"case $words in *--loglevel\\ warn*) echo '{WARNED}' ;; esac; echo 'npm error A log is in _logs'"),
        ("uv", "echo '  cause: failed to write to file `x`: No space left on device (os error 28)\n\nhint: `x`' >&2"),
        ("pip", "echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device' >&2"),
        ("pip", f'echo "shutil.Error: [{FILES}]" >&2'),
        ("pip", "echo 'ERROR: Could not install packages due to an OSError: [Errno 122] Disk quota exceeded' >&2"),
    ],
    ids=["npm", "npm in a warning", "uv", "pip", "pip of every file", "a quota"],
)
def test_an_installer_that_finds_the_disk_full(bench: Bench, tmp_path: Path, means: str, says: str) -> None:
    deck = bench.device("deck", path=installer(bench, means, f'mkdir -p "$into/half"; {says}; exit 1'))
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    words = ("-d", "deck", "-a", INSTALLERS[means][0], "-f", "json", "--registry", str(registry))
    error = fleet(bench, "deploy", *words).results[0]["error"]
    place = deck.home / ".local/share/fleet-tasks/agents" / INSTALLERS[means][0]
    assert error["code"] == "no-space", error
    assert error["message"].endswith(f" does not run on deck: there is no space left in {place}")
    assert error["guidance"] == "Free some space there, or name another folder: home: /path in fleet.yaml"
    assert list(deck.home.iterdir()) == []


linux = pytest.mark.skipif(sys.platform != "linux", reason="No other system gives a session mounts of its own.")
PUTS = 'mkdir -p "$into/bin" "$into/node_modules/.bin"; echo "echo 1.0" >"$into/node_modules/.bin/claude"'
FILLS = 'dd if=/dev/zero of="$%s/filler" bs=1024 count=200'


@linux
@pytest.mark.parametrize(
    ("means", "kind", "does"),
    [
        ("npm", "full", PUTS),
        *[(means, "small", f"{PUTS}; {FILLS % 'TMPDIR'}") for means in INSTALLERS],
        *[(means, "small", f"{PUTS}; {FILLS % 'into'}; exit 0") for means in ("npm", "pip")],
    ],
    ids=["full before", *(f"{means} fills it" for means in INSTALLERS), "npm does not notice", "pip does not notice"],
)
def test_a_full_disk_is_named_and_nothing_is_half_installed(
    bench: Bench, tmp_path: Path, means: str, kind: str, does: str
) -> None:
    deck = bench.device("deck", path=installer(bench, means, does))
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    words = ("-d", "deck", "-a", INSTALLERS[means][0], "-f", "json", "--registry", str(registry))
    with mounted(deck, deck.home, kind) as disk:
        error = fleet(bench, "deploy", *words).results[0]["error"]
        left = disk.left()
    assert (error["code"], left) == ("no-space", []), error


@linux
@pytest.mark.parametrize(("means", "shell"), [("npm", "dash"), ("uv", "bash"), ("pip", "busybox")])
def test_a_home_where_nothing_may_be_executed_is_named(bench: Bench, tmp_path: Path, means: str, shell: str) -> None:
    path = installer(bench, means, f"echo called >{tmp_path}/called")
    (Path(path) / "sh").unlink()
    (Path(path) / "sh").symlink_to(Path(bench.bin(sh=shell)) / "sh")
    deck = bench.device("deck", path=path)
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    name = INSTALLERS[means][0]
    words = ("-d", "deck", "-a", name, "-f", "json", "--registry", str(registry))
    with mounted(deck, deck.home, "noexec") as disk:
        error = fleet(bench, "deploy", *words).results[0]["error"]
        left = disk.left()
    place = deck.home / ".local/share/fleet-tasks/agents" / name
    assert (error["code"], left) == ("not-executable", []), error
    assert error["message"] == f"{name} does not run on deck: {name} may not be executed in {place}: Permission denied"
    assert error["guidance"] == "Name a folder that allows it: home: /path in fleet.yaml"
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("codex", "codex is not installed, and there is no npm to do it."),
        ("llm", "llm is not installed, and there is no python3."),
    ],
)
def test_a_device_that_cannot_install_it_says_so(bench: Bench, tmp_path: Path, name: str, sentence: str) -> None:
    bench.device("deck", path=bench.bin())
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    words = ("-d", "deck", "-a", name, "-f", "json", "--registry", str(registry))
    said = fleet(bench, "deploy", *words)
    error = said.results[0]["error"]
    assert (said.code, error["code"]) == (1, "requirement-missing")
    assert sentence in error["message"]
    facts = fleet(bench, "status", *words).results[0]["facts"]
    assert (facts["ready"], facts["reason"]) == (False, sentence)
    checked = fleet(bench, "check", *words, OPENAI_API_KEY="key").results[0]
    crosses = [each for each in checked["facts"]["checks"] if not each["ok"]]
    assert [(each["name"], each["found"]) for each in crosses] == [("agent ready", sentence)]
    assert checked["error"]["message"] == f"agent ready: {sentence}"
    names = [each["name"] for each in checked["facts"]["checks"]]
    assert "agent" not in names, "it is not said that a dispatch would install it"


def test_a_program_that_is_there_already_is_neither_copied_nor_removed(
    bench: Bench, tmp_path: Path, endpoint: Models
) -> None:
    deck = Deck(bench, tmp_path, programs(tmp_path / "bin"), "codex", "openai", endpoint)
    assert deck.dispatch().code == 0
    installed = next((deck.device.home / ".local/share/fleet-tasks/agents/codex").glob("*/"))
    assert list(installed.iterdir()) == []
    assert deck("teardown", "--verify").code == 0
    told = deck("deploy").results[0]["stdout"]
    assert told == f"codex codex-cli 0.169.0 is there already: {tmp_path}/bin/codex\n"
    assert deck("teardown", "--verify").code == 0
    assert (tmp_path / "bin" / "codex").exists()


GOOSE = """#!/bin/sh
[ "$*" = --version ] && echo 1.0 && exit
[ "$1 $2 $#" = "run --text 3" ] || exit 9
[ "${#GOOSE_API_KEY}" = %d ] && [ ! -t 0 ] && printf 'goose: %%s\\n' "$3"
"""
GOOSE_FROM_NPM = """#!/bin/sh
while [ $# -gt 1 ]; do
    case $1 in --prefix) prefix=$2 ;; esac
    shift
done
[ "$1" = some-goose ] && mkdir -p "$prefix/node_modules/.bin" && cp ~/../goose "$prefix/node_modules/.bin/goose"
"""


@pytest.mark.parametrize("there", [True, False], ids=["there", "brought by npm"])
def test_the_five_lines_of_the_page_are_an_agent(bench: Bench, tmp_path: Path, there: bool) -> None:
    page = (ROOT / "docs" / "agents.md").read_text("utf-8").partition("## Another one in five lines")[2]
    agents = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])["agents"]
    path = Path(stubs(tmp_path / "means", "npm", "goose"))
    deck = bench.device("build", path=f"{path}:{CLEAN_PATH}")
    goose = GOOSE % len(CANARY)
    (deck.home.parent / "goose").write_text(goose)
    (deck.home.parent / "goose").chmod(0o755)
    (path / "npm").write_text(GOOSE_FROM_NPM)
    (path / "goose").write_text(goose) if there else (path / "goose").unlink()
    registry = bench.registry(tmp_path / "fleet.yaml", ["build"], agents=agents)
    words = ("-d", "build", "-a", "goose", "-f", "json", "--registry", str(registry))
    missed = fleet(bench, "dispatch", *words, "--task", "x")
    assert (missed.code, bench.logins()) == (2, 0) and "needs GOOSE_API_KEY" in missed.stderr
    said = fleet(bench, "dispatch", *words, "--task", 'say "hello"; $HOME', GOOSE_API_KEY=CANARY)
    assert (said.code, said.results[0]["stdout"]) == (0, 'goose: say "hello"; $HOME\n'), said.stdout + said.stderr
    assert fleet(bench, "teardown", *words, "--verify").code == 0
    assert list(deck.home.iterdir()) == [] and (path / "goose").exists() is there


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PyPI's llm and all it needs, fetched once for the tests that install it."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), "llm"], check=True, timeout=300)
    return folder


def test_pypis_llm_is_installed_asked_and_removed(bench: Bench, tmp_path: Path, endpoint: Models, wheels: Path) -> None:
    python = tmp_path / "python"
    python.mkdir()
    (python / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (python / "python3").chmod(0o755)
    deck = Deck(bench, tmp_path, str(python), "llm", "openai", endpoint)
    registry = tmp_path / "fleet.yaml"
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    registry.write_text(registry.read_text() + json.dumps({"agents": {"llm": {"env": env}}})[1:-1] + "\n")
    checked = {each["name"]: each for each in deck("check").results[0]["facts"]["checks"]}
    assert checked["agent"]["found"] == "llm not installed yet; dispatch does it"

    said = deck.dispatch(task="-x is no flag; say 'hello'")
    assert said.code == 0, said.stdout + said.stderr
    assert said.results[0]["stdout"] == f"{ECHO}-x is no flag; say 'hello'\n"
    assert endpoint.asked[-1].key == CANARY
    assert re.search(r"\d+\.\d+", deck("status").results[0]["facts"]["version"])
    refused = deck.dispatch(key="wrong-" + CANARY)
    assert refused.results[0]["error"]["message"].startswith("The task exited with 1. It said: Error: Error code: 401")
    endpoint.usual = Answer(delay=60)
    slow = deck.dispatch("--timeout", "4")
    assert slow.results[0]["state"] == "timed-out"
    assert deck.device.quiet()
    assert holding(CANARY, bench.home, deck.device.home) == []
    assert deck("teardown", "--verify").code == 0
    assert list(deck.device.home.iterdir()) == []
