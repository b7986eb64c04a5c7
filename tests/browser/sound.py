"""Sound for the fake microphone, and judging what was heard.

A *timeline* is a list of ``(time, level)``: seconds and dBFS of every 10 ms, as ``ears.mjs`` records it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from voicertc.audio.resample import Resampler

MICROPHONE_HZ = 48_000

Timeline = Sequence[tuple[float, float]]


def clip(path: Path) -> NDArray[np.int16]:
    """Return a mono recording at the microphone's rate."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    resampler = Resampler(rate_hz, MICROPHONE_HZ)
    return np.concatenate([resampler.feed(samples), resampler.flush()])


def spoken(text: str, directory: Path) -> NDArray[np.int16]:
    """Return ``text`` in flite's best voice, which recognizers understand well."""
    path = directory / f"{text.replace(' ', '-')}.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True)
    return clip(path)


def write_microphone(path: Path, parts: Iterable[float | NDArray[np.int16]]) -> Path:
    """Write what the microphone hears: seconds of silence, and sounds, in turn."""
    noise = np.random.default_rng(1)

    def sound(part: float | NDArray[np.int16]) -> NDArray[np.int16]:
        if isinstance(part, np.ndarray):
            return part
        # A silence of pure zeros is nothing that a microphone ever gives.
        return noise.integers(-2, 3, int(part * MICROPHONE_HZ), dtype=np.int16)

    blocks = [sound(part) for part in parts]
    soundfile.write(path, np.concatenate(blocks), MICROPHONE_HZ, subtype="PCM_16")
    return path


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of sound: seconds, and its loudness in dBFS (the level that 10 % of it exceeds)."""

    start: float
    end: float
    loudness: float


def stretches(timeline: Timeline, *, floor: float = -50.0, pause: float = 0.4) -> list[Stretch]:
    """Return where something can be heard: above ``floor`` dBFS, pauses under ``pause`` seconds bridged."""
    found: list[list[tuple[float, float]]] = []
    for time, level in timeline:
        if level < floor:
            continue
        if not found or time - found[-1][-1][0] > pause:
            found.append([])
        found[-1].append((time, level))
    return [
        Stretch(part[0][0], part[-1][0] + 0.01, float(np.percentile([level for _, level in part], 90)))
        for part in found
    ]


def onset(timeline: Timeline, after: float, *, floor: float = -40.0) -> float:
    """Return when the first sound after a time began."""
    return next(time for time, level in timeline if time >= after and level >= floor)


def end_of_sound(timeline: Timeline, at: float, *, loudness: float, pause: float = 0.6) -> float:
    """Return the end of what was heard at a time: ``pause`` seconds 30 dB below its level follow."""
    for sound in stretches(timeline, floor=loudness - 30, pause=pause):
        if sound.start <= at < sound.end:
            return sound.end
    return at


def is_silent(timeline: Timeline, start: float, end: float, *, floor: float = -60.0) -> bool:
    """Return whether nothing louder than ``floor`` dBFS was there between two times."""
    levels = [level for time, level in timeline if start <= time < end]
    return bool(levels) and max(levels) < floor
