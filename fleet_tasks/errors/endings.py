"""Nobody's: the work was ended before its end, by a clock, by a person or by a limit."""

from __future__ import annotations

from fleet_tasks.errors.roots import DeviceError
from fleet_tasks.results import State


class StopError(DeviceError):
    """The work was ended before it was through."""


class TimedOut(StopError):
    """The task took longer than its timeout; its processes were ended."""

    code = "timed-out"
    state = State.TIMED_OUT
    guidance = "Give it more time: --timeout S"


class Cancelled(StopError):
    """Someone asked us to stop."""

    code = "cancelled"
    state = State.CANCELLED
    guidance = "Give the command again when you want it done."


class DeadlineReached(StopError):
    """The whole run's deadline came."""

    code = "deadline"
    state = State.CANCELLED
    guidance = "Give the run more time: --deadline S"


class TooManyFailures(StopError):
    """--max-failures was reached; the rest was not begun."""

    code = "too-many-failures"
    state = State.SKIPPED
    guidance = "Mend the failures above, or raise --max-failures."


class DependencyFailed(StopError):
    """A task this one comes after did not succeed."""

    code = "dependency-failed"
    state = State.SKIPPED
    guidance = "See why: fleet history.show --run {run}"


class DeviceSetAside(StopError):
    """The device failed too often in this run to be given more work."""

    code = "device-set-aside"
    state = State.SKIPPED
    guidance = "See what is wrong with it: fleet check -d {device}"


class NotVerified(StopError):
    """The work was told to end, and we could not see that it did."""

    code = "not-verified"
    guidance = "Look for what is left: ssh -p {port} {login} ps -ef"
