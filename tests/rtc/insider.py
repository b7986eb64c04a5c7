"""A client with a call of its own that means harm, and what the server keeps of it."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pylibsrtp

from voicertc.rtc import sctp
from voicertc.testing.client import HeadlessClient

from . import fuzz
from .attack import AT_ONCE, Scene, ufrag_of
from .calls import Owner

MANY = 8
"""Sources of sound that one client may have, ``aiortc_patch.inbound.N_SOURCES``."""


class Insider:
    """A client that sends what it likes under the keys of its call."""

    def __init__(self, owner: Owner, client: HeadlessClient) -> None:
        self.owner = owner
        self.client = client
        client._mouth.close()  # its numbers and those of here would not agree
        pc = client._pc
        assert pc.sctp is not None
        self.association = pc.sctp
        self.dtls = pc.sctp.transport
        self.association._handle_data = _ignore  # type: ignore[method-assign]  # aiortc is to survive in it
        self.dtls._handle_rtcp_data = _ignore  # type: ignore[method-assign]
        self.sender = pc.getSenders()[0]
        codec = pc.getTransceivers()[0]._codecs[0]
        assert codec.payloadType is not None
        self.payload_type: int = codec.payloadType
        self.n_sent = self.n_unsent = 0
        self._pair = self.dtls.transport._connection._nominated[1]

    @property
    def ufrag(self) -> str:
        """The server's half of the name of its ICE session."""
        return ufrag_of(self.client)

    @property
    def is_up(self) -> bool:
        """Whether the server still has the call."""
        return self.server_pc.connectionState == "connected"

    @property
    def server_pc(self):  # type: ignore[no-untyped-def]  # aiortc's own
        """The server's side of the connection."""
        return self.owner.peer._connection.pc

    @property
    def their_ssrc(self) -> int:
        """Of what the server sends us."""
        return self.server_pc.getSenders()[0]._ssrc  # type: ignore[no-any-return]

    def send(self, datagram: bytes) -> None:
        """Send bytes as they are."""
        if not self.client.is_connected:
            return  # it was thrown out
        self.n_sent += 1
        self._pair.protocol.transport.sendto(datagram, self._pair.remote_addr)

    def send_rtp(self, packet: bytes) -> None:
        """Send RTP that libsrtp is willing to protect."""
        self._protected(packet, "protect")

    def send_rtcp(self, packet: bytes) -> None:
        """Send RTCP that libsrtp is willing to protect."""
        self._protected(packet, "protect_rtcp")

    def send_data(self, *packets: bytes) -> None:
        """Send data of any form, each in a record of its own, in one datagram."""
        records = b""
        for packet in packets:
            assert self.dtls._ssl is not None
            self.dtls._ssl.send(packet)
            records += self.dtls._ssl.bio_read(4096)
        self.send(records)

    def _protected(self, packet: bytes, how: str) -> None:
        try:
            self.send(getattr(self.dtls._tx_srtp, how)(packet))
        except pylibsrtp.Error:  # a number that it has left far behind, or a header longer than the packet
            self.n_unsent += 1


async def _ignore(data: bytes) -> None:
    """Take no notice of what the server says to an attack."""


@asynccontextmanager
async def insider_on(scene: Scene) -> AsyncGenerator[Insider]:
    """A call of somebody who means harm."""
    async with scene.join("insider") as (owner, client):
        yield Insider(owner, client)


async def attack(insider: Insider, rng: random.Random, n: int) -> None:
    """Send everything that an insider can think of, in a random order, until its call ends."""
    ssrc = insider.sender._ssrc
    tag = insider.association._remote_verification_tag
    received = insider.server_pc.sctp
    ways = [
        (fuzz.rtp(rng, insider.payload_type, ssrc), insider.send_rtp),
        (fuzz.rtcp(rng, insider.their_ssrc, ssrc), insider.send_rtcp),
        (fuzz.sctp(rng, tag, lambda: received._last_received_tsn), insider.send_data),
        (fuzz.dtls(rng), insider.send),
        (fuzz.sealed(rng), insider.send),
        (fuzz.stun(rng, insider.ufrag), insider.send),
    ]
    turns = [turn for turn, part in enumerate((8, 8, 8, 1, 1, 1)) for _ in range(n * part // 8)]
    rng.shuffle(turns)
    for count, turn in enumerate(turns, 1):
        datagrams, send = ways[turn]
        send(next(datagrams))
        if count % AT_ONCE == 0:
            await asyncio.sleep(0.002)
            if not insider.is_up:
                break


def check_tables(insider: Insider) -> None:
    """What an insider's call keeps of what came is bounded."""
    receiver = insider.server_pc.getTransceivers()[0].receiver
    assert len(receiver._RTCRtpReceiver__remote_streams) <= MANY
    assert len(receiver._RTCRtpReceiver__active_ssrc) <= MANY
    assert len(receiver._RTCRtpReceiver__lsr) <= MANY
    dtls = receiver.transport
    assert len(dtls._rx_srtp._sources) <= MANY
    assert len(dtls._rtp_router.ssrc_table) <= MANY
    connection = dtls.transport._connection
    assert connection._queue.qsize() == 0
    assert len(connection._remote_candidates) <= 64
    association = insider.server_pc.sctp
    assert len(association._inbound_streams) <= sctp.MAX_STREAMS
    assert len(association._data_channels) <= sctp.MAX_STREAMS
    assert len(association._sack_misordered) <= sctp.MAX_AHEAD + 60
    held = sum(len(stream.reassembly) for stream in association._inbound_streams.values())
    assert held <= sctp.MAX_HELD + 60
    window = insider.owner.peer._path._microphone._window  # type: ignore[attr-defined]
    assert (len(window._held) <= 8, len(window._given_up) <= 100) == (True, True)


class Bounds:
    """How much of everything a process holds."""

    def __init__(self) -> None:
        gc.collect()
        self.tasks = len(asyncio.all_tasks())
        self.threads = threading.active_count()
        self.files = len(os.listdir("/proc/self/fd"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bounds) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return str(vars(self))
