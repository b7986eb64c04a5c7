"""What the Realtime service refuses of a handshake and of a session's configuration, and how it is merged.

Field names and types are checked before (``openai_realtime_fields``); here are the rules that no type tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from openai.types.realtime import realtime_audio_config_output_param

from .openai_refusals import RefusedError, unsupported
from .openai_rules import REALTIME_MODELS, STREAMING_TRANSCRIBERS, TRANSCRIPTION_MODELS, check_key

SessionKind = Literal["transcription", "realtime"]

TRANSCRIBERS = (*STREAMING_TRANSCRIBERS, *TRANSCRIPTION_MODELS)
_SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
}
_PCM = {"type": "audio/pcm", "rate": 24_000}
_VOICES = next(filter(None, map(get_args, get_args(realtime_audio_config_output_param.Voice))))
_BAD_KEY, _BAD_REQUEST = 3000, 4000


def rejection(
    query: Mapping[str, str], headers: Mapping[str, str], api_key: str | None, *, is_strict: bool
) -> tuple[RefusedError, int] | None:
    """Say why a WebSocket is closed after its handshake, and with which code; ``headers`` in lower case."""
    if api_key is not None:
        try:
            check_key(headers.get("authorization"), api_key)
        except RefusedError as error:
            error.body["error"]["code"] = "invalid_api_key"
            return error, _BAD_KEY
    refused = _refused_request(query, headers) if is_strict else None
    return None if refused is None else (refused, _BAD_REQUEST)


def _refused_request(query: Mapping[str, str], headers: Mapping[str, str]) -> RefusedError | None:
    if "openai-beta" in headers:
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return RefusedError(message, code="beta_api_shape_disabled")
    model, intent = query.get("model"), query.get("intent")
    if intent not in (None, "transcription"):
        message = f"Invalid value: '{intent}'. Supported values are: 'transcription'."
        return RefusedError(message, code="invalid_intent", param="intent")
    if intent == "transcription":
        if model is None:
            return None
        message = "You must not provide a model parameter for transcription sessions."
        return RefusedError(message, code="invalid_model", param="model")
    if model is None:
        return RefusedError("You must provide a model parameter.", code="missing_model", param="model")
    if model not in REALTIME_MODELS:
        message = f"The model `{model}` does not exist or you do not have access to it."
        return RefusedError(message, code="model_not_found", param="model")
    return None


def new_session(kind: SessionKind, model: str | None, number: int, expires_at: int) -> dict[str, Any]:
    """Return the session as ``session.created`` tells it."""
    audio: dict[str, Any] = {
        "input": {
            "format": _PCM,
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": dict(_SERVER_VAD),
        }
    }
    session: dict[str, Any] = {"type": kind, "id": f"sess_{number:06}", "expires_at": expires_at}
    if kind == "transcription":
        return session | {"object": "realtime.transcription_session", "audio": audio, "include": None}
    audio["input"]["turn_detection"] |= {"create_response": True, "interrupt_response": True}
    audio["output"] = {"format": _PCM, "voice": "marin", "speed": 1.0}
    return session | {
        "object": "realtime.session",
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "You are a helpful, witty, and friendly AI.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
        "audio": audio,
    }


def updated(
    session: Mapping[str, Any], update: Mapping[str, Any], *, has_spoken: bool, has_delay: bool
) -> dict[str, Any]:
    """Return the session after an update, or refuse it. ``has_spoken``: its voice can no longer change."""
    if update["type"] != session["type"]:
        message = (
            f"Passing a {update['type']} session update event to a {session['type']} session is not allowed."
        )
        raise RefusedError(message, code="invalid_session_type", param="session.type")
    after = _merged(session, update)
    listening = after["audio"]["input"]
    if listening["format"]["type"] != "audio/pcm":
        raise _not_here("session.audio.input.format", "audio/pcm")
    if listening["transcription"] is not None:
        _check_transcriber(listening["transcription"], after, has_delay=has_delay)
    if after["type"] == "realtime":
        _check_speaking(session, after, has_spoken=has_spoken)
    return after


def check_response_limits(fields: Mapping[str, Any], where: str) -> None:
    """Refuse what no answer can keep: both modalities at once, a length out of range, a voice unknown."""
    if len(fields.get("output_modalities", ("audio",))) != 1:
        message = "Invalid modalities: use ['audio'] or ['text']."
        raise RefusedError(message, code="invalid_value", param=f"{where}.output_modalities")
    limit = fields.get("max_output_tokens", "inf")
    if limit != "inf" and not 1 <= limit <= 4096:
        message = f"Invalid value: {limit}. Expected an integer between 1 and 4096, or 'inf'."
        raise RefusedError(message, code="invalid_value", param=f"{where}.max_output_tokens")
    output = fields.get("audio", {}).get("output", {})
    voice = output.get("voice", "marin")
    if voice not in _VOICES and not isinstance(voice, dict):
        message = f"Invalid value: '{voice}'. Supported values are: {', '.join(_VOICES)}."
        raise RefusedError(message, code="invalid_value", param=f"{where}.audio.output.voice")
    if output.get("format", _PCM)["type"] != "audio/pcm":
        raise _not_here(f"{where}.audio.output.format", "audio/pcm")


def voice_is_fixed() -> RefusedError:
    """Return the refusal of another voice after the first sound."""
    message = "Cannot update a conversation's voice if assistant audio is present."
    return RefusedError(message, code="cannot_update_voice")


def _check_transcriber(fields: Mapping[str, Any], session: Mapping[str, Any], *, has_delay: bool) -> None:
    where, model = "session.audio.input.transcription", fields.get("model")
    if model not in TRANSCRIBERS:
        message = f"Invalid value: '{model}'. Supported values are: {', '.join(TRANSCRIBERS)}."
        raise RefusedError(message, code="invalid_value", param=f"{where}.model")
    if model == "gpt-live-transcribe" and session["type"] == "realtime":
        message = "Model gpt-live-transcribe is not supported in realtime sessions."
        raise RefusedError(message, code="invalid_value", param=f"{where}.model")
    if model in STREAMING_TRANSCRIBERS and session["audio"]["input"]["turn_detection"] is not None:
        message = f"Turn detection is not supported with {model}."
        raise RefusedError(message, code="invalid_value", param="session.audio.input.turn_detection")
    for name in ("languages", "keywords"):
        if name in fields and model not in ("gpt-transcribe", "gpt-live-transcribe"):
            raise unsupported(f"{where}.{name}")
    if "prompt" in fields and model == "gpt-realtime-whisper":
        raise unsupported(f"{where}.prompt")
    takes_delay = model == "gpt-realtime-whisper" or (has_delay and model == "gpt-live-transcribe")
    if "delay" in fields and not takes_delay:
        raise unsupported(f"{where}.delay")


def _check_speaking(before: Mapping[str, Any], after: Mapping[str, Any], *, has_spoken: bool) -> None:
    if after["model"] != before["model"]:
        raise RefusedError("The model cannot be changed.", code="invalid_value", param="session.model")
    check_response_limits(after, "session")
    output = after["audio"]["output"]
    if not 0.25 <= output["speed"] <= 1.5:
        message = f"Invalid value: {output['speed']}. Expected a number between 0.25 and 1.5."
        raise RefusedError(message, code="invalid_value", param="session.audio.output.speed")
    if has_spoken and output["voice"] != before["audio"]["output"]["voice"]:
        raise voice_is_fixed()


def _merged(before: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Merge objects in objects; one whose ``type`` changes is replaced as a whole."""
    after = dict(before)
    for name, value in update.items():
        old = before.get(name)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("type", None) == old.get("type"):
            after[name] = _merged(old, value)
        else:
            after[name] = value
    return after


def _not_here(param: str, known: str) -> RefusedError:
    return RefusedError(f"The fake takes {known} only.", code="not_in_the_fake", param=param)
