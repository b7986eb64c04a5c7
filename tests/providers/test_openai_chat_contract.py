"""The language model's contract, kept by the adapters of Chat Completions and of Responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import repeat
from typing import Any

import pytest

from voicertc.core.replies import ToolCall
from voicertc.providers.base import LanguageModel
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_language_model import OpenAILanguageModel, OpenAILanguageOptions
from voicertc.providers.openai_responses import OpenAIResponses, OpenAIResponsesOptions
from voicertc.testing.contracts.language_model import LanguageModelContract
from voicertc.testing.fake_openai import Calls, Cut, FakeOpenAI, Scenario, Stall
from voicertc.testing.openai_scenario import API_KEY, Endpoint

from .openai_stages import all_left, started


def reply(messages: Sequence[Mapping[str, Any]]) -> str | Calls:
    """What a model would say."""
    last = messages[-1]
    if last["role"] == "tool":
        return f"They say: {last['content']}"
    if "weather in" in last["content"]:
        return Calls((ToolCall("get_weather", '{"city": "Oslo"}'),), "Let me look.")
    return "I am well. " * 40


class OpenAIContract(LanguageModelContract):
    kind: type[OpenAILanguageModel]
    options: type[OpenAILanguageOptions]
    endpoint: Endpoint

    @pytest.fixture
    def planted_key(self) -> str:
        return API_KEY

    @pytest.fixture
    async def fake(self) -> AsyncGenerator[FakeOpenAI, None]:
        async with FakeOpenAI(Scenario(replies=reply, token_interval=0.001)) as fake:
            yield fake

    @pytest.fixture
    async def model(self, fake: FakeOpenAI) -> AsyncGenerator[LanguageModel, None]:
        async with started(self.kind, self.options(), fake) as model:
            yield model
        await all_left(fake)
        assert {request.endpoint for request in fake.requests} == {self.endpoint}

    @pytest.fixture
    async def stalled_model(self) -> AsyncGenerator[LanguageModel, None]:
        options = self.options(first_token_timeout=0.3)
        async with (
            FakeOpenAI(Scenario(faults={self.endpoint: repeat(Stall())})) as fake,
            started(self.kind, options, fake) as model,
        ):
            yield model
            await all_left(fake)

    @pytest.fixture
    async def broken_model(self) -> AsyncGenerator[LanguageModel, None]:
        async with (
            FakeOpenAI(Scenario(replies=reply, faults={self.endpoint: repeat(Cut(after=4))})) as fake,
            started(self.kind, self.options(), fake) as model,
        ):
            yield model
            await all_left(fake)

    async def assert_nothing_held(self, model: LanguageModel) -> None:
        assert isinstance(model, OpenAILanguageModel)
        for ending in tuple(model._endings):
            await ending


class TestOpenAIChat(OpenAIContract):
    entry_point = "openai-chat = voicertc.services.makers:_openai_chat"
    kind = OpenAIChat
    options = OpenAIChatOptions
    endpoint = "chat"


class TestOpenAIResponses(OpenAIContract):
    entry_point = "openai-responses = voicertc.services.makers:_openai_responses"
    kind = OpenAIResponses
    options = OpenAIResponsesOptions
    endpoint = "responses"
