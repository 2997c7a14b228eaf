"""Which failures pass by themselves, and how patiently to wait for that: connects only, never tasks."""

from __future__ import annotations

import random
from collections.abc import Callable

from fleet_tasks.errors import ConnectError
from fleet_tasks.stopping import Stopping

FIRST_WAIT = 0.5
LONGEST_WAIT = 8.0
"""Seconds before the second attempt, and at most between two; each wait has up to the first again on top, by chance."""


def passing(error: BaseException) -> bool:
    """Whether trying again may help: a refused key or a wrong host key stays what it is."""
    return isinstance(error, ConnectError) and error.passing


def patiently(connect: Callable[[], None], attempts: int, stopping: Stopping) -> int:
    """Calls ``connect`` until it works, at most ``attempts`` times; returns how often it was called.

    Raises its last error, which then knows that number too, or the reason of ``stopping`` as soon as there is one.
    Tenacity is loaded only when the first attempt failed, since most do not.
    """
    try:
        connect()
    except ConnectError as error:
        if attempts < 2 or not passing(error):
            raise
    else:
        return 1
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random
    from tenacity.nap import sleep_using_event

    sleep = sleep_using_event(stopping.event)
    wait = wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT) + wait_random(0, FIRST_WAIT)
    # Devices that were turned away together must not come back together.
    sleep(FIRST_WAIT + random.uniform(0, FIRST_WAIT))
    made = 1
    again = Retrying(
        stop=stop_after_attempt(attempts - 1),
        wait=wait,
        retry=retry_if_exception(passing),
        sleep=sleep,
        reraise=True,
    )
    try:
        for attempt in again:
            stopping.check()
            made += 1
            with attempt:
                connect()
    except ConnectError as error:
        error.attempts = made
        raise
    return made
