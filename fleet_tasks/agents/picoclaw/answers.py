"""What PicoClaw prints: a banner, log lines perhaps, and the answer behind a lobster."""

from __future__ import annotations

import re

from fleet_tasks.agents.contract import REFUSED, Outcome, failure_sentence
from fleet_tasks.results import Problem

OURS = {73: "no-space", 78: "agent-unready"}
"""What our own dispatch.sh exits with, as sysexits.h has it (EX_CANTCREAT, EX_CONFIG); PicoClaw knows 0 and 1."""
LONGEST = 300
"""Characters of a reason that are passed on."""

_EMPTY = b"The model returned an empty response."
_EITHER = b"I've completed processing but have no response to give."
_LIMIT = b"I've reached `max_tool_iterations` without a final response."
# PicoClaw's own sentences instead of an answer (pkg/agent, defaultResponse and toolLimitResponse); up to 0.2.3 it had
# one for two things.
_ANSWER = re.compile("^🦞 ?".encode(), re.MULTILINE)
_BANNER = re.compile(r"\A\s*(?:(?:\x1b\[[0-9;]*m|[ \t\r\u2500-\u259f])*\n)*")
_LOG = re.compile(r"^\d\d:\d\d:\d\d (?:\x1b\[[0-9;]*m)?[A-Z]{3}(?:\x1b\[[0-9;]*m)? .*\n?", re.MULTILINE)
_STATUS = re.compile(r"[Ss]tatus:? ([45]\d\d)\b|\(([45]\d\d)\)")
_MESSAGE = re.compile(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)')


def cut(stdout: bytes) -> bytes:
    """The answer: all that follows the first lobster at the beginning of a line; without one, what is no noise."""
    found = _ANSWER.search(stdout)
    if found:
        return stdout[found.end() :]
    text = _LOG.sub("", _BANNER.sub("", stdout.decode("utf-8", "surrogateescape"), count=1))
    return text.encode("utf-8", "surrogateescape") if text.strip() else b""


def judge(outcome: Outcome) -> Problem | None:
    """Why the task failed; None when there is a real answer."""
    if outcome.exit_status in OURS:
        return Problem(OURS[outcome.exit_status], _last_line(outcome.stderr) or "picoclaw cannot work here.")
    if outcome.exit_status != 0:
        return _refused(outcome)
    answer = cut(outcome.stdout).strip()
    if not answer or not _ANSWER.search(outcome.stdout):
        return Problem("agent-failed", "picoclaw ended without an answer.")
    if answer.startswith(_EMPTY):
        guidance = "Try again, or with another model: --model NAME"
        return Problem("agent-failed", "The model gave an empty answer.", guidance)
    if answer.startswith(_EITHER):
        guidance = "Try another model, or raise limits: {max_tool_iterations: 100} for picoclaw in fleet.yaml."
        return Problem("agent-failed", "The model gave an empty answer, or took more tool calls than it may.", guidance)
    if answer.startswith(_LIMIT):
        guidance = "Raise it for picoclaw in fleet.yaml: limits: {max_tool_iterations: 100}"
        return Problem("agent-failed", "The task took more tool calls than it may (max_tool_iterations).", guidance)
    return None


def _refused(outcome: Outcome) -> Problem:
    """The failure in PicoClaw's own words, or in those of the provider it passes on."""
    said = outcome.stderr.decode("utf-8", "replace")
    reason = said.rpartition("Error: ")[2] if "Error: " in said else ""
    reason = reason.partition("\nUsage:\n")[0].strip()  # up to 0.2.6 every failure is followed by its flags
    if not reason:
        return Problem("agent-failed", failure_sentence(outcome.exit_status))
    failed = "LLM call failed" in reason or "API request failed" in reason
    status = _STATUS.search(reason) if failed else None
    if status is None:
        code = (
            "agent-unready"
            if reason.startswith(("error loading config", "error creating provider"))
            else "agent-failed"
        )
        return Problem(code, f"picoclaw failed: {_one_line(reason)}")
    number = int(status[1] or status[2])
    message = _MESSAGE.search(reason)
    detail = message[1] if message else reason.partition("Body:")[2].strip() or reason
    return Problem(
        "agent-failed", f"The model's provider refused with {number}: {_one_line(detail)}", REFUSED.get(number, "")
    )


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def _last_line(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:LONGEST] if lines else ""
