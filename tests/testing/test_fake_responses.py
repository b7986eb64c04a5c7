"""The fake's /responses, judged by the real SDK and by what OpenAI is known to refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent

from voicertc.core.replies import ToolCall
from voicertc.testing.fake_openai import Calls, FailInside, FakeOpenAI, Scenario
from voicertc.testing.openai_answers import tokens

LIMIT = 10.0
"""Seconds until a wait counts as a hang."""

REPLY = "Hello. How can I help you?"
WEATHER = ToolCall("get_weather", '{"city": "Oslo"}')
TIME = ToolCall("get_time", "{}")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False},
    {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}},
]
ASKED: dict[str, Any] = {"role": "user", "content": "What is the weather in Oslo?"}
CALLED: dict[str, Any] = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
GIVEN: dict[str, Any] = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
BODY: dict[str, Any] = {"model": "gpt-6-luna", "input": [ASKED], "reasoning": {"effort": "none"}}

TEXT = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    *["response.output_text.delta"] * 6,
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
CALL = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI, None]:
    async with FakeOpenAI() as fake:
        yield fake


def sdk(fake: FakeOpenAI) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=fake.api_key, base_url=fake.base_url, max_retries=0)


async def streamed(body: Mapping[str, Any] = BODY, **day: Any) -> list[ResponseStreamEvent]:
    async with FakeOpenAI(Scenario(**day)) as fake, sdk(fake) as api:
        return [event async for event in await api.responses.create(**body, stream=True)]


def last(events: list[ResponseStreamEvent]) -> Response:
    assert events[-1].type in ("response.completed", "response.incomplete", "response.failed")
    return events[-1].response


@pytest.mark.parametrize("day", [{}, {"line_end": "\r\n"}, {"write_bytes": 1}, {"write_bytes": 7}], ids=str)
async def test_the_sdk_streams_an_answer(day: dict[str, Any]) -> None:
    events = await streamed(replies=["Grüß dich, 世界! 😀 How now?"], **day)
    assert [event.type for event in events] == TEXT
    assert [event.sequence_number for event in events] == list(range(len(TEXT)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == tokens("Grüß dich, 世界! 😀 How now?")
    assert last(events).output_text == "Grüß dich, 世界! 😀 How now?"


async def test_the_sdk_reads_an_answer_as_a_whole(fake: FakeOpenAI) -> None:
    async with sdk(fake) as api:
        answer = await api.responses.create(
            model="gpt-6-luna",
            instructions="Be brief.",
            input="Hi!",
            store=False,
            reasoning={"effort": "none"},
            text={"verbosity": "low"},
            temperature=0.3,
            max_output_tokens=100,
            prompt_cache_key="voice",
            service_tier="fast",
        )
    assert (answer.output_text, answer.status, answer.store) == (REPLY, "completed", False)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 6)
    (request,) = fake.requests
    assert (request.endpoint, request.status, request.outcome) == ("responses", 200, "answered")


async def test_tokens_are_counted_with_those_from_the_cache() -> None:
    usage = last(await streamed({**BODY, "instructions": "Be brief."}, cached_tokens=4)).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (9, 6, 15)
    assert usage.input_tokens_details.cached_tokens == 4


async def test_the_sdk_puts_streamed_calls_together() -> None:
    events = await streamed({**BODY, "tools": TOOLS}, replies=[Calls((WEATHER, TIME), "Well.")], call_piece=6)
    answer = last(events)
    assert answer.output_text == "Well."
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [(call.call_id, call.name, call.arguments, call.status) for call in calls] == [
        ("call_test0", "get_weather", WEATHER.arguments, "completed"),
        ("call_test1", "get_time", "{}", "completed"),
    ]
    pieces = [
        (event.output_index, event.delta)
        for event in events
        if event.type == "response.function_call_arguments.delta"
    ]
    assert pieces == [(1, '{"city'), (1, '": "Os'), (1, 'lo"}'), (2, "{}")]


async def test_calls_come_one_behind_the_other_or_by_turns() -> None:
    both = {"replies": [Calls((TIME, TIME))], "call_piece": 6}
    kinds = [event.type for event in await streamed({**BODY, "tools": TOOLS}, **both)]
    assert kinds[2:-1] == CALL * 2
    kinds = [event.type for event in await streamed({**BODY, "tools": TOOLS}, **both, mixes_calls=True)]
    added, delta, *ended = CALL
    assert kinds[2:-1] == [added, added, delta, delta, *ended, *ended]


async def test_thoughts_are_an_item_of_their_own() -> None:
    events = await streamed(thoughts="Let me think.")
    assert [item.type for item in last(events).output] == ["reasoning", "message"]
    kinds = [event.type for event in events]
    assert kinds.count("response.reasoning_summary_text.delta") == 3


@pytest.mark.parametrize(
    ("day", "limit", "reason"),
    [
        ({"replies": ["word " * 20]}, 16, "max_output_tokens"),
        ({"finish_reason": "length"}, None, "max_output_tokens"),
        ({"finish_reason": "content_filter"}, None, "content_filter"),
    ],
)
async def test_an_answer_that_was_cut_is_incomplete(
    day: dict[str, Any], limit: int | None, reason: str
) -> None:
    answer = last(await streamed({**BODY, "max_output_tokens": limit}, **day))
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == reason
    (item,) = answer.output
    assert item.type == "message"
    assert item.status == "incomplete"


async def test_calls_by_turns_that_are_cut_are_incomplete_both() -> None:
    day = {"replies": [Calls((WEATHER, WEATHER))], "call_piece": 1, "mixes_calls": True}
    answer = last(await streamed({**BODY, "tools": TOOLS, "max_output_tokens": 16}, **day))
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [(call.arguments, call.status) for call in calls] == [('{"city"', "incomplete")] * 2


async def test_a_client_that_leaves_is_noticed() -> None:
    day = Scenario(replies=["word " * 10_000], token_interval=0.01)
    async with FakeOpenAI(day) as fake, sdk(fake) as api, asyncio.timeout(LIMIT):
        stream = await api.responses.create(**BODY, stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        await fake.idle()
        (request,) = fake.requests
    assert (request.outcome, 1 <= request.n_sent < 10_000) == ("left", True)


async def test_a_failure_is_an_error_event_or_a_failed_response() -> None:
    events = await streamed(faults={"responses": [FailInside(2, "server_error", "out of luck")]})
    assert [event.sequence_number for event in events] == list(range(7))
    assert events[-1].type == "error"
    assert (events[-1].code, events[-1].message) == ("server_error", "out of luck")
    failed = FailInside(2, "rate_limit_exceeded", "too much", as_response=True)
    events = await streamed(faults={"responses": [failed]})
    assert [event.sequence_number for event in events] == list(range(7))
    answer = last(events)
    assert (answer.status, answer.output) == ("failed", [])
    assert answer.error is not None
    assert (answer.error.code, answer.error.message) == ("rate_limit_exceeded", "too much")


async def test_what_is_said_may_depend_on_what_was_asked() -> None:
    asked: list[Any] = []

    def note(messages: Any) -> str:
        asked.extend(messages)
        return "Yes."

    parts = {"role": "user", "content": [{"type": "input_text", "text": "And?"}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Well."}]}
    body = {**BODY, "instructions": "Be brief.", "input": [ASKED, CALLED, GIVEN, said, parts]}
    await streamed(body, replies=note)
    function = {"name": "f", "arguments": "{}"}
    assert asked == [
        {"role": "system", "content": "Be brief."},
        ASKED,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": "Well."},
        {"role": "user", "content": "And?"},
    ]


def tool(**fields: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "name": "f", "parameters": SCHEMA, **fields}]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "gpt-7"}, (404, "model_not_found", None)),
        ({"model": None}, (400, "missing_required_parameter", "model")),
        ({"input": None}, (400, "missing_required_parameter", "input")),
        ({"input": []}, (400, "empty_array", "input")),
        ({"input": 5}, (400, "invalid_type", "input")),
        ({"input": ["Hi"]}, (400, "invalid_type", "input[0]")),
        ({"messages": [ASKED]}, (400, "unknown_parameter", "messages")),
        ({"max_completion_tokens": 99}, (400, "unknown_parameter", "max_completion_tokens")),
        ({"reasoning_effort": "none"}, (400, "unknown_parameter", "reasoning_effort")),
        ({"verbosity": "low"}, (400, "unknown_parameter", "verbosity")),
        ({"instructions": ["Be brief."]}, (400, "invalid_type", "instructions")),
        ({"store": "no"}, (400, "invalid_type", "store")),
        ({"input": [{"role": "bot", "content": "x"}]}, (400, "invalid_value", "input[0].role")),
        ({"input": [{"role": "tool", "content": "x"}]}, (400, "invalid_value", "input[0].role")),
        ({"input": [{"role": "user"}]}, (400, "missing_required_parameter", "input[0].content")),
        ({"input": [{"role": "user", "content": None}]}, (400, "invalid_type", "input[0].content")),
        ({"input": [ASKED | {"name": "x"}]}, (400, "unknown_parameter", "input[0].name")),
        ({"input": [ASKED | {"tool_calls": []}]}, (400, "unknown_parameter", "input[0].tool_calls")),
        (
            {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
            (400, "invalid_value", "input[0].content[0]"),
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
            (400, "invalid_value", "input[0].content[0]"),
        ),
        ({"input": [ASKED, {"type": "tool_call"}]}, (400, "invalid_value", "input[1]")),
        ({"input": [ASKED, CALLED]}, (400, None, "input")),
        ({"input": [ASKED, GIVEN]}, (400, None, "input")),
        ({"input": [ASKED, GIVEN, CALLED]}, (400, None, "input")),
        ({"input": [CALLED | {"arguments": {}}, GIVEN]}, (400, "invalid_type", "input[0].arguments")),
        ({"input": [CALLED | {"name": "a b"}, GIVEN]}, (400, "invalid_value", "input[0].name")),
        ({"input": [CALLED, GIVEN | {"output": {"a": 1}}]}, (400, "invalid_type", "input[1].output")),
        (
            {"input": [CALLED | {"call_id": "x" * 65}]},
            (400, "string_above_max_length", "input[0].call_id"),
        ),
        ({"max_output_tokens": 15}, (400, "integer_below_min_value", "max_output_tokens")),
        ({"max_output_tokens": "20"}, (400, "invalid_type", "max_output_tokens")),
        ({"max_output_tokens": True}, (400, "invalid_type", "max_output_tokens")),
        ({"temperature": 2.5}, (400, "decimal_out_of_range", "temperature")),
        (
            {"temperature": 0.5, "reasoning": {"effort": "low"}},
            (400, "unsupported_parameter", "temperature"),
        ),
        ({"temperature": 0.5, "reasoning": None}, (400, "unsupported_parameter", "temperature")),
        ({"reasoning": {"effort": "minimal"}}, (400, "invalid_value", "reasoning.effort")),
        ({"reasoning": {"budget": 5}}, (400, "unknown_parameter", "reasoning.budget")),
        ({"reasoning": "none"}, (400, "invalid_type", "reasoning")),
        ({"model": "gpt-5-mini"}, (400, "invalid_value", "reasoning.effort")),
        ({"model": "gpt-4.1"}, (400, "unsupported_parameter", "reasoning.effort")),
        (
            {"model": "gpt-4.1", "reasoning": None, "text": {"verbosity": "low"}},
            (400, "invalid_value", "text.verbosity"),
        ),
        ({"text": {"verbosity": "least"}}, (400, "invalid_value", "text.verbosity")),
        ({"prompt_cache_key": "x" * 65}, (400, "string_above_max_length", "prompt_cache_key")),
        ({"service_tier": "quick"}, (400, "invalid_value", "service_tier")),
        ({"stream_options": {}}, (400, None, "stream_options")),
        ({"tools": "f"}, (400, "invalid_type", "tools")),
        ({"tools": [{"type": "tool"}]}, (400, "invalid_type", "tools[0]")),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            (400, "missing_required_parameter", "tools[0].name"),
        ),
        (
            {"tools": [{"type": "function", "name": "f"}]},
            (400, "missing_required_parameter", "tools[0].parameters"),
        ),
        (tool(function={}), (400, "unknown_parameter", "tools[0].function")),
        (tool(name="a b"), (400, "invalid_value", "tools[0].name")),
        (tool(parameters={"type": "string"}), (400, "invalid_function_parameters", "tools[0].parameters")),
        (tool(strict=True), (400, "invalid_function_parameters", "tools[0].parameters")),
        ({"tool_choice": "required"}, (400, None, "tool_choice")),
        ({"tool_choice": "always"}, (400, "invalid_value", "tool_choice")),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            (400, "missing_required_parameter", "tool_choice.name"),
        ),
        ({"tool_choice": {"type": "function", "name": "g"}}, (400, None, "tool_choice")),
    ],
    ids=str,
)
async def test_it_refuses_what_openai_refuses(
    fake: FakeOpenAI, change: Mapping[str, Any], expected: tuple[int, str | None, str | None]
) -> None:
    body = {name: value for name, value in {**BODY, **change}.items() if value is not None}
    headers = {"Authorization": f"Bearer {fake.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{fake.base_url}/responses", json=body) as answer,
    ):
        error = (await answer.json())["error"]
    assert (answer.status, error["code"], error["param"]) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"input": [ASKED, CALLED, GIVEN]},
        {"input": [ASKED, CALLED, CALLED | {"call_id": "2"}, GIVEN | {"call_id": "2"}, GIVEN]},
        {"input": [{"role": "developer", "content": "Be brief."}, ASKED]},
        {"tools": [], "tool_choice": "auto"},
        {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": TOOLS, "tool_choice": {"type": "function", "name": "get_time"}},
        {**tool(parameters={**SCHEMA, "additionalProperties": False, "required": ["city"]}, strict=True)},
        {"reasoning": {"effort": "xhigh"}, "tools": TOOLS},
        {"temperature": 0, "max_output_tokens": 16},
        {"model": "gpt-5-mini", "reasoning": {"effort": "minimal"}},
        {"model": "gpt-4.1", "reasoning": None, "temperature": 1.5},
    ],
    ids=str,
)
async def test_it_takes_what_openai_takes(change: Mapping[str, Any]) -> None:
    body = {name: value for name, value in {**BODY, **change}.items() if value is not None}
    assert last(await streamed(body)).output_text == REPLY
