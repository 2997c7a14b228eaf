"""What ``import fleet_tasks`` offers, what it costs, and that a stranger's fabfile can use it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from invoke import Collection

import fleet_tasks
from tests.bench import Bench
from tests.bench.fleet import ROOT

HEAVY = {"paramiko", "fabric", "rich", "asyncssh", "ruamel", "tenacity"}


def run(*words: str, cwd: Path, env: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    """A program in a folder of its own that finds the package."""
    return subprocess.run(
        words,
        cwd=cwd,
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def loaded_by(statement: str, cwd: Path) -> set[str]:
    """The top-level packages that are there after a statement in a fresh interpreter."""
    found = run(sys.executable, "-c", f"{statement}\nimport sys; print(*sorted(sys.modules))", cwd=cwd)
    assert found.returncode == 0, found.stderr
    return {name.split(".")[0] for name in found.stdout.split()}


def declared() -> set[str]:
    """The names that type checkers are told of."""
    tree = ast.parse(Path(fleet_tasks.__file__).read_text("utf-8"))
    guarded = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return {alias.name for node in guarded for line in node.body if isinstance(line, ast.ImportFrom)
            for alias in line.names}  # fmt: skip


def test_the_public_names_are_sorted_and_the_same_for_people_and_type_checkers() -> None:
    assert fleet_tasks.__all__ == sorted(fleet_tasks.__all__)
    assert set(fleet_tasks.__all__) == declared()
    assert set(fleet_tasks.__all__) <= set(dir(fleet_tasks))


@pytest.mark.parametrize("name", fleet_tasks.__all__)
def test_a_public_name_is_there_under_its_own_name(name: str) -> None:
    found = getattr(fleet_tasks, name)
    own = getattr(found, "__name__", name)
    assert own in (name, f"fleet_tasks.{name}")


def test_what_a_command_can_be_asked_is_public() -> None:
    """A stranger's task may want the flags that ours have."""
    asked = {kind.__name__ for name in ("check", "dispatch", "put", "get", "teardown")
             for kind in fleet_tasks.namespace[name].records.values()}  # fmt: skip
    assert asked <= set(fleet_tasks.__all__)


def test_a_name_nobody_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Flet'"):
        fleet_tasks.Flet  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_loads_nothing_but_the_standard_library(tmp_path: Path) -> None:
    loaded = loaded_by("import fleet_tasks", tmp_path)
    plain = loaded_by("import importlib, typing", tmp_path)
    assert loaded - plain - set(sys.stdlib_module_names) == {"fleet_tasks"}


def test_the_command_line_loads_none_of_the_heavy_packages(tmp_path: Path) -> None:
    loaded = loaded_by("import fleet_tasks.cli, fleet_tasks.tasks", tmp_path)
    assert not loaded & HEAVY


def test_a_command_loads_none_of_what_libraries_hardly_ever_need(tmp_path: Path, bench: Bench) -> None:
    bench.registry(tmp_path / "fleet.yaml", ["d1"])
    words = ("-X", "importtime", "-m", "fleet_tasks", "dispatch", "-d", "d1", "-a", "shell", "--task", "true")
    asked = run(sys.executable, *words, cwd=tmp_path, env=bench.environment())
    loaded = {line.split("|")[-1].strip() for line in asked.stderr.splitlines()}
    assert asked.returncode == 0 and {"invoke.config", "yaml.loader", "paramiko.transport"} <= loaded, asked.stderr
    assert not loaded & {"asyncio.events", "unittest.mock", "invoke.vendor.yaml.loader", "importlib.metadata"}


def test_what_libraries_were_loaded_without_is_there_for_whoever_asks(tmp_path: Path) -> None:
    asked = """
import importlib, sys
from fleet_tasks.loading import defer_metadata, load_invoke
load_invoke()
defer_metadata()
from invoke import Config, MockContext, Result
import paramiko
import importlib.metadata
import asyncio.events
assert "email.message" not in sys.modules and "unittest.mock" not in sys.modules
from unittest.mock import AsyncMock, Mock, create_autospec
assert MockContext(run=Result("hi")).run("anything").stdout == "hi"
assert isinstance(Mock(spec=[]), Mock) and asyncio.run(AsyncMock(return_value=3)()) == 3
assert asyncio.iscoroutinefunction(create_autospec(asyncio.sleep))
open("invoke.yaml", "w").write("run: {echo: true}")
config = Config(project_location=".")
config.load_project()
assert config.run.echo is True
standing = importlib.metadata
seen = paramiko.__version__, standing.version("cryptography")
from importlib.metadata import PackageNotFoundError, version
assert importlib.metadata is sys.modules["importlib.metadata"] is not standing
assert seen == (version("paramiko"), version("cryptography"))
try:
    standing.version("no-such-package")
except PackageNotFoundError:
    print("all there")
"""
    said = run(sys.executable, "-c", asked, cwd=tmp_path)
    assert said.stdout == "all there\n", said.stderr


def test_invoke_takes_the_package_for_a_module_of_tasks() -> None:
    ours = Collection.from_module(fleet_tasks)
    assert set(ours.task_names) == set(fleet_tasks.namespace.task_names)


FABFILE = """
import fleet_tasks
from fabric import task
from fleet_tasks import Fleet, Output, Targets
from fleet_tasks import task as fleet_task
from invoke import Collection

@task
def own(c):
    print("a task of my own")

@fleet_task
def names(c, targets: Targets, output: Output):
    \"\"\"Name the chosen devices.\"\"\"
    for device in Fleet.load().choose(targets):
        print(device.name, output.format)

ns = Collection(own, names)
ns.add_collection(Collection.from_module(fleet_tasks), name="fleet")
"""


def test_a_strangers_fabfile_holds_our_commands_beside_its_own(tmp_path: Path) -> None:
    (tmp_path / "fabfile.py").write_text(FABFILE)
    (tmp_path / "fleet.yaml").write_text("devices: {deck: deck@127.0.0.1, legion: 127.0.0.1}\n")
    fab = str(Path(sys.executable).with_name("fab"))

    listed = run(fab, "--list", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert {"own", "names", "fleet.status", "fleet.dispatch"} <= set(listed.stdout.split())

    assert run(fab, "own", cwd=tmp_path).stdout == "a task of my own\n"
    assert run(fab, "names", "-d", "leg*", "-f", "json", cwd=tmp_path).stdout == "legion json\n"
    planned = run(fab, "--dry", "fleet.run", "--all", "--task", "true", cwd=tmp_path)
    assert (planned.returncode, "legion" in planned.stdout) == (0, True), planned.stderr
