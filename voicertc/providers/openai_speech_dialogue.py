"""One call with OpenAI's speech-to-speech model: its turns go up as they are spoken, its answers come down.

    recognize ──sound──> SpeechEar (of the moment) ──> the turn's words
    answer ────(all of the turn has gone up)────────> the same SpeechEar ──> text, sound, calls

Which socket that is, and that there is one, is ``LiveLine``'s work: opened ahead, reopened when lost, and
replaced between turns before it is too old. A new one knows nothing: it is told the conversation before its
first answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from ..audio.pcm import PcmFrame
from ..core.items import Item, Kind, Modality, Role
from ..core.replies import ReplyRequest, Usage
from ..errors import ProviderError, TurnUnheard
from .base import HeardPiece, RecognitionRequest, SaidPiece
from .openai_live_ear import OnEarLost, OnUsed
from .openai_live_recognizer import LiveRecognizer
from .openai_speech_answer import Answer
from .openai_speech_ear import OnCommitted, SpeechEar
from .openai_speech_fields import response_fields

NAME = "openai-realtime"
"""What the settings call it, and what its errors carry."""

_SILENT = 2.0
"""Seconds without so much as ``response.created`` after which a socket counts as dead."""
_MAX_TURNS = 32
"""Turns remembered by the socket they went to."""

OpenSpeechEar = Callable[
    [RecognitionRequest, ReplyRequest, OnUsed, OnEarLost, OnCommitted], Awaitable[SpeechEar]
]
ConfigureHearing = Callable[[RecognitionRequest], Mapping[str, Any]]


@dataclass(slots=True, eq=False)
class _Turn:
    """Where a turn's sound went. ``is_through``: all of it, or there will be no more."""

    ear: SpeechEar | None = None
    is_through: asyncio.Event = field(default_factory=asyncio.Event)


class SpeechDialogue:
    """The ``Dialogue`` of one call."""

    def __init__(
        self,
        open_ear: OpenSpeechEar,
        configure: ConfigureHearing,
        voice_of: Callable[[ReplyRequest], str],
        hearing: RecognitionRequest,
        replying: ReplyRequest,
        *,
        model: str,
        final_timeout: float,
        max_age: float,
        on_failure: Callable[[ProviderError], None],
        on_closed: Callable[[SpeechDialogue], None],
    ) -> None:
        self._open_ear, self._voice_of = open_ear, voice_of
        self._replying = replying
        self._hearing = hearing
        self._on_failure = on_failure
        self._on_closed = on_closed
        self._turns: dict[str, _Turn] = {}
        self._answered: dict[str, SpeechEar] = {}
        self._is_closed = False
        self._recognizer = LiveRecognizer(
            self._open,
            configure,
            hearing,
            model=model,
            final_timeout=final_timeout,
            max_age=max_age,
            on_closed=lambda _: on_closed(self),
            name=NAME,
        )

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear one turn; its sound is what ``answer`` answers."""
        self._hearing = request
        turn = _Turn()
        if request.item_id:
            self._turns[request.item_id] = turn
            while len(self._turns) > _MAX_TURNS:
                self._turns.pop(next(iter(self._turns))).is_through.set()
        try:
            async with aclosing(self._recognizer.recognize(audio, request)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            turn.is_through.set()

    async def answer(
        self, request: ReplyRequest, history: Sequence[Item], *, reply_id: str = ""
    ) -> AsyncGenerator[SaidPiece, None]:
        """Yield an answer as it is made; see ``Dialogue``."""
        if self._is_closed:
            raise ProviderError(f"{NAME} was closed", provider=NAME)
        self._replying = request
        ear, answer = await self._ask(request, history, reply_id)
        asked_at = asyncio.get_running_loop().time()
        try:
            async with aclosing(answer.pieces()) as pieces:
                async for piece in pieces:
                    yield self._with_owed(piece, ear) if isinstance(piece, Usage) else piece
        finally:
            ear.leave(answer)
            self._recognizer.line.release(ear)
            waited = asyncio.get_running_loop().time() - asked_at
            if not (answer.response_id or answer.is_over) and waited > _SILENT:
                self._discard(ear)

    def kept(self, reply_id: str, item: Item) -> None:
        """Our ``item`` holds what that answer put out."""
        if ear := self._answered.get(reply_id):
            ear.memory.keep(reply_id, item)

    def heard(self, item_id: str, seconds: float) -> None:
        """Of a spoken message no more than this much was heard."""
        for ear in {*self._answered.values()}:
            ear.memory.cut(item_id, seconds * 1000)

    async def close(self) -> None:
        """Hang up; may be called twice."""
        self._is_closed = True
        await self._recognizer.close()

    async def _ask(
        self, request: ReplyRequest, history: Sequence[Item], reply_id: str
    ) -> tuple[SpeechEar, Answer]:
        """Ask for an answer; once more, on another socket, if the first one takes nothing any more."""
        for is_last in (False, True):
            ear = await self._ear(history)
            try:
                answer = await self._respond(ear, request, history, reply_id)
            except ProviderError:
                self._discard(ear)
                if is_last:
                    raise
                continue
            self._answered[reply_id] = ear
            while len(self._answered) > _MAX_TURNS:
                del self._answered[next(iter(self._answered))]
            return ear, answer
        raise AssertionError("the last attempt returns or raises")

    async def _respond(
        self, ear: SpeechEar, request: ReplyRequest, history: Sequence[Item], reply_id: str
    ) -> Answer:
        is_given = request.input is not None or request.is_aside
        voice = self._voice_of(request)
        is_other = voice != self._voice_of_ear(ear) and not ear.has_spoken
        response = response_fields(
            request,
            ear.configured,
            voice=voice if is_other else None,
            given=ear.memory.input(history) if is_given else None,
        )
        return await ear.respond(response, None if is_given else history, reply_id)

    def _discard(self, ear: SpeechEar) -> None:
        """Use a socket no more that has stopped answering."""
        for turn in self._turns.values():
            if turn.ear is ear:
                turn.ear = None
        self._recognizer.line.discard(ear)

    async def _ear(self, history: Sequence[Item]) -> SpeechEar:
        """Return the socket to ask: where the last turn's sound is, unless its words will do elsewhere.

        Waits until all of the sound has gone up; whoever reads the answer has a deadline.
        """
        last = _last_turn(history)
        turn = self._turns.get(last.id) if last else None
        if turn is not None:
            await turn.is_through.wait()
            if turn.ear is not None and turn.ear.socket.is_open:
                return turn.ear
        if last is not None and last.is_unheard_speech:
            raise TurnUnheard(f"{NAME} has not heard the turn", provider=NAME)
        ear = await self._recognizer.line.ear(self._hearing)
        assert isinstance(ear, SpeechEar), "the line opens no others"
        return ear

    async def _open(self, hearing: RecognitionRequest, on_used: OnUsed, on_lost: OnEarLost) -> SpeechEar:
        try:
            return await self._open_ear(hearing, self._replying, on_used, on_lost, self._committed)
        except ProviderError as error:
            self._on_failure(error)
            raise

    def _committed(self, item_id: str, ear: SpeechEar) -> None:
        if turn := self._turns.get(item_id):
            turn.ear = ear
            turn.is_through.set()

    def _voice_of_ear(self, ear: SpeechEar) -> str:
        voice = ear.configured["audio"]["output"]["voice"]
        return voice["id"] if isinstance(voice, dict) else str(voice)

    def _with_owed(self, usage: Usage, ear: SpeechEar) -> Usage:
        """Add what cancelled answers have cost."""
        owed, ear.owed = ear.owed, None
        return usage + owed if owed is not None else usage


def _last_turn(history: Sequence[Item]) -> Item | None:
    """Return what the user has said and nobody has answered yet."""
    for item in reversed(history):
        if item.kind is Kind.MESSAGE and item.role is Role.ASSISTANT:
            return None
        if item.role is Role.USER and item.modality is Modality.AUDIO:
            return item
    return None
