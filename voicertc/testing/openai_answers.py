"""The bodies that the fake OpenAI server answers with, as the real one writes them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.replies import ToolCall
from .openai_scenario import Scenario

CREATED = 1_795_000_000
"""All that is created is of the same moment: answers are the same on every run."""


def tokens(text: str) -> list[str]:
    """Cut a text into what the fake sends at a time: words, each with the space before it."""
    return re.findall(r"\s*\S+\s*\Z|\s*\S+|\s+", text)


def transcription(text: str, languages: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return the JSON body of /audio/transcriptions."""
    return {
        "text": text,
        "languages": [{"code": code} for code in languages],
        "usage": {"type": "duration", "seconds": seconds},
    }


def transcript_events(text: str) -> Iterator[dict[str, Any]]:
    """Yield the events of /audio/transcriptions with ``stream=true``."""
    for token in tokens(text):
        yield {"type": "transcript.text.delta", "delta": token}
    yield {"type": "transcript.text.done", "text": text}


def chat_pieces(text: str, calls: Sequence[ToolCall], scenario: Scenario) -> list[dict[str, Any]]:
    """Cut an answer into the deltas of a stream, each of which is a token."""
    said: list[dict[str, Any]] = [{"content": token} for token in tokens(text)]
    cut = [_call_pieces(call, place, scenario) for place, call in enumerate(calls)]
    if scenario.mixes_calls:
        by_turns = itertools.chain.from_iterable(itertools.zip_longest(*cut))
        return said + [piece for piece in by_turns if piece is not None]
    return said + list(itertools.chain.from_iterable(cut))


def _call_pieces(call: ToolCall, place: int, scenario: Scenario) -> Iterator[dict[str, Any]]:
    """The name comes first, alone, then the arguments."""
    index = {"counted": {"index": place}, "zero": {"index": 0}, "missing": {}}[scenario.call_index]
    head = index | ({"id": call_id(place)} if scenario.has_call_ids else {}) | {"type": "function"}
    if scenario.call_piece is None:
        yield {"tool_calls": [head | {"function": {"name": call.name, "arguments": call.arguments}}]}
        return
    yield {"tool_calls": [head | {"function": {"name": call.name, "arguments": ""}}]}
    for start in range(0, len(call.arguments), scenario.call_piece):
        piece = call.arguments[start : start + scenario.call_piece]
        yield {"tool_calls": [index | {"function": {"arguments": piece}}]}


def call_id(place: int) -> str:
    """Return the id of the answer's call at ``place``."""
    return f"call_test{place}"


def chat_chunks(
    model: str,
    pieces: Sequence[Mapping[str, Any]],
    *,
    thoughts: str,
    finish_reason: str,
    has_null_content: bool,
    usage: Mapping[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed chat completion: role, thoughts, tokens, the end, token counts."""

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _completion(model, "chat.completion.chunk") | {"choices": [choice], "usage": None}

    yield chunk({"role": "assistant", "content": None if has_null_content else "", "refusal": None})
    for token in tokens(thoughts):
        yield chunk({"reasoning_content": token})
    for piece in pieces:
        yield chunk(piece)
    yield chunk({}, finish_reason)
    if usage is not None:
        yield _completion(model, "chat.completion.chunk") | {"choices": [], "usage": usage}


def chat_completion(
    model: str, text: str, calls: Sequence[ToolCall], finish_reason: str, usage: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body of a chat completion that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    if calls:
        message["tool_calls"] = [
            {
                "id": call_id(place),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for place, call in enumerate(calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return _completion(model, "chat.completion") | {"choices": [choice], "usage": usage}


def usage_of(body: Mapping[str, Any], completion_tokens: int, cached_tokens: int = 0) -> dict[str, Any]:
    """Return token counts, a token being four characters of what a prompt says, calls and offers."""
    told = [str(message.get("content") or "") for message in body.get("messages", [])]
    told += [
        json.dumps(message["tool_calls"]) for message in body.get("messages", []) if message.get("tool_calls")
    ]
    told += [json.dumps(body["tools"])] if body.get("tools") else []
    prompt = sum(len(text) for text in told) // 4
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": min(cached_tokens, prompt)},
    }


def model_list(names: Sequence[str]) -> dict[str, Any]:
    """Return the body of /models."""
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    """Return the description of one model."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "openai"}


def _completion(model: str, kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-test",
        "object": kind,
        "created": CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": None,
    }
