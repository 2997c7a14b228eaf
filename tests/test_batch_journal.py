"""The journal after a kill at any moment: what is over is never begun again, what may have run is lost."""

from __future__ import annotations

import stat
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_tasks.batch.queue import Queue
from fleet_tasks.batch.tasks import Task
from fleet_tasks.errors import RequestError
from fleet_tasks.history.journal import FILE, Journal
from fleet_tasks.results import State

NAMES = ("a", "b", "c", "d")


class Killed(Exception):
    """The process ends here."""


class Mortal(Journal):
    """A journal whose process is killed before the write after the last it is granted."""

    granted = 0

    def _transaction(self):  # type: ignore[no-untyped-def]
        if self.granted == 0:
            raise Killed
        self.granted -= 1
        return super()._transaction()


def live(folder: Path, tasks: list[Task], outcome: dict[str, list[State]], granted: int, did: list[str]) -> bool:
    """One process on a batch, as the slots do it; what it does on devices is in ``did``. False when it was killed."""
    with closing(Mortal(folder)) as journal:
        journal.granted = granted
        try:
            known = journal.known()
            free = {task.id for task in tasks if task.idempotent}
            for name in known.open:
                if name not in free:
                    journal.over(name, State.LOST)
            known = journal.known()
            queue = Queue(tasks, known.ends, known.tries)
            while (attempt := queue.take("d")) is not None:
                name = attempt.task.id
                journal.started(name, attempt.number, "d", "now")
                did.append(name)
                states = outcome[name]
                state = states[min(attempt.number, len(states)) - 1]
                repeat = queue.may_repeat(attempt, state)
                journal.ended(name, attempt.number, state, over=not repeat)
                if repeat:
                    queue.again(attempt)
                else:
                    queue.finish(attempt, state)
        except Killed:
            return False
    return True


ENDS = st.lists(st.sampled_from([State.DONE, State.FAILED, State.LOST]), min_size=1, max_size=3)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.sampled_from(NAMES)), st.fixed_dictionaries(dict.fromkeys(NAMES, ENDS)), st.integers(0, 3))
def test_every_prefix_of_a_journal_can_be_resumed(
    free: set[str], outcome: dict[str, list[State]], again: int
) -> None:
    tasks = [Task(name, "x", devices=("d",), idempotent=name in free, retries=int(name in free)) for name in NAMES]
    granted, whole = 0, False
    while not whole:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            did: list[str] = []
            whole = live(folder, tasks, outcome, granted, did)
            with closing(Journal(folder)) as journal:
                killed = journal.known()
            live(folder, tasks, outcome, again, did)  # and perhaps once more, soon after
            before = list(did)
            with closing(Journal(folder)) as journal:
                known = journal.known()
            assert live(folder, tasks, outcome, 1000, did)
            with closing(Journal(folder)) as journal:
                after = journal.known()
        granted += 1
        redone = did[len(before) :]
        assert set(after.ends) == set(NAMES) and not after.open
        assert all(after.ends[name] is state for name, state in {**killed.ends, **known.ends}.items())
        assert not set(redone) & set(known.ends), "what was over is over"
        for name in set(NAMES) - free:
            assert did.count(name) <= 1, "what may have run did not run again"
            assert name not in known.open or after.ends[name] is State.LOST
        assert all(name in redone for name in known.open if name in free)


def test_an_attempts_end_and_its_tasks_end_are_one_write(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.started("a", 1, "d", "now")
        journal._db.execute("CREATE TRIGGER no BEFORE INSERT ON ends BEGIN SELECT RAISE(ABORT, 'no room'); END")
        with pytest.raises(RequestError, match="no room"):
            journal.ended("a", 1, State.DONE, over=True)
        assert journal.known().open == {"a": "d"} and journal.known().ends == {}


def test_a_journal_is_private_and_tells_what_it_was_told(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    with closing(Journal(folder)) as journal:
        with pytest.raises(RequestError, match="not written down"):
            journal.spec()
        journal.begin({"tasks": ["é"]})
        journal.started("a", 1, "d1", "now")
        journal.started("a", 2, "d2", "now")
        journal.over("b", State.FAILED)
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    with closing(Journal(folder)) as journal:
        known = journal.known()
        assert journal.spec() == {"tasks": ["é"]} and known.tries == {"a": 2} and known.open == {"a": "d2"}
        journal.reopen(["b"])
        assert known.ends == {"b": State.FAILED} and journal.known().ends == {}


def test_what_a_journal_was_told_outlives_the_power(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        pragmas = [journal._db.execute(f"PRAGMA {name}").fetchone() for name in ("synchronous", "journal_mode")]
    assert pragmas == [(2,), ("wal",)], "FULL: each commit is on the disk when it returns (sqlite.org/pragma.html)"


def test_a_journal_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 100)
    with pytest.raises(RequestError, match="cannot be opened"):
        Journal(tmp_path)
    assert not Journal.exists(tmp_path / "elsewhere")
