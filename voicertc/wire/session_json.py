"""The session object of OpenAI Realtime ⇄ ``SessionOptions``.

``render_session`` always gives the whole effective session, defaults filled in: agents-realtime 0.20 sends a
``response.cancel`` of its own at every ``speech_started`` unless it reads ``interrupt_response: true`` back.
``apply_update`` merges a ``session.update``: only fields that are present change, nested objects merge,
``null`` clears, and an object with a ``type`` that changes is replaced whole.

Fields of OpenAI's session that have no effect here are accepted and shown as what they are: without effect
(``docs/events.md`` lists them).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..core.items import Modality
from ..core.options import SessionOptions
from ..errors import ClientError
from .audio_json import apply_input, read_format, read_sounds, render_format, render_input, render_sounds
from .fields import Fields, array, choice, identifier, integer, number, record, string
from .tools_json import read_tools, render_tool_choice, render_tools

VOICERTC_EVENTS = (
    "voicertc.call.ending",
    "voicertc.handoff",
    "voicertc.link",
    "voicertc.metrics",
    "voicertc.state",
    "voicertc.tool",
    "voicertc.transcript",
    "voicertc.transcript.interim",
    "voicertc.usage",
)
"""What a client may subscribe to with ``session.update {session: {voicertc: {events: […]}}}``."""

_TYPES = ("realtime", "transcription")
_MAX_OUTPUT_TOKENS = 4096
"""OpenAI's own bound."""
_DEFAULTS = SessionOptions()


def render_session(
    options: SessionOptions,
    session_id: str,
    subscriptions: Iterable[str] = (),
    *,
    shows_sounds: bool = False,
    shows_engine: bool = False,
) -> dict[str, object]:
    """Return the session as ``session.created`` and ``session.updated`` carry it.

    ``voicertc`` is shown only to a client that subscribed, or asked for its ``sounds`` or ``engine``, so that
    others see OpenAI's object.
    """
    session = _render_transcribing(options) if options.is_transcription else _render_talking(options)
    session["id"] = session_id
    own: dict[str, object] = {}
    if events := sorted(subscriptions):
        own["events"] = events
    if shows_sounds:
        own["sounds"] = render_sounds(options.sounds)
    if shows_engine:
        own["engine"] = options.engine
    return session | {"voicertc": own} if own else session


def read_session(session: Fields, defaults: SessionOptions) -> SessionOptions:
    """Return what a new session is to be, by a client's wish and the operator's ``defaults``.

    Its ``type`` says whether it replies or only transcribes. Raises ``ClientError``.
    """
    kind = session.read("type", choice(_TYPES), absent=_type_of(defaults), null=_type_of(defaults))
    return apply_update(replace(defaults, is_transcription=kind == "transcription"), session)


def apply_update(options: SessionOptions, session: Fields) -> SessionOptions:
    """Return ``options`` with the changes of a ``session.update``. Raises ``ClientError``."""
    own = _type_of(options)
    if session.read("type", choice(_TYPES), absent=own, null=own) != own:
        path = session.path("type")
        message = f'{path} of this session is "{own}", and cannot be changed while it lasts.'
        raise ClientError(message, code="invalid_value", param=path)
    audio, ours = session.section("audio"), session.section("voicertc")
    spoken = audio.section("output")
    tools, tool_choice = read_tools(session, options.tools, options.tool_choice)
    return replace(
        apply_input(options, audio.section("input")),
        model=session.read("model", string, absent=options.model, null=_DEFAULTS.model),
        instructions=session.read("instructions", string, absent=options.instructions, null=""),
        output=read_output(session, options.output),
        voice=read_voice(spoken, options.voice),
        speed=spoken.read("speed", number(0.25, 1.5), absent=options.speed, null=_DEFAULTS.speed),
        output_format=read_format(spoken, options.output_format),
        tools=tools,
        tool_choice=tool_choice,
        max_output_tokens=read_max_tokens(session, options.max_output_tokens),
        engine=ours.read("engine", identifier, absent=options.engine, null=_DEFAULTS.engine),
        sounds=ours.read("sounds", read_sounds(options.sounds), absent=options.sounds, null=_DEFAULTS.sounds),
    )


def read_output(fields: Fields, absent: Modality) -> Modality:
    """Return the modality that ``output_modalities`` chooses: one of two lists, never both words."""
    return fields.read("output_modalities", _output, absent=absent, null=_DEFAULTS.output)


def read_voice(spoken: Fields, absent: str) -> str:
    """Return the voice's name in an ``audio.output`` object: a string, or an object with an ``id``."""
    return spoken.read("voice", _voice, absent=absent, null=_DEFAULTS.voice)


def read_max_tokens(fields: Fields, absent: int | None) -> int | None:
    """Return ``max_output_tokens``: a number, or ``None`` for ``"inf"``."""
    return fields.read("max_output_tokens", _max_tokens, absent=absent, null=None)


def read_subscriptions(session: Fields) -> frozenset[str] | None:
    """Return the ``voicertc.*`` events that a client wants from now on; ``None``: what it had."""
    if session.is_null("voicertc"):
        return frozenset()
    wanted = session.section("voicertc")
    wanted.only("events", "sounds", "engine")
    names = wanted.read("events", array(choice((*VOICERTC_EVENTS, "*"))), absent=None, null=[])
    return None if names is None else frozenset(VOICERTC_EVENTS if "*" in names else names)


def asks_for_sounds(session: Fields) -> bool:
    """Whether a client names ``voicertc.sounds``, to change them or only to be shown them."""
    ours = session.section("voicertc")
    return "sounds" in ours or ours.is_null("sounds")


def asks_for_engine(session: Fields) -> bool:
    """Whether a client names ``voicertc.engine``, to choose who answers."""
    ours = session.section("voicertc")
    return "engine" in ours or ours.is_null("engine")


def _type_of(options: SessionOptions) -> str:
    return "transcription" if options.is_transcription else "realtime"


def _render_talking(options: SessionOptions) -> dict[str, object]:
    limit = options.max_output_tokens
    return {
        "type": "realtime",
        "object": "realtime.session",
        "model": options.model,
        "output_modalities": [options.output.value],
        "instructions": options.instructions,
        "tools": render_tools(options.tools),
        "tool_choice": render_tool_choice(options.tool_choice),
        "max_output_tokens": "inf" if limit is None else limit,
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": render_input(options),
            "output": {
                "format": render_format(options.output_format),
                "voice": options.voice,
                "speed": options.speed,
            },
        },
    }


def _render_transcribing(options: SessionOptions) -> dict[str, object]:
    return {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "include": None,
        "audio": {"input": render_input(options)},
    }


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


def _max_tokens(value: object, path: str) -> int | None:
    return None if value == "inf" else integer(1, _MAX_OUTPUT_TOKENS)(value, path)
