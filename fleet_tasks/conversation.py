"""A script at work on a device: what it writes, what it says, and how to answer it.

Both streams are read in one thread that sleeps until something comes; nothing is kept that was not asked for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from paramiko import Channel, SSHException

from fleet_tasks.errors import AgentError, ConnectionLost, DeviceError, NotVerified, RequirementMissing, StopError
from fleet_tasks.frames import Frame, Frames
from fleet_tasks.record import record
from fleet_tasks.scripts import Script
from fleet_tasks.transport import QUIET, FleetTransport

PIECE = 1 << 16
ROOM = 1.0
"""Seconds of waiting for room on the other side, after which is looked whether it is still worth it."""
FRESH = 5.0
"""Seconds of silence after which a channel that was kept is not trusted any more."""

PARTING = 10.0
"""Seconds a script has to undo what it began; on a link that froze that is time lost."""

PLACED = "placed"
"""What a script says once that which it makes is in its place, and will not be undone."""

log = logging.getLogger(__name__)


@record
class Said:
    """Bytes of the task; ``error`` tells standard error from standard output."""

    data: bytes
    error: bool = False


class Bell(threading.Event):
    """Rings when either stream has something; Paramiko's buffers clear it, which must not silence the other."""

    def clear(self) -> None:
        """Only ``wait`` clears: Paramiko does it as soon as one of the two buffers is empty."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits up to ``timeout`` seconds for a ring since the last wait."""
        rung = super().wait(timeout)
        super().clear()
        return rung


class Conversation:
    """One script on one channel. Iterate ``listen`` for what comes; ``say`` and ``send`` to answer.

    ``kept`` is set by who is through with a script and knows that the shell waits for the next.
    """

    kept = False

    def __init__(
        self, device: str, script: Script, channel: Channel, transport: FleetTransport, *, served: bool = False
    ) -> None:
        self.script = script
        self._served = served
        self.device = device
        self._begun = time.monotonic()
        self._channel = channel
        self._transport = transport
        self._out = Frames(script.nonce, raw=script.raw)
        self._err = Frames(script.nonce, raw=script.raw)
        self._bell = Bell()
        self._words: set[str] = set()
        self.heed: Callable[[], None] = lambda: None
        channel.settimeout(ROOM)
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)
        text = script.order if served else script.text
        log.debug("%s: %s, %d bytes:\n%s", device, script.name, len(text), script.shown)
        self.send(text)

    def follow(self, script: Script) -> Conversation:
        """What the shell that is kept says of the next script; raises ConnectionLost, and then nothing was begun."""
        return Conversation(self.device, script, self._channel, self._transport, served=True)

    @property
    def fresh(self) -> bool:
        """Whether the channel is open, and the device was heard just now: a link may break without a word."""
        silent = time.monotonic() - self._transport.wire.heard
        return silent < FRESH and not self._silenced()

    @property
    def begun(self) -> bool:
        """Whether the script has said its first word."""
        return self._out.begun

    @property
    def noise(self) -> bytes:
        """What the login shell printed before our script began."""
        return self._out.noise + self._err.noise

    def ring(self) -> None:
        """Wakes the listener; may be called from any thread."""
        self._bell.set()

    def say(self, word: str) -> None:
        """One line to the script."""
        self.send(word.encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Bytes to the script; raises ConnectionLost."""
        self._send(data, lambda: None)

    def pour(self, data: bytes) -> None:
        """Bytes of something long; raises the reason as soon as the run is to stop, or ConnectionLost."""
        self.heed()
        self._send(data, self.heed)

    def _send(self, data: bytes, wake: Callable[[], None]) -> None:
        """``wake`` is called now and then while the other side has no room."""
        try:
            while data:
                try:
                    sent = self._channel.send(data)
                except TimeoutError:
                    wake()
                    self._look_alive()
                    continue
                if not sent:
                    raise self._lost()
                data = data[sent:]
        except (OSError, SSHException, EOFError) as error:
            raise self._lost() from error

    def _look_alive(self) -> None:
        """Raises ConnectionLost when nothing was heard for too long."""
        if not self._transport.nudge():
            self._transport.close()
            raise self._lost("nothing was heard from it for too long")

    def close(self) -> None:
        """Hangs up: a supervised task on the other side ends because of it."""
        try:
            self._channel.close()
        except (OSError, SSHException, EOFError):
            return  # the link went first, and the other side knows that by itself

    @contextmanager
    def undone(self, making: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """While it is ``making`` something, the script undoes it when nobody speaks to it any more.

        That is waited for when the run is to stop; raises NotVerified where it takes more than PARTING seconds. What
        is in its place by then stays there, and was not stopped: the block just ends.
        """
        try:
            yield
        except StopError:
            gone = not making() or self._let_finish(time.monotonic() + PARTING)
            if PLACED in self._words:
                return
            if not gone:
                what = f"{self.device} did not undo {self.script.name} within {PARTING:g} s of being told to stop."
                raise NotVerified(what) from None
            raise

    def _let_finish(self, over: float) -> bool:
        """Says no more, and waits for the script to go, until ``over`` in monotonic seconds; whether it has."""
        with suppress(OSError, SSHException, EOFError):
            self._channel.shutdown_write()
            while not self._silenced() and (left := over - time.monotonic()) > 0:
                if next(self._heard(), None) is None:
                    self._bell.wait(min(left, QUIET))
        return self._silenced()

    def listen(self, wake: Callable[[], float | None] = lambda: None) -> Iterator[Said | Frame]:
        """Everything that comes, until the script's last frame, or of a raw one until the channel ends.

        ``wake`` is called before every sleep and returns how many seconds it may last at most; it may raise.
        Raises ConnectionLost when the channel ends before the script did.
        """
        while True:
            yield from self._heard()
            if self._out.ended and self._err.ended:
                return
            if self._over():
                yield from self._heard()
                if self._out.ended or (self.script.raw and self._out.begun):
                    return
                raise self._lost()
            limit = wake()
            rung = self._bell.wait(QUIET if limit is None else max(0.0, min(limit, QUIET)))
            if not rung:
                self._look_alive()

    def _heard(self) -> Iterator[Said | Frame]:
        channel = self._channel
        yield from self._heard_errors()
        while channel.recv_ready() and not self._out.ended:
            for item in self._out.feed(channel.recv(PIECE)):
                if isinstance(item, Frame):
                    self._words.add(item.word)
                    self._log(item)
                yield item if isinstance(item, Frame) else Said(item)
            yield from self._heard_errors()

    def _heard_errors(self) -> Iterator[Said]:
        while self._channel.recv_stderr_ready():
            for item in self._err.feed(self._channel.recv_stderr(PIECE)):
                if isinstance(item, bytes):
                    yield Said(item, error=True)

    def _log(self, frame: Frame) -> None:
        passed = time.monotonic() - self._begun
        log.debug("%s: %s, after %.3f s: %s %s", self.device, self.script.name, passed, frame.word, frame.rest)

    def _over(self) -> bool:
        """Whether nothing more can come."""
        waiting = self._channel.recv_ready() or self._channel.recv_stderr_ready()
        return bool(self._silenced() and not waiting)

    def _silenced(self) -> bool:
        """Whether the other side says no more."""
        return bool(self._channel.eof_received or self._channel.closed or not self._transport.is_active())

    def _lost(self, why: str = "the channel closed") -> DeviceError:
        """Why there is no more to hear: a login shell that never ran our script, or a link that broke."""
        # Paramiko closes the channels of a broken link before it calls the link broken: only what the other side
        # said itself (its end of output) tells that a shell ran, and left.
        if not self._served and not self._out.begun and self._channel.eof_received and self._transport.is_active():
            self._bell.wait(0.05)
            for _noise in self._heard():  # nobody has listened yet where the shell left while we still sent
                continue
            said = self.noise.decode("utf-8", "replace").strip().splitlines()
            last = f" It said: {said[-1][:200]}" if said else ""
            return RequirementMissing(
                f"The login shell ran no command of ours.{last}",
                guidance="Its shell must let commands through: ssh -p {port} {login} exec sh -c 'echo ok'",
            )
        return ConnectionLost(f"The connection broke: {why}.")


def failure(frame: Frame) -> DeviceError:
    """The error that a script's ``fail`` frame names."""
    code, _, message = frame.rest.partition(" ")
    kinds = {kind.code: kind for kind in _kinds(DeviceError) if kind.code == code}
    return kinds.get(code, AgentError)(message.strip() or f"The device reports {code}.")


def _kinds(root: type[DeviceError]) -> Iterator[type[DeviceError]]:
    for kind in root.__subclasses__():
        yield from _kinds(kind)
        yield kind

