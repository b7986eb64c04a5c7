"""The sounds that come along, made note by note: nobody else's recording is among them.

Each is a loop without a seam, for it is made as a circle: noise is shaped on the spectrum of the whole loop,
whose waves all come back to where they began, and what rings over the loop's end goes on at its beginning.
The dice are seeded: a sound is the same in every process.

A thinking sound is quiet for most of the time, so that the cut at a reply's first sample falls into a pause
or into noise, where it is no click.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .pcm import PLAYOUT_RATE_HZ, Samples

Wave = npt.NDArray[np.float64]
"""``(n,)`` mono at 24 kHz, of any level."""

_LENGTH = 8 * PLAYOUT_RATE_HZ
"""Samples of each loop: as long as nobody notices it come round, and the spectrum's transform is quick."""
_LEAD_IN = 0.3
"""Seconds before the first note of a thinking sound: until then it is faded in."""
_THINKING_DB = -28.0
"""RMS at full volume, below full scale. An agent's voice has about -20: at a volume of 0.3 this is 18 dB
below it."""
_AMBIENT_DB = -20.0
"""At a volume of 0.1 it is 20 dB below the voice."""
_CREST_DB = 15.0
"""How far peaks may be above these levels: pauses must not make the notes between them loud."""


def synthesize(name: str) -> Samples:
    """Return the loop of that name, ``(n,)`` int16 mono at 24 kHz, without a mean."""
    wave = SYNTHESIZERS[name](np.random.default_rng(sum(name.encode())))
    wave -= wave.mean()
    level = _THINKING_DB if name in THINKING else _AMBIENT_DB
    gain = min(_amplitude(level) / wave.std(), _amplitude(level + _CREST_DB) / np.abs(wave).max())
    samples: Samples = np.rint(wave * gain).astype(np.int16)
    return samples


# --- while the agent works -----------------------------------------------------------------------


def _soft_ticks(random: np.random.Generator) -> Wave:
    """Somebody types, far from the microphone: bursts of soft taps, and pauses for thought."""
    return _taps(random, pause=(0.35, 0.8))


def _pulse(random: np.random.Generator) -> Wave:
    """Two notes of a marimba, every two seconds."""
    loop = np.zeros(_LENGTH)
    for number, (low, high) in enumerate(((392.0, 587.3), (329.6, 493.9), (392.0, 587.3), (293.7, 440.0))):
        _ring(loop, 2.0 * number + _LEAD_IN, _bar(low))
        _ring(loop, 2.0 * number + _LEAD_IN + 0.38, 0.7 * _bar(high))
    return loop


def _breath(random: np.random.Generator) -> Wave:
    """Air that swells and ebbs, two breaths in eight seconds: in is brighter than out."""
    swell = np.sin(2 * np.pi * np.arange(_LENGTH) / (4.0 * PLAYOUT_RATE_HZ))
    inward = _noise(random, 500, 2200) * np.maximum(swell, 0.0) ** 2
    outward = _noise(random, 250, 1100) * np.minimum(swell, 0.0) ** 2
    breath: Wave = inward + 0.8 * outward
    return breath


# --- beneath the call ----------------------------------------------------------------------------


def _room(random: np.random.Generator) -> Wave:
    """A quiet room: the rumble of a house, and a little air."""
    return _noise(random, 60, 400, tilt=1.0) + 0.12 * _noise(random, 200, 3000, tilt=0.5)


def _office(random: np.random.Generator) -> Wave:
    """The room, people who talk behind a wall, and a keyboard now and then."""
    murmur = np.zeros(_LENGTH)
    for low, high in ((180, 500), (300, 900), (450, 1300)):
        syllables = np.maximum(_noise(random, 2, 5), 0.0)
        phrases = np.maximum(_noise(random, 0.1, 0.4) + 0.3, 0.0)
        murmur += _noise(random, low, high, tilt=0.5) * syllables * phrases
    taps = _taps(random, pause=(0.9, 2.2))
    office: Wave = _room(random) + 0.4 * murmur / murmur.std() + 0.12 * taps / taps.std()
    return office


def _rain(random: np.random.Generator) -> Wave:
    """Rain on leaves: its hiss, which is never quite even, and single drops."""
    gusts = 1.0 + 0.12 * _noise(random, 0.2, 1.0)
    loop = gusts * _noise(random, 500, 7000, tilt=0.5)
    for at in random.uniform(0.0, _LENGTH / PLAYOUT_RATE_HZ, 160):
        drop = _ringing(random.uniform(1200, 4500), decay=random.uniform(0.002, 0.006))
        _ring(loop, at, random.uniform(0.5, 2.5) * drop)
    return loop


# --- what they are made of -----------------------------------------------------------------------


def _noise(random: np.random.Generator, low: float, high: float, *, tilt: float = 0.0) -> Wave:
    """Return a loop of noise from ``low`` to ``high`` Hz with the RMS 1; outside it falls by 12 dB an octave.

    Within it falls by ``tilt`` times 6 dB an octave.
    """
    frequencies = np.fft.rfftfreq(_LENGTH, 1 / PLAYOUT_RATE_HZ)[1:]
    gains = 1.0 / ((1.0 + (low / frequencies) ** 2) * (1.0 + (frequencies / high) ** 2) * frequencies**tilt)
    real, imaginary = random.standard_normal((2, len(gains)))
    wave: Wave = np.fft.irfft(np.concatenate(([0.0], gains * (real + 1j * imaginary))), _LENGTH)
    wave /= wave.std()
    return wave


def _taps(random: np.random.Generator, pause: tuple[float, float]) -> Wave:
    """Return bursts of three to seven taps, with seconds of ``pause`` between them."""
    loop = np.zeros(_LENGTH)
    at, end = _LEAD_IN, _LENGTH / PLAYOUT_RATE_HZ
    while at < end - 0.2:
        for _ in range(random.integers(3, 8)):
            _ring(loop, at, random.uniform(0.4, 1.0) * _tap(random))
            at += random.uniform(0.09, 0.21)
        at += random.uniform(*pause)
    return loop


def _tap(random: np.random.Generator) -> Wave:
    """Return a soft tap: a key's click, and its thud on the desk."""
    thud = _ringing(random.uniform(160, 230), decay=0.014)
    click = random.standard_normal(len(thud)) * np.exp(-_times(len(thud)) / 0.003)
    smooth = np.convolve(click, np.hanning(9) / 4, mode="same")
    return thud + 0.5 * smooth * _attack(len(thud), 0.001)


def _bar(frequency: float) -> Wave:
    """Return a marimba's bar struck with a soft mallet: its partials are 1, 4 and 10."""
    partials = [(1, 1.0, 0.32), (4, 0.12, 0.07), (10, 0.015, 0.02)]
    waves = [gain * _ringing(number * frequency, decay=decay) for number, gain, decay in partials]
    bar = np.zeros(max(map(len, waves)))
    for wave in waves:
        bar[: len(wave)] += wave
    return bar


def _ringing(frequency: float, *, decay: float) -> Wave:
    """Return a sine that falls to 1/e in ``decay`` seconds, until it is 60 dB down."""
    times = _times(int(6.9 * decay * PLAYOUT_RATE_HZ))
    wave: Wave = np.sin(2 * np.pi * frequency * times) * np.exp(-times / decay) * _attack(len(times), 0.004)
    return wave


def _attack(n: int, seconds: float) -> Wave:
    """Return ``(n,)`` gains that rise within so many seconds."""
    rise: Wave = np.sin(np.pi / 2 * np.minimum(_times(n) / seconds, 1.0)) ** 2
    return rise


def _times(n: int) -> Wave:
    return np.arange(n) / PLAYOUT_RATE_HZ


def _ring(loop: Wave, at: float, sound: Wave) -> None:
    """Add ``sound`` at ``at`` seconds; what does not fit goes on at the loop's beginning."""
    loop[(int(at * PLAYOUT_RATE_HZ) + np.arange(len(sound))) % len(loop)] += sound


def _amplitude(level_db: float) -> float:
    return float(32_768 * 10 ** (level_db / 20))


Synthesizer = Callable[[np.random.Generator], Wave]

THINKING: dict[str, Synthesizer] = {"soft_ticks": _soft_ticks, "pulse": _pulse, "breath": _breath}
AMBIENT: dict[str, Synthesizer] = {"room": _room, "office": _office, "rain": _rain}
SYNTHESIZERS = THINKING | AMBIENT
