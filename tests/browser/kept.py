"""What is left of a call with a browser: what left us, what was heard at both ends, what was counted.

Marks divide a call into scenes. What the browser should have played of one is known exactly: a decoder makes
the same of the same packets. Where its sound differs, its jitter buffer had to help itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from voicertc.audio.opus import OpusDecoder, is_dtx
from voicertc.audio.pcm import HEARING_FRAME, PcmFrame, Samples
from voicertc.audio.timeline import TIMELINE_HZ
from voicertc.rtc.counters import IncomingCounters

from .comparison import Trace, trace

_BEFORE, _BEHIND = TIMELINE_HZ // 5, TIMELINE_HZ * 3 // 10
"""Samples that are kept around what was heard of a scene: it is played up to 0.4 s after it left."""
_TICK = TIMELINE_HZ // 50
_SPACING = 0.025
"""Seconds between packets of speech, above which one is late."""


FIRST_CELT = 0x80
"""First byte from which a packet is CELT's."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet that left ``at`` a monotonic time; its RTP time counts from anywhere, and does not wrap."""

    payload: bytes
    rtp_time: int
    is_first: bool
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What was said between two marks, and what became of it in the browser, at 48 kHz."""

    sent: list[Sent]
    said: Samples
    """What a decoder makes of the packets: what should have been heard."""
    heard: Samples
    counted: dict[str, float]
    """By how much the counters of ``inbound-rtp`` grew."""

    @property
    def trace(self) -> Trace:
        """Where what was said is in what was heard."""
        return trace(self.said, self.heard, TIMELINE_HZ)

    @property
    def concealed(self) -> float:
        """Seconds of sound that the browser made up."""
        audible = self.counted["concealedSamples"] - self.counted.get("silentConcealedSamples", 0)
        return audible / TIMELINE_HZ

    @property
    def stretched(self) -> float:
        """Seconds that the browser left out or put in between, to change the length of its buffer."""
        counted = self.counted
        n = counted["removedSamplesForAcceleration"] + counted["insertedSamplesForDeceleration"]
        return n / TIMELINE_HZ

    @property
    def late(self) -> float:
        """Seconds for which this machine stood still, so that packets of speech left late or never."""
        return _late(self.sent)

    @property
    def holes(self) -> list[float]:
        """When, in seconds, speech was interrupted because this machine stood still."""
        began = self.sent[0].rtp_time
        return [
            (before.rtp_time - began) / TIMELINE_HZ
            for before, after in _spoken(self.sent)
            if after.rtp_time - before.rtp_time > _TICK
        ]

    @property
    def changes(self) -> list[float]:
        """When, in seconds, the codec changed between SILK and CELT (RFC 6716 §3.1)."""
        began = self.sent[0].rtp_time
        return [
            (after.rtp_time - began) / TIMELINE_HZ
            for before, after in pairwise(self.sent)
            if (before.payload[0] < FIRST_CELT) is not (after.payload[0] < FIRST_CELT)
        ]


@dataclass
class Kept:
    """Filled while the call goes on, by ``MediaCall``."""

    sent: list[Sent] = field(default_factory=list)
    frames: list[PcmFrame] = field(default_factory=list)
    """What was heard here."""
    heard: Samples = field(default_factory=lambda: np.empty(0, np.int16))
    """What the page heard, at 48 kHz, from its track's beginning on."""
    counted: list[dict[str, Any]] = field(default_factory=list)
    """The browser's statistics by type, the ``mark`` that was set, and ``at``: samples ``heard`` so far."""
    n_sent: dict[str, int] = field(default_factory=dict)
    """How many packets had left at each mark, in order; the last one is ``end``."""
    incoming: IncomingCounters | None = None
    """Of all that came."""
    answer: str = ""
    """SDP."""

    @cached_property
    def said(self) -> Samples:
        """What a decoder makes of all packets: 48 kHz, from the first one's RTP time on."""
        decoder = OpusDecoder(rate_hz=TIMELINE_HZ)
        whole = np.zeros(self._place(len(self.sent) - 1) + TIMELINE_HZ, np.int16)
        for number, packet in enumerate(self.sent):
            block = decoder.decode(packet.payload)
            start = self._place(number)
            whole[start : start + len(block)] = block
        return whole

    @property
    def late(self) -> float:
        """Seconds for which this machine stood still while we spoke."""
        return _late(self.sent)

    @property
    def heard_here(self) -> Samples:
        """Frames as one stretch of 16 kHz from position 0 on; what was not heard is 0."""
        whole = np.zeros(self.frames[-1].position + HEARING_FRAME, np.int16)
        for frame in self.frames:
            whole[frame.position : frame.position + HEARING_FRAME] = frame.samples
        return whole

    def scene(self, name: str) -> Scene:
        """Return what lies between a mark and the next one."""
        marks = list(self.n_sent)
        following = marks[marks.index(name) + 1]
        first, last = self.n_sent[name], self.n_sent[following]
        before, after = self._at(name), self._at(following)
        counters = before["inbound-rtp"]
        return Scene(
            sent=self.sent[first:last],
            said=self.said[self._place(first) : self._place(last - 1) + _TICK],
            heard=self.heard[max(0, before["at"] - _BEFORE) : after["at"] + _BEHIND],
            counted={
                key: value - counters.get(key, 0)
                for key, value in after["inbound-rtp"].items()
                if isinstance(value, int | float)
            },
        )

    def _at(self, mark: str) -> dict[str, Any]:
        return next(counts for counts in self.counted if counts["mark"] == mark)

    def _place(self, number: int) -> int:
        """Return the sample at which a packet's sound begins."""
        return self.sent[number].rtp_time - self.sent[0].rtp_time


def _spoken(sent: list[Sent]) -> list[tuple[Sent, Sent]]:
    """Return packets of which the second should have left 20 ms after the first."""
    return [(a, b) for a, b in pairwise(sent) if not (is_dtx(a.payload) or b.is_first)]


def _late(sent: list[Sent]) -> float:
    gaps = [after.at - before.at for before, after in _spoken(sent)]
    return sum(gap - 0.02 for gap in gaps if gap > _SPACING)
