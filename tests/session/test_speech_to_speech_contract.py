"""The contract of engines, kept by OpenAI's speech-to-speech service with a cascade for given text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import repeat
from typing import Any, cast

import pytest

from tests.session.test_cascade_contract import BrokenVoice, made_of
from voicertc.core.replies import Cause, ReplyRequest, ToolCall
from voicertc.providers.base import RecognitionRequest, TextToSpeech
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_speech_to_speech import OpenAISpeechToSpeech, OpenAISpeechToSpeechOptions
from voicertc.providers.secret import Secret
from voicertc.session.engine import ReplyEngine
from voicertc.session.speech_to_speech import SpeechEngine
from voicertc.testing.contracts.reply_engine import ReplyEngineContract
from voicertc.testing.fake_openai import Calls, Cut, FakeOpenAI, RealtimeScenario, Scenario, Stall
from voicertc.testing.fakes import FakeVoice

PLANTED = "sk-planted-0123456789abcdef"


def answer(messages: Sequence[Mapping[str, Any]]) -> str | Calls:
    """Call a tool for the weather; else words that are more than a clause."""
    if "weather" in str(messages[-1]["content"]):
        return Calls((ToolCall("get_weather", '{"city": "Oslo"}'),), "Let me look.")
    return "I am well, thank you. And how are you today?"


class Made:
    """A started service and the engines made of it."""

    def __init__(self, fake: FakeOpenAI) -> None:
        key = Secret(str(fake.scenario.api_key))
        access = OpenAIOptions(base_url=fake.base_url, api_key=key)
        self.service = OpenAISpeechToSpeech(OpenAISpeechToSpeechOptions(), access)

    def engine(self, voice: TextToSpeech, **timeouts: float) -> SpeechEngine:
        dialogue = self.service.attend(RecognitionRequest(), ReplyRequest(Cause.TURN), lambda error: None)
        return SpeechEngine(dialogue, self.service.name, made_of(voice), **timeouts)


class TestSpeechToSpeech(ReplyEngineContract):
    @pytest.fixture
    async def fake(self) -> AsyncGenerator[FakeOpenAI, None]:
        async with FakeOpenAI(Scenario(replies=answer)) as fake:
            yield fake

    @pytest.fixture
    async def engine(self, fake: FakeOpenAI) -> AsyncGenerator[ReplyEngine, None]:
        made = Made(fake)
        await made.service.start()
        yield made.engine(FakeVoice(first_audio=0.0))
        await made.service.close()

    @pytest.fixture
    async def stalled_engine(self) -> AsyncGenerator[ReplyEngine, None]:
        realtime = RealtimeScenario(responses=repeat(Stall(1)))
        async with FakeOpenAI(Scenario(api_key=PLANTED, realtime=realtime)) as fake:
            made = Made(fake)
            await made.service.start()
            yield made.engine(FakeVoice(first_audio=0.0), first_timeout=0.2)
            await made.service.close()

    @pytest.fixture
    async def broken_engine(self) -> AsyncGenerator[ReplyEngine, None]:
        realtime = RealtimeScenario(responses=repeat(Cut(9)))
        async with FakeOpenAI(Scenario(api_key=PLANTED, realtime=realtime)) as fake:
            made = Made(fake)
            await made.service.start()
            yield made.engine(BrokenVoice())
            await made.service.close()

    @pytest.fixture
    def planted_key(self) -> str:
        return PLANTED

    async def assert_nothing_held(self, engine: ReplyEngine) -> None:
        for _ in range(20):  # the loop closes generators that nobody closed, in its own time
            await asyncio.sleep(0)
        ear = cast(Any, engine).dialogue._recognizer.line._ear
        assert ear is None or ear.n_due == 0
        assert {task for task in asyncio.all_tasks() if "/speech" in task.get_name()} == set()
