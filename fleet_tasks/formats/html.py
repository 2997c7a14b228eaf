"""HTML: the report as one file that needs nothing else, no script and no network."""

from __future__ import annotations

import html

from fleet_tasks.formats import grid, sanitize
from fleet_tasks.formats.grid import Grid, Listing
from fleet_tasks.formats.reporting import counts, ranked
from fleet_tasks.formats.streams import Streams
from fleet_tasks.results import Report, Result

# The policy makes the browser refuse whatever an escaping mistake of ours would let through.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8886; }}
pre {{ overflow: auto; max-height: 40rem; padding: .75rem; border: 1px solid #8886; border-radius: .5rem; }}
summary {{ cursor: pointer; font-weight: 600; }}
.bad {{ color: #c62828; }}
.good {{ color: #2e7d32; }}
</style>
</head>
<body>
"""
_END = "</body>\n</html>"


class Html:
    """A page with the run's numbers, its table and every answer, escaped."""

    def result(self, result: Result, streams: Streams) -> None:
        """The page begins with its numbers, so nothing is shown before all are there."""

    def show(self, report: Report, streams: Streams) -> None:
        """The whole page, device by device; failures stand open."""
        title = f"{report.command} {report.run}"
        streams.text(_PAGE.format(title=escape(title)) + f"<h1>{escape(report.command)}</h1>")
        numbers = f"{counts(report.counts)}{', interrupted' if report.interrupted else ''}"
        streams.text(f"<p>{numbers} in {report.seconds:.1f} s, exit code {report.exit_code}</p>")
        streams.text(f"<p>Run <code>{escape(report.run)}</code>, started {escape(report.started)}</p>")
        streams.text(_table(grid.of_report(report)))
        for result in ranked(report):
            streams.text(_section(result))
        streams.text(_END)

    def rows(self, listing: Listing, streams: Streams) -> None:
        """Records as one table."""
        head = _PAGE.format(title=escape(listing.kind)) + f"<h1>{escape(listing.kind)}</h1>\n"
        streams.text(head + _table(grid.of_listing(listing)) + f"\n{_END}")


def escape(words: str) -> str:
    """Any text as one line that means nothing to HTML."""
    return html.escape(sanitize.line(words))


def _table(table: Grid) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in table.rows)
    return f"<table>\n<tr>{head}</tr>\n" + "".join(f"<tr>{row}</tr>\n" for row in rows) + "</table>"


def _section(result: Result) -> str:
    look, shown = ("good", "") if result else ("bad", " open")
    names = " ".join(escape(name) for name in (result.device, result.task_id) if name)
    name = f'{names}: <span class="{look}">{result.state.value}</span>'
    parts = [f"<details{shown}>\n<summary>{name}</summary>"]
    if result.error:
        parts.append(f"<p>{escape(result.error.code)}: {escape(result.error.message)}</p>")
        parts.append(f"<p>{escape(result.error.guidance)}</p>")
    for kind, data in (("Answer", result.stdout), ("Standard error", b"" if result else result.stderr)):
        if data:
            parts.append(f"<p>{kind}</p>\n<pre>{html.escape(sanitize.text(data))}</pre>")
    for path in (result.stdout_file, result.stderr_file):
        if path:
            parts.append(f"<p>Shown in part; the whole is in <code>{escape(path)}</code></p>")
    if result.files:
        files = "".join(f"<li>{escape(file.local)} ({file.bytes} bytes)</li>" for file in result.files)
        parts.append(f"<ul>{files}</ul>")
    return "\n".join((*parts, "</details>"))
