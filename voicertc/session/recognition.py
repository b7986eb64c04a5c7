"""One turn's sound on its way from the ears to the recognizer, and its words on their way back.

    push(frame) ─> kept back in a pause ─> waiting ─> frames() ─> the recognizer
                     (dropped at the end)   (the oldest dropped)      │ words, in seconds of what it was given
    session time <──────────────────────────────────── place() <──────┘

A recognizer is not given all of a turn: the ends of pauses are missing, and what it was too slow for. So it
is noted where in its audio the session's time makes a step.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter

from .. import logs
from ..audio.pcm import PcmFrame
from ..core.events import Event, Word
from ..providers.base import HeardWord

_PAUSE_TAIL = 0.2
"""Seconds of a pause that are passed on at once: final consonants are quiet."""
MAX_WAITING = 10.0
"""Seconds of audio a recognizer may lag behind before the oldest are dropped."""
_MAX_HEARD = 750
"""Frames (15 s) that are kept of a turn for a second recognition: more than the core would have guessed."""
_STEP = 0.001
"""Seconds from which on a step of time is noted; below it is the drift of the client's clock."""


@dataclass(frozen=True, slots=True)
class _End:
    """No more audio will come."""


class Recognition:
    """One turn's audio: bounded, pushed by frames, pulled by the provider.

    ``session_time`` makes session time of audio time, both in seconds. ``waiting``: how many the provider has
    not taken yet; ``max_waiting``: how many it may be, for what was recorded before comes all at once.
    """

    def __init__(
        self, item_id: str, session_time: Callable[[float], float], *, max_waiting: float = MAX_WAITING
    ) -> None:
        self.item_id = item_id
        self.is_guess = False
        """Whether it was closed on the guess that the turn is over; ``result`` is what came of it then."""
        self.result: Event | None = None
        self.is_dropped = False
        """Whether nobody wants its result any more."""
        self._max_waiting = max_waiting
        self._heard: list[PcmFrame] | None = []
        self.seconds = 0.0
        self.waiting = 0.0
        self.is_closed = False
        self._session_time = session_time
        self._frames: deque[tuple[PcmFrame, float] | _End] = deque()
        self._kept_back: list[PcmFrame] = []
        self._arrived = asyncio.Event()
        self._given = 0.0
        self._places: list[tuple[float, float]] = []  # from which second of what was given on: session time

    def push(self, frame: PcmFrame, *, is_speech: bool, pause: float) -> None:
        """Take a frame; ``pause`` is the seconds since the last speech."""
        if is_speech or pause <= _PAUSE_TAIL:
            for kept in self._kept_back:
                self._pass_on(kept)
            self._kept_back.clear()
            self._pass_on(frame)
        else:
            self._kept_back.append(frame)

    def guess(self) -> None:
        """The turn may be over; if it is not, ``heard`` is to be recognized anew."""
        self.is_guess = True
        self.close()

    @property
    def heard(self) -> tuple[PcmFrame, ...]:
        """All frames of a short turn so far, none of a long one."""
        return tuple(self._heard or ())

    def note(self, frame: PcmFrame) -> None:
        """Keep a frame for a recognition that may begin anew."""
        if self._heard is not None:
            self._heard.append(frame)
            if len(self._heard) > _MAX_HEARD:
                self._heard = None

    def close(self) -> None:
        """The turn is over."""
        if not self.is_closed:
            self.is_closed = True
            self._kept_back.clear()
            self._frames.append(_End())
            self._arrived.set()

    async def frames(self) -> AsyncIterator[PcmFrame]:
        """Yield the turn's audio as it comes; ends with the turn."""
        while True:
            while self._frames:
                entry = self._frames.popleft()
                if isinstance(entry, _End):
                    return
                frame, at = entry
                length = frame.end - frame.start
                self.waiting -= length
                self._note(at)
                self._given += length
                yield frame
            self._arrived.clear()
            await self._arrived.wait()  # the turn's maximum length is the core's deadline for this

    def place(self, words: Iterable[HeardWord]) -> tuple[Word, ...]:
        """Return the words with their times in the session."""
        if not self._places:
            return ()
        placed = []
        for word in words:
            # Where time makes a step, a word begins behind it and ends before it.
            start = self._time_of(word.start, bisect_right(self._places, word.start, key=itemgetter(0)))
            end = self._time_of(word.end, bisect_left(self._places, word.end, key=itemgetter(0)))
            placed.append(Word(word.text, round(start, 3), round(max(start, end), 3), word.confidence))
        return tuple(placed)

    def _time_of(self, second: float, n_places: int) -> float:
        given, at = self._places[max(0, n_places - 1)]
        return at + second - given

    def _note(self, at: float) -> None:
        """Note where the next frame lies, if not right behind the one before."""
        if not self._places or abs(at - self._time_of(self._given, len(self._places))) > _STEP:
            self._places.append((self._given, at))

    def _pass_on(self, frame: PcmFrame) -> None:
        length = frame.end - frame.start
        self.seconds += length
        self.waiting += length
        self._frames.append((frame, self._session_time(frame.start)))
        if self.waiting > self._max_waiting:
            dropped = self._frames.popleft()
            assert not isinstance(dropped, _End)
            first, _ = dropped
            self.waiting -= first.end - first.start
            logs.audio_event("recognizer_lags", item=self.item_id, dropped_at=first.start)
        self._arrived.set()
