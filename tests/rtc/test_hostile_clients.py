"""Attacks found by reading aiortc, aioice and pylibsrtp: each once hurt other calls, or ended its own."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from itertools import islice

import pytest
from aioice.stun import Class, Message, Method

from voicertc.audio.opus import SILENCE
from voicertc.rtc import lanes
from voicertc.rtc.options import RtcOptions

from . import fuzz, offers
from .attack import Scene, Strangers, pour
from .insider import check_tables, insider_on

pytestmark = [
    pytest.mark.network,
    pytest.mark.usefixtures("nobody_holds_the_loop", "nobody_has_to_act"),
]


async def test_what_would_hold_the_loop_or_pile_up_is_refused() -> None:
    """Each of these once took seconds, or for ever: in aiortc's SCTP, in libsrtp's and in aioice's lists."""
    rng = random.Random(3)
    async with Scene() as scene, insider_on(scene) as insider:
        tag = insider.association._remote_verification_tag
        received = insider.server_pc.sctp
        scene.witness.begin(4.0)
        insider.send_data(fuzz.sctp_packet(tag, fuzz.chunk(4, bytes([0, 1, 0, 0]))))
        gaps = struct.pack("!LLHH", 0, 0, 280, 0) + bytes([0, 1, 255, 255]) * 280
        insider.send_data(fuzz.sctp_packet(tag, fuzz.chunk(3, gaps)))
        ahead = (struct.pack("!LHHL", tsn, 0, 0, 51) + b"x" for tsn in range(0, 2**32, 2**32 // 3000))
        await pour((fuzz.sctp_packet(tag, fuzz.chunk(0, data)) for data in ahead), insider.send_data)
        for first in range(0, 65_536, 256):
            tsn = struct.pack("!L", received._last_received_tsn + 1 & 0xFFFF_FFFF)
            streams = b"".join(struct.pack("!HH", first + n, 0) for n in range(256))
            insider.send_data(fuzz.sctp_packet(tag, fuzz.chunk(192, tsn + streams)))
        await pour((_from_source(rng, n) for n in range(1000)), insider.send_rtp)
        await pour((struct.pack("!BBHL", 0x80, 201, 1, n) for n in range(1000)), insider.send_rtcp)
        password = insider.server_pc.getTransceivers()[
            0
        ].receiver.transport.transport._connection.local_password
        name = f"{insider.ufrag}:{insider.dtls.transport._connection.local_username}"
        with Strangers(scene.local, 200) as strangers:
            await pour((_check(name, password) for _ in range(400)), strangers.send)
            check_tables(insider)
            assert scene.local.n_routes <= 1 + lanes.MAX_ROUTES
        await scene.witness.end()
        assert insider.is_up


def _from_source(rng: random.Random, source: int) -> bytes:
    return struct.pack("!BBHLL", 0x80, 96, 1, 0, source) + rng.randbytes(20)


def _check(name: str, password: str) -> bytes:
    message = Message(Method.BINDING, Class.REQUEST, attributes={"USERNAME": name, "PRIORITY": 1})
    message.add_message_integrity(password.encode())
    return bytes(message)


async def test_several_records_of_one_datagram_are_all_read() -> None:
    """aiortc takes one for each datagram: the others would pile up, and each message come one too late."""
    async with Scene() as scene, insider_on(scene) as insider:
        tag = insider.association._remote_verification_tag
        next_tsn = insider.server_pc.sctp._last_received_tsn + 1
        [stream] = insider.association._data_channels
        messages = [
            struct.pack("!LHHL", next_tsn + n & 0xFFFF_FFFF, stream, n + 1, 51) + b"message %d" % n
            for n in range(9)
        ]
        insider.send_data(*(fuzz.sctp_packet(tag, fuzz.chunk(0, data, flags=3)) for data in messages))
        await insider.owner.when(lambda: len(insider.owner.messages) == 9)
        assert insider.owner.messages == [f"message {n}" for n in range(9)]


@pytest.mark.parametrize("port", [0, None])
async def test_packets_that_ended_calls_do_so_no_more(port: int | None) -> None:
    """RTCP for which pylibsrtp has no room, REMB with fewer sources than it says, unreadable STUN."""
    async with Scene(RtcOptions(udp_port=port)) as scene, insider_on(scene) as insider:
        remb = struct.pack("!LL", 0, 0) + b"REMB" + bytes([255, 0, 0, 0])
        insider.send_rtcp(struct.pack("!BBH", 0x80 | 15, 206, 4) + remb)
        server = insider.dtls.transport._connection._nominated[1].remote_addr
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for second in (200, 111):
                insider.send(bytes([0x80, second]) + bytes(1700))
                stranger.sendto(bytes([0x80, second]) + bytes(1700), server)
            for datagram in islice(fuzz.stun(random.Random(7), insider.ufrag), 200):
                stranger.sendto(datagram, server)
            insider.send(b"")
            stranger.sendto(b"", server)
        await asyncio.sleep(0.1)
        assert insider.is_up
        before = len(insider.owner.frames)
        insider.send_rtp(struct.pack("!BBHLL", 0x80, insider.payload_type, 1, 0, 7) + SILENCE)
        await insider.owner.when(lambda: len(insider.owner.frames) > before)


async def test_what_comes_before_the_keys_is_not_kept() -> None:
    """A client that is checked and never nominates an address, so that DTLS never begins."""
    async with Scene() as scene:
        owner = await scene.owner("nobody")
        answer = await owner.answer(offers.HEAD + offers.audio())
        ufrag, password = (answer.partition(f"a=ice-{name}:")[2].split()[0] for name in ("ufrag", "pwd"))
        server = owner.peer._connection.pc.getTransceivers()[0].receiver.transport.transport._connection
        rng = random.Random(5)
        with Strangers(scene.local, 1) as client:
            client.send(_check(f"{ufrag}:frag", password))
            await pour((b"\x80\xc8" + rng.randbytes(1200) for _ in range(600)), client.send)
            await pour(islice(fuzz.dtls(rng), 600), client.send)
            assert scene.local.n_routes == 2
            assert server._queue.qsize() == 256
        await owner.peer.close()
