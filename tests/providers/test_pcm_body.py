from __future__ import annotations

import io
import struct
import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.providers.pcm_body import PcmBody
from voicertc.testing.fake_openai import spoken

SOUND = spoken("a tone")
RAW = SOUND.astype("<i2").tobytes()


def decoded(pieces: list[bytes], *, rate_hz: int = PLAYOUT_RATE_HZ) -> Samples:
    body = PcmBody(rate_hz=rate_hz)
    return np.concatenate([*(body.feed(piece) for piece in pieces), body.flush()])


def wav(samples: Samples, *, rate_hz: int = PLAYOUT_RATE_HZ, n_channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(n_channels)
        writer.setsampwidth(width)
        writer.setframerate(rate_hz)
        writer.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1919, 100_000])
def test_samples_come_whole_however_they_are_cut(size: int) -> None:
    np.testing.assert_array_equal(decoded(cut(RAW, size)), SOUND)


@given(st.lists(st.integers(0, 4000), max_size=10))
def test_a_wav_file_is_cut_anywhere(cuts: list[int]) -> None:
    body = wav(SOUND)
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    np.testing.assert_array_equal(decoded(pieces), SOUND)


def test_a_sample_is_given_as_soon_as_it_is_there() -> None:
    body = PcmBody()
    body.feed(RAW[:6])
    assert [len(body.feed(RAW[n : n + 1])) for n in range(6, 12)] == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_stream_of_unknown_length_is_read_to_its_end(size: int) -> None:
    body = bytearray(wav(SOUND))
    body[40:44] = struct.pack("<I", size)
    np.testing.assert_array_equal(decoded([bytes(body)]), SOUND)


def test_what_follows_the_samples_of_a_wav_file_is_not_played() -> None:
    body = wav(SOUND) + b"LIST" + struct.pack("<I", 400) + b"\x7f" * 400
    np.testing.assert_array_equal(decoded(cut(body, 1000)), SOUND)


def test_chunks_before_the_samples_are_passed_over() -> None:
    body = wav(SOUND)
    extra = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    np.testing.assert_array_equal(decoded(cut(body[:36] + extra + body[36:], 3)), SOUND)


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 48_000])
def test_another_rate_is_made_ours(rate_hz: int) -> None:
    tone = spoken("a longer tone", rate_hz=rate_hz)
    for samples in (decoded([wav(tone, rate_hz=rate_hz)]), decoded([tone.tobytes()], rate_hz=rate_hz)):
        assert abs(len(samples) - len(spoken("a longer tone"))) <= 1
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        assert np.argmax(spectrum) * PLAYOUT_RATE_HZ / len(samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "no"}', "JSON instead of PCM"),
        (b"<!DOCTYPE html>", "HTML instead of PCM"),
        (b"<html><body>", "HTML instead of PCM"),
        (b"ID3\x04\0\0\0", "MP3 instead of PCM"),
        (b"OggS\0\2\0\0", "Ogg instead of PCM"),
        (b"fLaC\0\0\0\x22", "FLAC instead of PCM"),
        (wav(SOUND, n_channels=2), "2 channels of 16 bits"),
        (wav(SOUND, width=1), "1 channels of 8 bits"),
        (b"RIFF\xff\xff\xff\xffWAVEjunk\xff\xff\xff\x00" + b"\0" * 100, "without samples"),
    ],
    ids=range(9),
)
def test_what_would_be_noise_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decoded([body])
    with pytest.raises(ValueError, match=said):
        decoded(cut(body, 1))


@pytest.mark.parametrize("body", [b"", b"\0", b"RIFF", b"RIFF\0\0\0\0WAVE"])
def test_nothing_is_no_sound(body: bytes) -> None:
    assert len(decoded([body])) == 0


def test_half_a_sample_at_the_end_is_dropped() -> None:
    np.testing.assert_array_equal(decoded([b"\1\0\2\0\3"]), np.array([1, 2], np.int16))
