"""A block of sound that knows its rate and its place in the call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.int16]
"""``(n,)`` int16, mono."""

HEARING_RATE_HZ = 16_000
"""What detectors and recognizers are given."""
PLAYOUT_RATE_HZ = 24_000
"""What voices deliver and playout takes."""
FRAME_MS = 20
"""One Opus packet, one frame."""
HEARING_FRAME = HEARING_RATE_HZ * FRAME_MS // 1000
"""320 samples."""
PLAYOUT_FRAME = PLAYOUT_RATE_HZ * FRAME_MS // 1000
"""480 samples."""


@dataclass(frozen=True, slots=True, eq=False)
class PcmFrame:
    """``samples``: ``(n,)`` int16 mono at ``rate_hz``; ``position``: samples since the call began."""

    samples: Samples
    position: int = 0
    rate_hz: int = HEARING_RATE_HZ

    @property
    def start(self) -> float:
        """Audio time of the first sample, in seconds since the call began."""
        return self.position / self.rate_hz

    @property
    def end(self) -> float:
        """Audio time behind the last sample, in seconds since the call began."""
        return (self.position + len(self.samples)) / self.rate_hz
