"""The contract of engines, kept by the cascade with fakes for agent and voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from voicertc.agents.base import AgentPiece, AgentRequest, AgentSession, as_agent
from voicertc.core.replies import ToolCall, Usage
from voicertc.errors import ProviderCrashed, ProviderTimeout
from voicertc.providers.base import SpeechChunk, TextToSpeech, VoiceRequest
from voicertc.providers.phrasebook import Phrasebook
from voicertc.session import cascade
from voicertc.session.cascade import Cascade
from voicertc.session.engine import ReplyEngine
from voicertc.testing.contracts.reply_engine import SPOKEN, ReplyEngineContract, made
from voicertc.testing.fakes import FakeVoice, voiced


async def answer(request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
    """Calls a tool for the weather; else words that are more than a clause."""
    if "weather" in request.user_text:
        yield "Let me look. "
        yield ToolCall("get_weather", '{"city": "Oslo"}')
    else:
        for word in ("I am ", "well, ", "thank you. ", "And how are ", "you today?"):
            yield word
    yield Usage(10, 5)


async def silent(request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
    """Never answers."""
    await asyncio.Event().wait()
    yield ""


class BrokenVoice(FakeVoice):
    """Breaks behind its first sound."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        yield SpeechChunk(voiced("Hello."))
        raise ProviderCrashed("It broke.", provider=self.name)


class StalledVoice(FakeVoice):
    """Never speaks."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        self.n_open += 1
        try:
            await asyncio.Event().wait()
            yield SpeechChunk(voiced("Hello."))
        finally:
            self.n_open -= 1


def made_of(voice: TextToSpeech, agent: object = answer, *, sends_packets: bool = False) -> Cascade:
    return Cascade(
        agent=as_agent(agent),  # type: ignore[arg-type]
        voice=voice,
        phrasebook=Phrasebook(),
        session=cast(AgentSession, object()),
        sends_packets=sends_packets,
    )


class TestCascade(ReplyEngineContract):
    @pytest.fixture
    def engine(self) -> ReplyEngine:
        return made_of(FakeVoice(first_audio=0.0))

    @pytest.fixture
    def stalled_engine(self, monkeypatch: pytest.MonkeyPatch) -> ReplyEngine:
        monkeypatch.setattr(cascade, "_AGENT_PATIENCE", 0.1)
        return made_of(FakeVoice(), silent)

    @pytest.fixture
    def broken_engine(self) -> ReplyEngine:
        return made_of(BrokenVoice())

    async def assert_nothing_held(self, engine: ReplyEngine) -> None:
        assert isinstance(engine, Cascade)
        for _ in range(20):  # the loop closes generators that nobody closed, in its own time
            await asyncio.sleep(0)
        assert isinstance(engine._voice, FakeVoice)
        assert engine._voice.n_open == 0
        assert {task for task in asyncio.all_tasks() if "/agent" in task.get_name()} == set()


class TestCascadeWithPackets(TestCascade):
    @pytest.fixture
    def engine(self) -> ReplyEngine:
        return made_of(FakeVoice(first_audio=0.0), sends_packets=True)


async def test_a_voice_that_stalls_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "_VOICE_PATIENCE", 0.1)
    voice = StalledVoice()
    with pytest.raises(ProviderTimeout) as caught:
        await made(made_of(voice), SPOKEN)
    assert (caught.value.provider, voice.n_open) == (voice.name, 0)
