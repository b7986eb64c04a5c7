"""What a client may change about its session, and how changes merge."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from voicertc.core.events import ClientErred, Origin, SessionUpdated
from voicertc.core.facts import SessionChanged
from voicertc.core.items import Modality
from voicertc.core.options import SessionOptions, TurnDetection
from voicertc.wire import RealtimeWire
from voicertc.wire.session_json import VOICERTC_EVENTS

from .openai_types import check

OPTIONS = SessionOptions(
    instructions="Be brief.",
    voice="en-gb",
    speed=1.2,
    language="en",
    transcription_prompt="names of cities",
    turn_detection=TurnDetection(silence=0.7),
)


@pytest.fixture
def wire() -> RealtimeWire:
    return RealtimeWire(name="peer", session_id="sess_ab12", transport="webrtc")


def update(wire: RealtimeWire, options: SessionOptions, **session: object) -> SessionOptions | ClientErred:
    """The options that a ``session.update`` asks for, or the error it is."""
    text = json.dumps({"type": "session.update", "event_id": "event_7", "session": session})
    (event,) = wire.receive(text, options, 0.0)
    assert isinstance(event, SessionUpdated | ClientErred)
    assert event.origin == Origin("peer", "event_7")
    return event.options if isinstance(event, SessionUpdated) else event


def heard(**fields: object) -> dict[str, object]:
    return {"input": fields}


def spoken(**fields: object) -> dict[str, object]:
    return {"output": fields}


@pytest.mark.parametrize(
    ("session", "changes"),
    [
        ({}, {}),
        ({"type": "realtime", "tracing": "auto"}, {}),
        ({"prompt": {"id": "p"}, "reasoning": {}, "parallel_tool_calls": True, "include": []}, {}),
        ({"model": "gpt-realtime"}, {"model": "gpt-realtime"}),
        ({"instructions": "Sing."}, {"instructions": "Sing."}),
        ({"instructions": ""}, {"instructions": ""}),
        ({"instructions": None}, {"instructions": ""}),
        ({"output_modalities": ["text"]}, {"output": Modality.TEXT}),
        ({"audio": None}, {}),
        ({"audio": {"input": None, "output": {}}}, {}),
        ({"audio": spoken(voice="marin")}, {"voice": "marin"}),
        ({"audio": spoken(voice={"id": "voice_1"})}, {"voice": "voice_1"}),
        ({"audio": spoken(voice=None, speed=None)}, {"voice": "default", "speed": 1.0}),
        ({"audio": spoken(speed=1)}, {"speed": 1.0}),
        ({"audio": spoken(format="g711_ulaw")}, {"output_format": "pcmu"}),
        ({"audio": heard(transcription=None)}, {"transcription_model": None}),
        (
            {"audio": heard(transcription={"model": "gpt-4o-mini-transcribe"})},
            {"transcription_model": "gpt-4o-mini-transcribe"},
        ),
        ({"audio": heard(transcription={"language": "de-AT"})}, {"language": "de"}),
        (
            {"audio": heard(transcription={"language": None, "prompt": None})},
            {"language": None, "transcription_prompt": ""},
        ),
        ({"audio": heard(turn_detection=None)}, {"turn_detection": None}),
        (
            {"audio": heard(turn_detection={"prefix_padding_ms": 100, "threshold": 0.9})},
            {"turn_detection": TurnDetection(silence=0.7, prefix_padding=0.1, threshold=0.9)},
        ),
        (
            {"audio": heard(turn_detection={"type": "server_vad", "create_response": False})},
            {"turn_detection": TurnDetection(silence=0.7, create_response=False)},
        ),
        (
            {"audio": heard(turn_detection={"silence_duration_ms": None})},
            {"turn_detection": TurnDetection(silence=0.5)},
        ),
        (
            {"audio": heard(turn_detection={"type": "semantic_vad"})},
            {"turn_detection": TurnDetection(type="semantic_vad")},
        ),
        (
            {"audio": heard(turn_detection={"type": "semantic_vad", "eagerness": "high"})},
            {"turn_detection": TurnDetection(type="semantic_vad", eagerness="high")},
        ),
    ],
)
def test_only_what_is_present_changes(
    wire: RealtimeWire, session: dict[str, object], changes: dict[str, object]
) -> None:
    assert update(wire, OPTIONS, **session) == replace(OPTIONS, **changes)  # type: ignore[arg-type]


def test_push_to_talk_goes_back_to_a_whole_detector(wire: RealtimeWire) -> None:
    silent = replace(OPTIONS, turn_detection=None)
    wanted = update(wire, silent, audio=heard(turn_detection={"silence_duration_ms": 900}))
    assert wanted == replace(silent, turn_detection=TurnDetection(silence=0.9))


def test_transcripts_that_were_off_come_back_with_the_language(wire: RealtimeWire) -> None:
    off = replace(OPTIONS, transcription_model=None)
    assert update(wire, off, instructions="Be brief.") == off
    assert update(wire, off, audio=heard(transcription={})) == replace(off, transcription_model="voicertc")


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"model": 7}, "invalid_type", "session.model"),
        ({"instructions": ["a"]}, "invalid_type", "session.instructions"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"output_modalities": "audio"}, "invalid_value", "session.output_modalities"),
        ({"audio": []}, "invalid_type", "session.audio"),
        ({"audio": spoken(speed=2)}, "invalid_value", "session.audio.output.speed"),
        ({"audio": spoken(speed="fast")}, "invalid_type", "session.audio.output.speed"),
        ({"audio": spoken(voice="")}, "invalid_value", "session.audio.output.voice"),
        ({"audio": spoken(voice={})}, "missing_required_parameter", "session.audio.output.voice.id"),
        (
            {"audio": heard(transcription={"language": "english"})},
            "invalid_value",
            "session.audio.input.transcription.language",
        ),
        ({"audio": heard(turn_detection="none")}, "invalid_type", "session.audio.input.turn_detection"),
        (
            {"audio": heard(turn_detection={"type": "none"})},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            {"audio": heard(turn_detection={"create_response": "yes"})},
            "invalid_type",
            "session.audio.input.turn_detection.create_response",
        ),
        (
            {"audio": heard(turn_detection={"silence_duration_ms": -1})},
            "invalid_value",
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        ({"voicertc": {"events": "*"}}, "invalid_type", "session.voicertc.events"),
        ({"voicertc": {"events": ["voicertc.weather"]}}, "invalid_value", "session.voicertc.events[0]"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_changes(
    wire: RealtimeWire, session: dict[str, object], code: str, param: str
) -> None:
    wanted = update(wire, OPTIONS, **({"instructions": "Sing."} | session))
    assert isinstance(wanted, ClientErred)
    assert (wanted.code, wanted.param) == (code, param)
    assert update(wire, OPTIONS) == OPTIONS


def test_a_message_says_what_would_be_right(wire: RealtimeWire) -> None:
    speed = update(wire, OPTIONS, audio=spoken(speed=3))
    eagerness = update(wire, OPTIONS, audio=heard(turn_detection={"eagerness": "very"}))
    assert isinstance(speed, ClientErred)
    assert isinstance(eagerness, ClientErred)
    assert speed.message == "session.audio.output.speed must be a number from 0.25 to 1.5."
    assert eagerness.message == (
        'session.audio.input.turn_detection.eagerness must be one of "low", "medium", "high", "auto".'
    )


def test_an_update_without_a_session_is_refused(wire: RealtimeWire) -> None:
    (event,) = wire.receive('{"type": "session.update"}', OPTIONS, 0.0)
    assert event == ClientErred(
        "missing_required_parameter", "session is missing.", "session", Origin("peer")
    )


def test_the_effective_session_reads_back_as_itself(wire: RealtimeWire) -> None:
    options = replace(OPTIONS, turn_detection=TurnDetection("semantic_vad", eagerness="low"))
    for shown in (options, OPTIONS, replace(OPTIONS, turn_detection=None, transcription_model=None)):
        (text,) = wire.render(SessionChanged(shown))
        assert update(wire, shown, **check(text)["session"]) == shown


def test_the_semantic_detector_is_shown_with_its_defaults_filled_in(wire: RealtimeWire) -> None:
    options = replace(OPTIONS, turn_detection=TurnDetection("semantic_vad"))
    (text,) = wire.render(SessionChanged(options))
    assert check(text)["session"]["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "create_response": True,
        "interrupt_response": True,
        "eagerness": "auto",
    }


def test_updates_in_quick_succession_are_not_lost(wire: RealtimeWire) -> None:
    first = update(wire, OPTIONS, instructions="Sing.")
    second = update(wire, OPTIONS, audio=spoken(voice="marin"))  # the first is not in force yet
    assert isinstance(first, SessionOptions)
    assert second == replace(OPTIONS, instructions="Sing.", voice="marin")
    third = update(wire, first, audio=spoken(speed=1))  # the first is in force, the second is not
    assert third == replace(OPTIONS, instructions="Sing.", voice="marin", speed=1.0)
    assert isinstance(third, SessionOptions)
    assert update(wire, third, instructions="") == replace(third, instructions="")


def test_a_response_right_behind_an_update_is_asked_for_with_it(wire: RealtimeWire) -> None:
    update(wire, OPTIONS, instructions="Sing.")
    (event,) = wire.receive('{"type": "response.create"}', OPTIONS, 0.0)
    assert event.request.instructions == "Sing."  # type: ignore[union-attr]


def test_what_another_client_changed_in_between_is_the_new_ground(wire: RealtimeWire) -> None:
    update(wire, OPTIONS, instructions="Sing.")
    theirs = replace(OPTIONS, voice="fr")
    assert update(wire, theirs, audio=spoken(speed=1)) == replace(theirs, speed=1.0)


def test_subscriptions_stay_until_they_are_changed(wire: RealtimeWire) -> None:
    def subscribed() -> object:
        (text,) = wire.render(SessionChanged(OPTIONS))
        return check(text)["session"].get("voicertc")

    assert subscribed() is None
    update(wire, OPTIONS, voicertc={"events": ["voicertc.state"]})
    assert subscribed() == {"events": ["voicertc.state"]}
    update(wire, OPTIONS, instructions="Sing.")
    assert subscribed() == {"events": ["voicertc.state"]}
    update(wire, OPTIONS, voicertc={"events": ["*"]})
    assert subscribed() == {"events": list(VOICERTC_EVENTS)}
    update(wire, OPTIONS, voicertc=None)
    assert subscribed() is None
