"""What Pipecat's clients send, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.core import events, facts
from voicertc.core.events import Origin
from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.core.options import SessionOptions, Tool
from voicertc.core.replies import Cause, Outcome, ReplyRequest
from voicertc.wire import RtviWire
from voicertc.wire.received import Received, Told
from voicertc.wire.rtvi import MAX_MESSAGE_BYTES

OPTIONS = SessionOptions(instructions="Be brief.", tools=(Tool("get_weather"),))
MINE = Origin("peer", "msg-7")
REQUEST = ReplyRequest(Cause.CLIENT, instructions="Be brief.", tools=OPTIONS.tools)
ASKED = events.ResponseRequested(REQUEST, Origin(""), waits=True)
ABOUT = {"library": "voicertc", "library_version": "1.2.3"}


def peer() -> RtviWire:
    return RtviWire(name="peer", session_id="sess_ab12", about=ABOUT, clock=lambda: 0.0)


def envelope(kind: str, data: object, **more: object) -> str:
    return json.dumps({"label": "rtvi-ai", "type": kind, "id": "msg-7", "data": data} | more)


def sent(kind: str, data: object, **more: object) -> list[Received]:
    return list(peer().receive(envelope(kind, data, **more), OPTIONS, 0.0))


def answer(received: list[Received]) -> dict[str, Any]:
    """The only thing that became of a message: an answer, without the label."""
    (told,) = received
    assert isinstance(told, Told)
    message: dict[str, Any] = json.loads(told.message)
    assert message.pop("label") == "rtvi-ai"
    return message


def refused(why: str) -> dict[str, Any]:
    return {"type": "error-response", "id": "msg-7", "data": {"error": why}}


def test_a_client_that_is_ready_is_told_that_the_bot_is() -> None:
    ready = {"version": "2.1.0", "about": {"library": "@pipecat-ai/client-js"}}
    data = {"version": "2.1.0", "about": ABOUT}
    assert answer(sent("client-ready", ready)) == {"type": "bot-ready", "id": "msg-7", "data": data}
    assert answer(sent("client-ready", {}))["data"] == data
    assert answer(sent("client-ready", {"version": "3.0.0"}))["data"] == data
    assert answer(sent("client-ready", {"version": "1.4.0"}))["data"] == data | {"version": "1.4.0"}
    why = "id is missing: bot-ready has to name it."
    missing = answer(sent("client-ready", ready, id=None))
    assert missing == {"type": "error", "data": {"error": why, "fatal": False}}


def test_text_interrupts_is_added_and_is_answered() -> None:
    item = events.ItemSubmitted(Item("", Role.USER, "What time is it?"), origin=MINE)
    assert sent("send-text", {"content": "What time is it?"}) == [
        events.OutputClearRequested(),
        item,
        ASKED,
    ]
    assert sent("send-text", {"content": "What time is it?", "options": {"run_immediately": False}}) == [item]


def test_text_may_be_answered_in_writing() -> None:
    *_, asked = sent("send-text", {"content": "Hello", "options": {"audio_response": False}})
    assert asked == replace(ASKED, request=replace(REQUEST, output=Modality.TEXT))


def test_what_is_appended_to_the_context_waits_unless_it_shall_be_answered() -> None:
    parts = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    said = {"role": "assistant", "content": parts}
    item = events.ItemSubmitted(Item("", Role.ASSISTANT, "One.\nTwo."), origin=MINE)
    assert sent("append-to-context", said) == [item]
    assert sent("append-to-context", said | {"run_immediately": True}) == [
        events.OutputClearRequested(),
        item,
        ASKED,
    ]


def test_a_bot_that_is_disconnected_hangs_up() -> None:
    assert sent("disconnect-bot", {}) == [events.CallEnded("hangup")]
    without_data = '{"label": "rtvi-ai", "type": "disconnect-bot", "id": "1"}'
    assert list(peer().receive(without_data, OPTIONS, 0.0)) == [events.CallEnded("hangup")]


@pytest.mark.parametrize(
    "text",
    [
        "ping: 1795176000000",
        '{"type": "signalling", "message": {"type": "trackStatus", "receiver_index": 0, "enabled": true}}',
        '{"type": "signalling", "message": 5}',
        '{"type": "send-text", "id": "1", "data": {"content": "no label"}}',
        '{"label": ["rtvi-ai"], "type": "send-text", "id": "1"}',
    ],
)
def test_what_is_no_message_of_rtvi_means_nothing(text: str) -> None:
    assert list(peer().receive(text, OPTIONS, 0.0)) == []


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("dtmf", {"buttons": ["1"]}, "Messages of type 'dtmf' are not understood."),
        ("x" * 90, {}, f"Messages of type '{'x' * 64}\\u2026' are not understood."),
        ("send-text", {}, "data.content is missing."),
        ("send-text", {"content": 5}, "data.content must be a string."),
        ("send-text", {"content": " "}, "data.content must not be empty."),
        (
            "send-text",
            {"content": "a", "options": {"run_immediately": "no"}},
            "data.options.run_immediately must be true or false.",
        ),
        ("send-text", {"content": "a", "options": []}, "data.options must be an object."),
        ("send-text", [], "data must be an object."),
        (
            "append-to-context",
            {"role": "bot", "content": "a"},
            'data.role must be one of "user", "assistant", "system".',
        ),
        (
            "append-to-context",
            {"role": "user", "content": [{"type": "image"}]},
            "data.content[0].text is missing.",
        ),
        ("client-message", {}, "data.t is missing."),
        ("client-message", {"t": "tickle"}, "There is no client event 'tickle'."),
        ("client-message", {"t": "response.create", "d": 5}, "data.d must be an object."),
        ("client-message", {"t": "conversation.item.delete"}, "item_id is missing."),
        ("client-message", {"t": "session.update", "d": {}}, "session is missing."),
        (
            "client-message",
            {"t": "response.create", "d": {"response": {"conversation": "none"}}},
            "A response outside the conversation could not be told apart from others in RTVI.",
        ),
        (
            "client-message",
            {"t": "input_audio_buffer.append", "d": {"audio": ""}},
            "Audio cannot be appended to this call; send it on the call's audio track.",
        ),
        (
            "llm-function-call-result",
            {"tool_call_id": "call_1", "result": 5},
            "No function call call_1 waits for a result.",
        ),
        ("llm-function-call-result", {"tool_call_id": "call_1"}, "data.result is missing."),
        ("llm-function-call-result", {"result": 5}, "data.tool_call_id is missing."),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_by_an_error_with_its_id(
    kind: str, data: object, why: str
) -> None:
    assert answer(sent(kind, data)) == refused(why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "The message is not valid JSON."),
        ("[" * 100_000, f"A message may have {MAX_MESSAGE_BYTES} bytes at most."),
        ("é" * 40_000, f"A message may have {MAX_MESSAGE_BYTES} bytes at most."),
        ("[]", "The message must be a JSON object."),
        (b"\x00", "Messages must be text, not binary."),
        ('{"label": "rtvi-ai", "id": 5, "type": "send-text"}', "id must be a string."),
        ('{"label": "rtvi-ai"}', "type is missing."),
    ],
)
def test_what_cannot_be_read_is_an_error_without_an_id(text: str | bytes, why: str) -> None:
    assert answer(list(peer().receive(text, OPTIONS, 0.0))) == {
        "type": "error",
        "data": {"error": why, "fatal": False},
    }


# --- client-message: the native protocol --------------------------------------------------------


def requested(t: str, d: dict[str, Any], becomes: Callable[[events.Event], facts.Fact | None]) -> list[Any]:
    """All that a client is told that sends one ``client-message``, of which the session makes a fact."""
    wire = peer()
    told = []
    for received in wire.receive(envelope("client-message", {"t": t, "d": d}), OPTIONS, 0.0):
        if isinstance(received, Told):
            told.append(json.loads(received.message))
        else:
            fact = becomes(received)  # type: ignore[arg-type]  # the wire of a call is given no sound
            told += [json.loads(text) for text in wire.render(fact)] if fact else []
    for message in told:
        assert message.pop("label") == "rtvi-ai"
    return told


def test_a_native_event_is_passed_on_and_answered_once_it_is_taken() -> None:
    taken: list[events.Event] = []
    assert requested("output_audio_buffer.clear", {}, taken.append) == [
        {"type": "server-response", "id": "msg-7", "data": {"t": "output_audio_buffer.clear"}}
    ]
    assert taken == [events.OutputClearRequested(MINE)]


def test_a_native_event_that_is_refused_is_answered_by_the_error_alone() -> None:
    why = facts.Refused("response_cancel_not_active", "There is no such response to cancel.", None, MINE)
    assert requested("response.cancel", {}, lambda _: why) == [
        refused("There is no such response to cancel.")
    ]


def test_anothers_refusal_is_not_the_answer() -> None:
    others = facts.Refused("x", "Not yours.", None, Origin("sideband", "msg-7"))
    (told,) = requested("response.cancel", {}, lambda _: others)
    assert told["type"] == "server-response"


def test_an_item_that_is_asked_for_is_the_answer() -> None:
    item = Item("item_1", Role.USER, "Hello")
    (told,) = requested(
        "conversation.item.retrieve", {"item_id": "item_1"}, lambda _: facts.ItemRetrieved(item, MINE)
    )
    assert (told["data"]["t"], told["data"]["d"]["content"]) == (
        "conversation.item.retrieve",
        [{"type": "input_text", "text": "Hello"}],
    )


def test_a_session_is_updated_and_shown() -> None:
    def take(event: events.Event) -> facts.Fact:
        assert isinstance(event, events.SessionUpdated)
        assert event == events.SessionUpdated(replace(OPTIONS, voice="marin", turn_detection=None), MINE)
        return facts.SessionChanged(event.options, event.origin)

    wished = {"audio": {"input": {"turn_detection": None}, "output": {"voice": "marin"}}}
    (told,) = requested("session.update", {"session": wished}, take)
    session = told["data"]["d"]
    assert (told["type"], told["data"]["t"]) == ("server-response", "session.update")
    assert (session["instructions"], session["audio"]["output"]["voice"]) == ("Be brief.", "marin")
    assert (session["id"], session["audio"]["input"]["turn_detection"]) == ("sess_ab12", None)


def test_a_message_without_an_id_is_passed_on_and_not_answered() -> None:
    text = envelope("client-message", {"t": "input_audio_buffer.commit"}, id=None)
    (event,) = peer().receive(text, OPTIONS, 0.0)
    assert event == events.InputCommitRequested(Origin("peer"))


# --- functions ----------------------------------------------------------------------------------


def calling(*call_ids: str) -> RtviWire:
    """A wire whose client has been told to run functions: all of one reply."""
    wire = peer()
    calls = tuple(
        Item(
            f"item_{call_id}",
            Role.ASSISTANT,
            kind=Kind.FUNCTION_CALL,
            call_id=call_id,
            name="get_weather",
            arguments="{}",
        )
        for call_id in call_ids
    )
    wire.render(facts.ReplyEnded("resp_1", REQUEST, Outcome.COMPLETED, calls))
    return wire


def result(wire: RtviWire, call_id: str, value: object) -> list[Received]:
    """What becomes of a result that the session takes."""
    data = {"function_name": "get_weather", "tool_call_id": call_id, "arguments": {}, "result": value}
    received = []
    for entry in wire.receive(envelope("llm-function-call-result", data), OPTIONS, 0.0):
        received.append(entry)
        if isinstance(entry, events.ItemSubmitted):
            wire.render(facts.ItemAdded(entry.item, None))
    return received


def submitted(call_id: str, text: str) -> events.ItemSubmitted:
    item = Item("", text=text, kind=Kind.FUNCTION_CALL_OUTPUT, call_id=call_id)
    return events.ItemSubmitted(item, origin=MINE)


def test_a_result_is_added_and_answered() -> None:
    assert result(calling("call_1"), "call_1", {"degrees": 21}) == [
        submitted("call_1", '{"degrees": 21}'),
        ASKED,
    ]
    assert result(calling("call_1"), "call_1", "21 degrees")[0] == submitted("call_1", "21 degrees")
    assert result(calling("call_1"), "call_1", False)[0] == submitted("call_1", "false")


def test_several_results_are_answered_together() -> None:
    wire = calling("call_1", "call_2")
    assert result(wire, "call_2", "b") == [submitted("call_2", "b")]
    assert result(wire, "call_1", "a") == [submitted("call_1", "a"), ASKED]


def test_a_second_result_is_refused() -> None:
    wire = calling("call_1")
    result(wire, "call_1", "a")
    assert answer(result(wire, "call_1", "b")) == refused("No function call call_1 waits for a result.")


def test_calls_that_nobody_answers_do_not_pile_up() -> None:
    wire = calling(*(f"call_{number}" for number in range(100)))
    assert answer(result(wire, "call_0", "a")) == refused("No function call call_0 waits for a result.")
    assert result(wire, "call_99", "a") == [submitted("call_99", "a")]


# --- anything -----------------------------------------------------------------------------------


def test_a_flood_is_told_once_a_second_and_ends() -> None:
    wire = peer()
    text = envelope("disconnect-bot", {})
    answers = [list(wire.receive(text, OPTIONS, 0.0)) for _ in range(400)]
    assert [len(entry) for entry in answers] == [1] * 301 + [0] * 99
    why = "Too many messages; some have been dropped. Send fewer."
    assert answer(answers[300]) == {"type": "error", "data": {"error": why, "fatal": False}}
    assert list(wire.receive(text, OPTIONS, 1.0)) == [events.CallEnded("hangup")]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["client-ready", "client-message", "send-text", "append-to-context", "llm-function-call-result"]
)
KEYS = st.sampled_from(
    ["t", "d", "content", "options", "role", "run_immediately", "result", "tool_call_id", "version"]
)


@given(kind=KINDS | st.text(), data=st.dictionaries(KEYS, JSON) | JSON, message_id=JSON)
@settings(max_examples=300, deadline=None)
def test_nothing_that_is_sent_raises(kind: str, data: object, message_id: object) -> None:
    for received in sent(kind, data, id=message_id):
        if isinstance(received, Told):
            assert json.loads(received.message)["label"] == "rtvi-ai"


def result_of(text: str) -> str:
    data = f'{{"tool_call_id": "call_1", "result": {text}}}'
    return f'{{"label": "rtvi-ai", "type": "llm-function-call-result", "id": "msg-7", "data": {data}}}'


def test_a_result_that_can_just_be_read_is_refused_if_it_cannot_be_written() -> None:
    for depth in range(900, 1000):  # which of them it is depends on the stack
        received = list(peer().receive(result_of("[" * depth + "]" * depth), OPTIONS, 0.0))
        assert answer(received)["type"] in ("error", "error-response")


def test_a_result_beyond_all_numbers_is_refused() -> None:
    received = list(peer().receive(result_of("1e999"), OPTIONS, 0.0))
    assert answer(received) == refused("data.result holds what cannot be written as JSON.")
