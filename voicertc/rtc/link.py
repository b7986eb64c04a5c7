"""How a call's packets fare, measured once a second while somebody wants to know.

client ── RTP ──▶ us: counted here        (packets, losses, jitter: RFC 3550 §6.4.1, appendix A.8)
       ◀── RTP ── us: as the client tells in its receiver reports, every few seconds
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiortc import RTCPeerConnection
from aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCOutboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCStatsReport,
    RTCTransportStats,
)

_INTERVAL = 1.0
"""Seconds between two looks."""
_CLOCK_PER_MS = 48
"""Opus's RTP clock (RFC 7587 §4.1), in which jitter is told."""
_FRACTION = 256
"""What a receiver report's ``fraction lost`` is counted in."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction during the last second."""

    packets: int
    """RTP packets that arrived, or were sent."""
    loss: float | None
    """Part of the packets that was lost, 0–1; ``None`` if there were none, or nobody has told yet."""
    jitter_ms: float | None
    """How unevenly they arrive, smoothed; ``None`` as above."""
    kbps: float
    """Thousands of bits a second, of everything: sound, control and the data channel, without IP and UDP."""


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """Both directions, and the way there and back."""

    incoming: Flow
    outgoing: Flow
    round_trip_ms: float | None
    """Smoothed; ``None`` until a receiver report came."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What has been counted at ``time`` (monotonic seconds), all since the connection began."""

    time: float
    packets_received: int = 0
    packets_lost: int = 0
    jitter: int | None = None
    packets_sent: int = 0
    reported_fraction: int | None = None
    reported_jitter: int | None = None
    bytes_received: int = 0
    bytes_sent: int = 0

    @classmethod
    def read(cls, report: RTCStatsReport, time: float) -> Counters:
        """Take from aiortc's statistics of a peer connection what is looked at here."""
        counted: dict[str, int] = {}
        for stats in report.values():
            match stats:
                case RTCInboundRtpStreamStats():
                    counted["packets_received"] = stats.packetsReceived
                    counted["packets_lost"] = stats.packetsLost
                    counted["jitter"] = stats.jitter
                case RTCOutboundRtpStreamStats():
                    counted["packets_sent"] = stats.packetsSent
                case RTCRemoteInboundRtpStreamStats():
                    counted["reported_fraction"] = int(stats.fractionLost)  # aiortc passes the report's byte
                    counted["reported_jitter"] = stats.jitter
                case RTCTransportStats():
                    counted["bytes_received"] = stats.bytesReceived
                    counted["bytes_sent"] = stats.bytesSent
        return cls(time, **counted)

    def since(self, before: Counters, round_trip: float | None) -> LinkQuality:
        """Return what happened since ``before``; ``round_trip`` in seconds."""
        seconds = self.time - before.time
        received = self.packets_received - before.packets_received
        # Below zero where packets came late that had been given up for lost.
        lost = max(0, self.packets_lost - before.packets_lost)
        is_told = self.reported_fraction is not None
        incoming = Flow(
            received,
            lost / (received + lost) if received + lost else None,
            _in_ms(self.jitter) if received else None,
            _kbps(self.bytes_received - before.bytes_received, seconds),
        )
        outgoing = Flow(
            self.packets_sent - before.packets_sent,
            (self.reported_fraction or 0) / _FRACTION if is_told else None,
            _in_ms(self.reported_jitter),
            _kbps(self.bytes_sent - before.bytes_sent, seconds),
        )
        return LinkQuality(incoming, outgoing, None if round_trip is None else round(1000 * round_trip, 1))


async def watch_link(
    pc: RTCPeerConnection, round_trip: Callable[[], float | None], tell: Callable[[LinkQuality], None]
) -> None:
    """Tell the link's quality once a second until it is closed. ``round_trip`` gives seconds, if any."""
    loop = asyncio.get_running_loop()
    before: Counters | None = None
    while pc.connectionState != "closed":
        if pc.connectionState == "connected":
            counters = Counters.read(await pc.getStats(), loop.time())
            if before is not None:
                tell(counters.since(before, round_trip()))
            before = counters
        await asyncio.sleep(_INTERVAL)


def _in_ms(jitter: int | None) -> float | None:
    return None if jitter is None else round(jitter / _CLOCK_PER_MS, 1)


def _kbps(n_bytes: int, seconds: float) -> float:
    return round(8 * n_bytes / 1000 / seconds, 1)
