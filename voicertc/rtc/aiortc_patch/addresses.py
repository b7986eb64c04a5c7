"""Where a connection may be reached, and by which certificate it is known."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

from aioice import Candidate, Connection
from aiortc import RTCCertificate, RTCIceTransport, RTCPeerConnection

from ..udp_port import UdpPort
from .names import MISSING

if not MISSING:
    from aioice.candidate import candidate_foundation, candidate_priority
    from aioice.ice import StunProtocol, get_host_addresses, server_reflexive_candidate

LOOPBACK = "127.0.0.1"

_CERTIFICATE_LIFE = 7 * 24 * 3600.0
"""Seconds one certificate is used: aiortc makes them valid for 30 days."""
_UFRAG_CHARACTERS = 8
"""aioice's own have four: among a thousand calls of one port two of a kind are to be expected then."""

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


def connections_of(pc: RTCPeerConnection) -> list[Connection]:
    """Return the ICE connections of a peer connection: one, if all is bundled."""
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
    for connection in connections_of(pc):
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
    for connection in connections_of(pc):
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


def shrink_reads(pc: RTCPeerConnection) -> None:
    """Read datagrams into buffers of 64 KiB, the most a datagram has, where asyncio takes 256.

    That much is mapped and unmapped anew for each datagram: 14 of the 19 µs that one over loopback costs.
    Call it after ``setLocalDescription``; transports of other loops, and of shared ports, are left alone.
    """
    for connection in connections_of(pc):
        for protocol in connection._protocols:
            if hasattr(protocol.transport, "max_size"):
                protocol.transport.max_size = 65_536
