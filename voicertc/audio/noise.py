"""Takes noise out of the user's sound before anything listens to it.

    frame ─┬─> WebRTC's noise suppression ── share ──┬─> frame, 6 ms older
           └─> as it came, 6 ms older ── 1 - share ──┘

WebRTC's suppression (in the wheel webrtc-noise-gain: a high-pass, and a Wiener filter over an estimate of
the noise) takes 21 dB off steady noise.

Of the words in 18 recorded sentences pocketsphinx gets wrong (``scripts/bench_noise.py``), without it, near
and far: 29, 32 and 29 % clean; 56, 50 and 55 % in office noise 12 dB softer; 69, 55 and 50 % in hum; 93, 79
and 69 % in white noise. To the speech detector, which is good at noise, it makes little difference; far, it
hears a bump in the office that the noise hid before. Other voices are speech, and stay.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from webrtc_noise_gain import AudioProcessor

from .pcm import HEARING_RATE_HZ, PcmFrame, Samples

NoiseKind = Literal["near_field", "far_field"]
"""Where the microphone is (OpenAI Realtime: ``noise_reduction.type``)."""

DELAY = 96
"""Samples (6 ms) that the suppression's overlapping windows hold back."""
_BLOCK = HEARING_RATE_HZ // 100
"""Samples that the library takes at once: 10 ms."""
_MOST_SUPPRESSION = 4
"""The library's highest level, 21 dB; how much of it is used is decided here."""
_NO_GAIN = 0
"""The library could also make soft voices louder. Recognizers and the speech detector do so themselves."""

_SHARES: dict[NoiseKind, float] = {"near_field": 0.65, "far_field": 0.88}
"""How much of the sound is the suppressed one at full strength. At the mouth speech is far above the noise,
which then falls by 8 dB only and stays natural; across a room it is drowned in it, and 14 to 16 dB are worth
what they cost. With all of the sound suppressed more words of a clear voice are wrong: 39 instead of 29 %."""


class NoiseReduction:
    """One call's filter, fed with its frames in order; costs 35 µs for each.

    ``kind`` and ``strength``, 0 to 1, may change at any time; with a strength of 0 nothing is taken out.
    """

    def __init__(self, kind: NoiseKind, strength: float = 1.0) -> None:
        self.kind = kind
        self.strength = strength
        self._suppressor = AudioProcessor(_NO_GAIN, _MOST_SUPPRESSION)
        self._late: Samples = np.zeros(DELAY, np.int16)

    def feed(self, frame: PcmFrame) -> PcmFrame:
        """Return a frame as long as the given one, of whole 10 ms at 16 kHz, with the noise taken out.

        It is what was made ``DELAY`` samples earlier, and its position says so.
        """
        assert frame.rate_hz == HEARING_RATE_HZ, f"noise is reduced at 16 kHz, not {frame.rate_hz} Hz"
        assert len(frame.samples) % _BLOCK == 0, f"{len(frame.samples)} samples are not whole 10 ms"
        sound = np.concatenate((self._late, frame.samples))
        self._late = sound[len(frame.samples) :]
        raw = sound[: len(frame.samples)].astype(np.float32)
        share = _SHARES[self.kind] * self.strength
        mixed = raw + share * (self._suppress(frame.samples) - raw)
        return PcmFrame(np.rint(mixed).astype(np.int16), frame.position - DELAY)

    def _suppress(self, samples: Samples) -> Samples:
        blocks = (samples[start : start + _BLOCK] for start in range(0, len(samples), _BLOCK))
        suppressed = b"".join(self._suppressor.Process10ms(block.tobytes()).audio for block in blocks)
        return np.frombuffer(suppressed, np.int16)
