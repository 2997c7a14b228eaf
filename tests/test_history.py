"""History keeps exactly what happened, and is never in the way of work."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet_tasks import history, ids
from fleet_tasks.devices import Device
from fleet_tasks.errors import RequestError, UnknownName
from fleet_tasks.history import Entry, History, RunSummary, schema, storage
from fleet_tasks.jobs import Action, Job, Visit
from fleet_tasks.results import FileCopy, Report, Result, State, Usage
from tests.bench import PATIENCE
from tests.showing import STARTED, problem, report, result

ROOT = Path(__file__).parent.parent


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def past(place: Path) -> Iterator[History]:
    opened = History.open(place)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.2)


def entry(device: str, **values: str) -> Entry:
    return Entry(**{"device": device, "host": f"deck@{device}:22", "action": "dispatch", "agent": "demo", **values})


def begin(past: History, *devices: str, command: str = "dispatch") -> str:
    run = ids.new_run()
    past.begin(run, command, STARTED, [entry(device) for device in devices])
    return run


def whole(past: History, *results: Result, interrupted: bool = False) -> str:
    """A finished run of these results."""
    run = begin(past, *(item.device for item in results))
    for item in results:
        past.record(run, item)
    past.finish(Report(run, "dispatch", STARTED, 3.2, results, interrupted))
    return run


FULL = result(
    "deck", State.FAILED, agent="picoclaw", exit_status=143, stdout=b"\0\xff\x1b[2J\r\n", stderr=bytes(range(256)),
    raw_stdout=b"banner\n\0", truncated=True, stdout_file="/x/stdout", stderr_file="/x/stderr", attempts=3,
    files=(FileCopy("a b", "/l/a\nb", 12, "ff"),), usage=Usage(1, None, 2, 0.25), error=problem(),
    facts={"checks": [{"name": "n", "ok": True}], "load": 0.5},
)  # fmt: skip


# -- what is kept ----------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was(past: History) -> None:
    results = (FULL, result("b"), result("c", State.UNREACHABLE, error=problem("unknown-host")))
    run = whole(past, *results, interrupted=True)
    assert past.load(run) == Report(run, "dispatch", STARTED, 3.2, results, interrupted=True)


def test_another_process_reads_the_same(past: History, place: Path) -> None:
    run = whole(past, FULL)
    past.close()
    assert History.open(place).load(run).results == (FULL,)


@settings(max_examples=30)
@given(st.binary(), st.binary(), st.text(st.characters()))
@example(b"", b"", "\ud800 \udcff \0")
def test_any_bytes_and_any_text_can_be_kept(
    tmp_path_factory: pytest.TempPathFactory, out: bytes, err: bytes, text: str
) -> None:
    past = History.open(tmp_path_factory.mktemp("state"))
    item = result("a", stdout=out, stderr=err, error=problem(message=text, guidance=text), host=text, stdout_file=text)
    (kept,) = past.load(whole(past, item)).results
    assert (kept.stdout, kept.stderr, kept.error) == (out, err, item.error)
    past.close()


def test_results_stand_in_the_plans_order(past: History) -> None:
    run = begin(past, "a", "b", "c")
    for device in ("c", "a", "b"):
        past.record(run, result(device))
    assert [item.device for item in past.load(run).results] == ["a", "b", "c"]


def test_tasks_of_one_device_are_kept_apart(past: History) -> None:
    run = ids.new_run()
    past.begin(run, "batch", STARTED, [entry("a", task_id="t1"), entry("a", task_id="t2"), entry("a")])
    past.record(run, result("a", task_id="t2", stdout=b"2"))
    past.record(run, result("a", stdout=b"0"))
    past.record(run, result("a", task_id="t1", stdout=b"1"))
    assert [item.stdout for item in past.load(run).results] == [b"1", b"2", b"0"]


def test_a_result_nobody_planned_is_kept_too(past: History) -> None:
    run = begin(past, "a")
    past.record(run, result("z", agent="shell"))
    assert [(item.device, item.state) for item in past.load(run).results] == [("a", State.RUNNING), ("z", State.DONE)]


def test_detached_work_is_running_until_its_end_is_told(past: History) -> None:
    run = whole(past, result("a", State.RUNNING), result("b", State.RUNNING))
    assert [item.state for item in past.load(run).results] == [State.RUNNING, State.RUNNING]
    past.record(run, result("b", stdout=b"end"))
    assert [item.state for item in past.load(run).results] == [State.RUNNING, State.DONE]


def test_a_plan_is_kept_without_its_environment(past: History, place: Path) -> None:
    device = Device("a", "h", user="me", env={"TOKEN": "canary-1"})
    hidden = Job(Action.DEPLOY, reported=False)
    job = Job(Action.DISPATCH, agent="demo", task="do it", model="m", env={"KEY": "canary-2"}, secrets=("KEY",))
    planned = history.planned([Visit(device, (hidden, job))])
    assert planned == (Entry("a", "me@h", "dispatch", "demo", "m", None, "do it"),)
    past.begin(ids.new_run(), "dispatch", STARTED, planned)
    past.close()
    kept = b"".join(path.read_bytes() for path in place.iterdir() if path.is_file())
    assert b"do it" in kept
    assert b"canary" not in kept


# -- runs ------------------------------------------------------------------------------------


def test_runs_are_told_newest_first(past: History) -> None:
    first = whole(past, result("a"), result("b", State.FAILED, error=problem()))
    second = whole(past, result("a"))
    newest, oldest = past.runs()
    assert (newest.run, oldest.run) == (second, first)
    assert oldest == RunSummary(
        first, "dispatch", STARTED, 3.2,
        {"done": 1, "failed": 1, "timed-out": 0, "cancelled": 0, "lost": 0, "unreachable": 0, "skipped": 0,
         "running": 0, "exit_code": 1},
    )  # fmt: skip
    assert [run.run for run in past.runs(limit=1)] == [second]
    assert [run.run for run in past.runs(device="b")] == [first]
    assert past.runs(device="z") == []


@pytest.mark.parametrize(
    ("states", "interrupted", "code"),
    [([State.DONE], False, 0), ([State.UNREACHABLE] * 2, False, 3), ([State.DONE, State.LOST], False, 1),
     ([State.DONE], True, 130), ([State.RUNNING], False, 0)],
)  # fmt: skip
def test_exit_codes_are_those_of_the_reports(past: History, states: list[State], interrupted: bool, code: int) -> None:
    results = [result(f"d{number}", state) for number, state in enumerate(states)]
    run = whole(past, *results, interrupted=interrupted)
    assert past.runs()[0].summary["exit_code"] == past.load(run).exit_code == code


def test_a_prefix_finds_its_run(past: History) -> None:
    first, second = whole(past, result("a")), whole(past, result("a"))
    assert past.find(first) == first
    assert past.find(f" {second.lower()} ") == second
    with pytest.raises(RequestError, match=f"several runs: {second}, {first}"):
        past.find(first[:8])
    with pytest.raises(UnknownName, match="no run '7ZZ'"):
        past.find("7ZZ")
    for wrong in ("", " ", "%", "_", "' OR 1", "\udcff"):
        with pytest.raises(RequestError):
            past.find(wrong)


def test_ambiguous_prefixes_name_a_few(past: History) -> None:
    for _ in range(7):
        begin(past, "a")
    with pytest.raises(RequestError, match=r", \.\.\.\."):
        past.find("0")


def test_an_unknown_run_cannot_be_loaded(past: History) -> None:
    with pytest.raises(UnknownName):
        past.load(ids.new_run())


# -- the living and the dead -------------------------------------------------------------------


BEGIN_AND_WAIT = """
import sys, time
from pathlib import Path
from fleet_tasks import ids
from fleet_tasks.history import Entry, History
from fleet_tasks.results import Result, State
past = History.open(Path(sys.argv[1]))
run = ids.new_run()
past.begin(run, "dispatch", "2026-01-02T03:04:05Z", [Entry("a", "h", "dispatch"), Entry("b", "h", "dispatch")])
past.record(run, Result("a", "h", "dispatch", State.DONE, stdout=b"kept"))
print(run, flush=True)
sys.stdin.read()
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_work_without_a_result_is_running_while_its_process_lives_and_lost_after_kill_9(place: Path) -> None:
    with python(BEGIN_AND_WAIT, str(place)) as worker:
        assert worker.stdout is not None
        run = worker.stdout.readline().strip()
        past = History.open(place)
        assert past.alive(run)
        assert [item.state for item in past.load(run).results] == [State.DONE, State.RUNNING]
        assert past.runs()[0].summary["running"] == 1
        assert past.prune(keep_last=0) == 0
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert not past.alive(run)
        assert [item.state for item in past.load(run).results] == [State.DONE, State.LOST]
        assert past.load(run).results[0].stdout == b"kept"
        assert past.runs()[0].summary["lost"] == 1
        past.close()


WRITE_MANY = """
import sys
from pathlib import Path
from fleet_tasks import ids
from fleet_tasks.history import Entry, History
from fleet_tasks.results import Report, Result, State
past = History.open(Path(sys.argv[1]))
for _ in range(20):
    run = ids.new_run()
    past.begin(run, "dispatch", "2026-01-02T03:04:05Z", [Entry(str(n), "h", "dispatch") for n in range(5)])
    results = tuple(Result(str(n), "h", "dispatch", State.DONE, stdout=b"x" * 1000) for n in range(5))
    for result in results:
        past.record(run, result)
    past.finish(Report(run, "dispatch", "2026-01-02T03:04:05Z", 1.0, results))
past.close()
"""


def test_processes_at_once_lose_nothing_from_the_very_first(place: Path) -> None:
    workers = [python(WRITE_MANY, str(place)) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    for worker in workers:
        worker.communicate()
    past = History.open(place)
    runs = past.runs(limit=1000)
    assert len(runs) == 80
    assert all(run.summary["done"] == 5 for run in runs)
    assert list(place.glob("*broken*")) == []
    past.close()


# -- private files -----------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_files_are_private_whatever_the_umask(place: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        past = History.open(place)
        run = begin(past, "a")
        folder = past.files(run)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (place, *place.rglob("*"))}
    assert modes.pop("history.db") == 0o600
    for name in ("state", "runs", "live", folder.name):
        assert modes.get(name, 0o700) in (0o700, 0o600)
    assert set(modes.values()) == {0o600, 0o700}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    past.close()


def test_a_database_open_to_others_is_closed_to_them(place: Path) -> None:
    History.open(place).close()
    (place / "history.db").chmod(0o644)
    History.open(place).close()
    assert stat.S_IMODE((place / "history.db").stat().st_mode) == 0o600


def test_a_link_in_place_of_the_database_is_not_followed(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place.mkdir()
    (place / "history.db").symlink_to(tmp_path / "elsewhere")
    unusable(place, caplog)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["..", "../x", "", "a/b", "/etc"])
def test_a_runs_folder_is_never_elsewhere(past: History, name: str) -> None:
    with pytest.raises(ValueError, match="no run's id"):
        past.files(name)


def test_the_folder_is_the_environments_or_the_users(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.setenv("FLEET_STATE", "~/mine")
    assert history.folder() == own_home / "mine"
    monkeypatch.setenv("FLEET_STATE", "")
    assert own_home in history.folder().parents
    assert history.folder().name == "fleet-tasks"


# -- never in the way --------------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def unusable(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A whole run's work with a history that cannot be used: one warning, no error."""
    past = History.open(place)
    run = whole(past, FULL)
    assert len(warnings(caplog)) == 1
    assert "not used" in warnings(caplog)[0]
    with pytest.raises(RequestError, match="cannot be read"):
        past.find(run)
    for question in (past.runs, lambda: past.load(run), lambda: past.prune(keep_last=0)):
        with pytest.raises(RequestError):
            question()
    past.close()


def test_a_file_in_place_of_the_folder(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    place.write_text("in the way")
    unusable(place, caplog)
    assert place.read_text() == "in the way"


def test_files_of_a_run_have_a_place_anyway(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    place.write_text("in the way")
    folder = History.open(place).files(ids.new_run())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()


def damage(place: Path, how: str) -> None:
    database = place / "history.db"
    if how == "text":
        place.mkdir()
        database.write_text("this is no database" * 1000)
    elif how == "strange":
        place.mkdir()
        with sqlite3.connect(database) as db:
            db.execute("CREATE TABLE runs (something_else)")
        db.close()
    else:
        past = History.open(place)
        for _ in range(20):
            whole(past, result("a", stdout=b"x" * 5000))
        past.close()
        data = database.read_bytes()
        database.write_bytes(data[:100] + b"\xa5" * (len(data) - 100) if how == "scrambled" else data[:5000])


@pytest.mark.parametrize("how", ["text", "strange", "scrambled", "truncated"])
def test_a_broken_database_is_set_aside_with_one_warning(
    place: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    damage(place, how)
    before = (place / "history.db").read_bytes()
    past = History.open(place)
    run = whole(past, FULL)
    if not past._db:  # found in use, not at opening
        past = History.open(place)
        run = whole(past, FULL)
    assert past.load(run).results == (FULL,)
    assert len(warnings(caplog)) == 1
    (aside,) = [path for path in place.glob("*.broken-*") if not path.name.endswith(("-wal", "-shm"))]
    assert aside.read_bytes()[100:] == before[100:]
    assert str(aside) in warnings(caplog)[0]
    past.close()


def test_damage_found_in_use_ends_recording_and_is_set_aside(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    past = History.open(place)
    for _ in range(20):
        run = whole(past, result("a", stdout=b"x" * 5000))
    past.close()
    database = place / "history.db"
    data = bytearray(database.read_bytes())
    half = len(data) // 2
    data[half:] = b"\xa5" * (len(data) - half)
    database.write_bytes(data)
    past = History.open(place)
    with pytest.raises(RequestError, match="cannot be read"):
        past.load(run)
    past.record(run, result("a"))
    assert len(warnings(caplog)) == 1
    assert len(list(place.glob("history.db.broken-*"))) == 1
    again = History.open(place)
    assert again.runs() == []
    again.close()


def test_a_newer_database_is_left_alone(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    History.open(place).close()
    with sqlite3.connect(place / "history.db") as db:
        db.execute("INSERT INTO migrations VALUES ('holograms')")
    db.close()
    before = (place / "history.db").read_bytes()
    unusable(place, caplog)
    assert (place / "history.db").read_bytes() == before
    assert "newer version" in warnings(caplog)[0]


def test_a_locked_database_costs_one_wait(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    History.open(place).close()
    other = sqlite3.connect(place / "history.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    begun = time.monotonic()
    unusable(place, caplog)
    assert time.monotonic() - begun < PATIENCE
    assert "locked" in warnings(caplog)[0]
    other.close()


def test_a_database_locked_in_use_costs_one_wait(past: History, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = begin(past, "a")
    other = sqlite3.connect(place / "history.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    for _ in range(50):
        past.record(run, result("a"))
    assert time.monotonic() - begun < PATIENCE
    assert len(warnings(caplog)) == 1
    other.close()
    assert list(place.glob("*broken*")) == []


def test_a_held_lock_file_costs_one_wait(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    place.mkdir()
    with storage.locked(place / "history.lock"):
        unusable(place, caplog)


def test_a_full_disk_ends_recording_and_nothing_else(past: History, caplog: pytest.LogCaptureFixture) -> None:
    run = begin(past, "a", "b")
    assert past._db is not None
    pages = past._db.execute("PRAGMA page_count").fetchone()[0]
    past._db.execute(f"PRAGMA max_page_count = {pages}")
    past.record(run, result("a", stdout=b"x" * 1_000_000))
    past.record(run, result("b"))
    past.finish(report(result("a")))
    assert len(warnings(caplog)) == 1
    assert "full" in warnings(caplog)[0]


def test_a_closed_history_takes_anything(past: History) -> None:
    past.close()
    past.close()
    run = whole(past, FULL)
    with pytest.raises(RequestError, match="closed"):
        past.load(run)


# -- forgetting --------------------------------------------------------------------------------


def test_pruning_forgets_runs_with_their_files_and_bytes(past: History, place: Path) -> None:
    old = [whole(past, result("a", stdout=b"canary" * 10_000)) for _ in range(5)]
    kept = whole(past, result("a"))
    for run in (*old, kept):
        (past.files(run) / "a.stdout").write_text("whole")
    past.close()  # which moves what is in the log into the database
    size = (place / "history.db").stat().st_size
    past = History.open(place)
    assert past.prune(keep_last=1) == 5
    assert [run.run for run in past.runs()] == [kept]
    assert [path.name for path in (place / "runs").iterdir()] == [kept]
    assert (place / "history.db").stat().st_size < size / 2
    past.close()
    assert b"canary" not in b"".join(path.read_bytes() for path in place.iterdir() if path.is_file())


def test_pruning_by_age_goes_by_the_runs_own_time(past: History, monkeypatch: pytest.MonkeyPatch) -> None:
    young = whole(past, result("a"))
    old = ids.first_at(time.time() - 40 * 86_400)
    past.begin(old, "dispatch", STARTED, [])
    past.finish(Report(old, "dispatch", STARTED, 1.0, ()))
    assert past.prune(older_than_days=50) == 0
    assert past.prune(older_than_days=30, keep_last=2) == 0
    assert past.prune(older_than_days=30) == 1
    assert [run.run for run in past.runs()] == [young]


def test_pruning_by_age_takes_files_that_no_history_knows(past: History, place: Path) -> None:
    young = [whole(past, result("a")), ids.new_run()]
    old = [ids.first_at(time.time() - days * 86_400) for days in (40, 20)]
    past.begin(old[1], "dispatch", STARTED, [])
    past.finish(Report(old[1], "dispatch", STARTED, 1.0, ()))
    for run in (*young, *old):
        (past.files(run) / "a.stdout").write_text("whole")
    (place / "runs" / "mine").mkdir()
    assert past.prune(older_than_days=30) == 0
    assert {path.name for path in (place / "runs").iterdir()} == {*young, old[1], "mine"}
    assert past.prune(older_than_days=0) == 2
    assert {path.name for path in (place / "runs").iterdir()} == {young[1], "mine"}


def test_pruning_without_a_wish_is_refused(past: History) -> None:
    with pytest.raises(RequestError):
        past.prune()


def test_pruning_does_not_follow_links(past: History, place: Path, tmp_path: Path) -> None:
    run = whole(past, result("a"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (past.files(run) / "link").symlink_to(tmp_path / "mine")
    assert past.prune(keep_last=0) == 1
    assert (tmp_path / "mine" / "file").exists()


# -- migrations --------------------------------------------------------------------------------


def oldest(place: Path) -> None:
    """A database as the first release wrote it, word for word."""
    place.mkdir(mode=0o700)
    db = sqlite3.connect(place / "history.db")
    db.executescript((ROOT / "tests" / "history_first.sql").read_text())
    db.close()


def test_history_of_the_first_release_is_read(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    oldest(place)
    past = History.open(place)
    assert warnings(caplog) == []
    (run,) = past.runs()
    (item,) = past.load(run.run).results
    assert (item.device, item.state, item.stdout) == ("deck", State.DONE, b"\x00\xffanswer")
    past.close()


def test_a_migration_is_applied_once_and_recorded_by_its_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oldest(place)

    def batches(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE batches (run TEXT)")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, batches))
    for _ in range(2):
        past = History.open(place)
        assert past._db is not None
        names = [row[0] for row in past._db.execute("SELECT name FROM migrations ORDER BY name")]
        assert names == ["batches", "runs_and_results"]
        assert len(past.runs()) == 1
        past.close()


def test_a_migration_that_fails_changes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    oldest(place)

    def stumbling(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE batches (run TEXT)")
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    before = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*before, stumbling))
    unusable(place, caplog)
    monkeypatch.setattr(schema, "MIGRATIONS", before)
    past = History.open(place)
    assert len(past.runs()) == 1
    past.close()


def test_a_tasks_result_costs_the_same_among_thousands(place: Path) -> None:
    def steps(tasks: int) -> int:
        """What SQLite does for twenty results in a batch of so many tasks, in steps of its machine."""
        past = History.open(place / str(tasks))
        run, counted = ids.new_run(), [0]
        past.begin(run, "batch", STARTED, ())
        past.plan(run, (Entry("", "", "dispatch", task_id=f"t{number}") for number in range(tasks)))
        past.record(run, result("a", task_id="t0"))

        def count() -> int:
            counted[0] += 1
            return 0

        assert past._db is not None
        past._db.set_progress_handler(count, 1)
        for number in range(1, 21):
            past.record(run, result("a", task_id=f"t{number}"))
        past.close()
        return counted[0]

    assert 0 < steps(5000) < 1.2 * steps(50)
