"""The documents say what is true: their commands are run, their tables compared, their links followed."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from fleet_tasks import State, options, settings
from fleet_tasks.batch.reading import Source
from fleet_tasks.batch.reading import read as tasks_of
from fleet_tasks.options import FORMATS
from fleet_tasks.registry.reading import read
from tests import warm
from tests.bench.fleet import ROOT
from tests.sessions import GROUPS, OURS, TAGS, World, agrees, blocks, plain, steps, world

SKILL = ROOT / "skills" / "fleet-tasks" / "SKILL.md"
SESSIONS = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("guide", "examples", "ssh-keys")), SKILL]
PAGES = [*sorted({*SESSIONS, *(ROOT / "docs").glob("*.md")}), ROOT / "CHANGELOG.md"]

HELPERS = {"make", "pipx", "ssh", "ssh-add", "ssh-copy-id", "ssh-keygen", "ssh-keyscan", "eval", "for", "done", "cat",
           "wait"}  # fmt: skip
"""What ``sh`` blocks may hold beside our own commands; these are for people and not run here."""


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = generator()
COMMANDS: dict[str, Any] = generate.commands()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# -- the commands ---------------------------------------------------------------------------


@pytest.mark.parametrize("document", SESSIONS, ids=named)
def test_every_command_does_what_the_document_says(document: Path, fleet: World) -> None:
    (fleet.folder / "README.txt").write_text("for those commands that send something\n")
    for step in steps(document):
        if step.helper:
            continue
        done = fleet.run(step.command)
        where = f"{named(document)}:{step.line}: {step.command}"
        assert done.returncode == step.exits, f"{where}\n{done.stdout}"
        if step.printed is not None:
            assert agrees(done.stdout, step.printed), f"{where}\n{plain(done.stdout)}\n-- not --\n{plain(step.printed)}"


@pytest.mark.parametrize("document", SESSIONS, ids=named)
def test_no_command_of_a_document_is_passed_over_by_accident(document: Path) -> None:
    assert all(kind for kind, *_ in blocks(document.read_text("utf-8"))), "a block without a language"
    assert {step.command.split()[0] for step in steps(document) if step.helper} <= HELPERS
    assert any(not step.helper for step in steps(document))


def test_what_a_command_printed_is_compared_up_to_what_differs_between_runs() -> None:
    said = "lab01:\n  one\nrun: 3 done in 0.2 s (run 01M7XYWT9DTHE17VAY1VXJ9B9Y)\n"
    assert agrees(said, "lab01:\n  one\nrun: 3 done in 12 s (run 01M7XX528S93VZ8MZHXV0VQWKS)\n")
    assert agrees(said, "lab01:\n...\n") and agrees(said, "...\nrun: 3 done in 12 s (run 01M7XX528S93VZ8MZHXV0VQWKS)\n")
    assert not agrees(said, "lab01:\n  one\nrun: 2 done in 0.2 s (run 01M7XYWT9DTHE17VAY1VXJ9B9Y)\n")
    assert not agrees(said, "lab01:\n  one\n") and not agrees(said, "...\n  two\n...\n")


def test_the_flags_and_commands_named_in_passing_exist() -> None:
    known = {f"--{name}" for task in COMMANDS.values() for argument in task.get_arguments() for name in argument.names}
    known |= {"--dry", "--help", "--list"}
    foreign = {"--print", "--json", "--load", "--apple-use-keychain"}
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        spoken = [span for span in re.findall(r"`([^`\n]+)`", prose) if not span.startswith(("ssh", "clush", "sudo"))]
        flags = {flag for span in spoken for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", span)}
        assert flags <= known | foreign, (named(page), sorted(flags - known - foreign))
        ours = {words[1] for span in spoken if len(words := span.split()) > 1 and words[0] in OURS}
        commands = {word for word in ours if re.fullmatch(r"[a-z]+(\.[a-z]+)?", word)}
        assert commands <= {*COMMANDS, "history", "agent", "device", "group"}, named(page)


def test_the_guide_names_every_setting() -> None:
    said = re.search(r"There are the settings\n(.*?)\. ", (ROOT / "docs" / "guide.md").read_text("utf-8"), re.DOTALL)
    assert said is not None
    assert re.findall(r"`(\w+)`", said[1]) == sorted(settings.NAMES)


@pytest.mark.parametrize("name", ["guide", "reference"])
def test_the_contents_are_those_of_the_page(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    assert re.findall(r"^- \[(.+)\]\(#.*\)$", text, re.MULTILINE) == re.findall(r"^## (.+)$", text, re.MULTILINE)


# -- help -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_and_shows_an_example_that_could_be_typed(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    helped = warm.run((name, "--help"), environment, tmp_path, 60)
    assert helped.returncode == 0, helped.stderr
    assert max(map(len, helped.stdout.splitlines())) <= 100

    summary, _, rest = (COMMANDS[name].__doc__ or "").partition("\n")
    assert 0 < len(summary) <= 48 and summary.endswith(".")
    typed = [line.strip() for line in rest.splitlines() if line.startswith(" " * 8)]
    assert typed and all(line.startswith("fab ") for line in typed), "an example is wanted"
    for line in typed:
        words = shlex.split(line)[1:]
        task = COMMANDS.get(words[0]) or COMMANDS[f"{words[0]}.list"]
        assert task is COMMANDS[name]
        known = {("-" if len(flag) == 1 else "--") + flag for each in task.get_arguments() for flag in each.names}
        assert {word for word in words if word.startswith("-")} <= known


LONGEST = sorted(COMMANDS, key=lambda name: max(map(len, (COMMANDS[name].__doc__ or "").splitlines())))[-3:]


@pytest.mark.parametrize("program", ["fabric", "invoke"])
def test_help_fits_under_fab_and_inv_too(program: str) -> None:
    """Of the commands with the longest lines, and of the one with the most options."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    for name in {*LONGEST, "dispatch"}:
        command = [sys.executable, "-m", program, "--help", name]
        helped = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert helped.returncode == 0 and f"{name} [--options]" in helped.stdout, helped.stderr
        assert max(map(len, helped.stdout.splitlines())) <= 100


def test_every_option_explains_itself_in_one_short_sentence() -> None:
    records = {kind for task in COMMANDS.values() for kind in task.records.values()}
    wrong = [
        (kind.__name__, field)
        for kind in records
        for field, spec in kind.__dataclass_fields__.items()
        if len(spec.metadata["help"]) > 60 or not spec.metadata["help"].endswith(".")
    ]
    assert wrong == []


def test_the_help_of_format_names_every_format() -> None:
    assert set(re.findall(r"[a-z]+", options.Output.__dataclass_fields__["format"].metadata["help"])) - {"or"} == {
        *FORMATS
    }


# -- what is made from the code ---------------------------------------------------------------


def test_the_reference_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == generate.render(), "run: python docs/generate.py"


def test_the_tables_of_the_readme_are_what_the_code_says() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert text == generate.readme(text), "run: python docs/generate.py"


def test_a_meaning_too_many_or_too_few_is_noticed() -> None:
    with pytest.raises(ValueError, match="hots"):
        generate._checked(["host"], {"host": "", "hots": ""}, "device")
    with pytest.raises(ValueError, match="host"):
        generate._checked(["host"], {}, "device")


def test_every_module_of_the_map_says_what_it_is_about() -> None:
    paths = [path for path in (ROOT / "fleet_tasks").rglob("*.py") if path.name != "__init__.py" or path.stat().st_size]
    assert [named(path) for path in paths if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []


# -- pages ------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The places of a page that a link can lead to, as GitHub makes them of headings."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{named(page)}: {target}"
        if anchor:
            assert anchor in anchors(there.read_text("utf-8")), f"{named(page)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_lines_are_not_too_long_to_read(page: Path) -> None:
    """In prose; tables, and what is copied from a screen, may be longer."""
    if page.name == "reference.md":
        return
    text = re.sub(r"^(---\n.*?\n---|```.*?```|\|.*?)$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 125


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_shown_is_one(page: Path) -> None:
    for kind, start, lines in blocks(page.read_text("utf-8")):
        if kind == "yaml" and "tasks:" in lines:
            assert tasks_of(Source(f"{named(page)}:{start}", "\n".join(lines), lines=False), ROOT)
        elif kind == "yaml" and lines[0] == "fleet:":
            assert set(yaml.safe_load("\n".join(lines))["fleet"]) <= set(settings.NAMES)
        elif kind == "yaml":
            read("\n".join(lines), f"{named(page)}:{start}")


def test_the_example_registry_of_the_checkout_is_one() -> None:
    registry = read((ROOT / "fleet.yaml").read_text("utf-8"), "fleet.yaml")
    assert {"handhelds", "everyone"} <= set(registry.groups)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_piece_of_python_compiles_and_imports_what_exists(page: Path) -> None:
    for kind, start, lines in blocks(page.read_text("utf-8")):
        if kind == "python":
            tree = ast.parse("\n".join(lines), f"{named(page)}:{start}")
            wanted: list[ast.stmt] = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(wanted, []), "imports", "exec"), {})


def test_the_examples_speak_of_the_fleet_they_are_run_on() -> None:
    page = (ROOT / "docs" / "examples.md").read_text("utf-8")
    shown = next(yaml.safe_load("\n".join(lines)) for kind, _, lines in blocks(page) if kind == "yaml")
    assert shown["groups"] == GROUPS
    registry = read(yaml.safe_dump(shown), "examples.md")
    assert {name: list(device.tags) for name, device in registry.devices.items() if device.tags} == TAGS


# -- the skill --------------------------------------------------------------------------------


def test_the_skills_front_matter_is_what_agents_expect() -> None:
    """Claude Code, Codex, Cursor and OpenClaw: name as the folder's, a description of at most 1024 characters."""
    _, front, body = SKILL.read_text("utf-8").split("---\n", 2)
    fields = yaml.safe_load(front)
    assert set(fields) == {"name", "description"}
    assert fields["name"] == SKILL.parent.name
    assert re.fullmatch(r"[a-z0-9-]{1,64}", fields["name"])
    assert 0 < len(fields["description"]) <= 1024
    assert len(body.splitlines()) < 500


def test_the_skill_knows_every_state_and_every_code() -> None:
    rows = [line for line in SKILL.read_text("utf-8").splitlines() if line.startswith("| `")]
    told = {word for row in rows for word in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert told == {*State, *(kind.code for kind in generate.device_errors())}


def test_the_codes_are_those_of_the_schema() -> None:
    schema = json.loads((ROOT / "fleet_tasks" / "formats" / "schema.json").read_text("utf-8"))
    codes = [kind.code for kind in generate.device_errors()]
    assert sorted(codes) == sorted(schema["$defs"]["error"]["properties"]["code"]["enum"])


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_document_shown_is_one(page: Path) -> None:
    schema = json.loads((ROOT / "fleet_tasks" / "formats" / "schema.json").read_text("utf-8"))
    for kind, _, lines in blocks(page.read_text("utf-8")):
        if kind == "json":
            document = "\n".join(lines).replace("01M7...", "01M7XX528S93VZ8MZHXV0VQWKS")
            jsonschema.validate(json.loads(document), schema)
