"""Shell files and variables become the one stream that a remote ``sh`` reads.

A remote script is a few of the package's ``remote/*.sh`` files after a head of assignments, and ends by
calling ``main``: so the shell has parsed all of it before anything runs, and no value ever becomes part of a
command line. Values are quoted by ``shlex.quote``; secrets travel the same way, exported to the task alone.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cache
from importlib.resources import files

from fleet_tasks.record import record

COMMAND = "exec sh -s"
"""What the login shell is asked to run: plain enough for fish, tcsh and csh, too."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@record
class Script:
    """One stream for a remote ``sh``: ready bytes, the nonce that frames our words, and a name for people.

    ``order`` is the same script's head, for a shell that serves (remote/serve.sh) and has the rest already.
    ``shown`` is what ``--debug`` prints of it: what is assigned and which files follow, without what is exported and
    what goes to the task's standard input. A ``raw`` one says no more than that it begins: the channel's bytes are then
    all somebody else's.
    """

    name: str
    nonce: bytes
    text: bytes = field(repr=False)
    shown: str = ""
    order: bytes = field(default=b"", repr=False)
    raw: bool = False


@cache
def shell_file(name: str) -> str:
    """The text of ``remote/<name>.sh``."""
    return (files("fleet_tasks") / "remote" / f"{name}.sh").read_text("utf-8")


def assignments(values: Mapping[str, object]) -> str:
    """Lines that set shell variables, none of them exported even where the login exports the name."""
    names = " ".join(f"ft_{name}" for name in values)
    lines = [f"ft_{name}={shlex.quote(_text(value))}" for name, value in values.items()]
    return "\n".join([f"unset {names} || :", *lines]) + "\n" if values else ""


def exports(environment: Mapping[str, str]) -> str:
    """A function that exports the task's variables, called in the task's own process only."""
    lines = [f"    export {name}={shlex.quote(value)}" for name, value in environment.items() if NAME.fullmatch(name)]
    return "\n".join(["ft_exports() {", "    :", *lines, "}"]) + "\n"


def build(
    name: str,
    parts: Iterable[str],
    values: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
) -> Script:
    """The stream for ``parts`` (names of shell files, the last one defining ``main``)."""
    nonce = secrets.token_hex(16)
    parts = tuple(parts)
    head = [assignments({"nonce": nonce}), assignments(values), exports(environment or {})]
    text = _encoded([*head, *(shell_file(part) for part in parts), "main; exit\n"])
    order = _encoded([f"task {nonce}", *head, f"{nonce}\n"])
    shown = assignments({**values, "stdin": ""}) + "\n".join(f"# remote/{part}.sh" for part in parts)
    return Script(name, nonce.encode(), text, shown, order)


def _encoded(lines: Iterable[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _text(value: object) -> str:
    if value is None or value is False:
        return ""
    return "1" if value is True else str(value)
