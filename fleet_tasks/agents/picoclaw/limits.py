"""The limits a registry may set for PicoClaw, and where each stands in its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from fleet_tasks.errors import AgentUnready, RequestError
from fleet_tasks.ranges import nearest
from fleet_tasks.record import record

DEFAULTS = {
    "max_tokens": int,
    "max_tool_iterations": int,
    "context_window": int,
    "temperature": float,
    "restrict_to_workspace": bool,
}
"""Settings of ``agents.defaults``, each with its kind."""
MODEL = {"request_timeout": int, "rpm": int}
"""Settings of the model's entry."""
EXEC = {"exec_timeout": ("timeout_seconds", int), "deny_patterns": ("enable_deny_patterns", bool)}
"""Settings of the tool that runs commands, by our name, with their own."""
VARIABLES = {"max_llm_retries": int, "llm_retry_backoff_secs": int}
"""Settings that version 0.2.8 would refuse in its config; as variables they are harmless to those who know them not."""

KINDS: Mapping[str, type] = {**DEFAULTS, **MODEL, **{name: kind for name, (_, kind) in EXEC.items()}, **VARIABLES}
_WORDS = {int: "a whole number, not negative", float: "a number, not negative", bool: "true or false"}


@record
class Sections:
    """The limits, sorted into the sections of the config, and variables beside it."""

    defaults: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    exec: Mapping[str, object] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


def check_names(limits: Mapping[str, object]) -> None:
    """Raises RequestError for a limit that PicoClaw has not, or whose value makes no sense."""
    for name, value in limits.items():
        if name not in KINDS:
            near = nearest(name, KINDS)
            hint = f"did you mean {near}?" if near else f"it has {', '.join(KINDS)}."
            raise RequestError(f"agents.picoclaw.limits: picoclaw has no limit {name}; {hint}")
        if not _sensible(name, value):
            raise RequestError(f"agents.picoclaw.limits.{name} must be {_WORDS[KINDS[name]]}.")


def sorted_out(limits: Mapping[str, object]) -> Sections:
    """The limits that PicoClaw has, where they belong; others are for other agents. Raises AgentUnready."""
    for name, value in limits.items():
        if name in KINDS and not _sensible(name, value):
            raise AgentUnready(
                f"The limit {name} must be {_WORDS[KINDS[name]]}.", guidance="Mend limits: in fleet.yaml."
            )
    return Sections(
        defaults={name: limits[name] for name in DEFAULTS if name in limits},
        model={name: limits[name] for name in MODEL if name in limits},
        exec={own: limits[name] for name, (own, _) in EXEC.items() if name in limits},
        variables={
            f"PICOCLAW_AGENTS_DEFAULTS_{name.upper()}": str(limits[name]) for name in VARIABLES if name in limits
        },
    )


def _sensible(name: str, value: object) -> bool:
    kind = KINDS[name]
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float) if kind is float else int) and value >= 0
