from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from voicertc.audio.clips import Clip, ClipEncoder
from voicertc.audio.opus import (
    CLEAN_SILENCE,
    Coding,
    CodingMode,
    OpusDecoder,
    OpusEncoder,
    silence_packet,
)
from voicertc.audio.pcm import PLAYOUT_FRAME, Samples
from voicertc.audio.playout import PlayoutBuffer
from voicertc.rtc.voice import Voice

N = 60
RISING: Samples = (
    8000 * np.sin(2 * np.pi * np.cumsum(np.linspace(200, 900, N * PLAYOUT_FRAME)) / 24_000)
).astype(np.int16)


def clip_of(sound: Samples) -> Clip:
    encoder = ClipEncoder()
    return encoder.feed(sound)


def playing(clip: Clip) -> PlayoutBuffer:
    playout = PlayoutBuffer(lead_ms=10_000)
    playout.begin("r")
    playout.append("r", clip.samples, clip.packets)
    return playout


def packets_of(voice: Voice, n: int, act: Callable[[int], None] = lambda n: None) -> list[bytes]:
    packets = []
    for k in range(n):
        act(k)
        packet = voice.next(0.02 * k)
        assert packet is not None
        packets.append(packet)
    return packets


def decoded(packets: list[bytes]) -> np.ndarray:
    decoder = OpusDecoder(rate_hz=24_000)
    return np.concatenate([decoder.decode(packet) for packet in packets]).astype(np.float64)


class Hum:
    """Mixes something very soft in, while it is switched on."""

    def __init__(self) -> None:
        self.on_needed: Callable[[], None] | None = None
        self.is_needed = False

    def mix(self, reply: Samples | None) -> Samples | None:
        if not self.is_needed:
            return reply
        hum = np.resize(np.array([30, -30], np.int16), PLAYOUT_FRAME)
        return hum if reply is None else reply + hum


def test_a_clip_passes_as_it_is() -> None:
    clip = clip_of(RISING)
    assert tuple(packets_of(Voice(playing(clip), Coding()), N)) == clip.packets


def test_a_clip_is_encoded_anew_for_a_lossy_link_and_passes_again_on_a_clean_one() -> None:
    clip = clip_of(RISING)
    voice = Voice(playing(clip), Coding())

    def change(n: int) -> None:
        if n == 20:
            voice.coding = Coding(CodingMode.LOSSY, 40_000, 10)
        elif n == 40:
            voice.coding = Coding()

    packets = packets_of(voice, N, change)
    assert [packet in clip.packets for packet in packets] == [True] * 20 + [False] * 20 + [True] * 20


def test_a_clip_that_something_is_mixed_with_is_encoded_without_a_click() -> None:
    clip = clip_of(RISING)
    hum = Hum()
    voice = Voice(playing(clip), Coding(), hum)

    def change(n: int) -> None:
        hum.is_needed = 20 <= n < 40

    packets = packets_of(voice, N, change)
    assert [packet in clip.packets for packet in packets] == [True] * 20 + [False] * 20 + [True] * 20
    whole, mixed = decoded(list(clip.packets)), decoded(packets)
    for border in (20, 40):
        around = slice(PLAYOUT_FRAME * (border - 1), PLAYOUT_FRAME * (border + 4))
        error = np.sqrt(np.mean(np.square(mixed[around] - whole[around])))
        assert error < 0.1 * 8000 / np.sqrt(2), "what is heard goes on as if nothing had changed"


def test_an_encoder_that_was_not_shown_the_clip_would_click() -> None:
    """So the test above can fail: the same change, with a fresh encoder."""
    clip = clip_of(RISING)
    encoder = OpusEncoder(coding=Coding())
    fresh = [encoder.encode(RISING[PLAYOUT_FRAME * n : PLAYOUT_FRAME * (n + 1)]) for n in range(20, 40)]
    whole, changed = decoded(list(clip.packets)), decoded([*clip.packets[:20], *fresh, *clip.packets[40:]])
    around = slice(PLAYOUT_FRAME * 19, PLAYOUT_FRAME * 24)
    assert np.sqrt(np.mean(np.square(changed[around] - whole[around]))) > 0.1 * 8000 / np.sqrt(2)


@pytest.mark.parametrize("mode", CodingMode)
def test_silence_behind_sound_flushes_the_encoder(mode: CodingMode) -> None:
    playout = PlayoutBuffer(lead_ms=10_000)
    playout.begin("r")
    playout.append("r", RISING[: 5 * PLAYOUT_FRAME])
    voice = Voice(playout, Coding(mode))
    packets = packets_of(voice, 5) + [voice.hush() for _ in range(3)]
    heard = decoded(packets)
    end = 5 * PLAYOUT_FRAME
    assert np.abs(heard[end : end + 100]).max() > 4000, "the last of it, 6.5 ms late"
    assert np.abs(heard[end + 2 * PLAYOUT_FRAME :]).max() < 50


def test_a_call_that_says_nothing_needs_no_encoder() -> None:
    voice = Voice(PlayoutBuffer(), Coding())
    assert voice.next(0.0) is None
    assert voice.hush() == CLEAN_SILENCE
    assert voice.rest() == silence_packet(CodingMode.CLEAN)
    assert voice._encoder is None
