"""Sessions that only write down what they hear: their object, and what is refused in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicertc.core import facts
from voicertc.core.events import ClientErred
from voicertc.core.options import NoiseReduction, SessionOptions, TurnDetection
from voicertc.errors import ClientError
from voicertc.wire.fields import Fields
from voicertc.wire.session_json import read_session

from .talk import OPTIONS, ORIGIN, refusal, sent, told, updated, wire_by, without_ids

DEFAULTS = SessionOptions(instructions="Be brief.", voice="en-gb", language="en")
WRITING = replace(OPTIONS, is_transcription=True)
SHOWN = {
    "type": "transcription",
    "object": "realtime.transcription_session",
    "id": "sess_ab12",
    "include": None,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "voicertc", "language": None, "prompt": ""},
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
            },
        }
    },
}


def read(session: dict[str, object], defaults: SessionOptions = DEFAULTS) -> SessionOptions:
    return read_session(Fields(session, "session"), defaults)


def test_a_new_session_is_what_the_client_wants_on_the_operators_ground() -> None:
    assert read({}) == DEFAULTS
    assert read({"type": "realtime", "instructions": "Sing."}) == replace(DEFAULTS, instructions="Sing.")
    wanted = {"type": "transcription", "audio": {"input": {"transcription": {"language": "de"}}}}
    assert read(wanted) == replace(DEFAULTS, is_transcription=True, language="de")
    assert read({}, WRITING) == WRITING


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"type": "translation"}, "invalid_value", "session.type"),
        ({"type": 1}, "invalid_value", "session.type"),
        ({"type": "transcription", "audio": {"input": []}}, "invalid_type", "session.audio.input"),
    ],
)
def test_a_new_session_that_makes_no_sense_is_refused(
    session: dict[str, object], code: str, param: str
) -> None:
    with pytest.raises(ClientError) as raised:
        read(session)
    assert (raised.value.code, raised.value.param) == (code, param)


def test_it_opens_with_its_own_object() -> None:
    (created,) = without_ids(wire_by("websocket").opened(WRITING))
    assert created == {"type": "session.created", "session": SHOWN}


def test_it_is_updated_and_shows_what_is_in_force() -> None:
    wire = wire_by("websocket")
    options = updated(
        wire,
        WRITING,
        type="transcription",
        include=["item.input_audio_transcription.logprobs"],
        audio={
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "whisper-1", "language": "de", "prompt": "Oslo"},
                "noise_reduction": {"type": "far_field"},
                "turn_detection": {"silence_duration_ms": 900},
            }
        },
    )
    assert options == replace(
        WRITING,
        input_format="pcmu",
        transcription_model="whisper-1",
        language="de",
        transcription_prompt="Oslo",
        noise_reduction=NoiseReduction("far_field"),
        turn_detection=TurnDetection(silence=0.9),
    )
    (event,) = told(wire, facts.SessionChanged(options))
    assert event["session"]["audio"]["input"] == {
        "format": {"type": "audio/pcmu"},
        "transcription": {"model": "whisper-1", "language": "de", "prompt": "Oslo"},
        "noise_reduction": {"type": "far_field", "strength": 1.0},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 900,
        },
    }


@pytest.mark.parametrize("detection", [TurnDetection("semantic_vad", eagerness="low"), None])
def test_it_reads_back_as_itself(detection: TurnDetection | None) -> None:
    wire = wire_by("websocket")
    options = replace(WRITING, turn_detection=detection)
    (event,) = told(wire, facts.SessionChanged(options))
    assert updated(wire, options, **event["session"]) == options


def test_what_a_session_is_for_cannot_change() -> None:
    for options, other in ((WRITING, "realtime"), (OPTIONS, "transcription")):
        event = sent(wire_by(), "session.update", options, session={"type": other})
        assert refusal(event) == ("invalid_value", "session.type")
        assert updated(wire_by(), options, type=None) == options


def test_no_response_can_be_asked_for() -> None:
    event = sent(wire_by("websocket"), "response.create", WRITING, response={"conversation": "none"})
    message = "There are no responses in a transcription session; response.create is not for it."
    assert event == ClientErred("not_supported", message, "type", ORIGIN)


def test_who_subscribes_is_shown_so_as_in_any_session() -> None:
    wire = wire_by("websocket")
    options = updated(wire, WRITING, voicertc={"events": ["voicertc.transcript"]})
    (event,) = told(wire, facts.SessionChanged(options))
    assert event["session"] == SHOWN | {"voicertc": {"events": ["voicertc.transcript"]}}
