"""What is heard where packets are missing: what the next one says of them, or the last sound, fading.

    sent     |  7  |  8  |  9  | 10 (holds 9 once more, coarsely) |
    arrived  |  7  |           | 10                               |
    heard    |  7  | concealed | 9 from 10 | 10 |

Recognizers bear a coarse or made-up vowel far better than a hole, which they take for a plosive or a pause.
"""

from __future__ import annotations

import numpy as np

from ..errors import ClientError
from .opus import OpusDecoder, duration, has_fec
from .pcm import HEARING_RATE_HZ, Samples
from .timeline import TIMELINE_HZ, Ticks

_PER_SAMPLE = TIMELINE_HZ // HEARING_RATE_HZ
_MAX_CONCEALED: Ticks = TIMELINE_HZ * 100 // 1000
"""100 ms: libopus has faded to silence by then."""
_GRID: Ticks = TIMELINE_HZ // 400
"""2.5 ms: a decoder conceals multiples of it."""

NOTHING: Samples = np.empty(0, np.int16)


class ConcealingDecoder:
    """One stream of Opus packets to 16 kHz mono, with holes. Owned by one call's microphone."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder(rate_hz=HEARING_RATE_HZ)
        self._last: Ticks = 0
        """How long the last packet was: lost ones are taken to be as long."""
        self.n_recovered = 0
        """Packets that were restored from the next one."""
        self.n_concealed = 0
        """Samples at 16 kHz that were made up."""

    def decode(self, packet: bytes) -> Samples:
        """Return a packet's sound. Raises ``ClientError`` for what is no Opus; the next may be fine."""
        samples = self._decoder.decode(packet)
        self._last = len(samples) * _PER_SAMPLE
        return samples

    def fill(self, n_lost: int, missing: Ticks, following: bytes) -> tuple[Samples, Samples]:
        """Return what fills the hole of ``n_lost`` packets before ``following``, which is decoded next.

        The first part belongs at the hole's beginning, the second at its end; what is ``missing`` beyond them
        was silence that nobody sent, or is too long to be made up.
        """
        hole = min(missing, n_lost * self._last)
        recovered = min(hole, duration(following)) if has_fec(following) else 0
        concealed = min(hole - recovered, _MAX_CONCEALED) // _GRID * _GRID
        recovered = recovered // _GRID * _GRID
        head = self._conceal(concealed) if concealed else NOTHING
        if not recovered:
            return head, NOTHING
        try:
            tail = self._decoder.recover(following, recovered // _PER_SAMPLE)
        except ClientError:
            return head, NOTHING  # it cannot be decoded either
        self.n_recovered += 1
        return head, tail

    def reset(self) -> None:
        """Begin another stream; the counts go on."""
        self._decoder.reset()
        self._last = 0

    def _conceal(self, length: Ticks) -> Samples:
        """In pieces as long as packets, as a decoder is used to."""
        size = min(length, self._last) // _PER_SAMPLE
        rest = length // _PER_SAMPLE
        self.n_concealed += rest
        pieces = []
        while rest:
            pieces.append(self._decoder.conceal(min(size, rest)))
            rest -= len(pieces[-1])
        return np.concatenate(pieces)
