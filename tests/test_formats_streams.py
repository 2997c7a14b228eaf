"""Where results go, and that nothing on the way can hurt."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet_tasks import formats
from fleet_tasks.errors import FleetError, RequestError
from fleet_tasks.formats import Streams
from fleet_tasks.options import Output
from tests.showing import Pipes, Terminal, report, result


def test_a_pipe_gets_exact_bytes() -> None:
    pipes = Pipes()
    pipes.write(b"\x1b[2J\xff\r")
    assert pipes.exact == b"\x1b[2J\xff\r"


def test_a_terminal_gets_harmless_text() -> None:
    terminal = Terminal()
    Streams(terminal.stream, io.StringIO()).write(b"\x1b[2Jhello")
    assert terminal.close() == "␛[2Jhello"


def test_colour_is_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    streams = Streams(terminal.stream, terminal.stream)
    monkeypatch.setenv("TERM", "xterm")
    streams.say("one", style="red")
    monkeypatch.setenv("NO_COLOR", "1")
    streams.say("two", style="red")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    streams.say("three", style="red")
    assert terminal.close() == "\x1b[31mone\x1b[0m\r\ntwo\r\nthree\r\n"


def test_what_is_said_is_sanitised_in_pipes_too() -> None:
    pipes = Pipes()
    pipes.say("name\x1b[31m", style="red")
    assert pipes.said == "name␛[31m\n"


def test_a_stream_without_bytes_gets_text() -> None:
    out = io.StringIO()
    Streams(out, io.StringIO()).write("né".encode() + b"\xff")
    assert out.getvalue() == "né\ufffd"


def test_an_encoding_that_lacks_a_character_does_not_stop_us() -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    Streams(out, io.StringIO()).text("✓ fine")
    assert out.buffer.getvalue() == b"\\u2713 fine\n"


def test_a_reader_who_goes_away_does_not_end_the_work() -> None:
    code = (
        "from fleet_tasks.formats import Streams\n"
        "streams = Streams()\n"
        "for number in range(20000): streams.write(b'line\\n')\n"
        "streams.say('the work is done')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"the work is done\n"
    assert process.returncode == 0


def test_a_closed_standard_output_is_no_error() -> None:
    code = "from fleet_tasks.formats import Streams; s = Streams(); s.write(b'x'); s.text('y'); s.say('done')"
    script = f'exec "{sys.executable}" -c "{code}" >&-'
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    run = subprocess.run(["sh", "-c", script], capture_output=True, env=env, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "done\n")


def show(path: Path, answer: bytes = b"answer\n") -> Pipes:
    pipes = Pipes()
    with formats.open("text", pipes, Output(output=str(path))) as view:
        view.close(report(result(stdout=answer)))
    return pipes


def test_output_goes_to_a_file_and_nowhere_else(tmp_path: Path) -> None:
    pipes = show(tmp_path / "answer.txt", b"\x1b\xff")
    assert (tmp_path / "answer.txt").read_bytes() == b"\x1b\xff"
    assert pipes.exact == b""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answer.txt", "home"]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "answer.txt"
    path.write_text("old")
    with (
        pytest.raises(KeyboardInterrupt),
        formats.open("jsonl", Pipes(), Output(output=str(path))) as view,
    ):
        view.see(result())
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["answer.txt", "home"]


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "answer.txt"
    path.touch(0o600)
    show(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "answer.txt")
    show(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "answer.txt").read_text() == "answer\n"


def test_what_is_no_ordinary_file_is_written_to_directly(tmp_path: Path) -> None:
    show(Path(os.devnull))
    assert not Path(os.devnull).is_file()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    show(pipe)
    assert os.read(reader, 100) == b"answer\n"
    os.close(reader)


@pytest.mark.parametrize("place", ["none/answer.txt", "", "file/answer.txt", "a\0b"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="--output"):
        formats.open("json", Pipes(), Output(output=f"{tmp_path}/{place}"))


def test_a_full_disk_is_one_sentence() -> None:
    with pytest.raises(FleetError, match="No space left"):
        show(Path("/dev/full"), b"x" * 100_000)
