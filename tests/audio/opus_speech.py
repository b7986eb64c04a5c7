"""Speech-like sound to code, the ways to libopus there are, and what tests do with both."""

from __future__ import annotations

from ctypes.util import find_library

import numpy as np
import pytest

from voicertc.audio import libopus
from voicertc.audio.opus import Codec, Coding, CodingMode, OpusDecoder, OpusEncoder
from voicertc.audio.opus_pyav import PyavCodec
from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples

from .signals import to_samples

CLEAN = Coding()
LOSSY = Coding(CodingMode.LOSSY, 40_000, 10)
OLD = Coding(CodingMode.LOSSY, 32_000)
CODECS = ("loaded", "system", "pyav")


def codec_called(name: str) -> Codec:
    if name == "loaded":
        return libopus.load()
    if name == "pyav":
        return PyavCodec()
    path = find_library("opus")
    if path is None:
        pytest.skip("the system has no libopus of its own: apt-get install libopus0")
    return libopus.Library(path, "system")


def encode(sound: Samples, coding: Coding = CLEAN, codec: Codec | None = None) -> list[bytes]:
    encoder = OpusEncoder(coding=coding, codec=codec or libopus.load())
    return [encoder.encode(frame) for frame in frames(sound)]


def decode(packets: list[bytes], rate_hz: int = HEARING_RATE_HZ, codec: Codec | None = None) -> Samples:
    decoder = OpusDecoder(rate_hz=rate_hz, codec=codec or libopus.load())
    return np.concatenate([decoder.decode(packet) for packet in packets])


def frames(sound: Samples) -> list[Samples]:
    """Cut 24 kHz into 20 ms; what is left over is left out."""
    return list(sound[: len(sound) // 480 * 480].reshape(-1, 480))


def vowel(n: int) -> Samples:
    """Harmonics of 150 Hz under two formants, swelling: what a speech codec is made for; at 24 kHz."""
    time = np.arange(n) / PLAYOUT_RATE_HZ
    sound = np.zeros(n)
    for k in range(1, 30):
        frequency = 150 * k
        weight = 1 / (1 + ((frequency - 700) / 200) ** 2) + 0.5 / (1 + ((frequency - 1200) / 200) ** 2)
        sound += weight * np.sin(2 * np.pi * frequency * time + k * k)
    sound *= 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
    return to_samples(sound / np.abs(sound).max() * 12_000)


def syllables(n: int, seed: int = 1) -> Samples:
    """Vowels of 60 to 200 ms, each of another pitch and timbre, with short pauses; at 24 kHz."""
    random = np.random.default_rng(seed)
    sound = np.zeros(n)
    start = 0
    while start < n:
        length = min(n - start, int(random.uniform(0.06, 0.2) * PLAYOUT_RATE_HZ))
        time = np.arange(length) / PLAYOUT_RATE_HZ
        pitch = np.linspace(*random.uniform(90, 220, 2), length)
        phase = 2 * np.pi * np.cumsum(pitch) / PLAYOUT_RATE_HZ
        first, second = random.uniform(300, 900), random.uniform(900, 2400)
        voice = np.zeros(length)
        for k in range(1, 25):
            frequency = k * pitch.mean()
            weight = 1 / (1 + ((frequency - first) / 150) ** 2)
            weight += 0.5 / (1 + ((frequency - second) / 200) ** 2)
            voice += weight * np.sin(k * phase + k * k)
        envelope = np.minimum(1, np.minimum(time / 0.01, (time[-1] - time) / 0.02))
        sound[start : start + length] = voice / np.abs(voice).max() * envelope
        start += length + int(random.uniform(0, 0.06) * PLAYOUT_RATE_HZ)
    return to_samples(sound * 12_000)
