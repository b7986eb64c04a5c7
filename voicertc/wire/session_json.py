"""The session object of OpenAI Realtime ⇄ ``SessionOptions``.

``render_session`` always gives the whole effective session, defaults filled in: agents-realtime 0.20 sends a
``response.cancel`` of its own at every ``speech_started`` unless it reads ``interrupt_response: true`` back.
``apply_update`` merges a ``session.update``: only fields that are present change, nested objects merge,
``null`` clears, and an object with a ``type`` that changes is replaced whole.

Fields of OpenAI's session that have no effect here are accepted and shown as what they are: without effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from ..core.items import Modality
from ..core.options import SessionOptions, TurnDetection
from ..errors import ClientError
from .fields import Fields, Parse, array, boolean, choice, identifier, number, record, string

VOICERTC_EVENTS = ("voicertc.call.ending", "voicertc.state", "voicertc.transcript.interim")
"""What a client may subscribe to with ``session.update {session: {voicertc: {events: […]}}}``."""

PCM_FORMAT = {"type": "audio/pcm", "rate": 24_000}
"""16-bit little-endian mono; over WebRTC, where audio is RTP, it says nothing."""

_DETECTORS: tuple[Literal["server_vad", "semantic_vad"], ...] = ("server_vad", "semantic_vad")
_EAGERNESS: tuple[Literal["low", "medium", "high", "auto"], ...] = ("low", "medium", "high", "auto")
_DEFAULTS = SessionOptions()


def render_session(
    options: SessionOptions, session_id: str, subscriptions: Iterable[str]
) -> dict[str, object]:
    """Return the session as ``session.created`` and ``session.updated`` carry it.

    ``voicertc`` is shown only to a client that subscribed, so that others see OpenAI's object.
    """
    session: dict[str, object] = {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": options.model,
        "output_modalities": [options.output.value],
        "instructions": options.instructions,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": PCM_FORMAT,
                "transcription": _render_transcription(options),
                "noise_reduction": None,
                "turn_detection": _render_turn_detection(options.turn_detection),
            },
            "output": {"format": PCM_FORMAT, "voice": options.voice, "speed": options.speed},
        },
    }
    events = sorted(subscriptions)
    return session | {"voicertc": {"events": events}} if events else session


def apply_update(options: SessionOptions, session: Fields) -> SessionOptions:
    """Return ``options`` with the changes of a ``session.update``. Raises ``ClientError``."""
    kind = session.read("type", string, absent="realtime", null="realtime")
    if kind != "realtime":
        # OpenAI Realtime: a session's type cannot change.
        path = session.path("type")
        raise ClientError(f'{path} of this session is "realtime".', code="invalid_value", param=path)
    audio = session.section("audio")
    heard = audio.section("input")
    spoken = audio.section("output")
    detection = heard.read(
        "turn_detection", _turn_detection(options.turn_detection), absent=options.turn_detection, null=None
    )
    return replace(
        _apply_transcription(options, heard),
        model=session.read("model", string, absent=options.model, null=_DEFAULTS.model),
        instructions=session.read("instructions", string, absent=options.instructions, null=""),
        output=read_output(session, options.output),
        voice=read_voice(spoken, options.voice),
        speed=spoken.read("speed", number(0.25, 1.5), absent=options.speed, null=_DEFAULTS.speed),
        turn_detection=detection,
    )


def read_output(fields: Fields, absent: Modality) -> Modality:
    """Return the modality that ``output_modalities`` chooses: one of two lists, never both words."""
    return fields.read("output_modalities", _output, absent=absent, null=_DEFAULTS.output)


def read_voice(spoken: Fields, absent: str) -> str:
    """Return the voice's name in an ``audio.output`` object: a string, or an object with an ``id``."""
    return spoken.read("voice", _voice, absent=absent, null=_DEFAULTS.voice)


def read_subscriptions(session: Fields) -> frozenset[str] | None:
    """Return the ``voicertc.*`` events that a client wants from now on; ``None``: what it had."""
    wanted = session.read("voicertc", record, absent=None, null=Fields({}))
    if wanted is None:
        return None
    names = wanted.read("events", array(choice((*VOICERTC_EVENTS, "*"))), absent=[], null=[])
    return frozenset(VOICERTC_EVENTS if "*" in names else names)


def _render_transcription(options: SessionOptions) -> dict[str, object] | None:
    if options.transcription_model is None:
        return None
    return {
        "model": options.transcription_model,
        "language": options.language,
        "prompt": options.transcription_prompt,
    }


def _render_turn_detection(detection: TurnDetection | None) -> dict[str, object] | None:
    if detection is None:
        return None
    common = {
        "type": detection.type,
        "create_response": detection.create_response,
        "interrupt_response": detection.interrupt_response,
    }
    if detection.type == "semantic_vad":
        return common | {"eagerness": detection.eagerness}
    return common | {
        "threshold": detection.threshold,
        "prefix_padding_ms": round(detection.prefix_padding * 1000),
        "silence_duration_ms": round(detection.silence * 1000),
        "idle_timeout_ms": None,
    }


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
        if kind != base.type:
            base = TurnDetection(type=kind)
        default = TurnDetection(type=kind)
        return replace(
            base,
            threshold=wanted.read("threshold", number(0, 1), absent=base.threshold, null=default.threshold),
            prefix_padding=wanted.read(
                "prefix_padding_ms",
                _milliseconds(5_000),
                absent=base.prefix_padding,
                null=default.prefix_padding,
            ),
            silence=wanted.read(
                "silence_duration_ms", _milliseconds(20_000), absent=base.silence, null=default.silence
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
        )

    return parse


def _milliseconds(high: int) -> Parse[float]:
    """Seconds from a number of milliseconds that is at most ``high``."""
    bounds = number(0, high)
    return lambda value, path: bounds(value, path) / 1000


def _output(value: object, path: str) -> Modality:
    match value:
        case ["audio"]:
            return Modality.AUDIO
        case ["text"]:
            return Modality.TEXT
    raise ClientError(f'{path} must be ["audio"] or ["text"].', code="invalid_value", param=path)


def _voice(value: object, path: str) -> str:
    if isinstance(value, dict):
        return record(value, path).need("id", identifier)
    return identifier(value, path)


def _language(value: object, path: str) -> str:
    """The primary subtag of a language tag (RFC 5646): ``en`` of ``en-US``."""
    primary = string(value, path).split("-")[0].lower()
    if not (primary.isascii() and primary.isalpha() and len(primary) in (2, 3)):
        raise ClientError(f'{path} must be a language code such as "en".', code="invalid_value", param=path)
    return primary
