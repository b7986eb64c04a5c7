"""What leaves past aiortc's sender, and what the client reports of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiortc import RTCRtpSender, RTCRtpTransceiver

from .. import rtp
from ..counters import ReceiverReport
from ..pacing import RTP_HZ
from .names import MISSING

if not MISSING:
    from aiortc.clock import current_ntp_time
    from aiortc.rtcdtlstransport import RTCDtlsTransport, State

if TYPE_CHECKING:
    from aiortc.rtp import AnyRtcpPacket


class RtpOutput:
    """Sends Opus packets past aiortc's sender, which keeps its SSRC, reports and goodbye.

    The sender's own track must give it nothing. Made after both descriptions are set; ``send`` does nothing
    while there is no connection.
    """

    def __init__(self, transceiver: RTCRtpTransceiver) -> None:
        self._sender = transceiver.sender
        self._transport: RTCDtlsTransport = transceiver.sender.transport
        payload_type = transceiver._codecs[0].payloadType
        assert payload_type is not None, "negotiated codecs have a payload type"
        self._payload_type = payload_type
        self._sequence_number = random.randrange(0x8000)
        self._offset = random.randrange(0x8000_0000)
        self.n_packets = 0
        self.n_bytes = 0
        """As they went, with SRTP."""
        self._n_payload_bytes = 0

    def send(self, payload: bytes, rtp_time: int, is_first: bool = False) -> None:
        """Protect a packet and hand it to the socket, at once; ``rtp_time`` may count from anywhere."""
        transport = self._transport
        pair = transport.transport._connection._nominated.get(1)
        if transport._state is not State.CONNECTED or pair is None:
            return
        timestamp = rtp_time + self._offset & 0xFFFF_FFFF
        header = rtp.header(
            self._payload_type, self._sequence_number, timestamp, self._sender._ssrc, marker=is_first
        )
        data = transport._tx_srtp.protect(header + payload)
        pair.protocol.transport.sendto(data, pair.remote_addr)
        self._sequence_number = self._sequence_number + 1 & 0xFFFF
        self.n_packets += 1
        self.n_bytes += len(data)
        self._n_payload_bytes += len(payload)
        if self.n_packets % 25 == 1:
            self._tell_sender(timestamp)

    def _tell_sender(self, timestamp: int) -> None:
        """Give the sender what its next report says (RFC 3550 §6.4.1): round trips are told by it."""
        reported = {
            "ntp_timestamp": current_ntp_time(),
            "rtp_timestamp": timestamp,
            "packet_count": self.n_packets,
            "octet_count": self._n_payload_bytes,
        }
        for name, value in reported.items():
            setattr(self._sender, f"_RTCRtpSender__{name}", value)


def round_trip(sender: RTCRtpSender) -> float | None:
    """Return the smoothed round trip in seconds from receiver reports (RFC 3550 §6.4.1), if any came.

    aiortc computes it with wall time: a step of the clock may make it any number, so judge it.
    """
    rtt: float | None = sender._RTCRtpSender__rtt  # type: ignore[attr-defined]  # private
    return rtt


def watch_reports(sender: RTCRtpSender, on_report: Callable[[ReceiverReport], None]) -> None:
    """Have every receiver report about a sender's stream told, after the sender has taken it."""
    handle = sender._handle_rtcp_packet

    async def handle_rtcp_packet(packet: AnyRtcpPacket) -> None:
        if hasattr(packet, "lost"):
            return  # asks for packets again, which our sender does not keep: looking for each takes its time
        await handle(packet)
        for report in getattr(packet, "reports", ()):
            if report.ssrc == sender._ssrc:
                told = ReceiverReport(
                    report.fraction_lost / 256,
                    report.packets_lost,
                    report.jitter / RTP_HZ,
                    time.monotonic(),
                    n_expected=report.highest_sequence,
                )
                on_report(told)

    sender._handle_rtcp_packet = handle_rtcp_packet  # type: ignore[method-assign]  # this one only
