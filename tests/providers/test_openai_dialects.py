"""What is known beforehand of servers that speak Chat Completions, and what is sent to each."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from voicertc.core.items import Role
from voicertc.core.options import Tool
from voicertc.core.replies import Usage
from voicertc.providers.base import AnswerRequest, Message
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_dialects import COMPATIBLE, OLLAMA, OPENAI, ChatDialect, likely_dialect
from voicertc.testing.fake_openai import FakeOpenAI, Refuse, Scenario, Stall

from .openai_stages import LIMIT, all_left, started


@pytest.mark.parametrize(
    ("base_url", "model", "expected"),
    [
        ("https://api.openai.com/v1", "gpt-6-luna", OPENAI),
        ("https://eu.api.openai.com/v1", "gpt-4.1", OPENAI),
        ("https://gateway.example/v1", "gpt-6-luna", OPENAI),
        ("http://127.0.0.1:11434/v1", "llama3.3", OLLAMA),
        ("http://127.0.0.1:8000/v1", "Qwen/Qwen3-8B", COMPATIBLE),
        ("http://127.0.0.1:8080/v1", "gpt-oss-120b", COMPATIBLE),
    ],
)
def test_a_dialect_is_known_by_the_address_and_the_model(
    base_url: str, model: str, expected: ChatDialect
) -> None:
    assert likely_dialect(OpenAIOptions(base_url=base_url), model) == expected


async def asked(scenario: Scenario, options: OpenAIChatOptions) -> tuple[dict[str, Any], list[object]]:
    """What is sent, and what comes back."""
    async with FakeOpenAI(scenario) as fake, started(OpenAIChat, options, fake) as chat:
        async with asyncio.timeout(LIMIT):
            messages = [Message(Role.USER, "Hello.")]
            told = [piece async for piece in chat.stream(messages, AnswerRequest((Tool("f"),)))]
        return dict(fake.requests_to("chat")[-1].fields), told


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (OPENAI, {"max_completion_tokens": 800, "stream_options": {"include_usage": True}}),
        (COMPATIBLE, {"max_tokens": 800, "stream_options": {"include_usage": True}}),
        (ChatDialect(counts_if_asked=False), {"max_tokens": 800}),
    ],
)
async def test_each_dialect_is_spoken(dialect: ChatDialect, expected: dict[str, Any]) -> None:
    lenient = Scenario(is_strict=False)
    sent, told = await asked(lenient, OpenAIChatOptions(model="llama3.3", dialect=dialect))
    assert {"tools", "messages", "model", "stream"} <= set(sent)
    assert {name: sent[name] for name in sent if name.startswith(("max", "stream_"))} == expected
    assert isinstance(told[-1], Usage) is dialect.counts_if_asked


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"temperature": 0.4}, {"temperature": 0.4, "reasoning_effort": "none"}),
        ({"temperature": 0.4, "model": "gpt-5-mini"}, {"reasoning_effort": "minimal"}),
        ({"temperature": 0.0, "model": "gpt-4.1"}, {"temperature": 0.0}),
    ],
    ids=str,
)
async def test_a_model_that_thinks_is_sent_no_temperature(
    options: dict[str, Any], sent: dict[str, Any]
) -> None:
    fields, _ = await asked(Scenario(), OpenAIChatOptions(**options))
    assert {name: fields[name] for name in ("temperature", "reasoning_effort") if name in fields} == sent


async def test_a_model_that_is_loaded_when_asked_for_is_asked_for_at_the_start() -> None:
    options = OpenAIChatOptions(model="llama3.3", dialect=OLLAMA)
    async with FakeOpenAI(Scenario(is_strict=False)) as fake, started(OpenAIChat, options, fake) as chat:
        await chat.start()
        await asyncio.gather(*chat._endings)
        (request,) = fake.requests
    assert (request.outcome, request.fields["max_tokens"]) == ("answered", 1)


async def test_loading_that_fails_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    options = OpenAIChatOptions(model="llama3.3", dialect=OLLAMA)
    day = Scenario(is_strict=False, faults={"chat": [Refuse(404, None, "no such model")]})
    async with FakeOpenAI(day) as fake, started(OpenAIChat, options, fake) as chat:
        await asyncio.gather(*chat._endings)
        pieces = [piece async for piece in chat.stream([Message(Role.USER, "Hi.")], AnswerRequest())]
    assert pieces[0] == "Hello."
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.message.startswith("openai_model_not_loaded")


@pytest.mark.parametrize("fault", [Stall(), Stall(after=1)], ids=str)
async def test_closing_does_not_wait_for_loading(fault: Stall) -> None:
    options = OpenAIChatOptions(model="llama3.3", dialect=OLLAMA)
    async with FakeOpenAI(Scenario(is_strict=False, faults={"chat": [fault]})) as fake:
        async with started(OpenAIChat, options, fake) as chat, asyncio.timeout(LIMIT):
            await fake.until(lambda: fake.requests)
        assert not chat._endings
        await all_left(fake)
