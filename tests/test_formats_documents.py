"""Documents for programs and reports to keep: exact fields, and nothing in them that a device could break."""

from __future__ import annotations

import html.parser
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks import formats, plugins
from fleet_tasks.devices import Device, Endpoint, Group
from fleet_tasks.errors import UnknownName
from fleet_tasks.formats import json as documents
from fleet_tasks.formats import markdown, table
from fleet_tasks.formats.html import escape
from fleet_tasks.history import RunSummary
from fleet_tasks.results import FileCopy, Report, State, Usage
from tests.showing import STARTED, Pipes, Terminal, problem, report, result

FIELDS = (
    "type device host action agent task_id state exit_status stdout stderr truncated stdout_file stderr_file "
    "seconds attempts started files usage error"
).split()


def shown(format: str, whole: Report) -> str:
    pipes = Pipes()
    with formats.open(format, pipes) as view:
        for item in whole.results:
            view.see(item)
        view.close(whole)
    return pipes.shown


def listed(format: str, kind: str, *rows: Any, **values: Any) -> str:
    pipes = Pipes()
    formats.listing(kind, rows, format, pipes, **values)
    return pipes.shown


# -- json ------------------------------------------------------------------------------------


def test_the_document_has_exactly_the_fields_of_the_design_in_their_order() -> None:
    whole = report(result("a", stdout=b"x"), result("b", State.FAILED, error=problem()))
    document = json.loads(shown("json", whole))
    assert list(document) == ["schema", "run", "command", "started", "seconds", "results", "summary"]
    assert [list(entry) for entry in document["results"]] == [FIELDS, FIELDS]
    assert document["summary"] == {
        "done": 1, "failed": 1, "timed-out": 0, "cancelled": 0, "lost": 0, "unreachable": 0, "skipped": 0,
        "running": 0, "exit_code": 1,
    }  # fmt: skip
    assert list(document["summary"]) == [*State, "exit_code"]
    assert document["results"][1]["error"] == {"code": "agent-failed", "message": "It failed.", "guidance": "Mend it."}


def test_what_is_written_piece_by_piece_is_the_whole_document() -> None:
    for whole in (report(), report(result("a")), report(result("a"), result("b"))):
        assert json.loads(shown("json", whole)) == documents.document(whole)


def test_facts_are_only_in_entries_that_have_them() -> None:
    for action in ("status", "check"):
        assert list(documents.entry(result(action=action, facts={"a": 1}))) == [*FIELDS, "facts"]
    assert documents.entry(result(action="status"))["facts"] is None


def test_bytes_that_are_no_text_and_numbers_that_are_none() -> None:
    entry = documents.entry(result(stdout=b"\xff\0", seconds=float("nan"), usage=Usage(cost=float("inf"))))
    assert entry["stdout"] == "\ufffd\0"
    assert entry["seconds"] is None
    assert entry["usage"] == {"input_tokens": None, "output_tokens": None, "requests": None, "cost": None}


def test_files_are_in_the_document() -> None:
    file = FileCopy("report.md", "/x/report.md", 12, "ab")
    expected = {"remote": "report.md", "local": "/x/report.md", "bytes": 12, "sha256": "ab"}
    assert documents.entry(result(files=(file,)))["files"] == [expected]


@given(st.text(st.characters()))
def test_json_keeps_every_text_and_holds_no_character_that_drives_a_terminal(text: str) -> None:
    encoded = documents.encode(text)
    assert json.loads(encoded) == re.sub("[\ud800-\udfff]", "\ufffd", text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e0fff]", encoded)


def test_a_terminal_and_a_pipe_get_the_same_document() -> None:
    whole = report(result(stdout=b"\x1b[2J\xc2\x9b\xe2\x80\xae"))
    terminal = Terminal()
    with formats.open("json", formats.Streams(terminal.stream, io.StringIO())) as view:
        view.close(whole)
    assert terminal.close().replace("\r\n", "\n") == shown("json", whole)


# -- jsonl -----------------------------------------------------------------------------------


def test_lines_come_as_results_happen_and_the_summary_last() -> None:
    whole = report(result("a", stdout=b"1\n2\xe2\x80\xa83"), result("b"))
    pipes = Pipes()
    with formats.open("jsonl", pipes) as view:
        view.see(whole.results[1])
        assert json.loads(pipes.shown)["device"] == "b"
        view.see(whole.results[0])
        view.close(whole)
    second, first, last = map(json.loads, pipes.shown.splitlines())
    assert (second["type"], second["device"], first["device"]) == ("result", "b", "a")
    assert list(last) == ["type", "run", "command", "started", "seconds", *State, "exit_code"]
    assert (last["type"], last["run"], last["done"]) == ("summary", whole.run, 2)


# -- reports ---------------------------------------------------------------------------------


@given(st.binary())
def test_no_answer_ends_its_code_block(data: bytes) -> None:
    first, *inside, last = markdown.fence(b"`" * (len(data) % 7) + b"\n" + data).split("\n")
    assert first == f"{last}text"
    assert set(last) == {"`"}
    assert not any(last in line for line in inside)


def test_a_report_tells_numbers_then_devices() -> None:
    whole = report(
        result("a_b|c", stdout=b"````\n# forged\n", files=(FileCopy("x", "/l/x", 3, "0"),)),
        result("d", State.FAILED, error=problem(message="<script>|`x`\n# h"), stderr=b"why\n"),
    )
    shown_ = shown("markdown", whole)
    assert "- Done: 1 of 2 (50 %)\n- Results: 1 done, 1 failed\n- Exit code: 1" in shown_
    assert "| a\\_b\\|c | done |" in shown_
    assert "## a\\_b\\|c\n" in shown_
    assert "`````text\n````\n# forged\n`````\n" in shown_
    assert "**agent-failed**: \\<script\\>\\|\\`x\\`␤\\# h" in shown_
    assert "Standard error:\n\n```text\nwhy\n```" in shown_
    assert "- /l/x (3 bytes)" in shown_


class Page(html.parser.HTMLParser):
    """What tags and attributes a page really has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value for name, value in attrs if name in ("href", "src", "onload", "onclick")]


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=y>"


def test_a_page_is_one_file_and_nothing_remote_is_markup_in_it() -> None:
    bad = result(
        EVIL, State.FAILED, stdout=f"{EVIL}\x1b[2J".encode(), stderr=EVIL.encode(), host=EVIL, truncated=True,
        stdout_file=EVIL, error=problem(message=EVIL, guidance=EVIL), files=(FileCopy(EVIL, EVIL, 1, ""),),
    )  # fmt: skip
    text = shown("html", report(bad, result("fine", stdout=b"ok")))
    page = Page()
    page.feed(text)
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert page.values == []
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text
    assert text.count("&lt;script&gt;") >= 7
    assert "␛[2J" in text


def test_html_of_a_line_is_one_line() -> None:
    assert escape("a\n<b>") == "a␤&lt;b&gt;"


# -- tables ----------------------------------------------------------------------------------


def test_a_table_has_a_row_for_each_result() -> None:
    whole = report(
        result("a", stdout=b"one\r\ntwo\nthree\n", exit_status=0),
        result("long-name", State.FAILED, error=problem(), exit_status=1),
    )
    assert shown("table", whole).splitlines() == [
        "DEVICE     STATE   EXIT  SECONDS  ANSWER",
        "a          done    0     0.5      one (+2 lines)",
        "long-name  failed  1     0.5      agent-failed: It failed.",
    ]


def test_a_row_of_a_failure_begins_with_what_it_said() -> None:
    loud = {"stdout": b"half an answer", "stderr": b"\r\n\x1b[2Jdisk full\r\n" + b"x" * 500_000}
    failures = [loud, {"stdout": b"\n out of luck\nmore"}, {"stderr": b"y" * 1000}, {}]
    rows = shown("table", report(*(result("a", State.FAILED, error=problem(), **said) for said in failures)))
    assert [row.split("0.5      ")[1] for row in rows.splitlines()[1:]] == [
        "␛[2Jdisk full (agent-failed: It failed.)",
        "out of luck (agent-failed: It failed.)",
        f"{'y' * 119}… (agent-failed: It failed.)",
        "agent-failed: It failed.",
    ]


def test_a_table_of_tasks_names_them() -> None:
    lines = shown("table", report(result("a", task_id="t1"), result("b"))).splitlines()
    assert lines[0].split() == ["DEVICE", "TASK", "STATE", "EXIT", "SECONDS", "ANSWER"]
    assert lines[1].split() == ["a", "t1", "done", "0.5"]


def test_checks_are_rows() -> None:
    facts = {"checks": [{"name": "disk", "ok": False, "found": "1 MB", "wanted": "50 MB", "guidance": "Free some."}]}
    whole = report(result("a", State.FAILED, action="check", facts=facts, error=problem()), command="check")
    assert shown("table", whole).splitlines()[1] == "a       disk   no  1 MB   50 MB   Free some."


def test_wide_characters_are_counted_as_wide() -> None:
    assert table.cells("世界") == 4
    assert table.cells("e\u0301") == 1
    assert table.cut("世界世界", 5) == "世界…"
    assert table.cut("abc", 3) == "abc"


# -- listings --------------------------------------------------------------------------------

RUN = RunSummary("01ARYZ6S410000000000000000", "dispatch", STARTED, 3.2, {"done": 2, "running": 0, "exit_code": 0})
DEVICE = Device("deck", "deck.local", port=22, tags=("gpu", "arm"), jump=(Endpoint("bastion", "me"),))
GROUP = Group("lab", ("lab[1-3]", "deck"), ("lab1", "lab2", "lab3", "deck"))


def test_listings_are_documents() -> None:
    assert json.loads(listed("json", "runs", RUN)) == {
        "schema": 1,
        "runs": [
            {"run": RUN.run, "command": "dispatch", "started": STARTED, "seconds": 3.2, "summary": dict(RUN.summary)},
        ],
    }
    (device,) = json.loads(listed("json", "devices", DEVICE))["devices"]
    assert (device["name"], device["tags"], device["jump"]) == ("deck", ["gpu", "arm"], ["me@bastion"])
    assert json.loads(listed("json", "groups")) == {"schema": 1, "groups": []}
    assert [json.loads(line)["name"] for line in listed("jsonl", "groups", GROUP, GROUP).splitlines()] == ["lab", "lab"]


def test_listings_are_tables_for_people() -> None:
    assert listed("text", "runs", RUN).splitlines()[1] == f"{RUN.run}  dispatch  {STARTED}  3.2      2 done"
    assert listed("table", "devices", DEVICE).splitlines() == [
        "NAME  HOST        PORT  TAGS",
        "deck  deck.local  22    gpu, arm",
    ]
    assert "deck,lab[1-3]" in listed("text", "groups", GROUP)
    assert "| lab | deck,lab\\[1-3\\] |" in listed("markdown", "groups", GROUP)
    assert "<td>lab</td>" in listed("html", "groups", GROUP)


def test_a_sheet_shows_every_field() -> None:
    assert "jump   me@bastion\n" in listed("text", "devices", DEVICE, sheet=True)


def test_an_empty_listing_is_said_beside_the_results() -> None:
    pipes = Pipes()
    formats.listing("runs", [], "text", pipes)
    assert (pipes.shown, pipes.said) == ("", "No runs.\n")


def test_a_listing_is_harmless_too() -> None:
    assert "\x1b" not in listed("text", "devices", Device("deck", "x\x1b[2J", description="a\nb\u202e"))


# -- names -----------------------------------------------------------------------------------


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean markdown"):
        formats.find("markdwon")


def test_a_strangers_format_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shouting.py").write_text(
        "class Shout:\n"
        "    def result(self, result, streams): streams.text(result.device.upper())\n"
        "    def show(self, report, streams): streams.text('THE END')\n"
        "    def rows(self, listing, streams): streams.text(listing.kind.upper())\n",
    )
    info = tmp_path / "shouting-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[fleet_tasks.formats]\nshout = shouting:Shout\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins._declared.cache_clear()
    assert shown("shout", report(result("a"))) == "A\nTHE END\n"
    plugins._declared.cache_clear()
