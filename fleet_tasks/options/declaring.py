"""How one option is declared."""

from __future__ import annotations

from dataclasses import field
from typing import Any

FORMATS = ("text", "table", "json", "jsonl", "markdown", "html")


def option(help: str, *, short: str | None = None, kind: str = "text", default: Any = None) -> Any:
    """One option: its help (a sentence), its short flag, and what its value must be.

    Kinds: ``text``, ``names`` (repeatable, comma lists), ``many`` (repeatable, taken whole),
    ``yes`` (a switch), ``maybe`` (``--x``, ``--no-x`` or neither), ``seconds``, ``wait`` (seconds, or none),
    ``count`` (from 1), ``number`` (from 0), ``failures`` (a number or a percentage), ``format``.
    """
    if kind in ("names", "many"):
        default = ()
    if kind == "yes":
        default = False
    return field(default=default, metadata={"help": help, "short": short, "kind": kind})
