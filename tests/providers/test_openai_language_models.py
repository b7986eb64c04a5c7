"""What holds for an answer by either protocol: it is waited for, broken off, and ended in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import pytest

from voicertc.core.items import Role
from voicertc.core.options import Tool
from voicertc.core.replies import ToolCall, Usage
from voicertc.errors import ProviderCrashed, ProviderTimeout
from voicertc.providers.base import AnswerPiece, AnswerRequest, Message
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_language_model import OpenAILanguageModel, OpenAILanguageOptions
from voicertc.providers.openai_responses import OpenAIResponses, OpenAIResponsesOptions
from voicertc.testing.fake_openai import Calls, Cut, FakeOpenAI, Fault, Refuse, Scenario, Stall
from voicertc.testing.openai_scenario import Endpoint

from .openai_stages import LIMIT, all_left, started

MESSAGES = [Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Grüß Gott!")]
REPLY = "Hello. How can I help you?"


@dataclass(frozen=True)
class Protocol:
    """One of the two."""

    kind: type[OpenAILanguageModel]
    options: type[OpenAILanguageOptions]
    endpoint: Endpoint

    def started(self, fake: FakeOpenAI, **options: Any) -> AbstractAsyncContextManager[OpenAILanguageModel]:
        return started(self.kind, self.options(**options), fake)


@pytest.fixture(
    params=[
        Protocol(OpenAIChat, OpenAIChatOptions, "chat"),
        Protocol(OpenAIResponses, OpenAIResponsesOptions, "responses"),
    ],
    ids=lambda protocol: protocol.endpoint,
)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    assert isinstance(request.param, Protocol)
    return request.param


def answer(
    model: OpenAILanguageModel, messages: Sequence[Message] = MESSAGES, *tools: Tool
) -> AsyncGenerator[AnswerPiece, None]:
    return model.stream(messages, AnswerRequest(tools))


async def words(model: OpenAILanguageModel, messages: Sequence[Message] = MESSAGES) -> str:
    """What an answer says."""
    async with asyncio.timeout(LIMIT):
        return "".join([piece async for piece in answer(model, messages) if isinstance(piece, str)])


@pytest.mark.parametrize("fault", [Refuse(503), Refuse(429, "rate_limit_exceeded"), Cut()], ids=str)
async def test_one_failure_before_the_first_byte_is_not_noticed(protocol: Protocol, fault: Fault) -> None:
    async with (
        FakeOpenAI(Scenario(faults={protocol.endpoint: [fault]})) as fake,
        protocol.started(fake) as model,
    ):
        assert await words(model) == REPLY
        assert [request.outcome for request in fake.requests][:1] == ["failed"]
        assert len(fake.requests) == 2


async def test_nothing_is_said_twice_after_a_break(protocol: Protocol) -> None:
    async with (
        FakeOpenAI(Scenario(faults={protocol.endpoint: [Cut(after=2)]})) as fake,
        protocol.started(fake) as model,
    ):
        heard: list[object] = []

        async def listen() -> None:
            async for piece in answer(model):
                heard.append(piece)

        with pytest.raises(ProviderCrashed):
            await listen()
        assert (heard, len(fake.requests)) == (["Hello.", " How"], 1)


@pytest.mark.parametrize(
    ("fault", "day", "said"),
    [
        (Stall(), {}, "no answer within"),
        (Stall(after=2), {}, "stopped in the middle"),
        (None, {"first_token_delay": LIMIT, "comment_interval": 0.02}, "no answer within"),
        (Stall(after=2), {"comment_interval": 0.02}, "stopped in the middle"),
        (None, {"thoughts": "Let me think. " * 500, "token_interval": 0.02}, "no answer within"),
    ],
    ids=["silence", "silence in the middle", "comments", "comments in the middle", "thoughts"],
)
async def test_a_model_that_does_not_speak_is_given_up(
    protocol: Protocol, fault: Fault | None, day: dict[str, Any], said: str
) -> None:
    async with (
        FakeOpenAI(Scenario(faults={protocol.endpoint: repeat(fault)}, **day)) as fake,
        protocol.started(fake, first_token_timeout=0.4, idle_timeout=0.2) as model,
    ):
        with pytest.raises(ProviderTimeout, match=said):
            await words(model)
        assert len(fake.requests) == 1
        await all_left(fake)


async def test_what_comes_slowly_is_waited_for(protocol: Protocol) -> None:
    call = ToolCall("get_weather", '{"city": "Oslo"}')
    day = Scenario(replies=[Calls((call,), "Well.")], call_piece=1, token_interval=0.05)
    async with (
        FakeOpenAI(day) as fake,
        protocol.started(fake, first_token_timeout=0.4, idle_timeout=0.4) as model,
        asyncio.timeout(LIMIT),
    ):
        told = [piece async for piece in answer(model, MESSAGES, Tool("get_weather"))]
    assert told[:-1] == ["Well.", call]


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_a_barge_in_stops_the_model(protocol: Protocol, how: str) -> None:
    async with (
        FakeOpenAI(Scenario(replies=["word " * 10_000], token_interval=0.01)) as fake,
        protocol.started(fake, max_output_tokens=20_000) as model,
    ):
        async with asyncio.timeout(LIMIT):
            if how == "closed":
                async with aclosing(answer(model)) as pieces:
                    await anext(pieces)
            else:
                task = asyncio.create_task(words(model))
                await fake.until(lambda: any(request.n_sent > 2 for request in fake.requests))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await all_left(fake)
        (request,) = fake.requests
        assert (request.outcome, request.n_sent < 10_000) == ("left", True)


async def test_closing_an_answer_closes_its_request_before_it_returns(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Scenario(replies=["word " * 100], token_interval=0.01)
    async with FakeOpenAI(day) as fake, protocol.started(fake) as model, asyncio.timeout(LIMIT):
        bodies, stream = [], model.client.stream

        def kept(*args: Any, **more: Any) -> AsyncGenerator[bytes, None]:
            """The body, of which the garbage collector must not be the one that closes it."""
            bodies.append(stream(*args, **more))
            return bodies[-1]

        monkeypatch.setattr(model.client, "stream", kept)
        async with aclosing(answer(model)) as pieces:
            await anext(pieces)
        assert [body.ag_frame for body in bodies] == [None]
        await all_left(fake)


async def test_the_answer_ends_with_its_last_word_not_with_its_connection(protocol: Protocol) -> None:
    async with FakeOpenAI(Scenario(linger=LIMIT)) as fake, protocol.started(fake) as model:
        assert await words(model) == REPLY
        (request,) = fake.requests
        assert request.outcome == "open"
        await all_left(fake)
        assert request.outcome == "left"


@pytest.mark.parametrize("limit", [None, 2])
async def test_a_connection_whose_answer_was_read_out_is_used_again(
    protocol: Protocol, limit: int | None
) -> None:
    async with FakeOpenAI() as fake, protocol.started(fake) as model:
        for _ in range(3):
            async with asyncio.timeout(LIMIT):
                told = [
                    piece
                    async for piece in model.stream(MESSAGES, AnswerRequest((), max_output_tokens=limit))
                ]
            assert isinstance(told[-1], Usage)
            await asyncio.gather(*model._endings)
        assert len({request.connection for request in fake.requests}) == 1


async def test_closing_gives_up_what_is_still_being_read(protocol: Protocol) -> None:
    async with FakeOpenAI(Scenario(linger=LIMIT)) as fake:
        async with protocol.started(fake) as model:
            await words(model)
            await model.close()
            assert not model._endings
        await all_left(fake)


async def test_answers_side_by_side_do_not_mix(protocol: Protocol) -> None:
    def echo(messages: Any) -> str:
        return f"You said: {messages[-1]['content']}"

    async with (
        FakeOpenAI(Scenario(replies=echo, token_interval=0.001)) as fake,
        protocol.started(fake) as model,
    ):
        asked = ([Message(Role.USER, f"number {n} of ten")] for n in range(10))
        said = await asyncio.gather(*(words(model, each) for each in asked))
    assert said == [f"You said: number {n} of ten" for n in range(10)]
