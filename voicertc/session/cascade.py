"""The cascade: agent → clauses → voice, each working while the next is busy.

agent ──text──> ClauseSplitter ──clauses (bounded)──> voice ──audio──> whoever pulls
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from ..agents.base import Agent, AgentRequest, AgentSession
from ..core.clauses import ClauseSplitter
from ..core.items import Item, Modality
from ..core.replies import ReplyRequest
from ..errors import ProviderTimeout
from ..providers.base import TextToSpeech, VoiceRequest, WordMark
from .engine import AudioMade, ClauseClosed, ClauseOpened, Piece, TextMade

_T = TypeVar("_T")

_MAX_CLAUSES_AHEAD = 4
"""Clauses the agent may be ahead of the voice: it should not write a book that is interrupted."""
_STALL_TIMEOUT = 15.0
"""Seconds without a sign of life from agent or voice in the middle of a reply."""


class Cascade:
    """The ``ReplyEngine`` made of an agent and a voice. One per session."""

    def __init__(self, *, agent: Agent, voice: TextToSpeech, session: AgentSession) -> None:
        self._agent = agent
        self._voice = voice
        self._session = session

    async def reply(self, request: ReplyRequest, history: tuple[Item, ...]) -> AsyncGenerator[Piece, None]:
        """Yield the reply's pieces; see ``engine.ReplyEngine``."""
        text = self._given(request.text) if request.text is not None else self._asked(request, history)
        if request.output is Modality.TEXT:
            async with aclosing(text):
                while (piece := await _in_time(anext(text, None), self._agent.name)) is not None:
                    yield TextMade(piece)
            return
        clauses: asyncio.Queue[str | Exception | None] = asyncio.Queue(_MAX_CLAUSES_AHEAD)
        me = asyncio.current_task()
        # No TaskGroup: its exit and a generator's early close do not go together.
        agent = asyncio.create_task(_split(text, clauses), name=f"{me.get_name() if me else 'reply'}/agent")
        try:
            while isinstance(clause := await _in_time(clauses.get(), self._agent.name), str):
                async with aclosing(self._speak(clause, request)) as pieces:
                    async for spoken in pieces:
                        yield spoken
            if clause is not None:
                raise clause
        finally:
            agent.cancel()
            await asyncio.gather(agent, return_exceptions=True)

    async def _given(self, text: str) -> AsyncGenerator[str, None]:
        yield text

    def _asked(self, request: ReplyRequest, history: tuple[Item, ...]) -> AsyncGenerator[str, None]:
        return self._agent.reply(AgentRequest(history, self._session, request.instructions, request.language))

    async def _speak(self, clause: str, request: ReplyRequest) -> AsyncGenerator[Piece, None]:
        words = clause.strip()
        offset = clause.index(words)
        chunks = self._voice.synthesize(words, VoiceRequest(request.voice, request.speed, request.language))
        yield ClauseOpened(clause)
        async with aclosing(chunks):
            while True:
                chunk = await _in_time(anext(chunks, None), self._voice.name)
                if chunk is None:
                    break
                marks = tuple(WordMark(mark.sample, mark.text_start + offset) for mark in chunk.marks)
                yield AudioMade(chunk.samples, marks)
        yield ClauseClosed()


async def _split(text: AsyncGenerator[str, None], clauses: asyncio.Queue[str | Exception | None]) -> None:
    """Put the agent's clauses into the queue, then ``None``, or the exception that ended it."""
    splitter = ClauseSplitter()
    try:
        async with aclosing(text):
            async for piece in text:
                for clause in splitter.feed(piece):
                    await clauses.put(clause)
        for clause in splitter.flush():
            await clauses.put(clause)
    except Exception as error:  # raised again by whoever takes the clauses
        await clauses.put(error)
    else:
        await clauses.put(None)


async def _in_time(work: Awaitable[_T], provider: str) -> _T:
    try:
        async with asyncio.timeout(_STALL_TIMEOUT):
            return await work
    except TimeoutError as error:
        raise ProviderTimeout(f"Nothing came for {_STALL_TIMEOUT:g} s.", provider=provider) from error
