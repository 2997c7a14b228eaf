"""Text: results for people. One device: the answer alone. More: equal answers once, failures last."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fleet_tasks.formats import grid, sanitize, table
from fleet_tasks.formats.folding import alike, names
from fleet_tasks.formats.grid import Listing
from fleet_tasks.formats.reporting import is_batch, ranked, said, summary
from fleet_tasks.formats.streams import Streams
from fleet_tasks.jobs import Action
from fleet_tasks.results import FileCopy, Report, Result, State

_INDENT = "  "
_DISTINCT = 8
_TAIL = 10
_CHUNK = 1 << 16


class Text:
    """Answers on standard output; names, failures and the summary on standard error."""

    def result(self, result: Result, streams: Streams) -> None:
        """Equal answers are shown together, so nothing is shown before all are there."""

    def show(self, report: Report, streams: Streams) -> None:
        """The whole run."""
        if report.command == "status":
            table.write(grid.of_report(report), streams)
        elif report.command == "check":
            _show_checks(report.results, streams)
        elif _is_started(report):
            _show_started(report, streams)
        elif streams.told:
            pass  # every line of the answers was shown as it came
        elif len(report.results) == 1:
            _show_answer(report.results[0], streams)
        else:
            _show_answers(ranked(report), streams)
        _show_files(report.results, streams)
        _show_failures(report, streams)
        if not streams.quiet:
            streams.say(summary(report), style="dim")

    def rows(self, listing: Listing, streams: Streams) -> None:
        """Records as a table."""
        table.write_listing(listing, streams)


def _is_started(report: Report) -> bool:
    """Whether work was begun and nothing is known of its end yet."""
    states = {result.state for result in report.results}
    return State.RUNNING in states and State.DONE not in states and not any(r.stdout for r in report.results)


def _show_started(report: Report, streams: Streams) -> None:
    """Detached work: its run's id alone is the answer, ready for ``$(...)``; who stopped following knows it already."""
    if not report.interrupted:
        streams.text(report.run)
    running = [result for result in report.results if result.state is State.RUNNING]
    if not streams.quiet:
        streams.say(f"{names(running)}: running; see it: fleet follow --run {report.run}")


def _show_answer(result: Result, streams: Streams) -> None:
    """One answer, byte for byte unless a terminal reads it; all of a truncated one where a program reads it."""
    whole = result.stdout_file if result.truncated and result.raw_stdout is None else None
    if whole and not streams.terminal and Path(whole).is_file():
        with Path(whole).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                streams.write(chunk)
    else:
        unfinished = streams.terminal and result.stdout and not result.stdout.endswith(b"\n")
        streams.write(result.stdout + b"\n" if unfinished else result.stdout)
        _tell_cut([result], streams)
    if _has_errors(result):
        streams.say(_text(result.stderr))


def _show_answers(results: Sequence[Result], streams: Streams) -> None:
    """Equal answers once, indented: nothing a device says can pass for another device's name."""
    told = [result for result in results if result or result.stdout]
    for same in alike(told, lambda result: (result.state, result.stdout)):
        devices = f" ({len(same)})" if len(same) > 1 else ""
        streams.text(f"{sanitize.line(names(same))}{devices}:{_standing(same[0])}", style="bold")
        if same[0].stdout:
            streams.text(_indented(_text(same[0].stdout)))
    _tell_cut(told, streams)
    for same in alike(filter(_has_errors, filter(bool, results)), lambda result: result.stderr):
        streams.say(f"{sanitize.line(names(same))} on standard error:")
        streams.say(_indented(_text(same[0].stderr)))


def _standing(result: Result) -> str:
    """What is to be said of an answer: nothing of a whole one."""
    if result.state is State.DONE:
        silent = " done, no output" if result.action == Action.DISPATCH.value else " done"
        return "" if result.stdout else silent
    return f" {result.state.value}{':' if result.stdout else ''}"


def _has_errors(result: Result) -> bool:
    """A shell's standard error belongs to its answer; an agent's at a task is a log, of interest when it failed."""
    log = result.agent != "shell" and result.action == "dispatch"
    return bool(result.stderr) and not (log and result)


def _tell_cut(results: Sequence[Result], streams: Streams) -> None:
    for result in results:
        for whole in filter(None, (result.stdout_file, result.stderr_file)):
            streams.say(f"{result.device}: shown in part; the whole is in {whole}")


def _show_checks(results: Sequence[Result], streams: Streams) -> None:
    """Crosses with their fixes, device by device; devices without a cross together at the end."""
    tick, cross = ("✓", "✗") if streams.unicode else ("ok", "NO")
    single = len(results) == 1
    good = [result for result in results if result and not single]
    for result in results:
        if not grid.checks(result) or result in good:
            continue
        streams.text(f"{result.device}:", style="bold")
        for item in grid.checks(result):
            fine = bool(item.get("ok"))
            found, wanted = grid.cell(item.get("found")), grid.cell(item.get("wanted"))
            missing = f" (wanted: {wanted})" if wanted and not fine else ""
            line = f"{_INDENT}{tick if fine else cross} {grid.cell(item.get('name'))}"
            details = f": {found}{missing}" if found or missing else ""
            streams.text(line + details, style="green" if fine else "red")
            if not fine and item.get("guidance"):
                streams.text(f"{_INDENT * 3}{grid.cell(item.get('guidance'))}")
    for same in alike(good, lambda result: len(grid.checks(result))):
        streams.text(f"{tick} {names(same)}: all {len(grid.checks(same[0]))} checks passed", style="green")


def _show_files(results: Sequence[Result], streams: Streams) -> None:
    """Where files went: a line for each device, or one line when there are many."""
    moved = [result for result in results if result.files]
    if streams.quiet or not moved:
        return
    for result in moved if len(moved) <= _TAIL else ():
        streams.say(f"{result.device}: {_files(result.files, result.action)}")
    if len(moved) > _TAIL:
        streams.say(f"{names(moved)}: {_files([file for result in moved for file in result.files], moved[0].action)}")


def _files(files: Sequence[FileCopy], action: str) -> str:
    count = f"{len(files)} file{'s' if len(files) > 1 else ''}, {sum(file.bytes for file in files)} bytes"
    if action == "put":
        return f"sent {count}"
    folder = os.path.commonpath([Path(file.local).absolute().parent for file in files])
    return f"brought {count} into {os.path.relpath(folder)}"


def _show_failures(report: Report, streams: Streams) -> None:
    """Failures of one kind together: the first few in full, the rest by name."""
    failed = [result for result in ranked(report) if not result and not (report.command == "check" and result.facts)]
    for kind in alike(failed, lambda result: result.error.code if result.error else result.state.value):
        if is_batch(report):
            _show_failed_tasks(kind, streams)
            continue
        sentences = alike(kind, lambda result: result.error)
        for same in sentences[:_DISTINCT]:
            _show_failure(same, streams, tail=len(report.results) > 1)
        _show_rest(sentences[_DISTINCT:], streams)


def _show_failed_tasks(kind: Sequence[Result], streams: Streams) -> None:
    """Every task with the first line of what it said; of those that said nothing the first few. The way out once."""
    sentences = alike(kind, lambda result: (result.error, said(result)))
    mute = [same for same in sentences if not said(same[0])]
    for same in mute[:_DISTINCT]:
        _show_sentence(same, streams)
    _show_rest(mute[_DISTINCT:], streams)
    for same in sentences:
        if words := said(same[0]):
            _show_sentence(same, streams)
            streams.say(_INDENT + words)
    for guidance in dict.fromkeys(result.error.guidance for result in kind if result.error):
        if guidance:
            streams.say(f"{_INDENT}{sanitize.line(guidance)}")


def _show_rest(groups: Sequence[Sequence[Result]], streams: Streams) -> None:
    """Those of a kind whose sentences are not shown, by name."""
    rest = [result for same in groups for result in same]
    if rest:
        streams.say(f"{sanitize.line(names(rest))}: {_code(rest[0])}, as above", style="red")


def _show_sentence(same: Sequence[Result], streams: Streams) -> None:
    error = same[0].error
    message = sanitize.line(error.message) if error else f"ended with status {same[0].exit_status}"
    streams.say(f"{sanitize.line(names(same))}: {_code(same[0])}: {message}", style="red")


def _show_failure(same: Sequence[Result], streams: Streams, *, tail: bool) -> None:
    _show_sentence(same, streams)
    error = same[0].error
    if tail:
        _show_tail(same, streams)
    if error and error.guidance:
        streams.say(f"{_INDENT}{sanitize.line(error.guidance)}")


def _show_tail(same: Sequence[Result], streams: Streams) -> None:
    """The end of what failed devices said on standard error, where they said the same."""
    if same[0].stderr and all(result.stderr == same[0].stderr for result in same):
        streams.say(_indented("\n".join(_text(same[0].stderr).split("\n")[-_TAIL:])))


def _code(result: Result) -> str:
    code = result.error.code if result.error else result.state.value
    return code if code == result.state.value else f"{result.state.value}, {code}"


def _text(data: bytes) -> str:
    return sanitize.text(data).rstrip("\n")


def _indented(words: str) -> str:
    return "\n".join(_INDENT + line for line in words.split("\n"))
