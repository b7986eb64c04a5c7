"""Speech that a client submits as a recording: recognized, shown, and answered if that is asked for."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from tests.session.conftest import Stage
from tests.wire.openai_types import check
from voicertc.core import events, facts
from voicertc.core.items import Item, Modality, Role
from voicertc.core.options import SessionOptions
from voicertc.core.replies import Cause, ReplyRequest
from voicertc.errors import ProviderCrashed
from voicertc.testing import virtual_time
from voicertc.wire.realtime import RealtimeWire
from voicertc.wire.received import SpeechSubmitted

TWELVE_SECONDS = np.full(12 * 16_000, 3_000, np.int16)
SPOKEN = Item("mine", Role.USER, None, modality=Modality.AUDIO)


def test_a_recording_is_recognized_whole_and_answered_when_the_client_asks() -> None:
    async def main() -> None:
        stage = Stage(["what is the weather"])
        await stage.line.run(until=0.5)
        stage.session.submit_speech(events.ItemSubmitted(SPOKEN), TWELVE_SECONDS)
        assert [item.text for item in stage.session.items] == [None]
        stage.session.post(events.ResponseRequested(ReplyRequest(Cause.CLIENT)))
        await stage.line.run(until=6.0)
        assert stage.line.history == [
            ("user", "what is the weather"),
            ("assistant", "You said what is the weather."),
        ]
        assert stage.recognizer.turns == [pytest.approx(12.0)]
        heard = [fact for _, fact in stage.line.facts if isinstance(fact, facts.FinalHeard)]
        assert [(fact.item_id, fact.text, fact.seconds) for fact in heard] == [
            ("mine", "what is the weather", 12.0)
        ]
        await stage.session.close()
        assert stage.is_clean

    virtual_time.run(main())


def test_nobody_answers_a_recording_unasked_even_if_it_cannot_be_recognized() -> None:
    async def main() -> None:
        stage = Stage(["hello", ProviderCrashed("gone", provider="ears")])
        stage.session.submit_speech(events.ItemSubmitted(SPOKEN), TWELVE_SECONDS)
        broken = Item("broken", Role.USER, None, modality=Modality.AUDIO)
        stage.session.submit_speech(events.ItemSubmitted(broken), TWELVE_SECONDS)
        await stage.line.run(until=8.0)
        assert stage.line.history == [("user", "hello"), ("user", "")]
        failed = [fact for _, fact in stage.line.facts if isinstance(fact, facts.HearingFailed)]
        assert [(fact.item_id, fact.code) for fact in failed] == [("broken", "crashed")]
        assert stage.line.audible == []
        await stage.session.close()

    virtual_time.run(main())


def test_the_sound_of_a_refused_item_is_not_recognized() -> None:
    async def main() -> None:
        stage = Stage(["hello"])
        stage.session.post(events.ItemSubmitted(Item("mine", Role.USER, "typed")))
        stage.session.submit_speech(events.ItemSubmitted(SPOKEN), TWELVE_SECONDS)
        await stage.line.run(until=3.0)
        assert stage.line.history == [("user", "typed")]
        assert stage.recognizer.turns == []
        await stage.session.close()

    virtual_time.run(main())


def submitted(content: list[dict[str, object]]) -> object:
    wire = RealtimeWire(name="socket", session_id="sess_1", transport="websocket")
    item = {"type": "message", "role": "user", "content": content}
    message = {"type": "conversation.item.create", "event_id": "e1", "item": item}
    (received,) = wire.receive(json.dumps(message), SessionOptions(), 0.0)
    return received


def test_a_recording_is_read_from_its_item() -> None:
    coded = base64.b64encode(b"\x01\x00\x02\x00").decode()
    received = submitted([{"type": "input_audio", "audio": coded}])
    assert received == SpeechSubmitted(
        events.ItemSubmitted(
            Item("", Role.USER, None, modality=Modality.AUDIO), None, events.Origin("socket", "e1")
        ),
        b"\x01\x00\x02\x00",
        "pcm16",
    )


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ([{"type": "input_audio", "audio": "?"}], "item.content[0].audio"),
        ([{"type": "input_audio", "audio": base64.b64encode(b"abc").decode()}], "item.content[0].audio"),
        (
            [{"type": "input_audio", "audio": base64.b64encode(bytes(31 * 48_000)).decode()}],
            "item.content[0].audio",
        ),
        ([{"type": "input_audio", "audio": "AAAA"}, {"type": "input_text", "text": "x"}], "item.content"),
    ],
)
def test_a_recording_that_makes_no_sense_is_refused(content: list[dict[str, object]], param: str) -> None:
    refused = submitted(content)
    assert isinstance(refused, events.ClientErred)
    assert (refused.code, refused.param) == ("invalid_value", param)


def test_what_was_said_in_a_recording_with_words_needs_no_recognizer() -> None:
    received = submitted([{"type": "input_audio", "audio": "AAAA", "transcript": "hello"}])
    assert isinstance(received, events.ItemSubmitted)
    assert received.item == Item("", Role.USER, "hello", modality=Modality.AUDIO)


def test_an_item_whose_words_are_due_is_shown_without_them() -> None:
    wire = RealtimeWire(name="socket", session_id="sess_1", transport="websocket")
    (message,) = wire.render(facts.ItemAdded(SPOKEN, None))
    assert check(message)["item"]["content"] == [{"type": "input_audio", "transcript": None}]
