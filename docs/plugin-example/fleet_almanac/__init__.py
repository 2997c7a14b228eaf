"""An agent for fleet-tasks: writes each task into a diary on its device, and answers with the day's entries."""

from __future__ import annotations

from pathlib import Path

from fleet_tasks.agents.contract import Payload, Platform, ScriptedAgent


class Almanac(ScriptedAgent):
    """Keeps a diary."""

    name = "almanac"
    description = "Writes each task into a diary on its device."
    installs = True

    def payload(self, platform: Platform) -> Payload:
        """The program beside this module; a new version gets a new name here."""
        return Payload("1.0", {"bin/almanac": Path(__file__).parent / "almanac.sh"})
