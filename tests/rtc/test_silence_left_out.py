"""Silence that is not decoded costs no onset: a detector hears the same, at three levels of speech."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voicertc.audio.opus import Coding, CodingMode, OpusEncoder
from voicertc.audio.pcm import PcmFrame, Samples
from voicertc.audio.vad import SpeechModel, SpeechSign, VoiceActivity
from voicertc.rtc.microphone import Microphone
from voicertc.rtc.rtp import RtpPacket
from voicertc.testing import virtual_time

from ..audio.signals import read_wav

HUSH = np.zeros(5 * 16_000, np.int16)
STAYS_OPEN = 0.6
"""Seconds for which a turn is open behind speech."""


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return SpeechModel()


def level_of(block: Samples) -> int:
    """RFC 6464 §3: root mean square of the packet, in −dBov."""
    power = float(np.mean(np.square(block.astype(np.float64)))) / 32_768**2
    return min(127, round(-10 * np.log10(power))) if power > 0 else 127


def packets_of(sound: Samples) -> list[RtpPacket]:
    encoder = OpusEncoder(rate_hz=16_000, coding=Coding(CodingMode.LOSSY, 32_000))
    blocks = [sound[n : n + 320] for n in range(0, len(sound) - 319, 320)]
    return [
        RtpPacket(111, n & 0xFFFF, 960 * n, 7, encoder.encode(block), level_of(block))
        for n, block in enumerate(blocks)
    ]


def hear(model: SpeechModel, packets: list[RtpPacket], *, leaves_out: bool) -> tuple[list[SpeechSign], int]:
    """Return what a detector makes of it, and how many frames were decoded."""

    async def run() -> tuple[list[SpeechSign], int]:
        activity = VoiceActivity(model)
        signs: list[SpeechSign] = []
        frames = [0]
        now = [0.0]

        def take(frame: PcmFrame) -> None:
            frames[0] += 1
            signs.extend(activity.feed(frame))

        def is_idle() -> bool:
            stopped = [sign.at for sign in signs if sign.kind == "stopped"]
            return leaves_out and not activity.is_speech and now[0] > (stopped or [-9.0])[-1] + STAYS_OPEN

        microphone = Microphone(take, began=0.0, is_idle=is_idle)
        for n, packet in enumerate(packets, 1):
            now[0] = 0.02 * n
            microphone.take(packet, now[0])
        return signs, frames[0]

    return virtual_time.run(run())


@pytest.mark.parametrize("gain_db", [0, -15, -25])
def test_recorded_speech_begins_and_ends_where_it_does_when_all_is_decoded(
    speech_dir: Path, model: SpeechModel, gain_db: int
) -> None:
    clips = json.loads((speech_dir / "manifest.json").read_text())
    differences = []
    n_left_out = n_all = 0
    for clip in clips[:20]:
        sound = read_wav(speech_dir / clip["file"]).astype(np.float64) * 10 ** (gain_db / 20)
        packets = packets_of(np.concatenate([HUSH, sound.astype(np.int16), HUSH]))
        whole, n_whole = hear(model, packets, leaves_out=False)
        sparing, n_sparing = hear(model, packets, leaves_out=True)
        assert [sign.kind for sign in sparing] == [sign.kind for sign in whole], clip["file"]
        differences += [abs(one.at - other.at) for one, other in zip(whole, sparing, strict=True)]
        n_left_out, n_all = n_left_out + n_whole - n_sparing, n_all + n_whole
    assert max(differences) <= 0.065, "two windows of the detector at most"
    assert np.median(differences) < 0.01
    assert n_left_out / n_all > 0.5, "silence was left out at all"
