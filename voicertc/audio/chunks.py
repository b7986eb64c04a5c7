"""Samples that wait in a row, in the pieces they came in: nothing is copied that need not be.

A piece may have come with its Opus packets, one for every 20 ms. They wait beside it, for whoever takes just
the samples that a packet holds:

    | PCM, any length | 480 | 480 | 480 | PCM …
                        pkt   pkt   pkt
"""

from __future__ import annotations

from collections import deque

import numpy as np

from .pcm import PLAYOUT_FRAME, Samples


class Chunks:
    """A first-in, first-out row of samples; ``length`` is how many there are. Its owner bounds it."""

    __slots__ = ("_chunks", "_offset", "length")

    def __init__(self) -> None:
        self._chunks: deque[tuple[Samples, tuple[bytes, ...]]] = deque()
        self._offset = 0  # into the first chunk
        self.length = 0

    def append(self, samples: Samples, packets: tuple[bytes, ...] = ()) -> None:
        """Add samples at the end; they are read-only from here on. ``packets``: none, or all there are."""
        assert not packets or len(samples) == len(packets) * PLAYOUT_FRAME, "a packet is 20 ms"
        chunk = samples.view()
        chunk.flags.writeable = False
        self._chunks.append((chunk, packets))
        self.length += len(chunk)

    @property
    def packet(self) -> bytes | None:
        """The packet that holds just the next 480 samples, if there is one."""
        if not self._chunks or not (packets := self._chunks[0][1]):
            return None
        index, rest = divmod(self._offset, PLAYOUT_FRAME)
        return None if rest else packets[index]

    def take(self, n: int) -> Samples:
        """Remove and return the first ``n``, which must be there."""
        first = self._chunks[0][0]
        end = self._offset + n
        if end < len(first):
            block = first[self._offset : end]
            self._offset = end
        else:
            block = self.peek(0, n)
            while self._chunks and end >= len(self._chunks[0][0]):
                end -= len(self._chunks.popleft()[0])
            self._offset = end
        self.length -= n
        return block

    def peek(self, start: int, n: int) -> Samples:
        """Return ``n`` samples from ``start`` on, which must be there, and leave them."""
        pieces: list[Samples] = []
        start += self._offset
        for chunk, _ in self._chunks:
            if start < len(chunk):
                piece = chunk[start : start + n]
                pieces.append(piece)
                n -= len(piece)
                if not n:
                    break
            start = max(0, start - len(chunk))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def clear(self) -> None:
        """Forget everything."""
        self._chunks.clear()
        self._offset = self.length = 0
