"""What a user installs, and what a fresh machine needs for the tests."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from fleet_tasks import formats, plugins
from tests.bench.fleet import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is in the repository, where building leaves its traces."""
    there = tmp_path / "checkout"
    there.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "Makefile"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, there)
    clutter = shutil.ignore_patterns("__pycache__", ".*_cache")
    for name in ("fleet_tasks", ".ci"):
        shutil.copytree(ROOT / name, there / name, ignore=clutter)
    return there


def declared(section: str) -> dict[str, str]:
    """One section of setup.cfg, each key with its whole text."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return dict(parser[section])


def entry_points(kind: str) -> dict[str, str]:
    pairs = (line.split(" = ") for line in declared("options.entry_points")[f"fleet_tasks.{kind}"].split("\n") if line)
    return dict(pairs)


def run(*words: str | Path, path: str = "/usr/bin:/bin", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={"PATH": path, "HOME": str(cwd or "/nonexistent"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_installed_package_gives_the_program_and_all_its_files(checkout: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = run(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", tmp_path, checkout)
    assert built.returncode == 0, built.stderr
    environment = tmp_path / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    installed = run(*pip, "--python", python, "install", "--no-index", "--no-deps", *tmp_path.glob("*.whl"))
    assert installed.returncode == 0, installed.stderr
    library = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    # The dependencies are borrowed, as fetching them again would prove nothing about this package.
    (library / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")

    version = run(environment / "bin" / "fleet", "--version", cwd=tmp_path)
    assert (version.returncode, version.stdout.split()[-1]) == (0, declared("metadata")["version"])
    agents = run(environment / "bin" / "fleet", "--list", cwd=tmp_path)
    assert "dispatch" in agents.stdout, agents.stderr
    shipped = {path.relative_to(checkout) for path in (checkout / "fleet_tasks").rglob("*") if path.is_file()}
    assert {path for path in shipped if not (library / path).exists()} == set()


def test_what_ships_is_declared_like_any_plug_in() -> None:
    assert entry_points("agents") == plugins.SHIPPED["agents"]
    assert entry_points("engines") == plugins.SHIPPED["engines"]
    assert entry_points("formats") == formats.SHIPPED


@pytest.mark.parametrize("kind", ["agents", "engines", "formats"])
def test_everything_declared_is_there(kind: str) -> None:
    for name, target in entry_points(kind).items():
        assert isinstance(EntryPoint(name, target, f"fleet_tasks.{kind}").load(), type)


def tools(folder: Path, *names: str, **scripts: str) -> str:
    """A PATH with some of this machine's programs, and some that are scripts of the test."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    for name, script in scripts.items():
        (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name.replace("_", "-")).chmod(0o755)
    return str(folder)


THERE = ("sh", "uname", "ssh-keygen", "sftp", "bash", "dash", "busybox", "rsync", "tcsh", "zsh")


def needs(path: str) -> subprocess.CompletedProcess[str]:
    # The script looks into the folders of servers too, which here must hold nothing.
    shell = f"{path}/sh"
    return subprocess.run(
        [shell, str(ROOT / "tests" / "needs.sh")],
        env={"PATH": path, "NEEDS_ALSO_IN": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_what_the_tests_need_is_named_where_it_may_not_be_installed(tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", *THERE, id="echo 1000", sudo="exit 1", apt_get="echo never; exit 1")
    said = needs(path)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.endswith("install these packages, then try again: openssh-server fish\n")


def test_what_the_tests_need_is_installed_where_it_may_be(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    log = tmp_path / "log"
    fake = f'echo "$@" >>{log}; for name in sshd fish; do ln -sf "$(command -v sh)" {folder}/$name; done'
    path = tools(
        folder,
        *THERE,
        "env",
        "tee",
        "chmod",
        "rm",
        "ln",
        id="echo 1000",
        sudo='test "$1" = -n && echo "$@"',
        apt_get=fake,
    )
    (folder / "sudo").write_text(
        f'#!/bin/sh\nshift\ncase "$1" in tee|chmod|rm|systemctl) exit 0 ;; esac\n"$@" 2>>{log}\n'
    )
    said = needs(path)
    assert (said.returncode, said.stderr) == (0, "")
    assert log.read_text() == "-qq install -y --no-install-recommends openssh-server fish\n"


def test_nothing_is_installed_where_all_is_there(tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", *THERE, "fish", sshd="", id="echo 0", apt_get="exit 1")
    assert needs(path).returncode == 0


@pytest.mark.parametrize("code", [0, 1, 5])
def test_ci_ends_with_the_exit_code_of_pytest(checkout: Path, tmp_path: Path, code: int) -> None:
    fake = f"mkdir -p .venv; echo {code} >.venv/pytest-exit; echo '1 passed in 1s'; exit $(( {code} ? 2 : 0 ))"
    path = tools(tmp_path / "bin", "bash", "dirname", "rm", "cat", "mkdir", make=fake)
    said = run(shutil.which("bash") or "bash", checkout / ".ci" / "run", path=path, cwd=tmp_path)
    assert (said.returncode, said.stdout) == (code, "1 passed in 1s\n")


def test_make_explains_itself(checkout: Path) -> None:
    said = run("make", path=f"{Path(sys.executable).parent}:/usr/bin:/bin", cwd=checkout)
    assert [line.split("\t")[0] for line in said.stdout.splitlines()] == [
        f"make {name}" for name in ("help", "demo", "test", "soak", "check", "bench")
    ]
