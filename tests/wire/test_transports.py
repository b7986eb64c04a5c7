"""What differs between a data channel, a WebSocket and a sideband onto somebody else's call."""

from __future__ import annotations

import json

import pytest

from voicertc.core import events, facts
from voicertc.core.events import ClientErred, Origin
from voicertc.rtc.options import RtcOptions
from voicertc.wire.client_events import Transport
from voicertc.wire.realtime import MAX_MESSAGE_BYTES

from .talk import OPTIONS, ORIGIN, refusal, sent, told, wire_by

PLAYOUT = (facts.PlayoutStarted("resp_1"), facts.PlayoutStopped("resp_1"), facts.PlayoutCleared("resp_1"))
CANCEL = '{"type": "response.cancel"}'


@pytest.mark.parametrize("transport", ["webrtc", "sideband"])
def test_where_sound_is_rtp_there_is_an_output_buffer(transport: Transport) -> None:
    wire = wire_by(transport)
    assert sent(wire, "output_audio_buffer.clear") == events.OutputClearRequested(ORIGIN)
    assert told(wire, *PLAYOUT) == [
        {"type": f"output_audio_buffer.{what}", "response_id": "resp_1"}
        for what in ("started", "stopped", "cleared")
    ]


def test_where_sound_is_events_there_is_none() -> None:
    wire = wire_by("websocket")
    assert refusal(sent(wire, "output_audio_buffer.clear")) == ("not_supported", "type")
    assert told(wire, *PLAYOUT) == []


def test_a_sideband_steers_the_session_like_its_own_client() -> None:
    wire = wire_by("sideband")
    assert sent(wire, "response.cancel") == events.ResponseCancelRequested(None, ORIGIN)
    assert isinstance(sent(wire, "response.create"), events.ResponseRequested)
    assert isinstance(sent(wire, "session.update", session={"instructions": "Sing."}), events.SessionUpdated)


def test_an_error_goes_to_the_connection_that_caused_it() -> None:
    refused = facts.Refused("item_not_found", "There is no item x.", "item_id", Origin("call_2", "event_1"))
    assert told(wire_by("sideband"), refused) == []


@pytest.mark.parametrize("transport", ["websocket", "sideband"])
def test_who_can_be_told_to_wait_is_not_told_that_it_floods(transport: Transport) -> None:
    wire = wire_by(transport)
    taken = [wire.receive(CANCEL, OPTIONS, 0.0) for _ in range(2000)]
    assert taken == [[events.ResponseCancelRequested(None, Origin("peer"))]] * 2000


@pytest.mark.parametrize(
    ("transport", "limit"),
    [
        ("webrtc", MAX_MESSAGE_BYTES["webrtc"]),
        ("sideband", MAX_MESSAGE_BYTES["sideband"]),
        ("websocket", MAX_MESSAGE_BYTES["sideband"]),  # what is more is for sound
    ],
)
def test_a_message_may_be_as_large_as_its_transport_carries(transport: Transport, limit: int) -> None:
    wire = wire_by(transport)
    update = json.dumps({"type": "session.update", "session": {"instructions": ""}})
    room = limit - len(update)
    full = update.replace('""', f'"{"x" * room}"')
    (taken,) = wire.receive(full, OPTIONS, 0.0)
    assert isinstance(taken, events.SessionUpdated)
    (refused,) = wire.receive(full + " ", OPTIONS, 0.0)
    assert isinstance(refused, ClientErred)
    assert refused.code == "message_too_large"


@pytest.mark.parametrize("letter", ["x", "я", "語"])
def test_the_largest_session_that_a_data_channel_brings_can_be_told_on_one(letter: str) -> None:
    wire = wire_by()
    frame = json.dumps({"type": "session.update", "session": {"instructions": ""}})
    wish = letter * ((MAX_MESSAGE_BYTES["webrtc"] - len(frame)) // len(letter.encode()))
    (taken,) = wire.receive(frame.replace('""', f'"{wish}"'), OPTIONS, 0.0)
    assert isinstance(taken, events.SessionUpdated)
    (updated,) = wire.render(facts.SessionChanged(taken.options, taken.origin))
    assert wish in updated
    assert len(updated.encode()) <= RtcOptions().max_message_bytes
