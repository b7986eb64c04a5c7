"""The contract of all language models, kept by this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from parrot_model import ParrotModel

from voicertc.core.replies import ToolCall
from voicertc.providers.base import AnswerRequest, Message
from voicertc.testing.contracts.language_model import LanguageModelContract


async def never(messages: Sequence[Message], request: AnswerRequest) -> AsyncGenerator[str | ToolCall, None]:
    await asyncio.Event().wait()
    yield "unreachable: nobody sets the event"


async def breaks(messages: Sequence[Message], request: AnswerRequest) -> AsyncGenerator[str | ToolCall, None]:
    yield "You "
    raise ValueError("no words")


class TestParrotModel(LanguageModelContract):
    entry_point = "parrot = parrot_model:make_model"

    @pytest.fixture
    def model(self) -> ParrotModel:
        return ParrotModel()

    @pytest.fixture
    def stalled_model(self) -> ParrotModel:
        return ParrotModel(never, timeout=0.1)

    @pytest.fixture
    def broken_model(self) -> ParrotModel:
        return ParrotModel(breaks)
