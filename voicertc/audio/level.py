"""How loud somebody speaks: the level of what is heard while there is speech, in dBov (RFC 6464 §3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .pcm import Samples

_OVERLOAD = 32768.0**2
"""Mean square of 0 dBov: a square wave at full scale. The loudest sine is at -3.01 dBov."""
_FLOOR_DBOV = -50.0
"""Frames below are pauses and noise: speech comes at -15 to -40 dBov, a quiet room's noise at -55 and less.

With it the level is within 1.4 dB of ITU-T P.56's active speech level, which seeks its floor, for recorded
voices louder than -40. An office at -43 passes for a quiet voice."""
_FLOOR = _OVERLOAD * 10 ** (_FLOOR_DBOV / 10)


@dataclass(slots=True)
class SpeechLevel:
    """Sums over the frames that hold speech, since the beginning; written by one owner, read by others."""

    energy: float = 0.0
    """Sum of the samples' squares."""
    n_samples: int = 0

    def add(self, samples: Samples) -> bool:
        """Take a frame, ``(n,)`` int16 mono of any rate (1 µs for 20 ms); return whether it holds speech."""
        floats = samples.astype(np.float32)
        energy = float(floats.dot(floats))
        if energy <= _FLOOR * len(samples):
            return False
        self.energy += energy
        self.n_samples += len(samples)
        return True

    def since(self, before: SpeechLevel) -> SpeechLevel:
        """Return the sums of what came after ``before``, an earlier copy."""
        return SpeechLevel(self.energy - before.energy, self.n_samples - before.n_samples)

    @property
    def dbov(self) -> float | None:
        """Mean level, -50 to 0; ``None`` if nothing was said."""
        return 10 * math.log10(self.energy / self.n_samples / _OVERLOAD) if self.n_samples else None
