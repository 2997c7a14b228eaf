"""CLIO: brought along, asked, judged and removed.

The tree in tests/bench/clio stands in for it, traps included; FLEET_TEST_CLIO, a checkout of the real one, has every
test tried with that as well.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.agents.clio import Clio, answers, source
from fleet_tasks.agents.contract import Order, Outcome, Platform
from fleet_tasks.errors import ReleaseUnavailable
from fleet_tasks.registry import AgentSettings
from fleet_tasks.secrets import Secret
from fleet_tasks.testing import AgentContract
from tests.bench import CLEAN_PATH, Bench, processes, relay
from tests.bench.fleet import ROOT
from tests.bench.models import ECHO, Answer, Call, Models, models
from tests.bench.releases import releases
from tests.program import Said, fleet, holding, started
from tests.waiting import until

CANARY = f"canary-5b8e01d7-{os.getpid()}"
"""A key of this process alone, as other tests look into the same /tmp."""
STAND_IN = ROOT / "tests" / "bench" / "clio"
REAL = os.environ.get("FLEET_TEST_CLIO")
TREES = [pytest.param(STAND_IN, id="stand-in"), *([pytest.param(Path(REAL), id="real")] if REAL else [])]


@pytest.fixture
def endpoint() -> Iterator[Models]:
    """A stand-in for models that wants the canary as its key."""
    with models(key=CANARY) as running:
        yield running


@pytest.fixture(params=TREES)
def tree(request: pytest.FixtureRequest) -> Path:
    """A checkout of CLIO."""
    found: Path = request.param
    return found


class Deck:
    """A device, and CLIO to be brought to it."""

    def __init__(self, bench: Bench, tmp_path: Path, tree: Path, endpoint: Models, **entry: object) -> None:
        self.bench = bench
        self.device = bench.device("deck")
        providers = {"mine": {"kind": "openai", "api_base": endpoint.url + "/v1", "key": "MY_KEY"}}
        agents = {"clio": {"source": str(tree), "provider": "mine", "model": "mock-model"}}
        devices = {"deck": {**self.device.entry, **entry}}
        self.registry = bench.registry(tmp_path / "fleet.yaml", [], devices=devices, providers=providers, agents=agents)

    def words(self, command: str, *more: str) -> list[str]:
        """A command line about the device and CLIO."""
        return [command, "-d", "deck", "-a", "clio", "-f", "json", "--registry", str(self.registry), *more]

    def __call__(self, command: str, *more: str, key: str = CANARY, **variables: str) -> Said:
        return fleet(self.bench, *self.words(command, *more), **{"MY_KEY": key, **variables})  # type: ignore[arg-type]

    def dispatch(self, task: str, *more: str, key: str = CANARY) -> Said:
        return self("dispatch", f"--task={task}", *more, key=key)


class TestContract(AgentContract):
    """The stand-in in the contract's own hands."""

    kind = Clio
    settings = {"source": str(STAND_IN)}
    model = "mock-model"
    provider = ("mine", "openai")

    @pytest.fixture(autouse=True)
    def endpoint(self) -> Iterator[None]:
        """Somebody to ask."""
        with models() as running:
            self.api_base = running.url + "/v1"
            yield


# -- what stands in for CLIO does what CLIO does ---------------------------------------------------


def test_the_stand_in_has_the_traps(tmp_path: Path, endpoint: Models, own_home: Path) -> None:
    copy = shutil.copytree(STAND_IN, tmp_path / "clio")
    asking, log = copy / "lib" / "CLIO" / "Core" / "APIManager.pm", tmp_path / "requests.log"
    asking.write_text(asking.read_text().replace("/tmp/clio_requests.log", str(log)))
    settings = {"provider": "openai", "model": "openai/m", "api_base": endpoint.url + "/v1", "api_key": CANARY}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text(json.dumps(settings))
    there = {**os.environ, "CLIO_HOME": str(tmp_path / "config")}
    words = ["perl", str(copy / "clio"), "--input", "one; two \N{CHECK MARK}; repeat", "--exit"]
    said = subprocess.run(words, env=there, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert said.returncode == 15
    assert endpoint.prompts() == ["one", "two "]
    assert b"\b" in said.stdout and said.stdout.count(b"[RESPONSE]") == 3
    assert CANARY in log.read_text()


# -- tasks -----------------------------------------------------------------------------------------

TASKS = [
    "say hello; and say 'bye'; or \"nothing",
    "/help me with this",
    "repeat after me: recall what I said, that thing",
    "[MEMORY:store] is only a word here",
    "--debug is no flag",
    "0",
    "signs \N{CHECK MARK} \N{ROCKET} \u00e9\u65e5\u672c\u8a9e stay",
    "two\nlines with $(id) `id` ${HOME} \\n and **stars**",
    "x" * 120_000,
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: repr(task[:12]))
def test_every_task_reaches_the_model_whole(
    bench: Bench, tmp_path: Path, tree: Path, endpoint: Models, task: str
) -> None:
    if len(task) > 100_000:
        endpoint.usual = Answer(text=ECHO + task[:10])
    (bench.home / "task").write_text(task)
    said = Deck(bench, tmp_path, tree, endpoint)("dispatch", "--task-file", str(bench.home / "task"))
    assert said.code == 0, said.stdout[-2000:] + said.stderr
    assert [prompt.strip() for prompt in endpoint.prompts()] == [task]
    answer = said.results[0]["stdout"]
    assert answer.strip().removeprefix(ECHO).strip() == (task if len(task) < 100_000 else task[:10])
    assert endpoint.asked[-1].model == "mock-model"


def test_a_model_of_which_nothing_is_known_hears_all_of_it(
    bench: Bench, tmp_path: Path, tree: Path, endpoint: Models
) -> None:
    endpoint.next(Answer(call=Call("terminal_operations", {"operation": "exec", "command": "echo seen"})))
    said = Deck(bench, tmp_path, tree, endpoint).dispatch("find it", "-m", "unlisted")
    assert said.results[0]["stdout"] == f"{ECHO}find it\n"
    first, second = (each.body["messages"] for each in endpoint.asked if each.method == "POST")
    assert [each["content"] for each in first if each["role"] == "user"] == ["find it"]
    assert "seen" in [each["content"] for each in second if each["role"] == "tool"][-1]
    assert not any("_importance" in each for each in second)


def test_a_task_longer_than_the_model_bears_is_not_cut(
    bench: Bench, tmp_path: Path, tree: Path, endpoint: Models
) -> None:
    endpoint.usual = Answer(text="All done.")
    (bench.home / "task").write_text("y" * 400_000)
    said = Deck(bench, tmp_path, tree, endpoint)("dispatch", "--task-file", str(bench.home / "task"))
    assert said.results[0]["stdout"] == "All done.\n"
    assert endpoint.prompts() == ["y" * 400_000]


def test_home_in_a_task_is_the_users_own(bench: Bench, tmp_path: Path, tree: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, tree, endpoint)
    command = {"operation": "exec", "command": "(cd ~ && pwd) >~/seen; echo made >made.txt; env | grep -c KEY= >keys"}
    endpoint.next(Answer(call=Call("terminal_operations", command)), Answer(text="All done."))
    said = deck.dispatch("do it", "--fetch", "made.txt", "--fetch", "keys", "--into", str(tmp_path / "into"))
    assert said.code == 0, said.stdout + said.stderr
    assert said.results[0]["stdout"] == "All done.\n"
    assert (deck.device.home / "seen").read_text() == f"{deck.device.home}\n"
    assert (tmp_path / "into" / "deck" / "keys").read_text() == "0\n"


def test_its_own_tools_find_the_home_too(bench: Bench, tmp_path: Path, tree: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, tree, endpoint)
    made = {"operation": "create_file", "path": "~/notes/made.txt", "content": "~/as it is"}
    (deck.device.home / "notes").mkdir()
    endpoint.next(Answer(call=Call("file_operations", made)), Answer(text="All done."))
    assert deck.dispatch("do it").results[0]["stdout"] == "All done.\n"
    assert (deck.device.home / "notes" / "made.txt").read_text() == "~/as it is"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(status=500), "answered with 500: The server had an error."),
        (Answer(status=400), "answered with 400: The stand-in refuses."),
        (Answer(text=""), "CLIO's answer is empty."),
    ],
    ids=["500", "400", "empty"],
)
def test_failures_are_failures_whatever_the_exit_status(
    bench: Bench, tmp_path: Path, tree: Path, endpoint: Models, answer: Answer, sentence: str
) -> None:
    endpoint.usual = answer
    said = Deck(bench, tmp_path, tree, endpoint).dispatch("hello", "--timeout", "90")
    result = said.results[0]
    assert (said.code, result["state"], result["error"]["code"]) == (1, "failed", "agent-failed")
    assert result["error"]["message"].endswith(sentence)


def test_a_refused_key_is_a_failure(bench: Bench, tmp_path: Path, tree: Path, endpoint: Models) -> None:
    said = Deck(bench, tmp_path, tree, endpoint).dispatch("hello", key="wrong-" + CANARY)
    error = said.results[0]["error"]
    assert (said.code, error["code"]) == (1, "agent-failed")
    where = f"{endpoint.url}/v1/chat/completions"
    assert error["message"] == f"CLIO failed: {where} answered with 401: Incorrect API key provided."
    assert error["guidance"].startswith("Check the provider's key")


def test_what_it_waited_for_shows_when_it_is_ended(bench: Bench, tmp_path: Path, tree: Path, endpoint: Models) -> None:
    endpoint.usual = Answer(status=429)  # upon which it waits for a minute
    result = Deck(bench, tmp_path, tree, endpoint).dispatch("hello", "--timeout", "6").results[0]
    assert result["state"] == "timed-out"
    assert "answered with 429: Rate limit reached." in result["stderr"]
    assert result["error"]["message"].startswith("The task took longer than 6 s and was ended. CLIO failed: ")
    assert result["error"]["message"].endswith("answered with 429: Rate limit reached.")
    assert result["error"]["guidance"].startswith("Wait a while")


def test_what_is_missing_is_said_before_any_connection(bench: Bench, tmp_path: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, STAND_IN, endpoint)
    text = deck.registry.read_text()
    deck.registry.write_text(text.replace("    model: mock-model\n", ""))
    said = deck.dispatch("x")
    assert (said.code, bench.logins()) == (2, 0)
    assert "The agent clio on deck needs a model: --model NAME" in said.stderr
    deck.registry.write_text(text.replace("    provider: mine\n", ""))
    said = deck.dispatch("x")
    assert (said.code, bench.logins()) == (2, 0)
    for place in ("GITHUB_TOKEN", "GH_TOKEN", "the command gh", ".clio/github_tokens.json"):
        assert place in said.stderr


# -- what stays, and what must not -----------------------------------------------------------------


def test_nothing_is_left_unless_it_is_told_to_stay(bench: Bench, tmp_path: Path, tree: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, tree, endpoint)
    assert deck.dispatch("one").code == 0
    assert list(deck.device.home.iterdir()) == []
    assert deck.dispatch("two", "--no-cleanup").code == 0
    assert deck.dispatch("three", "--no-cleanup").code == 0
    facts = deck("status").results[0]["facts"]
    assert (facts["ready"], facts["version"]) == (True, (tree / "VERSION").read_text().strip())
    assert [path.name for path in deck.device.home.iterdir()] == [".local"]
    assert "is current" in deck("deploy").results[0]["stdout"]
    assert deck("teardown", "--verify").code == 0
    assert list(deck.device.home.iterdir()) == []


TOOLS = {
    "everything is there": None,
    "no tar": ("sha256sum",),
    "no sha256sum": ("tar",),
}


@pytest.mark.parametrize("tools", TOOLS)
def test_an_update_sends_what_changed(bench: Bench, tmp_path: Path, endpoint: Models, tools: str) -> None:
    also = TOOLS[tools]
    path = CLEAN_PATH if also is None else bench.bin(also=("perl", "head", "setsid", *also))
    device = bench.device("deck", path=path)
    tree = shutil.copytree(STAND_IN, tmp_path / "clio")
    bulk = os.urandom(300_000)
    (tree / "lib" / "CLIO" / "Bulk.pm").write_bytes(bulk)
    (tree / "lib" / "CLIO" / "Gone.pm").write_text("1;")
    with relay(device.host, device.port, bench.sshd.public_key) as link:
        deck = Deck(bench, tmp_path, tree, endpoint, **bench.entry(link.place))
        assert deck("deploy").code == 0
        whole, link.sent = link.sent, 0
        (tree / "lib" / "CLIO" / "New.pm").write_text("2;")
        (tree / "VERSION").write_text("20990102.1\n")
        (tree / "lib" / "CLIO" / "Gone.pm").unlink()
        installed = deck("deploy")
        update = link.sent
        said = deck.dispatch("hello", "--no-cleanup")
    assert whole > len(bulk)
    # A login and our scripts take some 30 kB. Equal sizes prove nothing, so without digests everything travels.
    assert update < 60_000 if tools != "no sha256sum" else update > len(bulk)
    assert said.results[0]["stdout"] == f"{ECHO}hello\n"
    assert "installed clio 20990102.1-" in installed.results[0]["stdout"]
    (home,) = (device.home / ".local/share/fleet-tasks/agents/clio").glob("20*")
    there = {each.relative_to(home).as_posix(): each.read_bytes() for each in home.rglob("*") if each.is_file()}
    sent = source.payload(AgentSettings("clio", source=str(tree))).files
    assert there == {name: each.read_bytes() for name, each in sent.items()}


def test_what_was_tampered_with_is_not_taken_over(bench: Bench, tmp_path: Path, endpoint: Models) -> None:
    tree = shutil.copytree(STAND_IN, tmp_path / "clio")
    deck = Deck(bench, tmp_path, tree, endpoint)
    assert deck("deploy").code == 0
    agents = deck.device.home / ".local/share/fleet-tasks/agents/clio"
    (before,) = agents.glob("20*")
    (before / "lib/CLIO/Core/Config.pm").write_text("die 'evil';")
    (before / "lib/CLIO/Util/TextSanitizer.pm").unlink()
    (before / "lib/CLIO/Util/TextSanitizer.pm").symlink_to("/etc/passwd")
    (before / "lib/CLIO/More.pm").write_text("1;")
    (tree / "VERSION").write_text("20990102.1\n")
    assert deck("deploy").code == 0
    (after,) = agents.glob("20*")
    assert {each.relative_to(after).as_posix() for each in after.rglob("*") if each.is_file()} == {
        *WHOLE, "fleet/FleetTasks.pm",
    }  # fmt: skip
    for name in WHOLE:
        assert (after / name).read_bytes() == (tree / name).read_bytes() and not (after / name).is_symlink()


def test_a_copy_that_fails_costs_only_the_saving(bench: Bench, tmp_path: Path, endpoint: Models) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "cp").write_text("#!/bin/sh\nexit 1\n")
    (folder / "cp").chmod(0o755)
    bench.device("deck", path=f"{folder}:{CLEAN_PATH}")
    tree = shutil.copytree(STAND_IN, tmp_path / "clio")
    deck = Deck(bench, tmp_path, tree, endpoint)
    assert deck("deploy").code == 0
    (tree / "VERSION").write_text("20990102.1\n")
    assert deck("deploy").code == 0
    assert deck.dispatch("hello").results[0]["stdout"] == f"{ECHO}hello\n"
    assert list(deck.device.home.iterdir()) == []


@pytest.mark.parametrize("theirs", [True, False], ids=["their .clio", "no .clio"])
def test_a_folder_of_the_users_is_left_as_it_was(
    bench: Bench, tmp_path: Path, tree: Path, endpoint: Models, theirs: bool
) -> None:
    deck = Deck(bench, tmp_path, tree, endpoint)
    project = deck.device.home / "project"
    (project / ".clio").mkdir(parents=True)
    (project / ".clio" / "notes").write_text("mine")
    if not theirs:
        shutil.rmtree(project / ".clio")
    assert deck.dispatch("hello", "--workdir", "project").code == 0
    if theirs:
        assert (project / ".clio" / "notes").read_text() == "mine"
    else:
        assert list(project.iterdir()) == []


def test_its_settings_are_ours_also_below_the_home(bench: Bench, tmp_path: Path, tree: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, tree, endpoint, home="~/fleet")
    assert deck.dispatch("hello").code == 0
    assert not (deck.device.home / ".clio").exists()
    assert not (deck.device.home / ".config").exists()


def test_curl_is_not_given_the_key_as_an_argument(bench: Bench, tmp_path: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, STAND_IN, endpoint, env={"CLIO_TEST_CURL": "1"})
    endpoint.next(Answer(delay=3))
    with started(bench, *deck.words("dispatch", "--task", 'say "a\\b" once'), MY_KEY=CANARY) as program:
        until(lambda: any(each.method == "POST" for each in endpoint.asked))
        there = [each for each in processes(str(deck.device.home)) if each.command.startswith("curl")]
        assert there
        assert not any(CANARY in each.command for each in there)
        out, err = program.communicate(timeout=60)
    assert json.loads(out)["results"][0]["stdout"] == f'{ECHO}say "a\\b" once\n', err
    assert endpoint.asked[-1].key == CANARY


@pytest.mark.parametrize(
    ("model", "cut", "env", "sentence"),
    [
        ("mock-model", 1500, {}, "broke off in the middle of its answer"),
        ("mock-model", 1500, {"CLIO_TEST_CURL": "1"}, "broke off in the middle of its answer"),
        ("whole-model", 300, {"CLIO_TEST_CURL": "1"}, "cannot be reached: curl ended with 18"),
    ],
    ids=["perl", "curl", "curl, not streamed"],
)
def test_half_an_answer_is_none(
    bench: Bench, tmp_path: Path, endpoint: Models, model: str, cut: int, env: dict[str, str], sentence: str
) -> None:
    deck = Deck(bench, tmp_path, STAND_IN, endpoint, env=env)
    endpoint.usual = Answer(text="first all of this, and then " * 9, cut=cut)
    said = deck.dispatch("hello", "--model", model)
    assert (said.code, said.results[0]["state"]) == (1, "failed"), said
    assert said.results[0]["error"]["message"] == f"CLIO failed: {endpoint.url}/v1/chat/completions {sentence}"
    endpoint.usual = Answer(text="first all of this")
    assert deck.dispatch("hello", "--model", model).results[0]["stdout"] == "first all of this\n"


@pytest.mark.parametrize("tree", TREES)
def test_the_other_half_is_asked_for_or_missed(bench: Bench, tmp_path: Path, endpoint: Models, tree: Path) -> None:
    endpoint.next(Answer(text="first all of this, and then " * 9, cut=1500))
    (result,) = Deck(bench, tmp_path, tree, endpoint).dispatch("hello").results
    if tree == STAND_IN:
        assert result["state"] == "failed", result
    else:  # it asks again by itself, and tells the model of the error, too
        assert result["stdout"].startswith(f"{ECHO}hello\n"), result


# -- GitHub Copilot --------------------------------------------------------------------------------


@dataclass
class GitHub:
    """What was asked of GitHub's API."""

    url: str
    asked: list[tuple[str, str]]


@pytest.fixture
def github(endpoint: Models) -> Iterator[GitHub]:
    """A stand-in for the exchange of tokens, and for the place that tells a user's own endpoint."""
    endpoint.key = "session-" + CANARY
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization", "")))
            answers = {
                "/copilot_internal/v2/token": {"token": endpoint.key, "expires_at": int(time.time()) + 1500},
                "/copilot_internal/user": {"login": "me", "endpoints": {"api": f"{endpoint.url}/githubcopilot.com"}},
            }
            known = self.path in answers and self.headers.get("Authorization") == f"token {CANARY}"
            body = json.dumps(answers[self.path] if known else {"message": "Bad credentials"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield GitHub(f"http://127.0.0.1:{server.server_port}", asked)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("place", ["GITHUB_TOKEN", "GH_TOKEN", "gh", "clio"])
def test_a_github_token_is_exchanged_and_never_written_down(
    bench: Bench, tmp_path: Path, tree: Path, endpoint: Models, github: GitHub, place: str
) -> None:
    deck = Deck(bench, tmp_path, tree, endpoint, env={"GITHUB_API_URL": github.url})
    deck.registry.write_text(deck.registry.read_text().replace("    provider: mine\n", ""))
    variables = {"GITHUB_TOKEN": "", "GH_TOKEN": ""}
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "gh").write_text(f'#!/bin/sh\n[ "$*" = "auth token" ] && [ {place} = gh ] && echo {CANARY}\n')
    (folder / "gh").chmod(0o755)
    variables["PATH"] = f"{folder}:{Path(sys.executable).parent}:{CLEAN_PATH}"
    if place == "clio":
        (bench.home / ".clio").mkdir()
        tokens = {"github_token": CANARY, "copilot_token": None, "saved_at": 1}
        (bench.home / ".clio" / "github_tokens.json").write_text(json.dumps(tokens))
    elif place != "gh":
        variables[place] = CANARY
    said = deck("dispatch", "--task", "hello", **variables)
    assert said.code == 0, said.stdout + said.stderr
    assert said.results[0]["stdout"] == f"{ECHO}hello\n"
    assert ("/copilot_internal/v2/token", f"token {CANARY}") in github.asked
    asked = [each for each in endpoint.asked if each.method == "POST"]
    assert {each.key for each in asked} == {endpoint.key}
    if place in ("clio", "gh"):
        shutil.rmtree(bench.home / ".clio", ignore_errors=True)
    assert holding(CANARY, bench.home, deck.device.home) == []


def test_a_refused_github_token_is_a_failure(
    bench: Bench, tmp_path: Path, tree: Path, endpoint: Models, github: GitHub
) -> None:
    deck = Deck(bench, tmp_path, tree, endpoint, env={"GITHUB_API_URL": github.url})
    base = f"{endpoint.url}/githubcopilot.com"
    deck.registry.write_text(deck.registry.read_text().replace("kind: openai", "kind: copilot"))
    deck.registry.write_text(deck.registry.read_text().replace(endpoint.url + "/v1", base))
    said = deck.dispatch("hello", key="wrong-" + CANARY)
    assert ("/copilot_internal/v2/token", f"token wrong-{CANARY}") in github.asked
    message = said.results[0]["error"]["message"]
    assert message == f"CLIO failed: {base}/chat/completions answered with 401: Incorrect API key provided."


# -- where it comes from ---------------------------------------------------------------------------


WHOLE = {path.relative_to(STAND_IN).as_posix() for path in STAND_IN.rglob("*") if path.is_file()}


def packed(kind: str, top: str = "clio-20990101.1/", extra: dict[str, bytes] | None = None) -> bytes:
    """A release archive of the stand-in, with members that nobody asked for."""
    content = {name: (STAND_IN / name).read_bytes() for name in sorted(WHOLE)}
    content = {top + name: data for name, data in {**content, "README.md": b"words", **(extra or {})}.items()}
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return stream.getvalue()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo(f"{top}lib/CLIO/passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return stream.getvalue()


def names(settings: AgentSettings) -> set[str]:
    return set(source.payload(settings).files)


def test_a_checkout_is_taken_as_it_is(tmp_path: Path) -> None:
    copy = shutil.copytree(STAND_IN, tmp_path / "checkout")
    (copy / ".clio" / "sessions").mkdir(parents=True)
    (copy / ".clio" / "sessions" / "secret.json").write_text("{}")
    (copy / "lib" / ".hidden").write_text("")
    first = source.payload(AgentSettings("clio", source=str(copy)))
    assert set(first.files) == WHOLE | {"fleet/FleetTasks.pm"}
    assert first.version.startswith("20990101.1-")
    (copy / "lib" / "CLIO" / "New.pm").write_text("1;")
    assert source.payload(AgentSettings("clio", source=str(copy))).version != first.version


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@pytest.mark.parametrize("top", ["clio-20990101.1/", "", "./clio-20990101.1/"])
def test_an_archive_is_laid_out_safely(tmp_path: Path, kind: str, top: str) -> None:
    evil = {"../../evil": b"x", "lib/../../evil": b"x", "lib/CLIO/../../../evil": b"x"}
    archive = tmp_path / f"clio-20990101.1.{kind}"
    archive.write_bytes(packed(kind, top, evil))
    assert names(AgentSettings("clio", source=str(archive))) == WHOLE | {"fleet/FleetTasks.pm"}
    assert list(tmp_path.rglob("*evil*")) == []
    assert names(AgentSettings("clio", source=str(archive))) == WHOLE | {"fleet/FleetTasks.pm"}


def test_a_release_is_found_verified_and_kept() -> None:
    with releases() as host:
        files = {"clio-20990101.1.tar.gz": packed("tar.gz")}
        host.publish("SyntheticAutonomicMind/CLIO", "20990101.1", files, digests=True)
        settings = AgentSettings("clio", source=source.UPSTREAM, releases_api=host.api)
        first = source.payload(settings)
        assert first.version.startswith("20990101.1-")
    assert source.payload(AgentSettings("clio", source=source.UPSTREAM + "@20990101.1", releases_api=host.api)) == first


def test_the_users_own_clio_is_taken_when_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = shutil.copytree(STAND_IN, tmp_path / "opt" / "clio")
    (home / "clio").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "clio").symlink_to(home / "clio")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{CLEAN_PATH}")
    assert source.find(AgentSettings("clio")) == home


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no file"),
        ({}, "There is no CLIO in"),
        ({"clio": "x"}, "There is no CLIO in"),
        ({"lib/CLIO/A.pm": "x"}, "There is no CLIO in"),
    ],
)
def test_a_source_without_clio_is_refused(tmp_path: Path, content: dict[str, str] | None, sentence: str) -> None:
    for name, text in (content or {}).items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    if content is not None:
        (tmp_path / "tree").mkdir(exist_ok=True)
    agent = Clio(AgentSettings("clio", source=str(tmp_path / "tree")))
    for _time in range(2):
        with pytest.raises(ReleaseUnavailable, match=sentence):
            agent.payload(Platform("linux", "amd64"))


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "clio.tar.gz"
    archive.write_bytes(packed("tar.gz")[:2000])
    with pytest.raises(ReleaseUnavailable, match=r"The archive of .*/clio\.tar\.gz cannot be unpacked: .*[^.]\.$"):
        source.payload(AgentSettings("clio", source=str(archive)))


# -- what a device must have -----------------------------------------------------------------------

OLD_PERL = """case "$*" in
*-M5.16*) echo "Perl v5.16.0 required--this is only v5.14.2, stopped." >&2; exit 255 ;;
*'$^V'*) printf 5.14.2; exit ;;
esac"""

@pytest.mark.parametrize(
    ("perl", "sentence"),
    [
        (None, "There is no perl."),
        (OLD_PERL, "perl is 5.14.2, and CLIO needs 5.16.0."),
        ('case "$*" in *-MHTTP::Tiny*) exit 2 ;; esac', "perl has no module HTTP::Tiny."),
        ('case "$*" in *clio*) echo "syntax error at line 3" >&2; exit 255 ;; esac', "syntax error at line 3"),
    ],
)
def test_a_device_that_lacks_something_says_so(
    bench: Bench, tmp_path: Path, endpoint: Models, perl: str | None, sentence: str
) -> None:
    folder = tmp_path / "perl"
    folder.mkdir()
    if perl is not None:
        (folder / "perl").write_text(f'#!/bin/sh\n{perl}\nexec /usr/bin/perl "$@"\n')
        (folder / "perl").chmod(0o755)
    bench.device("deck", path=f"{folder}:{bench.bin(also=('tar', 'head', 'curl', 'setsid'))}")
    deck = Deck(bench, tmp_path, STAND_IN, endpoint)
    said = deck.dispatch("hello")
    result = said.results[0]
    assert (said.code, result["state"]) == (1, "failed")
    assert result["error"]["code"] == ("wrong-binary" if "syntax" in sentence else "requirement-missing")
    assert sentence in result["error"]["message"]
    if "syntax" not in sentence:
        facts = deck("status").results[0]["facts"]
        assert (facts["ready"], facts["reason"]) == (False, sentence)


def without_ssl(place: Path) -> Path:
    """A folder with a perl that has no IO::Socket::SSL."""
    folder = place / "perl"
    folder.mkdir()
    (folder / "perl").write_text('#!/bin/sh\ncase "$*" in *SSL*) exit 2 ;; esac\nexec /usr/bin/perl "$@"\n')
    (folder / "perl").chmod(0o755)
    return folder


def test_https_needs_curl_or_perls_own(bench: Bench, tmp_path: Path, endpoint: Models) -> None:
    bench.device("deck", path=f"{without_ssl(tmp_path)}:{bench.bin(also=('tar', 'head', 'setsid'))}")
    deck = Deck(bench, tmp_path, STAND_IN, endpoint)
    assert deck("status").results[0]["facts"]["ready"] is True
    assert deck.dispatch("hello").results[0]["stdout"] == f"{ECHO}hello\n"
    deck.registry.write_text(deck.registry.read_text().replace(endpoint.url, "https://models.example"))
    facts = deck("status").results[0]["facts"]
    assert facts["ready"] is False and "neither curl nor" in facts["reason"]
    checks = {each["name"]: each for each in deck("check").results[0]["facts"]["checks"]}
    assert checks["agent ready"]["ok"] is False and "neither curl nor" in checks["agent ready"]["found"]
    assert "agent" not in checks
    error = deck.dispatch("hello").results[0]["error"]
    assert error["code"] == "requirement-missing"
    assert error["guidance"] == "See the whole list: fleet check -d deck -a clio"


def test_what_a_task_wants_more_is_missed_where_the_same_bytes_are_there_already(
    bench: Bench, tmp_path: Path, endpoint: Models
) -> None:
    bench.device("deck", path=f"{without_ssl(tmp_path)}:{bench.bin(also=('tar', 'head', 'setsid'))}")
    deck = Deck(bench, tmp_path, STAND_IN, endpoint)
    assert deck("deploy").code == 0 and "is current" in deck("deploy").results[0]["stdout"]
    deck.registry.write_text(deck.registry.read_text().replace(endpoint.url, "https://models.example"))
    for said in (deck.dispatch("hello"), deck("deploy")):
        error = said.results[0]["error"]
        assert error["code"] == "requirement-missing" and "neither curl nor" in error["message"], said.stdout


def test_check_misses_a_source_that_is_not_there(bench: Bench, tmp_path: Path, endpoint: Models) -> None:
    for tree, missed in ((STAND_IN, False), (tmp_path / "nothing", True)):
        said = Deck(bench, tmp_path, tree, endpoint)("check")
        checks = {each["name"]: each for each in said.results[0]["facts"]["checks"]}
        assert (said.code == 1) is missed
        assert checks["source"]["found"] == (f"there is no {tree}" if missed else "found")


def test_check_looks_at_perl_and_its_modules(bench: Bench, tmp_path: Path, tree: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, tree, endpoint)
    said = deck("check")
    checks = {each["name"]: each for each in said.results[0]["facts"]["checks"]}
    assert checks["agent"]["found"] == "clio not installed yet; dispatch does it"
    assert deck("deploy").code == 0
    after = {each["name"]: each["found"] for each in deck("check").results[0]["facts"]["checks"]}
    assert after["agent"] == "clio installed"
    assert said.code == 0, [each for each in checks.values() if not each["ok"]]
    assert checks["perl"]["wanted"] == "perl >= 5.16" and checks["perl"]["found"].startswith("5.")
    assert {"perl:JSON::PP", "perl:HTTP::Tiny", "perl:Time::HiRes", "perl:Digest::SHA"} <= set(checks)


def test_a_login_of_its_own_is_not_used(bench: Bench, tmp_path: Path, endpoint: Models) -> None:
    deck = Deck(bench, tmp_path, STAND_IN, endpoint)
    error = deck.dispatch("hello", "--provider", "login").results[0]["error"]
    assert error["code"] == "agent-unready"
    assert error["message"] == "clio does not work with a login of its own on deck."
    assert endpoint.asked == [] and list(deck.device.home.iterdir()) == []


# -- orders and judgements -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "base", "settings"),
    [
        (
            "openai",
            "http://x/v1",
            {"provider": "openai", "model": "openai/a/b", "api_base": "http://x/v1/chat/completions"},
        ),
        ("openai", "http://x/v1/chat/completions", {"api_base": "http://x/v1/chat/completions"}),
        ("anthropic", "https://api.anthropic.com/v1", {"api_base": "https://api.anthropic.com/v1/chat/completions"}),
        ("gemini", "https://g/v1beta/", {"api_base": "https://g/v1beta/openai/chat/completions"}),
        ("copilot", "https://api.githubcopilot.com", {"provider": "github_copilot", "model": "github_copilot/a/b"}),
        ("copilot", "https://c.ghe.com", {"provider": "github_copilot", "api_base": "https://c.ghe.com"}),
    ],
)
def test_settings_are_made_for_each_kind_of_provider(kind: str, base: str, settings: dict[str, str]) -> None:
    order = Order("t", "r", "d", "a/b", "p", kind, base, Secret("K", "k"))
    made = json.loads(Clio().stdin(order))
    assert made["key"] == "k"
    assert settings.items() <= made.items()
    assert ("api_base" in made) is ("api_base" in settings)
    keyless = json.loads(Clio().stdin(Order("t", "r", "d", "a/b", "p", kind, base)))
    assert keyless.get("key") == (None if kind == "copilot" else "none")


@pytest.mark.parametrize(
    ("stdout", "answer", "sentence"),
    [
        ("[RESPONSE] hello\n", "hello\n", None),
        ("\u280b\b\u2819\b\b \b[RESPONSE] two\nlines\n\n", "two\nlines\n", None),
        ("\u250c box \u2510\r\n\x1b[1m[RESPONSE] \x1b[32mgreen\x1b[0m\n", "green\n", None),
        ("[INFO] Using temporary model: x\n[RESPONSE] a [RESPONSE] b\n", "a [RESPONSE] b\n", None),
        ("[RESPONSE] log:\n[ERROR] of somebody else\n", "log:\n[ERROR] of somebody else\n", None),
        ("[ERROR] No key\n", "[ERROR] No key\n", "CLIO failed: No key"),
        ("[SYSTEM] Unknown slash command: /x\n", None, "CLIO failed: Unknown slash command: /x"),
        ("[RESPONSE] \n", "", "CLIO's answer is empty."),
        ("", "", "The task exited with 15. It said: mkdir: no"),
        ("no marker [RESPONSE] here\n", None, "The task exited with 15. It said: mkdir: no"),
    ],
)
def test_answers(stdout: str, answer: str | None, sentence: str | None) -> None:
    cut = answers.cut(stdout.encode()).decode()
    assert answer is None or cut == answer
    problem = answers.judge(Outcome(15, stdout.encode(), b"\x1b[Kmkdir: no\n"))
    assert (problem.message if problem else None) == sentence


@given(st.binary())
def test_any_output_is_cut_and_judged(data: bytes) -> None:
    assert b"\x1b[" not in answers.cut(data) or b"\x1b" in data
    answers.judge(Outcome(0, data, data))
    assert answers.cut(b"[RESPONSE] " + b"x" + b"\n") == b"x\n"
