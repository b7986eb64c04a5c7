from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from voicertc.audio.opus import Coding, CodingMode, OpusDecoder
from voicertc.audio.playout import PlayoutBuffer
from voicertc.rtc.track_speaker import TrackSpeaker
from voicertc.rtc.voice import Voice
from voicertc.testing import virtual_time

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(2400) / 24_000)).astype(np.int16)
"""100 ms, five packets."""


class NotedVoice(Voice):
    """Notes what the last packet was."""

    kind = ""

    def next(self, now: float) -> bytes | None:
        NotedVoice.kind = "sound"
        return super().next(now)

    def hush(self) -> bytes:
        NotedVoice.kind = "silence"
        return super().hush()

    def rest(self) -> bytes:
        NotedVoice.kind = "silence"
        return super().rest()


def make(playout: PlayoutBuffer) -> TrackSpeaker:
    speaker = TrackSpeaker(NotedVoice(playout, Coding(CodingMode.LOSSY, 40_000)))
    playout.on_data = speaker.wake
    return speaker


async def listen(speaker: TrackSpeaker, until: float) -> list[tuple[float, int, bool]]:
    """Take packets as aiortc's sender does: when each came, its RTP time in ms, whether it holds sound."""
    loop = asyncio.get_running_loop()
    heard: list[tuple[float, int, bool]] = []

    async def take() -> None:
        while True:
            packet = await speaker.recv()
            assert packet.pts is not None
            heard.append((round(loop.time(), 4), packet.pts // 48, NotedVoice.kind == "sound"))

    task = asyncio.create_task(take())
    await asyncio.sleep(until - loop.time())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return heard


def run(story: Coroutine[None, None, list[tuple[float, int, bool]]]) -> list[tuple[float, int, bool]]:
    return virtual_time.run(story)


def test_silence_is_five_packets_and_then_one_per_400_ms() -> None:
    async def story() -> list[tuple[float, int, bool]]:
        return await listen(make(PlayoutBuffer()), until=1.0)

    assert run(story()) == [
        (0.0, 0, False),
        (0.02, 20, False),
        (0.04, 40, False),
        (0.06, 60, False),
        (0.08, 80, False),
        (0.48, 480, False),
        (0.88, 880, False),
    ]


def test_sound_leaves_the_moment_it_comes_and_silence_is_told_after_it() -> None:
    async def story() -> list[tuple[float, int, bool]]:
        playout = PlayoutBuffer()
        speaker = make(playout)
        playout.begin("r")
        asyncio.get_running_loop().call_at(0.207, playout.append, "r", TONE)
        return [packet for packet in await listen(speaker, until=0.9) if packet[0] > 0.1]

    assert run(story()) == [
        (0.207, 207, True),
        (0.227, 227, True),
        (0.247, 247, True),
        (0.267, 267, True),
        (0.287, 287, True),
        (0.307, 307, False),
        (0.327, 327, False),
        (0.347, 347, False),
        (0.367, 367, False),
        (0.387, 387, False),
        (0.787, 787, False),
    ]


def test_what_comes_while_the_reply_is_held_wakes_nobody() -> None:
    async def story() -> list[tuple[float, int, bool]]:
        playout = PlayoutBuffer()
        speaker = make(playout)
        playout.begin("r")
        playout.hold("r")
        loop = asyncio.get_running_loop()
        for ms in range(100, 200, 5):
            loop.call_at(ms / 1000, playout.append, "r", TONE[:120])
        loop.call_at(0.31, playout.resume, "r")
        return [packet for packet in await listen(speaker, until=0.36) if packet[0] > 0.1]

    assert run(story()) == [(0.31, 310, True), (0.33, 330, True), (0.35, 350, True)]


def test_a_stalled_loop_skips_rtp_time_and_loses_no_sound() -> None:
    async def story() -> list[tuple[float, int, bool]]:
        playout = PlayoutBuffer()
        speaker = make(playout)
        playout.begin("r")
        playout.append("r", TONE)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        loop.call_at(0.021, loop.jump, 0.1)
        heard = await listen(speaker, until=0.19)
        assert speaker.skipped == 4
        return heard

    assert run(story()) == [
        (0.0, 0, True),
        (0.02, 20, True),
        (0.121, 120, True),
        (0.14, 140, True),
        (0.16, 160, True),
        (0.18, 180, False),
    ]


def test_what_is_said_is_what_is_decoded() -> None:
    async def story() -> list[bytes]:
        playout = PlayoutBuffer()
        speaker = make(playout)
        playout.begin("r")
        playout.append("r", np.tile(TONE, 10))
        return [bytes(await speaker.recv()) for _ in range(50)]

    decoder = OpusDecoder(rate_hz=24_000)
    heard = np.concatenate([decoder.decode(packet) for packet in virtual_time.run(story())])
    spectrum = np.abs(np.fft.rfft(heard[4800:].astype(np.float64)))
    assert round(np.argmax(spectrum) * 24_000 / len(heard[4800:])) == 440
    level = np.sqrt(np.mean(np.square(heard[4800:].astype(np.float64)))) / (8000 / np.sqrt(2))
    assert 0.9 < level < 1.1


def test_a_track_that_was_stopped_gives_no_packet() -> None:
    async def story() -> None:
        speaker = make(PlayoutBuffer())
        speaker.stop()
        speaker.stop()
        with pytest.raises(MediaStreamError):
            await speaker.recv()

    virtual_time.run(story())
