"""Sound that a client appends in pieces of any size, at any speed: it makes session time, not the clock.

    append ──> frames of 20 ms ──> hearing        their positions are session time, but for a little lateness
       ahead of session time?    session time jumps: a file is heard as if it were being spoken
       late by a little?         the network's jitter
       late by more?             the client had nothing to send: the position jumps
       the recognizer is behind? the client waits, and session time with it

So the silence that ends a turn, and every other length of speech, is counted in the client's sound, whether
that comes in real time, with pauses where its user is silent, or ten minutes of it at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from ..audio.pcm import HEARING_FRAME, HEARING_RATE_HZ, PcmFrame, Samples

DRIFT = 0.4
"""How fast hearing may find a client's sound to be late, in seconds per second: after a pause too short to be
a gap all that follows is."""
_SLICE = 5 * HEARING_FRAME
"""Samples between two looks at the time: 100 ms, so that no turn ends much earlier than it would have."""
_TOLERANCE = 0.05
"""Seconds of sound that may be ahead: clients send pieces of 20–40 ms, and not on the dot."""
_MAX_JITTER = 1.0
"""Seconds that sound may be later than it usually is before that is a gap."""
_MAX_LATE = 2.0
"""Seconds that it may be late at all: so much, if it caught up, would be heard in no time."""
_FIRST_PIECE = 0.2
"""Seconds of the first sound after a gap that were spoken before it came; what is longer was not live."""
_LOOK_AGAIN = 0.02
"""Seconds between two looks at whether there is room, while a client is held back."""
_MAX_PLACES = 256
"""Steps of time that are remembered: nobody asks where sound of long ago lay."""


class Appended:
    """One client's input buffer. Owned by a session; one task at a time appends.

    ``clock`` is session time, which ``advance`` lets jump; ``lag``: how many seconds it is ahead of the
    positions of frames, as ``hear`` sees it. While ``has_room`` is false, nothing is heard.
    """

    def __init__(
        self,
        *,
        hear: Callable[[PcmFrame], None],
        clock: Callable[[], float],
        advance: Callable[[float], None],
        lag: Callable[[], float],
        has_room: Callable[[], bool],
    ) -> None:
        self._hear = hear
        self._clock = clock
        self._advance = advance
        self._lag = lag
        self._has_room = has_room
        self._position = 0  # of the next frame's first sample
        self._rest = np.zeros(0, np.int16)  # less than a frame
        self._n_heard = 0
        self.left = 0.0
        """Seconds of sound behind the frame that is being heard which came with it."""
        self._places: deque[tuple[float, int]] = deque(
            maxlen=_MAX_PLACES
        )  # session time, samples heard by then

    async def append(self, samples: Samples) -> None:
        """Take ``(n,)`` int16 mono at 16 kHz; returns when it has been heard, which may take a while."""
        self._find_place(len(samples))
        sound = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        n_whole = len(sound) - len(sound) % HEARING_FRAME
        self._rest = sound[n_whole:]
        for begin in range(0, n_whole, _SLICE):
            if begin:
                await asyncio.sleep(0)  # other calls have their turn
            while not self._has_room():
                await self._stand_still()
            end = min(begin + _SLICE, n_whole)
            self._hear_slice(sound[begin:end], end - begin)

    def flush(self) -> None:
        """Let what is less than a frame be heard, with silence behind it: something ends here."""
        if n_left := len(self._rest):
            frame = np.zeros(HEARING_FRAME, np.int16)
            frame[:n_left] = self._rest
            self._rest = self._rest[:0]
            self._hear_slice(frame, n_left)

    def audio_time(self, at: float) -> float:
        """Return how many seconds had been appended when session time was ``at``: what clients count in."""
        n_after = self._n_heard
        for begin, n_before in reversed(self._places):
            if begin <= at:
                return min(n_before / HEARING_RATE_HZ + at - begin, n_after / HEARING_RATE_HZ)
            n_after = n_before
        return 0.0

    def _find_place(self, n_samples: int) -> None:
        """Begin behind a gap, if there was one."""
        now = self._clock()
        late = now - (self._position + len(self._rest) + n_samples) / HEARING_RATE_HZ
        if self._places and late <= min(_MAX_LATE, max(0.0, self._lag()) + _MAX_JITTER):
            return
        self.flush()
        begin = now - min(n_samples / HEARING_RATE_HZ, _FIRST_PIECE)
        self._position = max(self._position, round(begin * HEARING_RATE_HZ))

    async def _stand_still(self) -> None:
        """Wait a little, and let it be no time at all: the user says nothing meanwhile, nor is silent."""
        before = self._clock()
        await asyncio.sleep(_LOOK_AGAIN)
        self._advance(before - self._clock())

    def _hear_slice(self, sound: Samples, n_samples: int) -> None:
        """Let whole frames be heard, which hold so many samples of the client's."""
        begin = self._position / HEARING_RATE_HZ
        ahead = begin + len(sound) / HEARING_RATE_HZ - self._clock()
        if ahead > _TOLERANCE:
            self._advance(ahead)
        for offset in range(0, len(sound), HEARING_FRAME):
            self.left = (len(sound) - offset - HEARING_FRAME) / HEARING_RATE_HZ
            self._hear(PcmFrame(sound[offset : offset + HEARING_FRAME], self._position))
            self._position += HEARING_FRAME
        self._note(begin + self._lag())
        self._n_heard += n_samples

    def _note(self, at: float) -> None:
        """Note when the next sample lies in session time, if not where the ones before let expect it."""
        if self._places:
            begin, n_before = self._places[-1]
            if abs(begin + (self._n_heard - n_before) / HEARING_RATE_HZ - at) <= _TOLERANCE:
                return
        self._places.append((at, self._n_heard))
