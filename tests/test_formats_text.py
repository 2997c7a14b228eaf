"""What people read: one answer alone, equal answers once, failures last."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from fleet_tasks import formats
from fleet_tasks.formats import Streams
from fleet_tasks.options import Output
from fleet_tasks.results import FileCopy, Report, Result, State
from tests.showing import Pipes, Terminal, problem, report, result


def shown(whole: Report, **output: Any) -> Pipes:
    pipes = Pipes()
    with formats.open("text", pipes, Output(**output)) as view:
        for item in whole.results:
            view.see(item)
        view.close(whole)
    return pipes


def test_one_answer_stands_alone_on_standard_output_byte_for_byte() -> None:
    answer = b"no newline \xff\x1b[31m\r\n\0"
    pipes = shown(report(result(stdout=answer)))
    assert pipes.exact == answer
    assert pipes.said.startswith("dispatch: 1 done in 3.2 s (run 0")


def test_one_answer_cannot_drive_a_terminal() -> None:
    terminal = Terminal()
    streams = Streams(terminal.stream, io.StringIO())
    with formats.open("text", streams) as view:
        view.close(report(result(stdout=b"\x1b]52;c;eA==\x07 \xe2\x80\xaeabc")))
    assert terminal.close() == "␛]52;c;eA==␇ \\u202eabc\r\n"


def test_quiet_means_no_summary() -> None:
    pipes = shown(report(result(stdout=b"x\n")), quiet=True)
    assert (pipes.shown, pipes.said) == ("x\n", "")


def test_equal_answers_are_shown_once_and_failures_last() -> None:
    lab = [result(f"lab{number:02}", stdout=b"x86_64\n") for number in range(1, 21)]
    lost = result("nas", State.UNREACHABLE, error=problem("unknown-host", "No address.", "Check the spelling of nas"))
    pipes = shown(report(lost, *lab, result("deck", stdout=b"arm64\nsecond\n")))
    assert pipes.shown == "lab[01-20] (20):\n  x86_64\ndeck:\n  arm64\n  second\n"
    assert pipes.said.splitlines()[:2] == [
        "nas: unreachable, unknown-host: No address.",
        "  Check the spelling of nas",
    ]
    assert pipes.said.splitlines()[2].startswith("dispatch: 21 done, 1 unreachable in 3.2 s")


def test_an_answer_cannot_pass_for_another_devices() -> None:
    pipes = shown(report(result("a", stdout=b"x\nb:\n  forged\r\nb:"), result("b", stdout=b"y")))
    assert [line for line in pipes.shown.splitlines() if not line.startswith("  ")] == ["a:", "b:"]


def test_no_output_is_an_answer_too() -> None:
    assert shown(report(result("lab1"), result("lab2"))).shown == "lab[1-2] (2): done, no output\n"
    files = [result(name, action="put") for name in ("lab1", "lab2")]
    assert shown(report(*files)).shown == "lab[1-2] (2): done\n", "nobody asked for output"


def test_partial_answers_of_failed_devices_are_shown_as_such() -> None:
    late = problem("timed-out", "It took longer than 5 s.", "Give it more time: --timeout S")
    pipes = shown(report(result("a", stdout=b"x"), result("b", State.TIMED_OUT, stdout=b"x", error=late)))
    assert pipes.shown == "a:\n  x\nb: timed-out:\n  x\n"
    assert "b: timed-out: It took longer than 5 s.\n  Give it more time: --timeout S\n" in pipes.said


def test_a_shells_standard_error_belongs_to_its_answer() -> None:
    assert shown(report(result(agent="shell", stderr=b"oops\x07\n"))).said.startswith("oops␇\n")
    several = shown(report(*(result(name, agent="shell", stderr=b"oops\n") for name in ("a1", "a2"))))
    assert several.said.startswith("a[1-2] on standard error:\n  oops\n")


def test_an_agents_log_is_shown_only_where_it_failed() -> None:
    log = b"".join(b"line %d\n" % number for number in range(50))
    broken = result("b", State.FAILED, stderr=log, error=problem())
    assert "line" not in shown(report(result(stderr=log))).said
    assert "line 0\n" in shown(report(broken)).said
    several = shown(report(result("a", stderr=log), broken)).said
    assert "  line 49\n  Mend it.\n" in several
    assert "line 39\n" not in several


def test_two_hundred_failures_of_one_kind_are_a_few_lines() -> None:
    gone = [
        result(f"lab{number:03}", State.UNREACHABLE, error=problem("unknown-host", f"No address for lab{number:03}."))
        for number in range(200)
    ]
    said = shown(report(*gone)).said
    assert len(said.splitlines()) < 20
    assert "lab[008-199]: unreachable, unknown-host, as above\n" in said


def test_equal_failures_are_one_failure() -> None:
    said = shown(report(*(result(f"lab{number}", State.FAILED, error=problem()) for number in range(1, 4)))).said
    assert said.startswith("lab[1-3]: failed, agent-failed: It failed.\n  Mend it.\ndispatch: 3 failed")


def test_names_and_messages_of_failures_are_harmless() -> None:
    bad = result("x\x1b[2J", State.FAILED, error=problem(message="a\x1b]0;t\x07\nb", guidance="\u202ec"))
    said = shown(report(bad, result("y"))).said
    assert "x␛[2J: failed, agent-failed: a␛]0;t␇␤b\n  \\u202ec\n" in said


def test_a_truncated_answer_goes_whole_into_a_pipe(tmp_path: Path) -> None:
    whole = tmp_path / "stdout"
    whole.write_bytes(b"all of it " * 100_000)
    cut = result(stdout=b"all of", truncated=True, stdout_file=str(whole))
    assert shown(report(cut)).exact == whole.read_bytes()


def test_a_truncated_answer_names_its_file_where_people_read() -> None:
    several = shown(report(result("a", stdout=b"x", truncated=True, stdout_file="/gone/stdout"), result("b")))
    assert "a: shown in part; the whole is in /gone/stdout\n" in several.said
    assert shown(report(result(stdout=b"x", truncated=True, stdout_file="/gone/stdout"))).shown == "x"


def test_detached_work_answers_with_its_run() -> None:
    whole = report(result("a", State.RUNNING), result("b", State.RUNNING))
    pipes = shown(whole)
    assert pipes.shown == f"{whole.run}\n"
    assert f"a,b: running; see it: fleet follow --run {whole.run}\n" in pipes.said


def test_a_run_half_way_shows_the_answers_there_are() -> None:
    assert shown(report(result("a", State.RUNNING), result("b", stdout=b"x"))).shown == ("a: running\nb:\n  x\n")


def test_files_are_told_beside_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = tuple(FileCopy(name, f"{tmp_path}/into/a/{name}", 10, "0" * 64) for name in ("x", "sub/y"))
    assert "a: brought 2 files, 20 bytes into into/a\n" in shown(report(result("a", files=files))).said
    assert "a: sent 2 files, 20 bytes\n" in shown(report(result("a", action="put", files=files))).said
    many = [result(f"a{number}", files=files) for number in range(30)]
    assert "a[0-29]: brought 60 files, 600 bytes into into/a\n" in shown(report(*many)).said


def test_an_interrupted_run_says_so() -> None:
    pipes = shown(report(result("a"), result("b", State.CANCELLED, error=problem("cancelled")), interrupted=True))
    assert "dispatch: 1 done, 1 cancelled, interrupted in" in pipes.said


def test_a_batch_names_its_tasks() -> None:
    done = [result(device, task_id="t1", stdout=b"x") for device in ("lab1", "lab2")]
    assert shown(report(*done)).shown == "t1 on lab[1-2] (2):\n  x\n"


def test_tasks_of_a_batch_that_no_device_was_given_are_named_together() -> None:
    skipped = [result("", State.SKIPPED, task_id=f"t{n}", error=problem("deadline", "Too late.")) for n in range(2, 6)]
    failed = result("nas", State.FAILED, task_id="t1", error=problem())
    said = shown(report(failed, *skipped, command="batch")).said
    assert said.startswith("t[2-5]: skipped, deadline: Too late.\n  Mend it.\nt1 on nas: failed, agent-failed: It")


def test_every_failed_task_is_shown_with_its_first_words_and_the_way_out_once() -> None:
    done = [result("a", task_id=f"d{n}", stdout=b"fine") for n in range(500)]
    failed = [result("a", State.FAILED, task_id=f"f{n}", stderr=b"\n \nno %d\nmore" % n, error=problem())
              for n in range(20)]  # fmt: skip
    late = [result("", State.SKIPPED, task_id=f"s{n}", error=problem("late", f"No {n}.")) for n in range(20)]
    said = shown(report(*failed, *done, *late, command="batch")).said.splitlines()
    assert said[:8] == [f"s{n}: skipped, late: No {n}." for n in range(8)]
    assert said[8:10] == ["s[8-19]: skipped, late, as above", "  Mend it."]
    assert said[10:50:2] == [f"f{n} on a: failed, agent-failed: It failed." for n in range(20)]
    assert said[11:51:2] == [f"  no {n}" for n in range(20)]
    assert said[50] == "  Mend it." and len(said) == 52
    assert said[51].startswith("batch: 500 done, 20 failed, 20 skipped in ")


def test_other_runs_keep_the_order_of_their_plan() -> None:
    whole = report(result("a", State.FAILED, stdout=b"no", error=problem()), result("b", stdout=b"yes"))
    assert shown(whole).shown == "a: failed:\n  no\nb:\n  yes\n"


FACTS = {
    "agent": "picoclaw", "version": "0.2.9", "ready": False, "reason": "no model", "os": "Linux", "arch": "arm64",
    "cores": 8, "load": 0.25, "memory_mb": 15872, "disk_mb": 512, "home_writable": True, "round_trip_ms": 12.5,
}  # fmt: skip


def test_status_is_a_table_with_a_row_for_each_device() -> None:
    gone = result("nas", State.UNREACHABLE, action="status", error=problem("unknown-host", "No address.", "Look."))
    pipes = shown(report(result("deck", action="status", facts=FACTS), gone, command="status"))
    head, deck, nas = pipes.shown.splitlines()
    assert head.split() == [
        "DEVICE", "REACHABLE", "AGENT", "VERSION", "READY", "SYSTEM", "CORES", "LOAD", "MEMORY", "DISK", "TRIP",
    ]  # fmt: skip
    assert deck.split("  ")[:1] == ["deck"]
    for part in (
        "yes",
        "picoclaw",
        "0.2.9",
        "no: no model",
        "Linux/arm64",
        " 8 ",
        "0.25",
        "15.5 GB",
        "512 MB",
        "12.5 ms",
    ):
        assert part in deck
    assert nas.startswith("nas     unknown-host")
    assert "nas: unreachable, unknown-host: No address.\n  Look.\n" in pipes.said


def checked(device: str, *oks: bool) -> Result:
    items = [
        {"name": f"disk {number}", "ok": ok, "found": "12 MB", "wanted": "50 MB", "guidance": "Free some."}
        for number, ok in enumerate(oks)
    ]
    state = State.DONE if all(oks) else State.FAILED
    error = None if all(oks) else problem("requirement-missing")
    return result(device, state, action="check", facts={"checks": items}, error=error)


def test_check_shows_each_cross_with_its_fix() -> None:
    pipes = shown(report(checked("a", True, False), checked("b1", True), checked("b2", True), command="check"))
    assert pipes.shown == (
        "a:\n  ✓ disk 0: 12 MB\n  ✗ disk 1: 12 MB (wanted: 50 MB)\n      Free some.\n✓ b[1-2]: all 1 checks passed\n"
    )
    assert "requirement-missing" not in pipes.said


def test_check_of_one_device_shows_its_ticks_too() -> None:
    assert shown(report(checked("a", True, True), command="check")).shown.count("✓ disk") == 2


def test_check_without_unicode_has_words_for_ticks() -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    streams = Streams(out, io.StringIO())
    with formats.open("text", streams) as view:
        view.close(report(checked("a", True, False), command="check"))
    assert out.buffer.getvalue().decode().splitlines()[1:3] == [
        "  ok disk 0: 12 MB",
        "  NO disk 1: 12 MB (wanted: 50 MB)",
    ]


def test_an_unreachable_device_is_a_failure_of_its_check() -> None:
    gone = result("nas", State.UNREACHABLE, action="check", error=problem("unknown-host", "No address."))
    assert "nas: unreachable, unknown-host: No address." in shown(report(gone, command="check")).said


def test_nothing_at_all_is_still_a_summary() -> None:
    assert shown(report()).said.startswith("dispatch: nothing in 3.2 s")
