"""What recognizers are given in their contract: audio that ends, that does not end, and that breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from ...audio.pcm import HEARING_FRAME, PcmFrame, Samples
from ...providers.base import HeardPiece, RecognitionRequest, Recognizer, SpeechToText
from .rules import LIMIT


def frames(samples: Samples, *, position: int = 0) -> Iterable[PcmFrame]:
    """Cut 16 kHz ``samples`` into 20 ms frames; the last one may be shorter."""
    for start in range(0, len(samples), HEARING_FRAME):
        yield PcmFrame(samples[start : start + HEARING_FRAME], position=position + start)


async def audio(samples: Samples) -> AsyncGenerator[PcmFrame, None]:
    """Frames as fast as they are asked for, then the end of the turn."""
    for frame in frames(samples):
        yield frame
        await asyncio.sleep(0)


async def endless_audio(samples: Samples) -> AsyncGenerator[PcmFrame, None]:
    """The speech, then a user who neither speaks nor ends the turn."""
    async for frame in audio(samples):
        yield frame
    await asyncio.Event().wait()


async def failing_audio(samples: Samples) -> AsyncGenerator[PcmFrame, None]:
    """The speech, then our own end of the call breaks."""
    async for frame in audio(samples):
        yield frame
    raise RuntimeError("the ear broke")


async def announced(
    source: AsyncIterator[PcmFrame], spoken: asyncio.Event, *, after: int = 10
) -> AsyncGenerator[PcmFrame, None]:
    """Pass ``source`` on and set ``spoken`` when ``after`` frames have been taken."""
    count = 0
    async for frame in source:
        yield frame
        count += 1
        if count == after:
            spoken.set()


async def ending(source: AsyncIterator[PcmFrame], ended: asyncio.Event) -> AsyncGenerator[PcmFrame, None]:
    """Pass ``source`` on and set ``ended`` behind its last frame."""
    async for frame in source:
        yield frame
    ended.set()


async def hear(
    recognizer: SpeechToText, source: AsyncIterator[PcmFrame], request: RecognitionRequest
) -> list[HeardPiece]:
    """All that a call's only turn yields."""
    attention = recognizer.attend(request)
    try:
        return await hear_turn(attention, source, request)
    finally:
        await attention.close()


async def hear_turn(
    attention: Recognizer, source: AsyncIterator[PcmFrame], request: RecognitionRequest
) -> list[HeardPiece]:
    """All that one turn of a call yields."""
    async with asyncio.timeout(LIMIT):
        return [heard async for heard in attention.recognize(source, request)]


def plain_words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    kept = "".join(char if char.isalnum() or char == "'" else " " for char in text.lower())
    return kept.split()
