"""The ground a dispatch would stand on: room and rights in the very folders that it would use, and the time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from fleet_tasks.actions.status import number
from fleet_tasks.record import record

ROOM = 50
"""Megabytes that must be free where we would work."""
DRIFT = 300
"""Seconds the device's clock may differ from ours before certificates and tokens get into trouble."""


@record
class Check:
    """One thing that was looked at: what was found, what was wanted, and the fix when it is not right."""

    name: str
    ok: bool
    found: str
    wanted: str
    guidance: str = ""


@record
class Place:
    """A folder that a dispatch would write in.

    ``free`` is in megabytes; ``may`` is ``execute`` (and write), ``write`` or ``nothing``.
    """

    path: str
    free: int
    may: str


def room_and_rights(places: Mapping[str, Place]) -> Iterator[Check]:
    """Whether there is room in the places (``run``, and ``agent`` where one is installed), and what may be done there.

    Programs have to run in the agent's, and only where there is none in the run's.
    """
    least = min(places.values(), key=lambda each: each.free, default=Place("", 0, ""))
    room = least.free >= ROOM
    found = f"{least.free} MB free" + ("" if room or not least.path else f" in {least.path}")
    fix = "Free some space on {device}, or set home: to a folder on another disk."
    yield Check("disk", room, found, f"{ROOM} MB free", fix)
    closed = [each.path for each in places.values() if each.may == "nothing"]
    run = places.get("run")
    used = run.path if run else "no folder to write in"
    found = f"{' and '.join(closed)} cannot be written in" if closed else used
    fix = "Set home: to a folder of {device} that may be written."
    yield Check("write", bool(places) and not closed, found, "a folder to write in", fix)
    busy = places.get("agent") or run
    runs = busy is not None and busy.may == "execute"
    found = "allowed" if runs else f"refused in {busy.path}" if busy else "refused"
    fix = "Set home: to a folder of {device} that is not mounted noexec."
    if busy is not None and busy.may == "nothing":
        found, fix = f"cannot be tried in {busy.path}", "Set home: to a folder of {device} where programs may run."
    yield Check("execute", runs, found, "programs may run there", fix)


def clock(facts: Mapping[str, str]) -> Check:
    """Whether the device's clock (``clock`` of its facts, in seconds since 1970) is about ours."""
    told = number(facts.get("clock"))
    drift = abs(int(time.time()) - told) if told is not None else None
    right = drift is not None and drift <= DRIFT
    found = "unknown" if drift is None else f"{drift} s off"
    return Check("clock", right, found, f"within {DRIFT} s", "Set it on {device}: sudo timedatectl set-ntp true")
