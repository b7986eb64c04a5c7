from __future__ import annotations

import copy

import numpy as np
import pytest

from voicertc.audio.level import SpeechLevel
from voicertc.audio.pcm import Samples

from .signals import tone, white


def level_of(samples: Samples, n: int = 320) -> SpeechLevel:
    level = SpeechLevel()
    for start in range(0, len(samples), n):
        level.add(samples[start : start + n])
    return level


def test_a_square_wave_at_full_scale_has_0_dbov_and_a_sine_3_less() -> None:
    square = np.where(np.arange(3200) // 40 % 2, 32767, -32767).astype(np.int16)
    assert level_of(square).dbov == pytest.approx(0.0, abs=0.01)
    assert level_of(tone(440, 16_000, 3200, 32_767)).dbov == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize(("rate_hz", "n"), [(16_000, 320), (24_000, 480), (48_000, 960)])
def test_it_is_the_same_at_any_rate(rate_hz: int, n: int) -> None:
    assert level_of(tone(1000, rate_hz, rate_hz, 3276.7), n).dbov == pytest.approx(-23.01, abs=0.02)


def test_pauses_do_not_make_speech_quieter() -> None:
    speech, room, nothing = tone(300, 16_000, 3200, 4000), white(32_000, -60), np.zeros(32_000, np.int16)
    assert level_of(np.concatenate((room, speech, nothing))).dbov == level_of(speech).dbov


def test_silence_and_noise_have_no_level_of_speech() -> None:
    for quiet in (np.zeros(3200, np.int16), white(3200, -55)):
        level = level_of(quiet)
        assert level == SpeechLevel()
        assert level.dbov is None


def test_it_says_which_frames_hold_speech() -> None:
    level = SpeechLevel()
    assert level.add(tone(300, 16_000, 320, 4000))
    assert not level.add(white(320, -60))
    assert level.n_samples == 320


def test_a_later_second_is_told_from_the_one_before() -> None:
    level = level_of(tone(300, 16_000, 16_000, 16_000))
    before = copy.copy(level)
    for _ in range(50):
        level.add(tone(300, 16_000, 320, 1600))
    assert level.since(before).dbov == pytest.approx(-29.24, abs=0.1)
    assert level.since(level).dbov is None
