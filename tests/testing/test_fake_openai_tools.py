"""What the fake does with functions, judged by the real SDK and by what OpenAI is known to refuse."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from voicertc.core.replies import ToolCall
from voicertc.testing.fake_openai import Calls, FakeOpenAI, Scenario

WEATHER = ToolCall("get_weather", '{"city": "Oslo"}')
TIME = ToolCall("get_time", "{}")
BOTH = Calls((WEATHER, TIME), "Let me look.")

ASKED: dict[str, Any] = {"role": "user", "content": "What is the weather in Oslo?"}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
        {"id": "call_2", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
    ],
}
FIRST: dict[str, Any] = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
SECOND: dict[str, Any] = {"role": "tool", "tool_call_id": "call_2", "content": "noon"}


def tool(name: str = "get_weather", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


TOOLS = [
    tool(description="It looks out of the window.", parameters=schema(city={"type": "string"})),
    tool("get_time"),
]
CHAT: dict[str, Any] = {
    "model": "gpt-6-luna",
    "reasoning_effort": "none",
    "messages": [ASKED],
    "tools": TOOLS,
}


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI, None]:
    async with FakeOpenAI() as fake:
        yield fake


def sdk(fake: FakeOpenAI) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=fake.api_key, base_url=fake.base_url, max_retries=0)


async def deltas(
    body: dict[str, Any], **day: Any
) -> list[tuple[int | None, str | None, str | None, str | None]]:
    """Index, id, name and arguments of every piece of a call that a stream of the scenario's holds."""
    async with FakeOpenAI(Scenario(**day)) as fake, sdk(fake) as api:
        return [
            (
                call.index,
                call.id,
                call.function.name if call.function else None,
                call.function.arguments if call.function else None,
            )
            async for chunk in await api.chat.completions.create(**body, stream=True)
            for choice in chunk.choices
            for call in choice.delta.tool_calls or []
        ]


async def test_the_sdk_puts_streamed_calls_together() -> None:
    async with (
        FakeOpenAI(Scenario(replies=[BOTH])) as fake,
        sdk(fake) as api,
        api.chat.completions.stream(**CHAT) as stream,
    ):
        answer = (await stream.get_final_completion()).choices[0]
    calls = answer.message.tool_calls or []
    assert (answer.message.content, answer.finish_reason) == ("Let me look.", "tool_calls")
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call_test0", "get_weather", '{"city": "Oslo"}'),
        ("call_test1", "get_time", "{}"),
    ]


async def test_the_sdk_reads_calls_as_a_whole() -> None:
    async with FakeOpenAI(Scenario(replies=[Calls((TIME,))])) as fake, sdk(fake) as api:
        answer = (await api.chat.completions.create(**CHAT)).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.to_dict() == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "call_test0", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
        ],
    }


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (
            {},
            [
                (0, "call_test0", "get_weather", ""),
                (0, None, None, '{"city'),
                (0, None, None, '": "Os'),
                (0, None, None, 'lo"}'),
                (1, "call_test1", "get_time", ""),
                (1, None, None, "{}"),
            ],
        ),
        (
            {"mixes_calls": True, "call_piece": 10, "has_call_ids": False},
            [
                (0, None, "get_weather", ""),
                (1, None, "get_time", ""),
                (0, None, None, '{"city": "'),
                (1, None, None, "{}"),
                (0, None, None, 'Oslo"}'),
            ],
        ),
        (
            {"call_piece": None, "call_index": "zero"},
            [(0, "call_test0", "get_weather", WEATHER.arguments), (0, "call_test1", "get_time", "{}")],
        ),
        (
            {"call_piece": None, "call_index": "missing"},
            [(None, "call_test0", "get_weather", WEATHER.arguments), (None, "call_test1", "get_time", "{}")],
        ),
    ],
    ids=["OpenAI", "mixed", "all zero", "no index"],
)
async def test_calls_come_in_pieces_of_many_kinds(day: dict[str, Any], expected: list[Any]) -> None:
    assert await deltas(CHAT, replies=[BOTH], **day) == expected


async def test_a_call_that_was_chosen_by_name_ends_as_any_answer() -> None:
    chosen = {"tool_choice": {"type": "function", "function": {"name": "get_time"}}}
    async with FakeOpenAI(Scenario(replies=[Calls((TIME,))])) as fake, sdk(fake) as api:
        answer = (await api.chat.completions.create(**CHAT, **chosen)).choices[0]
    assert (answer.finish_reason, len(answer.message.tool_calls or [])) == ("stop", 1)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_the_limit_of_tokens_is_kept(is_stream: bool) -> None:
    body = {**CHAT, "max_completion_tokens": 5, "stream": is_stream}
    if is_stream:
        body["stream_options"] = {"include_usage": True}
    async with FakeOpenAI(Scenario(replies=["One two three four five six.", BOTH])) as fake, sdk(fake) as api:
        told: list[tuple[str, str | None, int]] = []
        for _ in range(2):
            answer = await api.chat.completions.create(**body)
            if not is_stream:
                choice = answer.choices[0]
                told.append((choice.message.content, choice.finish_reason, answer.usage.completion_tokens))
                continue
            chunks = [chunk async for chunk in answer]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
            told.append((text, chunks[-2].choices[0].finish_reason, chunks[-1].usage.completion_tokens))
    assert told == [("One two three four five", "length", 5), ("Let me look.", "length", 5)]


async def test_usage_counts_what_is_told_called_and_offered() -> None:
    history = [ASKED, CALLED, FIRST, SECOND]
    async with FakeOpenAI(Scenario(replies=["It is sunny."], cached_tokens=10)) as fake, sdk(fake) as api:
        counts = []
        for body in ({"messages": [ASKED]}, {"messages": history}, {"messages": history, "tools": TOOLS}):
            usage = (await api.chat.completions.create(model="gpt-4.1", **body)).usage
            assert usage is not None
            assert usage.prompt_tokens_details is not None
            counts.append(
                (usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens)
            )
    assert counts[0] == (7, 3, 7)
    assert [count[1:] for count in counts[1:]] == [(3, 10), (3, 10)]
    assert counts[0][0] < counts[1][0] < counts[2][0]


NO_ANSWERS = "must be followed by tool messages responding to each 'tool_call_id'"


@pytest.mark.parametrize(
    ("change", "said", "code", "param"),
    [
        ({"tools": []}, "empty array", "empty_array", "tools"),
        ({"tools": {}}, "Invalid type", "invalid_type", "tools"),
        ({"tools": [tool()] * 129}, "too long", "array_above_max_length", "tools"),
        ({"tools": [{"name": "f"}]}, "Invalid type", "invalid_type", "tools[0]"),
        (
            {"tools": [{"type": "function", "name": "f"}]},
            "Unknown parameter",
            "unknown_parameter",
            "tools[0].name",
        ),
        (
            {"tools": [{"type": "function"}]},
            "Missing required",
            "missing_required_parameter",
            "tools[0].function",
        ),
        ({"tools": [tool("get weather")]}, "match pattern", "invalid_value", "tools[0].function.name"),
        ({"tools": [tool("f" * 65)]}, "too long", "string_above_max_length", "tools[0].function.name"),
        ({"tools": [tool(), tool("")]}, "match pattern", "invalid_value", "tools[1].function.name"),
        ({"tools": [tool(timeout=1)]}, "Unknown", "unknown_parameter", "tools[0].function.timeout"),
        ({"tools": [tool(description=5)]}, "a string", "invalid_type", "tools[0].function.description"),
        *(
            (
                {"tools": [tool(parameters=parameters)]},
                said,
                "invalid_function_parameters",
                "tools[0].function.parameters",
            )
            for parameters, said in [
                ({}, "got 'type: \"None\"'"),
                ("{}", "got 'type: \"None\"'"),
                ({"type": "string"}, "got 'type: \"string\"'"),
                ({"type": "object"}, "object schema missing properties"),
                ({"type": "object", "properties": []}, "is not of type 'object'"),
                (schema(city={"type": "text"}), "is not valid under any of the given schemas"),
                (schema(city="string"), "is not of type 'object', 'boolean'"),
                (
                    schema(cities={"type": "array"}),
                    "In context=('properties', 'cities'), array schema missing items",
                ),
                (schema(cities={"type": "array", "items": {"type": "text"}}), "'cities', 'items'"),
            ]
        ),
        ({"tools": None, "tool_choice": "auto"}, "only allowed when 'tools'", None, "tool_choice"),
        ({"tools": None, "parallel_tool_calls": True}, "only allowed when", None, "parallel_tool_calls"),
        ({"tool_choice": "always"}, "Supported values are", "invalid_value", "tool_choice"),
        (
            {"tool_choice": {"type": "function", "name": "get_time"}},
            "Unknown parameter",
            "unknown_parameter",
            "tool_choice.name",
        ),
        (
            {"tool_choice": {"type": "function", "function": {"name": "get_news"}}},
            "'get_news' not found",
            None,
            "tool_choice",
        ),
        ({"reasoning_effort": "low"}, "set reasoning_effort to 'none'", None, "reasoning_effort"),
        ({"messages": [ASKED, FIRST]}, "must be a response to a preceeding", None, "messages.[1].role"),
        ({"messages": [ASKED, CALLED]}, NO_ANSWERS, None, "messages.[2].role"),
        ({"messages": [ASKED, CALLED, FIRST]}, f"{NO_ANSWERS}. .*: call_2", None, "messages.[3].role"),
        ({"messages": [ASKED, CALLED, FIRST, ASKED, SECOND]}, NO_ANSWERS, None, "messages.[3].role"),
        ({"messages": [ASKED, CALLED, FIRST, FIRST]}, "must be a response", None, "messages.[3].role"),
        (
            {"messages": [{**CALLED, "tool_calls": []}]},
            "empty array",
            "empty_array",
            "messages[0].tool_calls",
        ),
        (
            {"messages": [{**CALLED, "tool_calls": 2 * CALLED["tool_calls"][:1]}, FIRST]},
            "Duplicate",
            "invalid_value",
            "messages[0].tool_calls[1].id",
        ),
        (
            {"messages": [{**CALLED, "tool_calls": [{**CALLED["tool_calls"][0], "id": "x" * 41}]}]},
            "maximum length 40",
            "string_above_max_length",
            "messages[0].tool_calls[0].id",
        ),
    ],
    ids=lambda value: str(value)[:70] if isinstance(value, dict) else "",
)
async def test_functions_are_refused_as_openai_refuses_them(
    fake: FakeOpenAI, change: dict[str, Any], said: str, code: str | None, param: str
) -> None:
    body = {name: value for name, value in {**CHAT, **change}.items() if value is not None}
    async with sdk(fake) as api:
        with pytest.raises(openai.BadRequestError) as caught:
            await api.chat.completions.create(**body)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.match(said.replace("(", r"\(").replace(")", r"\)"))


async def test_functions_and_answered_calls_are_taken(fake: FakeOpenAI) -> None:
    nested = schema(days={"type": "array", "items": schema(n={"type": ["integer", "null"]})}, any={})
    history = [ASKED, CALLED, SECOND, FIRST, {"role": "assistant", "content": "Sunny."}, ASKED]
    async with sdk(fake) as api:
        for change in (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            {"tools": [tool(parameters=nested, strict=False)], "messages": history},
            {"model": "gpt-5.1", "reasoning_effort": "low"},
        ):
            await api.chat.completions.create(**{**CHAT, **change})
        assert [request.status for request in fake.requests] == [200] * 4
