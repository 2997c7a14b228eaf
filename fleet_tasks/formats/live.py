"""Live progress on a terminal: a row for each device at work, gone when the work is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from fleet_tasks.formats import grid, sanitize
from fleet_tasks.results import Progress, Result, State

_PATIENCE = 0.5
_PER_SECOND = 4
_LINE = 160


@dataclass(frozen=True)
class _Row:
    """What a device is at; ``since`` is a monotonic time in seconds."""

    phase: str
    since: float
    line: str = ""


class Live:
    """Rows of devices at work, never more than fit, under a line of counts.

    Nothing is drawn in the first half second, so quick commands do not flicker. Rich draws from a thread
    of its own; it reads copies of two small dictionaries that the main thread alone writes.
    """

    def __init__(self, err: TextIO, devices: Sequence[str] = (), now: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=err, stderr=True)
        self._waiting = dict.fromkeys(devices)
        self._rows: dict[str, _Row] = {}
        self._counts = dict.fromkeys(State, 0)
        self._now = now
        self._begun = now()
        self._live = RichLive(
            get_renderable=self.draw,
            console=self._console,
            refresh_per_second=_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Wipe the rows and give the cursor back; a second call does nothing."""
        self._live.stop()

    def say(self, words: str) -> None:
        """A line above the rows, which stay whole."""
        self._live.console.print(Text(sanitize.text(words)))

    def see(self, item: Result | Progress) -> None:
        """Take in what happened; remote text is made harmless here."""
        self._waiting.pop(item.device, None)
        if isinstance(item, Result):
            self._rows.pop(item.device, None)
            self._counts[item.state] += 1
            return
        known = self._rows.get(item.device)
        last = sanitize.line(item.line, _LINE) or (known.line if known else "")
        self._rows[item.device] = _Row(item.phase, known.since if known else self._now(), last)

    def draw(self) -> RenderableType:
        """The display as it should be now."""
        if self._now() - self._begun < _PATIENCE:
            return Group()
        rows = list(self._rows.items())
        room = max(1, self._console.size.height - 3)
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, max_width=30)
        table.add_column(no_wrap=True, style="cyan")
        table.add_column(no_wrap=True, justify="right", style="dim")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis", style="dim")
        for device, row in rows[:room]:
            elapsed = f"{self._now() - row.since:.0f} s"
            table.add_row(Text(sanitize.line(device)), Text(row.phase), elapsed, Text(row.line))
        return Group(table, Text(self._tally(len(rows)), style="bold", no_wrap=True, overflow="ellipsis"))

    def _tally(self, running: int) -> str:
        ended = grid.counts(self._counts) if any(self._counts.values()) else ""
        waiting = f"{len(self._waiting)} waiting" if self._waiting else ""
        took = f"{self._now() - self._begun:.0f} s"
        return ", ".join(filter(None, (f"{running} at work", waiting, ended, took)))
