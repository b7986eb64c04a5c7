from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.audio.noise import DELAY, NoiseKind, NoiseReduction
from voicertc.audio.pcm import HEARING_RATE_HZ, PcmFrame, Samples

from .signals import decibels, pink, read_wav, to_samples, tone, white

SECOND = HEARING_RATE_HZ
BOTH = pytest.mark.parametrize("kind", ["near_field", "far_field"])
SOUND = to_samples(white(SECOND, -40) + tone(300, HEARING_RATE_HZ, SECOND, 4000).astype(float))


def cleaned(sound: Samples, kind: NoiseKind, strength: float = 1.0, *, frame: int = 320) -> Samples:
    """What comes out, laid where its positions say it belongs; its last 6 ms are missing."""
    reduction = NoiseReduction(kind, strength)
    output = np.zeros(len(sound) + DELAY, np.int16)
    for position in range(0, len(sound), frame):
        given = PcmFrame(sound[position : position + frame], position)
        clean = reduction.feed(given)
        assert len(clean.samples) == len(given.samples)
        output[clean.position + DELAY :][: len(clean.samples)] = clean.samples
    return output[DELAY:]


def level(samples: Samples) -> float:
    return decibels(float(np.sqrt(np.mean(samples.astype(float) ** 2))) / 32768)


@pytest.mark.parametrize("make", [white, pink])
@pytest.mark.parametrize("level_db", [-25, -45])
def test_steady_noise_falls_within_a_second_and_further_in_a_room(
    make: Callable[[int, float], Samples], level_db: float
) -> None:
    noise = make(6 * SECOND, level_db)
    near, far = cleaned(noise, "near_field"), cleaned(noise, "far_field")
    for second in (slice(SECOND, 2 * SECOND), slice(5 * SECOND, 6 * SECOND - DELAY)):
        assert -9.5 < level(near[second]) - level(noise[second]) < -7
        assert -17 < level(far[second]) - level(noise[second]) < -12


@BOTH
def test_the_hum_of_the_mains_is_taken_out(kind: NoiseKind) -> None:
    hum = tone(50, HEARING_RATE_HZ, 4 * SECOND, 3000)
    assert level(cleaned(hum, kind)[2 * SECOND : -DELAY]) - level(hum) < -7


def in_speech_band(samples: Samples) -> float:
    """The level from 200 to 6000 Hz: rumble below a voice is meant to go."""
    spectrum = np.fft.rfft(samples.astype(float))
    hz = np.fft.rfftfreq(len(samples), 1 / HEARING_RATE_HZ)
    return decibels(float(np.linalg.norm(spectrum[(hz > 200) & (hz < 6000)])))


@BOTH
@pytest.mark.parametrize("level_db", [-20, -40])
def test_a_voice_keeps_its_level(speech_dir: Path, level_db: float, kind: NoiseKind) -> None:
    voice = read_wav(speech_dir / "pocketsphinx_austen-0890.wav").astype(float)
    voice = to_samples(voice / voice.std() * 32768 * 10 ** (level_db / 20))
    assert abs(in_speech_band(cleaned(voice, kind)) - in_speech_band(voice)) < 0.6


@BOTH
def test_a_voice_stands_further_above_the_noise_than_before(speech_dir: Path, kind: NoiseKind) -> None:
    voice = np.concatenate([np.zeros(2 * SECOND), read_wav(speech_dir / "whisper_jfk.wav").astype(float)])
    noise = white(len(voice), -45).astype(float)
    sound = to_samples(voice + noise)
    output = cleaned(sound, kind)
    pause, speech = slice(SECOND, 2 * SECOND), slice(3 * SECOND, -DELAY)
    before, after = (level(each[speech]) - level(each[pause]) for each in (sound, output))
    assert after - before > (7 if kind == "near_field" else 11)


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_strength_says_how_much_is_taken_out(strength: float) -> None:
    noise = white(3 * SECOND, -35)
    fall = level(cleaned(noise, "near_field", strength)[SECOND:-DELAY]) - level(noise)
    left = 1 - 0.65 * strength
    assert fall == pytest.approx(decibels(left), abs=1.5)


def test_with_no_strength_nothing_changes() -> None:
    assert np.array_equal(cleaned(SOUND, "far_field", 0.0)[:-DELAY], SOUND[:-DELAY])


@BOTH
def test_what_comes_out_lies_where_its_position_says(speech_dir: Path, kind: NoiseKind) -> None:
    voice = read_wav(speech_dir / "pocketsphinx_goforward.wav")[:44_480]
    output = cleaned(voice, kind).astype(float)
    alike = {lag: float(np.dot(output, np.roll(voice, lag).astype(float))) for lag in range(-12, 13)}
    assert abs(max(alike, key=lambda lag: alike[lag])) <= 1


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, 100), max_size=12), st.sampled_from(["near_field", "far_field"]))
def test_any_split_into_ten_milliseconds_gives_the_same(cuts: list[int], kind: NoiseKind) -> None:
    reduction = NoiseReduction(kind)
    edges = [160 * cut for cut in (0, *sorted(cuts), 100)]
    pieces = [reduction.feed(PcmFrame(SOUND[a:b], a)).samples for a, b in pairwise(edges)]
    whole = NoiseReduction(kind).feed(PcmFrame(SOUND, 0)).samples
    assert np.array_equal(np.concatenate(pieces), whole)


def test_kind_and_strength_may_change_while_it_listens() -> None:
    noise = white(8 * SECOND, -35)
    reduction = NoiseReduction("near_field", 0.0)
    output = []
    for position in range(0, len(noise), 320):
        reduction.kind = "near_field" if position < 4 * SECOND else "far_field"
        reduction.strength = position // (2 * SECOND) % 2
        output.append(reduction.feed(PcmFrame(noise[position : position + 320], position)).samples)
    falls = [level(part) - level(noise) for part in np.split(np.concatenate(output), 4)]
    assert falls == [
        pytest.approx(0, abs=0.2),
        pytest.approx(-8, abs=1.2),
        pytest.approx(0, abs=0.2),
        pytest.approx(-14, abs=1.5),
    ]


def test_two_calls_share_nothing() -> None:
    alone = cleaned(SOUND, "far_field")
    one, other = NoiseReduction("far_field"), NoiseReduction("far_field")
    pieces = []
    for position in range(0, len(SOUND), 320):
        pieces.append(one.feed(PcmFrame(SOUND[position : position + 320], position)).samples)
        other.feed(PcmFrame(white(320, -10, seed=position), position))
    assert np.array_equal(np.concatenate(pieces)[DELAY:], alone[:-DELAY])


@BOTH
def test_silence_stays_silence(kind: NoiseKind) -> None:
    assert not cleaned(np.zeros(SECOND, np.int16), kind).any()


@BOTH
def test_the_loudest_sound_does_not_wrap_around(kind: NoiseKind) -> None:
    square = np.where(np.arange(SECOND) // 40 % 2 == 0, 32767, -32768).astype(np.int16)
    output = cleaned(square, kind, 0.5)[:-DELAY].astype(int)
    middles = np.arange(20, len(output), 40)
    assert (np.sign(output[middles]) == np.where(middles // 40 % 2 == 0, 1, -1)).mean() > 0.95


def test_a_gap_in_the_sound_is_a_gap_behind_it() -> None:
    reduction = NoiseReduction("near_field")
    assert reduction.feed(PcmFrame(SOUND[:320], 3200)).position == 3200 - DELAY
    assert reduction.feed(PcmFrame(SOUND[320:640], 16_000)).position == 16_000 - DELAY


@pytest.mark.parametrize(("n", "rate_hz"), [(319, 16_000), (480, 24_000)])
def test_another_length_or_rate_is_our_own_mistake(n: int, rate_hz: int) -> None:
    with pytest.raises(AssertionError, match=r"10 ms|16 kHz"):
        NoiseReduction("near_field").feed(PcmFrame(np.zeros(n, np.int16), 0, rate_hz))
