"""The telephone's code: 8 bits a sample, fine where sound is soft and coarse where it is loud (ITU-T G.711).

Both laws know 128 levels of each sign, laid out in segments of 16 whose steps double. A byte is a level's
number with its sign on top, 1 for positive; the number's bits are inverted, all (μ-law) or every other one
(A-law), so that silence has many ones in it. Decoding and encoding are one look into a table for each sample.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .pcm import Samples

RATE_HZ = 8_000
"""What G.711 is sampled at."""

_Integers = npt.NDArray[np.int32]


class Law:
    """One of the two laws. Holds no state: any thread may use it."""

    def __init__(self, name: str, level_of: Callable[[_Integers], _Integers], inverted: int) -> None:
        self.name = name
        numbers = np.arange(128, dtype=np.int32)
        levels = level_of(numbers)
        positive, negative = numbers | 0x80, numbers
        self._decoded: Samples = np.empty(256, np.int16)
        self._decoded[positive ^ inverted] = levels
        self._decoded[negative ^ inverted] = -levels
        # The laws code 14 bits: the two lowest of 16 are cut off. Each sample gets the level next to it, as
        # libavcodec has it: less noise than with the tables' decision values, which lie off the middle
        # where segments meet, and all the same to a decoder.
        values = np.arange(-32768, 32768, dtype=np.int32) >> 2
        begins = (levels[:-1] + levels[1:] + 4) // 8
        number = np.searchsorted(begins, np.abs(values), side="right")
        self._encoded = np.empty(65536, np.uint8)
        self._encoded[:] = np.where(values < 0, number, number | 0x80) ^ inverted

    def decode(self, coded: bytes) -> Samples:
        """Return the samples, ``(n,)`` int16 mono at 8 kHz, of ``n`` bytes. Any byte is a sample."""
        return self._decoded[np.frombuffer(coded, np.uint8)]

    def encode(self, samples: Samples) -> bytes:
        """Return one byte for each of ``(n,)`` int16 samples, mono at 8 kHz; what is too loud is clipped."""
        return self._encoded[samples.astype(np.int32) + 32768].tobytes()


def _mu_level(number: _Integers) -> _Integers:
    """Table 2a: steps of 8 from 0 on, doubled with each segment; up to 32124."""
    bias = 0x84
    level: _Integers = ((((number & 0x0F) << 3) + bias) << (number >> 4)) - bias
    return level


def _a_level(number: _Integers) -> _Integers:
    """Table 1a: steps of 16 from 8 on, doubled with each segment from the third on; up to 32256."""
    segment = number >> 4
    within = ((number & 0x0F) << 4) + 8
    level: _Integers = np.where(segment == 0, within, (within + 0x100) << np.maximum(segment - 1, 0))
    return level


MU_LAW = Law("μ-law", _mu_level, inverted=0x7F)
"""North America and Japan: RTP's ``PCMU``."""
A_LAW = Law("A-law", _a_level, inverted=0x55)
"""The rest of the world: RTP's ``PCMA``."""
