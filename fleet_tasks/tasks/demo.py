"""The command for trying everything out."""

from __future__ import annotations

from invoke import Context, Exit

from fleet_tasks.cli import task
from fleet_tasks.commands import refuse_dry
from fleet_tasks.formats import Streams
from fleet_tasks.options import DemoWishes


@task
def demo(c: Context, wishes: DemoWishes) -> None:
    """Take the tour on three embedded devices.

    Starts a small fleet on this machine's loopback, runs the main commands on it, removes everything.

        fab demo --keep
    """
    from fleet_tasks import demo as embedded

    refuse_dry(c)
    streams = Streams()
    if wishes.stop:
        embedded.stop(streams.text)
    elif wishes.keep:
        embedded.keep(streams.text)
    elif code := embedded.tour(streams.text):
        raise Exit(code=code)
