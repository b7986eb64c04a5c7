"""What is said again and again, voiced once: greetings, apologies, announcements, with their Opus packets.

    text ── in the book ──> its sound, whole and at once: no synthesis, no encode
       └─── not in it ────> voice ──> 20 ms frames ──> Opus ──> the caller, piece by piece
                                                           └──> the book, when the voice is through

Sound that is met for the first time is encoded here instead of by a speaker, so that what is never said again
has cost nothing more. Who sends no packets gets the sound as the voice made it, and has phrases of its own.
All of it is in memory, bounded, and gone with the process.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from .. import logs
from ..audio.clips import ClipEncoder
from ..audio.pcm import PLAYOUT_RATE_HZ
from ..core.clauses import is_speakable
from ..errors import ProviderCrashed, ProviderError
from .base import SpeechChunk, TextToSpeech, Used, VoiceRequest, WordMark
from .patience import in_time

_log = logging.getLogger(__name__)

_MAX_BYTES = 16 << 20
"""Five minutes of speech."""
_MAX_PHRASES = 256
"""What a server says of itself is a dozen phrases; this has room for a few languages and voices of each."""
_MAX_SAMPLES = 30 * PLAYOUT_RATE_HZ
"""Of one phrase: who says more at once than 30 s tells a story, and hardly tells it twice."""
_SLICE = PLAYOUT_RATE_HZ * 200 // 1000
"""Samples encoded before others on the event loop have their turn: ten frames, half a millisecond."""
_PER_PACKET = 41
"""Bytes that a packet takes besides its own: a bytes object and its place in a tuple."""

_PATIENCE = 0.6
"""Seconds for the first sound of what another voice has said before: nobody waits longer for an apology."""
_NOBODY = ""
"""Whose phrases are for when there is no other voice."""
_Key = tuple[str, VoiceRequest, str, bool]
"""Provider, voice with language and speed, text, and whether it has packets."""


class Phrasebook:
    """The phrases of one process, those said last. Used on one event loop, by any number of sessions.

    ``max_bytes`` and ``max_phrases`` bound what is kept. A voice is known by its name: two that sound
    different under one name need a book each.
    """

    def __init__(self, *, max_bytes: int = _MAX_BYTES, max_phrases: int = _MAX_PHRASES) -> None:
        self._max_bytes = max_bytes
        self._max_phrases = max_phrases
        self._phrases: OrderedDict[_Key, SpeechChunk] = OrderedDict()  # said last is last
        self._kept: set[_Key] = set()
        self.n_bytes = 0
        """What the phrases take in memory."""

    @property
    def n_phrases(self) -> int:
        """How many phrases are known."""
        return len(self._phrases)

    async def speak(
        self,
        voice: TextToSpeech,
        text: str,
        request: VoiceRequest,
        *,
        with_packets: bool,
        is_kept: bool = False,
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield what ``voice.synthesize`` does, or all of it at once; from any voice if this one fails.

        ``with_packets``: in whole frames of 20 ms with their packets, the last one filled up with silence. A
        phrase is kept when all of it has been taken; one that ``is_kept`` is never pushed out by others.
        """
        key = (voice.name, request, text, with_packets)
        if known := self._known(key):
            yield known
            return
        made: list[SpeechChunk] = []
        n_samples = 0
        chunks = voice.synthesize(text, request)
        try:
            async with aclosing(_coded(chunks) if with_packets else chunks) as pieces:
                patience = _PATIENCE if self._in_any_voice(text, with_packets) else None
                while (chunk := await in_time(anext(pieces, None), patience, voice.name)) is not None:
                    patience = None
                    n_samples += len(chunk.samples)
                    if n_samples <= _MAX_SAMPLES:
                        made.append(chunk)
                    yield chunk
            if not n_samples and is_speakable(text):
                raise ProviderCrashed("The voice made no sound.", provider=voice.name)
        except Exception as error:  # also a bug in a voice
            # An apology in another voice is better than none.
            if n_samples or not (known := self._in_any_voice(text, with_packets)):
                raise
            logs.event(
                _log,
                logging.WARNING,
                "said_in_another_voice",
                exc_info=None if isinstance(error, ProviderError) else error,
                provider=voice.name,
                reason=error.message if isinstance(error, ProviderError) else type(error).__name__,
            )
            yield known
            return
        if 0 < n_samples <= _MAX_SAMPLES:
            if any(chunk.is_substitute for chunk in made):
                key = (_NOBODY, *key[1:])  # the voice itself is asked again next time
            self._keep(key, made)
            if is_kept:
                self._kept.add(key)

    def _known(self, key: _Key) -> SpeechChunk | None:
        """Return a phrase; who has no use for packets may be given one that was made for somebody else."""
        provider, request, text, with_packets = key
        for found in (key,) if with_packets else (key, (provider, request, text, True)):
            if phrase := self._phrases.get(found):
                self._phrases.move_to_end(found)
                return phrase
        return None

    def _in_any_voice(self, text: str, with_packets: bool) -> SpeechChunk | None:
        found = (key for key in self._phrases if key[2] == text and key[3] >= with_packets)
        return next((self._phrases[key] for key in found), None)

    def _keep(self, key: _Key, chunks: list[SpeechChunk]) -> None:
        phrase = SpeechChunk(
            np.concatenate([chunk.samples for chunk in chunks]),
            tuple(mark for chunk in chunks for mark in chunk.marks),
            tuple(packet for chunk in chunks for packet in chunk.packets),
        )
        size = _size(phrase)
        if size > self._max_bytes:
            return
        self._drop(key)  # another call may have said it meanwhile
        self._phrases[key] = phrase
        self.n_bytes += size
        while self.n_bytes > self._max_bytes or self.n_phrases > self._max_phrases:
            others = (each for each in self._phrases if each not in self._kept)
            self._drop(next(others, key))

    def _drop(self, key: _Key) -> None:
        if phrase := self._phrases.pop(key, None):
            self.n_bytes -= _size(phrase)


async def _coded(chunks: AsyncGenerator[SpeechChunk, None]) -> AsyncGenerator[SpeechChunk, None]:
    """Yield a clause's speech in whole frames with packets, the last one filled up with silence.

    A voice's own packets pass, unless sound without packets came before them that does not fill a frame.
    """
    encoder = ClipEncoder()
    marks: tuple[WordMark, ...] = ()  # known, and waiting for a whole frame
    used: Used | None = None
    is_substitute = False
    async with aclosing(chunks):
        async for chunk in chunks:
            marks += chunk.marks
            used, is_substitute = chunk.used or used, chunk.is_substitute
            if chunk.packets and encoder.is_between_frames:
                yield SpeechChunk(chunk.samples, marks, chunk.packets, is_substitute=is_substitute)
                marks = ()
                continue
            for start in range(0, len(chunk.samples), _SLICE):
                clip = encoder.feed(chunk.samples[start : start + _SLICE])
                if clip.packets:
                    yield SpeechChunk(clip.samples, marks, clip.packets, is_substitute=is_substitute)
                    marks = ()
                    await asyncio.sleep(0)  # the voice may have all of it ready; others have their turn
    tail = encoder.flush()
    if marks or tail.packets or used:
        yield SpeechChunk(tail.samples, marks, tail.packets, used, is_substitute)


def _size(phrase: SpeechChunk) -> int:
    """Return about how many bytes it takes."""
    return phrase.samples.nbytes + sum(len(packet) + _PER_PACKET for packet in phrase.packets)
