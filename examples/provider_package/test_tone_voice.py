"""The contract of all voices, kept by this one."""

from __future__ import annotations

import asyncio

import pytest
from tone_voice import ToneOptions, ToneVoice, number

from voicertc.audio.pcm import Samples
from voicertc.errors import ProviderUnavailable
from voicertc.testing.contracts.text_to_speech import TextToSpeechContract


async def never(word: str, speed: float) -> Samples:
    await asyncio.Event().wait()
    raise AssertionError("unreachable: nobody sets the event")


async def breaks(word: str, speed: float) -> Samples:
    raise ValueError("no tone")


class TestToneVoice(TextToSpeechContract):
    entry_point = "tones = tone_voice:make_voice"

    @pytest.fixture
    def voice(self) -> ToneVoice:
        return ToneVoice()

    @pytest.fixture
    def stalled_voice(self) -> ToneVoice:
        return ToneVoice(ToneOptions(timeout=0.1), play=never)

    @pytest.fixture
    def broken_voice(self) -> ToneVoice:
        return ToneVoice(play=breaks)


@pytest.mark.parametrize("volume", ["0", "1.5", "loud", ""])
async def test_what_is_no_volume_is_refused_when_it_starts(volume: str) -> None:
    with pytest.raises(ProviderUnavailable, match="TONES_VOLUME"):
        await ToneVoice(ToneOptions(volume=number(volume))).start()
