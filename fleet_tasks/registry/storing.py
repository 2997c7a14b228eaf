"""Reading the registry file, and changing it when others may want to as well: in turn, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fleet_tasks.errors import Place, RegistryError, RequestError


def read_text(path: Path, *, missing: str = "There is no such file; fleet init writes one.") -> str:
    """The text of a registry file, or of another that people wrote."""
    try:
        return decoded(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise RegistryError(missing, Place(str(path))) from error
    except OSError as error:
        raise RegistryError(f"This cannot be read: {error.strerror}.", Place(str(path))) from error


def decoded(data: bytes, name: str) -> str:
    """The text that people wrote, less the mark that some programs put before it; RegistryError unless it is UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RegistryError("This is not UTF-8.", Place(name, error.object[: error.start].count(b"\n") + 1)) from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The right to change files in a folder. The folder itself is locked, so that no lock file stays behind."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise RequestError(f"{folder} cannot be opened: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def overwrite(path: Path, text: str) -> None:
    """Put a text in the place of a file's own, with its mode, owner and line ends; readers see the old or the new."""
    newline = "\r\n" if b"\r\n" in path.read_bytes() else "\n"
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        fresh = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline=newline) as file:
                file.write(text)
                file.flush()
                _resemble(handle, path)
                os.fsync(handle)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}. Nothing was changed.") from error


def _resemble(handle: int, path: Path) -> None:
    """Give an open file the mode of another, and its owner where we may."""
    model = path.stat()
    with contextlib.suppress(PermissionError):
        os.fchown(handle, model.st_uid, model.st_gid)
    os.fchmod(handle, model.st_mode & 0o7777)
