"""The example plug-in of the documentation: installed as a user would, and used through the real program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.bench.fleet import ROOT
from tests.program import fleet

EXAMPLE = ROOT / "docs" / "plugin-example"


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed in it, from a copy, as building leaves traces."""
    folder = tmp_path_factory.mktemp("plugins")
    copy = folder / "source"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder / "site")]
    subprocess.run([*pip, *alone, str(copy)], check=True, timeout=120)
    return folder / "site"


@pytest.fixture
def path(plugins: Path) -> str:
    """A PYTHONPATH with this checkout and the example."""
    return os.pathsep.join([str(ROOT), str(plugins)])


def test_its_own_tests_pass(path: str, own_home: Path) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(EXAMPLE / "tests")]
    there = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(words, env=there, cwd=own_home, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_it_is_listed_and_used_like_what_ships(bench: Bench, tmp_path: Path, path: str) -> None:
    deck = bench.device("deck", shell="dash")
    registry = str(bench.registry(tmp_path / "fleet.yaml", ["deck"]))
    shown = fleet(bench, "agent.show", "--name", "almanac", "--format", "json", "--registry", registry, PYTHONPATH=path)
    assert shown.document["agents"][0]["scripts"] == ["status", "deploy", "dispatch", "teardown"]

    words = ("-d", "deck", "--agent", "almanac", "--format", "json", "--registry", registry)
    answered = fleet(bench, "dispatch", *words, "--task", "feed the cat", PYTHONPATH=path)
    assert answered.code == 0, answered.stderr + answered.stdout
    assert answered.results[0]["stdout"].endswith(" feed the cat\n")
    assert (deck.home / ".almanac").exists()
    status = fleet(bench, "status", *words, PYTHONPATH=path)
    assert (status.results[0]["facts"]["version"], status.results[0]["facts"]["ready"]) == ("1.0", True)

    removed = fleet(bench, "teardown", *words, "--verify", PYTHONPATH=path)
    assert removed.code == 0, removed.stdout
    assert list(deck.home.iterdir()) == []


FORMATS = """
class Brief:
    streaming = True
    def result(self, result, streams): streams.write(result.device.encode() + b"=" + result.stdout)
    def show(self, report, streams): streams.write(b"exit %d\\n" % report.exit_code)
    def rows(self, listing, streams): streams.text(f"{len(listing.rows)} {listing.kind}")

class Broken(Brief):
    def result(self, result, streams): 1 / 0
    def rows(self, listing, streams): 1 / 0
"""


@pytest.fixture
def formats(tmp_path: Path, path: str) -> str:
    """A PYTHONPATH with two formats of a stranger, of which one is broken."""
    site = tmp_path / "formats"
    metadata = site / "brief_formats-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: brief-formats\nVersion: 1.0\n")
    points = "[fleet_tasks.formats]\nbrief = brief_formats:Brief\nbroken = brief_formats:Broken\n"
    (metadata / "entry_points.txt").write_text(points)
    (site / "brief_formats.py").write_text(FORMATS)
    return os.pathsep.join([path, str(site)])


def test_a_format_of_a_plug_in_is_one_like_any_other(bench: Bench, tmp_path: Path, formats: str) -> None:
    bench.devices("deck", "legion")
    registry = ("--registry", str(bench.registry(tmp_path / "fleet.yaml", ["deck", "legion"])))
    listed = fleet(bench, "device.list", "-f", "brief", *registry, PYTHONPATH=formats)
    assert (listed.code, listed.stdout) == (0, "2 devices\n")
    words = ("run", "-d", "deck", "--task", "echo hi", *registry)
    ran = fleet(bench, *words, PYTHONPATH=formats, FABRIC_FLEET_FORMAT="brief")
    assert (ran.code, ran.stdout) == (0, "deck=hi\nexit 0\n")
    unknown = fleet(bench, "device.list", "-f", "brif", *registry, PYTHONPATH=formats)
    assert (unknown.code, unknown.stderr) == (2, "--format does not know 'brif'; did you mean brief?\n")


def test_a_broken_format_ends_a_run_in_order(bench: Bench, tmp_path: Path, formats: str) -> None:
    deck = bench.device("deck")
    registry = ("-f", "broken", "--registry", str(bench.registry(tmp_path / "fleet.yaml", ["deck"])))
    ran = fleet(bench, "dispatch", "-a", "demo", "--cleanup", "--all", "--task", "x", *registry, PYTHONPATH=formats)
    assert ran.code == 1
    assert ran.stderr.splitlines()[-1] == "The format 'broken' broke: ZeroDivisionError: division by zero"
    assert "Traceback" not in ran.stderr
    assert list(deck.home.iterdir()) == []
    listed = fleet(bench, "device.list", *registry, PYTHONPATH=formats)
    assert (listed.code, listed.stderr) == (1, "The format 'broken' broke: ZeroDivisionError: division by zero\n")


BROKEN = {
    "unimportable": ("broken_almanac:Almanac", "raise RuntimeError('no moon today')", "no moon today"),
    "unmakeable": ("broken_almanac:Almanac", "def Almanac(settings): 1 / 0", "ZeroDivisionError"),
    "no-agent": ("broken_almanac:Almanac", "def Almanac(settings): return {}", "is no Agent"),
    "absent": ("nowhere_at_all:Almanac", "", "nowhere_at_all"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_does_not_break_the_rest(bench: Bench, tmp_path: Path, path: str, name: str) -> None:
    target, code, reason = BROKEN[name]
    site = tmp_path / "broken"
    metadata = site / "broken_almanac-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-almanac\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[fleet_tasks.agents]\nbroken = {target}\n")
    (site / "broken_almanac.py").write_text(code)
    path += os.pathsep + str(site)

    bench.devices("well", "ill")
    ill = {**bench.device("ill").entry, "agent": "broken"}
    registry = bench.registry(tmp_path / "fleet.yaml", ["well"], devices={"ill": ill}, defaults={"agent": "demo"})
    words = ("--format", "json", "--registry", str(registry))
    listed = fleet(bench, "agent.list", *words, PYTHONPATH=path)
    assert listed.code == 0, listed.stderr
    rows = {row["name"]: row["description"] for row in listed.document["agents"]}
    assert reason in rows["broken"]
    assert {"almanac", "demo", "shell"} <= set(rows)

    worked = fleet(bench, "dispatch", "--all", "--task", "hello", *words, PYTHONPATH=path)
    well, sick = worked.results
    assert (worked.code, well["device"], well["state"]) == (1, "well", "done")
    assert (sick["state"], sick["error"]["code"]) == ("failed", "plug-in-broken")
    assert reason in sick["error"]["message"]
