"""Every fact, as Pipecat's clients are told of it; whole messages."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest

from voicertc.core import facts
from voicertc.core.events import Origin
from voicertc.core.facts import State
from voicertc.core.items import Item, Kind, Modality, Role, Status
from voicertc.core.options import SessionOptions
from voicertc.core.replies import Cause, Outcome, ReplyRequest, Usage
from voicertc.wire import RtviWire
from voicertc.wire.received import Told

OPTIONS = SessionOptions()
NOON = 1_795_176_000.25
ANSWER = ReplyRequest(Cause.TURN)
GREETING = ReplyRequest(Cause.GREETING, "Hello!")
SPEECH = Item("item_u1", text=None, modality=Modality.AUDIO)
STARTED = Item("item_r1", Role.ASSISTANT, "", status=Status.IN_PROGRESS, modality=Modality.AUDIO)
SPOKEN = replace(STARTED, text="It is sunny. Go out!", status=Status.COMPLETED)
CALL = Item(
    "item_f1",
    Role.ASSISTANT,
    kind=Kind.FUNCTION_CALL,
    call_id="call_1",
    name="get_weather",
    arguments='{"city": "Paris"}',
)
MINE = Origin("peer", "msg-7")

Messages = list[dict[str, Any]]


@pytest.fixture
def wire() -> RtviWire:
    wire = RtviWire(name="peer", session_id="sess_ab12", about={"library": "voicertc"}, clock=lambda: NOON)
    assert wire.opened(OPTIONS, State.CONNECTING) == []
    return wire


def told(wire: RtviWire, *happened: facts.Fact) -> Messages:
    """What a client is told; the label, which all messages of RTVI have, is taken off."""
    messages = [json.loads(text) for fact in happened for text in wire.render(fact)]
    assert all(message.pop("label", None) == "rtvi-ai" or "message" in message for message in messages)
    return messages


def ready(wire: RtviWire, version: str) -> None:
    text = json.dumps({"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": version}})
    (answer,) = wire.receive(text, OPTIONS, 0.0)
    assert isinstance(answer, Told)


def output(number: int, text: str, status: str, heard: str, left: str) -> dict[str, Any]:
    return {
        "type": "bot-output",
        "data": {
            "text": text,
            "aggregated_by": "sentence",
            "segment_id": number,
            "will_be_spoken": True,
            "spoken_status": status,
            "spoken_progress": {"accumulated_text": heard, "remaining_text": left},
        },
    }


def text(kind: str, words: str) -> dict[str, Any]:
    return {"type": kind, "data": {"text": words}}


BEGINNING = (
    facts.ReplyBegan("resp_1", ANSWER),
    facts.ReplyItemBegan("resp_1", STARTED, "item_u1"),
    facts.PlayoutStarted("resp_1"),
    facts.ReplyTextGrew("resp_1", "item_r1", "It is sunny.", Modality.AUDIO),
    facts.ReplyTextGrew("resp_1", "item_r1", " Go out!", Modality.AUDIO),
)


def test_a_spoken_turn_and_its_answer_are_told_in_pipecats_order(wire: RtviWire) -> None:
    timestamp = "2026-11-20T12:00:00.250+00:00"
    heard = {"timestamp": timestamp, "user_id": "user"}
    assert told(
        wire,
        facts.TurnStarted("item_u1", 1.0),
        facts.InterimHeard("item_u1", "how is"),
        facts.TurnStopped("item_u1", 3.6),
        facts.TurnCommitted("item_u1", None),
        facts.ItemAdded(SPEECH, None),
        facts.ItemDone(SPEECH, None),
        facts.FinalHeard("item_u1", "how is the weather", 3.64),
        *BEGINNING,
        facts.ReplyItemEnded("resp_1", SPOKEN, "item_u1"),
        facts.ReplyEnded("resp_1", ANSWER, Outcome.COMPLETED, (SPOKEN,), usage=Usage(20, 5, 8)),
        facts.PlayoutStopped("resp_1"),
    ) == [
        {"type": "user-started-speaking"},
        {"type": "user-transcription", "data": {"text": "how is", "final": False, **heard}},
        {"type": "user-stopped-speaking"},
        {"type": "user-transcription", "data": {"text": "how is the weather", "final": True, **heard}},
        text("user-llm-text", "how is the weather"),
        {"type": "bot-llm-started"},
        {"type": "bot-tts-started"},
        {"type": "bot-started-speaking"},
        text("bot-llm-text", "It is sunny."),
        text("bot-transcription", "It is sunny."),
        output(1, "It is sunny.", "new", "", "It is sunny."),
        text("bot-tts-text", "It is sunny."),
        output(1, "It is sunny.", "completed", "It is sunny.", ""),
        text("bot-llm-text", " Go out!"),
        text("bot-transcription", "Go out!"),
        output(2, "Go out!", "new", "", "Go out!"),
        text("bot-tts-text", "Go out!"),
        {"type": "bot-tts-stopped"},
        {
            "type": "metrics",
            "data": {
                "tokens": [
                    {
                        "prompt_tokens": 20,
                        "completion_tokens": 5,
                        "total_tokens": 25,
                        "cache_read_input_tokens": 8,
                    }
                ]
            },
        },
        {"type": "bot-llm-stopped"},
        output(2, "Go out!", "completed", "Go out!", ""),
        {"type": "bot-stopped-speaking"},
    ]


def test_a_barge_in_is_an_interruption_and_what_was_heard_is_told_to_the_word(wire: RtviWire) -> None:
    told(wire, *BEGINNING)
    cut = replace(SPOKEN, text="It is sunny. Go", status=Status.INCOMPLETE)
    assert told(
        wire,
        facts.TurnStarted("item_u2", 6.0),
        facts.ReplyItemEnded("resp_1", cut, "item_u1"),
        facts.ReplyEnded("resp_1", ANSWER, Outcome.CANCELLED, (cut,), "turn_detected"),
        facts.PlayoutCleared("resp_1"),
        facts.ItemTruncated("item_r1", 900, "It is sunny. Go"),
    ) == [
        {"type": "user-started-speaking"},
        {"type": "bot-tts-stopped"},
        {"type": "bot-llm-stopped"},
        {"type": "bot-interrupted"},
        {"type": "bot-stopped-speaking"},
        output(2, "Go out!", "in-progress", "Go", "out!"),
    ]


@pytest.mark.parametrize(
    ("kept", "told_of"),
    [
        ("It is sunny.", output(2, "Go out!", "in-progress", "", "Go out!")),
        ("It is", output(2, "Go out!", "in-progress", "", "Go out!")),
        ("It is sunny. Go out!", output(2, "Go out!", "completed", "Go out!", "")),
    ],
)
def test_a_clause_that_nobody_or_everybody_heard_is_told_as_it_is(
    wire: RtviWire, kept: str, told_of: dict[str, Any]
) -> None:
    told(wire, *BEGINNING)
    assert told(wire, facts.ItemTruncated("item_r1", 1, kept)) == [told_of]
    assert told(wire, facts.ItemTruncated("item_r1", 1, kept), facts.ItemTruncated("other", 1, "")) == []


def test_the_next_reply_has_segments_of_its_own(wire: RtviWire) -> None:
    told(wire, *BEGINNING, facts.PlayoutStopped("resp_1"))
    grew = facts.ReplyTextGrew("resp_2", "item_r2", "And then?", Modality.AUDIO)
    assert told(wire, grew)[2] == output(3, "And then?", "new", "", "And then?")


def test_what_is_said_without_a_thought_runs_no_language_model(wire: RtviWire) -> None:
    hello = replace(SPOKEN, text="Hello!")
    assert told(
        wire,
        facts.ReplyBegan("resp_1", GREETING),
        facts.ReplyItemBegan("resp_1", STARTED, None),
        facts.PlayoutStarted("resp_1"),
        facts.ReplyTextGrew("resp_1", "item_r1", "Hello!", Modality.AUDIO),
        facts.ReplyItemEnded("resp_1", hello, None),
        facts.ReplyEnded("resp_1", GREETING, Outcome.COMPLETED, (hello,)),
        facts.PlayoutStopped("resp_1"),
    ) == [
        {"type": "bot-tts-started"},
        {"type": "bot-started-speaking"},
        text("bot-transcription", "Hello!"),
        output(1, "Hello!", "new", "", "Hello!"),
        text("bot-tts-text", "Hello!"),
        {"type": "bot-tts-stopped"},
        output(1, "Hello!", "completed", "Hello!", ""),
        {"type": "bot-stopped-speaking"},
    ]


def test_a_written_reply_is_told_sentence_by_sentence_and_never_spoken(wire: RtviWire) -> None:
    written = replace(ANSWER, cause=Cause.CLIENT, output=Modality.TEXT)
    item = Item("item_r1", Role.ASSISTANT, "", status=Status.IN_PROGRESS)

    def shown(number: int, words: str) -> dict[str, Any]:
        data = {"text": words, "aggregated_by": "sentence", "segment_id": number, "will_be_spoken": False}
        return {"type": "bot-output", "data": data | {"spoken_status": "new"}}

    assert told(
        wire,
        facts.ItemAdded(Item("item_c1", text="and now?"), None),
        facts.ReplyBegan("resp_1", written),
        facts.ReplyItemBegan("resp_1", item, "item_c1"),
        facts.ReplyTextGrew("resp_1", "item_r1", "It is sunny. Go ", Modality.TEXT),
        facts.ReplyTextGrew("resp_1", "item_r1", "out", Modality.TEXT),
        facts.ReplyItemEnded("resp_1", replace(item, text="It is sunny. Go out"), "item_c1"),
        facts.ReplyEnded("resp_1", written, Outcome.COMPLETED, ()),
    ) == [
        text("user-llm-text", "and now?"),
        {"type": "bot-llm-started"},
        text("bot-llm-text", "It is sunny. Go "),
        text("bot-transcription", "It is sunny."),
        shown(1, "It is sunny."),
        text("bot-llm-text", "out"),
        text("bot-transcription", "Go out"),
        shown(2, "Go out"),
        {"type": "bot-llm-stopped"},
    ]


def test_a_client_of_the_first_protocol_is_told_of_output_once(wire: RtviWire) -> None:
    ready(wire, "1.2.0")
    told(wire, *BEGINNING[:3])
    assert told(wire, BEGINNING[3], facts.PlayoutStopped("resp_1")) == [
        text("bot-llm-text", "It is sunny."),
        text("bot-transcription", "It is sunny."),
        {"type": "bot-output", "data": {"text": "It is sunny.", "aggregated_by": "sentence", "spoken": True}},
        text("bot-tts-text", "It is sunny."),
        {"type": "bot-stopped-speaking"},
    ]


def test_a_function_is_run_when_the_reply_that_calls_it_has_ended(wire: RtviWire) -> None:
    result = Item("item_c1", text='{"degrees": 21}', kind=Kind.FUNCTION_CALL_OUTPUT, call_id="call_1")
    begun = replace(CALL, arguments="", status=Status.IN_PROGRESS)
    named = {"tool_call_id": "call_1", "function_name": "get_weather"}
    assert told(
        wire,
        facts.ReplyBegan("resp_1", ANSWER),
        facts.ReplyItemBegan("resp_1", begun, None),
        facts.ReplyItemEnded("resp_1", CALL, None),
        facts.ReplyEnded("resp_1", ANSWER, Outcome.COMPLETED, (CALL,)),
        facts.ItemAdded(result, "item_f1"),
        facts.ItemAdded(result, "item_f1"),
    ) == [
        {"type": "bot-llm-started"},
        {"type": "llm-function-call-started", "data": {"function_name": "get_weather"}},
        {"type": "bot-llm-stopped"},
        {"type": "llm-function-call-in-progress", "data": named | {"arguments": {"city": "Paris"}}},
        {
            "type": "llm-function-call-stopped",
            "data": named | {"cancelled": False, "result": {"degrees": 21}},
        },
    ]


@pytest.mark.parametrize("arguments", ["", "[1]", "{", "[" * 5000])
def test_arguments_that_are_no_object_are_an_empty_one(wire: RtviWire, arguments: str) -> None:
    call = replace(CALL, arguments=arguments)
    messages = told(wire, facts.ReplyEnded("resp_1", ANSWER, Outcome.COMPLETED, (call,)))
    assert messages[1]["data"]["arguments"] == {}


@pytest.mark.parametrize("output", ["NaN", "-Infinity", "1e999", "[" * 900 + "]" * 900])
def test_a_result_that_is_no_json_to_others_is_told_as_the_text_it_is(wire: RtviWire, output: str) -> None:
    told(wire, facts.ReplyEnded("resp_1", ANSWER, Outcome.COMPLETED, (CALL,)))
    item = Item("item_o", text=output, kind=Kind.FUNCTION_CALL_OUTPUT, call_id="call_1")
    (stopped,) = told(wire, facts.ItemAdded(item, None))
    assert stopped["data"]["result"] == output


def test_a_cancelled_replys_functions_are_not_run(wire: RtviWire) -> None:
    ended = facts.ReplyEnded("resp_1", ANSWER, Outcome.CANCELLED, (CALL,), "turn_detected")
    assert told(wire, ended)[1:] == [
        {
            "type": "llm-function-call-stopped",
            "data": {"tool_call_id": "call_1", "function_name": "get_weather", "cancelled": True},
        }
    ]


def test_the_agent_is_given_all_that_was_said_since_it_was_last_heard(wire: RtviWire) -> None:
    def heard(words: str) -> facts.FinalHeard:
        return facts.FinalHeard("item_u1", words, 1.0)

    def given(fact: facts.Fact) -> list[str]:
        return [found["data"]["text"] for found in told(wire, fact) if found["type"] == "user-llm-text"]

    told(wire, heard("what is"))
    assert given(facts.ReplyBegan("resp_1", ANSWER)) == ["what is"]
    told(wire, facts.ReplyEnded("resp_1", ANSWER, Outcome.CANCELLED), heard("the time"))
    assert given(facts.ReplyBegan("resp_2", ANSWER)) == ["what is the time"]
    told(wire, facts.ReplyTextGrew("resp_2", "item_r2", "Noon.", Modality.AUDIO))
    assert given(facts.ReplyBegan("resp_3", replace(ANSWER, cause=Cause.CLIENT))) == []
    told(wire, heard("and there"))
    assert given(facts.ReplyBegan("resp_4", GREETING)) == []
    assert given(facts.ReplyBegan("resp_5", ANSWER)) == ["and there"]


def test_hidden_transcripts_are_hidden(wire: RtviWire) -> None:
    hidden = facts.SessionChanged(replace(OPTIONS, transcription_model=None))
    heard = (facts.InterimHeard("item_u1", "a"), facts.FinalHeard("item_u1", "ab", 1.0))
    began = facts.ReplyBegan("resp_1", ANSWER)
    assert told(wire, hidden, *heard, began) == [{"type": "bot-llm-started"}]
    assert told(wire, facts.FinalHeard("item_u2", "", 1.0)) == []


def test_a_turns_times_are_told_as_pipecats_metrics(wire: RtviWire) -> None:
    measured = facts.TurnMeasured("item_u1", "resp_1", 0.5, 0.2, 0.31, 0.04, 0.1, 0.0204)
    assert told(wire, measured) == [
        {
            "type": "metrics",
            "data": {
                "ttfb": [
                    {"processor": "stt", "value": 0.2},
                    {"processor": "llm", "value": 0.31},
                    {"processor": "tts", "value": 0.1},
                ],
                "processing": [
                    {"processor": "endpointing", "value": 0.5},
                    {"processor": "clauses", "value": 0.04},
                    {"processor": "playout", "value": 0.02},
                ],
            },
        }
    ]


def test_failures_are_told_and_are_not_the_end(wire: RtviWire) -> None:
    failed = facts.ReplyEnded("resp_1", ANSWER, Outcome.FAILED, (), "timeout", "The reply was late.")
    assert told(wire, facts.HearingFailed("item_u1", "busy", "All are busy."), failed) == [
        {"type": "error", "data": {"error": "All are busy.", "fatal": False}},
        {"type": "error", "data": {"error": "The reply was late.", "fatal": False}},
        {"type": "bot-llm-stopped"},
    ]


def test_the_end_is_told_and_only_a_fault_is_fatal(wire: RtviWire) -> None:
    left = {"type": "signalling", "message": {"type": "peerLeft"}}
    fault = {"type": "error", "data": {"error": "The call failed; it has been noted.", "fatal": True}}
    assert told(wire, facts.CallEnding("agent")) == [left]
    assert told(wire, facts.CallEnding("failed")) == [fault, left]


def test_refusals_are_told_to_who_asked(wire: RtviWire) -> None:
    refused = facts.Refused("item_not_found", "There is no item x.", "item_id", MINE)
    assert told(
        wire,
        refused,
        replace(refused, origin=Origin("peer")),
        replace(refused, origin=Origin("sideband", "msg-7")),
        replace(refused, origin=None),
    ) == [
        {"type": "error-response", "id": "msg-7", "data": {"error": "There is no item x."}},
        {"type": "error", "data": {"error": "There is no item x.", "fatal": False}},
    ]


def test_what_happens_outside_the_conversation_is_not_told(wire: RtviWire) -> None:
    aside = replace(ANSWER, output=Modality.TEXT, is_aside=True)
    item = Item("item_r1", Role.ASSISTANT, "Never mind.")
    assert (
        told(
            wire,
            facts.ReplyBegan("resp_1", aside),
            facts.ReplyItemBegan("resp_1", replace(item, text=""), None, is_aside=True),
            facts.ReplyTextGrew("resp_1", "item_r1", "Never mind.", Modality.TEXT),
            facts.ReplyItemEnded("resp_1", item, None, is_aside=True),
            facts.ReplyItemBegan("resp_1", CALL, None, is_aside=True),
            facts.ReplyItemEnded("resp_1", CALL, None, is_aside=True),
            facts.ReplyEnded("resp_1", aside, Outcome.COMPLETED, (item, CALL)),
        )
        == []
    )


def test_what_rtvi_has_no_words_for_is_not_told(wire: RtviWire) -> None:
    flow = facts.LinkFlow(0.0, 1.0, 0.0, 32.0, -20.0, 4.3)
    silent = (
        facts.StateChanged(State.THINKING),
        facts.TurnTimedOut("item_u1", 0.0, 5.0),
        facts.InputCleared(),
        facts.ItemDeleted("item_u1"),
        facts.ItemRetrieved(SPEECH, MINE),
        facts.SessionChanged(OPTIONS, MINE),
        facts.HandedOff("other"),
        facts.ToolProgressed("lookup", "started"),
        facts.LinkMeasured(flow, flow, 20.0),
        facts.UsageAdded(1.0, 1.0, 10, Usage()),
    )
    assert told(wire, *silent) == []
    told_elsewhere = {
        facts.SessionChanged, facts.TurnStarted, facts.TurnStopped, facts.TurnCommitted, facts.ItemAdded,
        facts.ItemDone, facts.ItemTruncated, facts.InterimHeard, facts.FinalHeard, facts.HearingFailed,
        facts.ReplyBegan, facts.ReplyItemBegan, facts.ReplyTextGrew, facts.ReplyItemEnded, facts.ReplyEnded,
        facts.PlayoutStarted, facts.PlayoutStopped, facts.PlayoutCleared, facts.Refused, facts.CallEnding,
        facts.TurnMeasured,
    }  # fmt: skip
    assert {type(fact) for fact in silent} | told_elsewhere == set(get_args(facts.Fact))
