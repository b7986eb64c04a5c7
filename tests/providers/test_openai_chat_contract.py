"""The language model's contract, kept by the adapter of Chat Completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import repeat
from typing import Any

import pytest

from voicertc.core.replies import ToolCall
from voicertc.providers.base import LanguageModel
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.testing.fake_openai import Calls, Cut, FakeOpenAI, Scenario, Stall

from .language_model_contract import LanguageModelContract
from .openai_stages import all_left, started


def reply(messages: Sequence[Mapping[str, Any]]) -> str | Calls:
    """What a model would say."""
    last = messages[-1]
    if last["role"] == "tool":
        return f"They say: {last['content']}"
    if "weather in" in last["content"]:
        return Calls((ToolCall("get_weather", '{"city": "Oslo"}'),), "Let me look.")
    return "I am well. " * 40


class TestOpenAIChat(LanguageModelContract):
    @pytest.fixture
    async def fake(self) -> AsyncGenerator[FakeOpenAI, None]:
        async with FakeOpenAI(Scenario(replies=reply, token_interval=0.001)) as fake:
            yield fake

    @pytest.fixture
    async def model(self, fake: FakeOpenAI) -> AsyncGenerator[LanguageModel, None]:
        async with started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
            yield chat
        await all_left(fake)

    @pytest.fixture
    async def stalled_model(self) -> AsyncGenerator[LanguageModel, None]:
        options = OpenAIChatOptions(first_token_timeout=0.3)
        async with (
            FakeOpenAI(Scenario(faults={"chat": repeat(Stall())})) as fake,
            started(OpenAIChat, options, fake) as chat,
        ):
            yield chat
            await all_left(fake)

    @pytest.fixture
    async def broken_model(self) -> AsyncGenerator[LanguageModel, None]:
        async with (
            FakeOpenAI(Scenario(replies=reply, faults={"chat": repeat(Cut(after=4))})) as fake,
            started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
        ):
            yield chat
            await all_left(fake)

    async def assert_nothing_held(self, model: LanguageModel) -> None:
        assert isinstance(model, OpenAIChat)
        for ending in tuple(model._endings):
            await ending
