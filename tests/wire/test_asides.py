"""Responses outside the conversation, and responses to other input than its history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicertc.core import events, facts
from voicertc.core.items import Item, Kind, Modality, Role, Status
from voicertc.core.replies import Cause, Outcome, ReplyRequest

from .talk import kinds, refusal, sent, told, wire_by

ASIDE = ReplyRequest(Cause.CLIENT, output=Modality.TEXT, is_aside=True)
WRITTEN = Item("item_r1", Role.ASSISTANT, "", status=Status.IN_PROGRESS)
CALL = Item(
    "item_f1",
    Role.ASSISTANT,
    kind=Kind.FUNCTION_CALL,
    status=Status.IN_PROGRESS,
    call_id="call_1",
    name="tag",
    arguments="",
)


def asked(**response: object) -> ReplyRequest:
    event = sent(wire_by(), "response.create", response=response)
    assert isinstance(event, events.ResponseRequested)
    return event.request


def test_a_response_is_in_the_conversation_unless_it_is_told_otherwise() -> None:
    assert not asked().is_aside
    assert not asked(conversation="auto").is_aside
    assert not asked(conversation=None).is_aside
    assert asked(conversation="none").is_aside
    refused = sent(wire_by(), "response.create", response={"conversation": "conv_1"})
    assert refusal(refused) == ("invalid_value", "response.conversation")


def test_an_aside_is_told_without_any_event_of_the_conversation() -> None:
    written = replace(WRITTEN, text="Weather.", status=Status.COMPLETED)
    called = replace(CALL, arguments="{}", status=Status.COMPLETED)
    happened = told(
        wire_by(),
        facts.ReplyBegan("resp_1", ASIDE),
        facts.ReplyItemBegan("resp_1", WRITTEN, None, is_aside=True),
        facts.ReplyTextGrew("resp_1", "item_r1", "Weather.", Modality.TEXT),
        facts.ReplyItemBegan("resp_1", CALL, "item_r1", is_aside=True),
        facts.ReplyItemEnded("resp_1", called, "item_r1", is_aside=True),
        facts.ReplyItemEnded("resp_1", written, None, is_aside=True),
        facts.ReplyEnded("resp_1", ASIDE, Outcome.COMPLETED, (written, called)),
    )
    assert kinds(happened) == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    for event in (happened[0], happened[-1]):
        assert event["response"]["conversation_id"] is None
    assert [item["id"] for item in happened[-1]["response"]["output"]] == ["item_r1", "item_f1"]


def test_two_responses_at_once_are_kept_apart() -> None:
    spoken = replace(WRITTEN, id="item_r2", modality=Modality.AUDIO)
    *_, first, second = told(
        wire_by(),
        facts.ReplyBegan("resp_1", ASIDE),
        facts.ReplyBegan("resp_2", ReplyRequest(Cause.TURN)),
        facts.ReplyItemBegan("resp_2", spoken, None),
        facts.ReplyItemBegan("resp_1", WRITTEN, None, is_aside=True),
        facts.ReplyTextGrew("resp_2", "item_r2", "Hello.", Modality.AUDIO),
        facts.ReplyTextGrew("resp_1", "item_r1", "Greeting.", Modality.TEXT),
    )
    common = {"output_index": 0, "content_index": 0}
    assert first == {
        "type": "response.output_audio_transcript.delta",
        "response_id": "resp_2",
        "item_id": "item_r2",
        "delta": "Hello.",
        **common,
    }
    assert second == {
        "type": "response.output_text.delta",
        "response_id": "resp_1",
        "item_id": "item_r1",
        "delta": "Greeting.",
        **common,
    }


def test_input_may_be_items_and_references_to_items() -> None:
    question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And you?"}]}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "21"}
    request = asked(input=[{"type": "item_reference", "id": "item_u1"}, question, output])
    assert request.input == (
        Item("item_u1", kind=Kind.ITEM_REFERENCE),
        Item("", Role.USER, "And you?"),
        Item("", text="21", kind=Kind.FUNCTION_CALL_OUTPUT, call_id="call_1"),
    )
    assert asked(input=[]).input == ()
    assert asked(input=None).input is None
    assert asked().input is None


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ("hello", "invalid_type", "response.input"),
        (["hello"], "invalid_type", "response.input[0]"),
        ([{}], "missing_required_parameter", "response.input[0].type"),
        ([{"type": "item_reference"}], "missing_required_parameter", "response.input[0].id"),
        ([{"type": "message", "role": "user"}], "missing_required_parameter", "response.input[0].content"),
        ([{"type": "item_reference", "id": "i"}] * 513, "invalid_value", "response.input"),
    ],
)
def test_input_that_makes_no_sense_is_refused_with_its_place(given: object, code: str, param: str) -> None:
    assert refusal(sent(wire_by(), "response.create", response={"input": given})) == (code, param)


def test_a_reference_is_no_item_of_the_conversation() -> None:
    refused = sent(wire_by(), "conversation.item.create", item={"type": "item_reference", "id": "item_u1"})
    assert refusal(refused) == ("invalid_value", "item.type")
