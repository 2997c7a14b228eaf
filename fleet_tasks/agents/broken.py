"""What stands in for an agent whose plug-in cannot be loaded: its own devices learn why, the others go on."""

from __future__ import annotations

from typing import NoReturn

from fleet_tasks.agents.contract import ScriptedAgent
from fleet_tasks.errors import PlugInBroken


class BrokenAgent(ScriptedAgent):
    """Has a name, and fails whatever it is asked to do."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__()
        self.name = name
        self.description = self.reason = reason

    def script(self, name: str) -> NoReturn:
        """Raises PlugInBroken with the reason."""
        raise PlugInBroken(self.reason)
