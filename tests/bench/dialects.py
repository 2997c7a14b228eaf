"""What model endpoints say, by protocol: OpenAI chat and responses, Anthropic messages, Gemini; whole or streamed.

Each dialect turns one reply into a JSON document, and into server-sent events of the same content. The shapes are
those of the providers' published API references.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Event = tuple[str, Any]
"""The name of a server-sent event, empty for none, and its data."""


@dataclass(frozen=True)
class Call:
    """A tool that the model wants called."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The arguments as JSON."""
        return json.dumps(self.arguments)


@dataclass(frozen=True)
class Reply:
    """What the model says to one request; with ``call``, that it wants a tool called."""

    model: str
    text: str
    call: Call | None = None
    number: int = 1

    @property
    def pieces(self) -> list[str]:
        """The text as it comes in a stream."""
        return [self.text[at : at + 7] for at in range(0, len(self.text), 7)]


# -- OpenAI chat completions ----------------------------------------------------------------


def chat(reply: Reply) -> dict[str, Any]:
    """POST /v1/chat/completions."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.call:
        message |= {"content": None, "tool_calls": [_chat_call(reply)]}
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {**_chat_head(reply, "chat.completion"), "choices": [choice], "usage": usage}


def chat_events(reply: Reply) -> Iterator[Event]:
    """The same, streamed."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"tool_calls": [{"index": 0, **_chat_call(reply)}]}] if reply.call else []
    deltas += [] if reply.call else [{"content": piece} for piece in reply.pieces]
    head = _chat_head(reply, "chat.completion.chunk")
    for delta in deltas:
        yield "", {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    yield "", {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(reply)}]}
    yield "", {**head, "choices": [], "usage": usage}
    yield "", "[DONE]"


def _chat_head(reply: Reply, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{reply.number}", "object": kind, "created": 1750000000, "model": reply.model}


def _chat_call(reply: Reply) -> dict[str, Any]:
    assert reply.call
    function = {"name": reply.call.name, "arguments": reply.call.text}
    return {"id": f"call_{reply.number}", "type": "function", "function": function}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.call else "stop"


# -- OpenAI responses -----------------------------------------------------------------------


def responses(reply: Reply) -> dict[str, Any]:
    """POST /v1/responses."""
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 18,
    }
    head = _response_head(reply, "completed")
    return {**head, "output": [_item(reply, "completed")], "usage": usage}


def responses_events(reply: Reply) -> Iterator[Event]:
    """The same, streamed."""
    for number, (name, data) in enumerate(_response_steps(reply)):
        yield name, {"type": name, "sequence_number": number, **data}


def _response_steps(reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "response.created", {"response": {**_response_head(reply, "in_progress"), "output": []}}
    place = {"output_index": 0, "item_id": _item(reply, "")["id"]}
    yield "response.output_item.added", {"output_index": 0, "item": _item(reply, "in_progress", empty=True)}
    if reply.call:
        yield "response.function_call_arguments.delta", {**place, "delta": reply.call.text}
        yield "response.function_call_arguments.done", {**place, "arguments": reply.call.text}
    else:
        part = {**place, "content_index": 0}
        empty = {"type": "output_text", "text": "", "annotations": []}
        yield "response.content_part.added", {**part, "part": empty}
        for piece in reply.pieces:
            yield "response.output_text.delta", {**part, "delta": piece}
        yield "response.output_text.done", {**part, "text": reply.text}
        yield "response.content_part.done", {**part, "part": {**empty, "text": reply.text}}
    yield "response.output_item.done", {"output_index": 0, "item": _item(reply, "completed")}
    yield "response.completed", {"response": responses(reply)}


def _response_head(reply: Reply, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{reply.number}",
        "object": "response",
        "created_at": 1750000000,
        "status": status,
        "error": None,
        "model": reply.model,
    }


def _item(reply: Reply, status: str, empty: bool = False) -> dict[str, Any]:
    if reply.call:
        names = {"id": f"fc_{reply.number}", "call_id": f"call_{reply.number}", "name": reply.call.name}
        return {"type": "function_call", **names, "arguments": "" if empty else reply.call.text, "status": status}
    content = [] if empty else [{"type": "output_text", "text": reply.text, "annotations": []}]
    return {
        "type": "message",
        "id": f"msg_{reply.number}",
        "status": status,
        "role": "assistant",
        "content": content,
    }


# -- Anthropic messages ---------------------------------------------------------------------


def messages(reply: Reply) -> dict[str, Any]:
    """POST /v1/messages."""
    block = {**_block(reply), "input": reply.call.arguments} if reply.call else {"type": "text", "text": reply.text}
    usage = {"input_tokens": 11, "output_tokens": 7}
    return {**_message(reply), "content": [block], "stop_reason": _stop(reply), "usage": usage}


def messages_events(reply: Reply) -> Iterator[Event]:
    """The same, streamed."""
    for name, data in _message_steps(reply):
        yield name, {"type": name, **data}


def _message_steps(reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    start = {**_message(reply), "content": [], "usage": {"input_tokens": 11, "output_tokens": 1}}
    yield "message_start", {"message": start}
    yield "content_block_start", {"index": 0, "content_block": _block(reply)}
    if reply.call:
        yield (
            "content_block_delta",
            {"index": 0, "delta": {"type": "input_json_delta", "partial_json": reply.call.text}},
        )
    for piece in [] if reply.call else reply.pieces:
        yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield "content_block_stop", {"index": 0}
    yield (
        "message_delta",
        {"delta": {"stop_reason": _stop(reply), "stop_sequence": None}, "usage": {"output_tokens": 7}},
    )
    yield "message_stop", {}


def _message(reply: Reply) -> dict[str, Any]:
    head = {"id": f"msg_{reply.number}", "type": "message", "role": "assistant", "model": reply.model}
    return {**head, "stop_reason": None, "stop_sequence": None}


def _block(reply: Reply) -> dict[str, Any]:
    if reply.call:
        return {"type": "tool_use", "id": f"toolu_{reply.number}", "name": reply.call.name, "input": {}}
    return {"type": "text", "text": ""}


def _stop(reply: Reply) -> str:
    return "tool_use" if reply.call else "end_turn"


# -- Gemini ---------------------------------------------------------------------------------


def generate(reply: Reply) -> dict[str, Any]:
    """POST /v1beta/models/MODEL:generateContent."""
    part = {"functionCall": {"name": reply.call.name, "args": reply.call.arguments}} if reply.call else None
    return _candidate(reply, part or {"text": reply.text}, "STOP")


def generate_events(reply: Reply) -> Iterator[Event]:
    """The same, streamed."""
    if reply.call:
        yield "", generate(reply)
    for piece in [] if reply.call else reply.pieces:
        yield "", _candidate(reply, {"text": piece}, None)
    yield "", _candidate(reply, {"text": ""}, "STOP")


def _candidate(reply: Reply, part: dict[str, Any], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": [part]}}
    candidate |= {"finishReason": finish} if finish else {}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": reply.model}
