"""One turn's way through a transcription socket: its sound collected and kept, sent in time, and answered.

The sound is kept until the words have come, because a socket may be lost in the middle: then it is sent once
more on the next one. It is sent no faster than the service takes it, 4 times as fast as it is spoken
(observed on 2026-09-21: more is lost without a word).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, PcmFrame, Samples
from ..audio.resample import Resampler
from ..errors import ProviderError
from .openai_live_ear import LiveEar, Transcript

SERVICE_RATE_HZ = PLAYOUT_RATE_HZ
"""The only rate OpenAI takes for raw samples."""
BYTES_PER_SECOND = 2 * SERVICE_RATE_HZ

MIN_SECONDS = 0.1
"""Less is refused (``input_audio_buffer_commit_empty``), and nobody says a word in it."""
_MESSAGE = BYTES_PER_SECOND * 80 // 1000
"""Bytes of sound in a message: four frames. Each message costs 40 µs here, whatever is in it."""
_BIG_MESSAGE = BYTES_PER_SECOND * 200 // 1000
"""When sound has piled up."""
_MAX_KEPT = BYTES_PER_SECOND * 30
"""A turn that has become longer cannot be sent again."""
_MAX_SPEED = 3.0
"""How many times faster than it is spoken: well below the service's bound."""
_BURST = 0.5
"""Seconds that may go at once, like the sound from before the turn."""


class LostEar(Exception):
    """The socket has ended under a turn; ``error`` says how. Does not leave this provider."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.message)
        self.error = error


class TurnSound:
    """A turn's sound at the service's rate, as it is heard. Places are bytes from its beginning."""

    def __init__(self) -> None:
        self.has_ended = False
        self.ended_at: float | None = None
        """When it ended, by the loop's time."""
        self.moved = asyncio.Event()
        """Set when there is more, when it has ended, and by whoever else wants its sender to look up."""
        self._kept = bytearray()
        self._first = self._sent = 0
        self._has_room = asyncio.Event()

    @property
    def n_bytes(self) -> int:
        """All that has been heard."""
        return self._first + len(self._kept)

    @property
    def seconds(self) -> float:
        """How long that is."""
        return self.n_bytes / BYTES_PER_SECOND

    @property
    def can_be_sent_again(self) -> bool:
        """Whether all of it is still here."""
        return self._first == 0

    async def collect(self, audio: AsyncIterator[PcmFrame]) -> None:
        """Take the turn to its end; wait while too much of it has not been sent."""
        resampler = Resampler(HEARING_RATE_HZ, SERVICE_RATE_HZ)
        async for frame in audio:
            self._add(resampler.feed(frame.samples))
            while len(self._kept) > _MAX_KEPT and not self._drop_sent():
                self._has_room.clear()
                await self._has_room.wait()
        self._add(resampler.flush())
        self.has_ended = True
        self.ended_at = asyncio.get_running_loop().time()
        self.moved.set()

    async def lasts(self, seconds: float) -> bool:
        """Wait until it has become so long; return False if it ends before."""
        while self.seconds < seconds and not self.has_ended:
            await self.more()
        return self.seconds >= seconds

    async def more(self) -> None:
        """Wait until there is something new."""
        self.moved.clear()
        await self.moved.wait()

    def take(self, place: int) -> bytes:
        """Return a message's worth from ``place`` on, which counts as sent; nothing if it is too little."""
        n_left = self.n_bytes - place
        if n_left < _MESSAGE and not self.has_ended:
            return b""
        begin = place - self._first
        piece = bytes(self._kept[begin : begin + _BIG_MESSAGE])
        self._sent = place + len(piece)
        self._has_room.set()
        return piece

    def _add(self, samples: Samples) -> None:
        if len(samples):
            self._kept += samples.astype("<i2", copy=False).tobytes()
            self.moved.set()

    def _drop_sent(self) -> bool:
        """Forget what has been sent, if that is anything."""
        n = self._sent - self._first
        del self._kept[:n]
        self._first += n
        return n > 0


class Pace:
    """How fast sound may be sent on one socket: a bucket of ``_BURST`` seconds that leaks ``_MAX_SPEED``."""

    def __init__(self) -> None:
        self._filled, self._at = 0.0, asyncio.get_running_loop().time()

    def pause_before(self, seconds: float) -> float:
        """Return how long to wait before so much sound is sent."""
        now = asyncio.get_running_loop().time()
        self._filled = max(0.0, self._filled - (now - self._at) * _MAX_SPEED) + seconds
        self._at = now
        return max(0.0, (self._filled - _BURST) / _MAX_SPEED)


async def send_turn(sound: TurnSound, ear: LiveEar, transcript: Transcript) -> None:
    """Send a turn from its beginning to its end, as it comes, and commit it.

    Raises ``LostEar`` if the socket ends, also while there is nothing to send.
    """
    place, pace = 0, Pace()
    try:
        while True:
            if transcript.error is not None:
                raise LostEar(transcript.error)
            if piece := sound.take(place):
                await asyncio.sleep(pace.pause_before(len(piece) / BYTES_PER_SECOND))
                await ear.append(piece)
                place += len(piece)
            elif sound.has_ended:
                break
            else:
                await sound.more()
        await ear.commit(transcript)
    except ProviderError as error:
        raise LostEar(error) from error
