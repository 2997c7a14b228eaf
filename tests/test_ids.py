"""Run ids sort by time, are unique, and look like ULIDs."""

from __future__ import annotations

import time

import pytest

from fleet_tasks import ids


def test_ids_sort_in_the_order_they_were_made_and_never_repeat() -> None:
    made = [ids.new_run() for _ in range(5000)]
    assert made == sorted(set(made))


def test_an_id_is_26_characters_of_crockfords_alphabet() -> None:
    run = ids.new_run()
    assert len(run) == 26
    assert set(run) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert ids.is_run(run)


@pytest.mark.parametrize(
    "text", ["", "..", "01J", "../../etc/passwd0000000000", "8" * 26, "0" * 25 + "U", "0" * 26 + "\n"]
)
def test_what_is_no_id_is_told(text: str) -> None:
    assert not ids.is_run(text)


def test_ids_hold_their_time() -> None:
    before = ids.first_at(time.time() - 1)
    run = ids.new_run()
    assert before < run < ids.first_at(time.time() + 1)
    assert ids.first_at(1469918176.385).startswith("01ARYZ6S41")  # 48 bits of milliseconds, as ULID has them


def test_a_clock_set_back_does_not_turn_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ids.new_run()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert ids.new_run() > first
