"""Hearing with a plan B: a turn's sound is kept while one recognizer hears it, for the next to hear it too.

    audio ──> Tape ──┬──> the first recognizer: Started, Interim, Interim, broken
                     └──> the next one, from the turn's beginning: Interim, Final

What a recognizer said of the turn before it failed is superseded by what the next one says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress

from ...audio.pcm import PcmFrame
from ...errors import ProviderCrashed
from ..base import (
    EagerEnd,
    Final,
    HeardPiece,
    RecognitionRequest,
    Recognizer,
    Resumed,
    SpeechToText,
    Started,
)
from ..checks import heard_mistake
from .chain import Attempt, Chain, ChainReport, Clock
from .member import Member
from .probes import ProbeOptions
from .tape import MAX_TURN, Tape, shifted

FINAL_TIMEOUT = 1.5
"""Seconds from the end of a turn's sound to its text: above the slowest good service's usual."""


class FallbackSpeechToText:
    """A recognizer made of several, best first. One object serves all calls.

    ``first_timeout``: seconds from the end of a turn's sound to its text, for one that has another behind it.
    ``max_turn``: seconds of sound that are kept for the next one; of a longer turn it hears the last ones.
    """

    def __init__(
        self,
        members: Sequence[Member[SpeechToText]],
        *,
        first_timeout: float = FINAL_TIMEOUT,
        max_turn: float = MAX_TURN,
        probes: ProbeOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.chain = Chain("stt", members, probes=probes, clock=clock)
        self.first_timeout = first_timeout
        self.max_turn = max_turn

    @property
    def name(self) -> str:
        """The first one's name."""
        return self.chain.primary.name

    async def start(self) -> None:
        """Start all; raise ``ProviderUnavailable`` if none can."""
        await self.chain.start()

    async def close(self) -> None:
        """Close all; may be called twice."""
        await self.chain.close()

    def report(self) -> ChainReport:
        """Say how the recognizers fare."""
        return self.chain.report()

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Begin to listen with the one that would be asked now; the others begin when they are needed."""
        return _Attention(self, request)


class _Attention:
    """The ``Recognizer`` of one call: who has been needed so far goes on to listen until its end."""

    def __init__(self, stt: FallbackSpeechToText, request: RecognitionRequest) -> None:
        self._stt = stt
        self._request = request
        self._attending: dict[Member[SpeechToText], Recognizer] = {}
        self._is_closed = False
        with suppress(Exception):  # a third party's bug is met again, and noted, in an attempt
            self._recognizer_of(stt.chain.current())  # its connection is open when the first turn begins

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear a turn; who fails before its ``Final`` is replaced by the next."""
        chain = self._stt.chain
        attempts = chain.attempts()
        told: HeardPiece | None = None  # the last one
        async with Tape(audio, max_length=self._stt.max_turn, clock=chain.clock) as tape:
            while (attempt := attempts.next()) is not None:
                try:
                    async with attempt, aclosing(self._hear(attempt, tape, request)) as pieces:
                        if isinstance(told, EagerEnd) and tape.ended_at is None:
                            yield Resumed()
                        async for piece in pieces:
                            if not isinstance(piece, Started) or told is None:
                                told = piece
                                yield piece
                    return
                except Exception:  # also a third party's bug; the attempt has logged it
                    if attempt.has_begun or attempt.is_excused:
                        raise
        raise attempts.error

    async def close(self) -> None:
        """Close all that were needed; may be called twice."""
        self._is_closed = True
        attending, self._attending = self._attending, {}
        await asyncio.gather(*(each.close() for each in attending.values()), return_exceptions=True)

    async def _hear(
        self, attempt: Attempt[SpeechToText], tape: Tape, request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Yield what one member hears, up to its ``Final``; raise if that is late, wrong or missing."""
        begun = self._stt.chain.clock()
        audio, offset = tape.play(is_last=not attempt.has_next)
        name = attempt.member.name
        recognizer = self._recognizer_of(attempt.member)
        try:
            async with aclosing(recognizer.recognize(audio, request)) as pieces:
                while (piece := await self._next(attempt, pieces, tape, begun)) is not None:
                    if mistake := heard_mistake(piece):
                        raise ProviderCrashed(f"{name} {mistake}", provider=name)
                    if isinstance(piece, Final):
                        attempt.has_begun = True
                        yield shifted(piece, offset)
                        return
                    yield piece
        except Exception:
            # A turn whose sound broke, or whose call is over, fails with everybody.
            attempt.is_excused = tape.error is not None or self._is_closed
            raise
        raise ProviderCrashed(f"{name} ended without a result", provider=name)

    async def _next(
        self,
        attempt: Attempt[SpeechToText],
        pieces: AsyncGenerator[HeardPiece, None],
        tape: Tape,
        begun: float,
    ) -> HeardPiece | None:
        """Return the next piece, or ``None`` after the last; the sound's end sets the deadline."""
        loop, clock, timeout = asyncio.get_running_loop(), self._stt.chain.clock, self._stt.first_timeout
        try:
            async with asyncio.timeout(None) as scope:

                def limit() -> None:
                    since = max(begun, tape.ended_at or 0.0)
                    scope.reschedule(loop.time() + max(0.0, since + timeout - clock()))

                if attempt.has_next:
                    tape.on_end = limit
                    if tape.ended_at is not None:
                        limit()
                with attempt.unless_silent(scope):
                    return await anext(pieces, None)
        except TimeoutError:
            if not scope.expired():
                raise
            raise attempt.timeout(f"gave no text within {timeout:g} s") from None
        finally:
            tape.on_end = None

    def _recognizer_of(self, member: Member[SpeechToText]) -> Recognizer:
        if member not in self._attending:
            self._attending[member] = member.provider.attend(self._request)
        return self._attending[member]
