"""What was made ahead of the ear: pieces of a reply in their order, bounded by the sound in them.

voice ──put (waits when full)──> [ pieces ... ] ──get──> whoever fills the playout
"""

from __future__ import annotations

import asyncio
from collections import deque

from ..audio.pcm import PLAYOUT_RATE_HZ
from .engine import AudioMade, Piece

_MAX_SECONDS = 4.0
"""Seconds of sound behind what playout has: the next clause is voiced while one plays, but no whole book."""


class Ahead:
    """One reply's pieces between the task that makes them and the one that takes them."""

    def __init__(self, *, max_seconds: float = _MAX_SECONDS) -> None:
        self._max_samples = round(max_seconds * PLAYOUT_RATE_HZ)
        self._pieces: deque[Piece] = deque()
        self._n_samples = 0
        self._ended = False
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    async def put(self, piece: Piece) -> None:
        """Add a piece; first wait while there is more sound than anybody needs soon."""
        while self._n_samples > self._max_samples:
            await self._change()
        self._pieces.append(piece)
        self._n_samples += _length(piece)
        self._changed.set()

    def end(self, failure: Exception | None = None) -> None:
        """Nothing will be added any more; ``failure`` is raised behind what was."""
        self._ended, self._failure = True, failure
        self._changed.set()

    async def get(self) -> Piece | None:
        """Return the next piece, or ``None`` behind the last; raise what ended the making."""
        while not self._pieces:
            if self._ended:
                if self._failure:
                    raise self._failure
                return None
            await self._change()
        piece = self._pieces.popleft()
        self._n_samples -= _length(piece)
        self._changed.set()
        return piece

    async def _change(self) -> None:
        """Wait for the other side: there are two, and only one of them can be waiting."""
        self._changed.clear()
        await self._changed.wait()


def _length(piece: Piece) -> int:
    return len(piece.samples) if isinstance(piece, AudioMade) else 0
