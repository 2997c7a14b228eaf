"""Live progress on a terminal: a row for each device or task at work, gone when the work is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from fleet_tasks.formats import sanitize, tally
from fleet_tasks.record import record
from fleet_tasks.results import LEFT, Progress, Result, State

_PATIENCE = 0.5
_PER_SECOND = 4
_LINE = 160


@record
class _Row:
    """What a device is at, or one slot of it; ``since`` is a monotonic time in seconds."""

    phase: str
    since: float
    line: str = ""


class Live:
    """Rows of devices at work, or of a batch's tasks, never more than fit, above a line of counts.

    ``tasks`` are all those of a batch, each with the state in which it ended before, if it did.
    Nothing is drawn in the first half second, so quick commands do not flicker. Rich draws from a thread
    of its own; it reads copies of two small dictionaries that the main thread alone writes.
    """

    def __init__(
        self,
        err: TextIO,
        devices: Sequence[str] = (),
        now: Callable[[], float] = time.monotonic,
        tasks: Mapping[str, State | None] | None = None,
    ) -> None:
        self._console = Console(file=err, stderr=True)
        self._waiting = dict.fromkeys(devices)
        self._places = {device: place for place, device in enumerate(devices)}
        self._rows: dict[tuple[str, str | None], _Row] = {}
        self._counts = dict.fromkeys(State, 0)
        self._now = now
        self._begun = now()
        self._tasks = tally.Tally(tasks, self._begun) if tasks else None
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
        at = (item.device, item.task_id)
        if isinstance(item, Result):
            worked = self._rows.pop(at, None) is not None
            self._counts[item.state] += 1
            if self._tasks is not None and item.task_id:
                self._tasks.over(item.task_id, item.state, self._now() if worked else None)
            return
        if item.phase == LEFT:
            self._rows.pop(at, None)
            return
        if item.task_id is not None:
            self._rows.pop((item.device, None), None)  # it has connected
        known = self._rows.get(at)
        last = sanitize.line(item.line, _LINE) or (known.line if known else "")
        self._rows[at] = _Row(item.phase, known.since if known else self._now(), last)

    def draw(self) -> RenderableType:
        """The display as it should be now."""
        if self._now() - self._begun < _PATIENCE:
            return Group()
        rows = list(self._rows.items())
        if self._tasks is not None:
            # Tasks come and go: in the devices' order their rows stay about where they are.
            rows.sort(key=lambda row: self._places.get(row[0][0], 0))
        room = max(1, self._console.size.height - 3)
        table = Table.grid(padding=(0, 1), expand=True)
        for _name in ("device", *(("task",) if self._tasks is not None else ())):
            table.add_column(no_wrap=True, max_width=30)
        table.add_column(no_wrap=True, style="cyan")
        table.add_column(no_wrap=True, justify="right", style="dim")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis", style="dim")
        for (device, task), row in rows[:room]:
            elapsed = f"{self._now() - row.since:.0f} s"
            names = (device,) if self._tasks is None else (device, task or "")
            table.add_row(*(Text(sanitize.line(name)) for name in names), Text(row.phase), elapsed, Text(row.line))
        told = self._tally([task for (_, task), _ in rows])
        return Group(table, Text(told, style="bold", no_wrap=True, overflow="ellipsis"))

    def _tally(self, at_work: Sequence[str | None]) -> str:
        if self._tasks is not None:
            return self._tasks.words(sum(task is not None for task in at_work), self._now())
        return tally.of_devices(len(at_work), len(self._waiting), self._counts, self._now() - self._begun)
