"""For authors of agents: the contract as tests, run on this machine in an empty home.

A plug-in's own tests need no more than this; pytest finds the tests in the class below::

    from fleet_tasks.testing import AgentContract

    class TestMyAgent(AgentContract):
        kind = MyAgent
        task = "say hello"

``LocalDevice`` carries an agent's scripts out as a device would, for tests of one's own. An agent never sees a
connection, so nothing has to be made up for one.
"""

from __future__ import annotations

from fleet_tasks.testing.contract import CANARY, AgentContract
from fleet_tasks.testing.local import LocalDevice, lay_out, this_platform

__all__ = ["CANARY", "AgentContract", "LocalDevice", "lay_out", "this_platform"]
