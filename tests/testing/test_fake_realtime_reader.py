"""The fake's reader: out-of-band responses, driven by the real SDK."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from tests.testing.realtime_client import TALK, Client, connected, talking
from voicertc.core.replies import ToolCall
from voicertc.testing.fake_openai import FailTurn, FakeOpenAI, OddSound, RealtimeScenario, Scenario, spoken
from voicertc.testing.openai_realtime_scenario import Reading

TEXT = 'He said "no" to Ann.'
DONE = "response.done"
SOUND = "response.output_audio.delta"
WORDS = "response.output_audio_transcript.delta"


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI, None]:
    async with FakeOpenAI() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeOpenAI) -> AsyncGenerator[Client, None]:
    async with connected(fake, **TALK) as client:
        await client.update(**talking())
        yield client


def said(text: str) -> list[dict[str, Any]]:
    return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]


async def order(client: Client, text: str = TEXT, **fields: Any) -> None:
    response = {"conversation": "none", "input": said(json.dumps(text)), **fields}
    await client.send("response.create", response=response)


async def read(client: Client, text: str = TEXT, **fields: Any) -> dict[str, Any]:
    await order(client, text, **fields)
    response: dict[str, Any] = (await client.until(DONE))["response"]
    return response


async def test_a_text_is_read_in_the_order_of_the_service(client: Client) -> None:
    response = await read(client, metadata={"utt": "u1"}, output_modalities=["audio"], tool_choice="none")
    kinds = [kind for kind, _ in itertools.groupby(client.types()[2:])]
    assert kinds[:4] == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert set(kinds[4:-5]) == {WORDS, SOUND}
    assert kinds[4] == WORDS
    assert kinds[-5:] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        DONE,
    ]
    np.testing.assert_array_equal(client.sound(), spoken(TEXT))
    assert client.joined(WORDS) == TEXT
    assert (response["status"], response["status_details"]) == ("completed", None)
    assert (response["metadata"], response["conversation_id"]) == ({"utt": "u1"}, None)
    (item,) = response["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": TEXT}]
    ids = {event["response_id"] for event in client.seen if "response_id" in event}
    assert ids == {response["id"]}


async def test_the_transcript_is_a_little_ahead_of_the_sound(client: Client) -> None:
    await read(client, "one two three four five six seven eight nine ten")
    n_words = n_ms = 0
    for event in client.seen:
        if event["type"] == SOUND:
            n_ms += 40
            assert n_words >= n_ms / 60  # never behind
            assert n_words <= (n_ms + 40 + 200) / 60 + len(" three")  # nor more than a word and 200 ms ahead
        elif event["type"] == WORDS:
            n_words += len(event["delta"])


async def test_the_text_may_be_in_the_instructions(client: Client) -> None:
    prompt = f"Narrate this JSON string value exactly: {json.dumps(TEXT)}"
    await client.send(
        "response.create", response={"conversation": "none", "input": [], "instructions": prompt}
    )
    await client.until(DONE)
    assert client.joined(WORDS) == TEXT


async def test_speed_shortens_the_sound(client: Client) -> None:
    session = talking()
    session["audio"]["output"]["speed"] = 1.5
    await client.update(**session)
    await read(client)
    np.testing.assert_array_equal(client.sound(), spoken(TEXT, speed=1.5))


@pytest.mark.parametrize(
    ("reading", "heard", "output"),
    [
        ("He said no.", "He said no.", ["message"]),
        ("I'm sorry, I can't help with that.", "I'm sorry, I can't help with that.", ["message"]),
        ((ToolCall("look", '{"at": "it"}'),), "", ["function_call"]),
        ("", "", []),
    ],
)
async def test_a_reader_may_say_something_else(reading: Reading, heard: str, output: list[str]) -> None:
    scenario = Scenario(realtime=RealtimeScenario(reader=lambda _text: reading))
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        response = await read(client)
        assert client.joined(WORDS) == heard
        assert [item["type"] for item in response["output"]] == output


async def test_a_limit_ends_the_sound(client: Client) -> None:
    response = await read(client, max_output_tokens=20)
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    usage = response["usage"]["output_token_details"]
    assert usage["text_tokens"] + usage["audio_tokens"] <= 20
    assert usage["audio_tokens"] == -(-len(client.sound()) // 1200)
    assert 0 < len(client.sound()) < len(spoken(TEXT))


async def test_usage_counts_words_and_sound_and_what_was_cached(client: Client) -> None:
    first = (await read(client, instructions="Read it out."))["usage"]
    second = (await read(client, instructions="Read it out."))["usage"]
    n_sound = -(-len(TEXT) * 60 // 50)
    assert first["output_token_details"] == {"text_tokens": 5, "audio_tokens": n_sound}
    assert first["output_tokens"] == 5 + n_sound
    assert first["input_tokens"] == 3 + 5
    assert (
        first["input_token_details"]["cached_tokens"],
        second["input_token_details"]["cached_tokens"],
    ) == (0, 3)
    assert second["input_token_details"]["cached_tokens_details"]["text_tokens"] == 3


async def test_a_cancel_needs_the_id_and_a_little_sound_comes_after_it() -> None:
    scenario = Scenario(audio_speed=0.001, realtime=RealtimeScenario(late_chunks=2))  # one chunk, then 40 s
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await order(client, "A very long text, that takes its time.")
        response_id = (await client.until(SOUND))["response_id"]
        await client.send("response.cancel", event_id="c1")
        error = await client.refused()
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "c1")
        await client.send("response.cancel", response_id=response_id)
        response = (await client.until(DONE))["response"]
        assert client.types().count(SOUND) == 1 + 2
        assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await client.send("response.cancel", response_id=response_id)
        assert (await client.refused())["code"] == "response_cancel_not_active"


async def test_a_cancel_before_the_first_sound_is_at_once() -> None:
    async with FakeOpenAI(Scenario(first_audio_delay=100.0)) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await order(client)
        response_id = (await client.until("response.created"))["response"]["id"]
        await client.send("response.cancel", response_id=response_id)
        response = (await client.until(DONE))["response"]
        assert (response["status"], response["output"]) == ("cancelled", [])


async def test_texts_may_be_read_at_the_same_time(client: Client) -> None:
    await order(client, "first", metadata={"utt": "1"})
    await order(client, "second", metadata={"utt": "2"})
    done = [(await client.until(DONE))["response"] for _ in range(2)]
    heard = {each["metadata"]["utt"]: each["output"][0]["content"][0]["transcript"] for each in done}
    assert heard == {"1": "first", "2": "second"}


async def test_the_voice_stays_after_the_first_sound(client: Client) -> None:
    session = talking()
    session["audio"]["output"]["voice"] = "cedar"
    assert (await client.update(**session))["session"]["audio"]["output"]["voice"] == "cedar"
    await read(client)
    await client.update(**session)
    await client.send("session.update", session=talking())
    assert (await client.refused())["code"] == "cannot_update_voice"
    await order(client, audio={"output": {"voice": "marin"}})
    assert (await client.refused())["code"] == "cannot_update_voice"


async def test_a_response_may_fail_and_the_next_one_is_well() -> None:
    scenario = Scenario(realtime=RealtimeScenario(responses=[FailTurn("rate_limit_exceeded", "Too many.")]))
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        response = await read(client)
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"] == "rate_limit_exceeded"
        assert (await read(client))["status"] == "completed"


async def test_sound_may_lack_its_last_byte_and_split_samples() -> None:
    scenario = Scenario(audio_chunk_bytes=777, realtime=RealtimeScenario(responses=[OddSound()]))
    async with FakeOpenAI(scenario) as fake, connected(fake, **TALK) as client:
        await client.update(**talking())
        await read(client)
        sizes = [len(chunk) for chunk in client.chunks()]
        assert (sizes[0], sum(sizes)) == (777, 2 * len(spoken(TEXT)) - 1)
        assert [event["delta"] for event in fake.sockets[0].sent if event["type"] == SOUND] == sizes


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"modalities": ["audio"]}, "response.modalities"),
        ({"output_modalities": ["audio", "text"]}, "response.output_modalities"),
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
        ({"max_output_tokens": "all"}, "response.max_output_tokens"),
        ({"voice": "marin"}, "response.voice"),
        ({"audio": {"output": {"voice": "nova"}}}, "response.audio.output.voice"),
        ({"input": [{"role": "user", "content": []}]}, "response.input[0].type"),
        ({"input": [{"type": "message", "role": "user"}]}, "response.input[0].content"),
        ({"tools": [{"type": "function", "function": {}}]}, "response.tools[0].function"),
        ({"metadata": {"n": 1}}, "response.metadata.n"),
    ],
)
async def test_a_wrong_order_is_refused(client: Client, response: dict[str, Any], param: str) -> None:
    await client.send("response.create", response={"conversation": "none", **response}, event_id="r1")
    error = await client.refused()
    assert (error["param"], error["event_id"]) == (param, "r1")
    assert "response.created" not in client.types()


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": "gpt-realtime-2"}, "session.model"),
        ({"voice": "marin"}, "session.voice"),
        ({"modalities": ["audio"]}, "session.modalities"),
        ({"reasoning": {"effort": "none"}}, "session.reasoning.effort"),
        ({"temperature": 0.8}, "session.temperature"),
        ({"max_output_tokens": 5000}, "session.max_output_tokens"),
        ({"tool_choice": "any"}, "session.tool_choice"),
        ({"audio": {"output": {"speed": 2.0}}}, "session.audio.output.speed"),
        (
            {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 48_000}}}},
            "session.audio.output.format.rate",
        ),
    ],
)
async def test_a_wrong_session_is_refused(client: Client, change: dict[str, Any], param: str) -> None:
    await client.send("session.update", session={"type": "realtime", **change})
    assert (await client.refused())["param"] == param


async def test_what_is_not_named_stays(client: Client) -> None:
    session = (await client.update(type="realtime", instructions="Read.", reasoning={"effort": "minimal"}))[
        "session"
    ]
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["instructions"] == "Read."
