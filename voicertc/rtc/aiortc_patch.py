"""Everything that aiortc and aioice do not offer in public: the only file that touches their private parts.

Both are pinned exactly in ``pyproject.toml``. Importing this module checks every private name below and
raises ``ImportError`` naming the missing one, so that an upgrade fails at start and not in a call. Nothing is
patched globally: each function changes one object of one call.

Read in aiortc 1.16.0 and aioice 0.13.0:

    RTCPeerConnection ─┬─ __certificates
                       ├─ __iceTransports ─ RTCIceTransport._connection = aioice.Connection
                       │                    ├─ get_component_candidates(addresses)
                       │                    ├─ _protocols ─ datagram_received()
                       │                    └─ _nominated[1] ─ protocol, remote_addr
                       └─ RTCRtpReceiver/-Sender.transport = RTCDtlsTransport ─ _rx_srtp, _tx_srtp
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

import aioice
import aiortc
import pylibsrtp
from aioice.candidate import Candidate
from aioice.ice import Connection, StunProtocol, get_host_addresses
from aiortc import (
    RTCCertificate,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
    clock,
)
from aiortc.rtcdtlstransport import RTCDtlsTransport, State
from aiortc.rtcicetransport import RTCIceTransport
from aiortc.rtcrtpreceiver import StreamStatistics

from .pacing import RTP_HZ

LOOPBACK = "127.0.0.1"

_RTP_HEADER = struct.Struct("!HHII")

_CERTIFICATE_LIFE = 7 * 24 * 3600.0
"""Seconds one certificate is used: aiortc makes them valid for 30 days."""

_PRIVATE: tuple[tuple[type, str], ...] = (
    (RTCPeerConnection, "_RTCPeerConnection__certificates"),
    (RTCPeerConnection, "_RTCPeerConnection__iceTransports"),
    (RTCIceTransport, "_connection"),
    (Connection, "_protocols"),
    (Connection, "get_component_candidates"),
    (StunProtocol, "datagram_received"),
    (Connection, "_nominated"),
    (RTCDtlsTransport, "_state"),
    (RTCDtlsTransport, "_rx_srtp"),
    (RTCDtlsTransport, "_tx_srtp"),
    (RTCRtpSender, "_ssrc"),
    (RTCRtpSender, "_RTCRtpSender__rtt"),
    (RTCRtpSender, "_RTCRtpSender__ntp_timestamp"),
    (RTCRtpSender, "_RTCRtpSender__rtp_timestamp"),
    (RTCRtpSender, "_RTCRtpSender__packet_count"),
    (RTCRtpSender, "_RTCRtpSender__octet_count"),
    (RTCRtpTransceiver, "_codecs"),
    (RTCRtpReceiver, "_RTCRtpReceiver__remote_streams"),
    (RTCRtpReceiver, "_RTCRtpReceiver__stop_decoder"),
    (StreamStatistics, "add"),
)


def missing_names(names: Iterable[tuple[type, str]] = _PRIVATE) -> list[str]:
    """Return those private names that the installed versions do not have, as ``Class.name``.

    A name counts if the class has it or its ``__init__`` mentions it, which is where both libraries make
    their attributes.
    """
    return [
        f"{owner.__name__}.{name}"
        for owner, name in names
        if not hasattr(owner, name) and name not in owner.__init__.__code__.co_names  # type: ignore[misc]  # a class's own
    ]


if _missing := missing_names():
    raise ImportError(
        f"voicertc needs aiortc 1.16.0 and aioice 0.13.0; aiortc {aiortc.__version__} and aioice "
        f"{aioice.__version__} lack {', '.join(_missing)}. Install the pinned versions."
    )

# --- the certificate ----------------------------------------------------------------------------

_certificate: tuple[RTCCertificate, float] | None = None


def shared_certificate() -> RTCCertificate:
    """Return this process's DTLS certificate; a fresh one is made once a week."""
    global _certificate
    now = time.monotonic()
    if _certificate is None or now - _certificate[1] > _CERTIFICATE_LIFE:
        _certificate = (RTCCertificate.generateCertificate(), now)
    return _certificate[0]


def use_certificate(pc: RTCPeerConnection, certificate: RTCCertificate) -> None:
    """Give a connection its certificate; call it before the first transceiver is made."""
    pc._RTCPeerConnection__certificates = [certificate]  # type: ignore[attr-defined]  # private


# --- addresses ----------------------------------------------------------------------------------


def _connections(pc: RTCPeerConnection) -> list[Connection]:
    transports: set[RTCIceTransport] = pc._RTCPeerConnection__iceTransports  # type: ignore[attr-defined]  # private
    return [transport._connection for transport in transports]


def offer_loopback(pc: RTCPeerConnection, *, only: bool = False) -> None:
    """Let a connection gather 127.0.0.1 too, or nothing else; call it before ``setLocalDescription``.

    aioice leaves loopback out (RFC 8445 §5.1.1.1), so that a machine without a network cannot call itself.
    """
    for connection in _connections(pc):
        _gather_loopback(connection, only)


def _gather_loopback(connection: Connection, only: bool) -> None:
    gather = connection.get_component_candidates

    async def get_component_candidates(
        component: int, addresses: list[str], timeout: int = 5
    ) -> list[Candidate]:
        return await gather(component, [LOOPBACK] if only else [*addresses, LOOPBACK], timeout)

    connection.get_component_candidates = get_component_candidates  # type: ignore[method-assign]  # this one only


def has_only_loopback() -> bool:
    """Whether this machine has no address that aioice would offer."""
    return not get_host_addresses(use_ipv4=True, use_ipv6=True)


# --- inbound ------------------------------------------------------------------------------------


def watch_inbound(pc: RTCPeerConnection, callback: Callable[[], None]) -> None:
    """Have ``callback`` called for every datagram that arrives: RTP, RTCP, STUN, DTLS.

    Call it after ``setLocalDescription``, which opens the sockets. The callback runs inside the event loop's
    reader: it must be quick and must not raise.
    """
    for connection in _connections(pc):
        for protocol in connection._protocols:
            _watch(protocol, callback)


def _watch(protocol: StunProtocol, callback: Callable[[], None]) -> None:
    receive = protocol.datagram_received

    def datagram_received(data: bytes | str, addr: tuple[object, ...]) -> None:
        callback()
        receive(data, addr)

    protocol.datagram_received = datagram_received  # type: ignore[method-assign]  # this one only


def shrink_reads(pc: RTCPeerConnection) -> None:
    """Read datagrams into buffers of 64 KiB, the most a datagram has, where asyncio takes 256.

    That much is mapped and unmapped anew for each datagram: 14 of the 19 µs that one over loopback costs.
    Call it after ``setLocalDescription``; transports of other loops are left alone.
    """
    for connection in _connections(pc):
        for protocol in connection._protocols:
            if hasattr(protocol.transport, "max_size"):
                protocol.transport.max_size = 65_536


def round_trip(sender: RTCRtpSender) -> float | None:
    """Return the smoothed round trip in seconds from receiver reports (RFC 3550 §6.4.1), if any came.

    aiortc computes it with wall time: a step of the clock may make it any number, so judge it.
    """
    rtt: float | None = sender._RTCRtpSender__rtt  # type: ignore[attr-defined]  # private
    return rtt


# --- the headless client ------------------------------------------------------------------------

RtpTap: TypeAlias = Callable[[int, int, bytes], None]
"""Called with sequence number, RTP timestamp and payload of a packet, as it arrives."""


class _Header:
    """As much of an RTP packet as aiortc's receiver statistics look at."""

    __slots__ = ("sequence_number", "timestamp")

    def __init__(self, sequence_number: int, timestamp: int) -> None:
        self.sequence_number = sequence_number
        self.timestamp = timestamp


def tap_rtp(receiver: RTCRtpReceiver, callback: RtpTap) -> None:
    """Have ``callback`` called for every RTP packet, within the step in which its datagram is read.

    aiortc's queue, task, jitter buffer and decoder see no packet any more, but receiver reports go on. Call
    it after both descriptions are set, and only where the receiver's transport carries no other RTP.
    """
    transport = receiver.transport
    streams: dict[int, StreamStatistics] = receiver._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]  # private

    def take(data: bytes) -> None:
        try:
            parsed = parse_rtp(transport._rx_srtp.unprotect(data))
        except pylibsrtp.Error:
            return  # not meant for us, or a replay: aiortc drops it too
        if parsed is None:
            return
        ssrc, sequence_number, timestamp, payload = parsed
        if ssrc not in streams:
            streams[ssrc] = StreamStatistics(RTP_HZ)
            receiver._RTCRtpReceiver__stop_decoder()  # type: ignore[attr-defined]  # private; its thread idles
        streams[ssrc].add(_Header(sequence_number, timestamp))  # type: ignore[arg-type]  # it looks at nothing else
        callback(sequence_number, timestamp, payload)

    for protocol in transport.transport._connection._protocols:
        _divert_rtp(protocol, transport, take)


def _divert_rtp(protocol: StunProtocol, transport: RTCDtlsTransport, take: Callable[[bytes], None]) -> None:
    receive = protocol.datagram_received

    def datagram_received(data: bytes | str, addr: tuple[object, ...]) -> None:
        assert isinstance(data, bytes)
        # RFC 7983 §7: 128 to 191 is RTP or RTCP; RFC 5761 §4: RTCP has types 192 to 223.
        is_rtp = len(data) > 1 and 127 < data[0] < 192 and not 191 < data[1] < 224
        if is_rtp and transport._rx_srtp is not None:
            take(data)
        else:
            receive(data, addr)

    protocol.datagram_received = datagram_received  # type: ignore[method-assign]  # this one only


def parse_rtp(data: bytes) -> tuple[int, int, int, bytes] | None:
    """Return SSRC, sequence number, timestamp and payload of an RTP packet (RFC 3550 §5.1), else ``None``."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    _, sequence_number, timestamp, ssrc = _RTP_HEADER.unpack_from(data)
    start = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    if start > end:
        return None
    return ssrc, sequence_number, timestamp, data[start:end]


class RtpSource:
    """Sends Opus packets past aiortc's sender, which keeps its SSRC, reports and goodbye.

    The sender's own track must give it nothing. Made after both descriptions are set; ``send`` does nothing
    while there is no connection.
    """

    def __init__(self, transceiver: RTCRtpTransceiver) -> None:
        self._sender = transceiver.sender
        self._transport = transceiver.sender.transport
        payload_type = transceiver._codecs[0].payloadType
        assert payload_type is not None, "negotiated codecs have a payload type"
        self._first_bytes = 0x8000 | payload_type  # version 2, nothing else set
        self._sequence_number = random.randrange(0x8000)
        self._n_packets = 0
        self._n_bytes = 0

    def send(self, payload: bytes, rtp_time: int) -> None:
        """Protect a packet and hand it to the socket, at once."""
        transport = self._transport
        pair = transport.transport._connection._nominated.get(1)
        if transport._state is not State.CONNECTED or pair is None:
            return
        timestamp = rtp_time & 0xFFFFFFFF
        header = _RTP_HEADER.pack(self._first_bytes, self._sequence_number, timestamp, self._sender._ssrc)
        pair.protocol.transport.sendto(transport._tx_srtp.protect(header + payload), pair.remote_addr)
        self._sequence_number = (self._sequence_number + 1) & 0xFFFF
        self._n_packets += 1
        self._n_bytes += len(payload)
        if self._n_packets % 25 == 1:
            self._tell_sender(timestamp)

    def _tell_sender(self, timestamp: int) -> None:
        """Give the sender what its next report says (RFC 3550 §6.4.1): round trips are told by it."""
        reported = {
            "ntp_timestamp": clock.current_ntp_time(),
            "rtp_timestamp": timestamp,
            "packet_count": self._n_packets,
            "octet_count": self._n_bytes,
        }
        for name, value in reported.items():
            setattr(self._sender, f"_RTCRtpSender__{name}", value)


class _CutTransport:
    """A datagram transport that loses what it is given, and is whole in all else."""

    def __init__(self, whole: asyncio.DatagramTransport) -> None:
        self._whole = whole

    def sendto(self, data: bytes, addr: object = None) -> None:
        """Lose a datagram."""

    def __getattr__(self, name: str) -> object:
        return getattr(self._whole, name)


def cut_link(pc: RTCPeerConnection) -> Callable[[], None]:
    """Lose every datagram in both directions, as a pulled cable does; the returned function mends it."""
    protocols = [protocol for connection in _connections(pc) for protocol in connection._protocols]
    whole = [(protocol.transport, protocol.datagram_received) for protocol in protocols]
    for protocol in protocols:
        protocol.transport = _CutTransport(protocol.transport)  # type: ignore[assignment]  # has all it is asked
        protocol.datagram_received = lambda data, addr: None  # type: ignore[method-assign]  # this one only

    def mend() -> None:
        for protocol, (transport, receive) in zip(protocols, whole, strict=True):
            protocol.transport = transport
            protocol.datagram_received = receive  # type: ignore[method-assign]  # this one only

    return mend
