"""A link that loses, delays and disorders what passes it, the same way each time: a seeded UDP relay.

    client A ──▶ front of ──▶ A's socket ──▶ server          up:   client to server
    client B ──▶ an address ─▶ B's socket ──▶                down: server to client

It stands between by SDP alone: an answer's candidates become fronts of this link, and an offer's are left
out, so that the server learns where its clients are from the checks that reach it through the link.

    link = LossyLink(up=LinkModel(loss=0.05, delay=0.02, jitter=0.01), seed=1)
    async with HeadlessClient(link.through(peer.answer)) as client: ...
    link.close()

For a browser, ``lossy_proxy`` does the same to what passes over HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from enum import Enum
from ipaddress import ip_address
from typing import TypeAlias

from .client import Answer
from .link_model import CLEAN, RTP_ONLY, Counts, Fortune, Kind, LinkModel, kind_of

__all__ = ["CLEAN", "RTP_ONLY", "Counts", "Direction", "Kind", "LinkModel", "LossyLink", "kind_of"]

_MAX_DATAGRAM = 65_536
_N_READS = 32
"""Datagrams read in one go: waking up for each would cost more than reading it."""
_BUFFER_BYTES = 1 << 20
"""What the kernel may keep for a socket, if it allows that much, should this process be late."""

_Address: TypeAlias = tuple[str, int]


class Direction(Enum):
    """Up is from client to server."""

    UP = "up"
    DOWN = "down"


Watch: TypeAlias = Callable[[Direction, bytes], None]
"""Called with each datagram in the moment in which it is sent on."""


class LossyLink:
    """Any number of calls of one event loop. ``up`` and ``down`` may be replaced while they run.

    Invariant: the n-th datagram of a kind and direction in the m-th call that has any meets a fate that only
    ``seed`` and the model of that moment decide. Owned by whoever made it, and to be closed.
    """

    def __init__(
        self,
        up: LinkModel = CLEAN,
        down: LinkModel = CLEAN,
        *,
        seed: int = 1,
        host: str | None = None,
        watch: Watch | None = None,
    ) -> None:
        """``host``: the address that fronts are opened on, by default that of the candidate they stand for,
        which must be this machine's then."""
        self.up = up
        self.down = down
        self.counts = {direction: {kind: Counts() for kind in Kind} for direction in Direction}
        self._seed = seed
        self._host = host
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._fronts: dict[_Address, _Front] = {}
        self._n_fortunes = dict.fromkeys(((d, k) for d in Direction for k in Kind), 0)
        self._on_their_way: set[asyncio.TimerHandle] = set()
        self._is_closed = False

    # --- signalling -------------------------------------------------------------------------------

    def through(self, answer: Answer) -> Answer:
        """Return a function that answers offers as ``answer`` does, with this link in between."""

        async def answer_through(offer: str) -> str:
            return self.rewrite_answer(await answer(without_candidates(offer)))

        return answer_through

    def rewrite_answer(self, sdp: str) -> str:
        """Return an answer whose candidates are fronts of this link.

        Only UDP host candidates have one; others are left out. Raises ``OSError`` if a front cannot be opened
        on a candidate's address, which is another machine's: then give the link a ``host``.
        """
        lines: list[str] = []
        for line in sdp.splitlines():
            if line.startswith("a=candidate:"):
                fields = line.split(" ")
                if len(fields) < 8 or fields[2].lower() != "udp" or fields[7] != "host":
                    continue
                host, port = self._front((fields[4], int(fields[5]))).address
                fields[4], fields[5] = host, str(port)
                line = " ".join(fields)
            lines.append(line)
        return "\r\n".join(lines) + "\r\n"

    def _front(self, server: _Address) -> _Front:
        assert not self._is_closed, "the link is closed"
        if server not in self._fronts:
            self._fronts[server] = _Front(self, server, self._host or server[0])
        return self._fronts[server]

    # --- datagrams --------------------------------------------------------------------------------

    def carry(self, datagram: bytes, lane: _Lane) -> None:
        """Take a datagram that has just arrived, and send it on when and if the model says so."""
        kind = kind_of(datagram)
        counts = self.counts[lane.direction][kind]
        counts.received += 1
        model = self.up if lane.direction is Direction.UP else self.down
        number, fortune = lane.take(kind, self._new_fortune)
        delays = fortune.next(model, kind)
        counts.lost += not delays
        counts.duplicated += len(delays) > 1
        for delay in delays:
            if delay > 0:
                self._send_later(delay, datagram, lane, kind, number)
            else:
                self._send(datagram, lane, kind, number)

    def _new_fortune(self, direction: Direction, kind: Kind) -> Fortune:
        number = self._n_fortunes[direction, kind]
        self._n_fortunes[direction, kind] += 1
        return Fortune(f"{self._seed}/{direction.value}/{kind.value}/{number}")

    def _send_later(self, delay: float, datagram: bytes, lane: _Lane, kind: Kind, number: int) -> None:
        def send() -> None:
            self._on_their_way.discard(timer)
            self._send(datagram, lane, kind, number)

        timer = self._loop.call_later(delay, send)
        self._on_their_way.add(timer)

    def _send(self, datagram: bytes, lane: _Lane, kind: Kind, number: int) -> None:
        counts = self.counts[lane.direction][kind]
        counts.sent += 1
        counts.reordered += lane.is_behind(kind, number)
        if self._watch is not None:
            self._watch(lane.direction, datagram)
        lane.send(datagram)

    def close(self) -> None:
        """Lose what is on its way and free all sockets; may be called twice."""
        self._is_closed = True
        for timer in self._on_their_way:
            timer.cancel()
        self._on_their_way.clear()
        for front in self._fronts.values():
            front.close()
        self._fronts.clear()


class _Lane:
    """One direction of one call: the fortunes of its datagrams, and where they go."""

    def __init__(self, direction: Direction, send: Callable[[bytes], object]) -> None:
        self.direction = direction
        self._send = send
        self._fortunes: dict[Kind, Fortune] = {}
        self._n_taken = dict.fromkeys(Kind, 0)
        self._newest_sent = dict.fromkeys(Kind, 0)

    def take(self, kind: Kind, new: Callable[[Direction, Kind], Fortune]) -> tuple[int, Fortune]:
        """Return the number of the datagram among those of its kind, from 1, and what decides about it."""
        if kind not in self._fortunes:
            self._fortunes[kind] = new(self.direction, kind)
        self._n_taken[kind] += 1
        return self._n_taken[kind], self._fortunes[kind]

    def is_behind(self, kind: Kind, number: int) -> bool:
        """Whether one that came later was sent already; to be asked once, when it is sent."""
        is_behind = number < self._newest_sent[kind]
        self._newest_sent[kind] = max(number, self._newest_sent[kind])
        return is_behind

    def send(self, datagram: bytes) -> None:
        """Send it, or lose it if nobody takes it any more: as a network does."""
        with contextlib.suppress(OSError):  # the port was closed (ICMP), or the kernel's buffer is full
            self._send(datagram)


class _Front:
    """Stands for one address of a server; has a socket to it for each client address, as a NAT does."""

    def __init__(self, link: LossyLink, server: _Address, host: str) -> None:
        self._link = link
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._socket = _open_socket(host)
        self._socket.bind((host, 0))
        self.address: _Address = self._socket.getsockname()[:2]
        self._lanes: dict[_Address, _Lane] = {}  # up, one for each client address; they end with the link
        self._sockets: list[socket.socket] = [self._socket]
        self._loop.add_reader(self._socket, self._read)

    def _read(self) -> None:
        for _ in range(_N_READS):
            try:
                datagram, client = self._socket.recvfrom(_MAX_DATAGRAM)
            except OSError:
                return  # no more is there, or what was sent before reached nobody (ICMP)
            if client not in self._lanes:
                self._lanes[client] = self._add(client)
            self._link.carry(datagram, self._lanes[client])

    def _add(self, client: _Address) -> _Lane:
        """Open a socket for a new client; what the server sends to it goes to the client."""
        upstream = _open_socket(self._server[0])
        upstream.connect(self._server)
        self._sockets.append(upstream)
        down = _Lane(Direction.DOWN, lambda datagram: self._socket.sendto(datagram, client))

        def read() -> None:
            for _ in range(_N_READS):
                try:
                    datagram = upstream.recv(_MAX_DATAGRAM)
                except OSError:
                    return
                self._link.carry(datagram, down)

        self._loop.add_reader(upstream, read)
        return _Lane(Direction.UP, upstream.send)

    def close(self) -> None:
        """Free the sockets."""
        for opened in self._sockets:
            self._loop.remove_reader(opened)
            opened.close()


def without_candidates(offer: str) -> str:
    """Return an offer without the client's addresses: its checks will tell (RFC 8445 §7.3.1.3)."""
    unwanted = ("a=candidate:", "a=end-of-candidates")
    return "\r\n".join(line for line in offer.splitlines() if not line.startswith(unwanted)) + "\r\n"


def _open_socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    return opened
