"""What may be heard beside the voice: the sounds that come along, by name, and files of the operator's.

    sounds = load_all("soft_ticks", "/srv/cafe.ogg")     once, in a thread: it takes 0.2 s
    sounds.ambient["default"]                            the operator's choice, the file
    sounds.ambient["rain"]                               one of those that a client may choose by name

A sound is ready to be mixed: a loop at playout's rate, in whole frames, at a level at which a volume means
the same for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from ..errors import SettingsError
from .pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ, Samples
from .resample import Resampler
from .synthesis import AMBIENT, SYNTHESIZERS, THINKING, synthesize

MAX_SECONDS = 60
"""The longest file: 3 MB that every process holds for all its calls."""
MIN_SECONDS = 0.1
"""The shortest: less would be a buzz."""
DEFAULT = "default"
"""The name that the operator's own choice goes by."""

_MAX_RMS = 3277
"""-20 dB below full scale: a louder file is lowered, so that a volume of 1 is as loud as a voice at most."""
_SEAM = PLAYOUT_RATE_HZ * 50 // 1000
"""Samples over which the end of a file goes over into its beginning; up to a frame more."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A loop: ``(n,)`` int16 mono at 24 kHz, whole frames of 20 ms, without a seam where it comes round.

    Shared by all calls, so that nobody may write to it.
    """

    samples: Samples

    def __post_init__(self) -> None:
        assert len(self.samples), "there is nothing to loop"
        assert len(self.samples) % PLAYOUT_FRAME == 0, f"{len(self.samples)} samples are not whole frames"
        self.samples.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class SoundSet:
    """All sounds of a process by name; ``default`` is the operator's choice."""

    thinking: Mapping[str, Sound]
    ambient: Mapping[str, Sound]


def load_all(thinking: str, ambient: str) -> SoundSet:
    """Load what comes along and what the operator chose, each a name or the path of a file.

    Blocks for 0.2 s the first time, and longer for files. Raises ``SettingsError``.
    """
    return SoundSet(
        {DEFAULT: load(thinking), **{name: load(name) for name in THINKING}},
        {DEFAULT: load(ambient), **{name: load(name) for name in AMBIENT}},
    )


def load(choice: str) -> Sound:
    """Return the sound of that name, or the one in the file. Blocks. Raises ``SettingsError``.

    The same name gives the same object; a file is read anew.
    """
    if choice in SYNTHESIZERS:
        return _synthesized(choice)
    path = Path(choice).expanduser()
    if problem := _problem_of_file(path):
        raise SettingsError([problem])
    try:
        return Sound(_loop(_read(path)))
    except (soundfile.SoundFileError, ValueError) as error:
        raise SettingsError([f"{path} cannot be read as sound: {error}"]) from error


def find_problem(choice: str, names: Collection[str]) -> str | None:
    """Say why a choice can be neither of ``names`` nor of a file; ``None``: it can.

    Of a file only the header is read.
    """
    if choice in names:
        return None
    path = Path(choice).expanduser()
    if not path.is_file():
        return f"{choice!r} is neither a file nor one of {', '.join(sorted(names))}"
    return _problem_of_file(path)


@lru_cache(maxsize=len(SYNTHESIZERS))
def _synthesized(name: str) -> Sound:
    return Sound(synthesize(name))


def _problem_of_file(path: Path) -> str | None:
    if not path.is_file():
        return f"there is no file {path}"
    try:
        header = soundfile.info(path)
        Resampler(header.samplerate, PLAYOUT_RATE_HZ)
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        # TypeError: a file whose name ends in .raw, of which libsndfile would have to be told everything.
        return f"{path} cannot be read as sound: {error}"
    seconds = header.frames / header.samplerate
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        return f"{path} lasts {seconds:.4g} s; {MIN_SECONDS:g} to {MAX_SECONDS} can be looped"
    return None


def _read(path: Path) -> npt.NDArray[np.float64]:
    """Return a file's sound, mono at 24 kHz in the range of int16.

    A second at a time, for it may have many channels, and no more than the header may have promised.
    """
    with soundfile.SoundFile(path) as file:
        resampler = Resampler(file.samplerate, PLAYOUT_RATE_HZ)
        # As floats: libsndfile makes zeros of a file of floats that is read as integers.
        blocks = file.blocks(file.samplerate, frames=MAX_SECONDS * file.samplerate, always_2d=True)
        pieces = [resampler.feed(_to_int16(block.mean(axis=1))) for block in blocks]
        return np.concatenate([*pieces, resampler.flush()]).astype(np.float64)


def _to_int16(wave: npt.NDArray[np.float64]) -> Samples:
    scaled = np.nan_to_num(wave, posinf=0.0, neginf=0.0) * 32_768
    samples: Samples = np.clip(np.rint(scaled), -32_768, 32_767).astype(np.int16)
    return samples


def _loop(wave: npt.NDArray[np.float64]) -> Samples:
    """Let the end of a sound go over into its beginning, in whole frames; take out its mean, and lower it."""
    n = len(wave)
    if n < MIN_SECONDS * PLAYOUT_RATE_HZ:
        raise ValueError("the file is shorter than its header says")
    seam = min(_SEAM, n // 4)
    seam += (n - seam) % PLAYOUT_FRAME
    fading_in = np.sin(np.pi / 2 * (np.arange(seam) + 0.5) / seam)
    loop = wave[: n - seam].copy()
    loop[:seam] = loop[:seam] * fading_in + wave[n - seam :] * fading_in[::-1]
    loop -= loop.mean()
    rms = float(np.sqrt(np.mean(loop**2)))
    if rms > _MAX_RMS:
        loop *= _MAX_RMS / rms
    samples: Samples = np.clip(np.rint(loop), -32_768, 32_767).astype(np.int16)
    return samples
