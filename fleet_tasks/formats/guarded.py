"""A plug-in's format behind a fence: whatever it raises becomes one sentence, and the devices are tidied up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fleet_tasks.errors import FleetError
from fleet_tasks.formats.grid import Listing
from fleet_tasks.formats.streams import Streams
from fleet_tasks.results import Report, Result

if TYPE_CHECKING:
    from fleet_tasks.formats import Format


class Guarded:
    """A format that somebody else wrote. Its methods raise FleetError, or OSError where nothing can be written."""

    def __init__(self, name: str, make: Callable[[], Format]) -> None:
        self._name = name
        with self._fence():
            self._format = make()
        self.streaming = bool(getattr(self._format, "streaming", False))

    def result(self, result: Result, streams: Streams) -> None:
        """One result, as it happens."""
        with self._fence():
            self._format.result(result, streams)

    def show(self, report: Report, streams: Streams) -> None:
        """The whole run, at its end."""
        with self._fence():
            self._format.show(report, streams)

    def rows(self, listing: Listing, streams: Streams) -> None:
        """Records of one kind."""
        with self._fence():
            self._format.rows(listing, streams)

    @contextmanager
    def _fence(self) -> Iterator[None]:
        try:
            yield
        except (FleetError, OSError):
            raise
        except Exception as error:  # whatever a stranger's class raises
            raise FleetError(f"The format {self._name!r} broke: {type(error).__name__}: {error}") from error
