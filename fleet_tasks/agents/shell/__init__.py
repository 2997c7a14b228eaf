"""The plainest agent: the task is a shell script, run by the device's ``sh``."""

from __future__ import annotations

from fleet_tasks.agents.contract import ScriptedAgent


class Shell(ScriptedAgent):
    """Runs the task as a shell script; nothing is installed."""

    name = "shell"
    description = "Runs the task as a shell script; nothing is installed."
    ephemeral = True
