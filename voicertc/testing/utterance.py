"""Something said, encoded once: what headless clients play, any number of them at the same time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from ..audio.opus import Coding, CodingMode, OpusEncoder
from ..audio.pcm import FRAME_MS, HEARING_FRAME, HEARING_RATE_HZ, Samples
from ..audio.resample import Resampler

SPEECH_RANGE_DB = 25.0
"""A frame this far below the loud ones is no speech any more."""
_CLICK = 3
"""Frames: a shorter sound is a click or a breath."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Opus packets of 20 ms, and where in them the speech lies."""

    packets: tuple[bytes, ...]
    speech_start: float
    """Seconds from the beginning to the first sound of speech."""
    speech_end: float
    """Seconds from the beginning to the end of the last sound of speech."""
    name: str = ""

    @property
    def duration(self) -> float:
        """Length in seconds, silence around the speech included."""
        return len(self.packets) * FRAME_MS / 1000

    @property
    def first_speech_packet(self) -> int:
        """Index of the packet that holds the onset of speech."""
        return min(int(self.speech_start * 1000 / FRAME_MS), len(self.packets) - 1)

    @property
    def last_speech_packet(self) -> int:
        """Index of the packet that holds the end of speech."""
        last = -(-round(self.speech_end * 1000) // FRAME_MS) - 1
        return max(0, min(last, len(self.packets) - 1))

    @classmethod
    def from_samples(
        cls,
        samples: Samples,
        *,
        speech: tuple[float, float] | None = None,
        bit_rate: int = 32_000,
        name: str = "",
    ) -> Utterance:
        """Encode ``(n,)`` int16 mono at 16 kHz; ``speech`` in seconds, found by energy if not given."""
        if len(samples) == 0:
            raise ValueError("an utterance needs samples")
        padded = np.pad(samples, (0, -len(samples) % HEARING_FRAME))
        encoder = OpusEncoder(rate_hz=HEARING_RATE_HZ, coding=Coding(CodingMode.LOSSY, bit_rate))
        packets = tuple(encoder.encode(frame) for frame in padded.reshape(-1, HEARING_FRAME))
        start, end = speech if speech is not None else speech_bounds(samples)
        return cls(packets, start, end, name)

    @classmethod
    def from_wav(cls, path: Path, *, bit_rate: int = 32_000) -> Utterance:
        """Read and encode a sound file of any rate.

        The bounds of its speech are those that a ``manifest.json`` beside it states (``file``, ``start``,
        ``end`` in seconds), else they are found by energy. Raises ``OSError`` if it cannot be read.
        """
        return cls.from_samples(
            read_wav(path), speech=labelled_bounds(path), bit_rate=bit_rate, name=path.name
        )


def read_wav(path: Path) -> Samples:
    """Return a sound file as ``(n,)`` int16 mono at 16 kHz; raises ``OSError`` if it cannot be read."""
    try:
        channels, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise OSError(f"{path} cannot be read as sound: {error}") from error
    mono: Samples = (channels.sum(axis=1, dtype=np.int32) // channels.shape[1]).astype(np.int16)
    resampler = Resampler(rate_hz, HEARING_RATE_HZ)
    return np.concatenate((resampler.feed(mono), resampler.flush()))


def labelled_bounds(path: Path) -> tuple[float, float] | None:
    """Return the start and end of speech that a ``manifest.json`` beside the file states, in seconds."""
    manifest = path.parent / "manifest.json"
    if not manifest.is_file():
        return None
    entries: Any = json.loads(manifest.read_text(encoding="utf-8"))
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("file") == path.name and "start" in entry and "end" in entry:
            return float(entry["start"]), float(entry["end"])
    return None


def speech_bounds(samples: Samples) -> tuple[float, float]:
    """Return the start and end of speech in seconds, by energy, of ``(n,)`` int16 mono at 16 kHz.

    Within 0.2 s of what people label in five clips of six; a clip that is measured with should have labels.
    """
    padded = np.pad(samples, (0, -len(samples) % HEARING_FRAME)).reshape(-1, HEARING_FRAME)
    levels = levels_db(padded)
    is_loud = levels > np.percentile(levels, 95) - SPEECH_RANGE_DB
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_loud, [False]))))
    runs = edges.reshape(-1, 2)
    lasting = runs[runs[:, 1] - runs[:, 0] >= _CLICK]
    first, last = (lasting if len(lasting) else runs)[[0, -1]]
    return int(first[0]) * FRAME_MS / 1000, int(last[1]) * FRAME_MS / 1000


def levels_db(frames: Samples) -> npt.NDArray[np.float64]:
    """Return the level of each row of ``(n, m)`` int16 in dB below full scale; digital silence is -120."""
    power = np.mean(np.square(frames.astype(np.float64)), axis=-1) / 32_768.0**2
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-12))
    return levels
