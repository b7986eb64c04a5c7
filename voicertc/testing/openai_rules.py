"""What OpenAI refuses, and in which words: the strictness of the fake, so that adapters are really tested.

Fields, values and types are those of the ``openai`` package's request types; the rules that no type tells
(which model takes which field, lengths, the file) are written out here, those of /chat/completions in
``openai_chat_rules``.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from openai.types.audio import speech_create_params, transcription_create_params

from ..audio.pcm import Samples
from .openai_chat_rules import CHAT_MODELS
from .openai_refusals import (
    RefusedError,
    check_fields,
    check_model,
    check_value,
    unknown,
    unsupported,
    wrong_type,
)

TRANSCRIPTION_MODELS = ("gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1")
SPEECH_MODELS = ("gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15", "tts-1", "tts-1-hd")
REALTIME_MODELS = ("gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-2", "gpt-realtime-1.5")
STREAMING_TRANSCRIBERS = ("gpt-live-transcribe", "gpt-realtime-whisper")
"""They write while somebody speaks, and have no turn detection of their own."""
MODELS = (
    *TRANSCRIPTION_MODELS,
    *CHAT_MODELS,
    *SPEECH_MODELS,
    *REALTIME_MODELS,
    *STREAMING_TRANSCRIBERS,
)

MAX_FILE_BYTES = 25 << 20
_FILE_KINDS = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm")
_MAX_INPUT = 4096
_MIN_AUDIO = 0.1
_TRANSCRIPTION_FIELDS = {*transcription_create_params.TranscriptionCreateParamsBase.__annotations__, "stream"}
_SPEECH_FIELDS = set(speech_create_params.SpeechCreateParams.__annotations__)
_VOICES = tuple(get_args(next(each for each in get_args(speech_create_params.Voice) if get_args(each))))


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
    check_fields(fields, _TRANSCRIPTION_FIELDS, required=("model",))
    model = fields["model"]
    check_model(model, TRANSCRIPTION_MODELS)
    for name in ("languages", "keywords"):
        if name in fields and model != "gpt-transcribe":
            raise unsupported(name)
    if "include" in fields and model == "gpt-transcribe":
        raise unsupported("include")
    language = fields.get("language")
    if language is not None and not (len(language) == 2 and language.isalpha() and language.islower()):
        message = f"Invalid language '{language}'. Language parameter must be specified in ISO-639-1 format."
        raise RefusedError(message, param="language", code="invalid_language_format")
    formats = ("json", "text", "srt", "verbose_json", "vtt") if model == "whisper-1" else ("json", "text")
    check_value(fields, "response_format", formats)
    check_value(fields, "stream", ("true", "false"))


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


def check_speech(body: Mapping[str, Any]) -> None:
    """Refuse a body that /audio/speech refuses."""
    check_fields(body, _SPEECH_FIELDS, required=("model", "input", "voice"))
    text = body["input"]
    if not isinstance(text, str):
        raise wrong_type("input", "a string")
    if not text:
        message = "Invalid 'input': empty string. Expected a string with minimum length 1."
        raise RefusedError(message, param="input", code="string_below_min_length")
    if len(text) > _MAX_INPUT:
        message = f"Invalid 'input': string too long. Expected a maximum length of {_MAX_INPUT}."
        raise RefusedError(message, param="input", code="string_above_max_length")
    check_model(body["model"], SPEECH_MODELS)
    voice = body["voice"]
    if not (isinstance(voice, dict) and set(voice) == {"id"}):
        check_value(body, "voice", _VOICES)
    check_value(body, "response_format", ("mp3", "opus", "aac", "flac", "wav", "pcm"))
    check_value(body, "stream_format", ("sse", "audio"))
    speed = body.get("speed", 1.0)
    if not isinstance(speed, int | float) or not 0.25 <= speed <= 4.0:
        raise RefusedError("Invalid 'speed': expected 0.25 to 4.0.", param="speed", code="invalid_value")
    if not isinstance(body.get("instructions", ""), str):
        raise wrong_type("instructions", "a string")


def refuse_fields(fields: Mapping[str, Any], refused: Collection[str]) -> None:
    """Refuse the first of ``fields`` that is in ``refused``."""
    for name in fields:
        if name in refused:
            raise unknown(name)


def _bad_file() -> RefusedError:
    message = "Audio file might be corrupted or unsupported"
    return RefusedError(message, param="file", code="invalid_value")
