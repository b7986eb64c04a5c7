"""A cable to pull, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiortc import RTCPeerConnection

from .addresses import connections_of


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
    protocols = [protocol for connection in connections_of(pc) for protocol in connection._protocols]
    whole = [(protocol.transport, protocol.datagram_received) for protocol in protocols]
    for protocol in protocols:
        protocol.transport = _CutTransport(protocol.transport)  # type: ignore[assignment]  # has all it is asked
        protocol.datagram_received = lambda data, addr: None  # type: ignore[method-assign]  # this one only

    def mend() -> None:
        for protocol, (transport, receive) in zip(protocols, whole, strict=True):
            protocol.transport = transport
            protocol.datagram_received = receive  # type: ignore[method-assign]  # this one only

    return mend
