"""What clients send, and what becomes of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicertc.core import events
from voicertc.core.events import ClientErred, Event, Origin
from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.core.options import SessionOptions
from voicertc.core.replies import Cause, ReplyRequest
from voicertc.wire import RealtimeWire
from voicertc.wire.realtime import MAX_MESSAGE_BYTES

OPTIONS = SessionOptions(instructions="Be brief.", voice="en-gb", speed=1.2, language="en")
ORIGIN = Origin("peer", "event_7")


def peer() -> RealtimeWire:
    return RealtimeWire(name="peer", session_id="sess_ab12", transport="webrtc")


def sent(kind: str, **fields: object) -> Event:
    """What one message with the ``event_id`` ``event_7`` becomes."""
    return sent_to(peer(), {"type": kind, "event_id": "event_7", **fields})


def sent_to(wire: RealtimeWire, message: dict[str, object]) -> Event:
    (event,) = wire.receive(json.dumps(message), OPTIONS, 0.0)
    return event


def erred(code: str, message: str, param: str | None, origin: Origin = ORIGIN) -> ClientErred:
    return ClientErred(code, message, param, origin)


@pytest.mark.parametrize(
    ("kind", "fields", "event"),
    [
        ("input_audio_buffer.commit", {}, events.InputCommitRequested(ORIGIN)),
        ("input_audio_buffer.clear", {}, events.InputClearRequested(ORIGIN)),
        ("output_audio_buffer.clear", {}, events.OutputClearRequested(ORIGIN)),
        ("conversation.item.retrieve", {"item_id": "i"}, events.ItemRetrieveRequested("i", ORIGIN)),
        ("conversation.item.delete", {"item_id": "i"}, events.ItemDeleteRequested("i", ORIGIN)),
        (
            "conversation.item.truncate",
            {"item_id": "i", "content_index": 0, "audio_end_ms": 1500},
            events.ItemTruncateRequested("i", 1500, ORIGIN),
        ),
        ("response.cancel", {}, events.ResponseCancelRequested(None, ORIGIN)),
        ("response.cancel", {"response_id": "resp_1"}, events.ResponseCancelRequested("resp_1", ORIGIN)),
        (
            "response.create",
            {},
            events.ResponseRequested(
                ReplyRequest(Cause.CLIENT, instructions="Be brief.", voice="en-gb", speed=1.2, language="en"),
                ORIGIN,
            ),
        ),
        (
            "response.create",
            {
                "response": {
                    "instructions": "Shout.",
                    "output_modalities": ["text"],
                    "audio": {"output": {"voice": {"id": "fr"}}},
                    "metadata": {"topic": "weather"},
                    "conversation": "auto",
                    "tools": [],
                    "max_output_tokens": 100,
                }
            },
            events.ResponseRequested(
                ReplyRequest(
                    Cause.CLIENT,
                    instructions="Shout.",
                    output=Modality.TEXT,
                    voice="fr",
                    speed=1.2,
                    language="en",
                    metadata=(("topic", "weather"),),
                    max_output_tokens=100,
                ),
                ORIGIN,
            ),
        ),
    ],
)
def test_each_client_event_becomes_its_core_event(kind: str, fields: dict[str, object], event: Event) -> None:
    assert sent(kind, **fields) == event


def text_parts(*texts: str, kind: str = "input_text") -> list[dict[str, str]]:
    return [{"type": kind, "text": text} for text in texts]


@pytest.mark.parametrize(
    ("given_item", "item"),
    [
        (
            {"type": "message", "role": "user", "content": text_parts("hello")},
            Item("", Role.USER, "hello"),
        ),
        (
            {"id": "item_x", "type": "message", "role": "user", "content": text_parts("one", "two")},
            Item("item_x", Role.USER, "one\ntwo"),
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": "hi"}]},
            Item("", Role.USER, "hi", modality=Modality.AUDIO),
        ),
        (
            {"type": "message", "role": "system", "content": text_parts("Be kind.")},
            Item("", Role.SYSTEM, "Be kind."),
        ),
        (
            {"type": "message", "role": "assistant", "content": text_parts("Hello.", kind="output_text")},
            Item("", Role.ASSISTANT, "Hello."),
        ),
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_audio", "transcript": "Hello."}],
            },
            Item("", Role.ASSISTANT, "Hello.", modality=Modality.AUDIO),
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            Item("", Role.ASSISTANT, kind=Kind.FUNCTION_CALL, call_id="c", name="f", arguments="{}"),
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": ""},
            Item("", Role.USER, "", kind=Kind.FUNCTION_CALL_OUTPUT, call_id="c"),
        ),
    ],
)
def test_an_item_that_a_client_creates_keeps_its_words_and_its_id(
    given_item: dict[str, object], item: Item
) -> None:
    assert sent("conversation.item.create", item=given_item) == events.ItemSubmitted(item, None, ORIGIN)


def test_an_item_goes_where_the_client_wants_it() -> None:
    item = {"type": "message", "role": "user", "content": text_parts("hello")}
    event = sent("conversation.item.create", item=item, previous_item_id="root")
    assert event == events.ItemSubmitted(Item("", Role.USER, "hello"), "root", ORIGIN)


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (None, "missing_required_parameter", "item"),
        ([], "invalid_type", "item"),
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "mcp_approval_response"}, "invalid_value", "item.type"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "tool"}, "invalid_value", "item.role"),
        ({"type": "message", "role": "user", "content": []}, "invalid_value", "item.content"),
        ({"type": "message", "role": "user", "content": ["hi"]}, "invalid_type", "item.content[0]"),
        (
            {"type": "message", "role": "user", "content": text_parts("a", kind="output_text")},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "assistant", "content": text_parts("a")},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "system", "content": text_parts("a", kind="output_text")},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [*text_parts("a"), {"type": "input_image"}]},
            "not_supported",
            "item.content[1].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 5}]},
            "invalid_type",
            "item.content[0].text",
        ),
        ({"type": "function_call_output", "output": "x"}, "missing_required_parameter", "item.call_id"),
    ],
)
def test_an_item_that_makes_no_sense_is_refused_with_its_place(item: object, code: str, param: str) -> None:
    event = sent("conversation.item.create", item=item)
    assert isinstance(event, ClientErred)
    assert (event.code, event.param, event.origin) == (code, param, ORIGIN)


def test_an_items_words_are_bounded_however_they_come() -> None:
    half = "x" * (128 * 1024)
    items: list[tuple[dict[str, object], str]] = [
        ({"type": "message", "role": "user", "content": text_parts(half, half)}, "item.content"),
        ({"type": "function_call_output", "call_id": "c", "output": half * 2 + "x"}, "item.output"),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": half * 2 + "x"},
            "item.arguments",
        ),
    ]
    for item, param in items:
        wire = RealtimeWire(name="peer", session_id="sess_ab12", transport="websocket")
        event = sent_to(wire, {"type": "conversation.item.create", "item": item})
        assert isinstance(event, ClientErred)
        assert (event.code, event.param) == ("invalid_value", param)


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        (
            "response.tickle",
            {},
            erred("unknown_event", "There is no client event 'response.tickle'.", "type"),
        ),
        (
            "x" * 100,
            {},
            erred("unknown_event", f"There is no client event '{'x' * 64}\\u2026'.", "type"),
        ),
        (
            "input_audio_buffer.append",
            {"audio": "AAAA"},
            erred(
                "not_supported",
                "Audio cannot be appended to this call; send it on the call's audio track.",
                "type",
            ),
        ),
        (
            "conversation.item.delete",
            {},
            erred("missing_required_parameter", "item_id is missing.", "item_id"),
        ),
        (
            "conversation.item.truncate",
            {"item_id": "i", "content_index": 1, "audio_end_ms": 0},
            erred("invalid_value", "content_index must be a number from 0 to 0.", "content_index"),
        ),
        (
            "conversation.item.truncate",
            {"item_id": "i", "content_index": 0, "audio_end_ms": 0.5},
            erred("invalid_value", "audio_end_ms must be a whole number.", "audio_end_ms"),
        ),
        (
            "conversation.item.truncate",
            {"item_id": "i", "content_index": 0, "audio_end_ms": True},
            erred("invalid_type", "audio_end_ms must be a number.", "audio_end_ms"),
        ),
        (
            "conversation.item.retrieve",
            {"item_id": "\ud83d"},
            erred("invalid_value", "item_id must be valid Unicode.", "item_id"),
        ),
        (
            "conversation.item.retrieve",
            {"item_id": ""},
            erred("invalid_value", "item_id must be 1 to 512 characters long.", "item_id"),
        ),
        (
            "response.create",
            {"response": "hello"},
            erred("invalid_type", "response must be an object.", "response"),
        ),
        (
            "response.create",
            {"response": {"output_modalities": ["text", "audio"]}},
            erred(
                "invalid_value",
                'response.output_modalities must be ["audio"] or ["text"].',
                "response.output_modalities",
            ),
        ),
        (
            "response.create",
            {"response": {"metadata": {"n": 1}}},
            erred("invalid_type", "response.metadata.n must be a string.", "response.metadata.n"),
        ),
        (
            "response.create",
            {"response": {"metadata": {str(n): "" for n in range(17)}}},
            erred("invalid_value", "response.metadata must have at most 16 entries.", "response.metadata"),
        ),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_with_what_would(
    kind: str, fields: dict[str, object], error: ClientErred
) -> None:
    assert sent(kind, **fields) == error


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("", "invalid_json", None),
        ("hello", "invalid_json", None),
        ("[1, 2]", "invalid_json", None),
        ('{"type": NaN}', "invalid_json", None),
        ("[" * 60_000, "invalid_json", None),
        ("9" * 5_000, "invalid_json", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": 7}', "invalid_type", "type"),
        ('{"type": "response.cancel", "event_id": 7}', "invalid_type", "event_id"),
        ('{"type": "response.cancel", "event_id": "' + "x" * 513 + '"}', "invalid_value", "event_id"),
        (b'{"type": "response.cancel"}', "invalid_message", None),
        ('{"type": "' + "x" * 65_536 + '"}', "message_too_large", None),
        ('{"type": "' + "\u20ac" * 30_000 + '"}', "message_too_large", None),
    ],
)
def test_what_is_no_event_at_all_is_an_error_of_this_wire(
    message: str | bytes, code: str, param: str | None
) -> None:
    (event,) = peer().receive(message, OPTIONS, 0.0)
    assert isinstance(event, ClientErred)
    assert (event.code, event.param, event.origin) == (code, param, Origin("peer"))


def test_a_message_of_just_the_allowed_size_is_read() -> None:
    frame = '{"type":"response.create","response":{"instructions":""}}'
    room = MAX_MESSAGE_BYTES["webrtc"] - len(frame)
    full = frame.replace('""', f'"{"x" * room}"')
    for text, kind in ((full, events.ResponseRequested), (full + " ", ClientErred)):
        (event,) = peer().receive(text, OPTIONS, 0.0)
        assert isinstance(event, kind)


def test_a_websocket_has_no_output_buffer_to_clear() -> None:
    wire = RealtimeWire(name="socket", session_id="sess_ab12", transport="websocket")
    event = sent_to(wire, {"type": "output_audio_buffer.clear", "event_id": "event_7"})
    assert event == erred(
        "not_supported", "There is no output buffer on this transport.", "type", Origin("socket", "event_7")
    )


def test_a_flood_is_told_once_a_second_and_dropped() -> None:
    wire = peer()
    message = '{"type": "response.cancel"}'
    taken = [wire.receive(message, OPTIONS, 0.0) for _ in range(300)]
    assert taken == [[events.ResponseCancelRequested(None, Origin("peer"))]] * 300

    notice = ClientErred(
        "rate_limit_exceeded", "Too many messages; some have been dropped. Send fewer.", None, Origin("peer")
    )
    assert [wire.receive(message, OPTIONS, 0.0) for _ in range(3)] == [[notice], [], []]
    assert wire.receive(message, OPTIONS, 0.019) == []
    assert wire.receive(message, OPTIONS, 0.04) == taken[0]  # two of 50 per second have come back

    answers = [wire.receive(message, OPTIONS, 1.0 + tick / 1000) for tick in range(1000)]
    assert answers.count([notice]) == 1
    assert 95 <= answers.count(taken[0]) <= 100  # 48 that had come back, and 50 in this second


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
KINDS = st.sampled_from(
    [
        "session.update",
        "conversation.item.create",
        "conversation.item.truncate",
        "response.create",
        "response.cancel",
    ]
)
NAMES = st.sampled_from(
    [
        *("session", "item", "item_id", "content_index", "audio_end_ms", "response", "event_id", "type"),
        *("role", "content", "audio", "input", "output", "voice", "speed", "turn_detection", "metadata"),
        *("transcription", "voicertc", "events", "output_modalities", "previous_item_id"),
    ]
)
FIELDS = st.recursive(JSON, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)


# Health checks judge by the clock of a machine that may be busy.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(kind=KINDS, fields=st.dictionaries(NAMES, FIELDS, max_size=4))
def test_no_message_makes_the_wire_raise(kind: str, fields: dict[str, object]) -> None:
    (event,) = peer().receive(json.dumps(fields | {"type": kind}), OPTIONS, 0.0)
    assert isinstance(event, Event)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text() | st.binary())
def test_no_text_makes_the_wire_raise(message: str | bytes) -> None:
    (event,) = peer().receive(message, OPTIONS, 0.0)
    assert isinstance(event, ClientErred)
