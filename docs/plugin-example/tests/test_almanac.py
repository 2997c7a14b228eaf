"""The almanac keeps the contract of fleet-tasks, and its own promises."""

from __future__ import annotations

from pathlib import Path

from fleet_almanac import Almanac

from fleet_tasks.testing import AgentContract, LocalDevice


class TestAlmanac(AgentContract):
    """Scripts that parse, an answer to a task, no secret in a file, nothing left after teardown."""

    kind = Almanac
    task = "feed the cat"


def test_the_diary_remembers(tmp_path: Path) -> None:
    """A second task sees the first one."""
    almanac = Almanac()
    device = LocalDevice(tmp_path, almanac)
    device.deploy()
    first = device.dispatch(TestAlmanac().order(almanac))
    second = device.dispatch(TestAlmanac().order(almanac))
    assert second.stdout == first.stdout * 2
