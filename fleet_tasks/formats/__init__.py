"""How results are shown: text, tables, documents and reports; live progress beside them.

A format is a class without arguments and three methods (``Format``), found by its name in the entry
points ``fleet_tasks.formats``. The front opens a view, hands it everything it sees, and closes it::

    with formats.open("json", Streams(), output) as view:
        for item in engine:
            view.see(item)
        view.close(report)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from fleet_tasks import plugins
from fleet_tasks.formats.grid import Listing
from fleet_tasks.formats.guarded import Guarded
from fleet_tasks.formats.streams import Streams
from fleet_tasks.options import Output
from fleet_tasks.results import Chunk, Progress, Report, Result, State

if TYPE_CHECKING:
    from fleet_tasks.formats.lines import Lines
    from fleet_tasks.formats.live import Live

__all__ = ["SHIPPED", "Format", "Listing", "Streams", "View", "find", "listing", "open"]

SHIPPED = {
    "html": "fleet_tasks.formats.html:Html",
    "json": "fleet_tasks.formats.json:Json",
    "jsonl": "fleet_tasks.formats.json:JsonLines",
    "markdown": "fleet_tasks.formats.markdown:Markdown",
    "table": "fleet_tasks.formats.table:Table",
    "text": "fleet_tasks.formats.text:Text",
}


_PLAIN = Output()


class Format(Protocol):
    """One way to show results; it writes to the streams it is given and to nothing else.

    One that writes in ``result`` already says so with a class attribute ``streaming = True``.
    """

    def result(self, result: Result, streams: Streams) -> None:
        """One result, as it happens."""

    def show(self, report: Report, streams: Streams) -> None:
        """The whole run, at its end, results in the plan's order."""

    def rows(self, listing: Listing, streams: Streams) -> None:
        """Records of one kind: runs, devices, groups, agents."""


class View:
    """A format at work: everything seen goes to it, and to the progress display while there is one."""

    def __init__(
        self, format: Format, streams: Streams, live: Live | None = None, lines: Lines | None = None
    ) -> None:
        self._format = format
        self._streams = streams
        self._live = live
        self._lines = lines

    def see(self, item: Result | Progress | Chunk) -> None:
        """Take in one sign of life, some output, or one result."""
        if self._lines is not None:
            self._lines.see(item)
        if isinstance(item, Chunk):
            return
        if self._live is not None:
            self._live.see(item)
        if isinstance(item, Result):
            self._format.result(item, self._streams)

    def say(self, words: str) -> None:
        """A line beside the results; above the progress display while there is one."""
        if self._live is not None:
            self._live.say(words)
        else:
            self._streams.say(words)

    def close(self, report: Report) -> None:
        """End the progress display and show what there is to show."""
        self._stop()
        if self._lines is not None and self._lines.answered:
            self._streams.told = True
        self._format.show(report, self._streams)
        self._streams.keep()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._stop()
        self._streams.drop()


def find(name: str) -> Format:
    """The format of a name, a shipped one or a plug-in; raises UnknownName with the nearest one."""
    if name in SHIPPED:
        module, _, member = SHIPPED[name].partition(":")
        found: Format = getattr(import_module(module), member)()
        return found
    return Guarded(name, plugins.load("formats", name, also=SHIPPED))


def open(
    format: str | Format,
    streams: Streams,
    output: Output = _PLAIN,
    devices: Sequence[str] = (),
    *,
    stream: bool = False,
    tasks: Mapping[str, State | None] | None = None,
) -> View:
    """A view of what is about to happen on some devices; ``stream`` shows every line as it comes.

    ``tasks`` are those of a batch, each with the state in which it ended before, if it did.
    Raises RequestError when ``--output`` cannot be written, before any work is begun.
    """
    shown = find(format) if isinstance(format, str) else format
    streams.quiet = output.quiet
    if output.output:
        streams.redirect(output.output)
    # Lines that appear as they happen would tear the display when both are on the same screen.
    torn = output.debug or (streams.terminal and getattr(shown, "streaming", False))
    if stream:
        from fleet_tasks.formats.lines import Lines

        return View(shown, streams, lines=Lines(streams, answered=format == "text"))
    if output.quiet or torn or not streams.watched:
        return View(shown, streams)
    from fleet_tasks.formats.live import Live  # loads rich: only where progress is watched

    return View(shown, streams, Live(streams.err, devices, tasks=tasks))


def listing(kind: str, rows: Sequence[Any], format: str | Format, streams: Streams, *, sheet: bool = False) -> None:
    """Show records of one kind; ``sheet`` shows every field of each, for people."""
    shown = find(format) if isinstance(format, str) else format
    shown.rows(Listing(kind, rows, sheet), streams)
    streams.keep()
