"""What arrives: every datagram is seen, RTP is taken past aiortc."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pylibsrtp
from aiortc import RTCPeerConnection, RTCRtpTransceiver

from ... import logs
from .. import dtls, rtp
from ..pacing import RTP_HZ
from .addresses import connections_of
from .names import MISSING

if not MISSING:
    from aioice.ice import StunProtocol
    from aiortc.rtcrtpreceiver import StreamStatistics

    class _Statistics(StreamStatistics):
        """Statistics that fit into a report: time stamps that jump to and fro for long enough make aiortc's
        jitter overflow 32 bits, its task for reports fail, and ``close`` wait for that task for ever."""

        @property
        def jitter(self) -> int:
            return min(super().jitter, 0xFFFF_FFFF)


if TYPE_CHECKING:
    from aiortc.rtcrtpparameters import RTCRtpReceiveParameters

_log = logging.getLogger(__name__)

N_SOURCES = 8
"""Synchronization sources that one client may have over the time, each with statistics of its own."""
_MAX_DATAGRAM = 1500
"""Bytes: no path carries more in one piece, and pylibsrtp has no room for it."""
_MAX_QUEUED = 256
"""Datagrams that may wait for aiortc, which takes them out at once if it is there at all."""
_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_DUPLICATE = "replay check failed"
"""How libsrtp's error begins for a packet that came before."""

Taker: TypeAlias = Callable[[bytes, float], None]
"""Takes a datagram and the monotonic time of its arrival, in seconds."""


def watch_inbound(pc: RTCPeerConnection, on_datagram: Callable[[float], None], take_rtp: Taker) -> None:
    """Have ``on_datagram`` told of everything that arrives, and RTP given to ``take_rtp``, not to aiortc.

    Call it after ``setLocalDescription``, which opens the sockets. Both are called inside the event loop's
    reader: they must be quick and must not raise.
    """
    for connection in connections_of(pc):
        for protocol in connection._protocols:
            _divert(protocol, on_datagram, take_rtp)


def _divert(protocol: StunProtocol, on_datagram: Callable[[float], None], take_rtp: Taker) -> None:
    receive = protocol.datagram_received
    queue = protocol.receiver._queue
    clock = time.monotonic
    has_failed = False

    def datagram_received(data: bytes | str, addr: tuple[object, ...]) -> None:
        nonlocal has_failed
        assert isinstance(data, bytes)
        now = clock()
        on_datagram(now)
        if not 0 < len(data) <= _MAX_DATAGRAM:
            return
        if rtp.is_rtp(data):
            take_rtp(data, now)
            return
        try:
            if data[0] < 4:
                receive(data, addr)
            elif queue.qsize() >= _MAX_QUEUED:
                return
            elif dtls.is_dtls(data):
                # aiortc takes one record out of OpenSSL for each datagram: others would pile up there.
                for record in dtls.records(data):
                    receive(record, addr)
            elif rtp.is_rtcp(data):
                receive(data, addr)
        except Exception as error:  # aioice's parser lets struct.error through, and more: a stranger's bytes
            if not has_failed:
                has_failed = True
                logs.event(_log, logging.WARNING, "datagram_refused", exc_info=error, client=addr[0])

    protocol.datagram_received = datagram_received  # type: ignore[method-assign]  # this one only


class RtpInput:
    """Takes a transceiver's RTP past aiortc's receiver, which keeps its reports (RFC 3550 §6.4) and its end.

    Made before the connection is up: no decoder thread is started then. ``callback`` is given every packet of
    the negotiated codec, with its time of arrival.
    """

    def __init__(
        self, transceiver: RTCRtpTransceiver, callback: Callable[[rtp.RtpPacket, float], None]
    ) -> None:
        self._transceiver = transceiver
        self._receiver = transceiver.receiver
        self._callback = callback
        self._streams: dict[int, StreamStatistics] = self._receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]  # private
        self._negotiated: tuple[frozenset[int], int] | None = None
        self.n_bytes = 0
        """Of all datagrams that were RTP."""
        self.n_invalid = 0
        """Datagrams that are not for us: forged, of another codec, or no RTP after all."""
        self.n_duplicate = 0
        """Datagrams that came before."""
        self._receiver.receive = self._begin  # type: ignore[method-assign]  # this one only

    def take(self, data: bytes, now: float) -> None:
        """Take an RTP datagram as it arrived."""
        srtp: pylibsrtp.Session | None = self._receiver.transport._rx_srtp
        if srtp is None:
            return  # before the keys: nothing that could be read
        self.n_bytes += len(data)
        payload_types, level_id = self._negotiated or self._look_up()
        try:
            packet = rtp.parse(srtp.unprotect(data), level_id)
        except pylibsrtp.Error as error:
            if str(error).startswith(_DUPLICATE):
                self.n_duplicate += 1
            else:
                self.n_invalid += 1
            return
        if packet is None or packet.payload_type not in payload_types:
            self.n_invalid += 1
            return
        stream = self._streams.get(packet.ssrc)
        if stream is None:
            if len(self._streams) >= N_SOURCES:
                self.n_invalid += 1
                return
            stream = self._streams[packet.ssrc] = _Statistics(RTP_HZ)
        stream.add(packet)  # type: ignore[arg-type]  # it looks at number and time stamp only
        self._callback(packet, now)

    def renegotiated(self) -> None:
        """Look up anew what was negotiated."""
        self._negotiated = None

    def _look_up(self) -> tuple[frozenset[int], int]:
        codecs = self._transceiver._codecs
        types = frozenset(
            codec.payloadType
            for codec in codecs
            if codec.mimeType.lower() == "audio/opus" and codec.payloadType is not None
        )
        levels = [each.id for each in self._transceiver._headerExtensions if each.uri == _LEVEL_URI]
        self._negotiated = found = (types, levels[0] if levels else 0)
        return found

    async def _begin(self, parameters: RTCRtpReceiveParameters) -> None:
        """What ``RTCRtpReceiver.receive`` does, without a decoder."""
        receiver = self._receiver
        if not receiver._RTCRtpReceiver__started:  # type: ignore[attr-defined]  # private
            receiver.transport._register_rtp_receiver(receiver, parameters)
            task = asyncio.create_task(receiver._run_rtcp())
            receiver._RTCRtpReceiver__rtcp_task = task  # type: ignore[attr-defined]  # private
            receiver._RTCRtpReceiver__started = True  # type: ignore[attr-defined]  # private
