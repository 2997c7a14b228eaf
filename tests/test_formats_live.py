"""Live progress: seen on terminals only, harmless, bounded, and always gone afterwards."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet_tasks import formats
from fleet_tasks.formats import Streams
from fleet_tasks.formats.lines import Lines
from fleet_tasks.formats.live import Live
from fleet_tasks.options import Output
from fleet_tasks.results import Progress, State
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
