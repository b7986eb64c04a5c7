"""PyPI ``openai`` over its WebSocket: turns, spoken and written, in every form of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from voicertc.audio.pcm import HEARING_RATE_HZ, Samples

from .agent import USAGE
from .formats import A_LAW, MU_LAW, PCM, Format
from .line import Line
from .server import Server
from .speech import RATE_HZ, level_db, likeness, numbers_heard, resampled
from .words import COUNTED, STORY, WORD_SECONDS

pytestmark = pytest.mark.network

Speech = Callable[[str], Samples]

VAD = {"type": "server_vad", "silence_duration_ms": 300}

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
REPLY_BEGINS = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
SPOKEN_ENDS = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
WRITTEN_ENDS = ["response.output_text.done", *SPOKEN_ENDS[2:]]
TRANSCRIPTION = "conversation.item.input_audio_transcription."


def types(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of events, without those that may come at any time or any number of times."""
    return [
        event["type"]
        for event in events
        if not event["type"].endswith(".delta")
        and not event["type"].startswith(TRANSCRIPTION)
        and event["type"] != "rate_limits.updated"
    ]


async def test_a_spoken_turn_is_heard_written_down_and_answered_aloud(server: Server, speech: Speech) -> None:
    question = speech("ten of clubs")
    async with Line.open(server) as line:
        session = line.events("session.created")[0]["session"]
        assert (session["type"], session["object"]) == ("realtime", "realtime.session")
        session = await line.update(audio={"input": {"turn_detection": VAD}})
        detection = session["audio"]["input"]["turn_detection"]
        assert detection == {
            **VAD,
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "create_response": True,
            "interrupt_response": True,
            "idle_timeout_ms": None,
        }
        began = await line.mouth.say(question)
        events = await line.through("response.done")

        assert types(events) == [*TURN, *REPLY_BEGINS, *SPOKEN_ENDS]
        started, stopped, committed, added, done = events[:5]
        speech_began, speech_ended = began + 0.1, began + len(question) / 24_000 - 0.1
        assert started["audio_start_ms"] / 1000 == pytest.approx(speech_began - 0.3, abs=0.15)
        assert stopped["audio_end_ms"] / 1000 == pytest.approx(speech_ended, abs=0.45)
        assert {event["item_id"] for event in (started, stopped, committed)} == {added["item"]["id"]}
        assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
        assert done["previous_item_id"] is None
        (transcript,) = [event for event in events if event["type"] == f"{TRANSCRIPTION}completed"]
        assert transcript["transcript"] == "ten of clubs"
        heard = [event["delta"] for event in events if event["type"] == f"{TRANSCRIPTION}delta"]
        assert "".join(heard) == "ten of clubs"
        assert transcript["usage"]["seconds"] == pytest.approx(len(question) / 24_000, abs=0.7)

        response = events[-1]["response"]
        (answer,) = response["output"]
        assert answer["content"] == [{"type": "output_audio", "transcript": "You said: ten of clubs."}]
        assert response["usage"] == {
            "total_tokens": USAGE.input_tokens + USAGE.output_tokens,
            "input_tokens": USAGE.input_tokens,
            "output_tokens": USAGE.output_tokens,
            "input_token_details": response["usage"]["input_token_details"],
            "output_token_details": response["usage"]["output_token_details"],
        }
        assert response["usage"]["input_token_details"]["cached_tokens"] == USAGE.cached_tokens
        sound = line.sound(response["id"])
        assert len(sound) / 24_000 == pytest.approx(5 * WORD_SECONDS, abs=0.01)
        assert level_db(sound) > -25
        assert numbers_heard(sound) == [0, 10, 0]
        words = [event["delta"] for event in line.events("response.output_audio_transcript.delta")]
        assert "".join(words) == "You said: ten of clubs."


@pytest.mark.parametrize("eagerness", ["high", "auto"])
async def test_semantic_vad_ends_turns_by_its_eagerness(
    server: Server, speech: Speech, eagerness: str
) -> None:
    async with Line.open(server) as line:
        detection = {"type": "semantic_vad", "eagerness": eagerness}
        session = await line.update(
            output_modalities=["text"], audio={"input": {"turn_detection": detection}}
        )
        assert session["audio"]["input"]["turn_detection"] == {
            **detection,
            "create_response": True,
            "interrupt_response": True,
        }
        await line.mouth.say(speech("ten of clubs"))
        response = (await line.next("response.done"))["response"]
        assert response["output"][0]["content"] == [
            {"type": "output_text", "text": "You said: ten of clubs."}
        ]


async def test_a_turn_without_create_response_waits_for_the_client(server: Server, speech: Speech) -> None:
    async with Line.open(server) as line:
        detection = {**VAD, "create_response": False}
        await line.update(output_modalities=["text"], audio={"input": {"turn_detection": detection}})
        await line.mouth.say(speech("ten of clubs"))
        await line.next(f"{TRANSCRIPTION}completed")
        assert line.events("response.created") == []
        await line.connection.response.create()
        response = (await line.next("response.done"))["response"]
        assert response["output"][0]["content"] == [
            {"type": "output_text", "text": "You said: ten of clubs."}
        ]


async def test_push_to_talk_hears_what_lies_between_clear_and_commit(server: Server, speech: Speech) -> None:
    async with Line.open(server) as line:
        session = await line.update(audio={"input": {"turn_detection": None}})
        assert session["audio"]["input"]["turn_detection"] is None
        await line.mouth.say(speech("go forward ten meters"))
        await line.connection.input_audio_buffer.clear()
        await line.next("input_audio_buffer.cleared")
        await line.mouth.say(speech("ten of clubs"))
        line.mouth.is_open = False
        await line.connection.input_audio_buffer.commit()
        events = await line.through(f"{TRANSCRIPTION}completed")
        assert types(events) == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        assert events[-1]["transcript"] == "ten of clubs"
        await line.connection.response.create()
        events = await line.through("response.done")
        assert types(events) == [*REPLY_BEGINS, *SPOKEN_ENDS]
        assert not line.events("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")


async def test_something_written_is_answered_aloud(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        item = {"id": "item_mine", "type": "message", "role": "user"}
        item["content"] = [{"type": "input_text", "text": "count for me"}]  # type: ignore[assignment]
        await line.connection.conversation.item.create(item=item)  # type: ignore[arg-type]
        added, done = await line.through("conversation.item.done")
        assert added["type"] == "conversation.item.added"
        assert (done["item"]["id"], done["item"]["status"]) == ("item_mine", "completed")
        await line.connection.response.create()
        events = await line.through("response.done", within=20)
        assert types(events) == [*REPLY_BEGINS, *SPOKEN_ENDS]
        response = events[-1]["response"]
        assert response["output"][0]["content"][0]["transcript"] == STORY
        sound = line.sound(response["id"])
        assert len(sound) / 24_000 == pytest.approx(len(COUNTED) * WORD_SECONDS, abs=0.01)
        assert numbers_heard(sound) == list(range(1, 41))


async def test_text_alone_is_answered_in_text_alone(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        session = await line.update(output_modalities=["text"])
        assert session["output_modalities"] == ["text"]
        await line.type("hello")
        await line.connection.response.create()
        events = await line.through("response.done")
        assert types(events) == [*REPLY_BEGINS, *WRITTEN_ENDS]
        assert (
            "".join(event["delta"] for event in line.events("response.output_text.delta"))
            == "You said: hello."
        )
        assert events[-1]["response"]["output"][0]["content"] == [
            {"type": "output_text", "text": "You said: hello."}
        ]
        # One response may be otherwise.
        response = await line.answer("hello again", output_modalities=["audio"])
        assert response["output"][0]["content"][0]["type"] == "output_audio"
        assert level_db(line.sound(response["id"])) > -25


@pytest.mark.parametrize("kind", [MU_LAW, A_LAW], ids=["pcmu", "pcma"])
async def test_g711_is_understood_and_spoken(server: Server, speech: Speech, kind: Format) -> None:
    prompt = kind.as_json["type"]
    transcription = {"model": "whisper-1", "language": "en", "prompt": prompt}
    async with Line.open(server) as line:
        session = await line.update(
            audio={
                "input": {"format": kind.as_json, "transcription": transcription, "turn_detection": VAD},
                "output": {"format": kind.as_json},
            }
        )
        assert session["audio"]["input"]["format"] == kind.as_json
        assert session["audio"]["output"]["format"] == kind.as_json
        line.format = kind
        command = speech("go forward ten meters")
        await line.mouth.say(command)
        response = (await line.next("response.done"))["response"]
        # The recognizer does not know voices through a telephone, so that its words prove nothing.
        narrow = resampled(resampled(command, RATE_HZ, kind.rate_hz), kind.rate_hz, HEARING_RATE_HZ)
        assert likeness(server.heard(prompt), narrow) > 0.98
        assert response["audio"]["output"]["format"] == kind.as_json
        answer = await line.answer("count")
        sound = line.sound(answer["id"])
        assert len(sound) / kind.rate_hz == pytest.approx(len(COUNTED) * WORD_SECONDS, abs=0.01)
        assert numbers_heard(sound, kind.rate_hz) == list(range(1, 41))


async def test_a_format_is_replaced_as_a_whole(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        await line.update(audio={"input": {"format": PCM.as_json}, "output": {"format": PCM.as_json}})
        session = await line.update(audio={"output": {"format": {"type": "audio/pcmu"}}})
        assert session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
        assert session["audio"]["input"]["format"] == PCM.as_json


async def test_speed_and_length_of_a_response_are_the_clients_choice(server: Server) -> None:
    async with Line.open(server, speaks=False) as line:
        session = await line.update(audio={"output": {"speed": 1.5}}, max_output_tokens=20)
        assert (session["audio"]["output"]["speed"], session["max_output_tokens"]) == (1.5, 20)
        response = await line.answer("count")
        assert response["status"] == "incomplete"
        assert response["status_details"]["reason"] == "max_output_tokens"
        assert response["output"][0]["content"][0]["transcript"] == "one, two, three"
        assert len(line.sound(response["id"])) / 24_000 == pytest.approx(3 * WORD_SECONDS / 1.5, abs=0.01)
        (asked,) = server.asked(line.session_id)
        assert asked["max_output_tokens"] == 20


async def test_speech_that_cannot_be_recognized_is_told(server: Server, speech: Speech) -> None:
    async with Line.open(server) as line:
        german = {"model": "whisper-1", "language": "de"}  # which the recognizer here does not know
        await line.update(audio={"input": {"transcription": german, "turn_detection": VAD}})
        await line.mouth.say(speech("ten of clubs"))
        failed = await line.next(f"{TRANSCRIPTION}failed")
        assert failed["item_id"] == line.events("input_audio_buffer.committed")[0]["item_id"]
        assert failed["error"]["message"]


async def test_silence_after_a_reply_is_told_and_answered(server: Server) -> None:
    async with Line.open(server) as line:
        await line.update(audio={"input": {"turn_detection": {**VAD, "idle_timeout_ms": 5000}}})
        await line.answer("hello")
        triggered = await line.next("input_audio_buffer.timeout_triggered", within=12)
        assert triggered["audio_end_ms"] - triggered["audio_start_ms"] == pytest.approx(5000, abs=500)
        await line.next("response.done")
        assert [asked["cause"] for asked in server.asked(line.session_id)] == ["client", "idle"]


async def test_a_transcription_session_only_writes_down(server: Server, speech: Speech) -> None:
    async with Line.open(server, intent="transcription") as line:
        created = line.events("session.created")[0]["session"]
        assert (created["type"], created["object"]) == ("transcription", "realtime.transcription_session")
        transcription = {"model": "gpt-4o-transcribe", "language": "en"}
        session = {
            "type": "transcription",
            "audio": {"input": {"transcription": transcription, "turn_detection": VAD}},
        }
        await line.connection.session.update(session=session)  # type: ignore[arg-type]
        updated = (await line.next("session.updated"))["session"]
        assert updated["audio"]["input"]["transcription"]["language"] == "en"
        await line.mouth.say(speech("how old is the brooklyn bridge"))
        events = await line.through(f"{TRANSCRIPTION}completed")
        assert types(events) == TURN
        assert events[-1]["transcript"] == "how old is the brooklyn bridge"
        await line.mouth.say(speech("ten of clubs"))
        assert (await line.next(f"{TRANSCRIPTION}completed"))["transcript"] == "ten of clubs"
        assert [event for event in line.events() if event["type"].startswith("response.")] == []
        assert server.asked(line.session_id) == []
