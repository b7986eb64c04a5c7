"""Every fact, rendered and judged by the types of the ``openai`` package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from voicertc.core import facts
from voicertc.core.events import Origin
from voicertc.core.facts import State
from voicertc.core.items import Item, Modality, Role, Status
from voicertc.core.options import SessionOptions
from voicertc.core.replies import Cause, Outcome, ReplyRequest, Usage
from voicertc.wire import RealtimeWire

from .openai_types import check

OPTIONS = SessionOptions()
ASKED = ReplyRequest(Cause.TURN, voice="marin")
WRITTEN = replace(ASKED, output=Modality.TEXT)
SPEECH = Item("item_u1", text=None, modality=Modality.AUDIO)
STARTED = Item("item_r1", Role.ASSISTANT, "", status=Status.IN_PROGRESS, modality=Modality.AUDIO)
SPOKEN = replace(STARTED, text="It is sunny.", status=Status.COMPLETED)
MINE = Origin("peer", "event_client_7")
THEIRS = Origin("sideband", "event_client_7")


@pytest.fixture
def wire() -> RealtimeWire:
    return RealtimeWire(name="peer", session_id="sess_ab12", transport="webrtc")


NO_TOKENS = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 0, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 0, "audio_tokens": 0},
}


def told(wire: RealtimeWire, *happened: facts.Fact) -> list[dict[str, Any]]:
    """What a client is told, without the ``event_id``s."""
    events = [check(text) for fact in happened for text in wire.render(fact)]
    for event in events:
        del event["event_id"]
    return events


def subscribe(wire: RealtimeWire, names: str) -> None:
    update = f'{{"type":"session.update","session":{{"voicertc":{{"events":["{names}"]}}}}}}'
    wire.receive(update, OPTIONS, 0.0)


def test_a_connection_opens_with_the_whole_session(wire: RealtimeWire) -> None:
    (text,) = wire.opened(OPTIONS)
    assert check(text) == {
        "event_id": "event_ab12_1",
        "type": "session.created",
        "session": {
            "type": "realtime",
            "object": "realtime.session",
            "id": "sess_ab12",
            "model": "voicertc",
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "include": None,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "voicertc", "language": None, "prompt": ""},
                    "noise_reduction": None,
                    "turn_detection": {
                        "type": "server_vad",
                        "create_response": True,
                        "interrupt_response": True,
                        "threshold": 0.5,
                        "prefix_padding_ms": 300,
                        "silence_duration_ms": 500,
                        "idle_timeout_ms": None,
                    },
                },
                "output": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "voice": "default",
                    "speed": 1.0,
                },
            },
        },
    }


def test_a_spoken_turn_and_its_answer_are_told_in_openais_order(wire: RealtimeWire) -> None:
    shown_speech = {
        "id": "item_u1",
        "object": "realtime.item",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
        "status": "completed",
    }
    started = {
        "id": "item_r1",
        "object": "realtime.item",
        "type": "message",
        "role": "assistant",
        "content": [],
        "status": "in_progress",
    }
    spoken = started | {
        "content": [{"type": "output_audio", "transcript": "It is sunny."}],
        "status": "completed",
    }
    place = {"response_id": "resp_1", "item_id": "item_r1", "output_index": 0, "content_index": 0}
    output = {"response_id": "resp_1", "output_index": 0}
    response = {
        "object": "realtime.response",
        "id": "resp_1",
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": "conv_ab12",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "metadata": None,
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"}},
        "usage": None,
    }
    heard = {"item_id": "item_u1", "content_index": 0}

    assert told(
        wire,
        facts.TurnStarted("item_u1", -0.2),
        facts.TurnStopped("item_u1", 3.6394),
        facts.TurnCommitted("item_u1", None),
        facts.ItemAdded(SPEECH, None),
        facts.ItemDone(SPEECH, None),
        facts.FinalHeard("item_u1", "how is the weather", 3.64),
        facts.ReplyBegan("resp_1", ASKED),
        facts.ReplyItemBegan("resp_1", STARTED, "item_u1"),
        facts.PlayoutStarted("resp_1"),
        facts.ReplyTextGrew("resp_1", "item_r1", "It is ", Modality.AUDIO),
        facts.ReplyTextGrew("resp_1", "item_r1", "sunny.", Modality.AUDIO),
        facts.ReplyItemEnded("resp_1", SPOKEN, "item_u1"),
        facts.ReplyEnded("resp_1", ASKED, Outcome.COMPLETED, (SPOKEN,)),
        facts.PlayoutStopped("resp_1"),
    ) == [
        {"type": "input_audio_buffer.speech_started", "item_id": "item_u1", "audio_start_ms": 0},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "item_u1", "audio_end_ms": 3639},
        {"type": "input_audio_buffer.committed", "item_id": "item_u1", "previous_item_id": None},
        {"type": "conversation.item.added", "previous_item_id": None, "item": shown_speech},
        {"type": "conversation.item.done", "previous_item_id": None, "item": shown_speech},
        {
            "type": "conversation.item.input_audio_transcription.delta",
            **heard,
            "delta": "how is the weather",
        },
        {
            "type": "conversation.item.input_audio_transcription.completed",
            **heard,
            "transcript": "how is the weather",
            "usage": {"type": "duration", "seconds": 3.64},
        },
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", **output, "item": started},
        {"type": "conversation.item.added", "previous_item_id": "item_u1", "item": started},
        {"type": "response.content_part.added", **place, "part": {"type": "audio", "transcript": ""}},
        {"type": "output_audio_buffer.started", "response_id": "resp_1"},
        {"type": "response.output_audio_transcript.delta", **place, "delta": "It is "},
        {"type": "response.output_audio_transcript.delta", **place, "delta": "sunny."},
        {"type": "response.output_audio.done", **place},
        {"type": "response.output_audio_transcript.done", **place, "transcript": "It is sunny."},
        {
            "type": "response.content_part.done",
            **place,
            "part": {"type": "audio", "transcript": "It is sunny."},
        },
        {"type": "conversation.item.done", "previous_item_id": "item_u1", "item": spoken},
        {"type": "response.output_item.done", **output, "item": spoken},
        {
            "type": "response.done",
            "response": response | {"status": "completed", "output": [spoken], "usage": NO_TOKENS},
        },
        {"type": "output_audio_buffer.stopped", "response_id": "resp_1"},
    ]


def test_a_barge_in_ends_the_response_and_leaves_what_was_heard(wire: RealtimeWire) -> None:
    cut = replace(SPOKEN, text="It is", status=Status.INCOMPLETE)
    told(wire, facts.ReplyBegan("resp_1", ASKED), facts.ReplyItemBegan("resp_1", STARTED, None))
    *_, done, cleared, truncated = told(
        wire,
        facts.ReplyItemEnded("resp_1", cut, None),
        facts.ReplyEnded("resp_1", ASKED, Outcome.CANCELLED, (cut,), "turn_detected"),
        facts.PlayoutCleared("resp_1"),
        facts.ItemTruncated("item_r1", 740, "It is"),
    )
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["response"]["output"] == [
        {
            "id": "item_r1",
            "object": "realtime.item",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_audio", "transcript": "It is"}],
            "status": "incomplete",
        }
    ]
    assert cleared == {"type": "output_audio_buffer.cleared", "response_id": "resp_1"}
    assert truncated == {
        "type": "conversation.item.truncated",
        "item_id": "item_r1",
        "content_index": 0,
        "audio_end_ms": 740,
    }


@pytest.mark.parametrize(
    ("ended", "status", "details", "output_ids"),
    [
        (
            facts.ReplyEnded("resp_1", ASKED, Outcome.CANCELLED, (), "client_cancelled"),
            "cancelled",
            {"type": "cancelled", "reason": "client_cancelled"},
            [],
        ),
        (
            facts.ReplyEnded("resp_1", ASKED, Outcome.CANCELLED, (), "shutdown"),
            "cancelled",
            {"type": "cancelled", "reason": "client_cancelled"},
            [],
        ),
        (
            facts.ReplyEnded("resp_1", ASKED, Outcome.FAILED, (), "timeout", "No answer in time."),
            "failed",
            {
                "type": "failed",
                "error": {"type": "server_error", "code": "timeout", "message": "No answer in time."},
            },
            [],
        ),
        (facts.ReplyEnded("resp_1", ASKED, Outcome.COMPLETED, (SPOKEN,)), "completed", None, ["item_r1"]),
    ],
)
def test_a_wire_that_came_late_is_told_how_a_response_ended(
    wire: RealtimeWire,
    ended: facts.ReplyEnded,
    status: str,
    details: dict[str, object] | None,
    output_ids: list[str],
) -> None:
    (done,) = told(wire, ended)
    response = done["response"]
    assert (response["status"], response["status_details"]) == (status, details)
    assert [item["id"] for item in response["output"]] == output_ids


def test_a_written_answer_has_text_events_and_no_audio_events(wire: RealtimeWire) -> None:
    started = replace(STARTED, modality=Modality.TEXT)
    written = replace(SPOKEN, modality=Modality.TEXT)
    events = told(
        wire,
        facts.ReplyBegan("resp_1", WRITTEN),
        facts.ReplyItemBegan("resp_1", started, None),
        facts.ReplyTextGrew("resp_1", "item_r1", "It is sunny.", Modality.TEXT),
        facts.ReplyItemEnded("resp_1", written, None),
        facts.ReplyEnded("resp_1", WRITTEN, Outcome.COMPLETED, (written,)),
    )
    assert [event["type"] for event in events] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert events[3]["part"] == {"type": "text", "text": ""}
    assert events[5]["text"] == "It is sunny."
    assert events[7]["item"]["content"] == [{"type": "output_text", "text": "It is sunny."}]
    assert events[9]["response"]["output_modalities"] == ["text"]


def test_output_items_of_a_response_are_numbered_in_their_order(wire: RealtimeWire) -> None:
    second = replace(STARTED, id="item_r2")
    ended = replace(second, status=Status.COMPLETED)
    events = told(
        wire,
        facts.ReplyBegan("resp_1", ASKED),
        facts.ReplyItemBegan("resp_1", STARTED, None),
        facts.ReplyItemBegan("resp_1", second, "item_r1"),
        facts.ReplyItemEnded("resp_1", ended, "item_r1"),
        facts.ReplyItemEnded("resp_1", SPOKEN, None),
        facts.ReplyEnded("resp_1", ASKED, Outcome.COMPLETED, (SPOKEN, ended)),
    )
    added = [event for event in events if event["type"] == "response.output_item.added"]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in added] == [0, 1]
    assert [event["output_index"] for event in done] == [1, 0]
    assert [item["id"] for item in events[-1]["response"]["output"]] == ["item_r1", "item_r2"]


def test_metadata_of_a_response_comes_back(wire: RealtimeWire) -> None:
    request = replace(ASKED, metadata=(("topic", "weather"),))
    (created,) = told(wire, facts.ReplyBegan("resp_1", request))
    assert created["response"]["metadata"] == {"topic": "weather"}


def test_nothing_heard_completes_without_a_delta(wire: RealtimeWire) -> None:
    (completed,) = told(wire, facts.FinalHeard("item_u1", "", 0.4))
    assert completed["type"] == "conversation.item.input_audio_transcription.completed"
    assert completed["transcript"] == ""


def test_an_error_goes_to_the_client_that_caused_it_and_names_its_event(wire: RealtimeWire) -> None:
    refusal = facts.Refused("item_not_found", "There is no item x.", "item_id", MINE)
    assert told(wire, refusal) == [
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "code": "item_not_found",
                "message": "There is no item x.",
                "param": "item_id",
                "event_id": "event_client_7",
            },
        }
    ]
    assert told(wire, replace(refusal, origin=THEIRS), replace(refusal, origin=None)) == []
    (event,) = told(wire, facts.Refused("internal", "Something broke.", None, MINE))
    assert event["error"]["type"] == "server_error"


def test_who_subscribes_to_the_state_is_told_the_present_one(wire: RealtimeWire) -> None:
    wire.opened(OPTIONS, State.SPEAKING)
    subscribe(wire, "voicertc.state")
    changed = facts.SessionChanged(OPTIONS, Origin("peer"))
    updated, state = told(wire, changed)
    assert updated["session"]["voicertc"] == {"events": ["voicertc.state"]}
    assert state == {"type": "voicertc.state", "state": "speaking"}
    assert [event["type"] for event in told(wire, changed)] == ["session.updated"]


def test_every_event_has_an_id_of_its_own(wire: RealtimeWire) -> None:
    texts = [text for _ in range(3) for text in wire.render(facts.FinalHeard("item_u1", "hello", 1.0))]
    ids = [check(text)["event_id"] for text in texts]
    assert ids == [f"event_ab12_{number}" for number in range(1, 7)]


def test_half_a_surrogate_pair_from_a_model_can_be_sent(wire: RealtimeWire) -> None:
    (text,) = wire.render(facts.ReplyTextGrew("resp_1", "item_r1", "\ud83d", Modality.AUDIO))
    assert text.encode()
    assert '"\\ud83d"' in text


def test_every_kind_of_fact_is_known_to_the_wire(wire: RealtimeWire) -> None:
    samples: dict[type, facts.Fact] = {
        type(fact): fact
        for fact in (
            facts.StateChanged(State.LISTENING),
            facts.SessionChanged(OPTIONS),
            facts.TurnStarted("i", 0.0),
            facts.TurnStopped("i", 0.0),
            facts.TurnTimedOut("i", 0.0, 1.0),
            facts.TurnCommitted("i", None),
            facts.InputCleared(),
            facts.ItemAdded(SPEECH, None),
            facts.ItemDone(SPEECH, None),
            facts.ItemDeleted("i"),
            facts.ItemRetrieved(SPEECH, MINE),
            facts.ItemTruncated("i", 0, ""),
            facts.InterimHeard("i", ""),
            facts.FinalHeard("i", "", 0.0),
            facts.HearingFailed("i", "busy", ""),
            facts.ReplyBegan("r", ASKED),
            facts.ReplyItemBegan("r", STARTED, None),
            facts.ReplyTextGrew("r", "i", "", Modality.AUDIO),
            facts.ReplyItemEnded("r", SPOKEN, None),
            facts.ReplyEnded("r", ASKED, Outcome.COMPLETED),
            facts.PlayoutStarted("r"),
            facts.PlayoutStopped("r"),
            facts.PlayoutCleared("r"),
            facts.Refused("code", "message", None, MINE),
            facts.CallEnding("hangup"),
            facts.TurnMeasured("i", "r", 0.5, 0.1, 0.1, 0.1, 0.1, 0.1),
            facts.HandedOff("billing"),
            facts.ToolProgressed("search", "started"),
            facts.LinkMeasured(*2 * [facts.LinkFlow(None, None, None, 0.0, None, None)], None),
            facts.UsageAdded(0.0, 0.0, 0, Usage()),
        )
    }
    assert set(samples) == set(get_args(facts.Fact))
    subscribe(wire, "*")
    for fact in samples.values():
        assert told(wire, fact), fact
