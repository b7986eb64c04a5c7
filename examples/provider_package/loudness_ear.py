"""A recognizer of one's own for voicertc: it hears whether a turn was loud.

A real one would send the sound to a service, or to a model in a process of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import numpy as np

from voicertc.audio.pcm import HEARING_RATE_HZ, PcmFrame, Samples
from voicertc.errors import ProviderCrashed, ProviderTimeout
from voicertc.providers.base import (
    EachTurn,
    Final,
    HeardPiece,
    RecognitionRequest,
    Recognizer,
    SpeechToText,
    Used,
)
from voicertc.providers.until_closed import UntilClosed
from voicertc.services import ProviderContext


async def loudness(samples: Samples) -> str:
    """Return what was heard in ``samples``, ``(n,)`` int16 mono at 16 kHz; nothing, if it was quiet."""
    return "That was loud." if np.abs(samples.astype(int)).max(initial=0) > 1000 else ""


class LoudnessEar:
    """``SpeechToText`` of whole turns. One object serves all calls; ``hear`` is replaced by tests."""

    name = "loudness"

    def __init__(self, hear: Callable[[Samples], Awaitable[str]] = loudness, timeout: float = 2.0) -> None:
        self._hear, self._timeout = hear, timeout
        self._until_closed = UntilClosed(self.name)

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """End the turns that are being heard."""
        self._until_closed.close()

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Each turn is heard by itself: a call needs no connection."""
        return EachTurn(lambda audio, _: self._until_closed(self._turn(audio)))

    async def _turn(self, audio: AsyncIterator[PcmFrame]) -> AsyncGenerator[HeardPiece, None]:
        frames = [frame.samples async for frame in audio]
        samples = np.concatenate([np.zeros(0, np.int16), *frames])
        try:
            async with asyncio.timeout(self._timeout):
                text = await self._hear(samples)
        except TimeoutError as error:
            raise ProviderTimeout(f"It took {self._timeout:g} s.", provider=self.name) from error
        except ValueError as error:
            raise ProviderCrashed("The sound could not be judged.", provider=self.name) from error
        yield Final(text, used=Used(self.name, seconds=len(samples) / HEARING_RATE_HZ))


def make_ear(context: ProviderContext) -> SpeechToText:
    """Make the recognizer: the entry point."""
    return LoudnessEar()
