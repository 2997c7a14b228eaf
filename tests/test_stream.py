"""Live output: whole lines under their device's name, never mixed, harmless, standard error apart; silence is told."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pytest
from rich.console import Console

from fleet_tasks.actions import dispatch
from fleet_tasks.fleet import Fleet
from fleet_tasks.formats.lines import Lines
from fleet_tasks.formats.live import Live
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Wish
from fleet_tasks.results import Progress
from tests.bench import Bench
from tests.program import fleet
from tests.runs import ONE, going
from tests.showing import Pipes


def test_lines_of_many_devices_are_whole_and_in_each_ones_order(bench: Bench) -> None:
    names = [f"{ONE}-{number}" for number in range(4)]
    bench.devices(*names)
    bench.registry(bench.home / "fleet.yaml", names)
    task = 'i=0; while [ $i -lt 300 ]; do printf "%s" "$FLEET_DEVICE "; echo $i; echo "e$i" >&2; i=$((i+1)); done'
    said = fleet(bench, "run", "--all", "--task", task, "--stream", "--quiet")
    assert said.code == 0
    _in_order(said.stdout.splitlines(), names, lambda name, number: f"{name}: {name} {number}")
    _in_order(said.stderr.splitlines(), names, lambda name, number: f"{name}: e{number}")


def _in_order(lines: Iterable[str], names: list[str], line: object) -> None:
    found = list(lines)
    assert len(found) == 300 * len(names)
    for name in names:
        own = [each for each in found if each.startswith(f"{name}: ")]
        assert own == [line(name, number) for number in range(300)]  # type: ignore[operator]


def test_half_a_line_waits_for_its_end_and_the_last_needs_none(bench: Bench) -> None:
    device = bench.device(ONE)
    bench.registry(bench.home / "fleet.yaml", [ONE])
    task = 'printf half; echo before >&2; while [ ! -e "$HOME/go" ]; do sleep 0.1; done; printf " whole\\nlast"'
    with going(bench, "run", "-d", ONE, "--task", task, "--stream") as work:
        work.until("before")
        assert work.stdout == ""
        (device.home / "go").touch()
        said = work.end()
    assert said.stdout == f"{ONE}: half whole\n{ONE}: last\n"


def test_lines_cannot_drive_a_terminal_nor_pass_for_another_devices(bench: Bench) -> None:
    bench.device(ONE)
    bench.registry(bench.home / "fleet.yaml", [ONE])
    task = "printf '\\033[2J\\033]0;mine\\007red\\rother: lie\\n'; printf '\\033[31mbad\\n' >&2"
    said = fleet(bench, "run", "-d", ONE, "--task", task, "--stream")
    assert "\x1b" not in said.stdout + said.stderr and "\x07" not in said.stdout and "\r" not in said.stdout
    assert all(line.startswith(f"{ONE}: ") for line in said.stdout.splitlines())


def test_a_document_stays_a_document(bench: Bench) -> None:
    bench.device(ONE)
    bench.registry(bench.home / "fleet.yaml", [ONE])
    said = fleet(bench, "run", "-d", ONE, "--task", "echo hi; echo bad >&2", "--stream", "-f", "json")
    assert said.results[0]["stdout"] == "hi\n"
    assert f"{ONE}: hi\n" in said.stderr and f"{ONE}: bad\n" in said.stderr


def test_silence_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "BEAT", 0.2)
    monkeypatch.setattr(dispatch, "SILENCE", 0.5)
    bench.device(ONE)
    with Fleet.load(bench.registry(bench.home / "fleet.yaml", [ONE])) as ours:
        wish = Wish(task="echo begun; sleep 2", agent="shell")
        plan = ours.plan_dispatch(ours.choose(Targets(device=(ONE,))), wish, Bounds())
        told = [item for item in ours.carry_out(plan) if isinstance(item, Progress) and item.phase == "silent"]
    assert told and all(sign.device == ONE for sign in told)


def test_silence_shows_between_the_lines() -> None:
    pipes = Pipes()
    lines = Lines(pipes)
    lines.see(Progress("deck", "running", b"a last line"))
    lines.see(Progress("deck", "silent", b"30 s"))
    assert (pipes.said, pipes.shown) == ("deck: silent for 30 s\n", "")


def test_silence_shows_in_the_row_until_there_is_output_again() -> None:
    now = [0.0]
    live = Live(io.StringIO(), ["deck"], lambda: now[-1])
    live.see(Progress("deck", "running", b"a last line"))
    live.see(Progress("deck", "silent", b"30 s"))
    now.append(40.0)
    assert _row(live) == ["deck", "silent", "40", "s", "30", "s"]
    live.see(Progress("deck", "running", b"news"))
    assert _row(live) == ["deck", "running", "40", "s", "news"]


def _row(live: Live) -> list[str]:
    console = Console(file=io.StringIO(), width=80, height=24, color_system=None)
    with console.capture() as capture:
        console.print(live.draw())
    return capture.get().splitlines()[0].split()
