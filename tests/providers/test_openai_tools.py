"""Functions, limits and token counts over Chat Completions."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from voicertc.core.items import Role
from voicertc.core.options import Tool, ToolChoice
from voicertc.core.replies import CutShort, ToolCall, Usage
from voicertc.errors import ProviderCrashed, ProviderError
from voicertc.providers.base import AnsweredCall, AnswerPiece, AnswerRequest, Message
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.testing.fake_openai import Calls, Cut, FakeOpenAI, Scenario, Send

from .openai_stages import LIMIT, started

WEATHER = ToolCall("get_weather", '{"city": "Zürich"}')
TIME = ToolCall("get_time", "{}")
TOOLS = (
    Tool("get_weather", "Looks out.", '{"type": "object", "properties": {"city": {"type": "string"}}}'),
    Tool("get_time"),
)
OFFERED = AnswerRequest(TOOLS)
QUESTION = [Message(Role.USER, "What is the weather in Zürich?")]


async def answered(
    chat: OpenAIChat, request: AnswerRequest = OFFERED, messages: Sequence[Message] = QUESTION
) -> list[AnswerPiece]:
    """All pieces of an answer, but what is said in one piece."""
    pieces: list[AnswerPiece] = []
    async with asyncio.timeout(LIMIT):
        async for piece in chat.stream(messages, request):
            if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
                piece = pieces.pop() + piece  # type: ignore[operator]  # both are text
            pieces.append(piece)
    return pieces


def event(told: object) -> bytes:
    return f"data: {json.dumps(told)}\n\n".encode()


def chunk(*calls: object, finish: str | None = None, **more: object) -> bytes:
    delta = {"tool_calls": list(calls)} if calls else {}
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


def call(name: object = "f", arguments: object = "", index: object = 0, **more: object) -> dict[str, object]:
    return {"index": index, "function": {"name": name, "arguments": arguments}, **more}


# --- what is asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(), {}),
        (ToolChoice("none"), {"tool_choice": "none"}),
        (ToolChoice("required"), {"tool_choice": "required"}),
        (
            ToolChoice("function", "get_time"),
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
        ),
    ],
    ids=lambda value: value.mode if isinstance(value, ToolChoice) else "",
)
async def test_functions_are_offered_and_chosen(choice: ToolChoice, expected: dict[str, object]) -> None:
    async with FakeOpenAI() as fake, started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
        await answered(chat, AnswerRequest(TOOLS, choice))
        (request,) = fake.requests
    city = {"city": {"type": "string"}}
    weather = {"name": "get_weather", "description": "Looks out.", "parameters": schema(city)}
    tools = [
        {"type": "function", "function": weather},
        {"type": "function", "function": {"name": "get_time", "parameters": schema({})}},
    ]
    sent = {name: value for name, value in request.fields.items() if name.startswith("tool")}
    assert sent == {"tools": tools, **expected}


def schema(properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties}


async def test_without_functions_there_is_nothing_to_choose() -> None:
    async with FakeOpenAI() as fake, started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
        await answered(chat, AnswerRequest((), ToolChoice("required")))
        assert {"tools", "tool_choice"} & set(fake.requests[0].fields) == set()


async def test_a_choice_that_is_not_offered_is_refused() -> None:
    async with FakeOpenAI() as fake, started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
        with pytest.raises(ProviderError, match="'get_news' not found"):
            await answered(chat, AnswerRequest(TOOLS, ToolChoice("function", "get_news")))


@pytest.mark.parametrize(
    ("effort", "tools", "sent"),
    [("auto", TOOLS, "none"), ("low", TOOLS, "none"), (None, TOOLS, "none"), ("low", (), "low")],
)
async def test_a_model_that_takes_functions_only_without_thinking_does_not_think(
    effort: str | None, tools: tuple[Tool, ...], sent: str
) -> None:
    options = OpenAIChatOptions(reasoning_effort=effort)
    async with FakeOpenAI() as fake, started(OpenAIChat, options, fake) as chat:
        await answered(chat, AnswerRequest(tools))
        assert fake.requests[0].fields["reasoning_effort"] == sent


async def test_calls_and_their_answers_are_told_as_openai_wants_them() -> None:
    calls = (
        AnsweredCall("call_1", "get_weather", WEATHER.arguments, "sunny"),
        AnsweredCall("item_" + 60 * "x", "get time!", "not JSON", ""),
    )
    messages = [
        *QUESTION,
        Message(Role.ASSISTANT, "Let me look.", calls),
        Message(Role.ASSISTANT, "", calls[:1]),
        Message(Role.USER, "And?"),
    ]
    async with FakeOpenAI() as fake, started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
        assert (await answered(chat, OFFERED, messages))[0] == "Hello. How can I help you?"
        sent = fake.requests[0].fields["messages"]
    first, second = (each["id"] for each in sent[1]["tool_calls"])
    assert all(len(each) == 9 and each.isalnum() for each in (first, second))
    weather = {"name": "get_weather", "arguments": WEATHER.arguments}
    time = {"name": "get_time_", "arguments": "{}"}
    assert sent[1:] == [
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": first, "type": "function", "function": weather},
                {"id": second, "type": "function", "function": time},
            ],
        },
        {"role": "tool", "tool_call_id": first, "content": "sunny"},
        {"role": "tool", "tool_call_id": second, "content": ""},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": first, "type": "function", "function": weather}],
        },
        {"role": "tool", "tool_call_id": first, "content": "sunny"},
        {"role": "user", "content": "And?"},
    ]


# --- what is called -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "day",
    [
        {},
        {"call_piece": 1, "write_bytes": 7},
        {"mixes_calls": True, "call_piece": 3},
        {"mixes_calls": True, "has_call_ids": False},
        {"call_piece": None},
        {"call_piece": None, "call_index": "zero"},
        {"call_index": "zero"},
        {"call_index": "missing"},
        {"call_index": "missing", "has_call_ids": False},
        {"finish_reason": "function_call"},
        {"finish_reason": "", "sends_done": True},
    ],
    ids=str,
)
async def test_calls_are_put_together_whatever_pieces_they_come_in(day: dict[str, Any]) -> None:
    replies = [Calls((WEATHER, WEATHER, TIME), "Let me look."), Calls((TIME,))]
    async with (
        FakeOpenAI(Scenario(replies=replies, **day)) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        told = [[piece for piece in await answered(chat) if not isinstance(piece, Usage)] for _ in range(2)]
    assert told == [["Let me look.", WEATHER, WEATHER, TIME], [TIME]]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([chunk(call("f", None))], [ToolCall("f")]),
        ([chunk(call("f", " ")), chunk(call(None, None))], [ToolCall("f")]),
        ([chunk(call("f", '{"a":', id="1")), chunk(call("f", " 1}", id="1"))], [ToolCall("f", '{"a": 1}')]),
        ([chunk(call("f", '{"a":', id="1")), chunk(call("", " 1}", id="2"))], [ToolCall("f", '{"a": 1}')]),
        ([chunk(call("f", "{}", index=3)), chunk(call("g", "{}", index=1))], [ToolCall("f"), ToolCall("g")]),
        ([chunk(call("f", "{}", index="x"), call("g", "{}", index=None))], [ToolCall("f"), ToolCall("g")]),
        ([chunk(call("f", "{}")), chunk({}, "g", {"function": 5})], [ToolCall("f")]),
    ],
    ids=["null", "blank", "repeated name", "an id for each piece", "any index", "odd index", "odd pieces"],
)
async def test_calls_of_other_servers_are_understood(chunks: list[bytes], expected: list[ToolCall]) -> None:
    body = b"".join([*chunks, chunk(finish="stop")])
    async with (
        FakeOpenAI(Scenario(faults={"chat": [Send(body, "text/event-stream")]})) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        assert await answered(chat) == expected


SECRET = "1234 5678"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (call("", f'{{"card": "{SECRET}"}}'), "a function without name"),
        (call(5, "{}"), "a function without name"),
        (call("f", f'{{"card": "{SECRET}"'), "arguments that are no JSON object"),
        (call("f", f'["{SECRET}"]'), "arguments that are no JSON object"),
        (call("f", '{"n": NaN}'), "arguments that are no JSON object"),
        (call("f", "[" * 100_000), "arguments that are no JSON object"),
        (call("f", "x" * 300_000), "a function call that does not end"),
    ],
    ids=range(7),
)
async def test_a_broken_call_is_an_error_that_does_not_tell_what_is_private(
    told: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = chunk(call("g", "{}", index=9)) + chunk(told) + chunk(finish="tool_calls")
    async with (
        FakeOpenAI(Scenario(faults={"chat": [Send(body, "text/event-stream")]})) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        with pytest.raises(ProviderCrashed, match=said) as caught:
            await answered(chat)
    assert SECRET not in f"{caught.value!r} {caplog.text}"


async def test_a_connection_that_breaks_within_a_call_is_an_error_and_calls_nothing() -> None:
    day = Scenario(replies=[Calls((WEATHER,), "Well.")], faults={"chat": [Cut(after=3)]})
    async with FakeOpenAI(day) as fake, started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
        heard: list[AnswerPiece] = []

        async def listen() -> None:
            async for piece in chat.stream(QUESTION, OFFERED):
                heard.append(piece)

        with pytest.raises(ProviderCrashed, match="connection"):
            await listen()
        assert heard == ["Well."]


# --- how much -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "asked", "sent"),
    [
        ({}, None, ("max_completion_tokens", 800)),
        ({}, 20, ("max_completion_tokens", 20)),
        ({}, 4096, ("max_completion_tokens", 800)),
        ({"model": "llama3.3"}, 20, ("max_tokens", 20)),
    ],
)
async def test_the_smaller_limit_counts(
    options: dict[str, Any], asked: int | None, sent: tuple[str, int]
) -> None:
    async with (
        FakeOpenAI(Scenario(is_strict=False)) as fake,
        started(OpenAIChat, OpenAIChatOptions(**options), fake) as chat,
    ):
        await answered(chat, AnswerRequest(max_output_tokens=asked))
        (request,) = fake.requests
    assert [(name, request.fields[name]) for name in request.fields if name.startswith("max")] == [sent]


@pytest.mark.parametrize(
    ("replies", "limit", "day", "expected"),
    [
        ("One two three four.", 2, {}, ["One two", CutShort("max_output_tokens")]),
        (Calls((TIME, WEATHER), "Well."), 5, {}, ["Well.", TIME, CutShort("max_output_tokens")]),
        (Calls((WEATHER,)), 2, {}, [CutShort("max_output_tokens")]),
        (Calls((TIME,)), 1, {}, [CutShort("max_output_tokens")]),
        (
            Calls((TIME,), "Well."),
            9,
            {"finish_reason": "length"},
            ["Well.", TIME, CutShort("max_output_tokens")],
        ),
        ("I would", 9, {"finish_reason": "content_filter"}, ["I would", CutShort("content_filter")]),
    ],
    ids=range(6),
)
async def test_an_answer_that_was_cut_short_says_so(
    replies: str | Calls, limit: int, day: dict[str, Any], expected: list[AnswerPiece]
) -> None:
    async with (
        FakeOpenAI(Scenario(replies=[replies], **day)) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        told = await answered(chat, AnswerRequest(TOOLS, max_output_tokens=limit))
    assert told[:-1] == expected
    assert isinstance(told[-1], Usage)


async def test_the_operators_limit_alone_must_leave_room_for_an_answer() -> None:
    async with (
        FakeOpenAI(Scenario(replies=[Calls((WEATHER,))])) as fake,
        started(OpenAIChat, OpenAIChatOptions(max_output_tokens=2), fake) as chat,
    ):
        with pytest.raises(ProviderCrashed, match=r"without words \(length\)"):
            await answered(chat)


async def test_tokens_are_counted() -> None:
    async with (
        FakeOpenAI(Scenario(replies=["It is noon."], cached_tokens=3)) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        assert await answered(chat, AnswerRequest()) == [
            "It is noon.",
            Usage(7, 3, 3, provider="openai-chat"),
        ]


COUNTED = {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": None}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (chunk(call(), finish="stop", **COUNTED), [Usage(7, 3)]),
        (chunk(call(), usage={"prompt_tokens": 1}) + chunk(finish="stop") + chunk(**COUNTED), [Usage(7, 3)]),
        (chunk(call(), **COUNTED) + chunk(finish="stop"), [Usage(7, 3)]),
        (chunk(call(), finish="stop", usage={}), []),
        (chunk(call(), finish="stop") + b"data: [DONE]\n\n", []),
        (chunk(call(), finish="stop") + event({"choices": [], "usage": {"prompt_tokens": -1}}), [Usage()]),
        (chunk(call(), finish="stop") + event({"choices": [], "usage": "many"}) + b"data: oops\n\n", []),
    ],
    ids=["with the end", "again at the end", "only before", "empty", "never", "below nothing", "nonsense"],
)
async def test_counts_are_read_wherever_they_come(body: bytes, expected: list[Usage]) -> None:
    async with (
        FakeOpenAI(Scenario(faults={"chat": [Send(body, "text/event-stream")]})) as fake,
        started(OpenAIChat, OpenAIChatOptions(), fake) as chat,
    ):
        assert await answered(chat) == [
            ToolCall("f"),
            *(replace(each, provider="openai-chat") for each in expected),
        ]


@pytest.mark.parametrize(("sends_done", "longest"), [(False, 0.01), (True, LIMIT)])
async def test_counts_that_do_not_come_are_not_waited_for(
    sends_done: bool, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicertc.providers.openai_language_model._COUNTING", longest)
    day = Scenario(refused_fields=("stream_options",), sends_done=sends_done, linger=LIMIT)
    async with FakeOpenAI(day) as fake, started(OpenAIChat, OpenAIChatOptions(), fake) as chat:
        assert await answered(chat) == ["Hello. How can I help you?"]
        assert [ending.done() for ending in chat._endings] == [False]
