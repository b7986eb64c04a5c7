"""One call heard by OpenAI's Realtime transcription: its turns, one after the other, on one socket.

Each turn is two tasks of the generator that the session reads: one takes the sound as it comes, one sends it
and waits for its text. Whoever listens is woken when there are more words.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from ..audio.pcm import PcmFrame
from ..core.replies import Usage
from ..errors import ProviderCrashed, ProviderError, ProviderTimeout
from ..logs import event
from .base import Final, HeardPiece, Interim, RecognitionRequest, Used
from .openai_live_ear import LiveEar, OnEarLost, OnUsed, Transcript
from .openai_live_line import Configure, LiveLine
from .openai_live_turn import MIN_SECONDS, LostEar, TurnSound, send_turn

NAME = "openai-live"
"""What the settings call it, and what its errors carry."""

OpenCountedEar = Callable[[RecognitionRequest, OnUsed, OnEarLost], Awaitable[LiveEar]]
"""Opens a socket, and says who is to be told what it costs and when it is lost."""

_MAX_REPLAY = 9.0
"""Seconds of a turn that is sent again after its end: 3 s at the speed the service takes."""

_log = logging.getLogger(__name__)


class LiveRecognizer:
    """The attention to one call. Turns are sent one after the other; their words may overlap."""

    def __init__(
        self,
        open_ear: OpenCountedEar,
        session: Configure,
        request: RecognitionRequest,
        *,
        model: str,
        final_timeout: float,
        max_age: float,
        on_closed: Callable[[LiveRecognizer], None],
        name: str = NAME,
    ) -> None:
        self._name, self._model, self._final_timeout = name, model, final_timeout
        self._on_closed = on_closed
        self._floor = asyncio.Lock()
        self._turns: set[_Turn] = set()
        self._is_closed = False
        self._owed_seconds = 0.0
        self._owed_tokens: Usage | None = None
        self.line = LiveLine(
            name, lambda asked, on_lost: open_ear(asked, self._count, on_lost), session, request, max_age
        )

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear one turn: ``Interim`` whenever there are more words, then ``Final``."""
        if self._is_closed:
            raise ProviderError(f"{self._name} was closed", provider=self._name)
        turn = _Turn()
        collecting = asyncio.create_task(turn.sound.collect(audio), name=f"{self._name}/collect")
        hearing = asyncio.create_task(self._hear(turn, request), name=f"{self._name}/hear")
        for task in (collecting, hearing):
            task.add_done_callback(lambda _: turn.changed.set())
        self._turns.add(turn)
        shown = ""
        try:
            while not hearing.done():
                await turn.changed.wait()
                turn.changed.clear()
                if turn.error is not None:
                    raise turn.error
                if collecting.done():
                    collecting.result()  # raises what the call's own end of the line has raised
                if not hearing.done() and turn.so_far not in {"", shown}:
                    shown = turn.so_far
                    yield Interim(shown)
            yield hearing.result()
        finally:
            self._turns.discard(turn)
            for task in (collecting, hearing):
                task.cancel()
            await asyncio.gather(collecting, hearing, return_exceptions=True)

    async def close(self) -> None:
        """Hang up; turns under way raise ``ProviderError``. May be called twice."""
        self._is_closed = True
        self._on_closed(self)
        for turn in self._turns:
            turn.error = ProviderError(f"{self._name} was closed during a turn", provider=self._name)
            turn.changed.set()
        await self.line.close()

    async def _hear(self, turn: _Turn, request: RecognitionRequest) -> Final:
        """Send a turn and wait for its text; once more, if the socket is lost."""
        if not await turn.sound.lasts(MIN_SECONDS):
            return Final("", used=self._used())
        for is_first in (True, False):
            try:
                return await self._attempt(turn, request)
            except LostEar as lost:
                failure = lost.error
            if not (is_first and isinstance(failure, ProviderCrashed) and turn.may_be_sent_again):
                break
            why = failure.message
            event(_log, logging.WARNING, "openai_live_turn_sent_again", provider=self._name, error=why)
        raise failure

    async def _attempt(self, turn: _Turn, request: RecognitionRequest) -> Final:
        """Hear the whole turn on one socket; raise ``LostEar`` if that ends."""
        async with self._floor:
            try:
                ear = await self.line.ear(request)
            except ProviderError as error:
                raise LostEar(error) from error
            transcript = turn.transcript = ear.begin(turn.look_up, request.item_id)
            try:
                await send_turn(turn.sound, ear, transcript)
            except BaseException:
                await ear.drop(transcript)
                self.line.release(ear)
                raise
        try:
            return await self._final(ear, transcript)
        finally:
            ear.forget(transcript)
            self.line.release(ear)

    async def _final(self, ear: LiveEar, transcript: Transcript) -> Final:
        """Wait for the text of a turn that has been committed; what has come by the deadline is the text."""
        timeout = self._final_timeout
        try:
            async with asyncio.timeout(timeout):
                await transcript.over.wait()
        except TimeoutError:
            if not transcript.is_committed:
                self.line.discard(ear)  # it has not even said that it knows of the turn's end
            text = transcript.so_far
            if not text:
                message = f"{self._name} heard nothing within {timeout:g} s of the turn's end"
                raise ProviderTimeout(message, provider=self._name) from None
            event(_log, logging.WARNING, "openai_live_final_late", provider=self._name, timeout=timeout)
            return Final(text, used=self._used())
        if transcript.is_lost and transcript.error is not None:
            raise LostEar(transcript.error)
        if transcript.error is not None:
            raise transcript.error
        return Final(transcript.final or "", transcript.confidence, transcript.language, used=self._used())

    def _count(self, seconds: float, tokens: Usage | None) -> None:
        """Note what an item cost; it is told with the next final, in time or not."""
        self._owed_seconds += seconds
        if tokens is not None:
            self._owed_tokens = tokens + (self._owed_tokens or Usage(provider=self._name))

    def _used(self) -> Used:
        """Return what has been counted and not told yet."""
        used = Used(self._name, self._model, seconds=self._owed_seconds, tokens=self._owed_tokens)
        self._owed_seconds, self._owed_tokens = 0.0, None
        return used


class _Turn:
    """A turn that is being heard: its sound, and what the socket of the moment makes of it."""

    def __init__(self) -> None:
        self.sound = TurnSound()
        self.transcript: Transcript | None = None
        self.changed = asyncio.Event()
        self.error: ProviderError | None = None

    @property
    def so_far(self) -> str:
        """The words that have come."""
        return self.transcript.so_far if self.transcript else ""

    @property
    def may_be_sent_again(self) -> bool:
        """Whether the turn's text would still come in time."""
        sound = self.sound
        return sound.can_be_sent_again and (not sound.has_ended or sound.seconds <= _MAX_REPLAY)

    def look_up(self) -> None:
        """Wake whoever sends, and whoever listens: the socket has said something."""
        self.sound.moved.set()
        self.changed.set()
