"""What OpenAI refuses, and in which words: the strictness of the fake, so that adapters are really tested.

Fields, values and types are those of the ``openai`` package's request types; the rules that no type tells
(which model takes which field, lengths, the file) are written out here. Error bodies have OpenAI's shape:
``{"error": {"message", "type", "param", "code"}}``.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import numpy as np
from openai.types.audio import speech_create_params, transcription_create_params
from openai.types.chat import ChatCompletionMessageParam, completion_create_params
from openai.types.shared import ReasoningEffort
from pydantic import TypeAdapter, ValidationError

from ..audio.pcm import Samples

TRANSCRIPTION_MODELS = ("gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1")
CHAT_MODELS = ("gpt-6-luna", "gpt-6-sol", "gpt-5.6-luna", "gpt-5.1", "gpt-5-mini", "gpt-4.1", "gpt-4o-mini")
SPEECH_MODELS = ("gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15", "tts-1", "tts-1-hd")
MODELS = (*TRANSCRIPTION_MODELS, *CHAT_MODELS, *SPEECH_MODELS)

MAX_FILE_BYTES = 25 << 20
_FILE_KINDS = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm")
_MAX_INPUT = 4096
_MIN_AUDIO = 0.1
_TRANSCRIPTION_FIELDS = {*transcription_create_params.TranscriptionCreateParamsBase.__annotations__, "stream"}
_CHAT_FIELDS = {*completion_create_params.CompletionCreateParamsBase.__annotations__, "stream"}
_SPEECH_FIELDS = set(speech_create_params.SpeechCreateParams.__annotations__)
_MESSAGE_FIELDS = {
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "function_call",
    "tool_calls",
    "tool_call_id",
}
_VOICES = tuple(get_args(next(each for each in get_args(speech_create_params.Voice) if get_args(each))))
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs")


class RefusedError(Exception):
    """The request is refused; what it carries is OpenAI's error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True, slots=True)
class WavFile:
    """What a WAV file holds: ``(n,)`` int16 mono."""

    samples: Samples
    rate_hz: int


def check_key(authorization: str | None, key: str) -> None:
    """Refuse a wrong key; like some services, repeat it in the message, which nobody must pass on."""
    if authorization is None:
        raise RefusedError("You didn't provide an API key.", status=401)
    given = authorization.removeprefix("Bearer ")
    if authorization != f"Bearer {key}":
        raise RefusedError(f"Incorrect API key provided: {given}.", status=401, code="invalid_api_key")


def check_transcription(fields: Mapping[str, Any]) -> None:
    """Refuse a form (without its file) that /audio/transcriptions refuses."""
    _check_fields(fields, _TRANSCRIPTION_FIELDS, required=("model",))
    model = fields["model"]
    _check_model(model, TRANSCRIPTION_MODELS)
    for name in ("languages", "keywords"):
        if name in fields and model != "gpt-transcribe":
            raise _unsupported(name)
    if "include" in fields and model == "gpt-transcribe":
        raise _unsupported("include")
    language = fields.get("language")
    if language is not None and not (len(language) == 2 and language.isalpha() and language.islower()):
        message = f"Invalid language '{language}'. Language parameter must be specified in ISO-639-1 format."
        raise RefusedError(message, param="language", code="invalid_language_format")
    formats = ("json", "text", "srt", "verbose_json", "vtt") if model == "whisper-1" else ("json", "text")
    _check_value(fields, "response_format", formats)
    _check_value(fields, "stream", ("true", "false"))


def check_wav(name: str, content: bytes) -> WavFile:
    """Refuse a file that is no WAV with 16-bit PCM, mono, whole, of 0.1 s at least; return what it holds."""
    if name.rpartition(".")[2] not in _FILE_KINDS:
        raise RefusedError(f"Unrecognized file format. Supported formats: {list(_FILE_KINDS)}", param="file")
    if len(content) > MAX_FILE_BYTES:
        message = f"Maximum content size limit ({MAX_FILE_BYTES}) exceeded ({len(content)} bytes read)"
        raise RefusedError(message, status=413, kind="server_error")
    try:
        with wave.open(io.BytesIO(content)) as file:
            shape = (file.getnchannels(), file.getsampwidth())
            n_frames, rate_hz = file.getnframes(), file.getframerate()
            data = file.readframes(n_frames)
    except (wave.Error, EOFError) as error:
        raise _bad_file() from error
    if shape != (1, 2) or len(data) != 2 * n_frames:
        raise _bad_file()
    if n_frames < _MIN_AUDIO * rate_hz:
        message = "Audio file is too short. Minimum audio length is 0.1 seconds."
        raise RefusedError(message, param="file", code="audio_too_short")
    return WavFile(np.frombuffer(data, dtype="<i2").astype(np.int16), rate_hz)


def check_chat(body: Mapping[str, Any]) -> None:
    """Refuse a body that /chat/completions refuses."""
    _check_fields(body, _CHAT_FIELDS, required=("model", "messages"))
    _check_messages(body["messages"])
    model = body["model"]
    _check_model(model, CHAT_MODELS)
    if "stream_options" in body and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise RefusedError(message, param="stream_options")
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise RefusedError(f"Invalid '{name}': integer below minimum value.", param=name)
    if model.startswith("gpt-4"):
        if "reasoning_effort" in body:
            raise _unsupported("reasoning_effort")
        return
    _check_reasoning(model, body)


def check_speech(body: Mapping[str, Any]) -> None:
    """Refuse a body that /audio/speech refuses."""
    _check_fields(body, _SPEECH_FIELDS, required=("model", "input", "voice"))
    text = body["input"]
    if not isinstance(text, str):
        raise _wrong_type("input", "a string")
    if not text:
        message = "Invalid 'input': empty string. Expected a string with minimum length 1."
        raise RefusedError(message, param="input", code="string_below_min_length")
    if len(text) > _MAX_INPUT:
        message = f"Invalid 'input': string too long. Expected a maximum length of {_MAX_INPUT}."
        raise RefusedError(message, param="input", code="string_above_max_length")
    _check_model(body["model"], SPEECH_MODELS)
    voice = body["voice"]
    if not (isinstance(voice, dict) and set(voice) == {"id"}):
        _check_value(body, "voice", _VOICES)
    _check_value(body, "response_format", ("mp3", "opus", "aac", "flac", "wav", "pcm"))
    _check_value(body, "stream_format", ("sse", "audio"))
    speed = body.get("speed", 1.0)
    if not isinstance(speed, int | float) or not 0.25 <= speed <= 4.0:
        raise RefusedError("Invalid 'speed': expected 0.25 to 4.0.", param="speed", code="invalid_value")
    if not isinstance(body.get("instructions", ""), str):
        raise _wrong_type("instructions", "a string")


def refuse_fields(fields: Mapping[str, Any], refused: Collection[str]) -> None:
    """Refuse the first of ``fields`` that is in ``refused``."""
    for name in fields:
        if name in refused:
            raise _unknown(name)


@cache
def _message_type() -> TypeAdapter[ChatCompletionMessageParam]:
    return TypeAdapter(ChatCompletionMessageParam)


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects")
    if not messages:
        raise RefusedError("Invalid 'messages': empty array.", param="messages", code="empty_array")
    for index, message in enumerate(messages):
        try:
            _message_type().validate_python(message)
        except ValidationError as error:
            raise _wrong_type(f"messages.[{index}]", "a chat message") from error
        unknown = sorted(set(message) - _MESSAGE_FIELDS)
        if unknown:
            raise _unknown(f"messages[{index}].{unknown[0]}")
        if message.get("content") is None and not message.get("tool_calls"):
            raise _wrong_type(f"messages.[{index}].content", "a string")


def _check_reasoning(model: str, body: Mapping[str, Any]) -> None:
    """The rules of models that think: gpt-5 and later."""
    if "max_tokens" in body:
        raise _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    has_none = model != "gpt-5-mini"
    efforts = set(get_args(get_args(ReasoningEffort)[0]))
    efforts -= {"minimal"} if has_none else {"none"}
    effort = body.get("reasoning_effort", "medium")
    _check_value(body, "reasoning_effort", sorted(efforts))
    if effort != "none":
        for name in _SAMPLING:
            if name in body:
                raise RefusedError(
                    f"Unsupported value: '{name}' does not support {body[name]} with this model.",
                    param=name,
                    code="unsupported_value",
                )
        if "tools" in body and model.startswith("gpt-6"):
            raise _unsupported("tools")


def _check_fields(fields: Mapping[str, Any], known: Collection[str], *, required: tuple[str, ...]) -> None:
    for name in fields:
        if name not in known:
            raise _unknown(name)
    for name in required:
        if name not in fields:
            message = f"Missing required parameter: '{name}'."
            raise RefusedError(message, param=name, code="missing_required_parameter")


def _check_model(model: object, known: Collection[str]) -> None:
    if model not in known:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise RefusedError(message, status=404, code="model_not_found")


def _check_value(fields: Mapping[str, Any], name: str, known: Collection[str]) -> None:
    value = fields.get(name)
    if value is not None and value not in known:
        message = f"Invalid value: '{value}'. Supported values are: {', '.join(known)}."
        raise RefusedError(message, param=name, code="invalid_value")


def _unknown(name: str) -> RefusedError:
    return RefusedError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _unsupported(name: str, hint: str = "") -> RefusedError:
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return RefusedError(message, param=name, code="unsupported_parameter")


def _wrong_type(name: str, expected: str) -> RefusedError:
    return RefusedError(f"Invalid type for '{name}': expected {expected}.", param=name, code="invalid_type")


def _bad_file() -> RefusedError:
    message = "Audio file might be corrupted or unsupported"
    return RefusedError(message, param="file", code="invalid_value")
