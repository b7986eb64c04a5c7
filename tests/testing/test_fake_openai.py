"""The fake is judged by the real SDK, on its own transport, and by what it refuses."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest

from voicertc.testing.fake_openai import Cut, FailInside, FakeOpenAI, Refuse, Scenario, Send, Stall, spoken
from voicertc.testing.openai_answers import tokens

LIMIT = 10.0
MESSAGES: list[Any] = [{"role": "user", "content": "Grüß Gott!"}]
TONE = spoken("twenty characters!!!", rate_hz=16_000)


def wav(n_samples: int = 16_000, *, channels: int = 1, width: int = 2, rate_hz: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate_hz)
        writer.writeframes(np.resize(TONE, n_samples).astype("<i2").tobytes())
    return file.getvalue()


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI, None]:
    async with FakeOpenAI() as fake:
        yield fake


@pytest.fixture
async def api(fake: FakeOpenAI) -> AsyncGenerator[openai.AsyncOpenAI, None]:
    async with sdk(fake) as api:
        yield api


def sdk(fake: FakeOpenAI, api_key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=api_key or fake.api_key, base_url=fake.base_url, max_retries=0)


async def test_the_sdk_reads_a_transcript(fake: FakeOpenAI, api: openai.AsyncOpenAI) -> None:
    answer = await api.audio.transcriptions.create(
        file=("a.wav", wav(8000)), model="gpt-transcribe", languages=["en", "de"], keywords=["Oslo"]
    )
    assert answer.text == "Hello there."
    assert answer.to_dict() == {
        "text": "Hello there.",
        "languages": [{"code": "en"}],
        "usage": {"type": "duration", "seconds": 0.5},
    }
    (request,) = fake.requests
    assert request.fields == {"model": "gpt-transcribe", "languages": ["en", "de"], "keywords": ["Oslo"]}
    assert (request.endpoint, request.status, request.outcome) == ("transcriptions", 200, "answered")
    assert request.audio is not None
    np.testing.assert_array_equal(request.audio, np.resize(TONE, 8000))


async def test_the_sdk_streams_a_transcript(api: openai.AsyncOpenAI) -> None:
    stream = await api.audio.transcriptions.create(file=("a.wav", wav()), model="gpt-transcribe", stream=True)
    events = [event async for event in stream]
    assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert [event.delta for event in events if event.type == "transcript.text.delta"] == ["Hello", " there."]


async def test_the_sdk_streams_an_answer(fake: FakeOpenAI, api: openai.AsyncOpenAI) -> None:
    stream = await api.chat.completions.create(
        model="gpt-6-luna",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        reasoning_effort="none",
        max_completion_tokens=100,
    )
    chunks = [chunk async for chunk in stream]
    assert [chunk.choices[0].delta.content for chunk in chunks[:-1]] == [
        "",
        *tokens("Hello. How can I help you?"),
        None,
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 7 + ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6
    assert fake.requests[0].n_sent == 8


async def test_the_sdk_reads_an_answer_as_a_whole(api: openai.AsyncOpenAI) -> None:
    answer = await api.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=0.3)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (
        "Hello. How can I help you?",
        "stop",
    )


@pytest.mark.parametrize("kind", ["pcm", "wav"])
async def test_the_sdk_hears_a_tone_as_long_as_the_text(api: openai.AsyncOpenAI, kind: Any) -> None:
    answer = await api.audio.speech.create(
        model="gpt-4o-mini-tts", voice="marin", input="Hello.", response_format=kind, speed=1.5
    )
    sound = answer.content if kind == "pcm" else answer.content[44:]
    np.testing.assert_array_equal(np.frombuffer(sound, "<i2"), spoken("Hello.", speed=1.5))
    assert len(sound) == 2 * round(6 * 0.06 * 24_000 / 1.5)


async def test_the_sdk_finds_models(api: openai.AsyncOpenAI) -> None:
    assert "gpt-6-luna" in [model.id async for model in api.models.list()]
    assert (await api.models.retrieve("gpt-6-luna")).id == "gpt-6-luna"
    with pytest.raises(openai.NotFoundError):
        await api.models.retrieve("gpt-7")


async def test_transcripts_and_replies_come_in_order_and_the_last_one_stays() -> None:
    async with FakeOpenAI(Scenario(transcripts=["one", "two"])) as fake, sdk(fake) as api:
        heard = [
            (await api.audio.transcriptions.create(file=("a.wav", wav()), model="whisper-1")).text
            for _ in range(3)
        ]
    assert heard == ["one", "two", "two"]


async def test_what_is_said_may_depend_on_the_sound_and_on_the_messages() -> None:
    scenario = Scenario(
        transcripts=lambda samples: f"{len(samples)} samples",
        replies=lambda messages: str(messages[-1]["content"]).upper(),
    )
    async with FakeOpenAI(scenario) as fake, sdk(fake) as api:
        heard = await api.audio.transcriptions.create(file=("a.wav", wav(4321)), model="whisper-1")
        said = await api.chat.completions.create(model="gpt-4.1", messages=MESSAGES)
    assert (heard.text, said.choices[0].message.content) == ("4321 samples", "GRÜSS GOTT!")


@pytest.mark.parametrize("key", ["wrong", None])
async def test_a_wrong_key_is_refused_everywhere(fake: FakeOpenAI, key: str | None) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"} if key else {}) as session:
        for path in ("/chat/completions", "/audio/speech", "/audio/transcriptions"):
            async with session.post(fake.base_url + path, json={}) as response:
                error = (await response.json())["error"]
                assert (response.status, error["code"]) == (401, "invalid_api_key" if key else None)
    assert {request.outcome for request in fake.requests} == {"refused"}


async def refusal(fake: FakeOpenAI, path: str, body: object) -> tuple[int, str | None, str | None]:
    """Status, code and param of what is refused."""
    headers = {"Authorization": f"Bearer {fake.api_key}"}
    form = body if isinstance(body, aiohttp.FormData) else None
    sent = {"data": form} if form else {"json": body}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(fake.base_url + path, **sent) as response,
    ):
        error = (await response.json())["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return response.status, error["code"], error["param"]


CHAT: dict[str, Any] = {"model": "gpt-6-luna", "messages": MESSAGES}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "gpt-7"}, (404, "model_not_found", None)),
        ({"model": None}, (400, "missing_required_parameter", "model")),
        ({"messages": None}, (400, "missing_required_parameter", "messages")),
        ({"messages": []}, (400, "empty_array", "messages")),
        ({"messages": "Hi"}, (400, "invalid_type", "messages")),
        ({"messages": [{"role": "user", "content": None}]}, (400, "invalid_type", "messages.[0]")),
        ({"messages": [{"role": "bot", "content": "x"}]}, (400, "invalid_type", "messages.[0]")),
        (
            {"messages": [{"role": "user", "content": "x", "id": "1"}]},
            (400, "unknown_parameter", "messages[0].id"),
        ),
        (
            {"messages": [{"role": "assistant", "content": None}]},
            (400, "invalid_type", "messages.[0].content"),
        ),
        ({"top_k": 5}, (400, "unknown_parameter", "top_k")),
        ({"max_tokens": 5}, (400, "unsupported_parameter", "max_tokens")),
        ({"max_completion_tokens": 0}, (400, None, "max_completion_tokens")),
        ({"temperature": 0.5}, (400, "unsupported_value", "temperature")),
        ({"reasoning_effort": "minimal"}, (400, "invalid_value", "reasoning_effort")),
        ({"model": "gpt-5-mini", "reasoning_effort": "none"}, (400, "invalid_value", "reasoning_effort")),
        (
            {"model": "gpt-4.1", "reasoning_effort": "none"},
            (400, "unsupported_parameter", "reasoning_effort"),
        ),
        ({"stream_options": {"include_usage": True}}, (400, None, "stream_options")),
    ],
    ids=str,
)
async def test_chat_refuses_what_openai_refuses(
    fake: FakeOpenAI, change: Mapping[str, Any], expected: tuple[int, str | None, str | None]
) -> None:
    body = {name: value for name, value in {**CHAT, **change}.items() if value is not None}
    assert await refusal(fake, "/chat/completions", body) == expected


async def test_chat_takes_sampling_from_a_model_that_does_not_think(fake: FakeOpenAI) -> None:
    async with sdk(fake) as api:
        await api.chat.completions.create(**CHAT, reasoning_effort="none", temperature=0.5)


SPEECH: dict[str, Any] = {
    "model": "gpt-4o-mini-tts",
    "voice": "marin",
    "input": "Hi",
    "response_format": "pcm",
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "gpt-realtime-2.1-mini"}, (404, "model_not_found", None)),
        ({"input": None}, (400, "missing_required_parameter", "input")),
        ({"input": ""}, (400, "string_below_min_length", "input")),
        ({"input": "x" * 4097}, (400, "string_above_max_length", "input")),
        ({"input": 5}, (400, "invalid_type", "input")),
        ({"voice": "bella"}, (400, "invalid_value", "voice")),
        ({"voice": {"name": "bella"}}, (400, "invalid_value", "voice")),
        ({"speed": 0.1}, (400, "invalid_value", "speed")),
        ({"response_format": "ogg"}, (400, "invalid_value", "response_format")),
        ({"response_format": "mp3"}, (400, None, "response_format")),
        ({"stream_format": "raw"}, (400, "invalid_value", "stream_format")),
        ({"instructions": 5}, (400, "invalid_type", "instructions")),
        ({"sample_rate": 24_000}, (400, "unknown_parameter", "sample_rate")),
    ],
    ids=str,
)
async def test_speech_refuses_what_openai_refuses(
    fake: FakeOpenAI, change: Mapping[str, Any], expected: tuple[int, str | None, str | None]
) -> None:
    body = {name: value for name, value in {**SPEECH, **change}.items() if value is not None}
    assert await refusal(fake, "/audio/speech", body) == expected


def form(file: bytes | None = None, name: str = "a.wav", **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData({"model": "gpt-transcribe", **fields})
    if file is not None:
        data.add_field("file", file, filename=name, content_type="audio/wav")
    return data


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (form(wav(), model="gpt-7"), (404, "model_not_found", None)),
        (form(wav(), hotwords="Oslo"), (400, "unknown_parameter", "hotwords")),
        (form(wav(), language="english"), (400, "invalid_language_format", "language")),
        (form(wav(), response_format="srt"), (400, "invalid_value", "response_format")),
        (form(wav(), **{"include[]": "logprobs"}), (400, "unsupported_parameter", "include")),
        (form(wav(), model="whisper-1", **{"keywords[]": "x"}), (400, "unsupported_parameter", "keywords")),
        (form(wav(1599)), (400, "audio_too_short", "file")),
        (form(wav(channels=2)), (400, "invalid_value", "file")),
        (form(wav(width=1)), (400, "invalid_value", "file")),
        (form(wav()[:-100]), (400, "invalid_value", "file")),
        (form(b""), (400, "invalid_value", "file")),
        (form(b"not a file"), (400, "invalid_value", "file")),
        (form(wav(), name="a.pcm"), (400, None, "file")),
        (form(None, language="en"), (400, None, None)),
        ({"model": "gpt-transcribe"}, (400, None, None)),
    ],
    ids=range(15),
)
async def test_transcription_refuses_what_openai_refuses(
    fake: FakeOpenAI, body: object, expected: tuple[int, str | None, str | None]
) -> None:
    assert await refusal(fake, "/audio/transcriptions", body) == expected


@pytest.mark.parametrize("path", ["/chat/completions", "/audio/speech"])
async def test_a_body_that_is_no_object_is_refused(fake: FakeOpenAI, path: str) -> None:
    assert await refusal(fake, path, [1]) == (400, None, None)
    headers = {"Authorization": f"Bearer {fake.api_key}", "Content-Type": "text/plain"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for body in (b"{not json", json.dumps(CHAT).encode()):
            async with session.post(fake.base_url + path, data=body) as response:
                assert response.status == 400


async def test_a_lenient_server_takes_what_it_does_not_know() -> None:
    async with FakeOpenAI(Scenario(api_key=None, is_strict=False)) as fake, sdk(fake, "anything") as api:
        answer = await api.chat.completions.create(
            model="llama", messages=MESSAGES, max_tokens=6, extra_body={"top_k": 1}
        )
        assert answer.choices[0].message.content == "Hello. How can I help you?"


async def test_faults_come_in_order_and_then_end() -> None:
    faults = {"chat": [Refuse(500), None, Refuse(429, headers={"retry-after": "3"})], "speech": [Send(b"")]}
    async with FakeOpenAI(Scenario(faults=faults)) as fake, sdk(fake) as api:
        seen: list[object] = []
        for _ in range(4):
            try:
                await api.chat.completions.create(**CHAT)
                seen.append(200)
            except openai.APIStatusError as error:
                seen.append((error.status_code, error.response.headers.get("retry-after")))
        assert seen == [(500, None), 200, (429, "3"), 200]
        assert (await api.audio.speech.create(**SPEECH)).content == b""
        assert [request.outcome for request in fake.requests] == [
            "failed",
            "answered",
            "failed",
            "answered",
            "failed",
        ]


async def test_a_cut_connection_is_an_error_to_the_sdk() -> None:
    scenario = Scenario(faults={"chat": [Cut(), Cut(after=2), FailInside(after=1)]})
    async with FakeOpenAI(scenario) as fake, sdk(fake) as api:
        texts: list[list[str]] = []

        async def listen() -> None:
            texts.append([])
            async for chunk in await api.chat.completions.create(**CHAT, stream=True):
                texts[-1].append(chunk.choices[0].delta.content or "")

        for error in (openai.APIConnectionError, openai.APIConnectionError, openai.APIError):
            with pytest.raises(error):
                await listen()
        assert texts == [[], ["", "Hello.", " How"], ["", "Hello."]]
        assert [request.outcome for request in fake.requests] == ["failed"] * 3


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(faults={"speech": [Stall()]}),
        Scenario(faults={"speech": [Stall(after=2)]}),
        Scenario(first_audio_delay=LIMIT),
        Scenario(audio_speed=0.01),
    ],
    ids=["stall", "stall in the middle", "late", "slow"],
)
async def test_a_client_that_leaves_is_noticed_while_it_waits(scenario: Scenario) -> None:
    async with FakeOpenAI(scenario) as fake, sdk(fake) as api:
        task = asyncio.create_task(api.audio.speech.create(**SPEECH))
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: fake.requests and fake.requests[0].fields)
            await asyncio.sleep(0.05)
            assert fake.n_open == 1
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await fake.idle()
        (request,) = fake.requests
        assert request.outcome == ("failed" if scenario.faults else "left")
        assert request.ended_at is not None


async def test_delays_are_kept() -> None:
    scenario = Scenario(
        transcription_delay=0.1,
        first_token_delay=0.1,
        token_interval=0.02,
        first_audio_delay=0.1,
        audio_speed=4,
    )
    async with FakeOpenAI(scenario) as fake, sdk(fake) as api:
        await api.audio.transcriptions.create(file=("a.wav", wav()), model="whisper-1")
        async for _ in await api.chat.completions.create(**CHAT, stream=True):
            pass
        await api.audio.speech.create(**{**SPEECH, "input": "x" * 20})  # 1.2 s of sound
        first = [round((each.first_byte_at or 0) - each.at, 3) >= 0.1 for each in fake.requests]
        assert first == [True, True, True]
        whole = [(each.ended_at or 0) - each.at for each in fake.requests]
        assert whole[1] >= 0.1 + 6 * 0.02
        assert whole[2] >= 0.1 + (1.2 - 0.04) / 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello. How are you?", ["Hello.", " How", " are", " you?"]),
        ("  a \n b ", ["  a", " \n b "]),
        ("", []),
        ("   ", ["   "]),
    ],
)
def test_tokens_are_words_with_the_space_before_them(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected
    assert "".join(tokens(text)) == text
