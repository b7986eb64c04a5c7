"""What a speech-to-speech service does not hear is heard by the cascade's recognizer.

    audio ──> Tape ──┬──> the service: broken, or without words
                     └──> the recognizer, from the turn's beginning: Final

The answer does not wait for a turn's words. But if it fails, they are all that others can answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from .. import logs
from ..audio.pcm import PcmFrame
from ..errors import ProviderError
from ..providers.base import Final, HeardPiece, RecognitionRequest, Recognizer, SpeechToText
from ..providers.plan_b.tape import Tape, shifted

_log = logging.getLogger(__name__)


class SecondEars:
    """The recognizer behind a session's service; it attends when it is needed. Owned by ``Engines``.

    ``max_turn``: seconds of sound that are kept, as long as a turn can be.
    """

    def __init__(
        self, recognizer: SpeechToText, hearing: Callable[[], RecognitionRequest], max_turn: float
    ) -> None:
        self._recognizer = recognizer
        self._hearing = hearing
        self._max_turn = max_turn
        self._ears: Recognizer | None = None
        self._is_closed = False

    async def recognize(
        self, first: Recognizer, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear one turn with ``first``, and again if that fails; see ``Recognizer``."""
        async with Tape(audio, max_length=self._max_turn, clock=asyncio.get_running_loop().time) as tape:
            sound, _ = tape.play(is_last=False)
            try:
                async with aclosing(first.recognize(sound, request)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except ProviderError as error:
                if tape.error is not None or self._is_closed:
                    raise
                logs.event(
                    _log, logging.WARNING, "turn_heard_again", item=request.item_id, error=error.message
                )
            sound, offset = tape.play(is_last=True)
            if self._ears is None:
                self._ears = self._recognizer.attend(self._hearing())
            async with aclosing(self._ears.recognize(sound, request)) as pieces:
                async for piece in pieces:
                    yield shifted(piece, offset) if isinstance(piece, Final) else piece

    async def close(self) -> None:
        """Free the recognizer's connection; may be called twice."""
        self._is_closed = True
        if self._ears is not None:
            await self._ears.close()
