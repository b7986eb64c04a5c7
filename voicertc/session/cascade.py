"""The cascade: agent → clauses → voice, each working while the next is busy.

agent ──text──> ClauseSplitter ──clauses (bounded)──> voice ──audio (bounded)──> whoever pulls
      └─tool calls, usage────────────────────────────────────────────────┘
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Iterable
from contextlib import aclosing
from typing import TypeVar

from .. import logs
from ..agents.base import Agent, AgentPiece, AgentRequest, AgentSession
from ..core.clauses import ClauseSplitter, is_speakable
from ..core.items import Item, Modality
from ..core.replies import CutShort, ReplyRequest, ToolCall, Usage
from ..errors import ProviderCrashed
from ..providers.base import SpeechChunk, TextToSpeech, VoiceRequest, WordMark
from ..providers.checks import said_mistake
from ..providers.patience import in_time
from ..providers.phrasebook import Phrasebook
from .ahead import Ahead
from .engine import AudioMade, ClauseClosed, ClauseOpened, Piece, TextBegan, TextMade, check_call

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_MAX_CLAUSES_AHEAD = 4
"""Clauses the agent may be ahead of the voice: it should not write a book that is interrupted."""
_AGENT_PATIENCE = 30.0
"""Seconds without a word from the agent until it is given up: long work, which fillers bridge."""
_VOICE_PATIENCE = 10.0
"""Seconds until a clause's first sound."""
_HOLE_TIMEOUT = 2.5
"""Seconds without sound in the middle of a clause, where no filler can bridge it."""
_MAX_CACHED = 120
"""Characters of a clause that may be said again word for word; longer ones never are."""

_Said = str | TextBegan | ToolCall | Usage | CutShort
"""What an agent has said, in clauses."""


class Cascade:
    """The ``ReplyEngine`` made of an agent and a voice. One per session.

    Given text is spoken from ``phrasebook``: greetings and apologies are the same in every call. Short
    clauses of the agent's are kept in ``clauses``, if there is such a book. ``sends_packets``: whether the
    transport has use for sound that is encoded already.
    """

    def __init__(
        self,
        *,
        agent: Agent,
        voice: TextToSpeech,
        phrasebook: Phrasebook,
        session: AgentSession,
        sends_packets: bool,
        clauses: Phrasebook | None = None,
    ) -> None:
        self._agent = agent
        self._voice = voice
        self._phrasebook = phrasebook
        self._clauses = clauses
        self._sends_packets = sends_packets
        self._session = session

    async def reply(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply's pieces; see ``engine.ReplyEngine``."""
        text = request.text
        said = self._given(text) if text is not None else self._asked(request, history, reply_id)
        if request.output is Modality.TEXT:
            async with aclosing(said):
                while (word := await self._from_agent(anext(said, None))) is not None:
                    yield TextMade(word) if isinstance(word, str) else word
            return
        clauses: asyncio.Queue[_Said | Exception | None] = asyncio.Queue(_MAX_CLAUSES_AHEAD)
        made = Ahead()
        me = asyncio.current_task()
        name = me.get_name() if me else "reply"
        # No TaskGroup: its exit and a generator's early close do not go together.
        at_work = (
            asyncio.create_task(_split(said, clauses), name=f"{name}/agent"),
            asyncio.create_task(self._voice_all(clauses, made, request), name=f"{name}/voice"),
        )
        try:
            while (piece := await made.get()) is not None:
                yield piece
        finally:
            for task in at_work:
                task.cancel()
            await asyncio.gather(*at_work, return_exceptions=True)

    async def _from_agent(self, work: Awaitable[_T]) -> _T:
        return await in_time(work, _AGENT_PATIENCE, self._agent.name)

    async def _given(self, text: str) -> AsyncGenerator[AgentPiece, None]:
        yield text

    async def _asked(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str
    ) -> AsyncGenerator[AgentPiece, None]:
        """Yield what the agent does. Raises ``TypeError`` if that is something else than its port has."""
        asked = AgentRequest(
            history,
            self._session,
            request.instructions,
            request.language,
            request.cause,
            request.tools,
            request.tool_choice,
            request.max_output_tokens,
        )
        is_silent = True
        async with aclosing(self._agent.reply(asked)) as pieces:
            async for piece in pieces:
                if mistake := said_mistake(piece):
                    raise TypeError(f"{self._agent.name} {mistake}")
                if isinstance(piece, ToolCall):
                    check_call(piece, request, self._agent.name)
                is_silent = is_silent and _is_nothing(piece)
                yield piece
        if is_silent:
            # It may have wanted that; who wonders why a caller heard nothing finds it here.
            logs.event(_log, logging.INFO, "agent_said_nothing", reply=reply_id, agent=self._agent.name)

    async def _voice_all(
        self, clauses: asyncio.Queue[_Said | Exception | None], made: Ahead, request: ReplyRequest
    ) -> None:
        """Voice clause after clause, a little ahead of whoever takes them."""
        try:
            while (clause := await self._from_agent(clauses.get())) is not None:
                if isinstance(clause, Exception):
                    raise clause
                if not isinstance(clause, str):
                    await made.put(clause)
                    continue
                async with aclosing(self._speak(clause, request)) as pieces:
                    async for spoken in pieces:
                        await made.put(spoken)
        except Exception as error:  # the one that takes the pieces raises it, behind what was made
            made.end(error)
        else:
            made.end()

    async def _speak(self, clause: str, request: ReplyRequest) -> AsyncGenerator[Piece, None]:
        words = clause.strip()
        offset = clause.index(words)
        yield ClauseOpened(clause)
        chunks = self._voiced(words, request)
        patience, is_silent = _VOICE_PATIENCE, True
        async with aclosing(chunks):
            while True:
                chunk = await in_time(anext(chunks, None), patience, self._voice.name)
                if chunk is None:
                    break
                patience, is_silent = _HOLE_TIMEOUT, is_silent and not len(chunk.samples)
                marks = tuple(WordMark(mark.sample, mark.text_start + offset) for mark in chunk.marks)
                yield AudioMade(chunk.samples, marks, chunk.packets, chunk.used)
        if is_silent and is_speakable(words):
            raise ProviderCrashed("The voice made no sound of a clause.", provider=self._voice.name)
        yield ClauseClosed()

    def _voiced(self, words: str, request: ReplyRequest) -> AsyncGenerator[SpeechChunk, None]:
        how = VoiceRequest(request.voice, request.speed, request.language)
        if request.text is not None:
            return self._phrasebook.speak(self._voice, words, how, with_packets=self._sends_packets)
        if self._clauses is not None and len(words) <= _MAX_CACHED:
            return self._clauses.speak(self._voice, words, how, with_packets=False)
        return self._voice.synthesize(words, how)


async def voice_beforehand(
    phrases: Iterable[str], voice: TextToSpeech, how: VoiceRequest, phrasebook: Phrasebook
) -> None:
    """Voice what will be said one day, clause by clause as it will be, so that it needs no voice then.

    Raises ``ProviderError``.
    """
    for phrase in phrases:
        splitter = ClauseSplitter()
        for clause in splitter.feed(phrase) + splitter.flush():
            words = clause.strip()
            speech = phrasebook.speak(voice, words, how, with_packets=True, is_kept=True)
            async with aclosing(speech) as made:
                async for _ in made:
                    pass


def _is_nothing(piece: AgentPiece) -> bool:
    """Whether neither the user nor the client gets anything of a piece."""
    return not piece.strip() if isinstance(piece, str) else isinstance(piece, Usage)


async def _split(
    said: AsyncGenerator[AgentPiece, None], clauses: asyncio.Queue[_Said | Exception | None]
) -> None:
    """Put the agent's clauses into the queue, then ``None``, or the exception that ended it.

    A tool call comes behind the text before it, which is a clause then, however short.
    """
    splitter = ClauseSplitter()
    has_begun = False
    try:
        async with aclosing(said):
            async for piece in said:
                if isinstance(piece, ToolCall):
                    for clause in splitter.flush():
                        await clauses.put(clause)
                if not isinstance(piece, str):
                    await clauses.put(piece)
                    continue
                if not has_begun:
                    has_begun = True
                    await clauses.put(TextBegan())
                for clause in splitter.feed(piece):
                    await clauses.put(clause)
        for clause in splitter.flush():
            await clauses.put(clause)
        await clauses.put(None)
    except Exception as error:  # raised again by whoever takes the clauses, behind what there is to say
        for clause in splitter.flush():
            await clauses.put(clause)
        await clauses.put(error)
