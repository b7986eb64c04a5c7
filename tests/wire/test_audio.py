"""Sound in the messages themselves: what clients append, what they are sent, and in which format."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import get_args

import pytest

from voicertc.core import events, facts
from voicertc.core.items import Item, Modality, Role, Status
from voicertc.core.options import AudioFormat, NoiseReduction, SessionOptions, TurnDetection
from voicertc.core.replies import Cause, Outcome, ReplyRequest
from voicertc.wire.client_events import Transport
from voicertc.wire.received import AudioAppended, SpeechSubmitted

from .talk import OPTIONS, ORIGIN, kinds, refusal, sent, told, updated, wire_by, without_ids

ASKED = ReplyRequest(Cause.TURN)
STARTED = Item("item_r1", Role.ASSISTANT, "", status=Status.IN_PROGRESS, modality=Modality.AUDIO)
PCM = {"type": "audio/pcm", "rate": 24000}
PCMU = {"type": "audio/pcmu"}


def coded(n_bytes: int) -> str:
    return base64.b64encode(bytes(n_bytes)).decode()


def using(audio_format: AudioFormat) -> SessionOptions:
    return replace(OPTIONS, input_format=audio_format, output_format=audio_format)


# --- from the client ----------------------------------------------------------------------------


@pytest.mark.parametrize("audio_format", get_args(AudioFormat))
def test_appended_sound_is_handed_on_with_the_sessions_format(audio_format: AudioFormat) -> None:
    event = sent(wire_by("websocket"), "input_audio_buffer.append", using(audio_format), audio="AAECAw==")
    assert event == AudioAppended(b"\x00\x01\x02\x03", audio_format, ORIGIN)


def test_sound_behind_an_update_is_read_in_the_new_format() -> None:
    wire = wire_by("websocket")
    updated(wire, audio={"input": {"format": PCMU}})
    assert sent(wire, "input_audio_buffer.append", audio="AAEC") == AudioAppended(b"\0\1\2", "pcmu", ORIGIN)


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        (None, "missing_required_parameter"),
        (7, "invalid_type"),
        ("A", "invalid_value"),
        ("AA-_", "invalid_value"),
        ("AAAA AAAA", "invalid_value"),
        ("Ä===", "invalid_value"),
        ("AAAA", "invalid_value"),  # three bytes: a sample and a half
        (coded(15 * 1024 * 1024 + 2), "invalid_value"),
    ],
)
def test_sound_that_makes_no_sense_is_refused(audio: object, code: str) -> None:
    event = sent(wire_by("websocket"), "input_audio_buffer.append", audio=audio)
    assert refusal(event) == (code, "audio")


def test_fifteen_mebibytes_are_taken_at_once() -> None:
    event = sent(wire_by("websocket"), "input_audio_buffer.append", audio=coded(15 * 1024 * 1024))
    assert isinstance(event, AudioAppended)
    assert len(event.audio) == 15 * 1024 * 1024


@pytest.mark.parametrize("transport", ["webrtc", "sideband"])
def test_sound_of_a_call_comes_on_its_track_only(transport: Transport) -> None:
    event = sent(wire_by(transport), "input_audio_buffer.append", audio="AAAA")
    assert refusal(event) == ("not_supported", "type")


def test_recorded_speech_is_an_item_whose_words_are_not_known_yet() -> None:
    part = {"type": "input_audio", "audio": "AAECAw=="}
    item = {"id": "mine", "type": "message", "role": "user", "content": [part]}
    event = sent(wire_by("websocket"), "conversation.item.create", item=item, previous_item_id="root")
    speech = Item("mine", Role.USER, None, modality=Modality.AUDIO)
    assert event == SpeechSubmitted(
        events.ItemSubmitted(speech, "root", ORIGIN), b"\x00\x01\x02\x03", "pcm16"
    )
    known = item | {"content": [part | {"transcript": "hello"}]}
    assert sent(wire_by(), "conversation.item.create", item=known) == events.ItemSubmitted(
        replace(speech, text="hello"), None, ORIGIN
    )


@pytest.mark.parametrize(
    ("content", "code", "param"),
    [
        ([{"type": "input_audio", "audio": "A"}], "invalid_value", "item.content[0].audio"),
        (
            [{"type": "input_audio", "audio": coded(30 * 48_000 + 2)}],
            "invalid_value",
            "item.content[0].audio",
        ),
        ([{"type": "input_audio"}], "missing_required_parameter", "item.content[0].transcript"),
        ([{"type": "input_text", "audio": "AAAA"}], "missing_required_parameter", "item.content[0].text"),
        (
            [{"type": "input_audio", "audio": "AAAA"}, {"type": "input_text", "text": "a"}],
            "invalid_value",
            "item.content",
        ),
    ],
)
def test_recorded_speech_that_makes_no_sense_is_refused(content: list[object], code: str, param: str) -> None:
    item = {"type": "message", "role": "user", "content": content}
    assert refusal(sent(wire_by("websocket"), "conversation.item.create", item=item)) == (code, param)


# --- to the client ------------------------------------------------------------------------------


def test_sound_is_told_behind_the_words_and_not_before_there_is_an_item() -> None:
    wire = wire_by("websocket")
    told(wire, facts.ReplyBegan("resp_1", ASKED))
    assert wire.audio("resp_1", b"early") == []
    told(wire, facts.ReplyItemBegan("resp_1", STARTED, None))
    place = {"response_id": "resp_1", "item_id": "item_r1", "output_index": 0, "content_index": 0}
    assert without_ids(wire.audio("resp_1", b"\x01\x02")) == [
        {"type": "response.output_audio.delta", **place, "delta": "AQI="}
    ]
    spoken = replace(STARTED, text="Hi.", status=Status.COMPLETED)
    told(wire, facts.ReplyItemEnded("resp_1", spoken, None))
    told(wire, facts.ReplyEnded("resp_1", ASKED, Outcome.COMPLETED, (spoken,)))
    assert wire.audio("resp_1", b"late") == []
    assert wire.audio("resp_9", b"of no response") == []


@pytest.mark.parametrize(
    ("given", "audio_format", "shown"),
    [
        (PCM, "pcm16", PCM),
        ({"type": "audio/pcm"}, "pcm16", PCM),
        (PCMU, "pcmu", PCMU),
        ({"type": "audio/pcma"}, "pcma", {"type": "audio/pcma"}),
        ({"type": "audio/pcmu", "rate": 24000}, "pcmu", PCMU),
        ("pcm16", "pcm16", PCM),
        ("g711_ulaw", "pcmu", PCMU),
        ("g711_alaw", "pcma", {"type": "audio/pcma"}),
        (None, "pcm16", PCM),
    ],
)
@pytest.mark.parametrize("before", get_args(AudioFormat))
def test_a_format_is_replaced_whole_whatever_its_name(
    given: object, audio_format: AudioFormat, shown: dict[str, object], before: AudioFormat
) -> None:
    wire = wire_by("websocket")
    options = updated(wire, using(before), audio={"input": {"format": given}, "output": {"format": given}})
    assert options == using(audio_format)
    (event,) = told(wire, facts.SessionChanged(options))
    audio = event["session"]["audio"]
    assert (audio["input"]["format"], audio["output"]["format"]) == (shown, shown)
    (created,) = told(wire, facts.ReplyBegan("resp_1", ASKED))
    assert created["response"]["audio"]["output"]["format"] == shown


@pytest.mark.parametrize(
    ("given", "code", "part"),
    [
        ({"type": "audio/pcm", "rate": 16000}, "invalid_value", ".rate"),
        ({"type": "audio/pcm", "rate": "24000"}, "invalid_value", ".rate"),
        ({"type": "audio/opus"}, "invalid_value", ".type"),
        ({"rate": 24000}, "missing_required_parameter", ".type"),
        ("opus", "invalid_value", ""),
        (24000, "invalid_type", ""),
    ],
)
def test_a_format_that_nobody_has_is_refused(given: object, code: str, part: str) -> None:
    for side in ("input", "output"):
        event = sent(wire_by(), "session.update", session={"audio": {side: {"format": given}}})
        assert refusal(event) == (code, f"session.audio.{side}.format{part}")


# --- what is done with it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [
        (None, {"type": "near_field"}, NoiseReduction("near_field", 1.0)),
        (None, {"type": "far_field", "strength": 0.5}, NoiseReduction("far_field", 0.5)),
        (NoiseReduction("near_field", 0.5), {"type": "far_field"}, NoiseReduction("far_field", 0.5)),
        (NoiseReduction("far_field", 0.5), {"strength": None}, NoiseReduction("far_field", 1.0)),
        (NoiseReduction("far_field", 0.5), None, None),
    ],
)
def test_noise_reduction_merges_and_is_shown(
    before: NoiseReduction | None, given: object, after: NoiseReduction | None
) -> None:
    wire = wire_by()
    options = replace(OPTIONS, noise_reduction=before)
    options = updated(wire, options, audio={"input": {"noise_reduction": given}})
    assert options == replace(OPTIONS, noise_reduction=after)
    (event,) = told(wire, facts.SessionChanged(options))
    shown = event["session"]["audio"]["input"]["noise_reduction"]
    assert shown == (None if after is None else {"type": after.type, "strength": after.strength})


@pytest.mark.parametrize(
    ("given", "code", "part"),
    [
        ("near_field", "invalid_type", ""),
        ({"type": "no_field"}, "invalid_value", ".type"),
        ({"type": "near_field", "strength": 2}, "invalid_value", ".strength"),
    ],
)
def test_noise_reduction_that_nobody_has_is_refused(given: object, code: str, part: str) -> None:
    event = sent(wire_by(), "session.update", session={"audio": {"input": {"noise_reduction": given}}})
    assert refusal(event) == (code, f"session.audio.input.noise_reduction{part}")


def test_an_idle_timeout_is_between_five_and_thirty_seconds_and_can_be_taken_back() -> None:
    wire = wire_by()
    options = updated(wire, audio={"input": {"turn_detection": {"idle_timeout_ms": 6000}}})
    assert options.turn_detection == TurnDetection(idle_timeout=6.0)
    (event,) = told(wire, facts.SessionChanged(options))
    assert event["session"]["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 6000
    off = updated(wire, options, audio={"input": {"turn_detection": {"idle_timeout_ms": None}}})
    assert off.turn_detection == TurnDetection()
    for wrong in (4999, 30_001):
        detection = {"turn_detection": {"idle_timeout_ms": wrong}}
        event = sent(wire_by(), "session.update", session={"audio": {"input": detection}})
        assert refusal(event) == ("invalid_value", "session.audio.input.turn_detection.idle_timeout_ms")


def test_a_silence_that_was_too_long_is_told_as_a_turn_without_words() -> None:
    silent = Item("item_u2", Role.USER, "", modality=Modality.AUDIO)
    timed_out, *more = told(
        wire_by(),
        facts.TurnTimedOut("item_u2", 4.25, 10.25),
        facts.TurnCommitted("item_u2", "item_r1"),
        facts.ItemAdded(silent, "item_r1"),
        facts.ItemDone(silent, "item_r1"),
    )
    assert timed_out == {
        "type": "input_audio_buffer.timeout_triggered",
        "item_id": "item_u2",
        "audio_start_ms": 4250,
        "audio_end_ms": 10_250,
    }
    assert kinds(more) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
