from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from itertools import repeat
from typing import Any

import pytest

from voicertc.core.items import Role
from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from voicertc.providers.base import AnswerRequest, Message
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_client import OpenAIClient, OpenAIOptions
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import Cut, FailInside, FakeOpenAI, Fault, Refuse, Scenario, Send, Stall

from .openai_stages import LIMIT, all_left, started

MESSAGES = [Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Grüß Gott!")]
REPLY = "Grüß dich, 世界! How are you? 😀"


async def answer(chat: OpenAIChat) -> list[str]:
    """The words of an answer."""
    async with asyncio.timeout(LIMIT):
        return [piece async for piece in chat.stream(MESSAGES, AnswerRequest()) if isinstance(piece, str)]


def event(told: object) -> bytes:
    return f"data: {json.dumps(told)}\n\n".encode()


def words(text: str | None, finish: str | None = None, **more: object) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": finish}]})


@pytest.mark.parametrize(
    "day",
    [
        {},
        {"line_end": "\r\n"},
        {"line_end": "\r"},
        {"write_bytes": 1},
        {"write_bytes": 7, "line_end": "\r\n"},
        {"comment_interval": 0.01, "first_token_delay": 0.05, "token_interval": 0.02},
        {"sends_done": False},
        {"has_null_content": True},
        {"thoughts": "The user greets me in German."},
        {"finish_reason": "length"},
        {"finish_reason": "content_filter"},
        {"finish_reason": ""},
        {"api_key": None, "is_strict": False},
    ],
    ids=str,
)
async def test_the_answer_is_whole_whatever_the_stream_looks_like(day: dict[str, Any]) -> None:
    async with (
        FakeOpenAI(Scenario(replies=[REPLY], **day)) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        pieces = await answer(chat)
        assert "".join(pieces) == REPLY
        assert len(pieces) == 7


async def test_the_request_holds_what_is_needed_and_no_more() -> None:
    async with FakeOpenAI() as fake:
        async with started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
            await answer(chat)
        common = {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Grüß Gott!"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        modern = {"model": "gpt-6-luna", "max_completion_tokens": 800, "reasoning_effort": "none"}
        assert [request.fields for request in fake.requests] == [common | modern]


@pytest.mark.parametrize(
    ("options", "base_url", "fields"),
    [
        ({"model": "llama3.3"}, "http://127.0.0.1:1/v1", {"max_tokens": 800}),
        ({"model": "gpt-4.1"}, "https://api.openai.com/v1", {"max_completion_tokens": 800}),
        (
            {"model": "llama3.3", "reasoning_effort": "low", "temperature": 0.0, "extra": {"top_k": 20}},
            "http://127.0.0.1:1/v1",
            {"max_tokens": 800, "reasoning_effort": "low", "temperature": 0.0, "top_k": 20},
        ),
        (
            {"reasoning_effort": None, "service_tier": "fast", "max_tokens": 9},
            "https://api.openai.com/v1",
            {"max_completion_tokens": 9, "service_tier": "fast"},
        ),
    ],
)
def test_each_server_is_sent_what_it_knows(
    options: dict[str, Any], base_url: str, fields: dict[str, object]
) -> None:
    client = OpenAIClient(OpenAIOptions(base_url=base_url, api_key=Secret("sk-x")))
    chat = OpenAIChat(OpenAIChatOptions(**options), client)
    sent = chat._optional.of_request(chat._fields(AnswerRequest())).current
    assert sent == fields | {"stream_options": {"include_usage": True}}


async def test_a_server_that_does_not_know_some_fields_is_asked_without_them() -> None:
    refused = ("stream_options", "reasoning_effort", "max_completion_tokens")
    async with (
        FakeOpenAI(Scenario(api_key=None, is_strict=False, refused_fields=refused)) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        for _ in range(2):
            assert "".join(await answer(chat)) == "Hello. How can I help you?"
        assert [request.status for request in fake.requests] == [400, 400, 400, 200, 200]
        assert set(fake.requests[-1].fields) == {"model", "messages", "stream"}


async def test_half_characters_do_not_break_the_request() -> None:
    async with (
        FakeOpenAI() as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        message = Message(Role.USER, "a\ud800b \ud83d\ude00 c\x00d\te")
        async for _ in chat.stream([message], AnswerRequest()):
            pass
        assert fake.requests[0].fields["messages"][0]["content"] == "a\ufffdb 😀 c d\te"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("<think>\nHm, what to say?\n</think>\n\nHello.", "Hello."),
        ("Well. <think>More?</think> That is all.", "Well. That is all."),
        ("a < b", "a < b"),
    ],
)
async def test_thoughts_are_not_said(reply: str, expected: str) -> None:
    async with (
        FakeOpenAI(Scenario(replies=[reply])) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        assert "".join(await answer(chat)) == expected


async def test_a_refusal_is_said() -> None:
    body = words(None, refusal="I cannot") + words(None, refusal=" do that.") + words(None, "stop")
    async with (
        FakeOpenAI(Scenario(faults={"chat": [Send(body, "text/event-stream")]})) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        assert await answer(chat) == ["I cannot", " do that."]


async def test_what_says_nothing_is_passed_over() -> None:
    body = b"".join(
        [
            event([]),
            event({}),
            event({"choices": None}),
            event({"choices": [7]}),
            event({"choices": [{"delta": None}]}),
            event({"choices": [{"delta": {"content": 5}}]}),
            words("Fine."),
            b"data: [DONE]\n\n",
        ]
    )
    async with (
        FakeOpenAI(Scenario(faults={"chat": [Send(body, "text/event-stream")]})) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        assert await answer(chat) == ["Fine."]


@pytest.mark.parametrize(
    ("fault", "expected", "said"),
    [
        (Cut(after=2), ProviderCrashed, "connection"),
        (FailInside(after=2), ProviderCrashed, "The model failed."),
        (FailInside(after=0, code="rate_limit_exceeded"), ProviderBusy, "rate_limit_exceeded"),
        (FailInside(after=0, code="insufficient_quota"), ProviderUnavailable, "no credit"),
        (Send(words("Half"), "text/event-stream"), ProviderCrashed, "in the middle"),
        (Send(b"", "text/event-stream"), ProviderCrashed, "in the middle"),
        (Send(words("", "stop"), "text/event-stream"), ProviderCrashed, "without words"),
        (Send(words("<think>…", "length"), "text/event-stream"), ProviderCrashed, r"without words .*length"),
        (Send(words("", "content_filter"), "text/event-stream"), ProviderError, "withheld"),
        (Send(b"data: {not json\n\n", "text/event-stream"), ProviderCrashed, "no JSON"),
        (Send(b"x" * 3_000_000, "text/event-stream"), ProviderCrashed, "an event of more than"),
        (Send(b"<html>Sign in</html>", "text/html"), ProviderCrashed, "Sign in"),
        (
            Send(event({"object": "error", "message": "no GPU"}), "text/event-stream"),
            ProviderCrashed,
            "no GPU",
        ),
        (Send(event({"error": "boom"}), "text/event-stream"), ProviderCrashed, "boom"),
        (Refuse(400, "context_length_exceeded", "too long"), ProviderError, "too long"),
        (Refuse(401, "invalid_api_key"), ProviderUnavailable, "API key"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_is_no_answer_is_an_error(fault: Fault, expected: type[ProviderError], said: str) -> None:
    async with (
        FakeOpenAI(Scenario(faults={"chat": repeat(fault)})) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        with pytest.raises(ProviderError, match=said) as caught:
            await answer(chat)
        assert type(caught.value) is expected
        assert len(fake.requests) == 1


async def test_nothing_is_said_twice_after_a_break() -> None:
    async with (
        FakeOpenAI(Scenario(faults={"chat": [Cut(after=2)]})) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        heard: list[object] = []

        async def listen() -> None:
            async for piece in chat.stream(MESSAGES, AnswerRequest()):
                heard.append(piece)

        with pytest.raises(ProviderCrashed):
            await listen()
        assert (heard, len(fake.requests)) == (["Hello.", " How"], 1)


async def test_one_failure_is_not_noticed() -> None:
    async with (
        FakeOpenAI(Scenario(faults={"chat": [Refuse(503)]})) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        assert "".join(await answer(chat)) == "Hello. How can I help you?"
        assert [request.outcome for request in fake.requests][:1] == ["failed"]


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ({"faults": {"chat": repeat(Stall())}}, "no answer within"),
        ({"faults": {"chat": repeat(Stall(after=2))}}, "stopped in the middle"),
        ({"first_token_delay": LIMIT, "comment_interval": 0.02}, "no answer within"),
        ({"faults": {"chat": repeat(Stall(after=2))}, "comment_interval": 0.02}, "stopped in the middle"),
        ({"thoughts": "Let me think. " * 500, "token_interval": 0.02}, "no answer within"),
    ],
    ids=["silence", "silence in the middle", "comments", "comments in the middle", "thoughts"],
)
async def test_a_model_that_does_not_speak_is_given_up(day: dict[str, Any], said: str) -> None:
    options = OpenAIChatOptions(first_token_timeout=0.4, idle_timeout=0.2)
    async with (
        FakeOpenAI(Scenario(**day)) as fake,
        started(OpenAIChat, options, fake) as chat,
    ):
        with pytest.raises(ProviderTimeout, match=said):
            await answer(chat)
        assert len(fake.requests) == 1
        await all_left(fake)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_a_barge_in_stops_the_model(how: str) -> None:
    async with (
        FakeOpenAI(Scenario(replies=["word " * 10_000], token_interval=0.01)) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        async with asyncio.timeout(LIMIT):
            if how == "closed":
                async with aclosing(chat.stream(MESSAGES, AnswerRequest())) as pieces:
                    await anext(pieces)
            else:
                task = asyncio.create_task(answer(chat))
                await fake.until(lambda: any(request.n_sent > 2 for request in fake.requests))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await all_left(fake)
        (request,) = fake.requests
        assert (request.outcome, request.n_sent < 10_000) == ("left", True)


async def test_the_answer_ends_with_its_last_word_not_with_its_connection() -> None:
    async with (
        FakeOpenAI(Scenario(linger=LIMIT)) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        assert "".join(await answer(chat)) == "Hello. How can I help you?"
        (request,) = fake.requests
        assert request.outcome == "open"
        await all_left(fake)
        assert request.outcome == "left"


async def test_a_connection_whose_answer_was_read_out_is_used_again() -> None:
    async with (
        FakeOpenAI() as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        for _ in range(3):
            await answer(chat)
            await asyncio.gather(*chat._endings)
        assert len({request.connection for request in fake.requests}) == 1


async def test_closing_gives_up_what_is_still_being_read() -> None:
    async with FakeOpenAI(Scenario(linger=LIMIT)) as fake:
        async with started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
            await answer(chat)
            await chat.close()
            assert not chat._endings
        await all_left(fake)


async def test_answers_side_by_side_do_not_mix() -> None:
    def echo(messages: Any) -> str:
        return f"You said: {messages[-1]['content']}"

    async with (
        FakeOpenAI(Scenario(replies=echo, token_interval=0.001)) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):

        async def ask(text: str) -> str:
            pieces = chat.stream([Message(Role.USER, text)], AnswerRequest())
            return "".join([piece async for piece in pieces if isinstance(piece, str)])

        said = await asyncio.gather(*(ask(f"number {n} of ten") for n in range(10)))
        assert said == [f"You said: number {n} of ten" for n in range(10)]
