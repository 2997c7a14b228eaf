"""Live progress: seen on terminals only, harmless, bounded, and always gone afterwards."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet_tasks import formats
from fleet_tasks.formats import Streams
from fleet_tasks.formats.lines import Lines
from fleet_tasks.formats.live import Live
from fleet_tasks.options import Output
from fleet_tasks.results import LEFT, Progress, State
from tests.showing import Pipes, Terminal, report, result

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Clock:
    """Time that passes when told to, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def drawn(live: Live, columns: int = 100, lines: int = 24) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=columns, height=lines, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(live.draw())
    return capture.get()


def tally(live: Live) -> str:
    return drawn(live, columns=150).splitlines()[-1].rstrip()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_row_tells_phase_time_and_last_line(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a", "b", "c"], clock)
    live.see(Progress("a", "connecting"))
    clock.now += 2
    live.see(Progress("a", "working", b"half\x1b[2J\r\nway"))
    live.see(Progress("b", "connecting"))
    clock.now += 3
    live.see(result("b"))
    rows = drawn(live).splitlines()
    assert rows[0].split() == ["a", "working", "5", "s", "half␛[2J␤way"]
    assert rows[1].rstrip() == "1 at work, 1 waiting, 1 done, 5 s"
    assert len(rows) == 2


def test_nothing_is_drawn_at_first(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a"], clock)
    live.see(Progress("a", "connecting"))
    clock.now += 0.4
    assert drawn(live).strip() == ""


def test_two_hundred_devices_fit_the_screen(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("COLUMNS", "80")
    live = Live(io.StringIO(), now=clock)
    for number in range(200):
        live.see(Progress(f"lab{number}", "working", b"x" * 1000))
    clock.now += 1
    rows = drawn(live, columns=80).splitlines()
    assert len(rows) <= 23
    assert rows[-1].startswith("200 at work")
    assert max(map(len, rows)) <= 80


def test_markup_in_a_line_is_only_text(clock: Clock) -> None:
    live = Live(io.StringIO(), now=clock)
    live.see(Progress("a", "working", b"[bold red]x[/] :smile: [link=http://e]y[/link]"))
    clock.now += 1
    assert "[bold red]x[/] :smile: [link=http://e]y[/link]" in drawn(live)


def watched(**output: object) -> str:
    """What standard error shows of a view with a few signs of life."""
    terminal = Terminal()
    streams = Streams(io.StringIO(), terminal.stream)
    with formats.open("json", streams, Output(**output)) as view:  # type: ignore[arg-type]
        view.see(Progress("a", "connecting"))
        view.see(result("a"))
        view.close(report(result("a")))
    return terminal.close()


def test_the_cursor_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    seen = watched()
    assert HIDE in seen
    assert seen.rindex(SHOW) > seen.rindex(HIDE)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_the_cursor_comes_back_after_whatever_happens(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with pytest.raises(error), formats.open("text", Streams(io.StringIO(), terminal.stream)) as view:
        view.see(Progress("a", "connecting"))
        raise error
    seen = terminal.close()
    assert seen.rindex(SHOW) > seen.rindex(HIDE)


def test_a_dumb_terminal_quiet_and_pipes_see_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert watched(quiet=True) == ""
    assert watched(debug=True) == ""
    monkeypatch.setenv("TERM", "dumb")
    assert watched() == ""
    pipes = Pipes()
    with formats.open("json", pipes) as view:
        view.see(Progress("a", "connecting"))
        view.close(report())
    assert pipes.said == ""


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    live = Live(terminal.stream, now=clock)
    live.start()
    live.see(Progress("a", "working", b"line"))
    clock.now += 1
    live.stop()
    assert "\x1b[36m" not in terminal.close()


def test_lines_on_a_screen_are_not_torn_by_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with formats.open("jsonl", Streams(terminal.stream, terminal.stream)) as view:
        view.see(Progress("a", "connecting"))
        view.close(report())
    assert HIDE not in terminal.close()


def test_rich_is_not_loaded_where_nobody_watches() -> None:
    code = (
        "import sys\n"
        "from fleet_tasks import formats\n"
        "formats.listing('runs', [], 'text', formats.Streams())\n"
        "formats.open('text', formats.Streams())\n"
        "print(sorted({'rich', 'platformdirs', 'sqlite3', 'fabric', 'paramiko', 'yaml'} & set(sys.modules)))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env, text=True)
    assert run.stdout == "[]\n"


# -- lines as they come ------------------------------------------------------------------------


def test_lines_are_whole_and_carry_their_devices_name() -> None:
    pipes = Pipes()
    lines = Lines(pipes)
    lines.feed("a", b"on")
    lines.feed("b", b"two\r\nthr")
    lines.feed("a", b"e\n\x1b[2J")
    lines.end("b")
    lines.end("a")
    lines.end("a")
    assert pipes.shown == "b: two\na: one\nb: thr\na: ␛[2J\n"


def test_a_character_cut_in_two_is_one_character() -> None:
    pipes = Pipes()
    lines = Lines(pipes)
    for byte in "é世\n".encode():
        lines.feed("a", bytes([byte]))
    assert pipes.shown == "a: é世\n"


def test_a_line_that_never_ends_is_broken_instead_of_kept() -> None:
    pipes = Pipes()
    lines = Lines(pipes)
    for _ in range(100):
        lines.feed("a", b"x" * 10_000)
    assert sum(map(len, lines._rest.values())) <= 1 << 16
    lines.end("a")
    assert pipes.shown.count("x") == 1_000_000


def test_names_have_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    Lines(Streams(terminal.stream, io.StringIO())).feed("a", b"x\n")
    assert terminal.close().endswith("ma: \x1b[0mx\r\n")


def test_states_are_counted(clock: Clock) -> None:
    live = Live(io.StringIO(), now=clock)
    live.see(result("a", State.UNREACHABLE))
    live.see(result("b"))
    clock.now += 1
    assert drawn(live).rstrip() == "0 at work, 1 done, 1 unreachable, 1 s"


# -- a batch ---------------------------------------------------------------------------------------


def tasks(number: int) -> dict[str, State | None]:
    return {f"t{each}": None for each in range(1, number + 1)}


def work(live: Live, clock: Clock, first: int, last: int, seconds: float, state: State = State.DONE) -> None:
    """Tasks from ``first`` to ``last``, one after the other, each so many seconds long."""
    for number in range(first, last + 1):
        live.see(Progress("a", "running", task_id=f"t{number}"))
        clock.now += seconds
        live.see(result("a", state, task_id=f"t{number}"))


def test_every_slot_of_a_device_has_its_row(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a", "b"], clock, tasks(5))
    live.see(Progress("b", "connecting"))
    live.see(Progress("b", "running", b"one", "t1"))
    live.see(Progress("b", "starting", task_id="t2"))
    live.see(Progress("a", "running", b"three", "t3"))
    clock.now += 1
    live.see(result("b", task_id="t1"))
    assert [row.split() for row in drawn(live).splitlines()] == [
        ["a", "t3", "running", "1", "s", "three"],
        ["b", "t2", "starting", "1", "s"],
        ["1/5", "done,", "2", "running,", "1", "s", "so", "far"],
    ]


def test_a_task_that_is_let_go_of_is_not_at_work(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a", "b"], clock, tasks(2))
    live.see(Progress("a", "running", task_id="t1"))
    live.see(Progress("b", "starting", task_id="t1"))
    live.see(Progress("a", LEFT, task_id="t1"))
    clock.now += 1
    rows = drawn(live).splitlines()
    assert rows[0].split()[:2] == ["b", "t1"] and len(rows) == 2
    assert tally(live) == "0/2 done, 1 running, 1 s so far"
    live.see(Progress("b", LEFT, task_id="t1"))
    assert tally(live) == "0/2 done, 0 running, 1 s so far"


def test_a_device_that_connects_is_no_task(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a"], clock, tasks(2))
    live.see(Progress("a", "connecting"))
    clock.now += 1
    assert [row.split()[:2] for row in drawn(live).splitlines()] == [["a", "connecting"], ["0/2", "done,"]]
    assert "0 running" in tally(live)


def test_what_was_over_before_and_what_never_began_counts_but_tells_of_no_speed(clock: Clock) -> None:
    known = {**tasks(10), "t1": State.DONE, "t2": State.FAILED}
    live = Live(io.StringIO(), ["a"], clock, known)
    for number, state in ((3, State.SKIPPED), (4, State.LOST), (5, State.UNREACHABLE)):
        live.see(result("", state, task_id=f"t{number}"))
    work(live, clock, 6, 7, 5)
    assert tally(live) == "3/10 done, 0 running, 1 failed, 1 lost, 1 unreachable, 1 skipped, 10 s so far"
    live.see(result("a", task_id="t2"))
    assert tally(live).startswith("4/10 done, 0 running, 1 lost"), "a task is counted twice"


def test_pace_and_time_left_are_told_once_they_are_known(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a"], clock, tasks(100))
    work(live, clock, 1, 5, 0.25)
    assert tally(live) == "5/100 done, 0 running, 1 s so far", "two seconds are too few to tell"
    work(live, clock, 6, 20, 0.25)
    assert tally(live) == "20/100 done, 0 running, 4.0/s, 5 s so far, ~20 s left"
    work(live, clock, 21, 40, 0.25, State.FAILED)
    assert tally(live) == "20/100 done, 0 running, 20 failed, 4.0/s, 10 s so far, ~15 s left"


def test_the_first_of_many_slots_tells_no_pace(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a"], clock, tasks(100))
    for number in range(1, 11):
        live.see(Progress("a", "running", task_id=f"t{number}"))
    clock.now += 300
    for number in range(1, 6):
        live.see(result("a", task_id=f"t{number}"))
    for number in range(11, 16):
        live.see(Progress("a", "running", task_id=f"t{number}"))
    assert tally(live) == "5/100 done, 10 running, 5 min so far"
    for number in range(6, 11):
        live.see(result("a", task_id=f"t{number}"))
    assert tally(live) == "10/100 done, 5 running, 2/min, 5 min so far, ~45 min left"


def test_the_pace_is_that_of_late(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a"], clock, tasks(500))
    work(live, clock, 1, 150, 60)
    assert tally(live) == "150/500 done, 0 running, 1/min, 2.5 h so far, ~5.8 h left"
    work(live, clock, 151, 250, 0.05)
    assert tally(live) == "250/500 done, 0 running, 20/s, 2.5 h so far, ~12 s left"
    clock.now += 95
    assert tally(live) == "250/500 done, 0 running, 1.0/s, 2.5 h so far, ~4 min left"


def test_nothing_is_foretold_of_a_batch_that_is_being_ended(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a"], clock, tasks(9))
    work(live, clock, 1, 5, 1)
    assert tally(live) == "5/9 done, 0 running, 1.0/s, 5 s so far, ~4 s left"
    work(live, clock, 6, 6, 1, State.CANCELLED)
    assert tally(live) == "5/9 done, 0 running, 1 cancelled, 6 s so far"


def test_where_only_the_last_are_at_work_nobody_knows_how_long_they_take(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a"], clock, tasks(6))
    work(live, clock, 1, 5, 1)
    live.see(Progress("a", "running", task_id="t6"))
    assert tally(live) == "5/6 done, 1 running, 1.0/s, 5 s so far"


def test_ten_thousand_tasks_are_drawn_at_once(clock: Clock) -> None:
    live = Live(io.StringIO(), ["a"], clock, tasks(10_000))
    work(live, clock, 1, 9_000, 0.125)
    begun = time.process_time()
    assert tally(live) == "9000/10000 done, 0 running, 8.0/s, 19 min so far, ~2 min left"
    assert time.process_time() - begun < 0.5
