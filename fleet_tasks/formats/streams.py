"""Streams: results go to standard output or ``--output FILE``, everything else to standard error.

This is where text leaves the program, so this is where it is made harmless: whatever a format hands over,
a terminal only ever gets sanitised text.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TextIO, TypeVar, cast

from fleet_tasks.errors import FleetError, RequestError
from fleet_tasks.formats import sanitize

T = TypeVar("T")

_STYLES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}


class Streams:
    """Two ways out. ``write`` is for exact bytes, ``text`` for documents, ``say`` for what is beside the results.

    A reader who goes away (``| head``) ends the output and not the work: devices must still be cleaned up.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        # Python has no stream where the shell closed it (>&-).
        self._out: TextIO = out or sys.stdout or _nowhere()
        self._err: TextIO = err or sys.stderr or _nowhere()
        self._draft: Draft | None = None
        self.quiet = False
        self.told = False
        """Whether the answers were shown already, each line as it came."""

    @property
    def terminal(self) -> bool:
        """Whether people read the results as they come."""
        return self._draft is None and _is_terminal(self._out)

    @property
    def watched(self) -> bool:
        """Whether progress would be seen, and would not mix with results on the same screen."""
        return _is_terminal(self._err) and os.environ.get("TERM") != "dumb"

    @property
    def err(self) -> TextIO:
        """Standard error, for the progress display, which a terminal that closes does not break."""
        return cast(TextIO, Screen(self._err))

    @property
    def unicode(self) -> bool:
        """Whether results can hold any character."""
        return self._draft is not None or (self._out.encoding or "utf-8").lower().startswith("utf")

    def redirect(self, path: str) -> None:
        """Send results to a file from now on; raises RequestError when it cannot be written."""
        self._draft = Draft(Path(path))

    def write(self, data: bytes) -> None:
        """Results as they are; a terminal gets them sanitised."""
        if self._draft is not None:
            self._draft.write(data)
        elif self.terminal:
            _put(self._out, sanitize.text(data))
        else:
            _put(self._out, data)

    def text(self, words: str, style: str = "") -> None:
        """A line or a document for people, sanitised wherever it goes."""
        words = sanitize.text(words) + "\n"
        if self._draft is not None:
            self._draft.write(words.encode())
        else:
            _put(self._out, _styled(words, style, self._out))

    def say(self, words: str, style: str = "") -> None:
        """A line on standard error, sanitised."""
        _put(self._err, _styled(sanitize.text(words) + "\n", style, self._err))

    def line(self, name: str, data: bytes, style: str = "", *, error: bool = False) -> None:
        """One line of one device's output, its name before it."""
        stream = self._err if error else self._out
        prefix = _styled(sanitize.line(name) + ": ", style, stream)
        words = prefix + sanitize.text(data).replace("\n", "\u2424") + "\n"
        if error:
            _put(self._err, words)
        elif self._draft is not None:
            self._draft.write(words.encode())
        else:
            _put(self._out, words)

    def keep(self) -> None:
        """The results are complete: let the file appear, whole."""
        if self._draft is not None:
            self._draft.keep()

    def drop(self) -> None:
        """The results never became complete: leave no half a file."""
        if self._draft is not None:
            self._draft.drop()


class Screen:
    """A stream for a progress display: nothing that goes wrong with it is worth an error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As of the stream."""
        return self._try(lambda: self._stream.write(text), len(text))

    def flush(self) -> None:
        """As of the stream."""
        self._try(self._stream.flush, None)

    def _try(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except OSError as error:
            if _is_gone(self._stream, error):
                _silence(self._stream)
            return otherwise


class Draft:
    """A file that appears whole or not at all, written beside its place and renamed into it.

    What is there and is no ordinary file (``/dev/null``, a pipe) is written to directly; links are followed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._place = path.resolve()
            self._direct = self._place.exists() and not self._place.is_file()
            self._beside = self._place if self._direct else self._place.with_name(f".{path.name}.{os.getpid()}.part")
            self._file: IO[bytes] = self._beside.open("wb" if self._direct else "xb")
        except (OSError, ValueError) as error:
            raise RequestError(f"--output {path} cannot be written: {_reason(error)}.") from error

    def write(self, data: bytes) -> None:
        """More of it; raises FleetError when the disk is full."""
        try:
            self._file.write(data)
        except OSError as error:
            raise FleetError(f"--output {self._path} could not be written: {_reason(error)}.") from error

    def keep(self) -> None:
        """Put it in place with the mode of what was there; a second call does nothing."""
        if self._file.closed:
            return
        try:
            if not self._direct and self._place.exists():
                os.fchmod(self._file.fileno(), self._place.stat().st_mode & 0o777)
            self._file.close()
            if not self._direct:
                self._beside.replace(self._place)
        except OSError as error:
            raise FleetError(f"--output {self._path} could not be written: {_reason(error)}.") from error

    def drop(self) -> None:
        """Remove what was written so far, unless it is in place already."""
        if not self._file.closed:
            if not self._direct:
                self._beside.unlink(missing_ok=True)
            _close(self._file)


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _close(file: IO[bytes]) -> None:
    """Close a file nobody wants any more: what its buffer held may go."""
    try:
        file.close()
    except OSError:
        return


def _is_terminal(stream: TextIO) -> bool:
    return not stream.closed and stream.isatty()


def _styled(words: str, style: str, stream: TextIO) -> str:
    """The words in a style, where a terminal shows it and nobody objects (https://no-color.org)."""
    plain = not style or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not _is_terminal(stream):
        return words
    body = words.removesuffix("\n")
    return f"\x1b[{_STYLES[style]}m{body}\x1b[0m{words[len(body) :]}"


def _put(stream: TextIO, data: bytes | str) -> None:
    """Write and flush; text streams without bytes below them get text."""
    below = getattr(stream, "buffer", None)
    encoding = stream.encoding or "utf-8"
    raw = data if isinstance(data, bytes) else data.encode(encoding, "backslashreplace")
    try:
        if below is None:
            stream.write(raw.decode(encoding, "replace"))
        else:
            stream.flush()
            below.write(raw)
        stream.flush()
    except OSError as error:
        gone = _is_gone(stream, error)
        _silence(stream)
        if gone:
            return
        raise FleetError(f"The results cannot be written: {error.strerror}.") from error


def _is_gone(stream: TextIO, error: OSError) -> bool:
    """Whether it is the reader who went away: of a pipe, or with a terminal, which a disk that fails is not."""
    if isinstance(error, BrokenPipeError):
        return True
    return error.errno == errno.EIO and stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)


def _silence(stream: TextIO) -> None:
    """Point a stream whose reader is gone at nothing, so that neither we nor the interpreter's exit trip again."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, stream.fileno())
    finally:
        os.close(nothing)
