"""Answers by /responses: what is asked, what is said and called, and all that may go wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import pytest

from voicertc.core.items import Role
from voicertc.core.options import Tool, ToolChoice
from voicertc.core.replies import CutShort, ToolCall, Usage
from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderUnavailable
from voicertc.providers.base import AnsweredCall, AnswerPiece, AnswerRequest, Message
from voicertc.providers.openai_client import OpenAIClient, OpenAIOptions
from voicertc.providers.openai_responses import OpenAIResponses, OpenAIResponsesOptions
from voicertc.providers.plan_b.blame import NoCredit, Refused
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import (
    Calls,
    Cut,
    FailInside,
    FakeOpenAI,
    Fault,
    Refuse,
    Scenario,
    Send,
)

from .openai_stages import LIMIT, started

MESSAGES = [Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Grüß Gott!")]
REPLY = "Grüß dich, 世界! How are you? 😀"
WEATHER = ToolCall("get_weather", '{"city": "Zürich"}')
TIME = ToolCall("get_time", "{}")
TOOLS = (
    Tool("get_weather", "Looks out.", '{"type": "object", "properties": {"city": {"type": "string"}}}'),
    Tool("get_time"),
)
OFFERED = AnswerRequest(TOOLS)


async def answered(
    model: OpenAIResponses, request: AnswerRequest = OFFERED, messages: Sequence[Message] = MESSAGES
) -> list[AnswerPiece]:
    """All pieces of an answer, but what is said in one piece."""
    pieces: list[AnswerPiece] = []
    async with asyncio.timeout(LIMIT):
        async for piece in model.stream(messages, request):
            if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
                piece = pieces.pop() + piece  # type: ignore[operator]  # both are text
            pieces.append(piece)
    return pieces


async def asked(
    request: AnswerRequest = OFFERED, messages: Sequence[Message] = MESSAGES, **options: Any
) -> Any:
    """The body of a request that OpenAI takes."""
    async with FakeOpenAI() as fake:
        async with started(OpenAIResponses, OpenAIResponsesOptions(**options), fake) as model:
            await answered(model, request, messages)
        (received,) = fake.requests
        return received.fields


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def ended(kind: str = "completed", **response: object) -> bytes:
    return event(f"response.{kind}", response={"status": kind, **response})


def text(delta: object, output: int = 0, content: int = 0) -> bytes:
    return event("response.output_text.delta", output_index=output, content_index=content, delta=delta)


def body(*events: bytes) -> Send:
    return Send(b"".join(events), "text/event-stream; charset=utf-8")


async def answer_to(*events: bytes) -> list[AnswerPiece]:
    """What is made of these events."""
    async with (
        FakeOpenAI(Scenario(faults={"responses": [body(*events)]})) as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(), fake) as model,
    ):
        return await answered(model)


# --- what is asked --------------------------------------------------------------------------------


async def test_the_request_holds_what_is_needed_and_no_more() -> None:
    sent = await asked(AnswerRequest())
    key = sent.pop("prompt_cache_key")
    assert len(key) == 32
    assert sent == {
        "model": "gpt-6-luna",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Grüß Gott!"}],
        "stream": True,
        "store": False,
        "max_output_tokens": 800,
        "reasoning": {"effort": "none"},
        "text": {"verbosity": "low"},
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 0.4}, {"temperature": 0.4}),
        ({"temperature": 0.4, "reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ({"temperature": 0.4, "reasoning_effort": None}, {"reasoning": None}),
        ({"temperature": 0.0, "model": "gpt-4.1"}, {"temperature": 0.0, "reasoning": None, "text": None}),
        ({"temperature": 0.4, "model": "gpt-5-mini"}, {"reasoning": {"effort": "minimal"}}),
        ({"verbosity": None}, {"text": None}),
        ({"verbosity": "high"}, {"text": {"verbosity": "high"}}),
        ({"service_tier": "fast"}, {"service_tier": "fast"}),
        ({"extra": {"metadata": {"shop": "7"}}}, {"metadata": {"shop": "7"}}),
    ],
    ids=str,
)
async def test_a_model_is_sent_what_it_takes(options: dict[str, Any], expected: dict[str, Any]) -> None:
    sent = await asked(**options)
    assert sent["model"] == options.get("model", "gpt-6-luna")
    changing = ("reasoning", "text", "temperature", "service_tier", "metadata")
    usual = {"reasoning": {"effort": "none"}, "text": {"verbosity": "low"}}
    wanted = {name: value for name, value in {**usual, **expected}.items() if value is not None}
    assert {name: sent[name] for name in changing if name in sent} == wanted


@pytest.mark.parametrize(
    ("own", "client", "sent"), [(800, None, 800), (800, 20, 20), (90, 4096, 90), (800, 3, 16), (5, None, 16)]
)
async def test_the_smaller_limit_counts_but_openai_takes_none_below_16(
    own: int, client: int | None, sent: int
) -> None:
    request = await asked(AnswerRequest(max_output_tokens=client), max_output_tokens=own)
    assert request["max_output_tokens"] == sent


async def test_the_beginning_has_a_key_that_no_word_of_the_user_changes() -> None:
    system, hello, bye = MESSAGES[0], Message(Role.USER, "Hello."), Message(Role.USER, "Bye.")
    keys = [
        (await asked(request, messages, **options))["prompt_cache_key"]
        for request, messages, options in (
            (OFFERED, [system, hello], {}),
            (OFFERED, [system, hello, Message(Role.ASSISTANT, "Hi."), bye], {"temperature": 0.5}),
            (AnswerRequest(), [system, hello], {}),
            (OFFERED, [Message(Role.SYSTEM, "Be kind."), hello], {}),
            (OFFERED, [system, hello], {"model": "gpt-6-sol"}),
        )
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(), {}),
        (ToolChoice("none"), {"tool_choice": "none"}),
        (ToolChoice("required"), {"tool_choice": "required"}),
        (ToolChoice("function", "get_time"), {"tool_choice": {"type": "function", "name": "get_time"}}),
    ],
    ids=lambda value: value.mode if isinstance(value, ToolChoice) else "",
)
async def test_functions_are_offered_flat_and_not_strict(
    choice: ToolChoice, expected: dict[str, object]
) -> None:
    sent = await asked(AnswerRequest(TOOLS, choice))
    city = {"type": "object", "properties": {"city": {"type": "string"}}}
    nothing = {"type": "object", "properties": {}}
    weather = {"name": "get_weather", "description": "Looks out.", "parameters": city}
    tools = [
        {"type": "function", **weather, "strict": False},
        {"type": "function", "name": "get_time", "parameters": nothing, "strict": False},
    ]
    assert {name: value for name, value in sent.items() if name.startswith("tool")} == {
        "tools": tools,
        **expected,
    }


async def test_functions_may_be_offered_to_a_model_that_thinks() -> None:
    assert (await asked(reasoning_effort="low"))["reasoning"] == {"effort": "low"}


async def test_calls_and_what_they_gave_back_are_items() -> None:
    calls = (
        AnsweredCall("call_1", "get_weather", WEATHER.arguments, "sunny"),
        AnsweredCall("item_" + 60 * "x", "get time!", "not JSON", ""),
    )
    sent = await asked(
        messages=[
            *MESSAGES,
            Message(Role.ASSISTANT, "Let me look.", calls),
            Message(Role.ASSISTANT, "", calls[:1]),
            Message(Role.SYSTEM, "It is late."),
            Message(Role.USER, "And?"),
        ]
    )
    first, second = sent["input"][2]["call_id"], sent["input"][3]["call_id"]
    assert first != second
    called = {
        "type": "function_call",
        "call_id": first,
        "name": "get_weather",
        "arguments": WEATHER.arguments,
    }
    gave = {"type": "function_call_output", "call_id": first, "output": "sunny"}
    assert sent["input"] == [
        {"role": "user", "content": "Grüß Gott!"},
        {"role": "assistant", "content": "Let me look."},
        called,
        {"type": "function_call", "call_id": second, "name": "get_time_", "arguments": "{}"},
        gave,
        {"type": "function_call_output", "call_id": second, "output": ""},
        called,
        gave,
        {"role": "system", "content": "It is late."},
        {"role": "user", "content": "And?"},
    ]


async def test_instructions_alone_are_input_for_openai_wants_some() -> None:
    sent = await asked(messages=MESSAGES[:1])
    assert "instructions" not in sent
    assert sent["input"] == [{"role": "system", "content": "Be brief."}]


async def test_what_a_server_does_not_know_is_left_out_but_storing_is_always_forbidden() -> None:
    refused = ("prompt_cache_key", "text", "reasoning")
    async with (
        FakeOpenAI(Scenario(api_key=None, is_strict=False, refused_fields=refused)) as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(), fake) as model,
    ):
        for _ in range(2):
            assert (await answered(model))[0] == "Hello. How can I help you?"
        assert [request.status for request in fake.requests] == [400, 400, 400, 200, 200]
        assert not set(refused) & set(fake.requests[-1].fields)
    async with (
        FakeOpenAI(Scenario(api_key=None, is_strict=False, refused_fields=("store",))) as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(), fake) as model,
    ):
        with pytest.raises(ProviderError, match="store"):
            await answered(model)


# --- what is said and called ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "day",
    [
        {},
        {"line_end": "\r\n"},
        {"line_end": "\r"},
        {"write_bytes": 1},
        {"write_bytes": 7, "line_end": "\r\n"},
        {"comment_interval": 0.01, "first_token_delay": 0.05, "token_interval": 0.02},
        {"thoughts": "The user greets me in German."},
        {"api_key": None, "is_strict": False},
    ],
    ids=str,
)
async def test_the_answer_is_whole_whatever_the_stream_looks_like(day: dict[str, Any]) -> None:
    async with (
        FakeOpenAI(Scenario(replies=[REPLY], **day)) as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(), fake) as model,
    ):
        pieces = [piece async for piece in model.stream(MESSAGES, OFFERED)]
    assert "".join(map(str, pieces[:-1])) == REPLY
    assert len(pieces) == 8


async def test_tokens_are_counted() -> None:
    async with (
        FakeOpenAI(Scenario(replies=["It is noon."], cached_tokens=3)) as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(), fake) as model,
    ):
        usage = Usage(4, 3, 3, provider="openai-responses")
        assert await answered(model, AnswerRequest()) == ["It is noon.", usage]


@pytest.mark.parametrize(
    "day",
    [
        {},
        {"call_piece": 1, "write_bytes": 7},
        {"call_piece": None},
        {"mixes_calls": True, "call_piece": 3},
        {"thoughts": "Which one?"},
    ],
    ids=str,
)
async def test_calls_are_put_together_whatever_pieces_they_come_in(day: dict[str, Any]) -> None:
    replies = [Calls((WEATHER, WEATHER, TIME), "Let me look."), Calls((TIME,))]
    async with (
        FakeOpenAI(Scenario(replies=replies, **day)) as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(), fake) as model,
    ):
        told = [[piece for piece in await answered(model) if not isinstance(piece, Usage)] for _ in range(2)]
    assert told == [["Let me look.", WEATHER, WEATHER, TIME], [TIME]]


def added(index: object = 0, name: object = "f", call_id: str = "c", done: str | None = None) -> bytes:
    item = {"type": "function_call", "call_id": call_id, "name": name, "arguments": done or ""}
    kind = "response.output_item.added" if done is None else "response.output_item.done"
    return event(kind, output_index=index, item=item)


def arguments(piece: object, index: object = 0) -> bytes:
    return event("response.function_call_arguments.delta", output_index=index, delta=piece)


def whole(piece: str, index: int = 0) -> bytes:
    return event("response.function_call_arguments.done", output_index=index, arguments=piece)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([added(), added(done='{"a": 1}')], [ToolCall("f", '{"a": 1}')]),
        ([added(done='{"a": 1}')], [ToolCall("f", '{"a": 1}')]),
        ([added(), whole('{"a": 1}'), added(done='{"a": 1}')], [ToolCall("f", '{"a": 1}')]),
        ([added(), arguments('{"a"'), arguments(": 1}"), whole('{"a": 1}')], [ToolCall("f", '{"a": 1}')]),
        ([added(), added(done="")], [ToolCall("f")]),
        ([arguments("{}"), added()], [ToolCall("f")]),
        (
            [added(1), added(2, "g", "d"), *(arguments(each, n) for each in "{}" for n in (2, 1))],
            [ToolCall("f"), ToolCall("g")],
        ),
        ([added(None), added(None, "g", "d")], [ToolCall("f"), ToolCall("g")]),
        ([text("Well."), added(1), arguments("{}", 1), arguments(None, 1)], ["Well.", ToolCall("f")]),
    ],
    ids=range(9),
)
async def test_calls_are_understood_whichever_events_tell_of_them(
    events: list[bytes], expected: list[AnswerPiece]
) -> None:
    assert await answer_to(*events, ended()) == expected


async def test_a_refusal_is_said() -> None:
    refusal = "response.refusal.delta"
    told = [event(refusal, output_index=0, content_index=0, delta=each) for each in ("I cannot", " do that.")]
    assert await answer_to(*told, ended()) == ["I cannot do that."]


async def test_two_messages_are_not_run_together() -> None:
    told = [text("Let me look."), text("It"), text("is noon.", 1), text(" Yes.", 1), text("Bye.", 1, 1)]
    assert await answer_to(*told, ended()) == ["Let me look.It is noon. Yes. Bye."]


async def test_what_says_nothing_is_passed_over() -> None:
    odd = [
        b"data: []\n\n",
        b"data: {}\n\n",
        event("response.queued"),
        event("response.something.new", delta="?"),
        event("response.output_item.added", item=None),
        event("response.output_item.added", item={"type": "web_search_call"}),
        event("response.reasoning_text.delta", delta="Hm."),
        event("response.output_text.done", text="Fine."),
        text(None),
        text(5),
        text("Fine."),
        ended(usage="many", output=None),
    ]
    assert await answer_to(*odd) == ["Fine."]


@pytest.mark.parametrize(
    ("reply", "limit", "day", "expected"),
    [
        ("word " * 30, 20, {}, ["word " * 19 + "word", CutShort("max_output_tokens")]),
        ("One two three four.", 2, {}, ["One two", CutShort("max_output_tokens")]),
        ("One two.", 2, {}, ["One two."]),
        ("One.", 1, {}, ["One."]),
        (Calls((TIME, WEATHER), "Well."), 5, {}, ["Well.", TIME, CutShort("max_output_tokens")]),
        (Calls((WEATHER,)), 2, {}, [CutShort("max_output_tokens")]),
        (Calls((TIME,)), 2, {}, [TIME]),
        ("I would", 99, {"finish_reason": "content_filter"}, ["I would", CutShort("content_filter")]),
        ("I would", 99, {"finish_reason": "length"}, ["I would", CutShort("max_output_tokens")]),
    ],
    ids=range(9),
)
async def test_an_answer_that_was_cut_short_says_so(
    reply: str | Calls, limit: int, day: dict[str, Any], expected: list[AnswerPiece]
) -> None:
    async with (
        FakeOpenAI(Scenario(replies=[reply], **day)) as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(), fake) as model,
    ):
        told = await answered(model, AnswerRequest(TOOLS, max_output_tokens=limit))
    assert told[:-1] == expected
    assert isinstance(told[-1], Usage)


async def test_an_answer_cut_for_a_reason_we_do_not_know_is_an_answer() -> None:
    steered = ended("incomplete", incomplete_details={"reason": "steered"})
    assert await answer_to(text("Well."), steered) == ["Well."]


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected", "said", "n_sent"),
    [
        (Refuse(400, "context_length_exceeded", "too long"), ProviderError, "too long", 1),
        (Refuse(401, "invalid_api_key"), Refused, "refused the API key", 1),
        (Refuse(403, "unsupported_country_region_territory"), Refused, "does not permit", 1),
        (Refuse(404, "model_not_found", "no such model"), Refused, "no such model", 1),
        (Refuse(429, "rate_limit_exceeded"), ProviderBusy, "429", 2),
        (Refuse(429, "rate_limit_exceeded", headers={"retry-after": "7"}), ProviderBusy, "429", 1),
        (Refuse(429, "insufficient_quota"), NoCredit, "no credit", 1),
        (Refuse(500), ProviderCrashed, "HTTP 500", 2),
        (Cut(), ProviderCrashed, "connection", 2),
        (Cut(after=2), ProviderCrashed, "connection", 1),
        (FailInside(2, "server_error"), ProviderCrashed, "The model failed", 1),
        (FailInside(2, as_response=True), ProviderCrashed, "The model failed", 1),
        (FailInside(0, "rate_limit_exceeded"), ProviderBusy, "rate_limit_exceeded", 1),
        (FailInside(0, "rate_limit_exceeded", as_response=True), ProviderBusy, "rate_limit_exceeded", 1),
        (FailInside(0, "insufficient_quota"), NoCredit, "no credit", 1),
        (Send(b"", "text/event-stream"), ProviderCrashed, "in the middle", 1),
        (body(text("Half")), ProviderCrashed, "in the middle", 1),
        (body(ended()), ProviderCrashed, r"without words \(completed\)", 1),
        (body(ended("failed", error=None)), ProviderCrashed, "no reason given", 1),
        (body(b'data: {"error": {"message": "no GPU"}}\n\n'), ProviderCrashed, "no GPU", 1),
        (body(event("error", error={"message": "no GPU"})), ProviderCrashed, "no GPU", 1),
        (
            body(ended("incomplete", incomplete_details={"reason": "content_filter"})),
            ProviderError,
            "withheld",
            1,
        ),
        (
            body(ended("incomplete", incomplete_details={"reason": "max_output_tokens"})),
            ProviderCrashed,
            r"without words \(max_output_tokens\)",
            1,
        ),
        (body(b"data: {not json\n\n"), ProviderCrashed, "no JSON", 1),
        (body(b"data: " + b"[" * 100_000 + b"\n\n"), ProviderCrashed, "no JSON", 1),
        (body(b"x" * 3_000_000), ProviderCrashed, "an event of more than", 1),
        (Send(b"<html>Sign in</html>", "text/html"), ProviderCrashed, "Sign in", 1),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_is_no_answer_is_an_error(
    fault: Fault, expected: type[ProviderError], said: str, n_sent: int
) -> None:
    async with (
        FakeOpenAI(Scenario(faults={"responses": repeat(fault)})) as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(), fake) as model,
    ):
        with pytest.raises(ProviderError, match=said) as caught:
            await answered(model, AnswerRequest())
        assert (type(caught.value), caught.value.provider) == (expected, "openai-responses")
        assert len(fake.requests) == n_sent


async def test_a_model_that_openai_does_not_have_is_unavailable() -> None:
    async with (
        FakeOpenAI() as fake,
        started(OpenAIResponses, OpenAIResponsesOptions(model="gpt-7"), fake) as model,
    ):
        with pytest.raises(ProviderUnavailable, match="gpt-7"):
            await answered(model)


async def test_a_server_that_is_not_there_is_a_crash() -> None:
    async with FakeOpenAI() as fake:
        gone = fake.base_url
    model = OpenAIResponses(OpenAIResponsesOptions(), OpenAIClient(OpenAIOptions(base_url=gone)))
    await model.start()
    with pytest.raises(ProviderCrashed, match="refuses connections"):
        await answered(model)
    await model.close()


SECRET = "1234 5678"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([added(0, ""), arguments(f'{{"card": "{SECRET}"}}')], "a function without name"),
        ([added(0, 5)], "a function without name"),
        ([added(), arguments(f'{{"card": "{SECRET}"')], "arguments that are no JSON object"),
        ([added(), arguments(f'["{SECRET}"]')], "arguments that are no JSON object"),
        ([added(), arguments("x" * 300_000)], "a function call that does not end"),
    ],
    ids=range(5),
)
async def test_a_broken_call_is_an_error_that_does_not_tell_what_is_private(
    told: list[bytes], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ProviderCrashed, match=said) as caught:
        await answer_to(*told, ended())
    assert SECRET not in f"{caught.value!r} {caplog.text}"


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Refuse(400, "invalid_value", "Who uses sk-wrong-but-still-a-secret?"),
        FailInside(0, None, "You said sk-wrong-but-still-a-secret."),
        FailInside(0, None, "You said sk-wrong-but-still-a-secret.", as_response=True),
        Send(b"<html>Bearer sk-wrong-but-still-a-secret</html>", "text/html"),
        Send(b"data: sk-wrong-but-still-a-secret\n\n", "text/event-stream"),
    ],
    ids=str,
)
async def test_a_key_never_shows(fault: Fault | None, caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-wrong-but-still-a-secret"
    caplog.set_level(logging.DEBUG, logger="")
    lets_in = None if fault else "sk-another"
    async with FakeOpenAI(Scenario(api_key=lets_in, faults={"responses": [fault]})) as fake:
        secret = Secret(key)
        async with started(OpenAIResponses, OpenAIResponsesOptions(), fake, api_key=secret) as model:
            with pytest.raises(ProviderError) as caught:
                await answered(model)
            shown = "".join(traceback.format_exception(caught.value))
            assert fake.requests[0].headers["authorization"] == f"Bearer {key}"
            assert key not in shown + caplog.text + repr(model.options) + str(caught.value.__dict__)


async def test_openai_without_a_key_is_known_at_the_start() -> None:
    model = OpenAIResponses(OpenAIResponsesOptions(), OpenAIClient(OpenAIOptions()))
    with pytest.raises(ProviderUnavailable) as caught:
        await model.start()
    assert caught.value.provider == "openai-responses"
    assert caught.value.fix.startswith("Set OPENAI_API_KEY")
