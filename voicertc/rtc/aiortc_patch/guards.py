"""What is kept from aiortc and aioice because they could not bear it: clients may send anything."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import pylibsrtp
from aioice import Connection
from aiortc import RTCPeerConnection, RTCSctpTransport

from ... import logs
from .. import sctp
from .addresses import connections_of
from .inbound import N_SOURCES
from .names import MISSING

if not MISSING:
    from aioice.ice import StunProtocol
    from aiortc.rtcdtlstransport import RTCDtlsTransport

if TYPE_CHECKING:
    from aioice.stun import Message

_log = logging.getLogger(__name__)

_N_CANDIDATES = 64
"""Addresses of one client that are checked over the time: for each, aioice goes through all."""


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
    for connection in connections_of(pc):
        if "check_incoming" not in vars(connection):
            _guard_checks(connection)


def guard_data_channel(pc: RTCPeerConnection) -> None:
    """The least of it, for the public path: SCTP that would hang the process. None if names are missing."""
    if pc.sctp is not None and not any("sctp" in name.lower() or "rtcdtls" in name for name in MISSING):
        transport = pc.sctp.transport
        if "_register_data_receiver" not in vars(transport):
            _guard_sctp(transport)


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
        if len(self._sources) >= N_SOURCES:
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
