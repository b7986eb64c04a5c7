"""The contract of all voices, kept by this one."""

from __future__ import annotations

import asyncio

import pytest
from tone_voice import ToneOptions, ToneVoice

from voicertc.audio.pcm import Samples
from voicertc.testing.contracts.text_to_speech import TextToSpeechContract


async def never(word: str, speed: float) -> Samples:
    await asyncio.Event().wait()
    raise AssertionError("unreachable: nobody sets the event")


async def breaks(word: str, speed: float) -> Samples:
    raise ValueError("no tone")


class TestToneVoice(TextToSpeechContract):
    @pytest.fixture
    def voice(self) -> ToneVoice:
        return ToneVoice()

    @pytest.fixture
    def stalled_voice(self) -> ToneVoice:
        return ToneVoice(ToneOptions(timeout=0.1), play=never)

    @pytest.fixture
    def broken_voice(self) -> ToneVoice:
        return ToneVoice(play=breaks)
