"""Reporting: what the formats for people share: the order of results, what a failure said, a run in one line."""

from __future__ import annotations

from collections.abc import Mapping

from fleet_tasks.formats import sanitize
from fleet_tasks.results import Report, Result, State

_WORDS = 120
_RANK = {
    state: rank
    for rank, state in enumerate(
        (
            State.DONE,
            State.RUNNING,
            State.SKIPPED,
            State.CANCELLED,
            State.UNREACHABLE,
            State.LOST,
            State.TIMED_OUT,
            State.FAILED,
        )
    )
}


def ranked(report: Report) -> tuple[Result, ...]:
    """A batch's results by state, what went wrong last, where the prompt is; of any other run as they are.

    What never began comes before what did and failed: it may be thousands, and follows from the others.
    """
    if not is_batch(report):
        return report.results
    return tuple(sorted(report.results, key=lambda result: _RANK[result.state]))


def is_batch(report: Report) -> bool:
    """Whether the results are of many tasks, each with its id."""
    return report.command == "batch"


def said(result: Result) -> str:
    """The first line with anything on it of what a failure said: its standard error, else its output."""
    if result:
        return ""
    words = result.stderr.lstrip() or result.stdout.lstrip()
    return sanitize.line(words.partition(b"\n")[0].rstrip(), _WORDS)


def counts(numbers: Mapping[State, int]) -> str:
    """How many stand how, in words: ``19 done, 1 unreachable``."""
    return ", ".join(f"{number} {state}" for state, number in numbers.items() if number) or "nothing"


def summary(report: Report) -> str:
    """The run in one line: ``dispatch: 19 done, 1 unreachable in 3.2 s (run 01J...)``."""
    stopped = ", interrupted" if report.interrupted else ""
    return f"{report.command}: {counts(report.counts)}{stopped} in {report.seconds:.1f} s (run {report.run})"
