"""The contract of language models: words, calls of functions, and how an answer ends.

The fixture's ``model`` answers anything with some words; asked for the weather, it calls ``WEATHER``, and
says what that gave back. A real model does so if it is told to; a fake is scripted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from ...core.items import Role
from ...core.options import Tool, ToolChoice
from ...core.replies import CutShort, ToolCall, Usage
from ...errors import ProviderError, ProviderTimeout
from ...providers.base import AnsweredCall, AnswerPiece, AnswerRequest, LanguageModel, Message, Used
from .event_loop import assert_leaves_no_task, assert_never_holds_the_loop_up
from .provider import ProviderContract
from .rules import LIMIT, assert_blames, assert_plausible, assert_tells_no_key

CITY = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
WEATHER = Tool("get_weather", "Returns the weather of a city.", CITY)
TIME = Tool("get_time", "Returns the time.")
TOOLS = AnswerRequest((WEATHER, TIME))

SYSTEM = Message(
    Role.SYSTEM, "Answer in one short sentence. For the weather, call get_weather; then say what it gave."
)
GREETING = (SYSTEM, Message(Role.USER, "Hello there, how are you?"))
QUESTION = (SYSTEM, Message(Role.USER, "What is the weather in Oslo?"))
CALLED = AnsweredCall("call_1", "get_weather", '{"city": "Oslo"}', "It rains frogs.")
ODD_HISTORIES = (
    (Message(Role.USER, "Hello."),),
    (
        SYSTEM,
        Message(Role.USER, "Hi."),
        Message(Role.ASSISTANT, "Hello —"),
        Message(Role.USER, "a\ud800b\x00 \N{GRINNING FACE}"),
    ),
    (SYSTEM, Message(Role.USER, "Hi."), Message(Role.SYSTEM, "It is late."), Message(Role.USER, "Bye.")),
    (
        SYSTEM,
        Message(Role.USER, "Weather and time?"),
        Message(Role.ASSISTANT, "Let me look.", (CALLED, AnsweredCall("x" * 99, "get time", "no JSON", ""))),
        Message(Role.ASSISTANT, "", (AnsweredCall("call_3", "gone", "{}", "(There is no answer yet.)"),)),
        Message(Role.USER, "Hurry!"),
    ),
)


async def told(
    model: LanguageModel, messages: Sequence[Message] = GREETING, request: AnswerRequest = TOOLS
) -> list[AnswerPiece]:
    """All pieces of an answer."""
    async with asyncio.timeout(LIMIT):
        return [piece async for piece in model.stream(messages, request)]


def words(pieces: Sequence[AnswerPiece]) -> str:
    """All text of an answer."""
    return "".join(piece for piece in pieces if isinstance(piece, str))


def in_order(pieces: Sequence[AnswerPiece]) -> bool:
    """Whether text comes first, then calls, then ``CutShort`` and ``Usage``, once at most."""
    kinds = [(str, ToolCall, CutShort, Usage).index(type(piece)) for piece in pieces]
    return kinds == sorted(kinds) and kinds.count(2) <= 1 and kinds.count(3) <= 1


class LanguageModelContract(ProviderContract):
    """Inherit, give the fixtures, and the model is judged."""

    stage = "llm"
    counted_by: str | None = None
    """The provider that ``Usage`` names, where it is not the model's own name (a chain)."""

    @pytest.fixture
    def model(self) -> LanguageModel:
        """A started model; the fixture closes it."""
        raise NotImplementedError

    @pytest.fixture
    def stalled_model(self) -> LanguageModel:
        """A started model that never answers, with its deadlines shortened to well under a second."""
        raise NotImplementedError

    @pytest.fixture
    def broken_model(self) -> LanguageModel:
        """A started model that breaks in the middle of every answer."""
        raise NotImplementedError

    @pytest.fixture
    def planted_key(self) -> str | None:
        """The key that the stalled and the broken model were given: no error and no log may show it."""
        return None

    async def assert_nothing_held(self, model: LanguageModel) -> None:
        """Fail if an answer that is over still holds what is no task: a socket, a lock (override)."""

    async def test_an_answer_is_words_in_pieces_then_their_count(self, model: LanguageModel) -> None:
        pieces = await told(model)
        assert in_order(pieces)
        assert [type(piece) for piece in pieces if not isinstance(piece, str)] in ([], [Usage])
        assert words(pieces).strip()
        assert all(pieces[:-1])
        await self.assert_nothing_held(model)

    async def test_what_was_used_is_plausible(self, model: LanguageModel) -> None:
        for usage in (piece for piece in await told(model) if isinstance(piece, Usage)):
            provider = self.counted_by or model.name
            assert_plausible(Used(usage.provider or provider, tokens=usage), provider=provider, seconds=0.0)

    async def test_a_function_is_called_and_its_answer_is_said(self, model: LanguageModel) -> None:
        pieces = await told(model, QUESTION)
        (call,) = [piece for piece in pieces if isinstance(piece, ToolCall)]
        assert in_order(pieces)
        assert (call.name, json.loads(call.arguments)["city"].lower()) == ("get_weather", "oslo")
        answered = AnsweredCall("call_1", call.name, call.arguments, "It rains frogs.")
        pieces = await told(model, (*QUESTION, Message(Role.ASSISTANT, words(pieces), (answered,))))
        assert "frogs" in words(pieces)
        assert not [piece for piece in pieces if isinstance(piece, ToolCall)]
        await self.assert_nothing_held(model)

    @pytest.mark.parametrize(
        "choice", [ToolChoice("none"), ToolChoice("required"), ToolChoice("function", "get_weather")]
    )
    async def test_every_choice_is_taken(self, model: LanguageModel, choice: ToolChoice) -> None:
        assert in_order(await told(model, QUESTION, AnswerRequest((WEATHER, TIME), choice)))

    @pytest.mark.parametrize("messages", ODD_HISTORIES, ids=range(len(ODD_HISTORIES)))
    async def test_every_history_is_taken(self, model: LanguageModel, messages: Sequence[Message]) -> None:
        for request in (TOOLS, AnswerRequest()):
            assert in_order(await told(model, messages, request))

    async def test_an_answer_beyond_the_limit_is_cut_short(self, model: LanguageModel) -> None:
        pieces = await told(model, GREETING, AnswerRequest(max_output_tokens=1))
        assert [piece for piece in pieces if isinstance(piece, CutShort)] == [CutShort("max_output_tokens")]
        assert len(words(pieces)) < 10

    async def test_answers_at_once_do_not_mix(self, model: LanguageModel) -> None:
        answers = await asyncio.gather(*(told(model, each) for each in (GREETING, QUESTION) * 3))
        calls = [[type(piece) for piece in pieces].count(ToolCall) for pieces in answers]
        assert calls == [0, 1] * 3

    async def test_closing_early_frees_everything(self, model: LanguageModel) -> None:
        async with asyncio.timeout(LIMIT), aclosing(model.stream(GREETING, TOOLS)) as pieces:
            await anext(pieces)
        await self.assert_nothing_held(model)
        assert words(await told(model))

    async def test_cancelling_frees_everything(self, model: LanguageModel) -> None:
        begun = asyncio.Event()

        async def listen() -> None:
            async with aclosing(model.stream(GREETING, TOOLS)) as pieces:
                async for _ in pieces:
                    begun.set()
                    await asyncio.Event().wait()

        answer = asyncio.create_task(listen())
        async with asyncio.timeout(LIMIT):
            await begun.wait()
            answer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answer
        await self.assert_nothing_held(model)
        assert words(await told(model))

    async def test_a_model_that_hangs_is_a_timeout(
        self, stalled_model: LanguageModel, planted_key: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(ProviderTimeout) as caught:
            await told(stalled_model)
        assert_blames(caught.value, stalled_model.name)
        assert_tells_no_key(caught.value, caplog.text, planted_key)
        await self.assert_nothing_held(stalled_model)

    async def test_a_model_that_breaks_says_whose_fault_it_was(
        self, broken_model: LanguageModel, planted_key: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        for messages in (GREETING, QUESTION):
            with pytest.raises(ProviderError) as caught:
                await told(broken_model, messages)
            assert_blames(caught.value, broken_model.name)
            assert_tells_no_key(caught.value, caplog.text, planted_key)
        await self.assert_nothing_held(broken_model)

    async def test_closing_twice_is_harmless_and_ends_what_is_being_said(self, model: LanguageModel) -> None:
        async with asyncio.timeout(LIMIT):
            pieces = model.stream(GREETING, TOOLS)
            await anext(pieces)
            await model.close()
            await model.close()
            with pytest.raises(ProviderError):
                async for _ in pieces:
                    pass

    async def test_answers_leave_no_task_behind(self, model: LanguageModel) -> None:
        await assert_leaves_no_task(lambda: told(model))

    async def test_the_event_loop_is_never_held_up(self, model: LanguageModel) -> None:
        await assert_never_holds_the_loop_up(lambda: told(model))
