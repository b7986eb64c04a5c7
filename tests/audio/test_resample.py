from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.audio.pcm import Samples
from voicertc.audio.resample import Resampler

from .signals import amplitude_at, decibels, tone

PAIRS = [
    (48_000, 16_000),
    (22_050, 24_000),
    (16_000, 24_000),
    (24_000, 48_000),
    (8_000, 24_000),
    (24_000, 16_000),
    (24_000, 8_000),
    (44_100, 24_000),
]
NOISE = np.random.default_rng(7).integers(-20_000, 20_000, 6_000).astype(np.int16)


def convert(samples: Samples, source_hz: int, target_hz: int, **options: Any) -> Samples:
    resampler = Resampler(source_hz, target_hz, **options)
    return np.concatenate([resampler.feed(samples), resampler.flush()])


@pytest.mark.parametrize(("source_hz", "target_hz"), PAIRS)
@pytest.mark.parametrize("part_of_band", [0.02, 0.11, 0.5, 0.8, 0.9])
def test_a_tone_keeps_its_level_frequency_and_length(
    source_hz: int, target_hz: int, part_of_band: float
) -> None:
    frequency = part_of_band * min(source_hz, target_hz) / 2
    output = convert(tone(frequency, source_hz, source_hz), source_hz, target_hz)
    assert len(output) == target_hz
    inner = output[1000:-1000]
    amplitude, rest = amplitude_at(frequency, target_hz, inner)
    assert abs(decibels(amplitude / 16_000)) < 0.01
    assert decibels(rest / 16_000) < -75  # images, and the rounding to 16 bits


@pytest.mark.parametrize(("source_hz", "target_hz"), [p for p in PAIRS if p[0] > p[1]])
@pytest.mark.parametrize("part_of_band", [1.1, 1.15, 1.3])
def test_what_the_lower_rate_cannot_hold_is_gone_instead_of_folded(
    source_hz: int, target_hz: int, part_of_band: float
) -> None:
    frequency = part_of_band * target_hz / 2
    output = convert(tone(frequency, source_hz, source_hz), source_hz, target_hz)
    assert decibels(float(output[1000:-1000].std()) / 16_000) < -75


@pytest.mark.parametrize(("source_hz", "target_hz"), PAIRS)
def test_the_output_is_aligned_with_the_input(source_hz: int, target_hz: int) -> None:
    # 200 Hz from phase 0: an offset of one output sample would be 3 degrees or more at these rates.
    output = convert(tone(200, source_hz, source_hz // 2), source_hz, target_hz)
    expected = tone(200, target_hz, len(output))
    assert np.abs(output[200:-200].astype(int) - expected[200:-200]).max() <= 2


@settings(deadline=None)  # the machine may be busy
@given(
    pair=st.sampled_from([*PAIRS, (16_000, 16_000)]),
    cuts=st.lists(st.integers(0, len(NOISE)), max_size=12),
    is_live=st.booleans(),
)
def test_any_split_of_the_input_gives_the_same_output(
    pair: tuple[int, int], cuts: list[int], is_live: bool
) -> None:
    whole = convert(NOISE, *pair, is_live=is_live)
    resampler = Resampler(*pair, is_live=is_live)
    edges = [0, *sorted(cuts), len(NOISE)]
    pieces = [resampler.feed(NOISE[a:b]) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate([*pieces, resampler.flush()]), whole)


@settings(deadline=None)  # the machine may be busy
@given(pair=st.sampled_from(PAIRS), n=st.integers(0, 700))
def test_the_length_is_that_of_the_input_to_the_sample(pair: tuple[int, int], n: int) -> None:
    source_hz, target_hz = pair
    assert len(convert(NOISE[:n], source_hz, target_hz)) == -(-n * target_hz // source_hz)


@pytest.mark.parametrize(("source_hz", "target_hz"), PAIRS)
def test_a_constant_stays_the_constant_it_is(source_hz: int, target_hz: int) -> None:
    output = convert(np.full(source_hz // 4, 12_345, np.int16), source_hz, target_hz)
    assert set(output[400:-400].tolist()) == {12_345}


def test_a_full_scale_step_clips_and_does_not_wrap() -> None:
    square = np.where(np.arange(16_000) // 40 % 2 == 0, 32767, -32768).astype(np.int16)
    output = convert(square, 16_000, 24_000).astype(int)
    assert output.max() == 32767
    assert output.min() == -32768
    # Overshoot that wrapped around would change its sign within a plateau of 60 samples.
    plateaus = output.reshape(-1, 60)[:, 3:57]
    assert (plateaus[0::2] > 20_000).all()
    assert (plateaus[1::2] < -20_000).all()


@pytest.mark.parametrize(("source_hz", "target_hz"), [p for p in PAIRS if p[0] % 50 == 0])
def test_a_live_stream_gives_each_frame_its_share(source_hz: int, target_hz: int) -> None:
    resampler = Resampler(source_hz, target_hz, is_live=True)
    sound = tone(440, source_hz, source_hz)
    frame = source_hz // 50
    output = [resampler.feed(sound[i : i + frame]) for i in range(0, source_hz, frame)]
    assert [len(block) for block in output] == [target_hz // 50] * 50
    late = 25 / min(source_hz, target_hz)
    first_loud = int(np.flatnonzero(np.abs(np.concatenate(output)) > 100)[0])
    assert abs(first_loud / target_hz - late) < 0.001


def test_a_stream_can_begin_again_after_its_end() -> None:
    resampler = Resampler(22_050, 24_000)
    first = np.concatenate([resampler.feed(NOISE), resampler.flush()])
    second = np.concatenate([resampler.feed(NOISE), resampler.flush()])
    assert np.array_equal(first, second)


def test_nothing_in_is_nothing_out() -> None:
    resampler = Resampler(48_000, 16_000)
    assert len(resampler.feed(np.empty(0, np.int16))) == 0
    assert len(resampler.flush()) == 0


def test_the_last_milliseconds_wait_for_their_neighbours() -> None:
    resampler = Resampler(16_000, 24_000)
    assert len(resampler.feed(NOISE[:320])) == 480 - 37
    assert len(resampler.flush()) == 37


@pytest.mark.parametrize("pair", [(0, 16_000), (16_000, -1), (44_101, 48_000)])
def test_rates_that_make_no_sense_are_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="Hz"):
        Resampler(*pair)
