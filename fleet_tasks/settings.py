"""Settings: what ``fleet:`` in fabric.yaml, FABRIC_FLEET_* and INVOKE_FLEET_* say where a flag says nothing.

They are Invoke's settings like any other: its files, their order, its environment variables.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoke import Context

from fleet_tasks import addresses, plugins, values
from fleet_tasks.errors import RequestError
from fleet_tasks.options import Agency, Connecting, Fetching, Limits, Model, Output, Where, Work
from fleet_tasks.ranges import nearest, shown
from fleet_tasks.registry.finding import VARIABLE, trusted

NAMES = (
    "registry", "agent", "model", "provider", "timeout", "into", "cleanup", "parallel", "retries", "connect_timeout",
    "deadline", "max_failures", "grace", "format", "quiet", "debug",
)  # fmt: skip
"""The flags that may be set for good; which devices are meant, and what they should do, is said each time."""

RECORDS = (Agency, Connecting, Fetching, Limits, Model, Output, Where, Work)
"""The records in which a setting may stand; those that say what is to be written down take no part."""

DECLARED = {"fleet": dict.fromkeys(NAMES)}
"""For ``namespace.configure``: Invoke reads only the environment variables of settings that it knows."""

HOST = "-H"
"""Where our own program leaves the word of its flag ``-H``; no file and no variable has settings of such a name."""


def default(c: Context, record: type, field: dataclasses.Field[Any]) -> Any:
    """What stands in for a flag that is not given; None where nothing does, RequestError for what makes no sense.

    FLEET_REGISTRY goes before a setting, and so does ``-t`` of ``fab`` before one of connect_timeout.
    """
    if record not in RECORDS or field.name not in NAMES:
        return None
    if field.name == "registry" and os.environ.get(VARIABLE):
        return None
    if field.name == "connect_timeout" and (core := login(c).get("timeout")) is not None:
        return values.setting(field, "-t/--connect-timeout", core)
    value = values.setting(field, _label(c, field.name), of(c).get(field.name), formats=plugins.formats)
    return _from_its_file(c, value) if field.name == "registry" and value else value


def host(c: Context | None = None) -> str | None:
    """The one device of ``-H``; raises RequestError for several, which Fabric would visit one after the other."""
    given = of(c).get(HOST) if c is not None else None
    if given is None:
        core = getattr(getattr(sys.modules.get("fabric.main"), "program", None), "core", None)
        given = core[0].args.hosts.value if core else None
    if given is None:
        return None
    names = [name.strip() for name in str(given).split(",") if name.strip()]
    if len(names) != 1:
        instead = f"for several at once use -d {','.join(names)}." if names else "it is empty."
        raise RequestError(f"-H takes one device here; {instead}")
    addresses.endpoint(names[0])
    return names[0]


def login(c: Context) -> Mapping[str, Any]:
    """What ``-i``, ``-t`` and the like of ``fab`` and ``fleet`` say; raises RequestError for what cannot be meant."""
    found = c.config.get("connect_kwargs") or {}
    if not isinstance(found, Mapping):
        raise RequestError("The setting connect_kwargs wants names with values.")
    return found


def here() -> Path:
    """The folder that we stand in; raises RequestError when somebody removed it."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise RequestError("The folder that this was started in is gone; go to another one.") from error


def project(cwd: Path) -> Path | None:
    """The folder of the nearest fabric.yaml upwards, as ``fab`` finds it beside a fabfile; none that a stranger left.

    Settings that are a program (fabric.py) are for ``fab``, which is about to run a program from there anyway.
    """
    files = (folder / f"fabric.{kind}" for folder in (cwd, *cwd.parents) for kind in ("yaml", "yml", "json"))
    found = next((file for file in files if file.is_file()), None)
    return found.parent if found and trusted(found) else None


def of(c: Context) -> Mapping[str, Any]:
    """Everything under ``fleet:``; raises RequestError for a name that is no setting."""
    found = c.config.get("fleet") or {}
    if not isinstance(found, Mapping):
        raise RequestError("The setting fleet wants names with values.")
    for name in found:
        if name not in (*NAMES, HOST):
            near = nearest(str(name), NAMES)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(NAMES)}."
            raise RequestError(f"There is no setting fleet.{shown(str(name))[1:-1]}; {hint}")
    return dict(found)


def _label(c: Context, name: str) -> str:
    """What a setting is called where it was found."""
    variable = f"{c.config.prefix}_fleet_{name}".upper()
    return variable if os.environ.get(variable) else f"The setting fleet.{name}"


def _from_its_file(c: Context, registry: str) -> str:
    """A registry that a file of settings names, counted from that file's folder; as it is where none does."""
    variable = os.environ.get(f"{c.config.prefix}_fleet_registry".upper())
    for kind in ("runtime",) if variable else ("runtime", "project", "user", "system"):  # the order in which they win
        said = (getattr(c.config, f"_{kind}") or {}).get("fleet") or {}
        if said.get("registry") == registry and not registry.startswith("~"):
            return str(Path(getattr(c.config, f"_{kind}_path")).absolute().parent / registry)
    return registry
