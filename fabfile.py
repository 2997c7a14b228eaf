"""The fleet's tasks for ``fab``: see ``fab --list``."""

from fleet_tasks.tasks import namespace

__all__ = ["namespace"]
