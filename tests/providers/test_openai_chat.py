from __future__ import annotations

import asyncio
import json
from itertools import repeat
from typing import Any

import pytest

from voicertc.core.items import Role
from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError
from voicertc.providers.base import AnswerRequest, Message
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_client import OpenAIClient, OpenAIOptions
from voicertc.providers.plan_b.blame import NoCredit, Refused
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import Cut, FailInside, FakeOpenAI, Fault, Refuse, Scenario, Send

from .openai_stages import LIMIT, started

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
            {"reasoning_effort": None, "service_tier": "fast", "max_output_tokens": 9},
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
        (FailInside(after=0, code="insufficient_quota"), NoCredit, "no credit"),
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
        (Refuse(401, "invalid_api_key"), Refused, "API key"),
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
