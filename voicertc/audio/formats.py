"""What the sound of a WebSocket client looks like, and the way from there into the house and back.

    bytes ── AudioDecoder ──> 16 kHz, for hearing        24 kHz, from a voice ── AudioEncoder ──> bytes

``pcm16`` is 16 bits, little-endian, at 24 kHz: 48,000 bytes a second. ``pcmu`` and ``pcma`` are G.711's two
laws at 8 kHz: 8,000 bytes a second.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from .g711 import A_LAW, MU_LAW, Law
from .g711 import RATE_HZ as TELEPHONE_RATE_HZ
from .pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from .resample import Resampler

WireFormat = Literal["pcm16", "pcmu", "pcma"]
"""How the audio of a WebSocket is coded; always mono."""

_BLOCK = PLAYOUT_RATE_HZ
"""Samples that are resampled at once: minutes in one message would need many times their size."""
_LAWS: dict[WireFormat, Law] = {"pcmu": MU_LAW, "pcma": A_LAW}


class AudioDecoder:
    """What a client sends, made into what is heard; one for each client, as long as its format stays.

    It is late by a millisecond or three (see ``Resampler``), and 20 ms in are always 320 samples out.
    """

    def __init__(self, format: WireFormat) -> None:
        self._law = _LAWS.get(format)
        rate_hz = PLAYOUT_RATE_HZ if self._law is None else TELEPHONE_RATE_HZ
        self._resampler = Resampler(rate_hz, HEARING_RATE_HZ, is_live=True)

    def decode(self, coded: bytes) -> Samples:
        """Return ``(n,)`` int16 mono at 16 kHz; raises ``ValueError`` for half a sample."""
        if self._law is not None:
            samples = self._law.decode(coded)
        elif len(coded) % 2:
            raise ValueError(f"16-bit audio has two bytes a sample: {len(coded)} bytes are not whole samples")
        else:
            samples = np.frombuffer(coded, "<i2").astype(np.int16, copy=False)
        starts = range(0, max(1, len(samples)), _BLOCK)
        blocks = [self._resampler.feed(samples[start : start + _BLOCK]) for start in starts]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


class AudioEncoder:
    """What is spoken, made into what a client is sent; one for each client, one ``flush`` for each reply."""

    def __init__(self, format: WireFormat) -> None:
        self._law = _LAWS.get(format)
        rate_hz = PLAYOUT_RATE_HZ if self._law is None else TELEPHONE_RATE_HZ
        self._resampler = Resampler(PLAYOUT_RATE_HZ, rate_hz)

    def encode(self, samples: Samples) -> bytes:
        """Take ``(n,)`` int16 mono at 24 kHz; return what can be sent of it by now."""
        return self._code(self._resampler.feed(samples))

    def flush(self) -> bytes:
        """End a reply: return its last 3 ms, if any; all in all it is as long as what was fed."""
        return self._code(self._resampler.flush())

    def _code(self, samples: Samples) -> bytes:
        return samples.astype("<i2").tobytes() if self._law is None else self._law.encode(samples)
