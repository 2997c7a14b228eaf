"""What all errors share: the root of the tree, and its branch of errors that one device caused."""

from __future__ import annotations

from fleet_tasks.results import Problem, State


class FleetError(Exception):
    """Anything this package raises on purpose; ``str()`` is one sentence for a person."""

    exit_code = 1


class DeviceError(FleetError):
    """One device could not do its part; the others go on.

    ``message`` is the sentence; ``guidance`` may hold ``{device}``, ``{login}`` (user@host, with key and jump host),
    ``{host}``, ``{port}`` and other words of a login, filled in by ``problem``.
    """

    code = "agent-failed"
    state = State.FAILED
    guidance = ""

    def __init__(self, message: str, *, guidance: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if guidance is not None:
            self.guidance = guidance

    def problem(self, **values: object) -> Problem:
        """The error as a record, with the device's own values in its guidance."""
        guidance = self.guidance
        for key, value in values.items():
            guidance = guidance.replace("{" + key + "}", str(value))
        return Problem(self.code, self.message, guidance)
