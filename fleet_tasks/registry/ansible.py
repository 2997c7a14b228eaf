"""Ansible inventories, in their INI and their YAML form, become devices and groups.

The rules are those of Ansible's documentation, "How to build your inventory": a host has the variables of its
groups, parents before children, and its own last. Templates (``{{ }}``), plug-ins and variables in other files
are not followed.
"""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fleet_tasks import ranges
from fleet_tasks.errors import RequestError
from fleet_tasks.registry import document
from fleet_tasks.registry.document import Mapping, Node, Scalar, Sequence
from fleet_tasks.registry.harvest import Harvest

_SETTINGS = {
    "user": ("ansible_user", "ansible_ssh_user"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "key": ("ansible_ssh_private_key_file", "ansible_private_key_file"),
}
_HOST = ("ansible_host", "ansible_ssh_host")
_ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
_JUMP = re.compile(r"""(?:-J\s*|ProxyJump[= ]\s*)["']?([^\s'"]+)""", re.IGNORECASE)
_SECTION = re.compile(r"\[([^\[\]:]+)(?::(children|vars|hosts))?\]\s*([#;].*)?")
_RANGE = re.compile(r"\[([0-9]{1,9}|[A-Za-z]):([0-9]{1,9}|[A-Za-z])(?::([0-9]{1,4}))?\]")
_PASSWORD = re.compile(r"ansible_.*(pass|password)$")

Variables = dict[str, str]


@dataclass
class _Family:
    """One group of an inventory: its hosts with their variables, its children, its own variables."""

    hosts: dict[str, Variables] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)
    variables: Variables = field(default_factory=dict)


@dataclass
class Inventory:
    """All groups by name, in the order they were met."""

    families: dict[str, _Family] = field(default_factory=lambda: {"all": _Family()})

    def family(self, name: str) -> _Family:
        """The group of a name, made where there is none yet."""
        return self.families.setdefault(name, _Family())

    def harvest(self) -> Harvest:
        """The devices and groups it describes."""
        harvest = Harvest()
        depths = self._depths()
        for host in dict.fromkeys(host for family in self.families.values() for host in family.hosts):
            _device(harvest, host, self._variables(host, depths))
        for name in sorted(self.families, key=lambda name: -depths[name]):  # children are known before their parents
            family = self.families[name]
            if name not in ("all", "ungrouped"):
                harvest.group(name, [*family.hosts, *family.children])
        return harvest

    def _variables(self, host: str, depths: dict[str, int]) -> Variables:
        """A host's variables: those of all its groups, the outermost first, then its own."""
        groups = {name for name, family in self.families.items() if host in family.hosts}
        fresh = groups
        while fresh:
            fresh = {name for name, family in self.families.items() if fresh & set(family.children)} - groups
            groups = groups | fresh
        ordered = sorted(groups - {"all"}, key=lambda name: (depths[name], name))
        layers = [self.family(name).variables for name in ("all", *ordered)]
        layers += [family.hosts.get(host, {}) for family in self.families.values()]
        return {key: value for layer in layers for key, value in layer.items()}

    def _depths(self) -> dict[str, int]:
        """How deep each group lies below the outermost; in a circle, as deep as can be."""
        depths = dict.fromkeys(self.families, 0)
        for _ in depths:
            for name, family in self.families.items():
                for child in family.children:
                    depths[child] = max(depths[child], min(depths[name] + 1, len(depths)))
        return depths


def read_ini(text: str) -> Inventory:
    """An inventory in the INI form."""
    inventory = Inventory()
    name, kind = "ungrouped", "hosts"
    for line in map(str.strip, text.splitlines()):
        if not line or line[0] in "#;":
            continue
        section = _SECTION.fullmatch(line)
        if section:
            name, kind = section[1].strip(), section[2] or "hosts"
            inventory.family(name)
        elif kind == "vars":
            key, _, value = line.partition("=")
            inventory.family(name).variables[key.strip()] = " ".join(_words(value))
        elif kind == "children":
            child = line.split()[0]
            inventory.family(child)
            inventory.family(name).children.append(child)
        else:
            first, *rest = _words(line) or [line]
            _add_hosts(inventory.family(name), first, dict(_pairs(rest)))
    return inventory


def read_yaml(text: str, file: str) -> Inventory:
    """An inventory in the YAML form."""
    inventory = Inventory()

    def visit(name: str, node: Node) -> None:
        family = inventory.family(name)
        for pattern, variables in _entries(node, "hosts"):
            _add_hosts(family, pattern, _texts(variables))
        family.variables |= _texts(_entry(node, "vars"))
        for child, inner in _entries(node, "children"):
            family.children.append(child)
            visit(child, inner)

    root = document.parse(text, file, tags=True)
    for name, node in root.items.items() if isinstance(root, Mapping) else ():
        visit(name, node)
    return inventory


# -- inside ---------------------------------------------------------------------------------


def _device(harvest: Harvest, name: str, variables: Variables) -> None:
    """Take one host over, with the variables that say how it is reached."""
    if variables.get("ansible_connection", "ssh") not in ("ssh", "smart", "paramiko", "paramiko_ssh"):
        harvest.note(f"{name} is left out: it is not reached by SSH.")
        return
    for key in variables:
        if _PASSWORD.match(key):
            harvest.note(f"{name}: {key} is left out; use a key, or ssh-agent.")
    for key, value in variables.items():
        if key.startswith("ansible_") and "{{" in value:
            harvest.note(f"{name}: {key} is a template and is left out.")
    plain = {key: value for key, value in variables.items() if "{{" not in value}
    settings = {key: _first(plain, names) for key, names in _SETTINGS.items()}
    jump = _JUMP.search(" ".join(plain.get(key, "") for key in _ARGUMENTS))
    host, _, port = name.partition(":") if name.count(":") == 1 else (name, "", "")
    settings |= {"port": settings["port"] or port, "jump": jump[1] if jump else ""}
    harvest.device(host, _first(plain, _HOST) or host, settings)
    if host in harvest.called:
        harvest.called[name] = harvest.called[host]


def _first(variables: Variables, names: Iterable[str]) -> str:
    return next((variables[name] for name in names if variables.get(name)), "")


def _add_hosts(family: _Family, pattern: str, variables: Variables) -> None:
    for host in _expanded(pattern):
        family.hosts.setdefault(host, {}).update(variables)


def _expanded(pattern: str) -> Iterator[str]:
    """The hosts behind ``web[01:20:2].x`` or ``db[a:f]``."""
    pieces = _RANGE.split(pattern)
    choices = [_span(pattern, *span) for span in zip(pieces[1::4], pieces[2::4], pieces[3::4], strict=True)]
    if math.prod(map(len, choices)) > ranges.MOST:
        raise _too_many(pattern)
    for chosen in itertools.product(*choices):
        yield "".join(itertools.chain.from_iterable(zip(pieces[::4], (*chosen, ""), strict=True)))


def _span(pattern: str, first: str, last: str, step: str | None) -> list[str]:
    """The numbers, or the letters, from one to another."""
    if first.isdigit() != last.isdigit():
        raise RequestError(f"{ranges.shown(pattern)} holds no range: it goes from a number to a letter.")
    digits = first.isdigit()
    span = range(int(first) if digits else ord(first), (int(last) if digits else ord(last)) + 1, int(step or 1) or 1)
    if len(span) > ranges.MOST:
        raise _too_many(pattern)
    width = len(first) if first.startswith("0") else 1
    return [f"{number:0{width}d}" if digits else chr(number) for number in span]


def _too_many(pattern: str) -> RequestError:
    return RequestError(f"{ranges.shown(pattern)} means too many hosts; a range may mean {ranges.MOST:,} at most.")


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def _pairs(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        key, _, value = word.partition("=")
        yield key, value


def _entry(node: Node, key: str) -> Node | None:
    return node.items.get(key) if isinstance(node, Mapping) else None


def _entries(node: Node, key: str) -> list[tuple[str, Node]]:
    """The entries below a key: of a mapping, or the items of a list, which have no more to say."""
    found = _entry(node, key)
    if isinstance(found, Mapping):
        return list(found.items.items())
    items = found.items if isinstance(found, Sequence) else ()
    return [(item.text, Mapping(item.line, item.line, False, {}, {}, 0)) for item in items if isinstance(item, Scalar)]


def _texts(node: Node | None) -> Variables:
    """The variables of a mapping that are single values."""
    items = node.items.items() if isinstance(node, Mapping) else ()
    return {key: value.text for key, value in items if isinstance(value, Scalar) and not value.empty}
