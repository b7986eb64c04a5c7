from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.audio.formats import AudioDecoder, AudioEncoder, WireFormat
from voicertc.audio.g711 import A_LAW, MU_LAW
from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from voicertc.core.options import AudioFormat

from .signals import amplitude_at, decibels, tone

FORMATS: tuple[WireFormat, ...] = get_args(WireFormat)
RATE_HZ: dict[WireFormat, int] = {"pcm16": 24_000, "pcmu": 8_000, "pcma": 8_000}
NOISE = np.random.default_rng(7).integers(-20_000, 20_000, 4_801).astype(np.int16)
ANY_FORMAT = pytest.mark.parametrize("format", FORMATS)


def as_sent(format: WireFormat, samples: Samples) -> bytes:
    """What a client with this format sends; ``samples`` are at the format's rate."""
    if format == "pcm16":
        return samples.astype("<i2").tobytes()
    return (MU_LAW if format == "pcmu" else A_LAW).encode(samples)


def as_received(format: WireFormat, coded: bytes) -> Samples:
    if format == "pcm16":
        return np.frombuffer(coded, "<i2").astype(np.int16)
    return (MU_LAW if format == "pcmu" else A_LAW).decode(coded)


def all_of(encoder: AudioEncoder, samples: Samples) -> bytes:
    return encoder.encode(samples) + encoder.flush()


def test_the_formats_are_those_a_session_may_have() -> None:
    assert set(FORMATS) == set(get_args(AudioFormat))


@ANY_FORMAT
@pytest.mark.parametrize("frequency", [101, 1004, 3010])
def test_a_tone_that_is_sent_is_heard_at_its_level_and_frequency(
    format: WireFormat, frequency: float
) -> None:
    rate_hz = RATE_HZ[format]
    heard = AudioDecoder(format).decode(as_sent(format, tone(frequency, rate_hz, rate_hz)))
    assert len(heard) == HEARING_RATE_HZ
    amplitude, rest = amplitude_at(frequency, HEARING_RATE_HZ, heard[1000:])
    assert abs(decibels(amplitude / 16_000)) < 0.05
    assert decibels(rest / amplitude) < (-75 if format == "pcm16" else -33)


@ANY_FORMAT
@pytest.mark.parametrize("frequency", [101, 1004, 3010])
def test_a_tone_that_is_spoken_is_received_at_its_level_frequency_and_length(
    format: WireFormat, frequency: float
) -> None:
    rate_hz = RATE_HZ[format]
    coded = all_of(AudioEncoder(format), tone(frequency, PLAYOUT_RATE_HZ, PLAYOUT_RATE_HZ))
    received = as_received(format, coded)
    assert len(received) == rate_hz
    amplitude, rest = amplitude_at(frequency, rate_hz, received[500:-500])
    assert abs(decibels(amplitude / 16_000)) < 0.05
    assert decibels(rest / amplitude) < (-75 if format == "pcm16" else -33)
    # Not late: 200 Hz from phase 0 would be 9 degrees off with one sample of 8 kHz.
    received = as_received(format, all_of(AudioEncoder(format), tone(200, PLAYOUT_RATE_HZ, 12_000)))
    assert np.corrcoef(received, tone(200, rate_hz, len(received)))[0, 1] > 0.999


@ANY_FORMAT
def test_twenty_milliseconds_are_a_frame_from_the_first_on(format: WireFormat) -> None:
    frame = as_sent(format, tone(440, RATE_HZ[format], RATE_HZ[format] // 50))
    decoder = AudioDecoder(format)
    assert [len(decoder.decode(frame)) for _ in range(20)] == [320] * 20


@settings(deadline=None)  # the machine may be busy
@given(format=st.sampled_from(FORMATS), cuts=st.lists(st.integers(0, len(NOISE)), max_size=12))
def test_any_split_of_what_is_sent_is_heard_alike(format: WireFormat, cuts: list[int]) -> None:
    coded = as_sent(format, NOISE)
    n_bytes = len(coded) // len(NOISE)
    decoder = AudioDecoder(format)
    edges = [n_bytes * cut for cut in (0, *sorted(cuts), len(NOISE))]
    pieces = [decoder.decode(coded[a:b]) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate(pieces), AudioDecoder(format).decode(coded))


@settings(deadline=None)  # the machine may be busy
@given(format=st.sampled_from(FORMATS), cuts=st.lists(st.integers(0, len(NOISE)), max_size=12))
def test_any_split_of_what_is_spoken_is_received_alike(format: WireFormat, cuts: list[int]) -> None:
    encoder = AudioEncoder(format)
    edges = [0, *sorted(cuts), len(NOISE)]
    pieces = [encoder.encode(NOISE[a:b]) for a, b in pairwise(edges)]
    assert b"".join([*pieces, encoder.flush()]) == all_of(AudioEncoder(format), NOISE)


@ANY_FORMAT
def test_the_next_reply_begins_like_the_first(format: WireFormat) -> None:
    encoder = AudioEncoder(format)
    first = all_of(encoder, NOISE)
    assert all_of(encoder, NOISE) == first
    assert encoder.flush() == b""


@pytest.mark.parametrize("n_bytes", [1, 479, 961])
def test_half_a_sample_is_refused_and_harms_nothing(n_bytes: int) -> None:
    decoder = AudioDecoder("pcm16")
    with pytest.raises(ValueError, match=f"{n_bytes} bytes are not whole samples"):
        decoder.decode(bytes(n_bytes))
    assert np.array_equal(decoder.decode(as_sent("pcm16", NOISE)), decode_anew(NOISE))
    assert len(AudioDecoder("pcmu").decode(b"\xff" * 961)) == 2 * 961


def decode_anew(samples: Samples) -> Samples:
    return AudioDecoder("pcm16").decode(as_sent("pcm16", samples))


@ANY_FORMAT
def test_nothing_in_is_nothing_out(format: WireFormat) -> None:
    assert len(AudioDecoder(format).decode(b"")) == 0
    assert AudioEncoder(format).encode(np.empty(0, np.int16)) == b""


def test_a_message_with_minutes_of_sound_takes_no_more_memory_than_a_few_times_its_size() -> None:
    coded = bytes(9_000_000)
    tracemalloc.start()
    heard = AudioDecoder("pcm16").decode(coded)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(heard) == 3_000_000
    assert peak < 4 * len(coded)
