"""PicoClaw as its users see it. ``binary`` in picoclaw.py puts a first line and VERSION in front of this."""

import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

VERSION: str = globals().get("VERSION", "0.2.9")

_FOUND = re.match(r"v?(\d+)\.(\d+)\.(\d+)", VERSION)
NUMBER = int(_FOUND[1]) * 1000000 + int(_FOUND[2]) * 1000 + int(_FOUND[3]) if _FOUND else 999999999
LOBSTER = "🦞"
LEVELS = {"debug": 0, "info": 1, "warn": 2, "error": 3, "fatal": 4}
SHOWN = {"warn": "WRN", "error": "ERR"}
EMPTY = "The model returned an empty response. This may indicate a provider error or token limit."
LIMIT = (
    "I've reached `max_tool_iterations` without a final response. Increase `max_tool_iterations` in config.json if"
    " this task needs more tool steps."
)
USAGE = """Usage:
  picoclaw agent [flags]

Flags:
  -m, --message string   Send a single message (non-interactive mode)
  -s, --session string   Session key (default "cli:default")
"""
if NUMBER < 2004:
    EMPTY = LIMIT = (
        "I've completed processing but have no response to give. Increase `max_tool_iterations` in config.json."
    )
KEYLESS = {"ollama": 11434, "vllm": 8000, "lmstudio": 1234}
DEFAULTS = {"model_name", "model", "provider", "workspace", "restrict_to_workspace", "allow_read_outside_workspace",
            "max_tokens", "context_window", "temperature", "max_tool_iterations", "model_fallbacks"}  # fmt: skip
MODEL = {"model_name", "model", "api_base", "api_keys", "enabled", "proxy", "fallbacks", "rpm", "request_timeout",
         "max_tokens_field", "extra_body", "custom_headers", "thinking_level"}  # fmt: skip
TOOLS = {"message", "spawn", "subagent", "cron", "exec", "web", "web_fetch", "read_file", "write_file", "edit_file"}
TOOL = {"enabled", "timeout_seconds", "enable_deny_patterns", "custom_deny_patterns", "allow_remote"}


class Failure(Exception):
    """What ends in ``Error: ...`` and exit 1."""


def config_version() -> int:
    """The version of the config that this version knows."""
    return 3 if NUMBER >= 2007 else 2 if NUMBER >= 2005 else 1 if NUMBER >= 2004 else 0


def main() -> int:
    """Runs one command; returns the exit status."""
    words = sys.argv[1:]
    banner("--no-color" in words)
    words = [word for word in words if word != "--no-color"]
    command = words[0] if words else "help"
    try:
        if command in ("version", "v"):
            print(f"{LOBSTER} picoclaw {VERSION} (git: 1a2b3c4)\n  Build: 2026-06-13T00:00:00Z\n  Go: go1.25.0")
        elif command in ("status", "s"):
            status()
        elif command in ("onboard", "o"):
            onboard()
        elif command == "agent":
            agent(words[1:])
        elif command == "help":
            print("PicoClaw - Ultra-lightweight personal AI agent")
        else:
            raise Failure(f'unknown command "{command}" for "picoclaw"')
    except Failure as failure:
        sys.stdout.flush()
        print(f"Error: {failure}", file=sys.stderr)
        if NUMBER < 2007:
            print(USAGE, file=sys.stderr)
        return 1
    return 0


def banner(plain: bool) -> None:
    """What every invocation prints first, from 0.2.1 on."""
    if NUMBER >= 2001:
        blue = "" if plain or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else "\x1b[38;2;62;93;185m"
        row = f"{blue}██████╗ ██╗ ██████╗{chr(27) + '[0m' if blue else ''}\r\n"
        sys.stdout.write("\r\n" + row * 6 + " \r\n")
    if zone := os.environ.get("TZ"):
        print(f"TZ environment: {zone}\nZONEINFO environment: {os.environ.get('ZONEINFO', '')}")
        print(f"Time zone loaded successfully: {zone}")


def log(level: str, text: str) -> None:
    """A line on standard output, where the level is high enough."""
    wanted = os.environ.get("PICOCLAW_LOG_LEVEL", "warn") if NUMBER >= 2004 else "warn"
    if LEVELS[level] >= LEVELS.get(wanted, 2):
        print(f"{time.strftime('%H:%M:%S')} {SHOWN[level]} agent loop.go:71 > {text} component=agent")


# -- the config -----------------------------------------------------------------------------


def home() -> Path:
    """Where its own files are."""
    own = os.environ.get("PICOCLAW_HOME") if NUMBER >= 2001 else None
    return Path(own) if own else Path(os.environ["HOME"]) / ".picoclaw"


def config_path() -> Path:
    """Where its config is."""
    own = os.environ.get("PICOCLAW_CONFIG") if NUMBER >= 2001 else None
    return Path(own) if own else home() / "config.json"


def load() -> dict[str, Any]:
    """The config, defaults where there is none; raises Failure."""
    path = config_path()
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        log("warn", "config file not found, using default config")
        return {"agents": {"defaults": {}}, "model_list": []}
    try:
        config: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise Failure(f"error loading config: failed to detect config version: {error}") from error
    there = int(config.get("version", 0))
    if there > config_version():
        raise Failure(f"error loading config: unsupported config version: {there}")
    if NUMBER >= 2008:
        check(config)
    if there < config_version():
        migrate(path, text, config)
    defaults = config.setdefault("agents", {}).setdefault("defaults", {})
    for name in ("MODEL_NAME", "WORKSPACE", "MAX_TOOL_ITERATIONS", "MAX_LLM_RETRIES", "LLM_RETRY_BACKOFF_SECS"):
        if name.startswith(("MAX_LLM", "LLM")) and NUMBER < 2009:
            continue
        if value := os.environ.get(f"PICOCLAW_AGENTS_DEFAULTS_{name}"):
            defaults[name.lower()] = int(value) if value.isdigit() else value
    return config


def check(config: dict[str, Any]) -> None:
    """An unknown field is an error, from 0.2.8 on."""
    defaults = set(config.get("agents", {}).get("defaults", {}))
    late = {"max_llm_retries", "llm_retry_backoff_secs"} if NUMBER >= 2009 else set()
    unknown = set(config) - {"version", "agents", "model_list", "tools", "gateway", "heartbeat"}
    unknown |= {f"agents.{name}" for name in set(config.get("agents", {})) - {"defaults"}}
    unknown |= {f"agents.defaults.{name}" for name in defaults - DEFAULTS - late}
    for entry in config.get("model_list", []):
        unknown |= {f"model_list.{name}" for name in set(entry) - MODEL - {"provider"}}
    for tool, fields in config.get("tools", {}).items():
        unknown |= {f"tools.{tool}"} if tool not in TOOLS else {f"tools.{tool}.{f}" for f in set(fields) - TOOL}
    unknown |= {f"gateway.{name}" for name in set(config.get("gateway", {})) - {"log_level", "host", "port"}}
    if unknown:
        raise Failure(f"error loading config: config.json contains unknown field(s): {', '.join(sorted(unknown))}")


def migrate(path: Path, text: str, config: dict[str, Any]) -> None:
    """Writes the config in its new version, and a copy of the old one beside it, keys and all."""
    day = datetime.date.today().strftime("%Y%m%d")
    try:
        path.with_name(f"{path.name}.{day}.bak").write_text(text)
        path.write_text(json.dumps({**config, "version": config_version()}))
    except OSError as error:
        raise Failure(f"error loading config: {error}") from error


def chosen(config: dict[str, Any]) -> dict[str, Any]:
    """The entry of the default model; raises Failure."""
    wanted = config["agents"]["defaults"].get("model_name", "")
    for entry in config.get("model_list", []):
        if entry.get("model_name") == wanted and wanted:
            if not entry.get("model") or entry["model"].startswith("/") or " " in entry["model"]:
                raise Failure("error loading config: invalid model")
            found: dict[str, Any] = entry
            return found
    missing = f'model "{wanted}" not found in model_list'
    raise Failure(f"error creating provider: {missing}: {missing} or providers")


def key_of(entry: dict[str, Any]) -> str:
    """The key of a model's entry, where this version looks for it."""
    if NUMBER >= 2005:
        return str((entry.get("api_keys") or [""])[0])
    return str(entry.get("api_key", ""))


# -- commands -------------------------------------------------------------------------------


def status() -> None:
    """Never fails, whatever the config says."""
    try:
        config = load()
    except Failure as failure:
        print(f"Error loading config: {str(failure).removeprefix('error loading config: ')}")
        return
    there = "✓" if config_path().exists() else "✗"
    print(f"{LOBSTER} picoclaw Status\nVersion: {VERSION}\nBuild: x\n\nConfig: {config_path()} {there}")
    print(f"Workspace: {workspace(config)} ✗")
    if there == "✓":
        print(f"Model: {config['agents']['defaults'].get('model_name', '')}\nOpenAI API: not set")


def onboard() -> None:
    """Writes a config without a key, and overwrites the templates in the workspace."""
    home().mkdir(parents=True, exist_ok=True)
    config_path().write_text(json.dumps({"version": config_version(), "agents": {"defaults": {"model_name": ""}}}))
    config_path().chmod(0o600)
    (home() / ".security.yml").write_text("")
    for name in ("AGENT.md", "SOUL.md", "USER.md", "memory/MEMORY.md"):
        place = home() / "workspace" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("# template\n")
    steps = f'  1. Add your API key to {config_path()}\n  2. Chat: picoclaw agent -m "Hello!"'
    print(f"\n{LOBSTER} picoclaw is ready!\n\nNext steps:\n{steps}")


def workspace(config: dict[str, Any]) -> Path:
    """The agent's folder."""
    return Path(config["agents"]["defaults"].get("workspace") or home() / "workspace")


def agent(words: list[str]) -> None:
    """One task, or none."""
    given = {"-m": "", "-s": "cli:default", "--model": ""}
    names = {"--message": "-m", "--session": "-s"}
    rest = iter(words)
    for word in rest:
        flag = names.get(word, word)
        if flag in given:
            given[flag] = next(rest, "")
        elif word == "-d":
            print("🔍 Debug mode enabled")
        elif word.startswith("-"):
            raise Failure(f"unknown flag: {word}")
        else:
            raise Failure(f'unknown command "{word}" for "picoclaw agent"')
    config = load()
    if given["--model"]:
        config["agents"]["defaults"]["model_name"] = given["--model"]
    entry = chosen(config)
    place = workspace(config)
    for name, mode in (("sessions", 0o755), ("memory", 0o755), ("state", 0o700)):
        (place / name).mkdir(mode=mode, parents=True, exist_ok=True)
    log("warn", "no skills found")
    text = given["-m"]
    if not text:
        print(f"{LOBSTER} Interactive mode (Ctrl+C to exit)\n\n\nGoodbye!")
        return
    if text.strip()[:1] in ("/", "!"):
        print(f"\n{LOBSTER} Unknown command: {text.split()[0]}")
        return
    session = given["-s"] if re.match(r"agent:[^:]+:|sk_v1_", given["-s"]) else "cli"
    try:
        answer = converse(config, entry, place, session, text)
    except Failure as failure:
        log("error", str(failure))
        raise Failure(f"error processing message: LLM call failed after retries: {failure}") from failure
    print(f"\n{LOBSTER} {answer}")


def converse(config: dict[str, Any], entry: dict[str, Any], place: Path, session: str, text: str) -> str:
    """Asks the model and runs what it wants run, until there is an answer; keeps the session."""
    file = place / "sessions" / f"sk_v1_{hashlib.sha256(session.encode()).hexdigest()}.jsonl"
    history = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    history.append({"role": "user", "content": text})
    answer = LIMIT
    for _ in range(int(config["agents"]["defaults"].get("max_tool_iterations", 50))):
        said, command = ask(config, entry, history)
        if command is None:
            answer = said or EMPTY
            break
        history.append({"role": "assistant", "content": f"(calls exec: {command})"})
        history.append({"role": "user", "content": f"(exec says) {run(config, place, command)}"})
    history.append({"role": "assistant", "content": answer})
    file.write_text("".join(json.dumps(turn) + "\n" for turn in history))
    file.with_suffix(".meta.json").write_text(json.dumps({"key": session}))
    return answer


def run(config: dict[str, Any], place: Path, command: str) -> str:
    """The tool exec: in the workspace, in a process group of its own."""
    if re.search(r"\bsudo\b|\brm\s+-[rf]", command):
        return "Command blocked by safety guard (dangerous pattern detected)"
    seconds = config.get("tools", {}).get("exec", {}).get("timeout_seconds", 60)
    try:
        done = subprocess.run(
            ["sh", "-c", command], cwd=place, start_new_session=True, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"Command timed out after {seconds}s"
    return done.stdout + done.stderr


# -- the model ------------------------------------------------------------------------------


def ask(config: dict[str, Any], entry: dict[str, Any], history: list[dict[str, str]]) -> tuple[str, str | None]:
    """What the model says, and the command it wants run."""
    protocol, slash, model = entry["model"].partition("/")
    known = protocol in ("openai", "anthropic", "anthropic-messages", "gemini", *KEYLESS)
    if not slash or not known:
        protocol, model = "openai", entry["model"]
    if protocol == "anthropic-messages" and NUMBER < 2003:
        raise Failure(f'unknown protocol "{protocol}" in model "{entry["model"]}"')
    key, base = key_of(entry), entry.get("api_base", "").rstrip("/")
    if not key and (protocol.startswith("anthropic") or (not base and protocol not in KEYLESS)):
        raise Failure(f"api_key is required for {protocol} protocol (model: {entry['model']})")
    base = base or f"http://localhost:{KEYLESS.get(protocol, 1)}/v1"
    if protocol == "gemini" and NUMBER < 2007:
        protocol = "openai"  # Google's own protocol is spoken from 0.2.7 on
    headers = {"Content-Type": "application/json", "User-Agent": f"PicoClaw/{VERSION}"}
    if protocol == "anthropic-messages":
        url, headers = f"{base}/messages", {**headers, "x-api-key": key, "anthropic-version": "2023-06-01"}
        body: dict[str, Any] = {"model": model, "max_tokens": 32768, "messages": history}
    elif protocol == "gemini":
        url, headers = f"{base}/models/{model}:generateContent", {**headers, "x-goog-api-key": key}
        body = {"contents": [{"role": turn["role"], "parts": [{"text": turn["content"]}]} for turn in history]}
    else:
        url, headers = f"{base}/chat/completions", {**headers, **({"Authorization": f"Bearer {key}"} if key else {})}
        body = {"model": model, "messages": history}
    answer = post(config["agents"]["defaults"], url, headers, body)
    return read(protocol, answer)


def post(defaults: dict[str, Any], url: str, headers: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    """One request, repeated while nobody answers; raises Failure. What a provider answers is never asked again."""
    retries = int(defaults.get("max_llm_retries") or 2)
    backoff = int(defaults.get("llm_retry_backoff_secs") or 2)
    for attempt in range(retries + 1):
        try:
            request = urllib.request.Request(url, json.dumps(body).encode(), headers)
            with urllib.request.urlopen(request, timeout=120) as reply:
                answer: dict[str, Any] = json.load(reply)
                return answer
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", "replace").strip()
            said = said if len(said) <= 128 else said[:128] + "..."
            raise Failure(f"API request failed:\n  Status: {error.code}\n  Body:   {said or '<empty>'}") from error
        except (OSError, ValueError) as error:
            slow = isinstance(getattr(error, "reason", error), TimeoutError)
            if attempt == retries or not (slow or NUMBER >= 2009):
                raise Failure(f"failed to send request: {error}") from error
        log("warn", "Transient LLM error, retrying after backoff")
        time.sleep(backoff * (attempt + 1))
    raise Failure("unreachable")


def read(protocol: str, answer: dict[str, Any]) -> tuple[str, str | None]:
    """The text of an answer, and the command of a tool call."""
    if protocol == "anthropic-messages":
        block = answer["content"][0]
        return block.get("text", ""), block["input"]["command"] if block["type"] == "tool_use" else None
    if protocol == "gemini":
        part = answer["candidates"][0]["content"]["parts"][0]
        return part.get("text", ""), part["functionCall"]["args"]["command"] if "functionCall" in part else None
    message = answer["choices"][0]["message"]
    calls = message.get("tool_calls")
    return message.get("content") or "", json.loads(calls[0]["function"]["arguments"])["command"] if calls else None


if __name__ == "__main__":
    sys.exit(main())
