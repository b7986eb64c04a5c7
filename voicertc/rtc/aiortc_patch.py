"""Everything that aiortc and aioice do not offer in public: the only file that touches their private parts.

Both are pinned exactly in ``pyproject.toml``. Importing this module looks every private name up; if one is
missing, ``MISSING`` names it and nothing else here may be called: calls then run on the public API, at a
higher cost (``connection``). Nothing is patched globally: each function changes one object of one call.

Read in aiortc 1.16.0 and aioice 0.13.0:

    RTCPeerConnection ─┬─ __certificates
                       ├─ __iceTransports ─ RTCIceTransport._connection = aioice.Connection
                       │                    ├─ get_component_candidates(addresses): where sockets are opened
                       │                    ├─ _protocols ─ datagram_received(): where all arrives
                       │                    └─ _nominated[1] ─ protocol, remote_addr: where all leaves
                       └─ RTCRtpReceiver/-Sender.transport = RTCDtlsTransport ─ _rx_srtp, _tx_srtp
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import secrets
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import pylibsrtp
from aioice import Candidate, Connection
from aiortc import (
    RTCCertificate,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSctpTransport,
)

from .. import logs
from . import dtls, rtp, sctp
from .counters import ReceiverReport
from .pacing import RTP_HZ
from .udp_port import UdpPort

_log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

_CERTIFICATE_LIFE = 7 * 24 * 3600.0
"""Seconds one certificate is used: aiortc makes them valid for 30 days."""
_UFRAG_CHARACTERS = 8
"""aioice's own have four: among a thousand calls of one port two of a kind are to be expected then."""
_N_SOURCES = 8
"""Synchronization sources that one client may have over the time, each with statistics of its own."""
_N_CANDIDATES = 64
"""Addresses of one client that are checked over the time: for each, aioice goes through all."""
_MAX_DATAGRAM = 1500
"""Bytes: no path carries more in one piece, and pylibsrtp has no room for it."""
_MAX_QUEUED = 256
"""Datagrams that may wait for aiortc, which takes them out at once if it is there at all."""
_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_DUPLICATE = "replay check failed"
"""How libsrtp's error begins for a packet that came before."""

_PRIVATE: tuple[tuple[str, str, str], ...] = (
    ("aiortc", "RTCPeerConnection", "_RTCPeerConnection__certificates"),
    ("aiortc", "RTCPeerConnection", "_RTCPeerConnection__iceTransports"),
    ("aiortc", "RTCIceTransport", "_connection"),
    ("aioice", "Connection", "_protocols"),
    ("aioice", "Connection", "get_component_candidates"),
    ("aioice", "Connection", "_local_username"),
    ("aioice", "Connection", "_nominated"),
    ("aioice", "Connection", "_queue"),
    ("aioice", "Connection", "_remote_candidates"),
    ("aioice", "Connection", "check_incoming"),
    ("aioice", "Connection", "stun_server"),
    ("aioice.ice", "StunProtocol", "datagram_received"),
    ("aioice.ice", "StunProtocol", "connection_made"),
    ("aioice.ice", "get_host_addresses", ""),
    ("aioice.ice", "server_reflexive_candidate", ""),
    ("aioice.candidate", "candidate_foundation", ""),
    ("aioice.candidate", "candidate_priority", ""),
    ("aiortc.clock", "current_ntp_time", ""),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_state"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_rx_srtp"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_tx_srtp"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_register_rtp_receiver"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_setup_srtp"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_handle_rtcp_data"),
    ("aiortc.rtcdtlstransport", "RTCDtlsTransport", "_register_data_receiver"),
    ("aiortc.rtcdtlstransport", "State", "CONNECTED"),
    ("aiortc", "RTCSctpTransport", "_advertised_rwnd"),
    ("aiortc", "RTCSctpTransport", "_data_channels"),
    ("aiortc", "RTCSctpTransport", "_handle_data"),
    ("aiortc", "RTCSctpTransport", "_inbound_streams"),
    ("aiortc", "RTCSctpTransport", "_last_received_tsn"),
    ("aiortc.rtcsctptransport", "InboundStream", "reassembly"),
    ("aiortc", "RTCRtpSender", "_ssrc"),
    ("aiortc", "RTCRtpSender", "_handle_rtcp_packet"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__rtt"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__ntp_timestamp"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__rtp_timestamp"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__packet_count"),
    ("aiortc", "RTCRtpSender", "_RTCRtpSender__octet_count"),
    ("aiortc", "RTCRtpTransceiver", "_codecs"),
    ("aiortc", "RTCRtpTransceiver", "_headerExtensions"),
    ("aiortc", "RTCRtpReceiver", "_run_rtcp"),
    ("aiortc", "RTCRtpReceiver", "_RTCRtpReceiver__remote_streams"),
    ("aiortc", "RTCRtpReceiver", "_RTCRtpReceiver__rtcp_task"),
    ("aiortc", "RTCRtpReceiver", "_RTCRtpReceiver__started"),
    ("aiortc.rtcrtpreceiver", "StreamStatistics", "add"),
    ("aiortc.rtcrtpreceiver", "StreamStatistics", "jitter"),
)
"""Module, class or function, attribute (none for functions)."""


def missing_names(names: Iterable[tuple[str, str, str]] = _PRIVATE) -> tuple[str, ...]:
    """Return those private names that the installed versions do not have, as ``module.Class.name``.

    A name counts if the class has it or its ``__init__`` mentions it, which is where both libraries make
    their attributes.
    """
    return tuple(".".join(filter(None, name)) for name in names if not _is_there(*name))


def _is_there(module: str, owner: str, attribute: str) -> bool:
    try:
        found = getattr(importlib.import_module(module), owner)
    except (ImportError, AttributeError):
        return False
    return not attribute or hasattr(found, attribute) or attribute in found.__init__.__code__.co_names


MISSING = missing_names()
"""What the installed versions lack; empty with the pinned ones."""

if not MISSING:
    from aioice.candidate import candidate_foundation, candidate_priority
    from aioice.ice import StunProtocol, get_host_addresses, server_reflexive_candidate
    from aiortc.clock import current_ntp_time
    from aiortc.rtcdtlstransport import RTCDtlsTransport, State
    from aiortc.rtcrtpreceiver import StreamStatistics

    class _Statistics(StreamStatistics):
        """Statistics that fit into a report: time stamps that jump to and fro for long enough make aiortc's
        jitter overflow 32 bits, its task for reports fail, and ``close`` wait for that task for ever."""

        @property
        def jitter(self) -> int:
            return min(super().jitter, 0xFFFF_FFFF)


if TYPE_CHECKING:
    from aioice.stun import Message
    from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
    from aiortc.rtp import AnyRtcpPacket

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


def host_addresses() -> list[str]:
    """Return the machine's addresses that aioice would offer, 127.0.0.1 if there is none."""
    return get_host_addresses(use_ipv4=True, use_ipv6=True) or [LOOPBACK]


def has_only_loopback() -> bool:
    """Whether this machine has no address that aioice would offer."""
    return host_addresses() == [LOOPBACK]


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


def share_port(pc: RTCPeerConnection, port: UdpPort) -> None:
    """Let a connection use the port that all calls share instead of ports of its own.

    Call it before ``offer_loopback`` and ``setLocalDescription``, which may then raise ``SettingsError``.
    """
    for connection in _connections(pc):
        connection._local_username = secrets.token_hex(_UFRAG_CHARACTERS // 2)
        _gather_from(connection, port)


def _gather_from(connection: Connection, port: UdpPort) -> None:
    gather = connection.get_component_candidates

    async def get_component_candidates(
        component: int, addresses: list[str], timeout: int = 5
    ) -> list[Candidate]:
        protocols = _join(connection, port, addresses)
        connection._protocols += protocols
        own = [protocol.local_candidate for protocol in protocols]
        return own + await _gather_further(gather, connection, component, protocols, timeout)

    connection.get_component_candidates = get_component_candidates  # type: ignore[method-assign]  # this one only


def _join(connection: Connection, port: UdpPort, addresses: Sequence[str]) -> list[StunProtocol]:
    protocols = []
    for socket in port.open(addresses):
        protocol = StunProtocol(connection)
        lane = port.join(socket, connection.local_username, connection.local_password, protocol)
        protocol.connection_made(lane)
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", socket.host),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host"),
            host=socket.host,
            port=socket.port,
            type="host",
        )
        protocols.append(protocol)
    return protocols


async def _gather_further(
    gather: Callable[[int, list[str], int], Awaitable[list[Candidate]]],
    connection: Connection,
    component: int,
    protocols: Sequence[StunProtocol],
    timeout: int,
) -> list[Candidate]:
    """Ask STUN and TURN servers, which few servers have any use for, as aioice does."""
    found: list[Candidate] = []
    if connection.stun_server:
        asked = [
            asyncio.create_task(server_reflexive_candidate(protocol, connection.stun_server))
            for protocol in protocols
            if ":" not in protocol.local_candidate.host
        ]
        done, late = await asyncio.wait(asked, timeout=timeout) if asked else (set(), set())
        found += [task.result()[0] for task in done if task.exception() is None]
        for task in late:
            task.cancel()
    if connection.turn_server:
        found += await gather(component, [], timeout)
    return found


# --- inbound ------------------------------------------------------------------------------------

Taker: TypeAlias = Callable[[bytes, float], None]
"""Takes a datagram and the monotonic time of its arrival, in seconds."""


def watch_inbound(pc: RTCPeerConnection, on_datagram: Callable[[float], None], take_rtp: Taker) -> None:
    """Have ``on_datagram`` told of everything that arrives, and RTP given to ``take_rtp``, not to aiortc.

    Call it after ``setLocalDescription``, which opens the sockets. Both are called inside the event loop's
    reader: they must be quick and must not raise.
    """
    for connection in _connections(pc):
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
        first = data[0]
        try:
            if first < 4:
                receive(data, addr)
            elif queue.qsize() >= _MAX_QUEUED:
                return
            elif 19 < first < 64:
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
            if len(self._streams) >= _N_SOURCES:
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


def shrink_reads(pc: RTCPeerConnection) -> None:
    """Read datagrams into buffers of 64 KiB, the most a datagram has, where asyncio takes 256.

    That much is mapped and unmapped anew for each datagram: 14 of the 19 µs that one over loopback costs.
    Call it after ``setLocalDescription``; transports of other loops, and of shared ports, are left alone.
    """
    for connection in _connections(pc):
        for protocol in connection._protocols:
            if hasattr(protocol.transport, "max_size"):
                protocol.transport.max_size = 65_536


# --- strangers ----------------------------------------------------------------------------------


def guard(pc: RTCPeerConnection) -> None:
    """Keep from aiortc what it cannot bear of what a client may send once it is connected.

    Call it after ``setLocalDescription``, each time: a further offer may bring another transport.
    """
    transports = {transceiver.receiver.transport for transceiver in pc.getTransceivers()}
    if pc.sctp is not None:
        transports.add(pc.sctp.transport)
    for transport in transports:
        if "_setup_srtp" not in vars(transport):
            _guard_srtp(transport)
            _guard_rtcp(transport)
            _guard_sctp(transport)
    for connection in _connections(pc):
        if "check_incoming" not in vars(connection):
            _guard_checks(connection)


def _guard_checks(connection: Connection) -> None:
    """aioice keeps, checks and sorts every address from which somebody who knows the password asks."""
    check = connection.check_incoming

    def check_incoming(message: Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        known = connection._remote_candidates
        if len(known) < _N_CANDIDATES or any((each._network_host, each.port) == addr for each in known):
            check(message, addr, protocol)

    connection.check_incoming = check_incoming  # type: ignore[method-assign]  # this one only


class _BoundedSession:
    """An SRTP session for receiving that knows no more sources than a client may have.

    libsrtp keeps each for good, in a list that it walks for every packet.
    """

    def __init__(self, session: pylibsrtp.Session) -> None:
        self._session = session
        self._sources: set[bytes] = set()

    def unprotect(self, packet: bytes) -> bytes:
        """See ``pylibsrtp.Session``."""
        return self._take(self._session.unprotect, packet, packet[8:12])

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """See ``pylibsrtp.Session``."""
        return self._take(self._session.unprotect_rtcp, packet, packet[4:8])

    def _take(self, unprotect: Callable[[bytes], bytes], packet: bytes, source: bytes) -> bytes:
        if source in self._sources:
            return unprotect(packet)
        if len(self._sources) >= _N_SOURCES:
            raise pylibsrtp.Error("too many sources")
        plain = unprotect(packet)
        self._sources.add(source)
        return plain


def _guard_srtp(transport: RTCDtlsTransport) -> None:
    set_up = transport._setup_srtp

    def setup_srtp() -> None:
        set_up()
        if transport._rx_srtp is not None:
            transport._rx_srtp = _BoundedSession(transport._rx_srtp)  # type: ignore[assignment]  # all it is asked

    transport._setup_srtp = setup_srtp  # type: ignore[method-assign]  # this one only


def _guard_rtcp(transport: RTCDtlsTransport) -> None:
    """What is not RTCP after all would end the task that reads everything, and be an ERROR in the log."""
    handle = transport._handle_rtcp_data

    async def handle_rtcp_data(data: bytes) -> None:
        try:
            await handle(data)
        except struct.error as error:  # REMB with fewer SSRCs than it says, in 1.16.0
            _log.debug("rtcp_refused", exc_info=error)

    transport._handle_rtcp_data = handle_rtcp_data  # type: ignore[method-assign]  # this one only


def _guard_sctp(transport: RTCDtlsTransport) -> None:
    register = transport._register_data_receiver

    def register_data_receiver(receiver: RTCSctpTransport) -> None:
        if "_handle_data" not in vars(receiver):
            _guard_association(receiver)
        register(receiver)

    transport._register_data_receiver = register_data_receiver  # type: ignore[assignment, method-assign]  # this one only


def _guard_association(association: RTCSctpTransport) -> None:
    handle = association._handle_data
    has_failed = False

    def refuse(reason: str, error: Exception | None = None) -> None:
        nonlocal has_failed
        if not has_failed:
            has_failed = True
            logs.event(_log, logging.WARNING, "sctp_refused", exc_info=error, reason=reason)

    async def handle_data(data: bytes) -> None:
        reason = sctp.refusal(data, _reception(association))
        if reason is not None:
            refuse(reason)
            return
        try:
            await handle(data)
        except ConnectionError:
            raise  # it ends, as aiortc expects
        except Exception as error:  # its asserts are about what peers send, too
            refuse("unexpected", error)

    association._handle_data = handle_data  # type: ignore[method-assign]  # this one only


def _reception(association: RTCSctpTransport) -> sctp.Reception:
    streams = association._inbound_streams
    return sctp.Reception(
        association._last_received_tsn,
        association._advertised_rwnd,
        sum(len(stream.reassembly) for stream in streams.values()),
        streams,
        sctp.MAX_STREAMS - max(len(streams), len(association._data_channels)),
    )


# --- reports ------------------------------------------------------------------------------------


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


# --- outbound -----------------------------------------------------------------------------------


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


# --- a cable to pull ----------------------------------------------------------------------------


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
