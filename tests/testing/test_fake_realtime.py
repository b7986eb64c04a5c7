"""The fake's transcription sessions, driven by the real SDK: what is heard, what is lost, what is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from tests.testing.realtime_client import Client, connected, hearing, sound, talking
from voicertc.testing.fake_openai import FakeOpenAI, RealtimeScenario, Scenario

DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
TEXT = "What time is it now?"


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI, None]:
    async with FakeOpenAI(Scenario(transcripts=[TEXT], realtime=RealtimeScenario(max_speed=None))) as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeOpenAI) -> AsyncGenerator[Client, None]:
    async with connected(fake) as client:
        yield client


async def test_a_turn_is_heard_while_it_is_said(fake: FakeOpenAI, client: Client) -> None:
    await client.update(**hearing(languages=["en"], keywords=["Oslo"], prompt="A call.", delay="low"))
    await client.append(sound(0.89))
    await client.append(sound(0.31, level=7))
    await client.send("input_audio_buffer.commit")
    done = await client.until(COMPLETED)
    added = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    assert client.types() == [
        "session.created",
        "session.updated",
        *[DELTA] * 2,
        *added,
        *[DELTA] * 3,
        COMPLETED,
    ]
    assert client.joined(DELTA) == done["transcript"] == TEXT
    assert {event["item_id"] for event in client.seen if "item_id" in event} == {done["item_id"]}
    assert (done["usage"], done["languages"]) == ({"type": "duration", "seconds": 2}, [{"code": "en"}])
    (record,) = fake.sockets
    (turn,) = record.turns
    np.testing.assert_array_equal(turn.samples, np.concatenate([sound(0.89), sound(0.31, level=7)]))
    assert (turn.item_id, turn.text, record.n_samples, record.n_lost) == (done["item_id"], TEXT, 28_800, 0)


@pytest.mark.parametrize("model", ["gpt-transcribe", "gpt-4o-transcribe"])
async def test_older_models_write_only_after_the_commit(client: Client, model: str) -> None:
    await client.update(**hearing(model))
    await client.say(sound(3.0))
    done = await client.until(COMPLETED)
    assert client.types()[2:5] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert client.joined(DELTA) == done["transcript"] == TEXT
    assert done["usage"]["type"] == ("duration" if model == "gpt-transcribe" else "tokens")


async def test_turns_follow_each_other_and_the_sound_may_decide_the_text() -> None:
    scenario = Scenario(
        transcripts=lambda samples: f"{len(samples)} samples",
        realtime=RealtimeScenario(max_speed=None, completion_delays=(0.3, 0.0)),
    )
    async with FakeOpenAI(scenario) as fake, connected(fake) as client:
        await client.update(**hearing())
        await client.say(sound(0.5))
        await client.say(sound(1.5))
        first_done, second_done = await client.until(COMPLETED), await client.until(COMPLETED)
        assert [first_done["transcript"], second_done["transcript"]] == ["36000 samples", "12000 samples"]
        first, second = (event for event in client.seen if event["type"] == "input_audio_buffer.committed")
        assert (first["previous_item_id"], second["previous_item_id"]) == (None, first["item_id"])
        assert second_done["item_id"] == first["item_id"]


async def test_a_cleared_turn_is_said_again(client: Client) -> None:
    await client.update(**hearing())
    await client.append(sound(2.0))
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    await client.say(sound(0.5))
    assert (await client.until(COMPLETED))["transcript"] == TEXT


@pytest.mark.parametrize("delay", [0.0, 0.3])
async def test_sound_before_the_session_is_updated_is_lost(delay: float) -> None:
    knobs = RealtimeScenario(max_speed=None, update_delay=delay)
    async with FakeOpenAI(Scenario(transcripts=[TEXT], realtime=knobs)) as fake, connected(fake) as client:
        if not delay:
            await client.append(sound(0.5))
        await client.send("session.update", session=hearing())
        if delay:
            await client.append(sound(0.5))
        await client.until("session.updated")
        await client.say(sound(0.5))
        assert (await client.until(COMPLETED))["transcript"] == "What time"
        assert fake.sockets[0].lost == {"early": 12_000}


async def test_an_update_loses_the_sound_of_the_turn(fake: FakeOpenAI, client: Client) -> None:
    await client.update(**hearing())
    await client.append(sound(0.5))
    await client.update(**hearing())
    await client.say(sound(0.5))
    assert (await client.until(COMPLETED))["transcript"] == "What time"
    assert fake.sockets[0].lost == {"update": 12_000}


async def test_sound_that_comes_too_fast_is_lost() -> None:
    async with FakeOpenAI(Scenario(transcripts=[TEXT])) as fake, connected(fake) as client:
        await client.update(**hearing())
        for _ in range(50):
            await client.append(sound(0.2))
        await client.send("input_audio_buffer.commit")
        done = await client.until(COMPLETED)
        record = fake.sockets[0]
        assert record.lost["fast"] > 0
        assert record.n_lost + len(record.turns[0].samples) == record.n_samples == 240_000
        assert len(done["transcript"]) < len(TEXT)


async def test_what_was_held_back_before_a_turn_may_come_at_once() -> None:
    async with FakeOpenAI(Scenario(transcripts=[TEXT])) as fake, connected(fake) as client:
        await client.update(**hearing())
        await client.say(sound(1.0))
        await client.until(COMPLETED)
        assert fake.sockets[0].n_lost == 0


async def test_too_little_sound_is_no_turn(client: Client) -> None:
    await client.update(**hearing())
    await client.append(sound(0.099))
    await client.send("input_audio_buffer.commit", event_id="mine")
    error = await client.refused()
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
    await client.say(sound(0.001))
    assert (await client.until(COMPLETED))["transcript"] == TEXT


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the usual configuration with one field changed or added."""
    session = hearing()
    *way, last = path.split(".")
    place = session
    for name in way:
        place = place[name]
    place[last] = value
    return session


IN = "audio.input."


@pytest.mark.parametrize(
    ("session", "param"),
    [
        (changed("instructions", "Listen."), "session.instructions"),
        (changed(IN + "format", {"type": "audio/pcm", "rate": 16_000}), "session.audio.input.format.rate"),
        (changed(IN + "format", "pcm16"), "session.audio.input.format"),
        (changed(IN + "turn_detection", {"type": "server_vad"}), "session.audio.input.turn_detection"),
        (changed(IN + "turn_detection", {"type": "vad"}), "session.audio.input.turn_detection.type"),
        (changed(IN + "transcription.model", "whisper-9"), "session.audio.input.transcription.model"),
        (changed(IN + "transcription.languages", "en"), "session.audio.input.transcription.languages"),
        (changed(IN + "transcription.temperature", 0), "session.audio.input.transcription.temperature"),
        (changed(IN + "gain", 2), "session.audio.input.gain"),
        (hearing("gpt-realtime-whisper", prompt="A call."), "session.audio.input.transcription.prompt"),
        (hearing("gpt-realtime-whisper", keywords=["Oslo"]), "session.audio.input.transcription.keywords"),
        (hearing("gpt-transcribe", delay="low"), "session.audio.input.transcription.delay"),
        (talking(), "session.type"),
        ({"audio": {}}, "session.type"),
    ],
)
async def test_a_wrong_configuration_is_refused_and_changes_nothing(
    client: Client, session: dict[str, Any], param: str
) -> None:
    await client.send("session.update", session=session, event_id="e1")
    error = await client.refused()
    assert (error["param"], error["event_id"], error["type"]) == (param, "e1", "invalid_request_error")
    await client.say(sound(1.0))
    assert (await client.refused())["code"] == "input_audio_buffer_commit_empty"


async def test_turn_detection_has_to_be_turned_off_by_name(client: Client) -> None:
    session = hearing()
    del session["audio"]["input"]["turn_detection"]
    await client.send("session.update", session=session)
    assert (await client.refused())["param"] == "session.audio.input.turn_detection"


async def test_delay_may_be_refused() -> None:
    knobs = RealtimeScenario(has_delay=False)
    async with FakeOpenAI(Scenario(realtime=knobs)) as fake, connected(fake) as client:
        await client.send("session.update", session=hearing(delay="low"))
        assert (await client.refused())["param"] == "session.audio.input.transcription.delay"
        await client.update(**hearing())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_type"),
        ('{"type": "input_audio_buffer.flush"}', "invalid_value"),
        ('{"event_id": "e1"}', "missing_required_parameter"),
        ('{"type": "input_audio_buffer.commit", "final": true}', "unknown_parameter"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter"),
        ('{"type": "input_audio_buffer.append", "audio": [1, 2]}', "invalid_type"),
        ('{"type": "input_audio_buffer.append", "audio": "no base64"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "invalid_value"),
        ('{"type": "response.create"}', "invalid_event"),
        ('{"type": "output_audio_buffer.clear"}', "invalid_value"),
    ],
)
async def test_a_wrong_event_is_refused_and_the_session_goes_on(
    fake: FakeOpenAI, client: Client, text: str, code: str
) -> None:
    await client.update(**hearing())
    await client.send_text(text)
    assert (await client.refused())["code"] == code
    await client.say(sound(0.5))
    assert (await client.until(COMPLETED))["transcript"] == TEXT
    assert [error["code"] for error in fake.sockets[0].errors] == [code]
