"""The contract of all recognizers, kept by this one."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from loudness_ear import LoudnessEar

from voicertc.audio.pcm import HEARING_RATE_HZ, Samples
from voicertc.testing.contracts.speech_to_text import SpeechToTextContract


async def never(samples: Samples) -> str:
    await asyncio.Event().wait()
    raise AssertionError("unreachable: nobody sets the event")


async def breaks(samples: Samples) -> str:
    raise ValueError("no sound")


class TestLoudnessEar(SpeechToTextContract):
    entry_point = "loudness = loudness_ear:make_ear"
    gives_interims = False

    @pytest.fixture
    def recognizer(self) -> LoudnessEar:
        return LoudnessEar()

    @pytest.fixture
    def stalled_recognizer(self) -> LoudnessEar:
        return LoudnessEar(never, timeout=0.1)

    @pytest.fixture
    def broken_recognizer(self) -> LoudnessEar:
        return LoudnessEar(breaks)

    @pytest.fixture
    def speech(self) -> Samples:
        return np.full(HEARING_RATE_HZ, 5_000, np.int16)

    @pytest.fixture
    def words(self) -> set[str]:
        return {"loud"}
