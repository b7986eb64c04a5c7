"""Makes a stream of samples softer and louder without a click."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .pcm import Samples


class Gain:
    """A loudness that changes in straight ramps; at exactly one, samples pass untouched."""

    __slots__ = ("_gain", "_left", "_target")

    def __init__(self) -> None:
        self._gain = 1.0
        self._target = 1.0
        self._left = 0  # samples until the target is reached

    @property
    def is_one(self) -> bool:
        """Whether samples pass untouched now."""
        return not self._left and self._target == 1.0

    def set(self, gain: float) -> None:
        """Jump there."""
        self._gain = self._target = gain
        self._left = 0

    def ramp(self, target: float, n_samples: int) -> None:
        """Go there from here within ``n_samples``."""
        self._target = target
        self._left = n_samples if target != self._gain else 0

    def apply(self, block: Samples) -> Samples:
        """Return the block as loud as it should be; the ramp goes on by its length."""
        if not self._left:
            if self._target == 1.0:
                return block
            return _scale(block, np.float32(self._target))
        n = len(block)
        steps = np.arange(1, n + 1, dtype=np.float32)
        np.minimum(steps, self._left, out=steps)
        gains = self._gain + steps * np.float32((self._target - self._gain) / self._left)
        n_ramp = min(n, self._left)
        self._gain += (self._target - self._gain) * n_ramp / self._left
        self._left -= n_ramp
        if not self._left:
            self._gain = self._target
        return _scale(block, gains)


def _scale(block: Samples, gain: np.float32 | npt.NDArray[np.float32]) -> Samples:
    scaled: Samples = np.rint(block * gain).astype(np.int16)
    return scaled
