"""Opus, as WebRTC speaks it: frames of 20 ms to packets and back.

Out: 24 kHz mono to super-wideband packets (sound up to 12 kHz), coded for the link as it is (``Coding``).
In: whatever a client sends to mono at the rate that is wanted, with what was lost restored or concealed.

Measured for 20 ms of human speech, µs of one core with libopus 1.6.1, and as PESQ-WB (1 to 4.6) hears it at
16 kHz without loss and when every tenth packet is lost:

    coding                         complexity   encode   decode   conceal   recover   PESQ   10 % lost
    CLEAN 48 kbit/s                     5          29       16         8       -      4.13      2.22
    LOSSY 40 kbit/s, FEC for 10 %       1          61       19        15      13      4.11      3.43
    LOSSY 32 kbit/s, FEC for 10 %       2         108       18        15      13      4.02      3.39
    through PyAV: LOSSY 32 kbit/s       2         119       39        16       -

Silence that is encoded takes 17 µs (CLEAN) or 41, ``duration`` 0.06, ``has_fec`` 0.3, ``apply`` 4, a new
encoder 32, a new decoder 50. Libopus's low-delay application is not used: it costs what CELT costs here, is
as good and would save 4 ms of the 6.5 that the encoder looks ahead, but cannot change to SILK.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..errors import ProviderUnavailable
from . import libopus
from .opus_coding import (
    CLEAN_SILENCE,
    SILENCE,
    Coding,
    CodingMode,
    duration,
    has_fec,
    invalid_audio,
    is_dtx,
    silence_packet,
)
from .opus_pyav import PyavCodec
from .pcm import FRAME_MS, HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples

__all__ = [
    "CLEAN_SILENCE",
    "SILENCE",
    "Codec",
    "Coding",
    "CodingMode",
    "OpusDecoder",
    "OpusEncoder",
    "choose",
    "duration",
    "has_fec",
    "implementation",
    "is_dtx",
    "silence_packet",
]


class CodecEncoder(Protocol):
    """What a codec's encoder does for ``OpusEncoder``, which checks what it is given."""

    coding: Coding
    """How it codes, which may not be what it was asked for."""

    def apply(self, coding: Coding) -> None:
        """Code like this from the next frame on, if it can."""

    def encode(self, samples: Samples) -> bytes:
        """Turn 20 ms into one packet."""

    def reset(self) -> None:
        """Forget the sound so far, keep the coding."""


class CodecDecoder(Protocol):
    """What a codec's decoder does for ``OpusDecoder``, which checks what it is given."""

    def decode(self, packet: bytes) -> Samples:
        """Turn a packet into sound, or raise ``invalid_audio``."""

    def recover(self, packet: bytes, n_samples: int) -> Samples:
        """Make the sound before a packet, or raise ``invalid_audio``."""

    def conceal(self, n_samples: int) -> Samples:
        """Make sound of nothing but what was heard."""

    def reset(self) -> None:
        """Forget the sound so far."""


class Codec(Protocol):
    """A way to libopus."""

    @property
    def name(self) -> str:
        """Which one it is, for people."""

    def new_encoder(self, rate_hz: int, coding: Coding) -> CodecEncoder:
        """Return an encoder of mono sound."""

    def new_decoder(self, rate_hz: int) -> CodecDecoder:
        """Return a decoder to mono."""


def choose() -> Codec:
    """Return libopus itself if it can be loaded, else PyAV's codec: the one place where that is decided."""
    try:
        return libopus.load()
    except ProviderUnavailable as error:
        return PyavCodec(error.message)


_CODEC = choose()
_CLEAN = Coding()

implementation = _CODEC.name
"""Which libopus codes, for people: ``libopus 1.6.1 (PyAV)``."""


class OpusEncoder:
    """One stream of speech to packets of 20 ms; one for each call, used by its speaker alone.

    A frame in is a packet out, heard 6.5 ms late (the encoder's lookahead: 312 samples of pre-skip at 48
    kHz). It is one encoder in all modes: at a change libopus codes the seam twice, and nothing clicks.

    ``rate_hz`` is one of 8, 12, 16, 24 or 48 kHz. Raises ``ProviderUnavailable`` if there is no libopus.
    """

    def __init__(
        self, *, rate_hz: int = PLAYOUT_RATE_HZ, coding: Coding = _CLEAN, codec: Codec = _CODEC
    ) -> None:
        self._n_samples = rate_hz * FRAME_MS // 1000
        self._encoder = codec.new_encoder(rate_hz, coding)
        self._asked = coding

    @property
    def coding(self) -> Coding:
        """How it codes: what was applied last, except where PyAV's codec has no choice."""
        return self._encoder.coding

    def apply(self, coding: Coding) -> None:
        """Code like this from the next frame on; free if it does so already."""
        if coding != self._asked:
            self._asked = coding
            self._encoder.apply(coding)

    def encode(self, samples: Samples) -> bytes:
        """Turn exactly 20 ms, ``(480,)`` int16 mono at 24 kHz, into one packet."""
        assert len(samples) == self._n_samples, f"a frame has {self._n_samples} samples, not {len(samples)}"
        assert samples.dtype == np.int16, f"a frame's samples are int16, not {samples.dtype}"
        return self._encoder.encode(samples)

    def reset(self) -> None:
        """Forget the sound so far and keep the coding: what comes next has nothing to do with it."""
        self._encoder.reset()


class OpusDecoder:
    """One stream of Opus packets to sound; one for each sender, fed in order.

    The output is mono at ``rate_hz`` (8, 12, 16, 24 or 48 kHz) whatever the packets carry, and as long as
    they are: 320 samples for 20 ms at 16 kHz. Who misses a packet fills its place with ``recover``, if the
    next one is there already, else with ``conceal``, before the next one is decoded.

    Raises ``ProviderUnavailable`` like the encoder.
    """

    def __init__(self, *, rate_hz: int = HEARING_RATE_HZ, codec: Codec = _CODEC) -> None:
        self._step = rate_hz // 400
        self._decoder = codec.new_decoder(rate_hz)

    def decode(self, packet: bytes) -> Samples:
        """Turn one packet into ``(n,)`` int16 mono.

        Raises ``ClientError`` (``invalid_audio``) for what is not Opus, or longer than the 120 ms that Opus
        allows; the next packet may be fine again.
        """
        # To libopus no bytes mean a loss, to FFmpeg the end of the stream.
        if not packet:
            raise invalid_audio("an Opus packet has at least one byte")
        return self._decoder.decode(packet)

    def recover(self, packet: bytes, n_samples: int) -> Samples:
        """Return the ``n_samples`` just before ``packet``, from its FEC; what that lacks is concealed.

        The packet itself is decoded next. ``n_samples`` is a multiple of 2.5 ms. Raises like ``decode``.
        """
        assert n_samples % self._step == 0, f"{n_samples} samples are not a multiple of 2.5 ms"
        if not packet:
            raise invalid_audio("an Opus packet has at least one byte")
        return self._decoder.recover(packet, n_samples) if n_samples else np.empty(0, np.int16)

    def conceal(self, n_samples: int) -> Samples:
        """Return ``n_samples``, a multiple of 2.5 ms, for packets that are lost: the last sound, fading."""
        assert n_samples % self._step == 0, f"{n_samples} samples are not a multiple of 2.5 ms"
        return self._decoder.conceal(n_samples)

    def reset(self) -> None:
        """Forget the sound so far: what comes next has nothing to do with it."""
        self._decoder.reset()
