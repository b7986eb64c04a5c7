from __future__ import annotations

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame
from hypothesis import given
from hypothesis import strategies as st

from voicertc.audio.pcm import PcmFrame, Samples
from voicertc.rtc.microphone import BUFFER_DELAY, AudioClock, Microphone, mono

BLOCK = 960
"""20 ms at 48 kHz."""
FIRST = BUFFER_DELAY + 0.02
"""When the first block comes out of aiortc if its packet came the moment the call began."""


def positions(*blocks: tuple[int | None, float]) -> list[float]:
    """Where each block of 20 ms begins, in ms; given its time stamp in ms and when it came, in seconds."""
    clock = AudioClock()
    found = []
    for pts, now in blocks:
        clock.gap(None if pts is None else pts * 48, BLOCK, now)
        found.append((clock.position - BLOCK) / 48)
    return found


def test_blocks_without_holes_follow_each_other() -> None:
    assert positions(*[(20 * n, FIRST + 0.02 * n) for n in range(4)]) == [0, 20, 40, 60]


def test_the_first_sound_is_as_late_in_the_call_as_it_came() -> None:
    assert positions((0, FIRST + 3.0), (20, FIRST + 3.02)) == [3000, 3020]


def test_a_lost_packet_leaves_a_hole_of_its_length() -> None:
    assert positions((0, FIRST), (20, FIRST + 0.02), (60, FIRST + 0.06)) == [0, 20, 60]


def test_silence_that_was_not_sent_leaves_a_hole() -> None:
    assert positions((0, FIRST), (400, FIRST + 0.4), (800, FIRST + 0.8)) == [0, 400, 800]


def test_lateness_on_the_way_moves_nothing() -> None:
    assert positions((0, FIRST), (20, FIRST + 1.5), (40, FIRST + 1.5), (60, FIRST + 1.5)) == [0, 20, 40, 60]


def test_a_clock_that_begins_anew_goes_on_where_it_was() -> None:
    assert positions((5000, FIRST), (5020, FIRST + 0.02), (0, FIRST + 0.04), (20, FIRST + 0.06)) == [
        0,
        20,
        40,
        60,
    ]


def test_a_time_stamp_far_ahead_is_believed_as_far_as_time_has_passed() -> None:
    assert positions((0, FIRST), (80_000_000, FIRST + 0.02), (80_000_020, FIRST + 0.04)) == pytest.approx(
        [0, 20, 40]
    )
    assert positions((0, FIRST), (80_000_000, FIRST + 3.0)) == pytest.approx([0, 3000])


def test_blocks_without_a_time_stamp_follow_each_other() -> None:
    assert positions((None, FIRST), (None, FIRST + 0.02), (40, FIRST + 0.04)) == [0, 20, 40]


def test_a_device_that_slept_is_set_right_within_a_second() -> None:
    """Its time stamps go on as if nothing had been, eight seconds too early."""
    found = positions((0, FIRST), *[(20 * n, FIRST + 8.0 + 0.02 * n) for n in range(1, 150)])
    assert found[1] == 20
    assert found[60] == pytest.approx(8000 + 60 * 20, abs=40)
    assert found[-1] == pytest.approx(8000 + 149 * 20, abs=40)


def test_packets_held_up_for_seconds_that_come_all_at_once_are_not_corrected() -> None:
    blocks = [(20 * n, FIRST + max(0.02 * n, 4.0 if n > 10 else 0.0)) for n in range(400)]
    assert positions(*blocks) == [20 * n for n in range(400)]


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(-(2**40), 2**40)), st.floats(0, 5)), max_size=50))
def test_no_time_stamp_moves_a_position_back_or_far_ahead_of_time(
    steps: list[tuple[int | None, float]],
) -> None:
    clock, now, before = AudioClock(), 0.0, 0
    for n, (pts, pause) in enumerate(steps, 1):
        now += pause
        clock.gap(pts, BLOCK, now)
        assert clock.position >= before + BLOCK
        assert clock.position <= (now + 0.5) * 48_000 + n * BLOCK
        before = clock.position


def tone(n: int) -> Samples:
    return (8000 * np.sin(2 * np.pi * 440 * np.arange(n) / 48_000)).astype(np.int16)


def heard(*blocks: tuple[Samples, int, float]) -> list[PcmFrame]:
    frames: list[PcmFrame] = []
    microphone = Microphone(frames.append, began=0.0)
    for samples, pts, now in blocks:
        microphone.feed(samples, pts, now)
    return frames


def test_blocks_of_any_length_become_frames_of_20_ms() -> None:
    sound = tone(48_000)
    whole = heard(*[(sound[n : n + 960], n, FIRST + n / 48_000) for n in range(0, 48_000, 960)])
    for size in (120, 480, 2880):
        parts = heard(*[(sound[n : n + size], n, FIRST + n / 48_000) for n in range(0, 48_000, size)])
        offset = parts[0].position
        assert [frame.position - offset for frame in parts] == list(range(0, 16_000, 320))
        for part, frame in zip(parts, whole, strict=True):
            np.testing.assert_array_equal(part.samples, frame.samples)
    assert {len(frame.samples) for frame in whole} == {320}
    level = np.std(np.concatenate([frame.samples for frame in whole[5:]])) / (8000 / np.sqrt(2))
    assert 0.99 < level < 1.01


def test_a_frame_that_was_begun_before_a_hole_is_filled_up_with_silence() -> None:
    sound = tone(480)  # half a frame
    frames = heard((sound, 0, FIRST - 0.01), (tone(960), 480 + 4800, FIRST + 0.11))
    assert [frame.position for frame in frames] == [0, 160 + 1600]
    assert not frames[0].samples[160:].any()


def test_a_hole_shorter_than_the_rest_of_a_frame_is_filled_and_the_frame_goes_on() -> None:
    frames = heard((tone(480), 0, FIRST - 0.01), (tone(360), 600, FIRST + 0.02))
    assert [frame.position for frame in frames] == [0]
    assert not frames[0].samples[160:200].any()
    assert frames[0].samples[220:].any()


def test_stereo_becomes_the_mean_of_its_channels() -> None:
    left, right = np.array([100, -30_000, 32_767], np.int16), np.array([300, -30_000, 32_767], np.int16)
    packed = np.stack((left, right), axis=1).reshape(1, -1)
    frame = AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
    np.testing.assert_array_equal(mono(frame), [200, -30_000, 32_767])
    single = AudioFrame.from_ndarray(left.reshape(1, -1), format="s16", layout="mono")
    np.testing.assert_array_equal(mono(single), left)


async def test_the_track_is_read_until_it_ends() -> None:
    class Track(MediaStreamTrack):
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self.left = 5

        async def recv(self) -> AudioFrame:
            if not self.left:
                raise MediaStreamError
            self.left -= 1
            frame = AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 48_000, (4 - self.left) * BLOCK
            return frame

    frames: list[PcmFrame] = []
    await Microphone(frames.append, began=0.0).run(Track())
    assert len(frames) == 5
