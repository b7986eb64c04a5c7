from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from voicertc.audio.clips import ClipEncoder
from voicertc.audio.opus import Coding, CodingMode, OpusDecoder
from voicertc.audio.pcm import Samples
from voicertc.audio.playout import PlayoutBuffer
from voicertc.rtc.media_clock import MediaClock
from voicertc.rtc.speaker import Speaker
from voicertc.rtc.voice import Voice
from voicertc.testing import virtual_time

TONE: Samples = (8000 * np.sin(2 * np.pi * 440 * np.arange(2400) / 24_000)).astype(np.int16)
"""100 ms, five packets."""

Left = tuple[float, int, str]
"""When a packet left and its RTP time, both in ms, and what it is."""


class NotedVoice(Voice):
    """Notes of each packet what it is: sound, the hush behind it, or a rest."""

    kind = ""

    def next(self, now: float) -> bytes | None:
        self.kind = "sound"
        return super().next(now)

    def hush(self) -> bytes:
        packet = super().hush()
        self.kind = "hush"
        return packet

    def rest(self) -> bytes:
        self.kind = "rest"
        return super().rest()


class Story:
    """A call that plays, and the packets that leave."""

    def __init__(self, mode: CodingMode) -> None:
        self.playout = PlayoutBuffer()
        self.crashes: list[Exception] = []
        self.voice = NotedVoice(self.playout, Coding(mode))
        self.speaker = Speaker(self.voice, MediaClock(), self._take, self.crashes.append)
        self.playout.on_data = self.speaker.wake
        self.payloads: list[bytes] = []
        self.left: list[Left] = []
        self.marked: list[float] = []
        self._now = asyncio.get_running_loop().time

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_at(seconds, act)

    def say(self, sound: Samples = TONE, reply_id: str = "r") -> None:
        self.playout.begin(reply_id)
        self.playout.append(reply_id, sound)
        self.playout.finish(reply_id)

    def _take(self, payload: bytes, rtp_time: int, is_first: bool) -> None:
        at = round(1000 * self._now(), 1)
        self.payloads.append(payload)
        self.left.append((at, rtp_time // 48, self.voice.kind))
        if is_first:
            self.marked.append(at)


def play(
    tell: Callable[[Story], None],
    until: float,
    since: float = 0.0,
    mode: CodingMode = CodingMode.CLEAN,
) -> Story:
    async def run() -> Story:
        story = Story(mode)
        tell(story)
        story.speaker.start()
        await asyncio.sleep(until)
        story.left = [left for left in story.left if left[0] >= 1000 * since]
        story.speaker.stop()
        return story

    return virtual_time.run(run())


def test_silence_is_five_packets_and_then_one_per_400_ms() -> None:
    story = play(lambda story: None, until=1.0)
    assert story.left == [
        (0, 0, "hush"),
        (20, 20, "hush"),
        (40, 40, "hush"),
        (60, 60, "hush"),
        (80, 80, "hush"),
        (100, 100, "rest"),
        (500, 500, "rest"),
        (900, 900, "rest"),
    ]


def test_sound_leaves_the_moment_it_comes_and_silence_is_told_after_it() -> None:
    story = play(lambda story: story.at(0.207, story.say), until=0.9, since=0.11)
    assert story.left == [
        (207, 206, "sound"),
        (226, 226, "sound"),
        (246, 246, "sound"),
        (266, 266, "sound"),
        (286, 286, "sound"),
        (306, 306, "hush"),
        (326, 326, "hush"),
        (346, 346, "hush"),
        (366, 366, "hush"),
        (386, 386, "hush"),
        (406, 406, "rest"),
        (806, 806, "rest"),
    ]
    assert story.marked == [207], "the marker bit says where a player may adjust (RFC 3551)"


def test_sound_within_20_ms_of_a_packet_overlaps_nothing() -> None:
    story = play(lambda story: story.at(0.507, story.say), until=0.6, since=0.45)
    assert story.left == [
        (500, 500, "rest"),
        (507, 520, "sound"),
        (540, 540, "sound"),
        (560, 560, "sound"),
        (580, 580, "sound"),
        (600, 600, "sound"),
    ]


def test_what_comes_while_the_reply_is_held_wakes_nobody() -> None:
    def tell(story: Story) -> None:
        story.playout.begin("r")
        story.playout.hold("r")
        for ms in range(150, 250, 5):
            story.at(ms / 1000, lambda: story.playout.append("r", TONE[:120]))
        story.at(0.31, lambda: story.playout.resume("r"))

    story = play(tell, until=0.36, since=0.11)
    assert story.left == [(310, 310, "sound"), (330, 330, "sound"), (350, 350, "sound")]


def test_a_stalled_loop_skips_rtp_time_and_loses_no_sound() -> None:
    def tell(story: Story) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        story.say()
        story.at(0.021, lambda: loop.jump(0.1))

    story = play(tell, until=0.19)
    assert story.left == [
        (0, 0, "sound"),
        (20, 20, "sound"),
        (121, 120, "sound"),
        (140, 140, "sound"),
        (160, 160, "sound"),
        (180, 180, "hush"),
    ]
    assert story.voice.counters.n_skipped == 4


def test_a_silence_that_is_told_late_skips_nothing() -> None:
    def tell(story: Story) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualTimeLoop)
        story.at(0.3, lambda: loop.jump(1.0))
        story.at(1.31, story.say)

    assert play(tell, until=1.5).voice.counters.n_skipped == 0


def test_what_is_said_is_what_is_decoded() -> None:
    story = play(lambda story: story.say(np.tile(TONE, 10)), until=1.0)
    decoder = OpusDecoder(rate_hz=24_000)
    heard = np.concatenate([decoder.decode(payload) for payload in story.payloads[:50]])[4800:]
    spectrum = np.abs(np.fft.rfft(heard.astype(np.float64)))
    assert round(np.argmax(spectrum) * 24_000 / len(heard)) == 440
    level = np.sqrt(np.mean(np.square(heard.astype(np.float64)))) / (8000 / np.sqrt(2))
    assert 0.95 < level < 1.05


@pytest.mark.parametrize("mode", CodingMode)
@pytest.mark.parametrize("is_clip", [False, True])
def test_an_onset_is_whole_at_the_start_of_a_call_and_after_a_rest(mode: CodingMode, is_clip: bool) -> None:
    """What the far decoder made of silence must not spoil the first packets behind it."""
    packets = ClipEncoder().feed(TONE).packets if is_clip else ()

    def say(story: Story, reply_id: str) -> None:
        story.playout.begin(reply_id)
        story.playout.append(reply_id, TONE, packets)
        story.playout.finish(reply_id)

    def tell(story: Story) -> None:
        story.at(0.11, lambda: say(story, "first"))
        story.at(3.0, lambda: say(story, "again"))

    story = play(tell, until=3.2, mode=mode)
    decoder = OpusDecoder(rate_hz=24_000)
    heard = []
    for left, payload in zip(story.left, story.payloads, strict=True):
        sound = decoder.decode(payload)
        if left[2] == "sound":
            heard.append(sound)
        for _ in range(19 if left[2] == "rest" else 0):  # as a player does, until there is more
            decoder.conceal(480)
    assert len(heard) == 10
    for spoken in (np.concatenate(heard[:5]), np.concatenate(heard[5:])):
        peaks = np.abs(spoken[156:].astype(np.int32))[:2160].reshape(-1, 240).max(axis=1)  # of every 10 ms
        assert 6500 < peaks.min() <= peaks.max() < 9500


def test_who_listens_to_playout_and_raises_ends_its_own_call_only() -> None:
    class Raising:
        def playout_started(self, reply_id: str) -> None:
            raise ZeroDivisionError

    def tell(story: Story) -> None:
        story.playout.listener = Raising()  # type: ignore[assignment]
        story.at(0.11, story.say)

    story = play(tell, until=0.5, since=0.11)
    assert story.left == []
    assert [type(crash) for crash in story.crashes] == [ZeroDivisionError]


def test_a_speaker_that_was_stopped_sends_nothing() -> None:
    def tell(story: Story) -> None:
        story.at(0.05, story.speaker.stop)
        story.at(0.06, story.speaker.stop)
        story.at(0.2, story.say)

    assert [left[0] for left in play(tell, until=0.5).left] == [0, 20, 40]
