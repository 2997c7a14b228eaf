"""The embedded fleet shown to a new user: three devices on loopback, one whole tour, everything removed after."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from fleet_tasks.errors import RequestError
from fleet_tasks.history import folder
from fleet_tasks.signals import SIGNALS

TOUR = (
    ("What would a dispatch stumble over?", "check -g handhelds"),
    ("Put the agent on every handheld.", "deploy -g handhelds"),
    ("One task for all of them; the report each writes comes back.",
     'dispatch -g handhelds --task "report CPU architecture and free disk space" --fetch report.md --into answers'),
    ("Fetch a file by itself.", "get -d steam-deck --fetch .local/share/fleet-tasks/manifest --into answers"),
    ("Remove what was installed, and make sure.", "teardown -g handhelds --verify"),
)  # fmt: skip
"""What the tour says and types, in its order."""

_PID = "demo.pid"


def tour(say: Callable[[str], None]) -> int:
    """Starts the fleet, runs the tour on it as a user would, removes everything; returns the worst exit code."""
    worst = 0
    with running() as environment:
        for words, command in TOUR:
            say(f"\n# {words}\n$ fleet {command}")
            worst = max(worst, _fleet(shlex.split(command), environment))
        say("\n# That was all; nothing is left." if worst == 0 else "\n# Something went wrong; see above.")
    return worst


def keep(say: Callable[[str], None]) -> None:
    """Starts the fleet and leaves it up until Ctrl-C, SIGTERM or ``demo --stop``."""
    with contextlib.suppress(KeyboardInterrupt), _claim() as claim, running() as environment:
        claim.write(str(os.getpid()))
        claim.flush()
        # Also who goes by the environment below must find whom to stop.
        state = Path(environment["FLEET_STATE"])
        state.mkdir()
        (state / _PID).symlink_to(_pid_file())
        say("The embedded fleet is up: steam-deck, legion-go and rog-ally, group handhelds. In another terminal:\n")
        for name in ("HOME", "FLEET_REGISTRY", "FLEET_STATE"):
            say(f"    export {name}={shlex.quote(environment[name])}")
        say('    fleet status\n    fleet dispatch -g handhelds --task "report CPU architecture"\n')
        say("Ctrl-C here, or fleet demo --stop, ends it and removes everything.")
        signal.pause()
    say("\nThe embedded fleet is gone.")


def stop(say: Callable[[str], None]) -> None:
    """Ends a fleet that ``keep`` left up; raises RequestError when there is none."""
    try:
        with _pid_file().open("r+") as file:
            if _lock(file):
                raise RequestError("No embedded fleet is up.")
            os.kill(int(file.read()), signal.SIGTERM)
            fcntl.flock(file, fcntl.LOCK_EX)
    except (FileNotFoundError, ValueError, ProcessLookupError) as error:
        raise RequestError("No embedded fleet is up.") from error
    say("The embedded fleet is gone.")


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """The embedded fleet, in a temporary folder; yields the environment in which commands find it."""
    try:
        from fleet_tasks.embedded import EmbeddedFleet
    except ImportError as error:
        raise RequestError("The demo needs its extra: pip install 'fleet-tasks[demo]'") from error
    folder = tempfile.TemporaryDirectory(prefix="fleet-demo-", ignore_cleanup_errors=True)
    with _interruptible(), folder as place, EmbeddedFleet(Path(place)) as fleet:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("FLEET_", "SSH_"))}
        environment |= {
            "HOME": str(fleet.home),
            "FLEET_REGISTRY": str(fleet.registry),
            "FLEET_STATE": str(Path(place) / "state"),
        }
        yield environment


@contextmanager
def _interruptible() -> Iterator[None]:
    """Within it, whatever asks the program to end is Ctrl-C, and once is enough: everything is removed first."""

    def hear(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, hear) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _putting_off() -> Iterator[None]:
    """Within it nothing interrupts: what was to do so does it at the end. Else one could start what nobody knows of."""
    heard: list[int] = []
    before = {number: signal.signal(number, lambda number, _: heard.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for first in heard[:1]:
            signal.raise_signal(first)


def _fleet(words: list[str], environment: dict[str, str]) -> int:
    """Runs one command as a user would; it hears of Ctrl-C from us, and never in the middle of its own start."""
    sys.stdout.flush()
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), environment.get("PYTHONPATH", "")]))
    command: subprocess.Popen[bytes] | None = None
    try:
        with _putting_off():
            command = subprocess.Popen(
                [sys.executable, "-m", "fleet_tasks", *words],
                env={**environment, "PYTHONPATH": path},
                cwd=environment["HOME"],
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
        return command.wait()
    except KeyboardInterrupt:
        if command is not None:
            command.terminate()
            command.wait()
        raise


def _pid_file() -> Path:
    return folder() / _PID


@contextmanager
def _claim() -> Iterator[IO[str]]:
    """The file that says which process keeps a fleet, locked for as long as it does."""
    path = _pid_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+") as file:
        if not _lock(file):
            raise RequestError("An embedded fleet is up already; end it with: fleet demo --stop")
        file.truncate(0)
        try:
            yield file
        finally:
            path.unlink(missing_ok=True)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
