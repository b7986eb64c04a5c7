"""Real browsers hear us, and are heard, without a glitch: sound measured sample by sample at both ends.

What a browser should play is known exactly, a decoder being given what left us: any window that differs was
touched by its jitter buffer, because something came late, never, or with a time stamp that it did not like.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from voicertc.audio.opus import Coding, CodingMode
from voicertc.audio.pcm import PLAYOUT_RATE_HZ, Samples
from voicertc.audio.resample import Resampler
from voicertc.testing.lossy_link import RTP_ONLY, LinkModel, LossyLink

from .media_call import Kept, MediaCall, media_call
from .sound import MICROPHONE_HZ, spoken, write_microphone

pytestmark = [pytest.mark.browser, pytest.mark.network]

TIME_LIMIT = 60
"""Seconds that one browser may take for a call, its start included."""
LONG = (
    "The north wind and the sun were disputing which was the stronger, when a traveler came along wrapped in a "
    "warm cloak. They agreed that the one who first succeeded"
)
SHORT = "She sells sea shells by the shore"
CLEAN = Coding(CodingMode.CLEAN, 48_000)
LOSSY = Coding(CodingMode.LOSSY, 40_000, 10)


def resampled(samples: Samples, source_hz: int, target_hz: int) -> Samples:
    resampler = Resampler(source_hz, target_hz)
    return np.concatenate([resampler.feed(samples), resampler.flush()])


class Words:
    """What both sides say, at the microphone's rate and at playout's."""

    def __init__(self, directory: Path) -> None:
        self.long, self.short = spoken(LONG, directory), spoken(SHORT, directory)
        self.our_long = resampled(self.long, MICROPHONE_HZ, PLAYOUT_RATE_HZ)
        self.our_short = resampled(self.short, MICROPHONE_HZ, PLAYOUT_RATE_HZ)


async def plain_call(browser: str, words: Words, directory: Path) -> Kept:
    """Speech, a long silence, speech, changes of the coding, and all that once more in the other one."""
    said = write_microphone(directory / "said.wav", [words.long, 6.0, words.short, 2.0, words.long, 1.0])
    async with asyncio.timeout(TIME_LIMIT), media_call(browser, said) as call:
        await asyncio.sleep(0.5)
        await _scene(call, "greeting", words.our_short)
        call.let_speak()
        await _scene(call, "speech", words.our_long)
        call.mark("silence")
        await asyncio.sleep(12)
        await _scene(call, "again", words.our_short)
        changing = asyncio.create_task(_change_coding(call))
        await _scene(call, "changes", words.our_long)
        changing.cancel()
        call.choose(LOSSY)
        await _scene(call, "lossy", words.our_short)
        call.mark("lossy-silence")
        await asyncio.sleep(6)
        await _scene(call, "lossy-again", words.our_short)
        await call.end()
        return call.kept


async def _scene(call: MediaCall, name: str, samples: Samples) -> None:
    call.mark(name)
    await call.say(samples)
    await asyncio.sleep(0.5)


async def _change_coding(call: MediaCall) -> None:
    while True:
        for coding in (LOSSY, CLEAN):
            await asyncio.sleep(0.99)
            call.choose(coding)


LOSS = LinkModel(loss=0.05, delay=0.02, jitter=0.005, hurts=RTP_ONLY)


async def lossy_call(browser: str, words: Words, directory: Path) -> Kept:
    """Speech both ways over a link that loses every twentieth packet, until we have learnt of it and after."""
    said = write_microphone(directory / "said.wav", [words.long, words.short, 5.0, words.long, 1.0])
    link = LossyLink(up=LOSS, down=LOSS, seed=4)
    try:
        async with asyncio.timeout(TIME_LIMIT), media_call(browser, said, link=link) as call:
            call.let_speak()
            await _scene(call, "clean", words.our_long)
            await _scene(call, "learning", words.our_short)
            await _scene(call, "lossy", words.our_long)
            await _scene(call, "lossy-again", words.our_short)
            await call.end()
            return call.kept
    finally:
        link.close()
