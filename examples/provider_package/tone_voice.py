"""A voice of one's own for voicertc: it plays a tone for every word.

A real one would ask a service, or a model on this machine; all else would be as it is here: pieces as soon
as they are there, a mark where each word begins, a deadline, errors that say whose fault they were, and the
count of what was used.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.errors import ProviderCrashed, ProviderTimeout
from voicertc.providers.base import SpeechChunk, TextToSpeech, Used, VoiceRequest, WordMark
from voicertc.services import ProviderContext

NAME = "tones"

Play = Callable[[str, float], Awaitable[Samples]]
"""Makes a word's sound at a speed."""


@dataclass(frozen=True, slots=True)
class ToneOptions:
    """How the tones are made."""

    volume: float = 0.3
    """Of the largest sample, 0 to 1."""
    timeout: float = 2.0
    """Seconds that one word may take; a voice must never let a caller wait for ever."""


class ToneVoice:
    """``TextToSpeech`` by tones. One object serves all calls; ``play`` is replaced by tests."""

    name = NAME

    def __init__(self, options: ToneOptions | None = None, *, play: Play | None = None) -> None:
        self._options = options or ToneOptions()
        self._play = play or self._in_a_thread

    async def start(self) -> None:
        """Nothing to load; what cannot work raises ``ProviderUnavailable`` here, with the fix in a line."""

    async def close(self) -> None:
        """Nothing to free."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
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
    """Return a word's sound, ``(n,)`` int16 mono at 24 kHz: 60 ms a character, pitched by the first one."""
    n = int(min(len(word), 8) * 0.06 * PLAYOUT_RATE_HZ / speed)
    pitch_hz = 220 * 2 ** (ord(word[0]) % 24 / 12)
    wave = np.sin(2 * np.pi * pitch_hz * np.arange(n) / PLAYOUT_RATE_HZ) * np.hanning(n)
    return (wave * volume * 32_767).astype(np.int16)


def make_voice(context: ProviderContext) -> TextToSpeech:
    """Make the voice from the operator's settings: the entry point."""
    return ToneVoice()
