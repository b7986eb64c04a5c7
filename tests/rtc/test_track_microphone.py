from __future__ import annotations

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame

from voicertc.audio.pcm import PcmFrame, Samples
from voicertc.rtc.track_microphone import BUFFER_DELAY, TrackMicrophone, mono

BLOCK = 960
"""20 ms at 48 kHz."""
FIRST = BUFFER_DELAY + 0.02
"""When the first block comes out of aiortc if its packet came the moment the call began."""


def tone(n: int) -> Samples:
    return (8000 * np.sin(2 * np.pi * 440 * np.arange(n) / 48_000)).astype(np.int16)


def heard(*blocks: tuple[Samples, int, float]) -> list[PcmFrame]:
    frames: list[PcmFrame] = []
    microphone = TrackMicrophone(frames.append, began=0.0)
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
    await TrackMicrophone(frames.append, began=0.0).run(Track())
    assert len(frames) == 5
