"""A stand-in for model endpoints: it answers every protocol that agents speak, and misbehaves on request.

    with models(key="sk-canary") as endpoint:
        endpoint.next(Answer(status=429, retry_after=1), Answer(text="hello"))   # what comes first, then next
        ...                                                # agents ask endpoint.url + "/v1/chat/completions" and so on
        assert endpoint.asked[-1].prompt == "say hello"
        assert endpoint.asked[-1].key == "sk-canary"

Without instructions it echoes: ``MOCK-REPLY: `` and the last thing the user said. With ``key`` every other key is
refused with 401. Answers given to ``next`` are used up in order; after that ``endpoint.usual`` holds. ``Answer(call=
Call("exec", {...}))`` asks for a tool; ``text`` is the answer, ``""`` an empty one, or what a refusal says; ``delay``
waits first, in pieces that end with the server; ``cut`` breaks the connection after so many bytes of the body.
``endpoint.hold()`` lets answers wait until ``endpoint.release()``.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.bench import dialects
from tests.bench.dialects import Call, Event, Reply

__all__ = ["Answer", "Asked", "Call", "Models", "models"]

ECHO = "MOCK-REPLY: "


@dataclass(frozen=True)
class Answer:
    """How one request is answered; ``text`` None echoes, and is the usual sentence of a refusal. Times are seconds."""

    text: str | None = None
    call: Call | None = None
    status: int = 200
    retry_after: int | None = None
    delay: float = 0.0
    cut: int | None = None


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The key it came with, however it was given; empty without one."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return bearer or self.headers.get("x-api-key", "") or self.headers.get("x-goog-api-key", "")

    @property
    def model(self) -> str:
        """The model asked for."""
        if ":" in self.path and "/models/" in self.path:
            return self.path.partition("/models/")[2].partition(":")[0]
        return str(self.body.get("model", ""))

    @property
    def prompt(self) -> str:
        """The last text that the user said."""
        given = self.body.get("messages", self.body.get("contents", self.body.get("input", "")))
        if isinstance(given, str):
            return given
        said = [text for turn in given if turn.get("role") == "user" for text in [_text(turn)] if text]
        return said[-1] if said else ""


@dataclass
class Models:
    """The running stand-in."""

    url: str
    key: str | None = None
    usual: Answer = Answer()
    asked: list[Asked] = field(default_factory=list)
    _waiting: list[Answer] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _held: threading.Event = field(default_factory=threading.Event)

    def hold(self) -> None:
        """Let every answer of a model wait from now on."""
        self._held.set()

    def release(self) -> None:
        """Let them go, and all that follow."""
        self._held.clear()

    def next(self, *answers: Answer) -> None:
        """Answer the next requests to a model like this, in this order."""
        with self._lock:
            self._waiting.extend(answers)

    def prompts(self) -> list[str]:
        """What was asked, in order."""
        return [each.prompt for each in self.asked if each.method == "POST"]

    def decide(self, asked: Asked) -> tuple[int, Answer]:
        """The number of a request, and the answer to it."""
        with self._lock:
            self.asked.append(asked)
            number = len(self.asked)
            if self.key is not None and asked.key != self.key:
                return number, Answer(status=401)
            return number, self._waiting.pop(0) if asked.method == "POST" and self._waiting else self.usual

    def wait(self, seconds: float) -> bool:
        """Waits, at least until nothing is held; whether the server goes on."""
        while not self._over.wait(seconds) and self._held.is_set():
            seconds = 0.05
        return not self._over.is_set()


@contextlib.contextmanager
def models(key: str | None = None, usual: Answer = Answer()) -> Iterator[Models]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    running = Models(f"http://127.0.0.1:{server.server_port}", key, usual)
    server.models = running  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running._over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _models(self) -> Models:
        found: Models = self.server.models  # type: ignore[attr-defined]
        return found

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what was asked is kept."""

    def do_HEAD(self) -> None:
        """Some agents look first whether somebody is there."""
        self._models.decide(self._asked({}))
        self._start(200, "text/plain", 0)

    def do_GET(self) -> None:
        """The list of models."""
        _, answer = self._models.decide(self._asked({}))
        if answer.status != 200:
            self._refuse(answer)
        elif self.path.partition("?")[0].endswith("/models"):
            models = [{"id": "mock-model", "object": "model", "created": 1750000000, "owned_by": "bench"}]
            self._send(json.dumps({"object": "list", "data": models}).encode(), answer)
        else:
            self._refuse(Answer(status=404))

    def do_POST(self) -> None:
        """A question to the model."""
        size = int(self.headers.get("Content-Length", 0))
        try:
            body = json.loads(self.rfile.read(size) or b"{}")
        except ValueError:
            body = {}
        asked = self._asked(body)
        number, answer = self._models.decide(asked)
        if not self._models.wait(answer.delay):
            self.close_connection = True
            return
        speak = next((found for end, found in _DIALECTS.items() if end in asked.path), None)
        if answer.status != 200 or speak is None:
            self._refuse(answer if answer.status != 200 else Answer(status=404))
            return
        text = ECHO + asked.prompt if answer.text is None else answer.text
        reply = Reply(asked.model, text, answer.call, number)
        whole, events = speak
        if body.get("stream") or "streamGenerateContent" in asked.path:
            self._stream(events(reply), answer)
        else:
            self._send(json.dumps(whole(reply)).encode(), answer)

    def _asked(self, body: Mapping[str, Any]) -> Asked:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(self.command, self.path, headers, body)

    def _start(self, status: int, kind: str, size: int | None, retry_after: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if size is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(size))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()

    def _send(self, data: bytes, answer: Answer) -> None:
        self._start(answer.status, "application/json", len(data), answer.retry_after)
        with contextlib.suppress(OSError):
            self.wfile.write(data[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    def _stream(self, events: Iterator[Event], answer: Answer) -> None:
        data = b"".join(_line(name, content) for name, content in events)
        self._start(200, "text/event-stream", None)
        with contextlib.suppress(OSError):
            self.wfile.write(data[: answer.cut])

    def _refuse(self, answer: Answer) -> None:
        kind, sentence = _REFUSALS.get(answer.status, ("api_error", "The stand-in refuses."))
        error = {"type": kind, "code": kind, "message": sentence if answer.text is None else answer.text}
        self._send(json.dumps({"type": "error", "error": error}).encode(), answer)


def _line(name: str, content: Any) -> bytes:
    data = content if isinstance(content, str) else json.dumps(content)
    return (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()


def _text(turn: Mapping[str, Any]) -> str:
    content = turn.get("content", turn.get("parts", ""))
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if isinstance(part, dict) and "text" in part)


_DIALECTS: Mapping[str, tuple[Callable[[Reply], dict[str, Any]], Callable[[Reply], Iterator[Event]]]] = {
    "/chat/completions": (dialects.chat, dialects.chat_events),
    "/responses": (dialects.responses, dialects.responses_events),
    "/messages": (dialects.messages, dialects.messages_events),
    "enerateContent": (dialects.generate, dialects.generate_events),
}

_REFUSALS = {
    401: ("authentication_error", "Incorrect API key provided."),
    404: ("not_found_error", "There is nothing here."),
    429: ("rate_limit_error", "Rate limit reached."),
    500: ("server_error", "The server had an error."),
    529: ("overloaded_error", "Overloaded."),
}
