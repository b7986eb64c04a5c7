"""What a call sends, 20 ms at a time: what playout has to say and what is mixed with it, as Opus packets.

    playout ── 480 samples ──> mixer ──> encoder ──> packet
           └── ready packet (a clip), if nothing is mixed ──^

A packet that was made beforehand passes as it is. It was coded without knowledge of what the encoder did, and
the encoder knows nothing of it: so the encoder is shown the last of a clip's sound before it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..audio.opus import CLEAN_SILENCE, SILENCE, Coding, CodingMode, OpusEncoder, silence_packet
from ..audio.pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ, Samples
from ..audio.playout import PlayoutBuffer
from .counters import OutgoingCounters

_ZEROS: Samples = np.zeros(PLAYOUT_FRAME, np.int16)
_MEASURED = 4
"""Every so many-th packet's level is measured: a second has enough of them."""


class Mixing(Protocol):
    """What is mixed into a call's sound: see ``audio.mixer``."""

    on_needed: Callable[[], None] | None
    """Called when ``is_needed`` becomes true."""

    @property
    def is_needed(self) -> bool:
        """Whether there is, or soon will be, something to be heard besides replies."""

    def mix(self, reply: Samples | None) -> Samples | None:
        """Take 20 ms of a reply, if there is one; return what is to be heard, if anything."""


class Voice:
    """Owned by a peer; whoever sends asks for a packet every 20 ms."""

    def __init__(self, playout: PlayoutBuffer, coding: Coding, mixing: Mixing | None = None) -> None:
        self.counters = OutgoingCounters()
        """What was sent, for statistics; whoever sends counts the packets."""
        self._playout = playout
        self._mixing = mixing
        self._coding = coding
        self._encoder: OpusEncoder | None = None
        self._n_encoded = 0
        self._passed: Samples | None = None  # the sound of the last packet that passed unencoded
        self._is_resting = True  # what is sent goes past the encoder, which has been silent

    @property
    def coding(self) -> Coding:
        """How sound is coded from the next packet on."""
        return self._coding

    @coding.setter
    def coding(self, coding: Coding) -> None:
        self._coding = coding
        if self._encoder:
            self._encoder.apply(coding)

    @property
    def is_awaited(self) -> bool:
        """Whether to ask again in 20 ms although there is nothing now."""
        return self._mixing is not None and self._mixing.is_needed

    def next(self, now: float) -> bytes | None:
        """Return the next 20 ms, ``None`` if there is nothing to be heard. ``now``: monotonic seconds."""
        pulled = self._playout.pull(now)
        reply = pulled.samples if pulled else None
        sound = self._mixing.mix(reply) if self._mixing else reply
        if sound is None:
            return None
        packet = pulled.packet if pulled else None
        if packet is not None and sound is reply and self._coding.mode is CodingMode.CLEAN:
            self._is_resting, self._passed = False, sound
            return packet
        return self._encode(sound)

    def hush(self) -> bytes:
        """Return 20 ms of silence."""
        if not self._is_resting:
            # With what the encoder still held of the sound before; and it comes to rest as the far end does.
            return self._encode(_ZEROS)
        return SILENCE if self._coding.mode is CodingMode.LOSSY else CLEAN_SILENCE

    def rest(self) -> bytes:
        """Return what lets a silence go on that the far end has heard, in one byte."""
        self._is_resting = True
        return silence_packet(self._coding.mode)

    def _encode(self, sound: Samples) -> bytes:
        encoder = self._encoder
        if encoder is None:
            encoder = self._encoder = OpusEncoder(rate_hz=PLAYOUT_RATE_HZ, coding=self._coding)
        if self._is_resting and self._coding.mode is CodingMode.LOSSY:
            encoder.reset()  # the far SILK decoder has lost count of gains in the rest; CELT's counts nothing
        if self._passed is not None:
            encoder.encode(self._passed)
        self._is_resting, self._passed = False, None
        self._n_encoded += 1
        if not self._n_encoded % _MEASURED:
            self.counters.level.add(sound)
        return encoder.encode(sound)
