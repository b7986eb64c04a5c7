"""The lanes of one UDP socket that several calls share: whose each datagram is, by its bytes and its source.

Only STUN (first byte 0 to 3, RFC 7983 §7) says itself whose it is:

    STUN request    its USERNAME begins with the ufrag of a call: that call's, if it is authentic. Its source
                    is from then on a *route* to the call's lane
    STUN response   belongs to who sent the request with this transaction id
    all else        (DTLS, RTP) belongs to the lane that its source is a route to

A route cannot be stolen: it is learned from a request that proves to know the call's password, or from the
answer to a request of ours. An address that still brings packets of one call is not given to another, even
if that proves to know its own password: whoever forges source addresses could otherwise silence others.
What belongs to nobody is counted and dropped. Nothing is ever queued; what the kernel does not take at once
is dropped too, for it would be late.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import socket
from collections import deque
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .. import logs
from . import stun

_log = logging.getLogger(__name__)

Address: TypeAlias = tuple[str, int]
"""Host and port; IPv6 without flow and scope."""

MAX_ROUTES = 16
"""Source addresses of one call on one socket: a client has a few, of which ICE chooses one."""
QUIET = 3.0
"""Seconds without a packet after which an address may be another call's: its client is gone, and the port
was given to the next one. Live clients send a check every 2.5 s (RFC 7675 §5.1) and mostly sound."""

MAX_ASKED = 128
"""Requests of one call on one socket whose responses are awaited: a check for each candidate and some."""
_BATCH = 32
"""Datagrams read at one go; then whoever else waits for the event loop has its turn."""
_READ_BYTES = 65_536
"""The most a datagram has; a buffer of 2 KiB would cost as much."""


class DatagramReceiver(Protocol):
    """Whom a lane serves: what aioice's ``StunProtocol`` is, and any ``asyncio.DatagramProtocol``."""

    def datagram_received(self, data: bytes, addr: Address, /) -> None:
        """A datagram came; looked up anew for each, so it may be replaced on the object."""

    def connection_lost(self, exc: Exception | None, /) -> None:
        """The lane was closed; called once, soon after."""


class Lane(asyncio.DatagramTransport):
    """One call's share of one socket, in the shape of the transport that it would have alone.

    Owned by its receiver, which is called in the context (log fields) in which the lane was made.
    """

    def __init__(self, local: LocalSocket, ufrag: bytes, password: bytes, receiver: DatagramReceiver) -> None:
        super().__init__({"sockname": (local.host, local.port)})
        self.ufrag = ufrag
        self.password = password
        self.routes: dict[Address, _Route] = {}
        self.asked: deque[bytes] = deque(maxlen=MAX_ASKED)
        self._local = local
        self._receiver = receiver
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._is_closing = False
        self._has_failed = False

    def sendto(self, data: bytes, addr: Address) -> None:  # type: ignore[override]  # never without address
        """Send a datagram now or not at all; never raises."""
        if self._is_closing:
            return
        if data[:2] == b"\x00\x01":
            self._local.await_response(self, data, addr)
        self._local.send(data, addr)

    def receive(self, data: bytes, address: Address) -> None:
        """Give the receiver a datagram; what it raises concerns nobody else."""
        try:
            self._context.run(self._receiver.datagram_received, data, address)
        except Exception as error:  # aioice's parser lets struct.error through, and more: a stranger's bytes
            if not self._has_failed:
                self._has_failed = True
                self._context.run(
                    logs.event, _log, logging.WARNING, "datagram_refused", exc_info=error, client=address[0]
                )

    def is_closing(self) -> bool:
        """Whether ``close`` was called."""
        return self._is_closing

    def close(self) -> None:
        """Take no more datagrams and tell the receiver soon; may be called twice."""
        if not self._is_closing:
            self._is_closing = True
            self._local.leave(self)
            self._loop.call_soon(self._receiver.connection_lost, None, context=self._context)

    def abort(self) -> None:
        """Close: there is nothing that it could wait for."""
        self.close()


@dataclass(slots=True, eq=False)
class _Route:
    """Whose an address is, and when it was last heard (the loop's seconds)."""

    lane: Lane
    heard: float


class LocalSocket:
    """The socket of one address, shared by the lanes of all calls; owned by its ``UdpPort``."""

    def __init__(self, found: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self.host, self.port = found.getsockname()[:2]
        self.dropped = 0
        self.unsent = 0
        self._socket = found
        self._loop = loop
        self._lanes: dict[bytes, Lane] = {}
        self._routes: dict[Address, _Route] = {}
        self._asked: dict[bytes, tuple[Lane, Address]] = {}
        # In an empty context: the loop would keep all that belongs to the call which happens to be first.
        contextvars.Context().run(loop.add_reader, found.fileno(), self._read)

    @property
    def n_lanes(self) -> int:
        """Calls that use it."""
        return len(self._lanes)

    @property
    def n_routes(self) -> int:
        """Source addresses that are known to be a call's."""
        return len(self._routes)

    def join(self, ufrag: str, password: str, receiver: DatagramReceiver) -> Lane:
        """See ``UdpPort.join``."""
        if ufrag.encode() in self._lanes:
            raise ValueError(f"another call has the ufrag {ufrag}")
        lane = Lane(self, ufrag.encode(), password.encode(), receiver)
        self._lanes[ufrag.encode()] = lane
        return lane

    def send(self, data: bytes, address: Address) -> None:
        """Send now or not at all."""
        try:
            self._socket.sendto(data, address)
        except OSError:  # a full buffer, no way there, or what an earlier one met: ICE notices
            self.unsent += 1

    def close(self) -> None:
        """Close all lanes and the socket."""
        for lane in tuple(self._lanes.values()):
            lane.close()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    # --- of lanes -----------------------------------------------------------------------------------

    def await_response(self, lane: Lane, request: bytes, address: Address) -> None:
        """Remember whose the response to a request is."""
        transaction_id = stun.transaction_id(request)
        if transaction_id not in self._asked:
            if len(lane.asked) == MAX_ASKED:
                self._asked.pop(lane.asked[0], None)
            lane.asked.append(transaction_id)
        self._asked[transaction_id] = (lane, address)

    def leave(self, lane: Lane) -> None:
        """Forget all that led to a lane."""
        self._lanes.pop(lane.ufrag, None)
        for address in lane.routes:
            del self._routes[address]
        for transaction_id in lane.asked:
            self._asked.pop(transaction_id, None)

    # --- what arrives -------------------------------------------------------------------------------

    def _read(self) -> None:
        receive, routes = self._socket.recvfrom, self._routes
        now = self._loop.time()
        for _ in range(_BATCH):
            try:
                data, source = receive(_READ_BYTES)
            except OSError:  # there is nothing more, or a datagram sent met with an error
                return
            address = source if len(source) == 2 else source[:2]
            if data and data[0] > 3:
                route = routes.get(address)
                lane = None if route is None else route.lane
                if route is not None:
                    route.heard = now
            else:
                lane = self._lane_of_stun(data, address, now)
            if lane is None:
                self.dropped += 1
            else:
                lane.receive(data, address)

    def _lane_of_stun(self, data: bytes, address: Address, now: float) -> Lane | None:
        route = self._routes.get(address)
        match stun.message_type(data):
            case None:
                return None
            case stun.BINDING_REQUEST:
                lane = self._called(data, address, route, now)
            case stun.BINDING_SUCCESS | stun.BINDING_ERROR as kind:
                lane, asked = self._asked.pop(stun.transaction_id(data), (None, None))
                if lane is None:
                    lane = route.lane if route else None
                elif route is None and address == asked and kind == stun.BINDING_SUCCESS:
                    # ICE-lite agents (RFC 8445 §2.5) only answer: no request will come from there.
                    self._learn(address, lane, now)
            case _:
                lane = route.lane if route else None
        if route is not None and route.lane is lane:
            route.heard = now
        return lane

    def _called(self, request: bytes, address: Address, route: _Route | None, now: float) -> Lane | None:
        """Return the lane that a request calls, if it may."""
        ufrag = stun.called_ufrag(request)
        if ufrag is None:
            return route.lane if route else None
        lane = self._lanes.get(ufrag)
        if lane is None or (route is not None and route.lane is lane):
            return lane
        if route is not None and now - route.heard < QUIET:
            return None
        if not stun.is_authentic(request, lane.password):
            return None
        self._learn(address, lane, now)
        return lane

    def _learn(self, address: Address, lane: Lane, now: float) -> None:
        """Let an address lead to a lane, and to no other."""
        if (former := self._routes.get(address)) is not None:
            del former.lane.routes[address]
        if len(lane.routes) == MAX_ROUTES:
            longest_silent = min(lane.routes, key=lambda known: lane.routes[known].heard)
            del self._routes[longest_silent], lane.routes[longest_silent]
        self._routes[address] = lane.routes[address] = _Route(lane, now)
