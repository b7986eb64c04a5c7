"""The contract of engines: what makes replies for a session, be it a cascade or a speech-to-speech service.

The fixture's ``engine`` answers anything with some words, best more than one sentence; asked for the weather,
it calls ``WEATHER``. A real service does so if it is told to; a fake is scripted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

import numpy as np
import pytest

from ...audio.pcm import PLAYOUT_FRAME
from ...core.items import Item, Modality, Role
from ...core.options import ToolChoice
from ...core.replies import Cause, CutShort, ReplyRequest, ToolCall, Usage
from ...errors import ProviderError
from ...session.engine import AudioMade, ClauseClosed, ClauseOpened, Piece, ReplyEngine, TextBegan, TextMade
from .event_loop import EventLoopContract, assert_leaves_no_task, assert_never_holds_the_loop_up
from .language_model import TIME, WEATHER
from .rules import LIMIT, assert_tells_no_key

GREETING = (Item("item_1", Role.USER, "Hello there, how are you?"),)
QUESTION = (Item("item_1", Role.USER, "What is the weather in Oslo?"),)
SPOKEN = ReplyRequest(Cause.TURN, tools=(WEATHER, TIME), language="en")
WRITTEN = replace(SPOKEN, output=Modality.TEXT)
GIVEN = "Good evening, and welcome. This line is not recorded; say goodbye to hang up."


class ReplyEngineContract(EventLoopContract):
    """Inherit, give the fixtures, and the engine is judged."""

    calls_tools = True
    """False for an engine that never calls tools of the client."""

    @pytest.fixture
    def engine(self) -> ReplyEngine:
        """One session's engine; the fixture frees what it needs."""
        raise NotImplementedError

    @pytest.fixture
    def stalled_engine(self) -> ReplyEngine:
        """An engine whose service never answers, with its deadlines shortened to well under a second."""
        raise NotImplementedError

    @pytest.fixture
    def broken_engine(self) -> ReplyEngine:
        """An engine whose service breaks in the middle of every reply, also of one that is given."""
        raise NotImplementedError

    @pytest.fixture
    def planted_key(self) -> str | None:
        """The key that the stalled and the broken engine were given: no error and no log may show it."""
        return None

    async def assert_nothing_held(self, engine: ReplyEngine) -> None:
        """Fail if a reply that is over still holds what is no task: a socket, a voice (override)."""

    async def test_a_spoken_reply_is_clauses_each_with_its_sound(self, engine: ReplyEngine) -> None:
        pieces = await made(engine, SPOKEN)
        assert_in_order(pieces)
        assert is_complete(pieces)
        assert said(pieces).strip()
        assert all(said([piece]).strip() for piece in pieces if isinstance(piece, ClauseOpened))
        assert all(sounds(pieces))
        await self.assert_nothing_held(engine)

    async def test_sound_is_24_khz_int16_mono_and_packets_are_as_long(self, engine: ReplyEngine) -> None:
        for piece in await made(engine, SPOKEN):
            if isinstance(piece, AudioMade):
                assert (piece.samples.dtype, piece.samples.ndim) == (np.dtype(np.int16), 1)
                if piece.packets:
                    assert len(piece.samples) == len(piece.packets) * PLAYOUT_FRAME

    async def test_marks_are_inside_their_clause(self, engine: ReplyEngine) -> None:
        pieces = await made(engine, SPOKEN)
        for (text, marks), length in zip(marks_of(pieces), sounds(pieces), strict=True):
            assert [sample for sample, _ in marks] == sorted(sample for sample, _ in marks)
            assert [start for _, start in marks] == sorted({start for _, start in marks})
            assert all(0 <= sample <= length and 0 <= start < len(text) for sample, start in marks)

    async def test_a_written_reply_has_no_sound(self, engine: ReplyEngine) -> None:
        pieces = await made(engine, WRITTEN)
        assert_in_order(pieces)
        assert written(pieces).strip()
        assert not [piece for piece in pieces if isinstance(piece, ClauseOpened | AudioMade | ClauseClosed)]
        await self.assert_nothing_held(engine)

    @pytest.mark.parametrize("cause", [Cause.SAY, Cause.GREETING, Cause.APOLOGY])
    async def test_given_text_is_spoken_as_it_is(self, engine: ReplyEngine, cause: Cause) -> None:
        for _ in range(2):  # engines may keep what they have spoken once
            pieces = await made(engine, ReplyRequest(cause, text=GIVEN, language="en"))
            assert_in_order(pieces)
            assert is_complete(pieces)
            assert said(pieces).strip() == GIVEN
            assert all(sounds(pieces))
            assert not [piece for piece in pieces if isinstance(piece, ToolCall)]
        await self.assert_nothing_held(engine)

    async def test_given_text_is_written_as_it_is(self, engine: ReplyEngine) -> None:
        pieces = await made(engine, ReplyRequest(Cause.SAY, text=GIVEN, output=Modality.TEXT))
        assert written(pieces).strip() == GIVEN

    @pytest.mark.parametrize("request_", [SPOKEN, WRITTEN], ids=["spoken", "written"])
    async def test_a_call_names_a_tool_that_was_offered_and_carries_an_object(
        self, engine: ReplyEngine, request_: ReplyRequest
    ) -> None:
        pieces = await made(engine, request_, QUESTION)
        calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
        assert_in_order(pieces)
        assert [call.name for call in calls] == (["get_weather"] if self.calls_tools else [])
        assert all(isinstance(json.loads(call.arguments), dict) for call in calls)
        await self.assert_nothing_held(engine)

    async def test_nothing_is_called_that_was_not_offered(self, engine: ReplyEngine) -> None:
        for request in (replace(SPOKEN, tool_choice=ToolChoice("none")), replace(SPOKEN, tools=())):
            pieces: list[Piece] = []
            with suppress(ProviderError):  # a service that calls it all the same has broken its protocol
                await made(engine, request, QUESTION, pieces)
            assert not [piece for piece in pieces if isinstance(piece, ToolCall)]

    async def test_replies_after_each_other_do_not_mix(self, engine: ReplyEngine) -> None:
        for _ in range(2):
            assert_in_order(await made(engine, SPOKEN))
            given = await made(engine, ReplyRequest(Cause.SAY, text=GIVEN))
            assert said(given).strip() == GIVEN

    async def test_closing_early_frees_everything(self, engine: ReplyEngine) -> None:
        for n_pieces in (1, 2, 3):
            async with asyncio.timeout(LIMIT), aclosing(engine.reply(SPOKEN, GREETING)) as pieces:
                for _ in range(n_pieces):
                    await anext(pieces)
            await self.assert_nothing_held(engine)
        assert said(await made(engine, SPOKEN)).strip()

    async def test_cancelling_frees_everything(self, engine: ReplyEngine) -> None:
        begun = asyncio.Event()

        async def listen() -> None:
            async with aclosing(engine.reply(SPOKEN, GREETING)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, AudioMade):
                        begun.set()
                        await asyncio.Event().wait()

        reply = asyncio.create_task(listen())
        async with asyncio.timeout(LIMIT):
            await begun.wait()
            reply.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reply
        await self.assert_nothing_held(engine)
        assert said(await made(engine, SPOKEN)).strip()

    async def test_what_an_early_close_cut_off_does_not_leak_into_the_next_reply(
        self, engine: ReplyEngine
    ) -> None:
        async with asyncio.timeout(LIMIT), aclosing(engine.reply(SPOKEN, GREETING)) as pieces:
            await anext(pieces)
        given = await made(engine, ReplyRequest(Cause.SAY, text=GIVEN))
        assert said(given).strip() == GIVEN

    async def test_a_service_that_hangs_is_a_providers_error(
        self, stalled_engine: ReplyEngine, planted_key: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        for request in (SPOKEN, WRITTEN):
            with pytest.raises(ProviderError) as caught:
                await made(stalled_engine, request)
            assert caught.value.provider
            assert_tells_no_key(caught.value, caplog.text, planted_key)
        await self.assert_nothing_held(stalled_engine)

    async def test_a_service_that_breaks_is_a_providers_error_behind_what_it_has_said(
        self, broken_engine: ReplyEngine, planted_key: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        for request in (SPOKEN, replace(SPOKEN, cause=Cause.SAY, text=GIVEN)):
            pieces: list[Piece] = []
            with pytest.raises(ProviderError) as caught:
                await made(broken_engine, request, GREETING, pieces)
            assert caught.value.provider
            assert_tells_no_key(caught.value, caplog.text, planted_key)
            assert_in_order(pieces)
        await self.assert_nothing_held(broken_engine)

    async def test_replies_leave_no_task_behind(self, engine: ReplyEngine) -> None:
        await assert_leaves_no_task(lambda: made(engine, SPOKEN))

    async def test_the_event_loop_is_never_held_up(self, engine: ReplyEngine) -> None:
        await assert_never_holds_the_loop_up(lambda: made(engine, SPOKEN))


async def made(
    engine: ReplyEngine,
    request: ReplyRequest,
    history: tuple[Item, ...] = GREETING,
    into: list[Piece] | None = None,
) -> list[Piece]:
    """All pieces of a reply, put into ``into`` as they come, so that they are known when it fails."""
    pieces = [] if into is None else into
    async with asyncio.timeout(LIMIT), aclosing(engine.reply(request, history)) as reply:
        async for piece in reply:
            pieces.append(piece)
    return pieces


def assert_in_order(pieces: Sequence[Piece]) -> None:
    """Fail if sound comes outside a clause, a clause in another one, or a reply begins twice."""
    is_open = has_said = False
    for piece in pieces:
        match piece:
            case TextBegan():
                assert not has_said
            case ClauseOpened():
                assert not is_open
                is_open = True
            case AudioMade():
                assert is_open
            case ClauseClosed():
                assert is_open
                is_open = False
            case ToolCall():
                assert not is_open  # what is said before a call is said before it
            case TextMade() | Usage() | CutShort():
                pass
        has_said = has_said or isinstance(piece, TextBegan | ClauseOpened | TextMade)


def is_complete(pieces: Sequence[Piece]) -> bool:
    """Whether each clause that was opened is closed."""
    kinds = [type(piece) for piece in pieces]
    return kinds.count(ClauseOpened) == kinds.count(ClauseClosed)


def said(pieces: Sequence[Piece]) -> str:
    """The words of all clauses."""
    return "".join(piece.text for piece in pieces if isinstance(piece, ClauseOpened))


def written(pieces: Sequence[Piece]) -> str:
    """The words of a written reply."""
    return "".join(piece.text for piece in pieces if isinstance(piece, TextMade))


def sounds(pieces: Sequence[Piece]) -> list[int]:
    """The samples of each clause."""
    lengths: list[int] = []
    for piece in pieces:
        if isinstance(piece, ClauseOpened):
            lengths.append(0)
        elif isinstance(piece, AudioMade):
            lengths[-1] += len(piece.samples)
    return lengths


def marks_of(pieces: Sequence[Piece]) -> list[tuple[str, list[tuple[int, int]]]]:
    """Each clause with its marks, as ``(sample, text_start)``."""
    clauses: list[tuple[str, list[tuple[int, int]]]] = []
    for piece in pieces:
        if isinstance(piece, ClauseOpened):
            clauses.append((piece.text, []))
        elif isinstance(piece, AudioMade):
            clauses[-1][1].extend((mark.sample, mark.text_start) for mark in piece.marks)
    return clauses
