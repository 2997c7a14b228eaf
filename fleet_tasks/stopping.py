"""How a run is told to stop: one flag that everybody at work looks at, and that wakes those who wait.

``barred`` is the milder form: nothing new begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import TypeVar

from fleet_tasks.errors import StopError

T = TypeVar("T")


class Stopping:
    """Whether, and why, a run should end early. Set from any thread; the first reason counts."""

    def __init__(self) -> None:
        self.barred: StopError | None = None
        self._reason: StopError | None = None
        self._event = threading.Event()
        self._wakers: set[Callable[[], None]] = set()
        self._lock = threading.RLock()  # a signal may come while its own thread holds it

    @property
    def reason(self) -> StopError | None:
        """Why the run is to stop; None while it is not."""
        return self._reason

    @property
    def event(self) -> threading.Event:
        """Set once the run is to stop."""
        return self._event

    def request(self, reason: StopError) -> None:
        """Tells everyone to end; those who wait are woken."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
            wakers = list(self._wakers)
        self._event.set()
        for wake in wakers:
            wake()

    def bar(self, reason: StopError) -> None:
        """Lets nothing new begin; what is under way goes on."""
        self.barred = self.barred or reason

    def begin(self) -> None:
        """To be called before a visit; raises the reason why it should not begin."""
        self.barred = self.barred or self._reason
        if self.barred is not None:
            raise self.barred

    def check(self) -> None:
        """Raises the reason when the run is to stop."""
        if self._reason is not None:
            raise self._reason

    def rest(self, seconds: float) -> None:
        """Waits so long; raises the reason as soon as the run is to stop."""
        self._event.wait(seconds)
        self.check()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Within it, ``wake`` is called when the run is to stop."""
        with self._lock:
            self._wakers.add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._wakers.discard(wake)

    def awaiting(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, or what it raises; raises the reason at once when the run is to stop.

        For work that may take long and cannot be stopped, a download say: from then on it is done for nobody.
        """
        future: Future[T] = Future()
        with self.waking(lambda: _cancel(future)):
            self.check()
            threading.Thread(target=_settle, args=(future, work), name="awaited", daemon=True).start()
            with suppress(CancelledError):
                return future.result()
        self.check()
        raise AssertionError("Nothing but the end of the run cancels it.")


def _cancel(future: Future[T]) -> None:
    future.cancel()


def _settle(future: Future[T], work: Callable[[], T]) -> None:
    with suppress(InvalidStateError):  # it was given up in the meantime
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)
