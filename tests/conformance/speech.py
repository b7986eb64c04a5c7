"""What people say in these tests, and what can be told of a sound: level, length, and which words it was."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from voicertc.audio.resample import Resampler
from voicertc.testing.utterance import labelled_bounds, read_wav

from .words import number_of

RATE_HZ = PLAYOUT_RATE_HZ
"""Samples per second of all sounds here, unless said otherwise."""

CLIPS = {
    "ten of clubs": "pocketsphinx_001.wav",
    "how old is the brooklyn bridge": "python-docs-samples_audio.wav",
    "go forward ten meters": "pocketsphinx_goforward.wav",
    "we must find a new home in the stars": "deepspeech_new-home-in-the-stars-16k.wav",
}
"""Recordings of people, by what they say."""

_MARGIN = 0.1
"""Seconds that are kept around the speech: its first and last consonants are quiet."""


def said(words: str, directory: Path) -> Samples:
    """Return a recording, cut to its speech."""
    path = directory / CLIPS[words]
    bounds = labelled_bounds(path)
    assert bounds, f"no bounds of {path} in its manifest"
    begin, end = (round(at * HEARING_RATE_HZ) for at in (max(0.0, bounds[0] - _MARGIN), bounds[1] + _MARGIN))
    return resampled(read_wav(path)[begin:end], HEARING_RATE_HZ, RATE_HZ)


def resampled(samples: Samples, source_hz: int, target_hz: int) -> Samples:
    resampler = Resampler(source_hz, target_hz)
    return np.concatenate([resampler.feed(samples), resampler.flush()])


def silence(seconds: float, rate_hz: int = RATE_HZ) -> Samples:
    """Return the faint noise that a microphone gives when nobody speaks."""
    noise = np.random.default_rng(1)
    return noise.integers(-2, 3, round(seconds * rate_hz), dtype=np.int16)


def level_db(samples: Samples) -> float:
    """Return the level of a sound in dB below full scale."""
    power = np.mean(np.square(samples.astype(np.float64))) / 32_768.0**2 if len(samples) else 0.0
    return float(10 * np.log10(max(power, 1e-12)))


def pitches(samples: Samples, rate_hz: int = RATE_HZ, *, window: float = 0.05) -> NDArray[np.float64]:
    """Return the loudest frequency of each window in Hz, 0 where it is silent; to within 10 Hz."""
    length = round(window * rate_hz)
    rows = samples[: len(samples) // length * length].reshape(-1, length).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(rows * np.hanning(length), n=rate_hz // 10, axis=1))
    loudest: NDArray[np.float64] = np.argmax(spectrum, axis=1) * 10.0
    return np.where(np.sqrt(np.mean(rows**2, axis=1)) > 300, loudest, 0.0)


def numbers_heard(samples: Samples, rate_hz: int = RATE_HZ) -> list[int]:
    """Return the numbers that a sound counts, in the order they are heard; 0 stands for any other word.

    A word counts when two windows in a row have its tone, and so less than half of it was heard.
    """
    found = [number_of(pitch) if pitch else None for pitch in pitches(samples, rate_hz)]
    numbers: list[int] = []
    for before, number in pairwise(found):
        if number is not None and number == before and (not numbers or numbers[-1] != number):
            numbers.append(number)
    return numbers


def likeness(heard: Samples, said: Samples) -> float:
    """Return how well what was said is found in what was heard, at the same rate: 1 is all of it, 0 none."""
    one, other = heard.astype(np.float64), said.astype(np.float64)
    size = len(one) + len(other)
    product = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    at = int(np.argmax(np.fft.irfft(product, size)[: len(one)]))
    there = one[at : at + len(other)]
    other = other[: len(there)]
    return float(there @ other / np.sqrt((there @ there) * (other @ other)))
