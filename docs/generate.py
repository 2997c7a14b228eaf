"""Writes docs/reference.md, and three tables of README.md, from the code; a table of docs/security.md from faults.yaml.

    python docs/generate.py

A test compares them with what this makes, so it is run whenever a command, a flag, a registry key, a state, a code, a
JSON field or a module's docstring changed. What the code cannot say about itself stands in docs/meanings.yaml; a key
there too many, or one too few, is an error.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from invoke import Collection

from fleet_tasks import errors, namespace, plugins
from fleet_tasks.agents import catalogue
from fleet_tasks.agents.presets import presets
from fleet_tasks.registry import devices as device_keys
from fleet_tasks.registry import reading
from fleet_tasks.registry.names import Names
from fleet_tasks.registry.providers import WELL_KNOWN
from fleet_tasks.results import Result, State, exit_code

HERE = Path(__file__).parent
PACKAGE = Path(plugins.__file__).parent
PAGE = HERE / "reference.md"
README = HERE.parent / "README.md"
SECURITY = HERE / "security.md"
MEANINGS = HERE / "meanings.yaml"
FAULTS = HERE / "faults.yaml"
LAYERS = HERE / "layers.yaml"

HEAD = """# Reference

Made from the code by `docs/generate.py`; a test keeps the two the same. The [guide](guide.md) explains, this lists.

- [Commands](#commands)
- [Flags](#flags)
- [fleet.yaml](#fleetyaml)
- [Environment variables](#environment-variables)
- [States](#states)
- [Error codes](#error-codes)
- [Exit codes](#exit-codes)
- [JSON](#json)
"""


def render() -> str:
    """The whole page. Raises ValueError when the meanings and the code do not fit together."""
    meanings = yaml.safe_load(MEANINGS.read_text("utf-8"))
    parts = (
        HEAD,
        *_commands(),
        *_flags(),
        *_registry(meanings),
        *_variables(meanings["variables"]),
        *_states(meanings["states"]),
        *_codes(),
        *_exits(meanings["exits"]),
        *_documents(),
    )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip() + "\n"


def readme(text: str) -> str:
    """README.md with its tables made anew. Raises ValueError where one has lost its place."""
    return _filled(text, "README.md", {"commands": _overview(), "agents": _agents(), "tour": _tour()})


def security(text: str) -> str:
    """docs/security.md with its table made anew. Raises ValueError where it has lost its place."""
    return _filled(text, "security.md", {"faults": _faults()})


def _filled(text: str, page: str, tables: Mapping[str, Iterable[str]]) -> str:
    for name, rows in tables.items():
        block = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
        table = "\n".join(rows).strip()
        before, *rest = block.split(text)
        if len(rest) != 3:
            raise ValueError(f"{page} has no place for its {name} table")
        text = f"{before}{rest[0]}\n{table}\n\n{rest[1]}{rest[2]}"
    return text


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every case of attack or fault: its group, its title, and what is said about it."""
    for group, inner in yaml.safe_load(FAULTS.read_text("utf-8")).items():
        for title, case in inner.items():
            yield group, title, case


def _faults() -> Iterator[str]:
    last = ""
    rows = []
    for group, title, case in cases():
        held = [f"`{name.removeprefix('tests/')}`" for name in case.get("tests", ())]
        held += [f"*Open:* {case['open']}"] if "open" in case else []
        rows.append((f"**{group}**" if group != last else "", title, "<br>".join(held)))
        last = group
    return _table("About|Case|Held by", rows)


def _overview() -> Iterator[str]:
    rows = ((f"`{name}`", (task.__doc__ or "").partition("\n")[0]) for name, task in commands().items())
    return _table("Command|Does", rows)


def _agents() -> Iterator[str]:
    """The agents that ship, whatever else is installed here."""
    names = sorted({*plugins.SHIPPED["agents"], *presets()})
    return _table("Agent|Is", ((f"`{name}`", catalogue.find(name, {}).description) for name in names))


def _tour() -> Iterator[str]:
    """Every module and package directly below the package, with the first sentence it says about itself."""
    for layer, names in layers().items():
        yield f"**{layer.capitalize()}**"
        yield from _table("Module|Is about", map(_row, names))


def _row(name: str) -> tuple[str, str]:
    path = PACKAGE / f"{name}.py"
    return (f"`{name}`", said(path)) if path.is_file() else (f"`{name}/`", said(PACKAGE / name / "__init__.py"))


def layers() -> dict[str, list[str]]:
    """The modules of every layer in alphabetical order, from the words to the front."""
    found: dict[str, list[str]] = yaml.safe_load(LAYERS.read_text("utf-8"))
    return found


def said(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


def commands() -> dict[str, Any]:
    """Every command by the name it is called with: those without a dot first."""
    return dict(sorted(_tasks(namespace), key=lambda pair: ("." in pair[0], pair[0])))


def _tasks(collection: Collection, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, task in collection.tasks.items():
        yield prefix + name, task
    for name, inner in collection.collections.items():
        yield from _tasks(inner, f"{prefix}{name}.")


def _table(head: str, rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    """A table as Markdown; a bar in a cell is written so that it stays one cell."""
    columns = head.split("|")
    yield ""
    for row in (columns, ["---"] * len(columns), *rows):
        yield f"| {' | '.join(str(cell).replace('|', '&#124;').strip() for cell in row)} |"
    yield ""


def _checked(found: Iterable[str], described: Mapping[str, str], what: str) -> Mapping[str, str]:
    """The descriptions, if they are of exactly what the code has; ValueError names the difference."""
    wrong = set(found) ^ set(described)
    if wrong:
        raise ValueError(f"docs/meanings.yaml, {what}: {', '.join(sorted(wrong))} on one side only")
    return described


# -- commands and flags ---------------------------------------------------------------------


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "`fleet COMMAND [FLAGS]`; in a checkout `fab COMMAND` and `inv COMMAND` are the same. Several commands in one"
    yield "line are done in their order. The words after *Flags* lead to their tables."
    for name, task in commands().items():
        words, _, example = inspect.cleandoc(task.__doc__).rpartition("\n\n")
        yield f"\n### {name}\n"
        default = name.rpartition(".")[0]
        if default and namespace.subcollection_from_path(default).default == name.rpartition(".")[2]:
            yield f"Also `{default}`.\n"
        yield words
        typed = re.sub("^fab ", "fleet ", inspect.cleandoc(example), flags=re.MULTILINE)
        yield f"\n```sh\n{typed}\n```\n"
        yield f"Flags: {', '.join(f'[{_title(kind)}](#{_anchor(kind)})' for kind in task.records.values())}."


def _title(kind: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).capitalize()


def _anchor(kind: type) -> str:
    return "flags-" + _title(kind).lower().replace(" ", "-")


def _flags() -> Iterator[str]:
    yield "\n## Flags\n"
    yield "In brackets: what holds when the flag is not given. Repeatable ones may be given several times; those marked"
    yield "*list* take commas as well."
    users: dict[type, list[str]] = {}
    for name, task in commands().items():
        for kind in task.records.values():
            users.setdefault(kind, []).append(name)
    for kind in sorted(users, key=_title):
        yield f'\n<a id="{_anchor(kind)}"></a>\n'
        yield f"### {_title(kind)}\n"
        yield f"{inspect.cleandoc(kind.__doc__ or '')}"
        yield from _table("Flag|Value|Meaning", (_flag(field) for field in dataclasses.fields(kind)))
        yield f"In: {', '.join(f'`{name}`' for name in users[kind])}."


_VALUES = {
    "text": "text",
    "names": "list, repeatable",
    "many": "repeatable",
    "yes": "",
    "maybe": "",
    "seconds": "seconds",
    "wait": "seconds, or 0",
    "count": "whole number from 1",
    "number": "whole number from 0",
    "failures": "number or percentage",
    "format": "one of these words",
}


def _flag(field: dataclasses.Field[Any]) -> tuple[str, str, str]:
    long, short, kind = field.name.replace("_", "-"), field.metadata["short"], field.metadata["kind"]
    written = [f"`-{short}`"] if short else []
    written += [f"`--{long}`", f"`--no-{long}`"] if kind == "maybe" else [f"`--{long}`"]
    return ", ".join(written), _VALUES[kind], field.metadata["help"]


# -- fleet.yaml -----------------------------------------------------------------------------


def _registry(meanings: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    nobody = Names((), ())
    sections = (
        ("top", "At the top", reading.PARTS),
        ("device", "A device, and `defaults:`", device_keys.readers(nobody)),
        ("run", "In `defaults:` only", device_keys._RUN),
        ("group", "A group", ("members", "description")),
        ("provider", "A provider", ("kind", "api_base", "key")),
        ("agent", "An agent", reading._agent_readers(nobody, "")),
        ("secret", "A secret", reading._SOURCES),
    )
    yield "\n## fleet.yaml\n"
    yield "Strict: an unknown key, a wrong type, a key given twice or an unknown name is an error that names file, line"
    yield "and the nearest right word."
    for name, title, keys in sections:
        described = _checked(keys, meanings[name], name)
        yield f"\n### {title}"
        yield from _table("Key|Meaning", ((f"`{key}`", described[key]) for key in keys))
    yield "### Providers that need no entry"
    rows = ((f"`{p.name}`", p.kind, p.api_base, f"`{p.key}`" if p.key else "none") for p in WELL_KNOWN.values())
    yield from _table("Name|Kind|Base of its URLs|Secret", rows)


def _variables(meanings: Mapping[str, str]) -> Iterator[str]:
    own = PACKAGE / "agents"  # what an agent's folder says to itself is its own affair
    files = (path for path in PACKAGE.rglob("*") if path.parent == own or own not in path.parents)
    texts = (path.read_text("utf-8") for path in files if path.suffix in (".py", ".sh", ".yaml"))
    words = {word for text in texts for word in re.findall(r"\bFLEET_[A-Z_]*[A-Z]\b", text)}
    described = _checked(words, meanings, "variables")
    yield "## Environment variables"
    yield from _table("Variable|Meaning", ((f"`{name}`", text) for name, text in described.items()))


# -- states, codes, exits -------------------------------------------------------------------


def _states(meanings: Mapping[str, str]) -> Iterator[str]:
    described = _checked(State, meanings, "states")
    yield "## States"
    yield from _table("State|Meaning, and what to do", ((f"`{state}`", described[state]) for state in State))


def device_errors() -> list[type[errors.DeviceError]]:
    """The error of each code, in the order of their tree; where a whole branch has the code of a leaf, the leaf."""
    own = (kind for kind in _tree(errors.DeviceError) if "code" in vars(kind) and kind.__name__ in errors.__all__)
    return list({kind.code: kind for kind in own}.values())


def _tree(kind: type[errors.DeviceError]) -> Iterator[type[errors.DeviceError]]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _tree(inner)


def _codes() -> Iterator[str]:
    yield "## Error codes\n"
    yield "The `code` of an entry's `error`. `{device}`, `{login}`, `{host}`, `{port}`, `{run}` and the like stand"
    yield "for the entry's own values, which are filled in."
    rows = (
        (f"`{kind.code}`", f"`{kind.state}`", inspect.cleandoc(kind.__doc__ or ""), kind.guidance)
        for kind in device_errors()
    )
    yield from _table("Code|State|What happened|What to do", rows)


def _exits(meanings: Mapping[int, str]) -> Iterator[str]:
    def exits(state: State, interrupted: bool = False) -> int:
        return exit_code([Result("", "", "", state)], interrupted=interrupted)

    real = (
        exits(State.DONE), exits(State.FAILED), errors.RequestError.exit_code, exits(State.UNREACHABLE),
        exits(State.CANCELLED, interrupted=True),
    )  # fmt: skip
    described = _checked(map(str, real), {str(code): text for code, text in meanings.items()}, "exits")
    yield "## Exit codes"
    yield from _table("Code|Meaning", ((f"`{code}`", described[str(code)]) for code in real))


# -- documents ------------------------------------------------------------------------------


def _documents() -> Iterator[str]:
    schema = json.loads((PACKAGE / "formats" / "schema.json").read_text("utf-8"))
    yield f"## JSON\n\n{schema['description']}\n"
    yield "The schema itself: [fleet_tasks/formats/schema.json](../fleet_tasks/formats/schema.json)."
    for name, part in schema["$defs"].items():
        if "properties" in part:
            yield f'\n<a id="json-{name}"></a>\n'
            yield f"### {name.replace('_', ' ').capitalize()}\n"
            yield part.get("description", "")
            yield from _table("Field|Type|Meaning", _fields(part, ""))


def _fields(part: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, value in part["properties"].items():
        needed = "" if name in part.get("required", ()) else " May be absent."
        yield f"`{prefix}{name}`", _type(value), value.get("description", "") + needed
        inner = value.get("items", {})
        if "properties" in inner:
            yield from _fields(inner, f"{prefix}{name}[].")


def _type(value: Mapping[str, Any]) -> str:
    """A field's type in words: ``text or null``, ``list of [result](#json-result)``."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return {"run": "text", "time": "text", "state": "[state](#states)"}.get(
            name, f"[{name.replace('_', ' ')}](#json-{name})"
        )
    if "oneOf" in value:
        return " or ".join(sorted(map(_type, value["oneOf"]), key="null".__eq__))
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return "[error code](#error-codes)" if "auth-refused" in value["enum"] else "one of " + ", ".join(value["enum"])
    kinds = value.get("type", "anything")
    words = [{"string": "text", "integer": "whole number", "array": "list", "boolean": "true or false"}.get(kind, kind)
             for kind in ([kinds] if isinstance(kinds, str) else kinds)]  # fmt: skip
    of = f" of {_type(value['items'])}" if "properties" not in value.get("items", {"properties": 0}) else ""
    return " or ".join(words) + of


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
    README.write_text(readme(README.read_text("utf-8")), "utf-8")
    SECURITY.write_text(security(SECURITY.read_text("utf-8")), "utf-8")
