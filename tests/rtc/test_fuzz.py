"""Whatever arrives, from strangers or from clients that mean harm: no other call is disturbed, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import struct
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pytest
from aioice import Candidate, Connection
from aioice.stun import Class, Message, Method

from voicertc.audio.opus import SILENCE
from voicertc.rtc import lanes, sctp
from voicertc.rtc.aiortc_patch import _gather_loopback
from voicertc.rtc.options import RtcOptions
from voicertc.rtc.peer import CallAudio, Peer

from . import fuzz, offers
from .attack import AT_ONCE, Insider, Scene, Strangers, pour
from .calls import Owner

pytestmark = pytest.mark.network

MANY = 8
"""Sources of sound that one client may have, ``aiortc_patch._N_SOURCES``."""
EXPECTED = {"datagram_refused", "sctp_refused"}
"""Warnings that a client which means harm may cause, once for each of its calls."""


@pytest.fixture(autouse=True)
def no_endless_loop() -> Iterator[None]:
    """What holds the loop for good also holds any timeout of asyncio's."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError("the event loop was held")

    former = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


@pytest.fixture(autouse=True)
def nobody_has_to_act(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is an ERROR, and of warnings each insider causes few."""
    yield
    gc.collect()  # of tasks that failed unheard
    told = Counter(
        (record.levelname, record.getMessage())
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING
    )
    assert set(told) <= {("WARNING", message) for message in EXPECTED}, told
    assert max(told.values(), default=0) <= MANY


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


# --- who has no keys --------------------------------------------------------------------------------


async def test_strangers_disturb_nobody() -> None:
    rng = random.Random(1)
    async with Scene() as scene:
        witness = scene.witness
        witness.begin(4.0)
        ufrag = witness.ufrag
        ways = [fuzz.stun(rng, ufrag), fuzz.dtls(rng), fuzz.sealed(rng)]
        shots = (next(rng.choice(ways)) for _ in range(3000))
        with Strangers(scene.local, 40) as strangers:
            n_sent = await pour(shots, strangers.send)
        await witness.end()
        assert scene.plane.port is not None
        assert scene.plane.port.dropped == n_sent, "no one's"
        assert (scene.local.n_lanes, scene.local.n_routes) == (1, 1)
    assert (scene.local.n_lanes, scene.local.n_routes) == (0, 0)


# --- who has a call of its own ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
async def test_an_insider_that_sends_anything_disturbs_nobody(seed: int) -> None:
    rng = random.Random(seed)
    before = Bounds()
    async with Scene() as scene:
        scene.witness.begin(8.0)
        for _ in range(3):
            insider = await scene.insider()
            await attack(insider, rng, 500)
            check_tables(insider)
            await insider.client.close()
        await scene.witness.end()
        await insider.owner.when(lambda: scene.local.n_lanes == 1)
        assert scene.local.n_routes == 1
        assert len(scene.local._asked) <= lanes.MAX_ASKED
    await asyncio.sleep(0.1)
    assert Bounds() == before



async def test_what_would_hold_the_loop_or_pile_up_is_refused() -> None:
    """Each of these once took seconds, or for ever: in aiortc's SCTP, in libsrtp's and in aioice's lists."""
    rng = random.Random(3)
    async with Scene() as scene:
        insider = await scene.insider()
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
        password = insider.server_pc.getTransceivers()[0].receiver.transport.transport._connection.local_password
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
    async with Scene() as scene:
        insider = await scene.insider()
        association = insider.association
        tsn = insider.server_pc.sctp._last_received_tsn
        messages = [
            struct.pack("!LHHL", tsn + 1 + n & 0xFFFF_FFFF, 1, n + 1, 51) + b"message %d" % n for n in range(9)
        ]
        tag = association._remote_verification_tag
        insider.send_data(*(fuzz.sctp_packet(tag, fuzz.chunk(0, data, flags=3)) for data in messages))
        await insider.owner.when(lambda: len(insider.owner.messages) == 9)
        assert insider.owner.messages == [f"message {n}" for n in range(9)]


@pytest.mark.parametrize("port", [0, None])
async def test_packets_that_ended_calls_do_so_no_more(port: int | None) -> None:
    """RTCP for which pylibsrtp has no room, REMB with fewer sources than it says, from us and from strangers."""
    async with Scene(RtcOptions(udp_port=port)) as scene:
        insider = await scene.insider()
        remb = struct.pack("!LL", 0, 0) + b"REMB" + bytes([255, 0, 0, 0])
        insider.send_rtcp(struct.pack("!BBH", 0x80 | 15, 206, 4) + remb)
        for second in (200, 111):
            insider.send(bytes([0x80, second]) + bytes(1700))
        insider.send(b"")
        await asyncio.sleep(0.1)
        assert insider.is_up
        before = len(insider.owner.frames)
        insider.send_rtp(struct.pack("!BBHLL", 0x80, insider.payload_type, 1, 0, 7) + SILENCE)
        await insider.owner.when(lambda: len(insider.owner.frames) > before)


async def test_a_client_may_negotiate_while_it_is_attacked_and_attacks() -> None:
    rng = random.Random(4)
    async with Scene() as scene:
        insider = await scene.insider()
        scene.witness.begin(4.0)
        attacking = asyncio.create_task(attack(insider, rng, 200))
        for owner, client in ((scene.witness.owner, scene.witness.client), (insider.owner, insider.client)):
            client._target = owner.peer.answer_again
            for _ in range(5):
                await client.offer_again()
                await asyncio.sleep(0.05)
        await attacking
        await scene.witness.end()
        check_tables(insider)


async def test_what_comes_before_the_keys_is_not_kept() -> None:
    """A client that is reached by ICE and never begins DTLS, but sends all it has."""
    options = RtcOptions(connect_timeout=2.0)
    async with Scene(options) as scene:
        owner = Owner(options)
        await owner.close()
        owner.plane = scene.plane
        owner.peer = Peer(CallAudio(owner.playout, owner.hear), owner, scene.plane, options)
        ice = Connection(ice_controlling=True, components=1)
        lines = [f"a=ice-ufrag:{ice.local_username}", f"a=ice-pwd:{ice.local_password}"]
        text = offers.HEAD + offers.audio(lines=[*lines, offers.FINGERPRINT, "a=setup:active"])
        answer = await owner.answer(text)
        ice.remote_username = answer.partition("a=ice-ufrag:")[2].split()[0]
        ice.remote_password = answer.partition("a=ice-pwd:")[2].split()[0]
        _gather_loopback(ice, only=True)
        await ice.gather_candidates()
        for line in answer.splitlines():
            if line.startswith("a=candidate:"):
                await ice.add_remote_candidate(Candidate.from_sdp(line.removeprefix("a=candidate:")))
        await ice.add_remote_candidate(None)
        await ice.connect()
        server = owner.peer._connection.pc.getTransceivers()[0].receiver.transport.transport._connection
        rng = random.Random(5)
        for datagram in islice(fuzz.sealed(rng), 2000):
            await ice.send(datagram)
        await asyncio.sleep(0.1)
        assert server._queue.qsize() <= 256
        await owner.until("closed", "never_connected")
        await owner.peer.close()
        await ice.close()


# --- what is left -------------------------------------------------------------------------------------


async def test_rounds_of_insiders_leave_no_memory() -> None:
    rng = random.Random(6)
    sizes = []
    async with Scene() as scene:
        for _ in range(6):
            insider = await scene.insider()
            await attack(insider, rng, 100)
            await insider.client.close()
            await insider.owner.peer.close()
            del insider
            gc.collect()
            if not tracemalloc.is_tracing():
                tracemalloc.start()
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert scene.local.n_lanes == 1
    print(sizes)
