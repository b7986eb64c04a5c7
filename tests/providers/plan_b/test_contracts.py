"""A chain is a provider like any other: what is demanded of one is demanded of it, whoever does the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import repeat

import pytest

from voicertc.providers.base import SpeechToText, TextToSpeech
from voicertc.providers.openai_stt import OpenAISpeechToText, OpenAISpeechToTextOptions
from voicertc.providers.openai_tts import OpenAITextToSpeech, OpenAITextToSpeechOptions
from voicertc.providers.plan_b.member import Member
from voicertc.providers.plan_b.stt import FallbackSpeechToText
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.testing.fake_openai import Cut, FakeOpenAI, Scenario, Stall

from ..openai_stages import started
from ..test_openai_stt import TestContract as OfRecognizers
from ..test_openai_tts import TestContract as OfVoices
from .services import Ear, Hears, Service, crash


def recognizers(*ears: SpeechToText) -> FallbackSpeechToText:
    return FallbackSpeechToText([Member(ear) for ear in ears])


def voices(*services: TextToSpeech) -> FallbackTextToSpeech:
    return FallbackTextToSpeech([Member(service) for service in services])


class TestARecognizerAlone(OfRecognizers):
    def chained(self, recognizer: SpeechToText) -> FallbackSpeechToText:
        return recognizers(recognizer)

    @pytest.fixture
    async def recognizer(self, fake: FakeOpenAI) -> AsyncGenerator[SpeechToText, None]:
        async with started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer:
            yield self.chained(recognizer)

    @pytest.fixture
    async def stalled_recognizer(self) -> AsyncGenerator[SpeechToText, None]:
        options = OpenAISpeechToTextOptions(timeout=0.2)
        async with (
            FakeOpenAI(Scenario(faults={"transcriptions": repeat(Stall())})) as fake,
            started(OpenAISpeechToText, options, fake) as recognizer,
        ):
            yield recognizers(recognizer, Ear("b", (crash("b"),)))

    @pytest.fixture
    async def broken_recognizer(self) -> AsyncGenerator[SpeechToText, None]:
        async with (
            FakeOpenAI(Scenario(faults={"transcriptions": repeat(Cut())})) as fake,
            started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
        ):
            yield recognizers(recognizer, Ear("b", (crash("b"),)))

    async def assert_nothing_held(self, recognizer: SpeechToText) -> None:
        assert isinstance(recognizer, FallbackSpeechToText)
        for member in recognizer.chain.members:
            assert member.gate.n_inside == 0
            if isinstance(member.provider, OpenAISpeechToText):
                await super().assert_nothing_held(member.provider)


class TestARecognizerWithAnotherBehindIt(TestARecognizerAlone):
    def chained(self, recognizer: SpeechToText) -> FallbackSpeechToText:
        return recognizers(recognizer, Ear("b", (crash(),)))


class TestARecognizerThatStandsIn(TestARecognizerAlone):
    counted_by = "openai-file"

    def chained(self, recognizer: SpeechToText) -> FallbackSpeechToText:
        return recognizers(Ear("a", *[(Hears(4), crash("a"))] * 2, (crash("a"),)), recognizer)


class TestAVoiceAlone(OfVoices):
    def chained(self, voice: TextToSpeech) -> FallbackTextToSpeech:
        return voices(voice)

    @pytest.fixture
    async def voice(self, fake: FakeOpenAI) -> AsyncGenerator[TextToSpeech, None]:
        async with started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice:
            yield self.chained(voice)

    @pytest.fixture
    async def stalled_voice(self) -> AsyncGenerator[TextToSpeech, None]:
        options = OpenAITextToSpeechOptions(first_audio_timeout=0.2, idle_timeout=0.2)
        async with (
            FakeOpenAI(Scenario(faults={"speech": repeat(Stall())})) as fake,
            started(OpenAITextToSpeech, options, fake) as voice,
        ):
            yield voices(voice, Service("b", (crash("b"),)))

    @pytest.fixture
    async def broken_voice(self) -> AsyncGenerator[TextToSpeech, None]:
        async with (
            FakeOpenAI(Scenario(faults={"speech": repeat(Cut(after=3))})) as fake,
            started(OpenAITextToSpeech, OpenAITextToSpeechOptions(), fake) as voice,
        ):
            yield voices(voice, Service("b", (crash("b"),)))

    async def assert_nothing_held(self, voice: TextToSpeech) -> None:
        assert isinstance(voice, FallbackTextToSpeech)
        for _ in range(10):  # a clause that was dropped unclosed is closed by the event loop
            await asyncio.sleep(0)
        assert [member.gate.n_inside for member in voice.chain.members] == [0] * len(voice.chain.members)


class TestAVoiceThatStandsIn(TestAVoiceAlone):
    counted_by = "openai-speech"

    def chained(self, voice: TextToSpeech) -> FallbackTextToSpeech:
        return voices(Service("a", (crash("a"),)), voice)
