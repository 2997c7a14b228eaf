from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fleet_tasks.actions import stage
from fleet_tasks.errors import NotVerified
from fleet_tasks.frames import Frame
from fleet_tasks.stopping import Stopping


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set on at will."""
    now = [0.0]
    monkeypatch.setattr(stage, "time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0]))
    return now


def words(device_takes: float, clock: list[float]) -> Iterator[Any]:
    """What a device says that needs so long for each word."""

    def listen(wake: Callable[[], float]) -> Iterator[Frame]:
        for word in ("platform", "ready"):
            wake()
            clock[0] += device_takes
            wake()
            yield Frame(word)

    talk: Any = SimpleNamespace(listen=listen, script=SimpleNamespace(name="deploy"))
    device: Any = SimpleNamespace(name="deck")
    nothing: Any = None
    there = stage.Stage("run", device, nothing, nothing, Stopping(), nothing)
    return there.words(talk, patience=60)


def test_what_takes_long_on_this_side_is_no_silence_of_the_device(clock: list[float]) -> None:
    heard = []
    for item in words(1, clock):
        heard.append(item.word)
        clock[0] += 300
    assert heard == ["platform", "ready"]


def test_a_device_that_is_silent_for_too_long_is_given_up(clock: list[float]) -> None:
    with pytest.raises(NotVerified, match="deck did not finish deploy within 60 s"):
        list(words(61, clock))


@pytest.mark.parametrize("said", ["", "x 4", "- -", "0.5 many", "nan", "0.1 1" + "0" * 400, "1" + "0" * 400 + " 4"])
def test_a_device_that_tells_nonsense_of_itself_counts_as_the_most_loaded(said: str) -> None:
    assert not stage.Condition.of(Frame("here", said)).load < 1e9


def test_what_a_device_tells_of_itself_is_its_load_per_core_and_its_agents() -> None:
    told = stage.Condition.of(Frame("here", "0.5 2 clio demo"))
    assert told.load == 0.25 and told.agents >= {"clio", "demo"}
