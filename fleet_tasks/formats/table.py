"""Table: one aligned row for each device or record."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterator

from fleet_tasks.formats import grid
from fleet_tasks.formats.grid import Grid, Listing
from fleet_tasks.formats.reporting import is_batch, summary
from fleet_tasks.formats.streams import Streams
from fleet_tasks.results import Report, Result

_GAP = "  "


class Table:
    """Every result as a row; the reasons of failures are in their rows."""

    def result(self, result: Result, streams: Streams) -> None:
        """Rows are aligned with one another, so nothing is shown before all are there."""

    def show(self, report: Report, streams: Streams) -> None:
        """The whole run as one table; of a batch, which may be longer than the screen, its numbers as well."""
        write(grid.of_report(report), streams)
        if is_batch(report) and not streams.quiet:
            streams.say(summary(report), style="dim")

    def rows(self, listing: Listing, streams: Streams) -> None:
        """Records as one table, or each as a sheet of its fields."""
        write_listing(listing, streams)


def write_listing(listing: Listing, streams: Streams) -> None:
    """A listing for people; an empty one is said to be so, beside the results."""
    if not listing.rows:
        streams.say(f"No {listing.kind}.")
    elif listing.sheet:
        for row in listing.rows:
            fields = tuple((name, grid.cell(value, name)) for name, value in grid.values(row).items())
            for line in lines(Grid(("", ""), tuple(pair for pair in fields if pair[1]))):
                streams.text(line)
    else:
        write(grid.of_listing(listing), streams)


def write(table: Grid, streams: Streams) -> None:
    """Print a table; on a terminal its lines are cut at the edge instead of wrapped."""
    width = shutil.get_terminal_size().columns if streams.terminal else 0
    head = Grid(table.columns, (tuple(column.upper() for column in table.columns), *table.rows))
    for number, line in enumerate(lines(head)):
        streams.text(cut(line, width), style="" if number else "bold")


def lines(table: Grid) -> Iterator[str]:
    """The rows, each column as wide as its widest cell."""
    widths = [max(map(cells, column)) for column in zip(*table.rows, strict=True)]
    for row in table.rows:
        padded = (text + " " * (width - cells(text)) for text, width in zip(row, widths, strict=True))
        yield _GAP.join(padded).rstrip()


def cells(text: str) -> int:
    """How many columns of a terminal a text takes: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def cut(text: str, width: int) -> str:
    """A text in at most ``width`` columns (0: any)."""
    if not width or cells(text) <= width:
        return text
    while cells(text) >= width:
        text = text[:-1]
    return text + "…"
