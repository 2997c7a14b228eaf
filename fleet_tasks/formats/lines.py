"""Output of many devices as it comes, each line whole under its device's name."""

from __future__ import annotations

import zlib

from fleet_tasks.formats.streams import Streams
from fleet_tasks.results import Chunk, Progress, Result

_LONGEST = 1 << 16
_COLOURS = ("cyan", "yellow", "magenta", "green", "blue")


class Lines:
    """Lines of the tasks' standard output on ours, those of their standard error on our standard error.

    With ``answered`` that is how answers are shown; otherwise a document follows, and all lines go to standard error.
    """

    def __init__(self, streams: Streams, *, answered: bool = True) -> None:
        self.answered = answered
        self._streams = streams
        self._rest: dict[tuple[str, bool], bytes] = {}

    def see(self, item: Result | Progress | Chunk) -> None:
        """Takes in output, silence, or the end of a device's work."""
        if isinstance(item, Chunk):
            self.feed(item.device, item.data, error=item.error)
        elif isinstance(item, Result):
            self.end(item.device)
        elif item.phase == "silent":
            self._streams.say(f"{item.device}: silent for {item.line.decode()}", "dim")

    def feed(self, device: str, data: bytes, *, error: bool = False) -> None:
        """Some bytes of a device; its unfinished line is kept, up to 64 KiB."""
        *whole, rest = (self._rest.get((device, error), b"") + data).split(b"\n")
        for line in whole:
            self._show(device, line, error)
        while len(rest) > _LONGEST:
            self._show(device, rest[:_LONGEST], error)
            rest = rest[_LONGEST:]
        self._rest[device, error] = rest

    def end(self, device: str) -> None:
        """The device says nothing more: its unfinished lines are lines."""
        for error in (False, True):
            rest = self._rest.pop((device, error), b"")
            if rest:
                self._show(device, rest, error)

    def _show(self, device: str, line: bytes, error: bool) -> None:
        colour = _COLOURS[zlib.crc32(device.encode("utf-8", "replace")) % len(_COLOURS)]
        self._streams.line(device, line.removesuffix(b"\r"), colour, error=error or not self.answered)
