"""The parts of a session that are about sound: formats, turn detection, transcription, noise, and what is
heard beside the voice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

from ..core.options import (
    AmbientSound,
    AudioFormat,
    NoiseReduction,
    SessionOptions,
    SoundOptions,
    ThinkingSound,
    TurnDetection,
)
from ..errors import ClientError
from .fields import Fields, Parse, boolean, choice, number, record, string

_DETECTORS: tuple[Literal["server_vad", "semantic_vad"], ...] = ("server_vad", "semantic_vad")
_EAGERNESS: tuple[Literal["low", "medium", "high", "auto"], ...] = ("low", "medium", "high", "auto")
_DISTANCES: tuple[Literal["near_field", "far_field"], ...] = ("near_field", "far_field")
_DEFAULTS = SessionOptions()

_SOUND_FIELDS: dict[str, Parse[object]] = {
    "enable_thinking_sound": boolean,
    "thinking_sound": choice(get_args(ThinkingSound)),
    "thinking_volume": number(0, 1),
    "enable_ambient": boolean,
    "ambient_sound": choice(get_args(AmbientSound)),
    "ambient_volume": number(0, 1),
}
"""All of ``SoundOptions``. Sounds are chosen by name, never by path."""

_FORMATS: dict[str, AudioFormat] = {
    "audio/pcm": "pcm16",
    "audio/pcmu": "pcmu",
    "audio/pcma": "pcma",
    # The names of the beta API, which some clients still send.
    "pcm16": "pcm16",
    "g711_ulaw": "pcmu",
    "g711_alaw": "pcma",
}
_PCM_RATE_HZ = 24_000


def render_format(audio: AudioFormat) -> dict[str, object]:
    """Return the format as clients are shown it: 16-bit little-endian mono, or G.711."""
    if audio == "pcm16":
        return {"type": "audio/pcm", "rate": _PCM_RATE_HZ}
    return {"type": f"audio/{audio}"}


def read_format(fields: Fields, absent: AudioFormat) -> AudioFormat:
    """Return the format that ``format`` names, as an object or by its old name."""
    return fields.read("format", _format, absent=absent, null="pcm16")


def render_input(options: SessionOptions) -> dict[str, object]:
    """Return ``audio.input``."""
    noise = options.noise_reduction
    return {
        "format": render_format(options.input_format),
        "transcription": _render_transcription(options),
        "noise_reduction": None if noise is None else {"type": noise.type, "strength": noise.strength},
        "turn_detection": _render_turn_detection(options),
    }


def apply_input(options: SessionOptions, heard: Fields) -> SessionOptions:
    """Return ``options`` with what an ``audio.input`` object changes."""
    detection = options.turn_detection
    return replace(
        _apply_transcription(options, heard),
        input_format=read_format(heard, options.input_format),
        noise_reduction=heard.read(
            "noise_reduction", _noise(options.noise_reduction), absent=options.noise_reduction, null=None
        ),
        turn_detection=heard.read("turn_detection", _turn_detection(detection), absent=detection, null=None),
    )


def render_sounds(sounds: SoundOptions) -> dict[str, object]:
    """Return ``voicertc.sounds``, whose fields are called as the operator's settings are."""
    return {name: getattr(sounds, name) for name in _SOUND_FIELDS}


def read_sounds(current: SoundOptions) -> Parse[SoundOptions]:
    """Return what reads a ``voicertc.sounds`` object as a change of ``current``."""

    def parse(value: object, path: str) -> SoundOptions:
        wanted = record(value, path)
        wanted.only(*_SOUND_FIELDS)
        changed: dict[str, Any] = {
            name: wanted.read(
                name, parse_field, absent=getattr(current, name), null=getattr(_DEFAULTS.sounds, name)
            )
            for name, parse_field in _SOUND_FIELDS.items()
        }
        return replace(current, **changed)

    return parse


def _render_transcription(options: SessionOptions) -> dict[str, object] | None:
    if options.transcription_model is None:
        return None
    return {
        "model": options.transcription_model,
        "language": options.language,
        "prompt": options.transcription_prompt,
    }


def _render_turn_detection(options: SessionOptions) -> dict[str, object] | None:
    detection = options.turn_detection
    if detection is None:
        return None
    common: dict[str, object] = {"type": detection.type}
    if not options.is_transcription:
        common |= {
            "create_response": detection.create_response,
            "interrupt_response": detection.interrupt_response,
        }
    if detection.type == "semantic_vad":
        return common | {"eagerness": detection.eagerness}
    common |= {
        "threshold": detection.threshold,
        "prefix_padding_ms": round(detection.prefix_padding * 1000),
        "silence_duration_ms": round(detection.silence * 1000),
    }
    if options.is_transcription:
        return common
    idle = detection.idle_timeout
    return common | {"idle_timeout_ms": None if idle is None else round(idle * 1000)}


def _apply_transcription(options: SessionOptions, heard: Fields) -> SessionOptions:
    if heard.is_null("transcription"):
        return replace(options, transcription_model=None)  # the language still helps the recognizer
    if "transcription" not in heard:
        return options
    wanted = heard.section("transcription")
    default = _DEFAULTS.transcription_model
    return replace(
        options,
        transcription_model=wanted.read(
            "model", string, absent=options.transcription_model or default, null=default
        ),
        language=wanted.read("language", _language, absent=options.language, null=None),
        transcription_prompt=wanted.read("prompt", string, absent=options.transcription_prompt, null=""),
    )


def _turn_detection(current: TurnDetection | None) -> Parse[TurnDetection]:
    def parse(value: object, path: str) -> TurnDetection:
        wanted = record(value, path)
        base = current or TurnDetection()
        kind = wanted.read("type", choice(_DETECTORS), absent=base.type, null=base.type)
        default = TurnDetection(type=kind)
        if kind != base.type:
            base = default
        return replace(
            base,
            threshold=wanted.read("threshold", number(0, 1), absent=base.threshold, null=default.threshold),
            prefix_padding=wanted.read(
                "prefix_padding_ms",
                _milliseconds(0, 5_000),
                absent=base.prefix_padding,
                null=default.prefix_padding,
            ),
            silence=wanted.read(
                "silence_duration_ms", _milliseconds(0, 20_000), absent=base.silence, null=default.silence
            ),
            create_response=wanted.read(
                "create_response", boolean, absent=base.create_response, null=default.create_response
            ),
            interrupt_response=wanted.read(
                "interrupt_response", boolean, absent=base.interrupt_response, null=default.interrupt_response
            ),
            eagerness=wanted.read(
                "eagerness", choice(_EAGERNESS), absent=base.eagerness, null=default.eagerness
            ),
            idle_timeout=wanted.read(
                "idle_timeout_ms", _milliseconds(5_000, 30_000), absent=base.idle_timeout, null=None
            ),
        )

    return parse


def _noise(current: NoiseReduction | None) -> Parse[NoiseReduction]:
    def parse(value: object, path: str) -> NoiseReduction:
        wanted = record(value, path)
        base = current or NoiseReduction()
        return NoiseReduction(
            wanted.read("type", choice(_DISTANCES), absent=base.type, null=base.type),
            wanted.read("strength", number(0, 1), absent=base.strength, null=1.0),
        )

    return parse


def _milliseconds(low: float, high: float) -> Parse[float]:
    """Seconds from a number of milliseconds from ``low`` to ``high``."""
    bounds = number(low, high)
    return lambda value, path: bounds(value, path) / 1000


def _format(value: object, path: str) -> AudioFormat:
    if isinstance(value, dict):
        fields = record(value, path)
        found = _named_format(fields.need("type", string), fields.path("type"))
        if found == "pcm16":
            fields.read("rate", choice((_PCM_RATE_HZ,)), absent=_PCM_RATE_HZ, null=_PCM_RATE_HZ)
        return found
    return _named_format(string(value, path), path)


def _named_format(name: str, path: str) -> AudioFormat:
    if name not in _FORMATS:
        message = f'{path} must be "audio/pcm", "audio/pcmu" or "audio/pcma".'
        raise ClientError(message, code="invalid_value", param=path)
    return _FORMATS[name]


def _language(value: object, path: str) -> str:
    """The primary subtag of a language tag (RFC 5646): ``en`` of ``en-US``."""
    primary = string(value, path).split("-")[0].lower()
    if not (primary.isascii() and primary.isalpha() and len(primary) in (2, 3)):
        raise ClientError(f'{path} must be a language code such as "en".', code="invalid_value", param=path)
    return primary
