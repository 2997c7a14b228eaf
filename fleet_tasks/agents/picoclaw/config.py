"""PicoClaw's config, made for one task.

A binary refuses a config of a newer version, and rewrites one of an older version where it found it, key included;
so ``dispatch.sh`` asks the binary first, and writes the version it knows at the beginning. From 0.2.8 on a field it
does not know is an error. Both make the config as small as it can be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fleet_tasks.agents.contract import Order
from fleet_tasks.agents.picoclaw import limits
from fleet_tasks.errors import AgentUnready

WORKSPACE = "@WORKSPACE@"
"""Stands for the task's folder, which only the device knows; the first text of this kind in the config."""
ALIAS = "fleet"
PREFIXES = {"openai": "openai", "anthropic": "anthropic-messages", "gemini": "gemini"}
"""PicoClaw's word for a protocol, by ours: the part of a model's name before the first slash."""
ENDPOINTS = ("/chat/completions", "/responses", "/messages")
"""What it adds to the base of the URLs by itself."""


def lines(order: Order) -> str:
    """Two lines of JSON, for versions from 0.2.5 on and for earlier ones; raises AgentUnready."""
    model = _model(order)
    key = _key(order)
    shapes = ({"api_keys": [key]} if key else {}, {"api_key": key, "api_keys": [key]} if key else {})
    return "".join(json.dumps(_config(order, {**model, **shape})) + "\n" for shape in shapes)


def _config(order: Order, model: Mapping[str, object]) -> dict[str, Any]:
    sections = limits.sorted_out(order.limits)
    defaults = {"workspace": WORKSPACE, "restrict_to_workspace": False, "model_name": ALIAS, **sections.defaults}
    # Answers sent as messages, and helpers in the background, would be lost when the task ends.
    tools: dict[str, Any] = {name: {"enabled": False} for name in ("message", "spawn", "cron")}
    if sections.exec:
        tools["exec"] = dict(sections.exec)
    return {
        "agents": {"defaults": defaults},
        "model_list": [{**model, **sections.model, "enabled": True}],
        "tools": tools,
        "gateway": {"log_level": "fatal"},
    }


def _model(order: Order) -> dict[str, object]:
    kind, name = order.provider_kind or "", order.model or ""
    if kind not in PREFIXES:
        raise AgentUnready(
            f"picoclaw needs a provider that speaks {' or '.join(PREFIXES)}.",
            guidance="Name one: --provider NAME, or provider: in fleet.yaml.",
        )
    if order.provider == kind:
        name = name.removeprefix(f"{kind}/")
    if not name or name.startswith("/") or "//" in name or name.split() != [name]:
        raise AgentUnready(f"{order.model!r} is no name of a model.", guidance="Choose another: --model NAME.")
    entry: dict[str, object] = {"model_name": ALIAS, "model": f"{PREFIXES[kind]}/{name}"}
    return {**entry, "api_base": _base(order.api_base)} if order.api_base else entry


def _base(url: str) -> str:
    url = url.rstrip("/")
    return next((url.removesuffix(end) for end in ENDPOINTS if url.endswith(end)), url)


def _key(order: Order) -> str:
    """The key. Where none is asked for, PicoClaw wants some text all the same unless it speaks OpenAI's protocol."""
    if order.key is not None:
        return order.key.reveal()
    return "" if order.provider_kind == "openai" else "none"
