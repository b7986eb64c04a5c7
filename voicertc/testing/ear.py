"""What a caller hears, from the packets' own arrival: is there sound now, when did it begin, was it whole?

No jitter buffer stands between: a packet counts when it arrives, and is decoded at once to tell how loud it
is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..audio.opus import SILENCE, OpusDecoder
from ..errors import ClientError
from ..rtc.pacing import RTP_HZ, TICK
from .received import ReceivedPacket
from .utterance import levels_db

AUDIBLE_DB = -50.0
"""Below full scale: what counts as sound before it is known how loud the reply is."""
AUDIBLE_RANGE_DB = 30.0
"""This far below the reply's own level nothing is heard any more."""
GAP = 0.06
"""Seconds by which a packet may be late or missing without being heard: a usual jitter buffer."""
PAUSE = 0.7
"""Seconds without sound that end a reply: longer than the pauses between its sentences."""

NOTHING = -200.0
"""The level of packets that were not made from sound."""

_SILENCE_BYTES = 3
"""Packets of at most this size hold no sound: Opus in DTX, or its code for digital silence."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One packet: ``at`` it arrived, RTP ``timestamp`` (48,000 a second), ``level_db`` below full scale."""

    at: float
    timestamp: int
    level_db: float


class Ear:
    """Takes each packet as it arrives; keeps what came since ``forget``, 50 sounds a second of speech."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder()
        self._newest: int | None = None
        self._oldest = 0
        self.sounds: list[Sound] = []
        """What came since ``forget``, in order of arrival."""
        self.n_received = 0
        """Packets of the whole call."""
        self.last_audible = 0.0
        """When the last packet with sound arrived, in the loop's time; 0 before the first."""

    @property
    def n_lost(self) -> int:
        """Packets of the whole call whose numbers are missing."""
        return 0 if self._newest is None else self._newest - self._oldest + 1 - self.n_received

    def take(self, packet: ReceivedPacket) -> None:
        """Hear a packet."""
        self._count(packet.sequence_number)
        level = self._level(packet.payload)
        self.sounds.append(Sound(packet.at, packet.timestamp, level))
        if level > AUDIBLE_DB:
            self.last_audible = packet.at

    def forget(self) -> None:
        """Forget the sounds so far, keep the counts."""
        self.sounds = []

    def _level(self, payload: bytes) -> float:
        """Return how loud a packet is in dB below full scale, ``NOTHING`` if it only fills a silence."""
        if len(payload) <= _SILENCE_BYTES or payload == SILENCE:
            return NOTHING
        try:
            return float(levels_db(self._decoder.decode(payload)))
        except ClientError:
            return NOTHING  # not Opus: nothing can be heard of it

    def _count(self, sequence_number: int) -> None:
        self.n_received += 1
        if self._newest is None:
            self._newest = self._oldest = sequence_number
            return
        number = self._newest + (sequence_number - self._newest + 0x8000) % 0x10000 - 0x8000
        self._newest = max(self._newest, number)
        self._oldest = min(self._oldest, number)


def audible(sounds: Sequence[Sound]) -> list[Sound]:
    """Return those within 30 dB of the reply's own level, which is that of its louder tenth."""
    levels = [sound.level_db for sound in sounds if sound.level_db > AUDIBLE_DB]
    if not levels:
        return []
    floor = float(np.percentile(levels, 90)) - AUDIBLE_RANGE_DB
    return [sound for sound in sounds if sound.level_db > floor]


def sound_end(sounds: Sequence[Sound], since: float) -> float:
    """Return when the sound that goes on at ``since`` ended: the last of ``sounds`` before a pause."""
    end = since
    for sound in sounds:
        if sound.at - end > PAUSE:
            break
        end = max(end, sound.at)
    return end


def gaps(sounds: Sequence[Sound], heard: Sequence[Sound]) -> list[float]:
    """Return the seconds of each hole within a reply: sound that was missing or late by more than 60 ms.

    ``sounds`` is everything that arrived, ``heard`` what of it is ``audible``. A hole begins behind an
    audible packet, and ends with the next one that holds sound at all, so that a voice's own pause is none.
    """
    loud = {sound.at for sound in heard}
    filled = [sound for sound in sounds if sound.level_db > NOTHING]
    found = []
    for before, after in pairwise(filled):
        missing = (after.timestamp - before.timestamp) % 2**32 / RTP_HZ - TICK
        late = after.at - before.at - TICK
        if before.at in loud and GAP < max(missing, late) < PAUSE:
            found.append(max(missing, late))
    return found
