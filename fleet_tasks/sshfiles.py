"""The files of ssh's configuration as one text, with every ``Include`` in its place.

``ssh`` looks its user's home up in the password database. Here ``~`` is ``$HOME``, in includes and in values, so
that a test or a container never reads the files of that other home.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from fleet_tasks.record import record

SYSTEM = Path("/etc/ssh/ssh_config")
DEEPEST = 16  # levels of Include, as in OpenSSH's readconf.c

ANSWERS = frozenset(
    "hostname user port identityfile identitiesonly identityagent proxyjump proxycommand userknownhostsfile "
    "hostkeyalias stricthostkeychecking".split()
)

_ANYONE = "Host *"
_AGAIN = re.compile(r"\b(final|canonical)\b", re.IGNORECASE)  # read once more, under another host's name
_LINE = re.compile(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*$")


@record
class SshConfig:
    """The whole configuration, the user's part first: of several values the first one counts."""

    text: str

    def concerns(self, host: str) -> bool:
        """Whether anything in it may have a say about how this host is reached."""
        return any(patterns is None or _matches(host, patterns) for patterns in self._telling)

    @cached_property
    def _telling(self) -> list[list[str] | None]:
        """The patterns of each part that says something; None for parts that may mean any host."""
        telling: list[list[str] | None] = []
        patterns: list[str] | None = None
        for keyword, rest in map(keyword_of, self.text.splitlines()):
            if keyword in ("host", "match"):
                patterns = words(rest) if keyword == "host" else None
            anyone = keyword == "canonicalizehostname" or (keyword == "match" and _AGAIN.search(rest))
            if anyone or keyword in ANSWERS:
                said = None if anyone else patterns
                if not telling or telling[-1] != said:
                    telling.append(said)
        return telling

    def lookup(self, host: str) -> dict[str, list[str]]:
        """What its ``Host`` lines say about a host, by keyword in small letters; ``Match`` is not understood."""
        found: dict[str, list[str]] = {}
        applies = True
        for keyword, rest in map(keyword_of, self.text.splitlines()):
            if keyword in ("host", "match"):
                applies = keyword == "host" and _matches(host, words(rest))
            elif applies and keyword and (keyword not in found or keyword == "identityfile"):
                found.setdefault(keyword, []).append(" ".join(words(rest)))
        return found

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts it names, in order: no patterns, no negations."""
        named = [word for key, rest in map(keyword_of, self.text.splitlines()) if key == "host" for word in words(rest)]
        return tuple(dict.fromkeys(word for word in named if not re.search(r"[*?!%]", word)))


def read(home: Path) -> SshConfig:
    """The user's configuration and the system's; what is not there or not readable says nothing."""
    own = inlined(home / ".ssh" / "config", home)
    return SshConfig("\n".join([*own, _ANYONE, *inlined(SYSTEM, home)]))


def inlined(path: Path, home: Path) -> list[str]:
    """The lines of a file, with the files it includes in place of their mention, relative ones from beside it.

    A ``Host`` or ``Match`` line inside an included file ends with that file, so the one above the mention
    is said again after it.
    """
    return list(_inlined(path, path.parent, home, _ANYONE, DEEPEST))


def _inlined(path: Path, folder: Path, home: Path, header: str, depth: int) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        keyword, rest = keyword_of(line)
        if keyword == "include":
            for file in _included(rest, folder, home) if depth else ():
                yield from _inlined(file, folder, home, header, depth - 1)
                yield header
        elif keyword in ("host", "match"):
            header = line
            yield line
        elif keyword:
            yield re.sub(r"(?<=[\s=\"'])~(?=/)", lambda _: str(home), line)


def keyword_of(line: str) -> tuple[str, str]:
    """A line's keyword in small letters and the rest; two empty texts for comments."""
    found = _LINE.match(line)
    return (found[1].lower(), found[2]) if found else ("", "")


def words(rest: str) -> list[str]:
    """The arguments of a line; quotes hold blanks together."""
    try:
        return shlex.split(rest, comments=True)
    except ValueError:
        return rest.split()


def _included(rest: str, folder: Path, home: Path) -> Iterator[Path]:
    """The files that an ``Include`` means."""
    for word in words(rest):
        pattern = home / word[2:] if word.startswith("~/") else folder / word
        yield from sorted(Path("/").glob(str(pattern).lstrip("/")))


def _matches(host: str, patterns: list[str]) -> bool:
    """Whether a ``Host`` line may mean the host."""
    held = [(pattern.startswith("!"), _like(pattern.lstrip("!"), host)) for pattern in patterns]
    return any(like for no, like in held if not no) and not any(like for no, like in held if no)


def _like(pattern: str, host: str) -> bool:
    if "*" not in pattern and "?" not in pattern:  # most are plain names, and a configuration may hold thousands
        return pattern.lower() == host.lower()
    signs = {"*": ".*", "?": "."}
    expression = "".join(signs.get(sign, re.escape(sign)) for sign in pattern)
    return bool(re.fullmatch(expression, host, re.IGNORECASE))
