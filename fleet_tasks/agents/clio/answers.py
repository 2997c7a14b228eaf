"""CLIO's output: the answer is what follows ``[RESPONSE]``, and whether there is one is all that tells of success."""

from __future__ import annotations

import re

from fleet_tasks.agents.contract import REFUSED, Outcome, failure_sentence
from fleet_tasks.results import Problem

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
SPINNER = re.compile("[\u2800-\u28ff]")
RESPONSE = re.compile(r"^\[RESPONSE\] ?", re.MULTILINE)
REASON = re.compile(r"^\[(?:ERROR|SYSTEM)\] (.*)", re.MULTILINE)
REFUSAL = re.compile(r"^FleetTasks: (.*)", re.MULTILINE)
"""What FleetTasks.pm writes to standard error when a model's endpoint refuses: CLIO's own words for it say little."""
STATUS = re.compile(r" answered with (\d{3})\b")
LONGEST = 200
"""Characters of its own words that a sentence repeats."""


def cut(stdout: bytes) -> bytes:
    """The answer alone; where there is none, everything, freed of what belongs to a terminal."""
    text = plain(stdout)
    found = RESPONSE.search(text)
    answer = text[found.end() :] if found else text
    return answer.strip("\n").encode("utf-8", "surrogateescape") + b"\n" if answer.strip() else b""


def judge(outcome: Outcome) -> Problem | None:
    """Why there is no answer; None when there is one."""
    text = plain(outcome.stdout)
    found = RESPONSE.search(text)
    if outcome.exit_status is None:
        return Problem("agent-failed", failure_sentence(None))
    if found and text[found.end() :].strip():
        return None
    reasons = REASON.findall(text[: found.start()] if found else text)
    refusals = REFUSAL.findall(plain(outcome.stderr))
    if reasons or refusals:
        reason = (refusals or reasons)[-1].strip()
        status = STATUS.search(reason) if refusals else None
        guidance = REFUSED.get(int(status[1]), "") if status else ""
        return Problem("agent-failed", f"CLIO failed: {reason[:LONGEST]}", guidance)
    said = plain(outcome.stderr).strip().rpartition("\n")[2].strip()[:LONGEST]
    if found:
        return Problem("agent-failed", "CLIO's answer is empty.")
    ended = failure_sentence(outcome.exit_status) if outcome.exit_status else "CLIO ended without an answer."
    return Problem("agent-failed", f"{ended} It said: {said}" if said else ended)


def plain(data: bytes) -> str:
    """What a person would have seen last: no colours, nothing that was taken back, no spinning wheels."""
    text = ESCAPE.sub("", data.decode("utf-8", "surrogateescape").replace("\r\n", "\n"))
    if "\b" in text:
        text = _taken_back(text)
    return SPINNER.sub("", text).replace("\r", "\n")


def _taken_back(text: str) -> str:
    kept: list[str] = []
    for sign in text:
        if sign != "\b":
            kept.append(sign)
        elif kept and kept[-1] != "\n":
            kept.pop()
    return "".join(kept)
