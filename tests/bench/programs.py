"""Stand-ins for the programs behind the presets: each asks its model as the real one does, and prints as it does.

    path = programs(tmp_path / "bin")                       # a folder to put on a device's PATH
    path = programs(tmp_path / "bin", only=("claude",))

Versions whose behaviour this is: claude 2.1.197, codex 0.169.0, opencode 1.18.33, gemini 0.61.0, llm 0.36, aider
0.86.2. Each also writes into its home what the real one does, and some where temporary files go (``unpacked-by-*``),
so that a test sees whether anything stays.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from itertools import pairwise
from pathlib import Path
from typing import Any


def programs(folder: Path, only: Collection[str] = ()) -> str:
    """Writes the stand-ins into ``folder``; returns it as a path."""
    folder.mkdir(parents=True, exist_ok=True)
    here = str(Path(__file__).parent)
    for name in only or PROGRAMS:
        start = f"import sys; sys.path.append({here!r}); from programs import main; main({name!r})"
        (folder / name).write_text(f"#!{sys.executable} -IS\n{start}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def main(name: str) -> None:
    """Runs as the program of that name."""
    version, home, run = PROGRAMS[name]
    words = sys.argv[1:]
    _litter(home)
    if name in ("claude", "gemini", "opencode"):
        (Path(os.environ.get("TMPDIR", "/tmp")) / f"unpacked-by-{name}").touch()
    if words == ["--version"]:
        print(version)
    else:
        sys.exit(run(words))


def _litter(home: str) -> None:
    folder = Path(re.sub(r"\$(\w+)", lambda found: os.environ.get(found[1], ""), home.partition("|")[0]))
    if not folder.is_absolute():
        folder = Path(os.environ["HOME"]) / home.partition("|")[2]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_text("{}")


def _ask(url: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _option(words: list[str], *names: str, default: str = "") -> str:
    for name, value in pairwise(words):
        if name in names:
            return value
    return default


def claude(words: list[str]) -> int:
    """claude -p --output-format json, the prompt on standard input."""
    if words[:2] == ["auth", "status"]:
        return 0 if (Path.home() / ".claude" / ".credentials.json").exists() else 1
    assert "-p" in words and _option(words, "--output-format") == "json"
    asked = {"model": _option(words, "--model", default="opus"), "messages": [_said(sys.stdin.read())]}
    head = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
    status, answer = _ask(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", head, asked)
    usage = answer.get("usage", {"input_tokens": 0, "output_tokens": 0})
    failed = f"Failed to authenticate. API Error: {status} {answer.get('error', {}).get('message')}"
    result = failed if status != 200 else answer["content"][0]["text"]
    document = {"type": "result", "subtype": "success", "is_error": status != 200, "num_turns": 1, "result": result}
    print(json.dumps({**document, "total_cost_usd": 0.25, "usage": usage}))
    return int(status != 200)


def codex(words: list[str]) -> int:
    """codex exec --json, its provider in -c flags, the prompt on standard input."""
    if words == ["login", "status"]:
        return 0 if (Path.home() / ".codex" / "auth.json").exists() else 1
    assert words[0] == "exec" and "--json" in words and words[-1] == "-"
    settings = dict(value.split("=", 1) for name, value in pairwise(words) if name == "-c")
    provider = f"model_providers.{settings['model_provider']}"
    key = os.environ[settings[f"{provider}.env_key"]]
    if settings.get("features.shell_snapshot") != "false":  # from 0.171.0 on, for the shells that it starts
        (Path(os.environ["CODEX_HOME"]) / "shell_snapshot.sh").write_text(f"export OPENAI_API_KEY={key}\n")
    asked = {"model": _option(words, "-m", default="gpt"), "input": [_said(sys.stdin.read())]}
    status, answer = _ask(f"{settings[f'{provider}.base_url']}/responses", {"Authorization": f"Bearer {key}"}, asked)
    print(json.dumps({"type": "thread.started", "thread_id": "1"}))
    if status != 200:
        message = f"unexpected status {status}: {answer['error']['message']}"
        print(json.dumps({"type": "error", "message": f"Reconnecting... 1/5 ({message})"}))
        print(json.dumps({"type": "turn.failed", "error": {"message": message}}))
        return 1
    text = answer["output"][0]["content"][0]["text"]
    print(json.dumps({"type": "item.completed", "item": {"type": "reasoning", "text": "Let me think."}}))
    print(json.dumps({"type": "item.completed", "item": {"type": "agent_message", "text": text}}))
    print(json.dumps({"type": "turn.completed", "usage": answer["usage"]}))
    return 0


def opencode(words: list[str]) -> int:
    """opencode run --format json, its provider in OPENCODE_CONFIG_CONTENT, the prompt on standard input."""
    if words == ["auth", "list"]:
        print("1 credentials" if (Path.home() / ".local/share/opencode/auth.json").exists() else "0 credentials")
        return 0
    assert words[:3] == ["run", "--format", "json"]
    filled = re.sub(
        r"\{env:(\w+)\}", lambda found: os.environ.get(found[1], ""), os.environ["OPENCODE_CONFIG_CONTENT"]
    )
    config = json.loads(filled)
    provider, model = config["model"].split("/", 1)
    assert model in config["provider"][provider]["models"]
    own = config["provider"][provider]
    status, answer = _by_kind(own["npm"], own["options"]["baseURL"], own["options"]["apiKey"], model)
    if status != 200:
        error = {"name": "APIError", "data": {"message": answer["error"]["message"], "statusCode": status}}
        print(json.dumps({"type": "error", "error": error}))
        return 1
    tokens = {"input": 11, "output": 7}
    print(json.dumps({"type": "step_start", "part": {"type": "step-start"}}))
    print(json.dumps({"type": "text", "part": {"type": "text", "text": _text(answer)}}))
    print(json.dumps({"type": "step_finish", "part": {"type": "step-finish", "tokens": tokens, "cost": 0}}))
    return 0


def gemini(words: list[str]) -> int:
    """gemini --output-format json, the prompt on standard input."""
    home = Path(os.environ.get("GEMINI_CLI_HOME") or Path.home())
    settings = json.loads((home / ".gemini" / "settings.json").read_text())
    assert settings["security"]["auth"]["selectedType"] == "gemini-api-key"
    model = _option(words, "--model", "-m")
    base = os.environ["GOOGLE_GEMINI_BASE_URL"] + "/v1beta"
    status, answer = _by_kind("google", base, os.environ["GEMINI_API_KEY"], model)
    if status != 200:
        (Path(os.environ.get("TMPDIR", "/tmp")) / "gemini-client-error.json").write_text("{}")
        sys.stderr.write("Ripgrep is not available.\n")
        sys.stderr.write(json.dumps({"error": {"message": answer["error"]["message"], "code": status}}, indent=2))
        return status % 256
    stats = {"models": {model: {"api": {"totalRequests": 1}, "tokens": {"input": 11, "candidates": 7}}}}
    print("Loaded cached words.")
    print(json.dumps({"response": _text(answer), "stats": stats}, indent=2))
    return 0


def llm(words: list[str]) -> int:
    """llm -n, its model in extra-openai-models.yaml, the prompt on standard input."""
    if words == ["keys"]:
        keys = Path(os.environ.get("LLM_USER_PATH") or Path.home() / ".config/io.datasette.llm") / "keys.json"
        print(*json.loads(keys.read_text())) if keys.exists() else None
        return 0
    assert words[0] == "-n"
    model = _option(words, "-m")
    listed = (Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml").read_text()
    assert f'model_name: "{model}"' in listed
    base = re.search(r'api_base: "([^"]*)"', listed)
    status, answer = _by_kind("openai", base[1] if base else "", os.environ["OPENAI_API_KEY"], model)
    if status != 200:
        sys.stderr.write(f"Error: Error code: {status} - {answer['error']['message']}\n")
        return 1
    print(_text(answer))
    return 0


def aider(words: list[str]) -> int:
    """aider --message-file; exits with 0 whatever happens, and tries again what may help."""
    kind, _, model = _option(words, "--model").partition("/")
    key = os.environ[f"{kind.upper()}_API_KEY"]
    base = os.environ["ANTHROPIC_API_BASE"] + "/v1" if kind == "anthropic" else os.environ[f"{kind.upper()}_API_BASE"]
    task = Path(_option(words, "--message-file")).read_text()
    own = ["Aider v0.86.2", f"Model: {model} with whole edit format"]
    status, answer = 0, dict[str, Any]()
    for number in range(8):
        status, answer = _by_kind(kind, base, key, model, task)
        if status == 200:
            break
        name = {401: "AuthenticationError", 429: "RateLimitError"}.get(status, "InternalServerError")
        own += [f"litellm.{name}: {name}: {answer['error']['message']}", "So says the API provider."]
        if status == 401 or number == 7:
            break
        own.append(f"Retrying in {0.2 * 2**number:.1f} seconds...")
    text = _text(answer) if status == 200 else ""
    if status == 200 and not text:
        own.append("Empty response received from LLM. Check your provider account?")
    end = "Tokens: 11 sent, 7 received." if status == 200 else ""
    print("\n".join([*own, text, end]))
    head = "\n# aider chat started at 2026-06-13 12:00:00\n\n" + "".join(f"> {line}  \n" for line in own)
    asked = "".join(f"#### {line}  \n" for line in task.splitlines())
    chat = Path(_option(words, "--chat-history-file", default=".aider.chat.history.md"))
    chat.write_text(f"{head}\n{asked}\n{text}\n\n" + (f"> {end}  \n" if end else ""))
    return 0


def _by_kind(kind: str, base: str, key: str, model: str, task: str | None = None) -> tuple[int, dict[str, Any]]:
    said = sys.stdin.read() if task is None else task
    if "anthropic" in kind:
        return _ask(f"{base}/messages", {"x-api-key": key}, {"model": model, "messages": [_said(said)]})
    if "google" in kind or "gemini" in kind:
        contents = [{"role": "user", "parts": [{"text": said}]}]
        return _ask(f"{base}/models/{model}:generateContent", {"x-goog-api-key": key}, {"contents": contents})
    asked = {"model": model, "messages": [_said(said)]}
    return _ask(f"{base}/chat/completions", {"Authorization": f"Bearer {key}"}, asked)


def _said(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _text(answer: dict[str, Any]) -> str:
    if "choices" in answer:
        return str(answer["choices"][0]["message"]["content"])
    if "candidates" in answer:
        return str(answer["candidates"][0]["content"]["parts"][0]["text"])
    return str(answer["content"][0]["text"])


PROGRAMS: dict[str, tuple[str, str, Callable[[list[str]], int]]] = {
    "claude": ("2.1.197 (Claude Code)", "$CLAUDE_CONFIG_DIR|.claude", claude),
    "codex": ("codex-cli 0.169.0", "$CODEX_HOME|.codex", codex),
    "opencode": ("1.18.33", "$XDG_DATA_HOME|.local/share/opencode", opencode),
    "gemini": ("0.61.0", "$GEMINI_CLI_HOME|.gemini-state", gemini),
    "llm": ("llm, version 0.36", "$LLM_USER_PATH|.config/io.datasette.llm", llm),
    "aider": ("aider 0.86.2", "$HOME|.aider", aider),
}
"""Each with the line of its --version, the folder it writes into (a variable, else below the home), what it does."""
