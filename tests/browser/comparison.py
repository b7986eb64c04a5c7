"""How much of a known sound is in a recording of it, one short window after the other.

A recording is later than the sound, by a lag that may change: players stretch and shorten pauses, and a hole
moves what follows. So the lag is looked for anew in each window, near the last one first.

    reference   |  1  |  2  |  3  |  4  |
    recording        |  1  |  2  |###|  3  |  4  |     likeness 1, but for what was made up; the lag grew
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from voicertc.audio.pcm import Samples

Floats: TypeAlias = NDArray[np.float64]

_FLOOR_DB = -45.0
"""dBFS: quieter windows are not looked for, for coding alone changes much of them."""
_LOST = 0.9
"""Likeness below which a window is looked for farther away."""
_FAR = 0.5
"""Seconds: how far a lag jumps at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Arrays of one value for each window of the reference that is loud enough, in order."""

    window: float
    """Seconds."""
    at: Floats
    """Seconds in the reference."""
    likeness: Floats
    """1: the same but for its volume; 0: nothing of it."""
    lag: Floats
    """Seconds by which it comes later in the recording."""
    gain_db: Floats
    """How much louder it is there."""

    def between(self, start: float, end: float) -> Trace:
        """Return the windows between two times of the reference."""
        mask = (self.at >= start) & (self.at < end)
        return Trace(self.window, self.at[mask], self.likeness[mask], self.lag[mask], self.gain_db[mask])

    def seconds_below(self, likeness: float) -> float:
        """Return how much is less like what it should be."""
        return self.window * float(np.sum(self.likeness < likeness))

    @property
    def longest_hole(self) -> float:
        """Seconds at a stretch that are 15 dB too quiet."""
        longest = run = 0
        for is_quiet in self.gain_db < -15:
            run = run + 1 if is_quiet else 0
            longest = max(longest, run)
        return self.window * longest


def level_db(samples: NDArray[np.generic]) -> float:
    """Return a sound's level in dBFS, −120 at least."""
    power = float(np.mean(np.square(samples.astype(np.float64)))) / 32_768**2 if len(samples) else 0.0
    return 10 * float(np.log10(max(power, 1e-12)))


def clicks(samples: Samples) -> list[float]:
    """Return when, in seconds, a sound at 48 kHz holds anything above 9.5 kHz: −80 dBFS or more, by 5 ms.

    For speech of 16 kHz, which has nothing there unless something tears it.
    """
    spectrum = np.fft.rfft(samples.astype(np.float64))
    spectrum[np.fft.rfftfreq(len(samples), 1 / 48_000) < 9_500] = 0
    high = np.fft.irfft(spectrum, len(samples))
    starts = range(960, len(samples) - 960, 240)  # not the ends: the sound goes on there
    return [start / 48_000 for start in starts if level_db(high[start : start + 240]) > -80]


def trace(
    reference: Samples, recording: Samples, rate_hz: int, *, window: float = 0.02, near: float = 0.01
) -> Trace:
    """Look for each window of a reference in a recording of the same rate.

    ``window``: seconds; the longer, the less it matters how coarsely it was coded. ``near``: seconds by which
    the lag may change from one window to the next, without any doubt.
    """
    n, step = round(window * rate_hz), round(near * rate_hz)
    sound, whole = recording.astype(np.float64), reference.astype(np.float64)
    lag = _lag_of_all(whole, sound)
    rows = []
    for start in range(0, len(whole) - n + 1, n):
        block = whole[start : start + n]
        if level_db(block) < _FLOOR_DB:
            continue
        likeness, found, gain_db = _find(block, sound, start + lag - step, start + lag + step)
        if likeness < _LOST:
            far = round(_FAR * rate_hz)
            other = _find(block, sound, start + lag - far, start + lag + far)
            if other[0] > max(_LOST, likeness):
                likeness, found, gain_db = other
        if likeness >= _LOST:
            lag = found - start
        rows.append((start / rate_hz, likeness, lag / rate_hz, gain_db))
    return Trace(window, *np.array(rows).T)


def _lag_of_all(reference: Floats, recording: Floats) -> int:
    """Return the samples by which most of a reference is later in a recording."""
    size = 1 << (len(reference) + len(recording)).bit_length()
    product = np.fft.rfft(recording, size) * np.conj(np.fft.rfft(reference, size))
    at = int(np.argmax(np.fft.irfft(product, size)))
    return at if at < len(recording) else at - size


def _find(block: Floats, sound: Floats, first: int, last: int) -> tuple[float, int, float]:
    """Return likeness, place and gain (dB) of a block where it fits best, from ``first`` to ``last``."""
    first = max(0, first)
    part = sound[first : last + len(block)]
    if len(part) < len(block):
        return 0.0, first, -120.0
    size = 1 << (len(part) + len(block)).bit_length()
    product = np.fft.irfft(np.fft.rfft(part, size) * np.conj(np.fft.rfft(block, size)), size)
    n_places = len(part) - len(block) + 1
    sums = np.cumsum(np.concatenate(([0.0], np.square(part))))
    energies = np.maximum(sums[len(block) :] - sums[: -len(block)], 1.0)
    own = float(block @ block)
    likeness = product[:n_places] / np.sqrt(energies * own)
    best = int(np.argmax(likeness))
    return float(likeness[best]), first + best, 10 * float(np.log10(energies[best] / own))
