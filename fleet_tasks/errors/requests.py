"""The asker's: what was asked for cannot be met."""

from __future__ import annotations

from fleet_tasks.errors.roots import FleetError
from fleet_tasks.record import record


class RequestError(FleetError):
    """The request cannot be met; nothing was changed."""

    exit_code = 2


@record
class Place:
    """Where in a file something stands; ``line`` counts from 1."""

    file: str
    line: int | None = None
    path: str = ""

    def __str__(self) -> str:
        spot = f"{self.file}:{self.line}" if self.line else self.file
        return f"{spot}: {self.path}" if self.path else spot


class RegistryError(RequestError):
    """The registry says something that cannot be meant."""

    def __init__(self, sentence: str, place: Place | None = None) -> None:
        self.place = place
        super().__init__(f"{place}: {sentence}" if place else sentence)


class UnknownName(RequestError):
    """A name nobody has heard of, with the nearest that somebody has."""

    def __init__(self, kind: str, name: str, nearest: str | None = None) -> None:
        hint = f"; did you mean {nearest}?" if nearest else "."
        super().__init__(f"There is no {kind} {name!r}{hint}")


class SecretMissing(RequestError):
    """A secret that a run needs was not found anywhere it may be."""

    code = "secret-missing"


class Refused(RequestError):
    """Understood, and not done: remote work is switched off or would nest."""
