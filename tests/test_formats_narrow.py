"""Tables on narrow terminals: the column that tells why can be read, whatever stands before it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks import formats
from fleet_tasks.formats import Streams, table
from fleet_tasks.formats.grid import Grid
from fleet_tasks.formats.plan import PlanRow
from fleet_tasks.results import Report, State
from fleet_tasks.tasks.batches import TaskRow
from tests.showing import Terminal, problem, report, result

IDS = [f"summarise-the-logs-of-day-{number}" for number in range(3)]
WIDTHS = [40, 41, 47, 60, 79, 200]
WAITING = TaskRow("merge", "shell", ("lab01", "lab02"), tuple(f"day-{n}" for n in range(20)), 12, "Merge it all.")


@pytest.fixture
def failed() -> Report:
    words = {"stderr": b"The disk of it is full.\nmore", "error": problem(), "exit_status": 3, "seconds": 1234.5}
    return report(*(result("lab01", State.FAILED, task_id=id_, **words) for id_ in IDS), command="batch")


def seen(width: int, monkeypatch: pytest.MonkeyPatch, *, whole: Report | None = None, rows: Any = ()) -> list[str]:
    """The lines on a terminal of a width."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    streams = Streams(terminal.stream, io.StringIO())
    if whole is None:
        formats.listing("plan", rows, "text", streams)
    else:
        with formats.open("table", streams) as view:
            view.close(whole)
    lines = terminal.close().splitlines()
    assert max(map(table.cells, lines)) <= width
    return lines


@pytest.mark.parametrize("width", WIDTHS)
def test_why_a_task_failed_can_be_read(width: int, failed: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    head, *rows = seen(width, monkeypatch, whole=failed)
    assert head.endswith("  ANSWER") and len(rows) == len(IDS)
    for row in rows:
        assert row[head.index("ANSWER") :].startswith("The disk of it is f"), row


def test_the_names_are_narrowed_first_and_numbers_are_whole_or_not_there(
    failed: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(64, monkeypatch, whole=failed)[:2] == [
        "DEVICE  TASK         STATE   EXIT  SECONDS  ANSWER",
        "lab01   summa…day-0  failed  3     1234.5   The disk of it is f…",
    ]
    assert seen(60, monkeypatch, whole=failed)[1] == "lab01   summaris…f-day-0  failed  3     The disk of it is f…"
    assert seen(47, monkeypatch, whole=failed)[1] == "lab01   summ…ay-0  failed  The disk of it is f…"
    assert seen(40, monkeypatch, whole=failed)[0].split()[-1] == "ANSWER"


@given(st.text(), st.integers(1, 30))
def test_a_name_that_is_too_long_keeps_its_beginning_and_its_end(name: str, width: int) -> None:
    short = table.pinched(name, width)
    assert table.cells(short) <= width
    if short != name:
        begin, _, end = short.partition("…")
        assert name.startswith(begin) and (name.endswith(end) or "…" in name)


def test_what_fits_is_as_it_is_without_a_terminal(failed: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"lab01   {IDS[0]}  failed  3     1234.5   The disk of it is full. (agent-failed: It failed.)" in seen(
        120, monkeypatch, whole=failed
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_many_forerunners_do_not_hide_the_wave_and_the_task(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    head, row = seen(width, monkeypatch, rows=[WAITING])
    assert head.split()[-2:] == ["WAVE", "TASK"]
    assert row[head.index("WAVE") :].startswith("12    Merge it all.")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_long_address_does_not_hide_the_task(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    host = "somebody@a-long-name.of-a-place.example.org:2222"
    visit = PlanRow("lab01", host, "deploy, dispatch, teardown", "picoclaw", "maker/model-4-5", 300.0, "Merge it all.")
    head, row = seen(width, monkeypatch, rows=[visit])
    assert row[head.index("TASK") :] == "Merge it all."


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_without_a_task_fits_too(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    visit = PlanRow("lab01" * 20, "a" * 60, "teardown", "picoclaw", None, None, "")
    head, row = seen(width, monkeypatch, rows=[visit])
    assert head.endswith("AGENT") and row.endswith("picoclaw")


@given(st.lists(st.tuples(*[st.text("ab世1.", max_size=30)] * 6), max_size=4), st.integers(40, 130))
def test_the_last_column_keeps_its_width_whatever_the_others_hold(rows: list[tuple[str, ...]], width: int) -> None:
    names = ("device", "task", "state", "exit", "seconds", "answer")
    whole = Grid(names, (tuple(map(str.upper, names)), *rows), ("seconds", "exit"))
    found = table.narrowed(whole, width)
    assert [row[-1] for row in found.rows] == [row[-1] for row in whole.rows]
    before = [max(map(table.cells, column)) for column in zip(*found.rows, strict=True)][:-1]
    longest = max(table.cells(row[-1]) for row in found.rows)
    assert sum(before) + 2 * len(before) + min(longest, 20) <= width
