"""A turn's sound, kept while one recognizer hears it, so that another can hear it from the beginning."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Self

from ...audio.pcm import PcmFrame
from ..base import Final

MAX_TURN = 30.0
"""Seconds of a turn that are kept: the longest turn there is, unless the operator wants longer ones."""


class Tape:
    """The sound of one turn, from ``async with`` to the turn's end; one listener at a time.

    Frames are kept by reference, at most ``max_length`` seconds of them. When the tape is full, the oldest
    frame goes if it has been heard; if not, the source is read no further for now, so a listener never loses
    a frame. Who has nobody behind it listens to the source itself, or to a tape that keeps nothing.
    """

    def __init__(
        self, source: AsyncIterator[PcmFrame], *, max_length: float, clock: Callable[[], float]
    ) -> None:
        self.ended_at: float | None = None
        """When the source ended, as far as it was read."""
        self.on_end: Callable[[], None] | None = None
        """Called when it ends."""
        self.error: Exception | None = None
        """What broke the source, if something did: every listener is told, and it is no listener's fault."""
        self._source = source
        self._max_length = max_length
        self._clock = clock
        self._frames: deque[PcmFrame] = deque()
        self._length = 0.0  # of what is kept, in seconds
        self._dropped = 0.0  # seconds before what is kept
        self._place = 0  # of the listener's next frame in what is kept
        self._keeps = True
        self._listener = 0
        self._arrived, self._moved = asyncio.Event(), asyncio.Event()
        self._recording: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener += 1
        if self._recording is not None:
            self._recording.cancel()
            await asyncio.gather(self._recording, return_exceptions=True)

    def play(self, *, is_last: bool) -> tuple[AsyncIterator[PcmFrame], float]:
        """Return the sound for a new listener, and how many seconds of the turn are gone before it.

        ``is_last``: there will not be another one. The listener before gets nothing more.
        """
        if is_last and self._recording is None:
            return self._pass_on(), 0.0
        if self._recording is None:
            self._recording = asyncio.create_task(self._record(), name="plan_b/tape")
        self._listener += 1
        self._place, self._keeps = 0, not is_last
        self._arrived.set()
        return self._listen(self._listener), self._dropped

    async def _pass_on(self) -> AsyncIterator[PcmFrame]:
        try:
            async for frame in self._source:
                yield frame
        except Exception as error:  # our own end of the call has broken, in whatever way
            self.error = error
            raise

    async def _listen(self, listener: int) -> AsyncIterator[PcmFrame]:
        while listener == self._listener:
            if self._place < len(self._frames):
                frame = self._frames[self._place]
                self._place += 1
                if not self._keeps:
                    self._drop()
                self._moved.set()
                yield frame
            elif self.error is not None:
                raise self.error
            elif self.ended_at is not None:
                return
            else:
                self._arrived.clear()
                await self._arrived.wait()  # the longest turn there may be is the deadline for this

    async def _record(self) -> None:
        try:
            async for frame in self._source:
                await self._make_room(frame.end - frame.start)
                self._frames.append(frame)
                self._arrived.set()
        except Exception as error:  # as above
            self.error = error
        finally:
            self.ended_at = self._clock()
            self._arrived.set()
            if self.on_end is not None:
                self.on_end()

    async def _make_room(self, length: float) -> None:
        while self._frames and self._length + length > self._max_length:
            if self._place:
                self._drop()
            else:
                self._moved.clear()
                await self._moved.wait()
        self._length += length

    def _drop(self) -> None:
        """Forget the oldest frame, which the listener has heard."""
        frame = self._frames.popleft()
        length = frame.end - frame.start
        self._place -= 1
        self._length -= length
        self._dropped += length


def shifted(final: Final, offset: float) -> Final:
    """Return ``final`` with its words' times counted from the turn's first frame, also where that is gone."""
    if not offset:
        return final
    words = (replace(word, start=word.start + offset, end=word.end + offset) for word in final.words)
    return replace(final, words=tuple(words))
