"""The Python API: a registry is read as strictly as on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_tasks import Fleet, Targets
from fleet_tasks.errors import RegistryError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    return path


def test_an_agent_nobody_knows_is_refused_with_its_place_and_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "version: 1\ndevices:\n  deck: {host: 127.0.0.2, agent: picoclow}\n")
    found = r"fleet\.yaml:3: devices\.deck\.agent: .*'picoclow'; did you mean picoclaw\?"
    with pytest.raises(RegistryError, match=found):
        Fleet.load(path)


def test_agents_that_ship_presets_and_ones_own_are_known(tmp_path: Path) -> None:
    names = ("clio", "gemini", "mine")
    devices = "".join(f"  d-{name}: {{host: 127.0.0.2, agent: {name}}}\n" for name in names)
    path = written(tmp_path, f"agents:\n  mine: {{dispatch: 'echo hi'}}\ndevices:\n{devices}")
    assert tuple(device.agent for device in Fleet.load(path).choose(Targets(all=True))) == names
