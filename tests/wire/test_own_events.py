"""What OpenAI has no event for: each ``voicertc.*`` event, and that only subscribers are told."""

from __future__ import annotations

from typing import Any

import pytest

from voicertc.core import facts
from voicertc.core.events import Word
from voicertc.core.facts import State
from voicertc.core.replies import Usage
from voicertc.wire import RealtimeWire
from voicertc.wire.session_json import VOICERTC_EVENTS

from .talk import refusal, sent, told, updated, wire_by

LATER = 1.5
"""Seconds by which the client's audio lags behind session time."""
OWN: list[tuple[facts.Fact, dict[str, Any]]] = [
    (facts.StateChanged(State.LISTENING), {"type": "voicertc.state", "state": "listening"}),
    (
        facts.InterimHeard("item_u1", "what is the"),
        {"type": "voicertc.transcript.interim", "item_id": "item_u1", "text": "what is the"},
    ),
    (
        facts.TurnMeasured("item_u1", "resp_1", 0.5, 0.1504, 0.2, 0.05, 0.1, 0.0, 0.06, is_bridged=True),
        {
            "type": "voicertc.metrics",
            "item_id": "item_u1",
            "response_id": "resp_1",
            "stages": {
                "silence_ms": 500.0,
                "recognition_ms": 150.4,
                "first_text_ms": 200.0,
                "first_clause_ms": 50.0,
                "first_audio_ms": 100.0,
                "playout_ms": 0.0,
                "heard_ms": 60.0,
            },
            "total_ms": 1060.4,
            "is_bridged": True,
        },
    ),
    (facts.HandedOff("billing"), {"type": "voicertc.handoff", "agent": "billing"}),
    (
        facts.ToolProgressed("search", "progress", "page 2"),
        {"type": "voicertc.tool", "name": "search", "phase": "progress", "message": "page 2"},
    ),
    (
        facts.LinkMeasured(
            facts.LinkFlow(0.01, 4.5, 20.0, 31.5, -25.5, 4.11),
            facts.LinkFlow(None, None, None, 30.25, None, None),
            42.0,
        ),
        {
            "type": "voicertc.link",
            "inbound": {
                "loss": 0.01,
                "jitter_ms": 4.5,
                "concealed_ms": 20.0,
                "kbps": 31.5,
                "level_dbov": -25.5,
                "mos": 4.11,
            },
            "outbound": {
                "loss": None,
                "jitter_ms": None,
                "concealed_ms": None,
                "kbps": 30.25,
                "level_dbov": None,
                "mos": None,
            },
            "round_trip_ms": 42.0,
        },
    ),
    (
        facts.UsageAdded(
            3.64,
            2.5,
            42,
            Usage(20, 8, 16),
            (facts.ServiceUsage("stt", "openai-live", "gpt-live-transcribe", 4.0, 0, Usage(9, 3, 0, 7, 1)),),
        ),
        {
            "type": "voicertc.usage",
            "heard_seconds": 3.64,
            "spoken_seconds": 2.5,
            "spoken_characters": 42,
            "input_tokens": 20,
            "output_tokens": 8,
            "cached_tokens": 16,
            "services": [
                {
                    "stage": "stt",
                    "provider": "openai-live",
                    "model": "gpt-live-transcribe",
                    "seconds": 4.0,
                    "characters": 0,
                    "input_tokens": 9,
                    "output_tokens": 3,
                    "cached_tokens": 0,
                    "input_audio_tokens": 7,
                    "output_audio_tokens": 1,
                }
            ],
        },
    ),
    (facts.CallEnding("shutdown"), {"type": "voicertc.call.ending", "reason": "shutdown"}),
]
HEARD = facts.FinalHeard(
    "item_u1",
    "hello there",
    1.25,
    0.9,
    "en",
    2.0,
    2.75,
    (Word("hello", 2.0, 2.25, 0.95), Word("there", 2.5, 2.75)),
)


@pytest.fixture
def wire() -> RealtimeWire:
    return RealtimeWire(
        name="peer", session_id="sess_ab12", transport="websocket", audio_time=lambda at: at - LATER
    )


def test_who_did_not_subscribe_is_told_none_of_them(wire: RealtimeWire) -> None:
    assert told(wire, *(fact for fact, _ in OWN)) == []


@pytest.mark.parametrize(("fact", "event"), OWN)
def test_who_subscribed_to_one_is_told_just_that(
    wire: RealtimeWire, fact: facts.Fact, event: dict[str, Any]
) -> None:
    updated(wire, voicertc={"events": [event["type"]]})
    assert told(wire, *(fact for fact, _ in OWN)) == [event]
    assert told(wire, fact) == [event]


def test_all_of_them_can_be_asked_for_at_once(wire: RealtimeWire) -> None:
    updated(wire, voicertc={"events": ["*"]})
    shown = told(wire, *(fact for fact, _ in OWN), HEARD)
    own = {event["type"] for event in shown if event["type"].startswith("voicertc.")}
    assert own == set(VOICERTC_EVENTS)


def test_an_event_that_there_is_not_cannot_be_asked_for(wire: RealtimeWire) -> None:
    for wrong in ("voicertc.weather", "session.updated", 7):
        event = sent(wire, "session.update", session={"voicertc": {"events": ["voicertc.state", wrong]}})
        assert refusal(event) == ("invalid_value", "session.voicertc.events[1]")


def test_a_transcript_has_its_words_and_times_in_the_clients_own_audio(wire: RealtimeWire) -> None:
    updated(wire, voicertc={"events": ["voicertc.transcript"]})
    *openais, own = told(wire, HEARD)
    assert [event["type"].rpartition(".")[2] for event in openais] == ["delta", "completed"]
    assert own == {
        "type": "voicertc.transcript",
        "item_id": "item_u1",
        "transcript": "hello there",
        "confidence": 0.9,
        "language": "en",
        "start_ms": 500,
        "end_ms": 1250,
        "words": [
            {"word": "hello", "start_ms": 500, "end_ms": 750, "confidence": 0.95},
            {"word": "there", "start_ms": 1000, "end_ms": 1250, "confidence": None},
        ],
    }


def test_times_of_turns_are_those_of_the_clients_own_audio(wire: RealtimeWire) -> None:
    started, stopped, timed_out = told(
        wire,
        facts.TurnStarted("item_u1", 1.7),
        facts.TurnStopped("item_u1", 3.0),
        facts.TurnTimedOut("item_u2", 5.0, 11.0),
    )
    assert started["audio_start_ms"] == 200
    assert stopped["audio_end_ms"] == 1500
    assert (timed_out["audio_start_ms"], timed_out["audio_end_ms"]) == (3500, 9500)
    (early,) = told(wire, facts.TurnStarted("item_u3", 1.0))
    assert early["audio_start_ms"] == 0  # padding may reach back before the first sample


def test_a_session_that_does_not_transcribe_has_no_transcript_of_ours_either() -> None:
    wire = wire_by()
    options = updated(wire, voicertc={"events": ["*"]}, audio={"input": {"transcription": None}})
    told(wire, facts.SessionChanged(options))
    assert told(wire, HEARD, facts.InterimHeard("item_u1", "hel")) == []
