"""What is counted of a call's packets, one number after the other, where they come in and go out.

    ear ── += 1 ──> IncomingCounters ──┐
                                       ├── once a second: copy, since() ──> rtc/link.py
    mouth ── += 1 ─> OutgoingCounters ─┘

The owner adds to plain fields: there is nothing to call per packet but ``level.add`` for a frame of speech.
Counts are of the whole connection; ``since`` an earlier ``copy`` gives counters of the time between, in which
what is no count (jitter, coding, report) is what it was last.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Self

from ..audio.level import SpeechLevel


@dataclass(slots=True)
class _Counters:
    """Integers that only grow, a ``SpeechLevel``, and fields of other types, which are states."""

    level: SpeechLevel = field(default_factory=SpeechLevel)
    """Of the decoded speech; of what the agent says where it is encoded."""

    def copy(self) -> Self:
        """Return the counters as they are now."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return type(self)(**values | {"level": SpeechLevel(self.level.energy, self.level.n_samples)})

    def since(self, before: Self) -> Self:
        """Return what was counted after ``before``, an earlier copy."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in values.items():
            if type(value) is int:
                values[name] = value - getattr(before, name)
        return type(self)(**values | {"level": self.level.since(before.level)})


@dataclass(slots=True)
class IncomingCounters(_Counters):
    """What the client sent; the ear writes it, per packet."""

    n_packets: int = 0
    """RTP packets that came in time to be decoded, each counted once."""
    n_lost: int = 0
    """Packets that were given up, whether they came later or never: their holes were filled or skipped."""
    n_recovered: int = 0
    """Of those lost: restored from the next packet (in-band FEC, RFC 6716 §2.1.7)."""
    n_holes: int = 0
    """Runs of packets in a row that were lost and not recovered: few for many losses means bursts."""
    n_late: int = 0
    """Packets that came after their place was given up: counted in ``n_lost``, too."""
    n_duplicate: int = 0
    n_invalid: int = 0
    """What was no RTP of ours, or no Opus."""
    n_concealed: int = 0
    """Samples at 16 kHz that the decoder made up for holes (not those from FEC)."""
    n_bytes: int = 0
    """Of all RTP datagrams, as they came: without IP and UDP, with SRTP."""
    n_payload_bytes: int = 0
    """Opus in a sample of the packets that held speech (``level.add`` said so): silence would hide
    what the coder is set to."""
    n_ticks: int = 0
    """Duration of the sound in those packets, in ticks of 48 kHz (960 for 20 ms)."""
    jitter: float = 0.0
    """Seconds, smoothed (RFC 3550 appendix A.8), on arrival times of a monotonic clock."""
    toc: bytes = b""
    """First byte of the last packet of speech: the mode it is coded in (RFC 6716 §3.1)."""


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """The last block about our stream that the client sent (RFC 3550 §6.4.1)."""

    fraction_lost: float
    """0-1, since the report before."""
    n_lost: int
    """Since the stream began; below zero where packets came twice."""
    jitter: float
    """Seconds."""
    time: float
    """When it came, in monotonic seconds."""
    n_expected: int = 0
    """Packets that it should have had by then, 0 if not known. Only differences count: the extended highest
    sequence number will do."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How the mouth encodes at present."""

    bit_rate: int
    """Bit/s of Opus while there is speech."""
    lookahead: float
    """Seconds by which the encoder delays: 0.0065 for VOIP, 0.0025 for CELT low-delay."""
    has_fec: bool
    """Whether each packet holds the frame before once more."""


@dataclass(slots=True)
class OutgoingCounters(_Counters):
    """What the client is sent; the mouth writes it, and who takes its receiver reports."""

    n_packets: int = 0
    """RTP packets sent, silence too."""
    n_bytes: int = 0
    """Of those, as they went: without IP and UDP, with SRTP."""
    n_skipped: int = 0
    """Ticks left out because the event loop was late: each is 20 ms missing in what the agent says."""
    coding: Coding | None = None
    """``None`` until something was encoded."""
    report: ReceiverReport | None = None
    """``None`` until one came."""
