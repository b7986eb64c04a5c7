from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import repeat
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.audio.pcm import Samples
from voicertc.errors import ProviderCrashed, ProviderError, ProviderTimeout
from voicertc.providers.base import SpeechChunk, TextToSpeech, VoiceRequest
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_client import OpenAIClient
from voicertc.providers.openai_fields import UnknownVoices
from voicertc.providers.openai_tts import (
    MAX_CHUNK,
    OpenAITextToSpeech,
    OpenAITextToSpeechOptions,
    split_text,
)
from voicertc.providers.secret import Secret
from voicertc.testing.contracts.text_to_speech import TextToSpeechContract, speak
from voicertc.testing.fake_openai import Cut, FakeOpenAI, Fault, Refuse, Scenario, Send, Stall, spoken
from voicertc.testing.openai_scenario import API_KEY

from .openai_stages import LIMIT, all_left, started

TEXT = "Hello there."


def joined(chunks: list[SpeechChunk]) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks])


class TestContract(TextToSpeechContract):
    entry_point = "openai-speech = voicertc.services.makers:_openai_speech"
    gives_marks = False
    at_once = 4
    first_chunk_ms = 40

    @pytest.fixture
    async def fake(self) -> AsyncGenerator[FakeOpenAI, None]:
        async with FakeOpenAI(Scenario(audio_chunk_bytes=1921)) as fake:
            yield fake

    @pytest.fixture
    async def voice(self, fake: FakeOpenAI) -> AsyncGenerator[TextToSpeech, None]:
        async with started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice:
            yield voice

    @pytest.fixture
    async def stalled_voice(self) -> AsyncGenerator[TextToSpeech, None]:
        options = OpenAITextToSpeechOptions(first_audio_timeout=0.2, idle_timeout=0.2)
        async with (
            FakeOpenAI(Scenario(faults={"speech": repeat(Stall())})) as fake,
            started(OpenAITextToSpeech, options, fake) as voice,
        ):
            yield voice

    @pytest.fixture
    async def broken_voice(self) -> AsyncGenerator[TextToSpeech, None]:
        async with (
            FakeOpenAI(Scenario(faults={"speech": repeat(Cut(after=3))})) as fake,
            started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice,
        ):
            yield voice

    @pytest.fixture
    def planted_key(self) -> str:
        return API_KEY

    async def test_what_was_cancelled_is_noticed_by_the_server(
        self, voice: TextToSpeech, fake: FakeOpenAI
    ) -> None:
        await self.test_closing_early_frees_everything(voice)
        await all_left(fake)
        # 84 seconds of speech do not fit into any socket's buffer.
        assert {request.outcome for request in fake.requests} == {"left"}


@pytest.mark.parametrize("chunk_bytes", [1, 3, 481, 1920, 1921, 1_000_000])
async def test_the_sound_is_complete_however_it_is_cut(chunk_bytes: int) -> None:
    text = TEXT if chunk_bytes > 100 else "Hi."
    async with (
        FakeOpenAI(Scenario(audio_chunk_bytes=chunk_bytes)) as fake,
        started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice,
    ):
        chunks = await speak(voice, text)
        np.testing.assert_array_equal(joined(chunks), spoken(text))
        assert max(len(chunk.samples) for chunk in chunks) <= MAX_CHUNK


async def test_the_request_holds_what_is_needed_and_no_more() -> None:
    async with FakeOpenAI() as fake:
        async with started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice:
            await speak(voice, TEXT)
            await speak(voice, TEXT, VoiceRequest(voice="coral", speed=1.25))
        options = OpenAITextToSpeechOptions(voice="ash", instructions="Calmly.")
        async with started(OpenAITextToSpeech, options, fake) as voice:
            await speak(voice, TEXT, VoiceRequest())
            await speak(voice, TEXT, VoiceRequest(voice="voice_mine"))
        common = {"model": "gpt-4o-mini-tts", "input": TEXT, "response_format": "pcm"}
        assert [request.fields for request in fake.requests] == [
            common | {"voice": "alloy"},
            common | {"voice": "coral", "speed": 1.25},
            common | {"voice": "ash", "instructions": "Calmly."},
            common | {"voice": {"id": "voice_mine"}, "instructions": "Calmly."},
        ]


@pytest.mark.parametrize(
    ("options", "voice"),
    [
        (OpenAITextToSpeechOptions(), "marin"),
        (OpenAITextToSpeechOptions(model="tts-1"), "alloy"),
        (OpenAITextToSpeechOptions(voice="cedar"), "cedar"),
    ],
)
def test_the_voice_of_openai_itself(options: OpenAITextToSpeechOptions, voice: str) -> None:
    client = OpenAIClient(OpenAIOptions(api_key=Secret("sk-x")))
    assert OpenAITextToSpeech(options, client)._default_voice() == voice


async def test_a_voice_the_server_does_not_have_is_asked_for_once() -> None:
    async with (
        FakeOpenAI() as fake,
        started(OpenAITextToSpeech, OpenAITextToSpeechOptions(voice="ash"), fake) as voice,
    ):
        for _ in range(2):
            chunks = await speak(voice, TEXT, VoiceRequest(voice="af_heart"))
            np.testing.assert_array_equal(joined(chunks), spoken(TEXT))
        assert [(request.fields["voice"], request.status) for request in fake.requests] == [
            ("af_heart", 400),
            ("ash", 200),
            ("ash", 200),
        ]


def test_clients_cannot_fill_the_memory_with_names_of_voices() -> None:
    unknown = UnknownVoices(most=2)
    for name in "abc":
        unknown.note(name)
    assert [unknown.choose(name, "ash") for name in ("a", "b", "c", "default")] == ["ash", "ash", "c", "ash"]


async def test_a_long_text_is_spoken_in_parts_cut_between_words() -> None:
    text = " ".join(f"word{n}" for n in range(700))
    async with (
        FakeOpenAI() as fake,
        started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice,
    ):
        await speak(voice, text)
        parts = [request.fields["input"] for request in fake.requests]
        assert " ".join(parts) == text
        assert [len(part) > 4000 for part in parts] == [True, False]


@given(st.text(alphabet="ab \n", max_size=60), st.integers(1, 12))
def test_parts_are_short_enough_and_lose_nothing_but_white_space(text: str, limit: int) -> None:
    parts = list(split_text(text.strip(), limit))
    assert all(0 < len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["...", "—", "?!", " \n", "😀", "\x00"])
async def test_what_cannot_be_said_is_not_sent(text: str) -> None:
    async with (
        FakeOpenAI() as fake,
        started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice,
    ):
        assert await speak(voice, text) == []
        assert fake.requests == ()


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        ({"has_wav_header": True}, {}),
        ({"has_wav_header": True, "rate_hz": 16_000}, {}),
        ({"rate_hz": 22_050}, {"rate_hz": 22_050}),
    ],
    ids=["header", "header and rate", "rate"],
)
async def test_servers_that_send_something_else_are_understood(
    scenario: dict[str, Any], options: dict[str, Any]
) -> None:
    async with (
        FakeOpenAI(Scenario(audio_chunk_bytes=7, **scenario)) as fake,
        started(OpenAITextToSpeech, OpenAITextToSpeechOptions(**options), fake) as voice,
    ):
        samples = joined(await speak(voice, "Hi."))
        assert abs(len(samples) - len(spoken("Hi."))) <= 1
        assert np.abs(samples.astype(int) - spoken("Hi.")[: len(samples)])[100:-100].max() < 100


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Send(b""), "no sound"),
        (Send(b"\0"), "no sound"),
        (Send(b'{"detail": {"error": "no voice"}}', "application/json"), "no voice"),
        (Send(b'{"error": {"message": "no voice"}}'), "JSON instead of PCM"),
        (Send(b"<html>Bad Gateway</html>", "text/html"), "Bad Gateway"),
        (Send(b"ID3\x04" + b"\0" * 1000, "audio/mpeg"), "MP3 instead of PCM"),
    ],
    ids=["empty", "half a sample", "json", "json as bytes", "html", "mp3"],
)
async def test_noise_is_never_spoken(fault: Fault, said: str) -> None:
    async with (
        FakeOpenAI(Scenario(faults={"speech": repeat(fault)})) as fake,
        started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice,
    ):
        with pytest.raises(ProviderCrashed, match=said):
            await speak(voice, TEXT)


async def test_the_first_sound_is_passed_on_before_there_is_more() -> None:
    options = OpenAITextToSpeechOptions(idle_timeout=0.2)
    async with (
        FakeOpenAI(Scenario(faults={"speech": [Stall(after=1)]}, audio_chunk_bytes=3)) as fake,
        started(OpenAITextToSpeech, options, fake) as voice,
        aclosing(voice.synthesize(TEXT, VoiceRequest())) as clause,
    ):
        async with asyncio.timeout(LIMIT):
            assert len((await anext(clause)).samples) == 1
            with pytest.raises(ProviderTimeout, match="stopped in the middle"):
                await anext(clause)
        await all_left(fake)


async def test_a_listener_who_is_full_makes_no_timeout() -> None:
    options = OpenAITextToSpeechOptions(first_audio_timeout=0.2, idle_timeout=0.05)
    async with (
        FakeOpenAI() as fake,
        started(OpenAITextToSpeech, options, fake) as voice,
    ):
        chunks: list[SpeechChunk] = []
        async for chunk in voice.synthesize("Hello.", VoiceRequest()):
            chunks.append(chunk)
            await asyncio.sleep(0.06)
        np.testing.assert_array_equal(joined(chunks), spoken("Hello."))


async def test_nothing_is_said_twice_after_a_break() -> None:
    async with (
        FakeOpenAI(Scenario(faults={"speech": [Cut(after=3)]})) as fake,
        started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice,
    ):
        heard: list[SpeechChunk] = []

        async def listen() -> None:
            async for chunk in voice.synthesize(TEXT, VoiceRequest()):
                heard.append(chunk)

        with pytest.raises(ProviderCrashed, match="connection"):
            await listen()
        np.testing.assert_array_equal(joined(heard), spoken(TEXT)[: 3 * 960])
        assert len(fake.requests) == 1


async def test_a_server_that_does_not_know_a_field_is_asked_without_it() -> None:
    options = OpenAITextToSpeechOptions(instructions="Calmly.", extra={"sample_rate": 24_000})
    async with (
        FakeOpenAI(Scenario(api_key=None, refused_fields=("instructions",))) as fake,
        started(OpenAITextToSpeech, options, fake) as voice,
    ):
        for _ in range(2):
            np.testing.assert_array_equal(joined(await speak(voice, TEXT)), spoken(TEXT))
        assert [
            sorted(set(request.fields) & {"instructions", "sample_rate"}) for request in fake.requests
        ] == [
            ["instructions", "sample_rate"],
            ["sample_rate"],
            [],
            [],
        ]


async def test_a_refused_voice_is_not_retried() -> None:
    async with (
        FakeOpenAI(
            Scenario(faults={"speech": repeat(Refuse(400, "invalid_value", "no such voice"))})
        ) as fake,
        started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice,
    ):
        with pytest.raises(ProviderError, match="no such voice") as caught:
            await speak(voice, TEXT)
        assert (caught.value.retryable, len(fake.requests)) == (False, 1)
