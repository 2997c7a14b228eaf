"""Agents of a user's own: a few lines of fleet.yaml, through the real program on the bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.agents.command import CommandAgent, need
from fleet_tasks.agents.contract import Order, Outcome
from fleet_tasks.agents.extracts import Extract
from fleet_tasks.errors import RequestError, TaskTooLong
from fleet_tasks.registry import AgentSettings
from fleet_tasks.results import Usage
from fleet_tasks.testing import CANARY, AgentContract
from tests.bench import Bench
from tests.program import fleet


class TestContract(AgentContract):
    """A command agent with everything it can have."""

    kind = CommandAgent
    settings = {
        "dispatch": "echo >~/.mark; printf '{\"said\": \"%s\"}' \"$(cat \"$FLEET_TASK_FILE\")\"",
        "deploy": "mkdir -p bin; echo echo 1.0 >bin/parrot; chmod +x bin/parrot",
        "status": "echo ready=yes; echo version=$(parrot)",
        "teardown": "rm -f ~/.mark",
        "answer": "json:said",
        "secrets": ("PARROT_KEY",),
    }

    def agent(self) -> CommandAgent:
        """An agent takes its name from the registry."""
        return CommandAgent(AgentSettings("parrot", **self.settings))


def agent(name: str = "parrot", **settings: Any) -> CommandAgent:
    return CommandAgent(AgentSettings(name, **{"dispatch": "echo", **settings}))


def outcome(stdout: str = "", status: int | None = 0, stderr: str = "") -> Outcome:
    return Outcome(status, stdout.encode(), stderr.encode())


# -- what is read out of the output -------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "text", "found"),
    [
        ("json:result", '{"result": "yes"}', "yes"),
        ("json:a.b.1.c", '{"a": {"b": [0, {"c": 7}]}}', "7"),
        ("json:models.*.n", '{"models": {"x": {"n": 1}, "y": {"n": 2}}}', "2"),
        ("json:result", 'a warning\n{\n  "result": "yes"\n}\nbye\n', "yes"),
        ("json:result", '{"other": 1}', None),
        ("json:result", "not json {", None),
        ("json:result", "[" * 100_000, None),
        ("json:0", "[1]", "1"),
        ("json:3", "[1]", None),
        ("json:result", '{"result": null}', None),
        ("jsonl:item.text", '{"item": {"text": "a"}}\nnoise\n{"item": {"text": "b"}}\n{"end": 1}\n', "b"),
        ("text:(?m)^Error: .*", "fine\nError: no key\nbye\n", "Error: no key"),
        ("text:x+", "abc", None),
    ],
)
def test_a_place_in_the_output(where: str, text: str, found: str | None) -> None:
    assert Extract.of(where, "here").last(text.encode()) == found


@given(st.binary(), st.sampled_from(["json:a", "jsonl:a.b", "json:*", "text:a", "text"]))
def test_whatever_was_printed_looking_never_fails(data: bytes, where: str) -> None:
    Extract.of(where, "here").last(data)
    Extract.of(where, "here").total(data)


@pytest.mark.parametrize("where", ["", "json", "json:", "json:a..b", "jsonl:.", "xml:a", "text:(", "yaml"])
def test_a_place_that_makes_no_sense(where: str) -> None:
    with pytest.raises(RequestError, match=r"agents\.parrot\.answer: "):
        Extract.of(where, "agents.parrot.answer")


def test_sums() -> None:
    lines = b'{"n": 1}\n{"n": 2.5}\n{"n": "x"}\n'
    assert Extract.of("jsonl:n", "here").total(lines) == 3.5
    assert Extract.of("jsonl:m", "here").total(lines) is None


# -- judgements -----------------------------------------------------------------------------------


def test_the_answer_is_freed_of_its_document() -> None:
    parrot = agent(answer="json:said.text")
    assert parrot.answer(b'{"said": {"text": "two\\nlines\\n\\n"}}') == b"two\nlines\n"
    assert parrot.answer(b"broken") == b"broken"
    assert agent().answer(b"as it is\n\n") == b"as it is\n\n"


@pytest.mark.parametrize(
    ("settings", "ended", "sentence"),
    [
        ({}, outcome("fine"), None),
        ({}, outcome("", 0), None),
        ({}, outcome("", 3, "one\nno key\n\n"), "The task exited with 3. It said: no key"),
        ({}, outcome("", 137), "The task was ended by signal 9."),
        ({}, outcome("", None), "The task ended without an exit status."),
        ({"answer": "json:said"}, outcome("plain"), "parrot gave no JSON with said."),
        ({"answer": "json:said"}, outcome('{"said": ""}'), None),
        (
            {"answer": "json:said", "fails_when": "json:bad"},
            outcome('{"said": "no key", "bad": true}'),
            "parrot failed: no key",
        ),
        ({"answer": "json:said", "fails_when": "json:bad"}, outcome('{"said": "fine", "bad": false}'), None),
        ({"fails_when": "json:error.message"}, outcome('{"error": {"message": "x"}}'), "parrot failed: x"),
        ({"fails_when": "json:e"}, outcome("", 1, 'words\n{"e": "x"}\n'), "parrot failed: x"),
        ({"fails_when": "json:e"}, outcome("", 1, "words"), "The task exited with 1. It said: words"),
        ({"fails_when": "text:(?m)^Oops.*"}, outcome("", 0, "a\nOops: 401\nb"), "parrot failed: Oops: 401"),
    ],
)
def test_verdicts(settings: dict[str, str], ended: Outcome, sentence: str | None) -> None:
    problem = agent(**settings).verdict(ended)
    assert (problem.message if problem else None) == sentence


def test_usage() -> None:
    usage = {"input_tokens": "u.*.in", "cost": "cost", "requests": "n"}
    said = '{"u": {"a": {"in": 1}, "b": {"in": 2}}, "cost": 0.5}'
    assert agent(answer="json:said", usage=usage).usage(outcome(said)) == Usage(input_tokens=3, cost=0.5)
    assert agent(answer="json:said", usage=usage).usage(outcome("{}")) is None
    assert agent().usage(outcome("{}")) is None


# -- settings -------------------------------------------------------------------------------------


def test_needs_are_read_or_guessed() -> None:
    wanted = ("node >= 20", "perl:JSON::PP")
    assert [(each.program, each.version, each.module) for each in agent(needs=wanted).needs] == [
        ("node", "20", ""),
        ("perl", "", "JSON::PP"),
    ]
    assert [each.program for each in agent(dispatch='exec gemini --prompt "$FLEET_TASK"').needs] == ["gemini"]
    assert agent(dispatch="if true; then echo; fi").needs[0].program == "if"  # says so in check, and needs: mends it
    assert agent(dispatch="$PROGRAM x").needs == ()
    with pytest.raises(RequestError, match="neither program"):
        need("two words; rm", "parrot")


@pytest.mark.parametrize(
    ("dispatch", "long"),
    [
        ('say "$FLEET_TASK"', True),
        ('say "${FLEET_TASK}"', True),
        ('say <"$FLEET_TASK_FILE"', False),
        ('say "$FLEET_TASK_ID"', False),
        ("say ${FLEET_TASK_FILE}", False),
    ],
)
def test_a_task_that_does_not_fit_into_an_argument(dispatch: str, long: bool) -> None:
    order = Order(task="x" * 130_000, run="r", device="d")
    if long:
        with pytest.raises(TaskTooLong, match="130000 bytes"):
            agent(dispatch=dispatch).environment(order)
    else:
        agent(dispatch=dispatch).environment(order)


# -- through the program ---------------------------------------------------------------------------

PARROT = {
    "dispatch": """printf '{"said": "%s to %s", "tokens": 3}' "$(cat "$FLEET_TASK_FILE")" "$GREETED"; touch ~/.seen""",
    "answer": "json:said",
    "usage": {"input_tokens": "tokens"},
    "teardown": "rm -f ~/.seen",
    "deploy": "mkdir bin && printf '#!/bin/sh\\necho parrot 2.5\\n' >bin/parrot && chmod +x bin/parrot",
    "program": "parrot",
    "env": {"GREETED": "you"},
}


def test_its_whole_life_on_a_device(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck", shell="dash", path=bench.bin(also=("tar", "head")))
    entry = {**deck.entry, "env": {"GREETED": "me"}}
    registry = bench.registry(tmp_path / "fleet.yaml", [], devices={"deck": entry}, agents={"parrot": PARROT})
    words = ("-d", "deck", "-a", "parrot", "-f", "json", "--registry", str(registry))

    before = fleet(bench, "status", *words)
    facts = before.results[0]["facts"]
    assert (before.code, facts["ready"], facts["reason"]) == (0, False, "parrot is not installed")
    answered = fleet(bench, "dispatch", *words, "--task", "hello")
    assert answered.code == 0, answered.stdout + answered.stderr
    assert answered.results[0]["stdout"] == "hello to me\n"
    assert answered.results[0]["usage"]["input_tokens"] == 3
    after = fleet(bench, "status", *words).results[0]["facts"]
    assert (after["ready"], after["version"]) == (True, "parrot 2.5")
    assert "is current" in fleet(bench, "deploy", *words).results[0]["stdout"]
    removed = fleet(bench, "teardown", *words, "--verify")
    assert (removed.code, list(deck.home.iterdir())) == (0, [])


def test_a_failure_is_told_in_its_own_words(bench: Bench, tmp_path: Path) -> None:
    agents = {"grump": {"dispatch": "echo '{\"why\": \"not today\"}'", "fails_when": "json:why", "needs": ["sh"]}}
    bench.device("deck")
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents)
    said = fleet(
        bench, "dispatch", "-d", "deck", "-a", "grump", "--task", "x", "-f", "json", "--registry", str(registry)
    )
    error = said.results[0]["error"]
    assert (said.code, said.results[0]["exit_status"], error["code"]) == (1, 0, "agent-failed")
    assert error["message"] == "grump failed: not today"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (None, "the environment variable PARROT_KEY"),
        ({"env": "OTHER_NAME"}, "the environment variable OTHER_NAME"),
        ({"file": "~/nowhere/key"}, "the file "),
        ({"command": ["false", "quietly"]}, "the command false (it exited with 1)"),
        ({"command": ["no-such-command"]}, "the command no-such-command (No such file or directory)"),
    ],
)
def test_a_missing_secret_stops_before_any_connection(
    bench: Bench, tmp_path: Path, source: dict[str, object] | None, place: str
) -> None:
    bench.device("deck")
    agents = {"parrot": {"dispatch": "echo", "secrets": ["PARROT_KEY", "NEST_KEY"]}}
    secrets = {"PARROT_KEY": source} if source else {}
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents, secrets=secrets)
    said = fleet(bench, "dispatch", "-d", "deck", "-a", "parrot", "--task", "x", "--registry", str(registry))
    assert (said.code, said.stdout, bench.logins()) == (2, "", 0)
    assert f"The agent parrot on deck needs PARROT_KEY, and it was not found in {place}" in said.stderr
    assert "The agent parrot on deck needs NEST_KEY, and it was not found in " in said.stderr


def test_a_missing_secret_is_told_with_all_who_need_it(bench: Bench, tmp_path: Path) -> None:
    names = [bench.device(f"deck{number}").name for number in range(1, 5)]
    agents = {name: {"dispatch": "echo", "secrets": ["NEST_KEY"]} for name in ("parrot", "rook")}
    devices = {names[3]: {**bench.device(names[3]).entry, "agent": "rook"}}
    registry = bench.registry(
        tmp_path / "fleet.yaml", names[:3], agents=agents, devices=devices, defaults={"agent": "parrot"}
    )
    said = fleet(bench, "dispatch", "--all", "--task", "x", "--registry", str(registry))
    assert (said.code, said.stdout, bench.logins()) == (2, "", 0)
    who = "The agents parrot on deck[1-3] and rook on deck4 need NEST_KEY, and it was not found in"
    assert f"{who} the environment variable NEST_KEY." in said.stderr


@pytest.mark.parametrize(
    ("how", "ending"),
    [("env", "exit 0"), ("file", "exit 0"), ("command", "exit 0"), ("env", "exit 1"), ("env", "sleep 600")],
)
def test_a_secret_reaches_the_process_and_nothing_else(bench: Bench, tmp_path: Path, how: str, ending: str) -> None:
    deck = bench.device("deck", shell="dash")
    (bench.home / "key").write_text(CANARY + "\n")
    source = {"env": "MY_KEY", "file": str(bench.home / "key"), "command": ["cat", str(bench.home / "key")]}[how]
    sighted = 'echo "$PARROT_KEY"; env | grep -c PARROT_KEY; ps -ef; echo "$PARROT_KEY" >&2'
    agents = {"parrot": {"dispatch": f"{sighted}; {ending}", "secrets": ["PARROT_KEY"], "needs": ["sh"]}}
    secrets = {"PARROT_KEY": {how: source}}
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents, secrets=secrets)
    words = ("-d", "deck", "-a", "parrot", "--task", "x", "--timeout", "2", "-f", "json", "--registry", str(registry))
    said = fleet(bench, "dispatch", *words, MY_KEY=CANARY)
    first = said.results[0]
    # Whatever it is shown as: among all processes it stands nowhere.
    assert first["stdout"].startswith("[secret]\n1\n") and first["stdout"].count("[secret]") == 1
    assert "ps -ef" in first["stdout"] and first["stderr"] == "[secret]\n"
    assert first["state"] == {"exit 0": "done", "exit 1": "failed", "sleep 600": "timed-out"}[ending]
    assert CANARY not in said.stdout + said.stderr
    (bench.home / "key").unlink()
    kept = [*bench.home.rglob("*"), *deck.home.rglob("*")]
    assert [path for path in kept if path.is_file() and CANARY.encode() in path.read_bytes()] == []
    assert deck.quiet()


def test_two_agents_of_one_run_get_their_own_secrets_only(bench: Bench, tmp_path: Path) -> None:
    agents = {name: {"dispatch": "env | grep -c _KEY=", "secrets": [f"{name.upper()}_KEY"]} for name in ("one", "two")}
    devices = {name: {**bench.device(name).entry, "agent": name} for name in ("one", "two")}
    registry = bench.registry(tmp_path / "fleet.yaml", [], devices=devices, agents=agents)
    words = ("--all", "--task", "x", "-f", "json", "--registry", str(registry))
    said = fleet(bench, "dispatch", *words, ONE_KEY=CANARY, TWO_KEY=CANARY + "2")
    assert [each["stdout"] for each in said.results] == ["1\n", "1\n"]


def test_it_is_listed_with_what_it_needs(bench: Bench, tmp_path: Path) -> None:
    registry = bench.registry(tmp_path / "fleet.yaml", [], agents={"parrot": PARROT})
    said = fleet(bench, "agent.show", "--name", "parrot", "-f", "json", "--registry", str(registry))
    row = json.loads(said.stdout)["agents"][0]
    assert (row["installs"], row["scripts"]) == (True, ["status", "deploy", "dispatch", "teardown"])


def test_the_key_of_its_provider_is_among_what_it_needs(bench: Bench, tmp_path: Path) -> None:
    providers = {"mine": {"kind": "openai", "api_base": "http://127.0.0.1:1/v1", "key": "MY_KEY"}}
    agents = {"llm": {"provider": "mine"}}
    registry = bench.registry(tmp_path / "fleet.yaml", [], agents=agents, providers=providers)
    said = fleet(bench, "agent.list", "-f", "json", "--registry", str(registry))
    needed = {row["name"]: row["secrets"] for row in json.loads(said.stdout)["agents"]}
    wanted = {"claude": ["ANTHROPIC_API_KEY"], "clio": ["GITHUB_TOKEN"], "llm": ["MY_KEY"], "opencode": [], "shell": []}
    assert {name: needed[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"answer": "xml:a"}, "agents.parrot.answer: 'xml:a' is neither"),
        ({"fails_when": "text:("}, "agents.parrot.fails_when: '(' is no regular expression"),
        ({"needs": ["a b"]}, "must be a program, like git"),
        ({"usage": {"tokens": "a"}}, "agents.parrot.usage"),
        ({"keys": {"openai": "sk-abc def"}}, "must be the name of an environment variable"),
        ({"keys": {"telepathy": "KEY"}}, "The key 'telepathy' is not known here"),
    ],
)
def test_a_slip_is_told_before_anything_is_touched(
    bench: Bench, tmp_path: Path, settings: dict[str, object], sentence: str
) -> None:
    agents = {"parrot": {"dispatch": "echo", **settings}}
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"], agents=agents)
    said = fleet(bench, "dispatch", "-d", "deck", "-a", "parrot", "--task", "x", "--registry", str(registry))
    assert (said.code, bench.logins()) == (2, 0)
    assert sentence in said.stderr
