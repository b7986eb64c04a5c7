"""What a Realtime session and its responses are asked for, as JSON: from our options and requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..core.items import Modality
from ..core.options import Tool, ToolChoice
from ..core.replies import ReplyRequest
from .base import RecognitionRequest
from .openai_fields import language_field, voice_field
from .openai_live_turn import SERVICE_RATE_HZ
from .openai_stage import sendable

VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
"""The voices of OpenAI's Realtime models (openai 3.51)."""
_PCM = {"type": "audio/pcm", "rate": SERVICE_RATE_HZ}
_SPEEDS = (0.25, 1.5)


def hearing_fields(transcriber: str, hearing: RecognitionRequest) -> dict[str, Any]:
    """Return ``audio.input``: we say when a turn ends, and ask for its words."""
    transcription = {"model": transcriber, **language_field(transcriber, hearing.language)}
    if prompt := sendable(hearing.prompt).strip():
        transcription["prompt"] = prompt
    return {"format": _PCM, "transcription": transcription, "noise_reduction": None, "turn_detection": None}


def answering_fields(request: ReplyRequest) -> dict[str, Any]:
    """Return what a session and a response have in common."""
    limit = request.max_output_tokens
    return {
        "instructions": sendable(request.instructions),
        "tools": [_tool(tool) for tool in request.tools],
        "tool_choice": _tool_choice(request.tool_choice),
        "max_output_tokens": "inf" if limit is None else limit,
    }


def session_fields(
    request: ReplyRequest, hearing: Mapping[str, Any], *, voice: str, effort: str | None
) -> dict[str, Any]:
    """Return the ``session`` that a socket is opened with. ``effort``: of a model that thinks."""
    speed = min(max(request.speed, _SPEEDS[0]), _SPEEDS[1])
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "truncation": "auto",
        "audio": {"input": hearing, "output": {"format": _PCM, "voice": voice_field(voice), "speed": speed}},
        **answering_fields(request),
    }
    return session | ({"reasoning": {"effort": effort}} if effort else {})


def response_fields(
    request: ReplyRequest,
    session: Mapping[str, Any],
    *,
    voice: str | None,
    given: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    """Return the ``response`` of a ``response.create``: what is otherwise than in the ``session``.

    ``voice``: another than the session's, or ``None``. ``given``: what it is made of instead of the
    conversation. An aside is out of band.
    """
    fields = answering_fields(request)
    response = {name: value for name, value in fields.items() if value != session.get(name)}
    response["output_modalities"] = ["audio" if request.output is Modality.AUDIO else "text"]
    if voice is not None and request.output is Modality.AUDIO:
        response["audio"] = {"output": {"format": _PCM, "voice": voice_field(voice)}}
    if given is not None:
        response["input"] = given
    if request.is_aside:
        response["conversation"] = "none"
    return response


def _tool(tool: Tool) -> dict[str, Any]:
    about = {"name": tool.name, "description": tool.description}
    return {"type": "function", **about, "parameters": json.loads(tool.parameters)}


def _tool_choice(choice: ToolChoice) -> str | dict[str, str]:
    if choice.mode == "function":
        return {"type": "function", "name": choice.name or ""}
    return choice.mode
