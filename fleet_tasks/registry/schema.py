"""Values of fleet.yaml with a meaning of their own: architectures, URLs, names of secrets, variables, options."""

from __future__ import annotations

import math
import re
from urllib.parse import urlsplit

from fleet_tasks import ranges
from fleet_tasks.registry import spots
from fleet_tasks.registry.document import Scalar
from fleet_tasks.registry.spots import Spot

_ARCHITECTURES = {
    "amd64": ("x86_64", "x64"),
    "386": ("i386", "i486", "i586", "i686", "x86"),
    "arm64": ("aarch64", "armv8"),
    "armv7": ("armv7l", "armhf"),
    "armv6": ("armv6l", "armel"),
    "riscv64": (),
    "loong64": ("loongarch64",),
    "ppc64le": ("powerpc64le",),
    "s390x": (),
    "mips": (),
    "mipsle": ("mipsel",),
    "mips64": (),
    "mips64le": ("mips64el",),
}
_ARCHITECTURE = {word: arch for arch, others in _ARCHITECTURES.items() for word in (arch, *others)}
_SECRET_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_VARIABLE = re.compile(r"(.*_)?(API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD)", re.IGNORECASE)


def architecture(spot: Spot) -> str:
    """A processor architecture under one name, whatever it was called."""
    value = spots.scalar(spot).text.lower()
    if value not in _ARCHITECTURE:
        near = ranges.nearest(value, _ARCHITECTURE)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(_ARCHITECTURES)}."
        raise spot.wrong(f"{ranges.shown(value)} is no architecture; {hint}")
    return _ARCHITECTURE[value]


def url(spot: Spot) -> str:
    """An address on the web, without a password in it."""
    value = spots.word(spot)
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise spot.wrong("is no URL.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise spot.wrong("must be a URL: http://... or https://...")
    if parts.username or parts.password:
        raise spot.wrong("must not hold a login; name a secret instead.")
    return value


def secret_name(spot: Spot) -> str:
    """The name of a secret. What is none may be its value, so it is never repeated."""
    value = spots.scalar(spot).text
    if not _SECRET_NAME.fullmatch(value):
        raise spot.wrong("must be the name of a secret, like OPENAI_API_KEY; its value is never kept here.")
    return value


def variable(spot: Spot) -> str:
    """The name of an environment variable. What is none may be a secret, so it is never repeated."""
    value = spots.scalar(spot).text
    if not _VARIABLE.fullmatch(value):
        raise spot.wrong("must be the name of an environment variable; a value is never kept here.")
    return value


def variables(spot: Spot) -> dict[str, str]:
    """Environment variables; numbers are taken as they are written, secrets are refused."""
    found = {}
    for at, key, value in spots.entries(spot):
        if not _VARIABLE.fullmatch(key):
            raise at.wrong(f"{ranges.shown(key)} is no name of a variable: letters, digits and underscores.")
        if _SECRET_VARIABLE.fullmatch(key):
            raise at.wrong(f"A secret does not belong here; name {key} in the agent's secrets: list.")
        plain = spots.scalar(value) if isinstance(value.node, Scalar) and not value.node.empty else None
        found[key] = plain.text if plain and plain.number else _variable(value)
    return found


def _variable(spot: Spot) -> str:
    return "" if isinstance(spot.node, Scalar) and not spot.node.text else spots.lines(spot)


def options(spot: Spot) -> dict[str, object]:
    """Settings for an agent by name: numbers, words, true or false."""
    return {key: _option(value) for _, key, value in spots.entries(spot)}


def _option(spot: Spot) -> object:
    value = spots.scalar(spot)
    if value.boolean is not None:
        return value.boolean
    if value.plain and spots.WHOLE.fullmatch(value.text):
        return int(value.text)
    if value.number:
        return _finite(spot, value.text)
    return spots.text(spot)


def _finite(spot: Spot, written: str) -> float:
    try:
        number = float(written)
    except ValueError as error:
        raise spot.wrong(f"{ranges.shown(written)} is no plain number.") from error
    if not math.isfinite(number):
        raise spot.wrong(f"{ranges.shown(written)} is no plain number.")
    return number
