"""A small script agent for trying everything out: it answers with facts of its device and calls no model."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fleet_tasks.agents.contract import Payload, Platform, ScriptedAgent

PROGRAM = Path(__file__).parent / "program.sh"


class Demo(ScriptedAgent):
    """Answers with facts of its device, and says that no model was called."""

    name = "demo"
    description = "Answers with facts of its device; calls no model."
    installs = True
    link = "bin/fleet-demo"

    def payload(self, platform: Platform) -> Payload:
        """The program beside this module, named by its own bytes."""
        digest = hashlib.sha256(PROGRAM.read_bytes()).hexdigest()
        return Payload(f"1-{digest[:12]}", {"bin/fleet-demo": PROGRAM})

    def answer(self, stdout: bytes) -> bytes:
        """What stands behind the banner."""
        return stdout.partition(b"demo> ")[2] or stdout
