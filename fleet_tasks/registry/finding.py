"""Which registry is meant, and the first one for those who have none."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from fleet_tasks.errors import Refused, RequestError

FILE = "fleet.yaml"
VARIABLE = "FLEET_REGISTRY"

_STRANGERS = "{path} is another user's, in a folder open to all; if you trust it, say --registry {path}"


def find(explicit: str | None, environ: Mapping[str, str], cwd: Path, home: Path) -> Path | None:
    """The registry named by the flag, by FLEET_REGISTRY, the nearest upwards, or the user's own.

    A file that was named is returned even where there is none, so that reading it says so.
    """
    named = explicit or environ.get(VARIABLE)
    if named:
        return cwd / _from_home(named, home)
    for folder in (cwd, *cwd.parents):
        if (folder / FILE).is_file():
            if not trusted(folder / FILE):
                raise Refused(_STRANGERS.format(path=folder / FILE))
            return folder / FILE
    own = user_registry()
    return own if own.is_file() else None


def user_registry() -> Path:
    """Where a user keeps the registry that holds in every folder."""
    from platformdirs import user_config_path

    return user_config_path("fleet-tasks", appauthor=False) / FILE


def write_template(path: Path) -> None:
    """Begin a registry, full of comments; RequestError where a file is already there."""
    text = resources.files(__package__).joinpath("template.yaml").read_text(encoding="utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        if path.exists():
            raise RequestError(f"{path} exists already; nothing was changed.") from error
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from error


def _from_home(text: str, home: Path) -> Path:
    """The path with ``~`` as this home; another user's home (``~bob``) is taken literally."""
    return home / text[2:] if text.startswith("~/") else Path(text)


def trusted(path: Path) -> bool:
    """Whether a file found by chance is to be read: none that a stranger left in /tmp; it may name commands."""
    open_to_all = path.parent.stat().st_mode & stat.S_IWOTH
    return not open_to_all or path.stat().st_uid == os.getuid()
