"""One UDP port for all calls, which is all that a firewall, a router or a container has to let through.

There is one socket for each of the machine's addresses, not a single one for all: a reply must leave from
the address that the client's check went to, or ICE discards it (RFC 8445 §7.2.5.2.1).

    port = UdpPort(options.udp_port)                     # one for an event loop
    for socket in port.open(["192.0.2.7", "2001:db8::7"]):
        protocol = StunProtocol(connection)              # or any other DatagramReceiver
        lane = port.join(socket, ufrag, password, protocol)
        protocol.connection_made(lane)                   # lane.sendto(), lane.close() as of a transport
    port.close()                                         # after the last call

How datagrams find their call is told in ``lanes``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Sequence

from .. import logs
from ..errors import SettingsError
from .lanes import Address, DatagramReceiver, Lane, LocalSocket

__all__ = ["Address", "DatagramReceiver", "Lane", "LocalSocket", "UdpPort"]

_log = logging.getLogger(__name__)

_BUFFER_BYTES = 4 * 1024 * 1024
"""Asked of the kernel for what arrives while the event loop is busy: a second of a hundred calls."""
_SO_RCVBUFFORCE = 33
"""``asm-generic/socket.h``; Python has no name for it. Goes beyond net.core.rmem_max, with CAP_NET_ADMIN."""
_MAX_IDLE_SOCKETS = 32
"""Sockets kept although no call uses them: IPv6 hosts take new addresses day by day."""
_N_ATTEMPTS = 16
"""Numbers tried until one is free on all addresses."""


class UdpPort:
    """Owned by whoever owns the calls of one event loop, whose methods alone call it.

    ``port`` is 0 until the first ``open`` if any free number is wanted.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._sockets: dict[str, LocalSocket] = {}
        self._refused: set[str] = set()
        self._is_closed = False

    @property
    def dropped(self) -> int:
        """Datagrams that arrived and belonged to no call."""
        return sum(each.dropped for each in self._sockets.values())

    @property
    def unsent(self) -> int:
        """Datagrams that the kernel did not take."""
        return sum(each.unsent for each in self._sockets.values())

    @property
    def n_sockets(self) -> int:
        """Addresses that it listens on."""
        return len(self._sockets)

    def open(self, addresses: Sequence[str]) -> list[LocalSocket]:
        """Return a socket for each of ``addresses`` (IP literals), opened at its first use and kept.

        Link-local IPv6 ones are left out, since they need a zone that no candidate can tell. One that cannot
        be bound is left out and logged. Raises ``SettingsError`` if none can.
        """
        assert not self._is_closed, "a port that was closed stays closed"
        wanted = [address for address in dict.fromkeys(addresses) if not _needs_zone(address)]
        self._close_idle(keep=wanted)
        failure = self._bind_missing(wanted)
        found = [self._sockets[address] for address in wanted if address in self._sockets]
        if not found and failure is not None:
            reason = failure.strerror or failure
            raise SettingsError(
                [f"rtc.udp_port: UDP port {self.port} cannot be opened: {reason}; 0 takes any free one"]
            )
        return found

    def join(self, local: LocalSocket, ufrag: str, password: str, receiver: DatagramReceiver) -> Lane:
        """Begin to serve a call on a socket: its own ICE user name fragment and password.

        Raises ``ValueError`` if another call there has this ufrag; four characters are too few to be unique.
        """
        return local.join(ufrag, password, receiver)

    def close(self) -> None:
        """Close all lanes and sockets; may be called twice."""
        self._is_closed = True
        for local in self._sockets.values():
            local.close()
        self._sockets.clear()

    def _bind_missing(self, wanted: Sequence[str]) -> OSError | None:
        """Open those of ``wanted`` that are not; return why one could not be, if one could not."""
        missing = [address for address in wanted if address not in self._sockets]
        for attempt in range(1, _N_ATTEMPTS + 1):
            bound, failures = _bind_all(missing, self.port)
            is_taken = any(failure.errno == errno.EADDRINUSE for failure in failures.values())
            if self.port or not bound or not is_taken or attempt == _N_ATTEMPTS:
                break
            for found in bound.values():
                found.close()
        for address, found in bound.items():
            local = self._sockets[address] = LocalSocket(found, asyncio.get_running_loop())
            self.port = local.port
            buffer_bytes = _enlarge_buffer(found)
            self._refused.discard(address)
        if bound:
            logs.event(
                _log,
                logging.INFO,
                "udp_port_opened",
                addresses=",".join(bound),
                port=self.port,
                buffer_bytes=buffer_bytes,
            )
        for address, failure in failures.items():
            if address not in self._refused:
                self._refused.add(address)
                reason = failure.strerror
                logs.event(_log, logging.WARNING, "udp_address_skipped", address=address, reason=reason)
        return next(iter(failures.values()), None)

    def _close_idle(self, keep: Sequence[str]) -> None:
        idle = [a for a, local in self._sockets.items() if not local.n_lanes and a not in keep]
        for address in idle[: max(0, len(self._sockets) - _MAX_IDLE_SOCKETS)]:
            self._sockets.pop(address).close()


def _needs_zone(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.version == 6 and parsed.is_link_local


def _bind_all(addresses: Sequence[str], port: int) -> tuple[dict[str, socket.socket], dict[str, OSError]]:
    """Return the sockets that could be bound, all to one port, and why others could not."""
    bound: dict[str, socket.socket] = {}
    failures: dict[str, OSError] = {}
    for address in addresses:
        try:
            bound[address] = found = _bind(address, port)
        except OSError as failure:
            failures[address] = failure
        else:
            port = found.getsockname()[1]
    return bound, failures


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.socket(family, socket.SOCK_DGRAM)
    try:
        found.setblocking(False)
        found.bind((address, port))
    except OSError:
        found.close()
        raise
    return found


def _enlarge_buffer(found: socket.socket) -> int:
    """Ask for a large receive buffer, since all calls share it; return what there is, in bytes."""
    try:
        found.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except OSError:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    # Linux doubles what was asked, for its own bookkeeping (socket(7)).
    return found.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
