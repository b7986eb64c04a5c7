"""Whatever is said and however the loop stalls: packets leave at their time, never in a burst."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from aiortc.rtcdtlstransport import State
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicertc.audio.opus import Coding, CodingMode
from voicertc.audio.pcm import Samples
from voicertc.audio.playout import PlayoutBuffer
from voicertc.rtc import aiortc_patch
from voicertc.rtc.media_clock import SLOT, MediaClock
from voicertc.rtc.pacing import RTP_HZ, TICK
from voicertc.rtc.rtp import parse
from voicertc.rtc.speaker import Speaker
from voicertc.rtc.voice import Voice
from voicertc.testing import virtual_time

SOUND: Samples = (8000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.int16)

pauses = st.floats(0, 0.3).map(lambda seconds: round(seconds, 4))
acts = st.one_of(
    st.tuples(st.just("say"), st.integers(1, 4000)),
    st.tuples(st.just("stall"), st.floats(0.001, 1.5)),
    st.tuples(st.just("need"), st.booleans()),
    st.tuples(st.just("code"), st.sampled_from([Coding(), Coding(CodingMode.LOSSY, 40_000, 10)])),
    st.tuples(st.sampled_from(["hold", "resume", "cancel", "wake"]), st.none()),
)


class Noise:
    """A bed that is mixed while it is needed."""

    def __init__(self) -> None:
        self.on_needed = None
        self.is_needed = False

    def mix(self, reply: Samples | None) -> Samples | None:
        return SOUND[:480] if self.is_needed else reply


class Network:
    """What an ``RtpOutput`` is given instead of aiortc, and what it sent: when, and as which packet."""

    def __init__(self) -> None:
        self.left: list[tuple[float, bytes]] = []
        self._loop = asyncio.get_running_loop()
        pair = SimpleNamespace(protocol=SimpleNamespace(transport=self), remote_addr=("192.0.2.1", 9))
        self._connection = SimpleNamespace(_nominated={1: pair})
        self._state = State.CONNECTED
        self._tx_srtp = SimpleNamespace(protect=lambda data: data)
        self.transport = self
        self._ssrc = 0xFFFF_FFFF
        codec = SimpleNamespace(payloadType=111)
        self.output = aiortc_patch.RtpOutput(SimpleNamespace(sender=self, _codecs=[codec]))  # type: ignore[arg-type]

    def sendto(self, data: bytes, address: object) -> None:
        self.left.append((self._loop.time(), data))


async def told(story: list[tuple[float, tuple[str, Any]]]) -> tuple[Network, Speaker, list[Exception]]:
    network, playout, noise, crashes = Network(), PlayoutBuffer(), Noise(), list[Exception]()
    voice = Voice(playout, Coding(), noise)
    speaker = Speaker(voice, MediaClock(), network.output.send, crashes.append)
    playout.on_data = speaker.wake
    speaker.start()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual_time.VirtualTimeLoop)
    reply_id = ""
    for n, (pause, (act, value)) in enumerate(story):
        await asyncio.sleep(pause)
        match act:
            case "say":
                playout.cancel(reply_id, loop.time())
                reply_id = f"reply-{n}"
                playout.begin(reply_id)
                playout.append(reply_id, SOUND[:value])
                playout.finish(reply_id)
            case "stall":
                loop.jump(value)
            case "need":
                noise.is_needed = value
                speaker.wake()
            case "code":
                voice.coding = value
            case "hold":
                playout.hold(reply_id)
            case "resume":
                playout.resume(reply_id)
            case "cancel":
                playout.cancel(reply_id, loop.time())
            case _:
                speaker.wake()
    await asyncio.sleep(1.0)
    speaker.stop()
    return network, speaker, crashes


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(pauses, acts), max_size=25))
@example([(0.06, ("wake", None)), (0.0156, ("say", 1))])  # silence must not run ahead of its time
def test_packets_leave_at_their_time_and_follow_each_other(
    story: list[tuple[float, tuple[str, Any]]],
) -> None:
    network, _, crashes = virtual_time.run(told(story))
    assert crashes == []
    packets = [(at, packet) for at, data in network.left if (packet := parse(data))]
    assert len(packets) == len(network.left) >= 3
    for (_, before), (_, packet) in pairwise(packets):
        assert (packet.sequence_number - before.sequence_number) & 0xFFFF == 1
        assert 960 <= (packet.timestamp - before.timestamp) & 0xFFFF_FFFF < 2**31
    for at, packet in packets:
        # A tick early, if it was woken behind another; less than a tick late, however long the loop stood.
        late = at - ((packet.timestamp - network.output._offset) & 0xFFFF_FFFF) / RTP_HZ
        assert -TICK - 2 * SLOT <= late < TICK + 2 * SLOT
    assert {packet.ssrc for _, packet in packets} == {0xFFFF_FFFF}


def test_numbers_and_time_stamps_wrap() -> None:
    async def run() -> list[bytes]:
        network = Network()
        network.output._sequence_number = 0xFFFE
        network.output._offset = 2**32 - 1000
        for n in range(4):
            network.output.send(b"x", n * 960)
        return [data for _, data in network.left]

    packets = [parse(data) for data in virtual_time.run(run())]
    assert [packet and packet.sequence_number for packet in packets] == [0xFFFE, 0xFFFF, 0, 1]
    assert [packet and packet.timestamp for packet in packets] == [2**32 - 1000, 2**32 - 40, 920, 1880]
