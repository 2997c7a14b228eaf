"""What a device sends, written below one local folder and nowhere else.

Every part of a path is opened on its own, without following links, so a folder swapped for a link while we
write leads nowhere. A file appears under its name only when it is whole.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from fleet_tasks.conversation import Said
from fleet_tasks.errors import ChecksumMismatch, TransferError
from fleet_tasks.frames import Frame
from fleet_tasks.jobs import Job
from fleet_tasks.results import FileCopy
from fleet_tasks.transfer import MODES, PIECE, digests

HERE = "Make room for it on this machine, or choose another folder: --into DIR"

log = logging.getLogger(__name__)


class Incoming:
    """Takes what one conversation brings for one device, into ``folder``; ``names`` renames each pattern's top."""

    def __init__(self, device: str, folder: Path, names: list[str], notify: Callable[[bytes], None]) -> None:
        self.copies: list[FileCopy] = []
        self.absent: list[int] = []
        self._device = device
        self._folder = folder
        self._names = names
        self._notify = notify
        self._checked = 0
        self._taken: dict[str, str] = {}

    @classmethod
    def of(cls, device: str, job: Job, notify: Callable[[bytes], None]) -> Incoming:
        """For what a job fetches: below ``job.into``, in a folder with the device's name unless the job is flat."""
        folder = Path(job.into or ".")
        folder = folder if job.flat else folder / device.replace("/", "_")
        return cls(device, folder, [fetch.name for fetch in job.fetch], notify)

    def take(self, frame: Frame, items: Iterator[Said | Frame]) -> bool:
        """Does what ``frame`` announces, reading on in ``items``; false when it is none of ours."""
        if frame.word == "archive":
            self._unpack(int(frame.rest), items)
        elif frame.word in ("file", "folder"):
            index, mode, size, length = (int(part, 8 if at == 1 else 10) for at, part in enumerate(frame.parts))
            reader = Reader(items)
            name = reader.exactly(length).decode("utf-8", "surrogateescape")
            if frame.word == "folder":
                self._make(index, name, mode)
            else:
                self._store(index, name, mode, size, reader)
        elif frame.word == "special":
            self._pass_over(frame.rest.partition(" ")[2], "a link or a special file")
        elif frame.word == "absent":
            self.absent.append(int(frame.rest))
        elif frame.word == "digests":
            self._check(Reader(items).everything())
        else:
            return False
        return True

    def _unpack(self, index: int, items: Iterator[Said | Frame]) -> None:
        reader = Reader(items)
        try:
            with tarfile.open(fileobj=reader, mode="r|", bufsize=PIECE, encoding="utf-8") as tar:
                for member in tar:
                    self._member(index, tar, member)
        except (tarfile.TarError, ValueError, EOFError) as error:
            raise TransferError(f"{self._device} sent an archive that cannot be read: {error}.") from error
        reader.everything()
        if reader.closing is not None and reader.closing.rest.strip() not in ("", "0"):
            raise TransferError(f"{self._device} could not read all of the files it was asked for.")

    def _member(self, index: int, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if member.isdir():
            self._make(index, member.name, member.mode)
        elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse():
            source = tar.extractfile(member)
            if source is not None:
                self._store(index, member.name, member.mode, member.size, source)
        else:
            self._pass_over(member.name, "a link or a special file")

    def _parts(self, index: int, name: str) -> list[str] | None:
        """The parts of a safe path below the folder, renamed as asked; None for one that would leave it."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            self._pass_over(name, "its path leads elsewhere")
            return None
        renamed = self._names[index - 1] if index <= len(self._names) else ""
        return [*renamed.split("/"), *parts[1:]] if renamed else parts

    def _make(self, index: int, name: str, mode: int) -> None:
        parts = self._parts(index, name)
        if parts:
            os.close(self._open_folder(parts, (mode & MODES) | 0o700))

    def _store(self, index: int, name: str, mode: int, size: int, source: io.RawIOBase | object) -> None:
        parts = self._parts(index, name)
        if not parts:
            for _ in _pieces(source, size):
                continue
            return
        folder = self._open_folder(parts[:-1])
        temporary = f".fleet-{secrets.token_hex(6)}"
        digest = hashlib.sha256()
        taken = 0
        try:
            out = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            with os.fdopen(out, "wb") as file:
                for piece in _pieces(source, size):
                    file.write(piece)
                    digest.update(piece)
                    taken += len(piece)
                    self._notify(b"%s: %d of %d bytes" % (os.fsencode(parts[-1]), taken, size))
                os.fchmod(file.fileno(), (mode & MODES) | 0o600)
            fresh = self._want_room(parts, digest.hexdigest())
            os.replace(temporary, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            sentence = f"{self._folder / '/'.join(parts)} cannot be written: {error.strerror}."
            raise TransferError(sentence, guidance=HERE) from error
        finally:
            _forget(temporary, folder)
            os.close(folder)
        if fresh:
            local = str(self._folder.joinpath(*parts))
            self.copies.append(FileCopy(_plain(name), local, taken, digest.hexdigest()))

    def _want_room(self, parts: list[str], digest: str) -> bool:
        """Whether nothing is there yet; raises TransferError when another file of this conversation is."""
        name = "/".join(parts)
        fresh = name not in self._taken
        if self._taken.setdefault(name, digest) != digest:
            raise TransferError(f"Two files would both be {self._folder / name}: name one with --fetch REMOTE=NAME.")
        return fresh

    def _open_folder(self, parts: list[str], mode: int = 0o755) -> int:
        """A handle on the folder ``parts``, made where missing, with that mode; no part may be a link."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise TransferError(f"{self._folder} cannot be made: {error.strerror}.", guidance=HERE) from error
        for depth, part in enumerate(parts, 1):
            try:
                _make_folder(part, mode if depth == len(parts) else 0o755, handle)
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            except OSError as error:
                sentence = f"{part} in {self._folder} is in the way: {error.strerror}."
                raise TransferError(sentence, guidance=HERE) from error
            finally:
                os.close(handle)
            handle = inner
        return handle

    def _pass_over(self, name: str, why: str) -> None:
        log.warning("%s: passed over %s: %s.", self._device, name, why)

    def _check(self, said: bytes) -> None:
        """Compares the device's digests with ours, for the files it could put one on."""
        found = digests(said)
        fresh, self._checked = self.copies[self._checked :], len(self.copies)
        for copy in fresh:
            if found.get(os.fsencode(f"./{copy.remote}")) not in (None, copy.sha256.encode()):
                raise ChecksumMismatch(f"{copy.remote} changed or broke on its way from {self._device}.")


class Reader(io.RawIOBase):
    """What a conversation says up to the next frame, as a file; ``closing`` is that frame."""

    def __init__(self, items: Iterator[Said | Frame]) -> None:
        self._items = items
        self._held = b""
        self.closing: Frame | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As of a file: ``size`` bytes, fewer only at the end."""
        while self.closing is None and (size < 0 or len(self._held) < size):
            item = next(self._items, None)
            if item is None or isinstance(item, Frame):
                self.closing = item or Frame("end")
            elif not item.error:
                self._held += item.data
        taken = self._held if size < 0 else self._held[:size]
        self._held = self._held[len(taken) :]
        return taken

    def exactly(self, size: int) -> bytes:
        """``size`` bytes, one piece at a time, without ending at a frame that lies behind them."""
        while len(self._held) < size and self.closing is None:
            item = next(self._items, None)
            if item is None or isinstance(item, Frame):
                self.closing = item or Frame("end")
            elif not item.error:
                self._held += item.data
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def everything(self) -> bytes:
        """All that is left before the next frame."""
        return self.read()


def _pieces(source: object, size: int) -> Iterator[bytes]:
    """``size`` bytes of a readable; raises TransferError when there are fewer."""
    left = size
    while left:
        piece: bytes = source.read(min(left, PIECE))  # type: ignore[attr-defined]
        if not piece:
            raise TransferError("The connection ended in the middle of a file.")
        left -= len(piece)
        yield piece


def _make_folder(name: str, mode: int, handle: int) -> None:
    try:
        os.mkdir(name, mode, dir_fd=handle)
    except FileExistsError:
        return


def _forget(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def _plain(name: str) -> str:
    return name.removeprefix("./")
