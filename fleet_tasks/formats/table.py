"""Table: one aligned row for each device or record."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Collection, Iterator, Sequence

from fleet_tasks.formats import grid
from fleet_tasks.formats.grid import Grid, Listing
from fleet_tasks.formats.reporting import is_batch, summary
from fleet_tasks.formats.streams import Streams
from fleet_tasks.results import Report, Result

_GAP = "  "
_READABLE = 20
"""What the last column keeps, however long the names before it are."""
_SHORTEST = 4
"""What a name keeps."""
_TOLD = 10
"""What a name keeps for as long as there is a column to spare."""
_SHORT = 8
"""Numbers no longer than this are not cut: with its end cut off one would be another number."""
_NUMBER = re.compile(r"([\d.]+)?")


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
    """Print a table; on a terminal it is narrowed, and its lines are cut at the edge instead of wrapped."""
    width = shutil.get_terminal_size().columns if streams.terminal else 0
    head = Grid(table.columns, (tuple(column.upper() for column in table.columns), *table.rows), table.spare)
    if width and head.spare:
        head = narrowed(head, width)
    for number, line in enumerate(lines(head)):
        streams.text(cut(line, width), style="" if number else "bold")


def narrowed(table: Grid, width: int) -> Grid:
    """A table, its heads among its rows, whose last column can be read: the widest others are cut.

    Where that does not do, what can be spared is left out.
    """
    columns = dict(zip(table.columns, zip(*table.rows, strict=True), strict=True))
    widths = {name: max(map(cells, column)) for name, column in columns.items()}
    last = table.columns[-1]
    least = {name: _least(columns[name][1:], widths[name]) for name in columns} | {last: min(widths[last], _READABLE)}
    spare = [name for name in table.spare if name in least and name != last]
    while spare and sum(max(few, min(widths[name], _TOLD)) for name, few in least.items()) > _room(least, width):
        del least[spare.pop(0)]
    room = _room(least, width) - least.pop(last)
    most = max(widths.values())
    while most and sum(max(fewest, min(widths[name], most)) for name, fewest in least.items()) > room:
        most -= 1
    short = [[pinched(text, max(fewest, most)) for text in columns[name]] for name, fewest in least.items()]
    return Grid((*least, last), tuple(zip(*short, columns[last], strict=True)))


def _room(columns: Collection[str], width: int) -> int:
    """What the gaps between so many columns leave of a width."""
    return width - len(_GAP) * (len(columns) - 1)


def pinched(text: str, width: int) -> str:
    """A name in at most ``width`` columns, with its beginning and its end: many differ by that alone."""
    if cells(text) <= width:
        return text
    end = ""
    while cells(end) < (width - 1) // 2:
        end = text[-len(end) - 1 :]
    while cells(end) > (width - 1) // 2:
        end = end[1:]
    return cut(text, width - cells(end)) + end


def _least(texts: Sequence[str], width: int) -> int:
    """How narrow a column may become."""
    return width if width <= _SHORT and all(map(_NUMBER.fullmatch, texts)) else min(width, _SHORTEST)


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
