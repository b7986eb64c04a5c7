"""Known signals to judge audio code by, and a ruler for them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voicertc.audio.pcm import HEARING_RATE_HZ, Samples


def tone(frequency: float, rate_hz: int, n: int, amplitude: float = 16_000) -> Samples:
    return to_samples(amplitude * np.sin(2 * np.pi * frequency * np.arange(n) / rate_hz))


def white(n: int, level_db: float, seed: int = 1) -> Samples:
    return to_samples(np.random.default_rng(seed).normal(0, 32768 * 10 ** (level_db / 20), n))


def pink(n: int, level_db: float, seed: int = 1) -> Samples:
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(0, 1, n))
    spectrum /= np.sqrt(np.maximum(1, np.arange(len(spectrum))))
    noise = np.fft.irfft(spectrum, n)
    return to_samples(noise / noise.std() * 32768 * 10 ** (level_db / 20))


def music(n: int, seed: int = 1) -> Samples:
    """Chords that change twice a second under a melody with vibrato, at 16 kHz."""
    random = np.random.default_rng(seed)
    scale = [0, 2, 4, 5, 7, 9, 11]
    sound = np.zeros(n)
    for start in range(0, n - 8000, 8000):
        root = random.choice(scale) - 9
        time = np.arange(min(16_000, n - start)) / HEARING_RATE_HZ
        envelope = np.minimum(time / 0.01, 1) * np.exp(-3 * time)
        for step in (0, 4, 7, 12):
            frequency = 220 * 2 ** ((root + step) / 12)
            for harmonic in range(1, 6):
                wave_ = np.sin(2 * np.pi * frequency * harmonic * time + random.uniform(0, 6))
                sound[start : start + len(time)] += envelope * wave_ / harmonic**1.3
    for start in range(0, n - 5000, 4000):
        time = np.arange(5000) / HEARING_RATE_HZ
        envelope = np.minimum(time / 0.02, 1) * np.minimum((5000 / HEARING_RATE_HZ - time) / 0.05, 1)
        frequency = 440 * 2 ** (random.choice(scale) / 12)
        for harmonic in range(1, 8):
            wave_ = np.sin(2 * np.pi * frequency * harmonic * time + 0.3 * np.sin(2 * np.pi * 5 * time))
            sound[start : start + 5000] += 0.7 * envelope * wave_ / harmonic
    return to_samples(sound / np.abs(sound).max() * 20_000)


def to_samples(sound: npt.NDArray[np.floating]) -> Samples:
    samples: Samples = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return samples


def amplitude_at(frequency: float, rate_hz: int, samples: Samples) -> tuple[float, float]:
    """The amplitude of a sine of this frequency in a signal, and the RMS of all that is not it."""
    phase = 2 * np.pi * frequency * np.arange(len(samples)) / rate_hz
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    weights, *_ = np.linalg.lstsq(basis, samples.astype(float), rcond=None)
    rest = samples - basis @ weights
    return float(np.hypot(*weights)), float(np.sqrt(np.mean(rest**2)))


def decibels(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-12)))


def read_wav(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (HEARING_RATE_HZ, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)
