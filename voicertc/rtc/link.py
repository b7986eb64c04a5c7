"""How a call's packets fare, measured once a second.

client ── RTP ──▶ us: counted here, packet by packet
       ◀── RTP ── us: as the client tells in its receiver reports, every few seconds (RFC 3550 §6.4.1)

What is counted comes from our own ear and mouth (``rtc/counters.py``), or from aiortc's statistics where its
own do the work: those know less.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiortc import RTCPeerConnection
from aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCOutboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCStatsReport,
    RTCTransportStats,
)

from ..audio.emodel import burst_ratio, mean_opinion, opus_impairment, rating
from ..audio.playout import EAR_DELAY
from .counters import Coding, IncomingCounters, OutgoingCounters, ReceiverReport

_INTERVAL = 1.0
"""Seconds between two looks."""
_N_RATED = 8
"""Intervals that the opinion is about: those behind the model are of samples of 8 s (ITU-T P.800)."""
_CLOCK_HZ = 48_000
"""Opus's RTP clock (RFC 7587 §4.1)."""
_ENOUGH_SPEECH = _CLOCK_HZ // 5
"""Ticks of speech that show what bit rate a client encodes with."""
_FRACTION = 256
"""What a receiver report's ``fraction lost`` is counted in."""

_USUAL_CODING = Coding(bit_rate=32_000, lookahead=0.0065, has_fec=False)
"""What browsers and we use for speech, where nothing else is known."""
_RESTORED = 0.3
"""How much a packet restored from FEC hurts, which is a coarse copy, as a part of what a concealed one does:
0.2 to 0.45 by PESQ-WB of ten recorded voices, at 2 to 10 % of loss."""
_PACKET = 0.02
"""Seconds of sound that must be there before a packet of it can go."""
_JITTERS = 2
"""Players hold sound for this many times the jitter above their least."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction during the last second."""

    packets: int
    """RTP packets that arrived in time, or were sent."""
    loss: float | None
    """Part of the packets that was lost, 0–1; ``None`` if there were none, or nobody has told yet."""
    jitter_ms: float | None
    """How unevenly they arrive, smoothed; ``None`` as above."""
    concealed_ms: float | None
    """Sound that was made up for lost packets. ``None`` where it is not known: of what we send, receiver
    reports tell what was lost, but not what the client restored from FEC, and what it made up."""
    kbps: float
    """Thousands of bits a second, without IP and UDP: of RTP; by aiortc's statistics of everything, RTCP and
    the data channel too."""
    level_dbov: float | None
    """Mean level of speech; ``None`` if nothing was said, or aiortc does the work."""
    mos: float | None
    """What people would think of the last 8 seconds, 1.0-4.5 (``audio/emodel.py``); ``None`` while nothing is
    known of losses."""


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """Both directions, and the way there and back."""

    incoming: Flow
    outgoing: Flow
    round_trip_ms: float | None
    """Smoothed; ``None`` until a receiver report came that names a sender report of ours (RFC 3550 §6.4.1):
    a client's first may have left before it."""


class LinkSource(Protocol):
    """What counts a call's packets at our end: a ``media_path.MediaPath``."""

    @property
    def incoming(self) -> IncomingCounters | None:
        """What came so far; ``None`` where only aiortc knows."""

    @property
    def outgoing(self) -> OutgoingCounters | None:
        """What was sent so far; ``None`` where only aiortc knows."""

    @property
    def hearing_delay(self) -> float:
        """How old, in seconds, the newest sound is that is heard."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What had been counted at ``time`` (monotonic seconds), all since the connection began."""

    time: float
    incoming: IncomingCounters
    outgoing: OutgoingCounters


class LinkMeter:
    """Turns counters, looked at once a second, into quality. Pure; one for each connection.

    ``knows_sound``: whether an ear of ours counted, not aiortc. ``hearing_delay``: as in ``LinkSource``.
    """

    def __init__(self, *, knows_sound: bool = True, hearing_delay: float = _PACKET) -> None:
        self.knows_sound = knows_sound
        self._hearing_delay = hearing_delay
        self._looks: deque[_Look] = deque(maxlen=_N_RATED)
        self._bit_rate: float = _USUAL_CODING.bit_rate

    def look(
        self, time: float, incoming: IncomingCounters, outgoing: OutgoingCounters, round_trip: float | None
    ) -> LinkQuality | None:
        """Return what happened since the last look; ``None`` at the first. Times in seconds."""
        now = _Look(time, incoming.copy(), outgoing.copy())
        looks = self._looks
        quality = None
        if looks:
            seconds = time - looks[-1].time
            quality = LinkQuality(
                self._incoming(now.incoming, seconds, round_trip),
                self._outgoing(now.outgoing, seconds, round_trip),
                None if round_trip is None else round(1000 * round_trip, 1),
            )
        looks.append(now)
        return quality

    def _incoming(self, total: IncomingCounters, seconds: float, round_trip: float | None) -> Flow:
        last = total.since(self._looks[-1].incoming)
        return Flow(
            last.n_packets,
            _loss(last.n_lost, last.n_packets),
            _ms(total.jitter) if last.n_packets else None,
            round(last.n_concealed / 16, 1) if self.knows_sound else None,
            _kbps(last.n_bytes, seconds),
            _level(last),
            self._opinion_of_incoming(total.since(self._looks[0].incoming), round_trip),
        )

    def _opinion_of_incoming(self, rated: IncomingCounters, round_trip: float | None) -> float | None:
        if not rated.n_packets:
            return None
        n_lost = max(0, rated.n_lost - rated.n_recovered)
        n_expected = n_lost + rated.n_recovered + rated.n_packets
        loss = n_lost / n_expected
        if rated.n_ticks >= _ENOUGH_SPEECH:
            self._bit_rate = 8 * rated.n_payload_bytes * _CLOCK_HZ / rated.n_ticks
        delay = _USUAL_CODING.lookahead + max(self._hearing_delay, _PACKET)
        return _opinion(
            equipment=opus_impairment(self._bit_rate, rated.toc),
            loss=loss + _RESTORED * rated.n_recovered / n_expected,
            bursts=burst_ratio(n_lost, rated.n_holes, loss),
            delay=delay + (round_trip or 0.0) / 2,
        )

    def _outgoing(self, total: OutgoingCounters, seconds: float, round_trip: float | None) -> Flow:
        last = total.since(self._looks[-1].outgoing)
        report = total.report
        return Flow(
            last.n_packets,
            round(report.fraction_lost, 4) if report else None,
            _ms(report.jitter) if report else None,
            None,
            _kbps(last.n_bytes, seconds),
            _level(last),
            self._opinion_of_outgoing(total, report, round_trip) if report else None,
        )

    def _opinion_of_outgoing(
        self, total: OutgoingCounters, report: ReceiverReport, round_trip: float | None
    ) -> float:
        coding = total.coding or _USUAL_CODING
        reports = (look.outgoing.report for look in self._looks)
        loss = _reported_loss(report, next(filter(None, reports), None))
        if coding.has_fec:
            # A packet is restored if the one behind it came. No report says whether losses come in runs, so
            # they are taken to be independent, as in the E-model where no burst ratio is given.
            loss = loss**2 + _RESTORED * (loss - loss**2)
        rated = total.since(self._looks[0].outgoing)
        if rated.n_skipped:
            loss = 1 - (1 - loss) * rated.n_packets / (rated.n_packets + rated.n_skipped)
        delay = _PACKET + coding.lookahead + EAR_DELAY + _JITTERS * report.jitter
        return _opinion(
            equipment=opus_impairment(coding.bit_rate), loss=loss, delay=delay + (round_trip or 0.0) / 2
        )


async def watch_link(
    pc: RTCPeerConnection,
    round_trip: Callable[[], float | None],
    tell: Callable[[LinkQuality], None],
    source: LinkSource,
) -> None:
    """Tell the link's quality once a second until it is closed. ``round_trip`` gives seconds, if any."""
    now = asyncio.get_running_loop().time
    meter: LinkMeter | None = None
    while pc.connectionState != "closed":
        if pc.connectionState == "connected":
            incoming, outgoing = source.incoming, source.outgoing
            knows_sound = incoming is not None
            if incoming is None or outgoing is None:
                by_aiortc = counted_by_aiortc(await pc.getStats(), now())
                incoming, outgoing = incoming or by_aiortc[0], outgoing or by_aiortc[1]
            if meter is None or meter.knows_sound != knows_sound:  # an ear begins once there is sound
                meter = LinkMeter(knows_sound=knows_sound, hearing_delay=source.hearing_delay)
            quality = meter.look(now(), incoming, outgoing, round_trip())
            if quality is not None:
                tell(quality)
        await asyncio.sleep(_INTERVAL)


def counted_by_aiortc(report: RTCStatsReport, time: float) -> tuple[IncomingCounters, OutgoingCounters]:
    """Take from aiortc's statistics of a peer connection, read at ``time``, what there is."""
    incoming, outgoing = IncomingCounters(), OutgoingCounters()
    for stats in report.values():
        match stats:
            case RTCInboundRtpStreamStats():
                incoming.n_packets, incoming.n_lost = stats.packetsReceived, stats.packetsLost
                incoming.jitter = stats.jitter / _CLOCK_HZ
            case RTCOutboundRtpStreamStats():
                outgoing.n_packets = stats.packetsSent
            case RTCRemoteInboundRtpStreamStats():
                outgoing.report = ReceiverReport(
                    stats.fractionLost / _FRACTION,  # aiortc passes the report's byte
                    stats.packetsLost,
                    stats.jitter / _CLOCK_HZ,
                    time,
                    n_expected=stats.packetsReceived + stats.packetsLost,
                )
            case RTCTransportStats():
                incoming.n_bytes, outgoing.n_bytes = stats.bytesReceived, stats.bytesSent
    return incoming, outgoing


def _opinion(*, equipment: float, loss: float, delay: float, bursts: float = 1.0) -> float:
    r = rating(equipment=equipment, loss=loss, burst_ratio=bursts, delay=delay)
    return round(mean_opinion(r), 2)


def _reported_loss(report: ReceiverReport, before: ReceiverReport | None) -> float:
    """Return the part lost between two reports, or since the one before where there is but one."""
    if before is None or report.n_expected <= before.n_expected:
        return report.fraction_lost
    return max(0.0, (report.n_lost - before.n_lost) / (report.n_expected - before.n_expected))


def _loss(n_lost: int, n_packets: int) -> float | None:
    # Below zero by aiortc's count, where packets came late that had been given up for lost.
    n_lost = max(0, n_lost)
    return round(n_lost / (n_lost + n_packets), 4) if n_lost + n_packets else None


def _level(counted: IncomingCounters | OutgoingCounters) -> float | None:
    level = counted.level.dbov
    return None if level is None else round(level, 1)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _kbps(n_bytes: int, seconds: float) -> float:
    return round(8 * n_bytes / 1000 / seconds, 1)
