"""A voice of one's own for voicertc: it plays a tone for every word.

A real one would ask a service, or a model on this machine; all else would be as it is here: pieces as soon
as they are there, a mark where each word begins, a deadline, errors that say whose fault they were, and the
count of what was used.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.errors import ProviderCrashed, ProviderTimeout, ProviderUnavailable
from voicertc.providers.base import SpeechChunk, TextToSpeech, Used, VoiceRequest, WordMark
from voicertc.providers.until_closed import UntilClosed
from voicertc.services import ProviderContext

NAME = "tones"

Play = Callable[[str, float], Awaitable[Samples]]
"""Makes a word's sound at a speed."""


@dataclass(frozen=True, slots=True)
class ToneOptions:
    """How the tones are made."""

    volume: float = 0.3
    """Of the largest sample, above 0 and at most 1."""
    timeout: float = 2.0
    """Seconds that one word may take; a voice must never let a caller wait for ever."""


class ToneVoice:
    """``TextToSpeech`` by tones. One object serves all calls; ``play`` is replaced by tests."""

    name = NAME

    def __init__(self, options: ToneOptions | None = None, *, play: Play | None = None) -> None:
        self._options = options or ToneOptions()
        self._play = play or self._in_a_thread
        self._until_closed = UntilClosed(NAME)

    async def start(self) -> None:
        """Raise ``ProviderUnavailable``, with the fix in one line, if it cannot work; load what it needs."""
        if not 0.0 < self._options.volume <= 1.0:
            fix = "Set TONES_VOLUME to a number above 0 and at most 1."
            raise ProviderUnavailable("TONES_VOLUME is no volume", provider=NAME, fix=fix)

    async def close(self) -> None:
        """End the clauses that are being spoken; there is nothing else to free."""
        self._until_closed.close()

    def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speak a clause, unless the voice is closed before its end."""
        return self._until_closed(self._clause(text, request))

    async def _clause(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Yield a chunk for every word, with its mark; what was used comes with an empty one at the end."""
        n_samples = 0
        for word in re.finditer(r"\S+", text):
            samples = await self._word(word.group(), request.speed)
            yield SpeechChunk(samples, (WordMark(n_samples, word.start()),))
            n_samples += len(samples)
        used = Used(NAME, seconds=n_samples / PLAYOUT_RATE_HZ, characters=len(text))
        yield SpeechChunk(np.zeros(0, np.int16), used=used)

    async def _word(self, word: str, speed: float) -> Samples:
        try:
            async with asyncio.timeout(self._options.timeout):
                return await self._play(word, speed)
        except TimeoutError as error:
            raise ProviderTimeout(f"A tone took {self._options.timeout:g} s.", provider=NAME) from error
        except ValueError as error:
            raise ProviderCrashed("A tone could not be made.", provider=NAME) from error

    async def _in_a_thread(self, word: str, speed: float) -> Samples:
        """Keep work off the event loop: while it is busy, no other call hears anything."""
        return await asyncio.to_thread(tone, word, speed, self._options.volume)


def tone(word: str, speed: float, volume: float) -> Samples:
    """Return a word's sound, ``(n,)`` int16 mono at 24 kHz: 70 ms a character, pitched by the first one."""
    n = int(min(len(word), 8) * 0.07 * PLAYOUT_RATE_HZ / speed)
    pitch_hz = 220 * 2 ** (ord(word[0]) % 24 / 12)
    wave = np.sin(2 * np.pi * pitch_hz * np.arange(n) / PLAYOUT_RATE_HZ) * np.hanning(n)
    return (wave * volume * 32_767).astype(np.int16)


def make_voice(context: ProviderContext) -> TextToSpeech:
    """Make the voice: the entry point.

    What all voices have in common is in ``context.settings.tts``, and comes with each clause. The server
    knows no package's own options: they are variables that begin with its name.
    """
    return ToneVoice(ToneOptions(volume=number(os.environ.get("TONES_VOLUME", "0.3"))))


def number(text: str) -> float:
    """Return ``text`` as a number, or one that equals none: an entry point raises nothing, ``start`` does."""
    try:
        return float(text)
    except ValueError:
        return math.nan
