"""The pages that map older tools to this one: everything has its place there, and the commands work as shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bench import Bench
from tests.bench.fleet import ROOT
from tests.bench.models import Answer, Call, Models, models
from tests.bench.picoclaw import binary
from tests.program import Said, fleet

CLIO, PICOCLAW_FLEET = (ROOT / "docs" / name for name in ("from-clio.md", "from-picoclaw-fleet.md"))
KEY = "sk-canary-0d1f6b2e"

WHERE = {"host", "ssh_key", "ssh_port"}
ASKED = {"command", "model", "api_key", "api_provider", "timeout"}
OPERATIONS = {
    "execute_remote": {*WHERE, *ASKED, "task_description", "api_base", "cleanup", "output_files", "working_dir"},
    "execute_parallel": {"targets", *ASKED},
    "prepare_remote": {*WHERE, "install_dir", "clio_source"},
    "cleanup_remote": {*WHERE, "install_dir"},
    "check_remote": WHERE,
    "transfer_files": {*WHERE, "files", "local_path", "remote_path"},
    "retrieve_files": {*WHERE, "files", "local_path", "remote_path"},
}
"""CLIO's operations and all that each may be given."""
RESULTS = (
    "success error output tool_name action_description host exit_code execution_time files_retrieved retrieved_files"
    " devices results elapsed_seconds success_count fail_count install_dir clio_version removed_dir perl_available"
    " download_tool disk_space_mb files_transferred"
).split()


def section(page: Path, title: str) -> str:
    """The text below one heading of a page."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no part {title}"
    return found[1]


def block(text: str, kind: str) -> str:
    """The first block of a kind."""
    found = re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)
    assert found, f"there is no block of {kind}"
    return found[1]


def calls(script: str) -> list[tuple[str, list[str]]]:
    """Each comment of a script in one line, and the words of the command below it."""
    found = []
    for part in script.replace("\\\n", " ").strip().split("\n\n"):
        lines = part.splitlines()
        comment = " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))
        (command,) = (line for line in lines if not line.startswith("#"))
        found.append((comment, shlex.split(command)))
    return found


class Home:
    """A laptop with the page's registry in its folder, whose devices are the bench's."""

    def __init__(self, bench: Bench, document: dict[str, Any], endpoint: Models) -> None:
        self.bench = bench
        self.devices = {name: bench.device(name) for name in document["devices"]}
        document["devices"] = {name: device.entry for name, device in self.devices.items()}
        for provider in document["providers"].values():
            provider["api_base"] = f"{endpoint.url}/v1"
        (bench.home / "fleet.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    def run(self, words: list[str], **variables: str) -> Said:
        """A command as the page shows it."""
        deck = self.devices["deck"]
        program, *words = words
        assert program == "fleet"
        instead = {"~/.ssh/deck_key": str(deck.key)}
        words = [instead.get(word, word) for word in words]
        place = f"{deck.user}@{deck.host}:{deck.port}"
        words = [re.sub(r"deck@steamdeck\.local(:2222)?", place, word) for word in words]
        said = fleet(self.bench, *words, **variables)  # type: ignore[arg-type]
        assert said.code == 0, (words, said.stdout, said.stderr)
        return said


@pytest.fixture
def endpoint() -> Iterator[Models]:
    with models(key=KEY) as running:
        yield running


# -- CLIO ------------------------------------------------------------------------------------------


def test_every_operation_and_parameter_of_clio_has_its_place() -> None:
    shown = {comment.partition(":")[0]: comment for comment, _ in calls(block(section(CLIO, "One call of each"), "sh"))}
    assert shown.keys() == OPERATIONS.keys()
    operations, parameters = section(CLIO, "The seven operations"), section(CLIO, "Their parameters")
    for operation, names in OPERATIONS.items():
        assert f"| `{operation}` |" in operations
        assert set(re.findall(r"[a-z_]+", shown[operation].partition(":")[2])) == names
        for name in names:
            assert f"`{name}`" in parameters, f"{name} of {operation}"
    assert [name for name in RESULTS if f"`{name}`" not in section(CLIO, "Their results")] == []


def test_one_call_of_each_of_clios_operations(bench: Bench, endpoint: Models) -> None:
    text = section(CLIO, "One call of each")
    document = yaml.safe_load(block(text, "yaml"))
    document["agents"]["clio"]["source"] = str(ROOT / "tests" / "bench" / "clio")
    home = Home(bench, document, endpoint)
    (bench.home / "notes.txt").write_text("a note\n")
    write = Call("terminal_operations", {"operation": "exec", "command": "cp input/notes.txt report.md"})
    endpoint.next(Answer(call=write), Answer(text="It is written."))
    said = {}
    deck = home.devices["deck"].home
    for comment, words in calls(block(text, "sh")):
        operation = comment.partition(":")[0]
        said[operation] = home.run(words, LOCAL_KEY=KEY)
        installed = (deck / ".local" / "share" / "fleet-tasks").exists()
        assert installed is (operation not in ("check_remote", "cleanup_remote", "execute_parallel"))
    assert (bench.home / "answers" / "deck" / "report.md").read_text() == "a note\n"
    assert (bench.home / "answers" / "deck" / "copy.md").read_text() == "a note\n"
    assert said["execute_remote"].stdout == "It is written.\n"
    assert "ally,deck (2)" in said["execute_parallel"].stdout.replace("deck,ally", "ally,deck")
    assert {each.name for each in deck.iterdir()} == {"work"}
    asked = [each for each in endpoint.asked if each.method == "POST"]
    assert len(asked) == 4 and {each.model for each in asked} == {"some-model"}


# -- PicoClaw Fleet --------------------------------------------------------------------------------


def test_one_call_of_each_of_picoclaw_fleets_scripts(bench: Bench, endpoint: Models) -> None:
    text = section(PICOCLAW_FLEET, "The scripts")
    (bench.home / "picoclaw").write_bytes(binary("0.2.9"))
    (bench.home / "picoclaw").chmod(0o755)
    document = {
        "version": 1, "devices": {"deck": {}, "ally": {}}, "groups": {"handhelds": ["deck", "ally"]},
        "providers": {"anthropic": {"kind": "anthropic"}},
        "agents": {"picoclaw": {"source": str(bench.home / "picoclaw")}},
    }  # fmt: skip
    home = Home(bench, document, endpoint)
    (bench.home / "tasks.yaml").write_text(block(text, "yaml"))
    said = [home.run(words, ANTHROPIC_API_KEY=KEY) for _, words in calls(block(text, "sh"))]
    assert said[2].stdout == "MOCK-REPLY: How full is the disk?\n"
    assert said[3].stdout.count("MOCK-REPLY: How full is the disk?") == 1, "equal answers are shown once"
    assert {"Name the kernel", "Name the shell"} < set(endpoint.prompts())
    assert [path for device in home.devices.values() for path in device.home.iterdir()] == []


def test_every_script_and_setting_of_picoclaw_fleet_has_its_place() -> None:
    text = PICOCLAW_FLEET.read_text("utf-8")
    for name in (
        "fleet-status.sh deploy.sh dispatch.sh HOST USER ARCH KEY TASK TIMEOUT SSH_KEY PROVIDER API_KEY_ENV"
        " hosts[].name ssh_key defaults.provider defaults.api_key_env onboard .bashrc .zshrc Docker Proxmox queue"
    ).split():
        assert name in text, name
