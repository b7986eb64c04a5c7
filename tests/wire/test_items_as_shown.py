"""The history as clients are shown it: its items, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicertc.core import facts
from voicertc.core.events import Origin
from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.wire import RealtimeWire

from .talk import OPTIONS, kinds, told, updated, wire_by

SPEECH = Item("item_u1", text=None, modality=Modality.AUDIO)
MINE = Origin("peer", "event_client_7")
THEIRS = Origin("sideband", "event_client_7")


@pytest.fixture
def wire() -> RealtimeWire:
    return wire_by()


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        (Item("i", Role.USER, "hi"), {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}),
        (
            Item("i", Role.USER, "hi", modality=Modality.AUDIO),
            {"role": "user", "content": [{"type": "input_audio", "transcript": "hi"}]},
        ),
        (
            Item("i", Role.SYSTEM, "be kind"),
            {"role": "system", "content": [{"type": "input_text", "text": "be kind"}]},
        ),
        (
            Item("i", Role.ASSISTANT, "hi"),
            {"role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        ),
        (
            Item("i", Role.ASSISTANT, kind=Kind.FUNCTION_CALL, call_id="c", name="f", arguments="{}"),
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ),
        (
            Item("i", text="21", kind=Kind.FUNCTION_CALL_OUTPUT, call_id="c"),
            {"type": "function_call_output", "call_id": "c", "output": "21"},
        ),
    ],
)
def test_each_kind_of_item_is_shown_as_openai_has_it(
    wire: RealtimeWire, item: Item, shown: dict[str, object]
) -> None:
    common = {"id": "i", "object": "realtime.item", "type": "message", "status": "completed"}
    assert told(wire, facts.ItemRetrieved(item, MINE)) == [
        {"type": "conversation.item.retrieved", "item": common | shown}
    ]
    assert told(wire, facts.ItemAdded(item, "item_0"))[0]["item"] == common | shown


def test_the_rest_of_the_history_events_are_told(wire: RealtimeWire) -> None:
    assert told(
        wire, facts.ItemDeleted("item_1"), facts.InputCleared(), facts.HearingFailed("item_u1", "busy", "No.")
    ) == [
        {"type": "conversation.item.deleted", "item_id": "item_1"},
        {"type": "input_audio_buffer.cleared"},
        {
            "type": "conversation.item.input_audio_transcription.failed",
            "item_id": "item_u1",
            "content_index": 0,
            "error": {"type": "transcription_error", "code": "busy", "message": "No."},
        },
    ]


def test_an_item_is_retrieved_for_the_client_that_asked(wire: RealtimeWire) -> None:
    assert told(wire, facts.ItemRetrieved(SPEECH, THEIRS), facts.ItemRetrieved(SPEECH, None)) == []


def test_a_session_that_does_not_transcribe_shows_no_words_of_the_user(wire: RealtimeWire) -> None:
    updated(wire, voicertc={"events": ["*"]})
    said = replace(SPEECH, text="a secret")
    silent = replace(OPTIONS, transcription_model=None)
    events = told(
        wire,
        facts.SessionChanged(silent),
        facts.InterimHeard("item_u1", "a sec"),
        facts.FinalHeard("item_u1", "a secret", 1.0),
        facts.HearingFailed("item_u1", "busy", "No."),
        facts.ItemRetrieved(said, MINE),
    )
    assert kinds(events) == ["session.updated", "conversation.item.retrieved"]
    assert events[1]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
