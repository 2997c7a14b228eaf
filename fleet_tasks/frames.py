"""A channel's bytes, told apart: what the task wrote, and what our scripts say about it.

Our words are frames: ``NONCE word arguments\\n``. Bytes before the first frame are noise of the login shell,
bytes after the frame ``end`` are nobody's. The nonce is 128 random bits, so a task cannot forge a frame.
"""

from __future__ import annotations

from collections.abc import Iterator

from fleet_tasks.record import record

LONGEST = 1 << 20
"""Bytes one frame may have."""


@record
class Frame:
    """One thing a script says: a word and the rest of its line."""

    word: str
    rest: str = ""

    @property
    def parts(self) -> list[str]:
        """The arguments, split at white space."""
        return self.rest.split()


class Frames:
    """Tells bytes from frames, however the network cut them; also how noise and silence are seen.

    With ``raw`` there is no frame but ``begin``, and nothing after it is held back: somebody may wait for it.
    """

    def __init__(self, nonce: bytes, *, raw: bool = False) -> None:
        self._mark = nonce + b" "
        self._raw = raw
        self._held = b""
        self.begun = False
        self.ended = False
        self.noise = b""

    def feed(self, data: bytes) -> Iterator[bytes | Frame]:
        """The pieces of ``data`` that are complete, in order."""
        data = self._held + data
        self._held = b""
        while data and not self.ended:
            at = -1 if self.begun and self._raw else data.find(self._mark)
            if at < 0:
                kept = self._overlap(data)
                yield from self._plain(data[: len(data) - kept])
                self._held = data[len(data) - kept :]
                return
            yield from self._plain(data[:at])
            stop = data.find(b"\n", at)
            if stop < 0:
                # A frame is one short line; a device that never ends it is not listened to further.
                self.ended = len(data) - at > LONGEST
                self._held = data[at:]
                return
            frame = self._frame(data[at + len(self._mark) : stop])
            data = data[stop + 1 :]
            if frame is not None:
                yield frame

    def rest(self) -> bytes:
        """What was held back in case it began a frame, once nothing more can come."""
        held, self._held = self._held, b""
        return held if self.begun and not self.ended and not held.startswith(self._mark) else b""

    def _frame(self, line: bytes) -> Frame | None:
        word, _, rest = line.decode("utf-8", "replace").partition(" ")
        self.ended = self.ended or word == "end"
        if word == "begin":
            self.begun = True
            return Frame(word) if self._raw else None
        return Frame(word, rest)

    def _plain(self, data: bytes) -> Iterator[bytes]:
        if not data:
            return
        if self.begun:
            yield data
        else:
            self.noise = (self.noise + data)[-4096:]

    def _overlap(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a mark."""
        if self.begun and self._raw:
            return 0
        first = self._mark[:1]
        at = data.find(first, max(0, len(data) - len(self._mark) + 1))
        while at >= 0:
            if self._mark.startswith(data[at:]):
                return len(data) - at
            at = data.find(first, at + 1)
        return 0
