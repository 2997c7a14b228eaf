"""Ctrl-C and its kin: once ends the work properly, twice leaves at once. A reader who went away ends it, too."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from fleet_tasks.errors import Cancelled
from fleet_tasks.stopping import Stopping

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class LeaveNow(KeyboardInterrupt):
    """Someone asked twice."""


@contextmanager
def obeying(
    stopping: Callable[[], Stopping], say: Callable[[str], None], doing: str = "ending the work on the devices"
) -> Iterator[None]:
    """Within it, a signal stops the run that ``stopping`` returns; a second Ctrl-C or TERM raises LeaveNow.

    ``doing`` says what the first one leads to.
    Only the main thread hears signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hear(number: int, frame: FrameType | None) -> None:
        if stopping().reason is not None:
            if number == signal.SIGHUP:  # of a terminal that closes both its shell and the system tell us
                return
            raise LeaveNow
        name = signal.Signals(number).name
        stopping().request(Cancelled(f"The run was interrupted ({name})."))
        with suppress(RuntimeError):  # it came while a line was being written
            say(f"{name}: {doing}; once more to leave at once.")

    # Who started us with nohup means it.
    heard = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, hear) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def noticing(stopping: Callable[[], Stopping]) -> Iterator[None]:
    """Within it, the run stops when nobody reads our standard output any more (``| head``)."""
    over = threading.Event()
    try:
        number = sys.stdout.fileno() if sys.stdout else -1  # Python has no stream where the shell closed it
        piped = stat.S_ISFIFO(os.fstat(number).st_mode)
    except (OSError, ValueError):
        piped = False
    if piped:
        threading.Thread(target=_watch_pipe, args=(number, stopping, over), name="reader", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch_pipe(number: int, stopping: Callable[[], Stopping], over: threading.Event) -> None:
    poll = select.poll()
    poll.register(number, select.POLLERR | select.POLLHUP)
    while not over.is_set():
        if poll.poll(500):
            stopping().request(Cancelled("Nobody reads our output any more."))
            return
