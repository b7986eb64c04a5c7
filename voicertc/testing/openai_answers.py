"""The bodies that the fake OpenAI server answers with, as the real one writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_CREATED = 1_795_000_000
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


def chat_chunks(
    model: str,
    text: str,
    *,
    thoughts: str,
    finish_reason: str,
    has_null_content: bool,
    usage: Mapping[str, int] | None,
) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed chat completion: role, thoughts, tokens, the end, token counts."""

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _completion(model, "chat.completion.chunk") | {"choices": [choice], "usage": None}

    yield chunk({"role": "assistant", "content": None if has_null_content else "", "refusal": None})
    for token in tokens(thoughts):
        yield chunk({"reasoning_content": token})
    for token in tokens(text):
        yield chunk({"content": token})
    yield chunk({}, finish_reason)
    if usage is not None:
        yield _completion(model, "chat.completion.chunk") | {"choices": [], "usage": usage}


def chat_completion(model: str, text: str, finish_reason: str, usage: Mapping[str, int]) -> dict[str, Any]:
    """Return the body of a chat completion that is not streamed."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return _completion(model, "chat.completion") | {"choices": [choice], "usage": usage}


def usage_of(messages: Sequence[Mapping[str, Any]], text: str) -> dict[str, int]:
    """Return token counts, a token being four characters of a prompt and one of ``tokens`` in an answer."""
    prompt = sum(len(str(message.get("content") or "")) for message in messages) // 4
    completion = len(tokens(text))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def model_list(names: Sequence[str]) -> dict[str, Any]:
    """Return the body of /models."""
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    """Return the description of one model."""
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "openai"}


def _completion(model: str, kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-test",
        "object": kind,
        "created": _CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": None,
    }
