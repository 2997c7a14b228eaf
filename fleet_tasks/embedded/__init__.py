"""The embedded fleet: a few devices on loopback, each a folder with an SSH server in front of it."""

from fleet_tasks.embedded.fleet import HANDHELDS, EmbeddedDevice, EmbeddedFleet

__all__ = ["HANDHELDS", "EmbeddedDevice", "EmbeddedFleet"]
