"""Whatever arrives, from strangers or from clients that mean harm: no other call is disturbed, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from voicertc.rtc import lanes, sctp

from . import fuzz
from .attack import AT_ONCE, Insider, Scene, Strangers, pour

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

