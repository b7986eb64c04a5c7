from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.audio import clips
from voicertc.audio.clips import Clip, ClipDecoder, ClipEncoder
from voicertc.audio.opus import OpusDecoder
from voicertc.audio.pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ, Samples
from voicertc.errors import ClientError

from .signals import amplitude_at, decibels, tone

LOOKAHEAD = 156
"""Samples by which an encoder is late (RFC 7845 §5.1: 312 at 48 kHz)."""
TONE = tone(440, PLAYOUT_RATE_HZ, PLAYOUT_RATE_HZ, amplitude=8000)


def decoded(packets: tuple[bytes, ...]) -> Samples:
    decoder = OpusDecoder(rate_hz=PLAYOUT_RATE_HZ)
    return np.concatenate([decoder.decode(packet) for packet in packets])


def a_providers(sound: Samples, *, frame_ms: int, layout: str = "mono") -> tuple[bytes, ...]:
    """Packets as a service with an encoder of its own would send them, at 48 kHz."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, layout, "s16"
    encoder.options = {"frame_duration": str(frame_ms)}
    encoder.open()
    n = 48 * frame_ms
    n_channels = 1 if layout == "mono" else 2
    packets: list[bytes] = []
    for start in range(0, len(sound) - n + 1, n):
        frame = av.AudioFrame(format="s16", layout=layout, samples=n)
        frame.sample_rate = 48_000
        frame.planes[0].update(np.repeat(sound[start : start + n], n_channels).tobytes())
        packets += map(bytes, encoder.encode(frame))
    return tuple(packets)


def test_a_clips_packets_sound_as_its_samples_do() -> None:
    clip = clips.encode(TONE)
    assert len(clip.samples) == len(clip.packets) * PLAYOUT_FRAME
    assert np.array_equal(clip.samples[: len(TONE)], TONE)
    amplitude, rest = amplitude_at(440, PLAYOUT_RATE_HZ, decoded(clip.packets)[4800:19_200])
    assert abs(decibels(amplitude / 8000)) < 0.5
    assert decibels(rest / amplitude) < -20


def test_the_last_packet_is_filled_up_with_silence() -> None:
    clip = clips.encode(TONE[:500])
    assert len(clip.packets) == 2
    assert np.array_equal(clip.samples[:500], TONE[:500])
    assert clip.samples[500:].tolist() == [0] * 460


@pytest.mark.parametrize("n", [4800, 4799, 4700, 4640])
def test_all_of_a_sound_is_in_its_packets_up_to_its_end(n: int) -> None:
    """The encoder is late: sound at the end of the last frame would be left in it."""
    clip = clips.encode(TONE[:n])
    back = decoded(clip.packets)
    late = slice(LOOKAHEAD + n - 240, LOOKAHEAD + n)
    alike = np.corrcoef(back[late], TONE[n - 240 : n])[0, 1]
    assert alike > 0.95
    assert len(clip.samples) < n + LOOKAHEAD + PLAYOUT_FRAME


def test_a_sound_that_ends_in_silence_gets_no_more_of_it() -> None:
    sound = np.concatenate((TONE[:4600], np.zeros(200, np.int16)))
    assert len(clips.encode(sound).packets) == 10


def test_no_sound_is_an_empty_clip() -> None:
    clip = clips.encode(TONE[:0])
    assert (len(clip.samples), clip.packets) == (0, ())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 1000), max_size=8))
def test_any_pieces_make_the_same_packets(sizes: list[int]) -> None:
    encoder = ClipEncoder()
    sound = TONE[: sum(sizes)]
    starts = np.cumsum([0, *sizes])
    made = [encoder.feed(sound[start : start + size]) for start, size in zip(starts, sizes, strict=False)]
    assert encoder.is_between_frames == (len(sound) % PLAYOUT_FRAME == 0)
    made.append(encoder.flush())
    assert encoder.is_between_frames
    whole = clips.encode(sound)
    assert [packet for clip in made for packet in clip.packets] == list(whole.packets)
    assert np.array_equal(np.concatenate([clip.samples for clip in made]), whole.samples)


def test_nothing_is_left_after_a_flush() -> None:
    encoder = ClipEncoder()
    encoder.feed(TONE[:500])
    assert len(encoder.flush().packets) == 1
    assert encoder.flush().packets == ()


@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_a_providers_packets_of_20_ms_pass_as_they_are(layout: str) -> None:
    packets = a_providers(tone(440, 48_000, 48_000, amplitude=8000), frame_ms=20, layout=layout)
    clip = clips.from_opus(packets)
    assert clip.packets == packets
    assert len(clip.samples) == len(packets) * PLAYOUT_FRAME
    amplitude, _ = amplitude_at(440, PLAYOUT_RATE_HZ, clip.samples[4800:19_200])
    assert abs(decibels(amplitude / 8000)) < 1


@pytest.mark.parametrize("frame_ms", [10, 40, 60])
def test_other_packets_are_decoded_only(frame_ms: int) -> None:
    packets = a_providers(tone(440, 48_000, 57_600, amplitude=8000), frame_ms=frame_ms)
    clip = clips.from_opus(packets)
    assert clip.packets == ()
    assert len(clip.samples) == len(packets) * frame_ms * 24
    amplitude, _ = amplitude_at(440, PLAYOUT_RATE_HZ, clip.samples[4800:19_200])
    assert abs(decibels(amplitude / 8000)) < 1


def test_a_stream_is_one_whatever_its_pieces() -> None:
    packets = a_providers(tone(440, 48_000, 48_000), frame_ms=20)
    decoder = ClipDecoder()
    made = [decoder.feed(*packets[:7]), decoder.feed(), decoder.feed(*packets[7:])]
    assert [len(clip.packets) for clip in made] == [7, 0, len(packets) - 7]
    whole = clips.from_opus(packets)
    assert np.array_equal(np.concatenate([clip.samples for clip in made]), whole.samples)


@pytest.mark.parametrize("garbage", [b"", b"\xff\xff\xff\xff"])
def test_what_is_not_opus_is_said_to_be_so(garbage: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        clips.from_opus([garbage])
    assert caught.value.code == "invalid_audio"


def test_a_clip_that_does_not_match_its_packets_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        Clip(TONE[:481], (b"packet",))


def test_a_clip_sounds_the_same_whatever_was_heard_before_it() -> None:
    """Its packets stand for themselves: a join is no louder, no softer and without a click."""
    loud = clips.encode(TONE).packets
    burst = clips.encode(tone(1000, PLAYOUT_RATE_HZ, 4800)).packets
    alone = decoded(burst).astype(float)
    behind = decoded(loud[:20] + burst)[20 * PLAYOUT_FRAME :].astype(float)
    assert np.abs(behind[LOOKAHEAD:] - alone[LOOKAHEAD:]).max() <= 5
