"""Choosing the best of some devices by what a fresh status says of them: pure, so made-up facts will do."""

from __future__ import annotations

import pytest

from fleet_tasks.plans import best
from fleet_tasks.results import State
from tests.showing import result


def facts(load: object, cores: object, ready: bool = True) -> dict[str, object]:
    return {"load": load, "cores": cores, "ready": ready}


@pytest.mark.parametrize(
    ("looked", "order"),
    [
        ({"small": facts(1.0, 2), "large": facts(4.0, 16)}, ["large", "small"]),
        ({"equal": facts(1.0, 2), "likewise": facts(2.0, 4)}, ["equal", "likewise"]),
        ({"unknown": facts(None, 4), "coreless": facts(0.1, None), "busy": facts(90.0, 1)}, ["busy", "unknown"]),
        ({"idle": facts(0.0, 16, ready=False), "ready": facts(30.0, 1)}, ["ready", "idle"]),
        ({"unready": facts(0.0, 16, ready=False), "unknown": facts(None, None)}, ["unknown", "unready"]),
    ],
    ids=["per core", "as named", "unknown load last", "ready first", "ready and unknown first"],
)
def test_the_best_are_ready_and_have_the_lowest_load_per_core(
    looked: dict[str, dict[str, object]], order: list[str]
) -> None:
    results = [result(name, facts=found) for name, found in looked.items()]
    assert best(results, 2) == order
    assert best(results, 1) == order[:1]


def test_a_device_that_was_not_reached_is_never_chosen() -> None:
    assert best([result("dead", State.UNREACHABLE), result("idle", facts=facts(0.0, 1))], 2) == ["idle"]
