"""Markdown: a report to keep or to paste, with numbers, a table and every device's answer."""

from __future__ import annotations

import re

from fleet_tasks.formats import grid, sanitize
from fleet_tasks.formats.grid import Grid, Listing
from fleet_tasks.formats.reporting import counts, ranked
from fleet_tasks.formats.streams import Streams
from fleet_tasks.results import Report, Result, State

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$@])")
_BACKTICKS = re.compile(r"`+")


class Markdown:
    """A report in GitHub's Markdown; what devices said can neither end its code block nor become markup."""

    def result(self, result: Result, streams: Streams) -> None:
        """The report begins with its numbers, so nothing is shown before all are there."""

    def show(self, report: Report, streams: Streams) -> None:
        """The whole report, section by section."""
        streams.text(f"# {inline(report.command)}\n\n{_numbers(report)}\n\n{grid_table(grid.of_report(report))}")
        for result in ranked(report):
            streams.text(f"\n{_section(result)}")

    def rows(self, listing: Listing, streams: Streams) -> None:
        """Records as one table."""
        streams.text(f"# {inline(listing.kind)}\n\n{grid_table(grid.of_listing(listing))}")


def inline(words: str) -> str:
    """Any text as one line that means nothing to Markdown."""
    return _PUNCTUATION.sub(r"\\\1", sanitize.line(words))


def fence(data: bytes) -> str:
    """A code block that its content cannot end: its fence is longer than any run of backticks inside."""
    words = sanitize.text(data).removesuffix("\n")
    longest = max((len(run) for run in _BACKTICKS.findall(words)), default=0)
    bar = "`" * max(3, longest + 1)
    return f"{bar}text\n{words}\n{bar}"


def grid_table(table: Grid) -> str:
    """A table in Markdown."""
    rows = [table.columns, ("---",) * len(table.columns), *(tuple(map(inline, row)) for row in table.rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _numbers(report: Report) -> str:
    done, total = report.counts[State.DONE], len(report.results)
    share = f" ({done * 100 // total} %)" if total else ""
    return "\n".join(
        (
            f"- Run: `{report.run}`",
            f"- Started: {inline(report.started)}, took {report.seconds:.1f} s",
            f"- Done: {done} of {total}{share}",
            f"- Results: {counts(report.counts)}{', interrupted' if report.interrupted else ''}",
            f"- Exit code: {report.exit_code}",
        ),
    )


def _section(result: Result) -> str:
    names = ": ".join(inline(name) for name in (result.device, result.task_id) if name)
    place = f" on {inline(result.host)}" if result.host else ""
    took = f"in {result.seconds:.1f} s" + (f", attempt {result.attempts}" if result.attempts > 1 else "")
    parts = [f"## {names}", f"{result.state.value} {took}{place}"]
    if result.error:
        parts.append(f"**{result.error.code}**: {inline(result.error.message)}")
        parts += [inline(result.error.guidance)] if result.error.guidance else []
    if result.stdout:
        parts.append(fence(result.stdout))
    if result.stderr and not result:
        parts += ["Standard error:", fence(result.stderr)]
    if result.truncated:
        parts += [f"Shown in part; the whole is in {inline(path)}" for path in _whole(result)]
    if result.files:
        parts.append("\n".join(f"- {inline(file.local)} ({file.bytes} bytes)" for file in result.files))
    return "\n\n".join(parts)


def _whole(result: Result) -> list[str]:
    return [path for path in (result.stdout_file, result.stderr_file) if path]
