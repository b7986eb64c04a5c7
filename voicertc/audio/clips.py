"""Sound that carries its Opus packets: encoded once, or by a provider, and sent without an encode.

    samples  | 480 | 480 | 480 | 300 0.. |     what is counted, ducked, mixed, sent to WebSockets
    packets  | pkt | pkt | pkt |   pkt   |     what a peer is sent when it is to hear just that

``PlayoutBuffer.pull`` hands out both. An encoder is 6.5 ms late, so a packet holds the end of the frame
before it and not its own: a clip ends in silence, which its last packet can do without.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .opus import Coding, CodingMode, OpusDecoder, OpusEncoder
from .pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ, Samples

_CODING = Coding(mode=CodingMode.CLEAN, bit_rate=48_000)
"""As a speaker codes for a clean link: a decoder need not change modes between a clip and what is not one.

A link that loses packets is sent the samples instead, coded for it."""
_LATE = PLAYOUT_RATE_HZ * 65 // 10_000
"""156 samples: the encoder's lookahead."""
_SILENT = 50
"""Largest sample that nobody would miss, of 32767: -56 dB."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """``samples``: ``(n,)`` int16 mono at 24 kHz. ``packets``: Opus, one for every 480 samples; or none."""

    samples: Samples
    packets: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        assert not self.packets or len(self.samples) == len(self.packets) * PLAYOUT_FRAME


class ClipEncoder:
    """One stream of sound to clips, as it is made; each takes what is a whole number of 20 ms so far.

    Encoding takes some 50 µs for 20 ms: on an event loop, feed it no more than 0.5 s at once.
    """

    def __init__(self) -> None:
        self._encoder = OpusEncoder(rate_hz=PLAYOUT_RATE_HZ, coding=_CODING)
        self._held: Samples = np.zeros(0, np.int16)  # less than 20 ms
        self._end = self._held  # the last that was fed

    @property
    def is_between_frames(self) -> bool:
        """Whether all that was fed has been given."""
        return not len(self._held)

    def feed(self, samples: Samples) -> Clip:
        """Take ``(n,)`` int16 mono at 24 kHz; return what is complete by now, which may be nothing."""
        joined = np.concatenate((self._held, samples)) if len(self._held) else samples
        n = len(joined) // PLAYOUT_FRAME * PLAYOUT_FRAME
        self._held = joined[n:]
        self._end = joined[-_LATE:] if len(samples) else self._end
        return Clip(joined[:n], tuple(self._encoder.encode(each) for each in _frames(joined[:n])))

    def flush(self) -> Clip:
        """Return what is left, with so much silence behind it that nothing is missing from the packets."""
        n = -len(self._held) % PLAYOUT_FRAME
        if n < _LATE and np.any(np.abs(self._end.astype(np.int32)) > _SILENT):
            n += PLAYOUT_FRAME
        return self.feed(np.zeros(n, np.int16))


class ClipDecoder:
    """One stream of a provider's Opus packets to clips, fed in order; of any rate, mono or stereo.

    Packets of 20 ms pass as they are. Others are decoded only: RTP goes on in steps of 20 ms.
    """

    def __init__(self) -> None:
        self._decoder = OpusDecoder(rate_hz=PLAYOUT_RATE_HZ)

    def feed(self, *packets: bytes) -> Clip:
        """Return the packets' sound. Raises ``ClientError`` (``invalid_audio``) for what is not Opus."""
        samples = [self._decoder.decode(packet) for packet in packets]
        if any(len(each) != PLAYOUT_FRAME for each in samples):
            packets = ()
        return Clip(np.concatenate([np.zeros(0, np.int16), *samples]), packets)


def encode(samples: Samples) -> Clip:
    """Return ``(n,)`` int16 mono at 24 kHz as a clip, with silence behind it up to whole packets."""
    encoder = ClipEncoder()
    parts = (encoder.feed(samples), encoder.flush())
    return Clip(np.concatenate([part.samples for part in parts]), parts[0].packets + parts[1].packets)


def from_opus(packets: Iterable[bytes]) -> Clip:
    """Return a stream of Opus packets as a clip; see ``ClipDecoder``."""
    return ClipDecoder().feed(*packets)


def _frames(samples: Samples) -> Samples:
    return samples.reshape(-1, PLAYOUT_FRAME)
