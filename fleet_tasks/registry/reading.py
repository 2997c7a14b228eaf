"""From the text of fleet.yaml to a Registry: every default filled in, every name checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from fleet_tasks.registry import schema, spots
from fleet_tasks.registry.devices import Reader, read_defaults, read_devices
from fleet_tasks.registry.document import Mapping as Table
from fleet_tasks.registry.document import parse
from fleet_tasks.registry.groups import read_groups
from fleet_tasks.registry.names import Names
from fleet_tasks.registry.providers import KINDS, WELL_KNOWN, Provider
from fleet_tasks.registry.records import AgentSettings, Limits, Registry, SecretSource, unknown
from fleet_tasks.registry.spots import Spot

PARTS = ("version", "enabled", "defaults", "devices", "groups", "providers", "agents", "secrets")

USAGE = ("input_tokens", "output_tokens", "requests", "cost")

_CHECKSUM = re.compile(r"(sha256:)?[0-9a-fA-F]{64}")
_NEED = re.compile(r"([A-Za-z0-9_./+][A-Za-z0-9_./+-]*)(?: *(>=) *([0-9][0-9A-Za-z.]*)|(:[A-Za-z0-9_.:]+))?")
_GITHUB = re.compile(r"github:[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(@[A-Za-z0-9_.+/-]+)?")


def read(
    text: str, file: str, *, path: Path | None = None, agents: Collection[str] | None = None, limits: Limits = unknown
) -> Registry:
    """The registry that a YAML text describes; RegistryError with file, line and path where it is wrong.

    ``agents`` are the agents there are beside the registry's own; where given, other names are refused. So are limits
    that an agent does not have by what ``limits`` says.
    """
    parts = spots.fields(Spot(file, "", parse(text, file)), PARTS)
    if "version" in parts and spots.scalar(parts["version"]).text != "1":
        raise parts["version"].wrong("must be 1, the only version there is.")
    providers = _providers(parts.get("providers"))
    own = _described(parts.get("agents"))
    names = Names(providers, agents, own, limits)
    defaults = read_defaults(parts.get("defaults"), names)
    devices, origins = read_devices(parts.get("devices"), defaults, names)
    return Registry(
        path=path,
        enabled=spots.yes(parts["enabled"]) if "enabled" in parts else True,
        devices=devices,
        groups=read_groups(parts.get("groups"), devices, origins),
        agents=_agents(parts.get("agents"), names),
        providers=providers,
        secrets=_secrets(parts.get("secrets")),
        defaults=defaults,
    )


# -- providers ------------------------------------------------------------------------------


def _providers(spot: Spot | None) -> Mapping[str, Provider]:
    """The well-known providers, and those of the registry over them."""
    found = dict(WELL_KNOWN)
    for at, name, value in spots.entries(spot) if spot else ():
        found[spots.name(at)] = _provider(name, value)
    return found


def _provider(name: str, spot: Spot) -> Provider:
    parts = spots.fields(spot, ("kind", "api_base", "key"))
    known = WELL_KNOWN.get(name, Provider(name, "openai", ""))
    api_base = schema.url(parts["api_base"]) if "api_base" in parts else known.api_base
    if not api_base:
        raise spot.wrong("needs api_base:, the URL that requests go to.")
    return Provider(
        name=name,
        kind=spots.choice(parts["kind"], KINDS) if "kind" in parts else known.kind,
        api_base=api_base,
        key=schema.secret_name(parts["key"]) if "key" in parts else known.key,
    )


# -- agents ---------------------------------------------------------------------------------


def _described(spot: Spot | None) -> frozenset[str]:
    """The agents of which the registry itself says how to start them."""
    return frozenset(
        name for _, name, value in (spots.entries(spot) if spot else ())
        if isinstance(value.node, Table) and "dispatch" in value.node.items
    )  # fmt: skip


def _agents(spot: Spot | None, names: Names) -> dict[str, AgentSettings]:
    found = {}
    for at, name, value in spots.entries(spot) if spot else ():
        names.agent(at)
        readers = _agent_readers(names, name)
        parts = spots.fields(value, readers)
        found[name] = AgentSettings(name, **{key: readers[key](part) for key, part in parts.items()})
    return found


def _agent_readers(names: Names, agent: str) -> dict[str, Reader]:
    """How each setting of an agent is read."""
    return {
        "source": _source,
        "checksum": _checksum,
        "asset": spots.path,
        "releases_api": schema.url,
        "provider": names.provider,
        "model": spots.word,
        "timeout": spots.seconds,
        "cleanup": spots.yes,
        "memory": _memory,
        "limits": lambda spot: names.limits_of(spot, agent),
        "env": schema.variables,
        "dispatch": spots.script,
        "status": spots.script,
        "deploy": spots.script,
        "teardown": spots.script,
        "answer": spots.text,
        "fails_when": spots.text,
        "usage": lambda spot: {key: spots.word(part) for key, part in spots.fields(spot, USAGE).items()},
        "description": spots.prose,
        "program": spots.word,
        "login": spots.script,
        "keys": lambda spot: {kind: schema.variable(part) for kind, part in spots.fields(spot, KINDS).items()},
        "secrets": lambda spot: tuple(schema.secret_name(item) for item in spots.items(spot)),
        "needs": lambda spot: tuple(_need(item) for item in spots.items(spot)),
        "needs_model": spots.yes,
    }


def _need(spot: Spot) -> str:
    """A program, with the version it must have at least, or with a module; blanks around the sign do no harm."""
    found = _NEED.fullmatch(spots.text(spot).strip())
    if found is None:
        raise spot.wrong("must be a program, like git, git>=2.30 or perl:JSON::PP.")
    return "".join(filter(None, found.groups()))


def _source(spot: Spot) -> str:
    source = spots.path(spot)
    url = source.startswith(("http://", "https://"))
    if ("://" in source and not url) or (source.startswith("github:") and not _GITHUB.fullmatch(source)):
        raise spot.wrong("must be a path, a URL (http or https), or github:owner/repo with @tag or without.")
    return schema.url(spot) if url else source


def _checksum(spot: Spot) -> str:
    value = spots.text(spot)
    if value != "none" and not _CHECKSUM.fullmatch(value):
        raise spot.wrong("must be a SHA-256, 64 hexadecimal digits; or none, to use what nobody vouches for.")
    return value.removeprefix("sha256:").lower()


def _memory(spot: Spot) -> bool:
    """Whether an agent remembers earlier tasks: ``keep``, or ``fresh`` for each."""
    if spots.scalar(spot).boolean is None:
        return spots.choice(spot, ("keep", "fresh")) == "keep"
    return spots.yes(spot)


# -- secrets --------------------------------------------------------------------------------


def _secrets(spot: Spot | None) -> dict[str, SecretSource]:
    """Where secrets are kept. Nothing that may be a value is ever repeated in an error."""
    found = {}
    for at, name, value in spots.entries(spot) if spot else ():
        schema.secret_name(Spot(at.file, "secrets", at.node))
        if not isinstance(value.node, Table):
            raise value.wrong("must be {env: NAME}, {file: PATH} or {command: [...]}; never the value itself.")
        parts = spots.fields(value, tuple(_SOURCES))
        if len(parts) != 1:
            raise value.wrong("needs exactly one of env:, file: and command:.")
        found[name] = SecretSource(name, **{key: _SOURCES[key](part) for key, part in parts.items()})
    return found


def _command(spot: Spot) -> tuple[str, ...]:
    words = tuple(spots.text(item) for item in spots.items(spot))
    if not words:
        raise spot.wrong("needs the words of a command, like [pass, show, openai].")
    return words


_SOURCES: Mapping[str, Reader] = {"env": schema.variable, "file": spots.path, "command": _command}
