"""Whatever a client puts into packets: what is heard goes on, and nothing crashes."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicertc.audio.concealment import ConcealingDecoder
from voicertc.audio.opus import Coding, CodingMode, OpusEncoder
from voicertc.audio.pcm import PcmFrame, Samples
from voicertc.rtc.microphone import Microphone
from voicertc.rtc.rtp import RtpPacket
from voicertc.testing import virtual_time

TONE: Samples = (8000 * np.sin(2 * np.pi * 440 * np.arange(480) / 24_000)).astype(np.int16)
BROKEN_WITH_FEC = bytes([0x09, 0x40, 0x40, 0x40])
"""SILK, two frames of equal length in three bytes, which cannot be; its first bits say that it has FEC."""


def speech() -> list[bytes]:
    encoder = OpusEncoder(coding=Coding(CodingMode.LOSSY, 40_000, 20))
    return [encoder.encode(TONE) for _ in range(3)] + [OpusEncoder().encode(TONE)]


SPEECH = speech()
PAYLOADS = st.one_of(
    st.sampled_from(SPEECH),
    st.binary(max_size=30),
    st.sampled_from(SPEECH).flatmap(lambda packet: st.integers(1, len(packet)).map(lambda n: packet[:n])),
    st.tuples(st.integers(0, 127), st.binary(min_size=1, max_size=30)).map(lambda it: bytes([it[0]]) + it[1]),
)
"""Good speech, any bytes, speech cut off, and what SILK and hybrid, which may have FEC, could be."""


def test_a_broken_packet_behind_a_hole_is_no_reason_to_give_up() -> None:
    decoder = ConcealingDecoder()
    for packet in SPEECH[:3]:
        decoder.decode(packet)
    head, tail = decoder.fill(2, 4 * 960, BROKEN_WITH_FEC)
    assert len(tail) == 0
    assert 0 <= len(head) <= 2 * 320
    assert decoder.n_recovered == 0
    assert len(decoder.decode(SPEECH[0])) == 320


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 1, 1, 2, 3, 5, 0, -1, 200]),
            st.sampled_from([960, 960, 480, 120, 2880, 5760, 0, -960, 48_000, 2**31]),
            PAYLOADS,
            st.sampled_from([None, None, 30, 127]),
            st.sampled_from([0.02, 0.0, 0.005, 0.06, 0.3]),
        ),
        max_size=40,
    ),
    st.booleans(),
)
@example([(1, 960, SPEECH[0], None, 0.02), (2, 1920, BROKEN_WITH_FEC, None, 0.3)], False)
def test_positions_rise_and_stay_near_real_time(
    arrivals: list[tuple[int, int, bytes, int | None, float]], is_idle: bool
) -> None:
    frames: list[tuple[float, PcmFrame]] = []
    crashes: list[Exception] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        microphone = Microphone(
            lambda frame: frames.append((loop.time(), frame)),
            began=0.0,
            is_idle=lambda: is_idle,
            on_crash=crashes.append,
        )
        number, stamp = 65_500, 2**32 - 5000
        for n_numbers, n_ticks, payload, level, pause in arrivals:
            await asyncio.sleep(pause)
            number, stamp = number + n_numbers & 0xFFFF, stamp + n_ticks & 0xFFFF_FFFF
            microphone.take(RtpPacket(111, number, stamp, 7, payload, level), loop.time())
        await asyncio.sleep(1.0)
        microphone.close()

    virtual_time.run(run())
    assert crashes == []
    for (_, before), (_, after) in pairwise(frames):
        assert after.position >= before.position + 320
    assert all(frame.position / 16_000 < at + 0.65 for at, frame in frames), "half a second, and a packet"


def test_who_hears_and_raises_is_told_of_by_the_timer_too() -> None:
    crashes: list[Exception] = []

    def hear(frame: PcmFrame) -> None:
        if frame.position:
            raise ZeroDivisionError

    async def run() -> None:
        microphone = Microphone(hear, began=0.0, on_crash=crashes.append)
        microphone.take(RtpPacket(111, 1, 0, 7, SPEECH[0]), 0.0)
        microphone.take(RtpPacket(111, 3, 1920, 7, SPEECH[1]), 0.0)
        await asyncio.sleep(1.0)

    virtual_time.run(run())
    assert [type(crash) for crash in crashes] == [ZeroDivisionError]


def test_who_closes_it_while_it_hears_hears_no_more_later() -> None:
    heard: list[int] = []

    async def run() -> None:
        def hear(frame: PcmFrame) -> None:
            heard.append(frame.position)
            if len(heard) == 2:
                microphone.close()

        microphone = Microphone(hear, began=0.0)
        for number in (1, 3, 2, 5):  # 3 waits for 2, and is heard with it
            microphone.take(RtpPacket(111, number, 960 * number, 7, SPEECH[0]), 0.0)
        await asyncio.sleep(1.0)

    virtual_time.run(run())
    assert len(heard) == 3, "5 was given up by no timer"
