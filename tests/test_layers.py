"""The direction of imports, as the design has it: words <- decisions <- edges <- doers <- front.

A module may use what stands in its own layer or in an earlier one. Every third-party package has its doors: the only
modules that may import it, so that replacing it is an affair of those modules.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

import fleet_tasks
from tests.bench.fleet import ROOT

PACKAGE = Path(fleet_tasks.__file__).parent

LAYERS: dict[str, list[str]] = yaml.safe_load((ROOT / "docs" / "layers.yaml").read_text("utf-8"))
"""Every module and package directly below ``fleet_tasks``; what is inside a package shares its layer."""

DOORS = {
    "ClusterShell": "ranges",
    "asyncssh": "embedded",
    "fabric": "connection group runner",
    "invoke": "cli commands program settings tasks watching",
    "paramiko": "authentication connection conversation keys sshconfig transport",
    "platformdirs": "history registry releases",
    "rich": "formats",
    "ruamel": "registry",
    "sqlite3": "history",
    "tenacity": "retry",
    "yaml": "registry",
}
"""Which modules may import which package; sqlite3 is the one of Python's own that is guarded as well."""

ORDER = {name: rank for rank, names in enumerate(LAYERS.values()) for name in names}


def sources() -> dict[str, list[Path]]:
    """The files of every module or package directly below ``fleet_tasks``, by its name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found.setdefault(path.relative_to(PACKAGE).with_suffix("").parts[0], []).append(path)
    return found


@cache
def imports(path: Path, at_once: bool = False) -> frozenset[str]:
    """What a file imports, wherever in it or ``at_once`` when it is loaded: ``fleet_tasks.plans``, ``invoke``."""
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(name for node in (tree.body if at_once else ast.walk(tree)) for name in _names(node))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module and not node.level, "Imports are written out in full."
        inside = PACKAGE.parent / node.module.replace(".", "/")
        for alias in node.names:
            own = (inside / alias.name).is_dir() or (inside / f"{alias.name}.py").is_file()
            yield f"{node.module}.{alias.name}" if own else node.module


def used(name: str, at_once: bool = False) -> set[str]:
    """The other modules of ours that one uses."""
    words = (word.split(".") for path in sources()[name] for word in imports(path, at_once))
    ours = {parts[1] if len(parts) > 1 else "__init__" for parts in words if parts[0] == "fleet_tasks"}
    return ours - {name}


def foreign(name: str) -> set[str]:
    """The packages that are neither ours nor Python's, and sqlite3."""
    tops = {word.split(".")[0] for path in sources()[name] for word in imports(path)}
    return {top for top in tops if top in DOORS or top not in {*sys.stdlib_module_names, "fleet_tasks"}}


def test_every_module_has_its_layer() -> None:
    assert sorted(ORDER) == sorted(sources())
    assert sum(map(len, LAYERS.values())) == len(ORDER), "a module stands in two layers"


@pytest.mark.parametrize("name", sorted(sources()))
def test_imports_point_upwards_only(name: str) -> None:
    version_only = {"__init__"} if name == "program" else set()
    above = {other for other in used(name) - version_only if ORDER[other] > ORDER[name]}
    assert not above, f"{name} must not import {', '.join(sorted(above))}"


def test_words_use_the_standard_library_alone() -> None:
    assert {name: foreign(name) for name in LAYERS["words"] if foreign(name)} == {}


def test_no_two_modules_need_each_other() -> None:
    """Within a layer there is a direction too: whatever is loaded first, no circle is waiting."""
    open_ends = {name: used(name, at_once=True) - {"__init__"} for name in sources()}
    while leaves := {name for name, others in open_ends.items() if not others}:
        open_ends = {name: others - leaves for name, others in open_ends.items() if name not in leaves}
    assert open_ends == {}


@pytest.mark.parametrize("package", sorted(DOORS))
def test_a_third_party_package_has_its_doors(package: str) -> None:
    assert {name for name in sources() if package in foreign(name)} == set(DOORS[package].split())


def test_no_other_third_party_package_is_used() -> None:
    assert {package for name in sources() for package in foreign(name)} == set(DOORS)
