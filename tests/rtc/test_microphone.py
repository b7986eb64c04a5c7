from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.audio.opus import Coding, CodingMode, OpusEncoder, silence_packet
from voicertc.audio.pcm import PcmFrame, Samples
from voicertc.rtc.microphone import Microphone
from voicertc.rtc.rtp import RtpPacket
from voicertc.testing import virtual_time

N = 960
"""Ticks of a packet of 20 ms."""


def tone(n_packets: int, hz: float = 440.0) -> Samples:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(320 * n_packets) / 16_000)).astype(np.int16)


def encoded(
    sound: Samples, *, loss_percent: int = 0, mode: CodingMode = CodingMode.LOSSY, level: int | None = None
) -> list[RtpPacket]:
    """Packets as a browser sends them, numbered and stamped from just below where both wrap."""
    encoder = OpusEncoder(rate_hz=16_000, coding=Coding(mode, 40_000, loss_percent))
    return [
        RtpPacket(
            111,
            65_530 + n & 0xFFFF,
            2**32 - 3 * N + n * N & 0xFFFF_FFFF,
            7,
            encoder.encode(sound[320 * n : 320 * n + 320]),
            level,
        )
        for n in range(len(sound) // 320)
    ]


class Hearing:
    """What a microphone makes of packets that arrive at given times, in seconds since the call began."""

    def __init__(self) -> None:
        self.frames: list[PcmFrame] = []
        self.when: list[float] = []
        self.is_idle = False
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self.microphone = Microphone(self._hear, began=loop.time(), is_idle=lambda: self.is_idle)

    def _hear(self, frame: PcmFrame) -> None:
        self.frames.append(PcmFrame(frame.samples.copy(), frame.position))
        self.when.append(round(self._now(), 4))

    @property
    def positions(self) -> list[float]:
        """Where frames begin, in ms."""
        return [frame.position / 16 for frame in self.frames]

    @property
    def sound(self) -> Samples:
        return np.concatenate([frame.samples for frame in self.frames])


def heard(
    arrivals: Iterable[tuple[float, RtpPacket]],
    *,
    until: float | None = None,
    tell: Callable[[Hearing], None] = lambda hearing: None,
) -> Hearing:
    async def run() -> Hearing:
        hearing = Hearing()
        tell(hearing)
        loop = asyncio.get_running_loop()
        last = 0.0
        for at, packet in arrivals:
            await asyncio.sleep(max(0.0, at - loop.time()))
            hearing.microphone.take(packet, loop.time())
            last = at
        await asyncio.sleep((last + 0.5 if until is None else until) - loop.time())
        hearing.microphone.close()
        return hearing

    return virtual_time.run(run())


def in_time(packets: Iterable[RtpPacket], begin: float = 0.02) -> list[tuple[float, RtpPacket]]:
    return [(round(begin + 0.02 * n, 4), packet) for n, packet in enumerate(packets)]


def test_each_packet_is_heard_the_moment_it_comes() -> None:
    hearing = heard(in_time(encoded(tone(50))))
    assert hearing.when == [round(0.02 + 0.02 * n, 4) for n in range(50)]
    assert hearing.positions == [20 * n for n in range(50)]
    spectrum = np.abs(np.fft.rfft(hearing.sound[3200:].astype(np.float64)))
    assert round(np.argmax(spectrum) * 16_000 / len(hearing.sound[3200:])) == 440


def test_a_lost_packet_delays_two_and_leaves_no_trace_in_time() -> None:
    arrivals = in_time(encoded(tone(50), loss_percent=10))
    del arrivals[20]
    hearing = heard(arrivals)
    assert hearing.positions == [20 * n for n in range(50)], "no gap, and nothing twice"
    delays = [
        round(when - position / 1000 - 0.02, 4)
        for when, position in zip(hearing.when, hearing.positions, strict=True)
    ]
    assert delays[:20] == [0.0] * 20
    assert delays[20:23] == [0.04, 0.02, 0.0], "the next ones at once"
    assert delays[23:] == [0.0] * 27
    counters = hearing.microphone.count()
    assert (counters.n_packets, counters.n_lost, counters.n_recovered, counters.n_late) == (49, 1, 1, 0)


def test_what_fec_restores_is_closer_to_what_was_said_than_what_is_made_up() -> None:
    rising = (8000 * np.sin(2 * np.pi * np.cumsum(np.linspace(200, 900, 16_000)) / 16_000)).astype(np.int16)
    whole = heard(in_time(encoded(rising, loss_percent=10))).sound.astype(np.float64)
    errors = []
    for loss_percent in (10, 0):
        packets = encoded(rising, loss_percent=loss_percent)
        kept = [(at, packet) for n, (at, packet) in enumerate(in_time(packets)) if n % 5 != 4 or n > 45]
        hearing = heard(kept)
        assert len(hearing.sound) == 16_000
        counters = hearing.microphone.count()
        assert (counters.n_recovered > 0) == (loss_percent > 0)
        errors.append(np.sqrt(np.mean(np.square(hearing.sound - whole))))
    assert errors[0] < 0.6 * errors[1]


def test_a_burst_is_filled_for_100_ms_and_its_end_from_the_next_packet() -> None:
    arrivals = in_time(encoded(tone(60), loss_percent=20))
    del arrivals[8:28]  # libopus keeps a tone twice for half a second, then it takes it for noise
    hearing = heard(arrivals)
    missing = sorted(set(range(0, 1200, 20)) - {round(position) for position in hearing.positions})
    assert missing == list(range(260, 540, 20)), "100 ms made up, then nothing, then 20 ms restored"
    assert hearing.microphone.count().n_concealed == 1600


def test_a_hole_before_silence_is_closed_by_the_clock_not_by_a_packet() -> None:
    arrivals = in_time(encoded(tone(10)))
    del arrivals[8]
    hearing = heard(arrivals, until=1.0)
    assert hearing.when[-1] == pytest.approx(0.2 + 0.04)
    assert hearing.positions == [20 * n for n in range(10)]


def test_swapped_pairs_are_put_right_and_nothing_is_thrown_away() -> None:
    arrivals = in_time(encoded(tone(60)))
    for n in range(10, 50, 7):
        (early, first), (late, second) = arrivals[n : n + 2]
        arrivals[n : n + 2] = [(early, second), (late, first)]
    hearing = heard(arrivals)
    np.testing.assert_array_equal(hearing.sound, heard(in_time(encoded(tone(60)))).sound)
    assert hearing.microphone.count().n_lost == 0


def test_silence_that_was_not_sent_is_as_long_as_it_was() -> None:
    packets = encoded(tone(10))
    marker = silence_packet(CodingMode.LOSSY)
    sent = in_time(packets)
    for n in range(5):  # DTX: a packet each 400 ms, numbered on
        stamp = packets[-1].timestamp + N + n * 20 * N & 0xFFFF_FFFF
        packet = RtpPacket(111, packets[-1].sequence_number + 1 + n, stamp, 7, marker)
        sent.append((0.22 + 0.4 * n, packet))
    hearing = heard(sent)
    assert hearing.positions == [20 * n for n in range(10)] + [200 + 400 * n for n in range(5)]
    assert hearing.when[9] == 0.2, "the last of the speech waits for nothing"


def test_ten_minutes_with_pauses_and_losses_stay_with_the_senders_clock() -> None:
    speech = encoded(tone(50), loss_percent=10)
    chance = random.Random(1)
    drift = 1.0001  # the sender's second, in ours
    sent, number = [], 0
    for second in range(600):
        for n, packet in enumerate(speech[: 50 if second % 3 else 20]):
            at = (second + 0.02 * n) * drift
            stamp = 48_000 * second + N * n
            if chance.random() > 0.05:
                sent.append((0.02 + at, packet._replace(sequence_number=number & 0xFFFF, timestamp=stamp)))
            number += 1
    hearing = heard(sent)
    stamps = {round(position) for position in hearing.positions}
    assert all(abs(position / 20 - round(position / 20)) < 0.06 for position in hearing.positions)
    last = sent[-1][1].timestamp / 48
    assert abs(hearing.positions[-1] - last) < 20
    assert len(stamps) == len(hearing.positions)


def quiet(n_packets: int, first: int, level: int = 90) -> list[RtpPacket]:
    packets = encoded(np.zeros(320 * n_packets, np.int16), level=level)
    return [
        packet._replace(sequence_number=first + n, timestamp=(first + n) * N)
        for n, packet in enumerate(packets)
    ]


def spoken(n_packets: int, first: int) -> list[RtpPacket]:
    packets = encoded(tone(n_packets), level=30)
    return [
        packet._replace(sequence_number=first + n, timestamp=(first + n) * N)
        for n, packet in enumerate(packets)
    ]


def test_silence_is_not_decoded_while_nobody_speaks_and_an_onset_loses_nothing() -> None:
    packets = quiet(200, 0) + spoken(20, 200)

    def idle(hearing: Hearing) -> None:
        hearing.is_idle = True

    hearing = heard(in_time(packets), tell=idle)
    first = hearing.positions.index(20.0 * (200 - 25))
    assert hearing.positions[:first] == [20 * n for n in range(50)], "a call's first second is heard"
    assert hearing.positions[first:] == [20 * n for n in range(175, 220)], "with half a second before it"
    assert hearing.when[first] == hearing.when[first + 25] == round(0.02 + 0.02 * 200, 4)
    reference = heard(in_time(packets))
    np.testing.assert_allclose(
        hearing.sound[-20 * 320 :].astype(int), reference.sound[-20 * 320 :].astype(int), atol=40
    )


def test_silence_is_heard_while_somebody_speaks_or_says_nothing_of_levels() -> None:
    assert len(heard(in_time(quiet(100, 0))).frames) == 100, "a turn is open"

    def idle(hearing: Hearing) -> None:
        hearing.is_idle = True

    unknown = [packet._replace(level=None) for packet in quiet(100, 0)]
    assert len(heard(in_time(unknown), tell=idle).frames) == 100
    soft = quiet(100, 0, level=60)
    assert len(heard(in_time(soft), tell=idle).frames) == 100, "soft is not silent"


def test_a_turn_that_opens_within_silence_has_what_was_kept() -> None:
    def wake(hearing: Hearing) -> None:
        hearing.is_idle = True
        asyncio.get_running_loop().call_at(3.001, setattr, hearing, "is_idle", False)

    hearing = heard(in_time(quiet(160, 0)), tell=wake)
    assert hearing.positions[50:] == [20 * n for n in range(125, 160)]


def test_another_source_goes_on_where_the_time_has_come_to() -> None:
    first = encoded(tone(10))
    second = [packet._replace(ssrc=8, sequence_number=5 + n) for n, packet in enumerate(encoded(tone(10)))]
    hearing = heard(in_time(first) + in_time(second, begin=0.52))
    assert hearing.positions == [20 * n for n in range(20)] or hearing.positions == [
        20 * n for n in range(10)
    ] + [500 + 20 * n for n in range(10)]


def test_packets_of_60_and_10_ms_become_frames_of_20() -> None:
    short = encoded(tone(30))
    # Two and three frames in one packet, as some phones send (RFC 6716 §3.2, codes 1 and 3).
    sent = []
    for n in range(0, 30, 3):
        frames = [packet.payload[1:] for packet in short[n : n + 3]]
        lengths = b"".join(
            bytes([len(frame)])
            if len(frame) < 252
            else bytes([252 + (len(frame) & 3), (len(frame) - 252) >> 2])
            for frame in frames[:-1]
        )
        payload = bytes([short[n].payload[0] | 3, 0x80 | 3]) + lengths + b"".join(frames)
        sent.append((0.06 + 0.02 * n, RtpPacket(111, n // 3, n * N, 7, payload)))
    hearing = heard(sent)
    assert hearing.positions == [20 * n for n in range(30)]
    np.testing.assert_array_equal(hearing.sound, heard(in_time(short)).sound)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 65_535),
            st.integers(0, 2**32 - 1),
            st.sampled_from([7, 7, 7, 8]),
            st.one_of(
                st.binary(max_size=60), st.sampled_from([packet.payload for packet in encoded(tone(3))])
            ),
            st.sampled_from([None, 0, 90, 127]),
            st.floats(0, 0.2),
        ),
        max_size=60,
    ),
    st.booleans(),
)
def test_no_packets_do_harm(
    arrivals: list[tuple[int, int, int, bytes, int | None, float]], is_idle: bool
) -> None:
    at, sent = 0.0, []
    for number, stamp, ssrc, payload, level, pause in arrivals:
        at += pause
        sent.append((at, RtpPacket(111, number, stamp, ssrc, payload, level)))

    def tell(hearing: Hearing) -> None:
        hearing.is_idle = is_idle

    hearing = heard(sent, tell=tell)
    positions = [frame.position for frame in hearing.frames]
    assert all(after >= before + 320 for before, after in pairwise(positions))
    assert not positions or positions[-1] < (at + 2.0) * 16_000 + 1920 * len(sent)
