"""What only libopus itself can do: change how it codes in the middle of a word, and restore what was lost."""

from __future__ import annotations

import numpy as np
import pytest

from voicertc.audio import libopus
from voicertc.audio.opus import Codec, Coding, CodingMode, OpusDecoder, OpusEncoder, has_fec
from voicertc.audio.pcm import Samples

from .opus_speech import CLEAN, LOSSY, OLD, codec_called, decode, encode, frames, syllables, vowel
from .signals import decibels

PERIOD = 10
"""Packets between two changes of mode."""


@pytest.fixture(params=["loaded", "system"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return codec_called(request.param)


def encode_changing(sound: Samples, codec: Codec) -> list[bytes]:
    encoder = OpusEncoder(coding=CLEAN, codec=codec)
    packets = []
    for i, frame in enumerate(frames(sound)):
        encoder.apply(LOSSY if i // PERIOD % 2 else CLEAN)
        packets.append(encoder.encode(frame))
    return packets


def level_difference(changing: Samples, *steady: Samples) -> tuple[float, float]:
    """How far the level falls below the softer, and rises above the louder, in dB; in pieces of 5 ms."""

    def levels(sound: Samples) -> np.ndarray:
        pieces = sound[480 * PERIOD :].reshape(-1, 120).astype(float)
        return 10 * np.log10(np.mean(pieces**2, axis=1) + 100)

    levels_of = [levels(sound) for sound in steady]
    here = levels(changing)
    return float((here - np.min(levels_of, axis=0)).min()), float((here - np.max(levels_of, axis=0)).max())


def level_above(frequency: float, sound: Samples) -> float:
    """RMS of the loudest 30 ms above a frequency; at 48 kHz, where a click is all that is there."""
    pieces = sound[: len(sound) // 1440 * 1440].reshape(-1, 1440) * np.hanning(1440)
    power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    return float(np.sqrt(power[:, np.fft.rfftfreq(1440, 1 / 48_000) > frequency].sum(axis=1).max()) / 1440)


def test_a_change_of_mode_takes_place_at_once_but_for_the_seam(codec: Codec) -> None:
    configs = [packet[0] >> 3 for packet in encode_changing(vowel(480 * 40), codec)]
    # From SILK to CELT libopus needs one packet more, which holds both.
    assert configs == [27] * 10 + [13] * 11 + [27] * 9 + [13] * 10


def test_a_change_of_mode_within_a_vowel_leaves_no_dip_bump_or_click(codec: Codec) -> None:
    sound = vowel(480 * 200)
    changing = encode_changing(sound, codec)
    clean, lossy = encode(sound, CLEAN, codec), encode(sound, LOSSY, codec)
    dip, bump = level_difference(*(decode(each, 24_000, codec) for each in (changing, clean, lossy)))
    assert dip > -4.5
    assert bump < 2
    high = [level_above(12_500, decode(each, 48_000, codec)) for each in (changing, clean, lossy)]
    assert decibels(high[0] / max(high[1:])) < 3


def test_two_encoders_would_leave_a_dip(codec: Codec) -> None:
    sound = vowel(480 * 200)
    clean, lossy = encode(sound, CLEAN, codec), encode(sound, LOSSY, codec)
    alternating = [(lossy if i // PERIOD % 2 else clean)[i] for i in range(len(clean))]
    dip, _ = level_difference(*(decode(each, 24_000, codec) for each in (alternating, clean, lossy)))
    assert dip < -6  # one encoder leaves 4.5 at most


def test_a_change_in_speech_is_a_change_of_nothing_else(codec: Codec) -> None:
    sound = syllables(480 * 200)
    changing, clean = decode(encode_changing(sound, codec)), decode(encode(sound, CLEAN, codec))
    assert abs(decibels(changing.std() / clean.std())) < 1
    assert np.corrcoef(changing, clean)[0, 1] > 0.9


@pytest.mark.parametrize("bit_rate", [16_000, 96_000])
def test_the_mode_is_the_one_asked_for_at_any_bit_rate(codec: Codec, bit_rate: int) -> None:
    clean = encode(vowel(9600), Coding(CodingMode.CLEAN, bit_rate), codec)
    lossy = encode(vowel(9600), Coding(CodingMode.LOSSY, bit_rate), codec)
    assert {packet[0] >> 3 >= 16 for packet in clean} == {True}
    assert {packet[0] >> 3 >= 16 for packet in lossy} == {False}


def test_a_libopus_that_cannot_be_forced_chooses_the_mode_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    library = libopus.load()
    control = library.encoder_ctl

    def refuse(state: int, request: int, *values: object) -> int:
        return (
            libopus.UNIMPLEMENTED if request == libopus.SET_FORCE_MODE else control(state, request, *values)
        )

    monkeypatch.setattr(library, "encoder_ctl", refuse)
    assert {packet[0] >> 3 for packet in encode(vowel(9600), Coding(CodingMode.CLEAN, 32_000))} == {13}


def test_the_bit_rate_changes_with_the_next_packets(codec: Codec) -> None:
    encoder = OpusEncoder(coding=LOSSY, codec=codec)
    sizes = []
    for bit_rate in (40_000, 20_000, 40_000):
        encoder.apply(Coding(CodingMode.LOSSY, bit_rate, 10))
        sizes.append(sum(len(encoder.encode(frame)) for frame in frames(vowel(24_000))) * 8)
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] > 0.9 * sizes[0]


def test_what_fec_restores_is_closer_to_what_was_lost_than_what_is_made_up(codec: Codec) -> None:
    packets = encode(syllables(480 * 300), LOSSY, codec)
    whole, recovering, concealing = (OpusDecoder(codec=codec) for _ in range(3))
    signal = recovered = concealed = 0.0
    for i, packet in enumerate(packets[:-1]):
        sound = whole.decode(packet).astype(float)
        if i % 5 < 4:
            recovering.decode(packet)
            concealing.decode(packet)
        elif has_fec(packets[i + 1]):
            signal += np.sum(sound**2)
            recovered += np.sum((recovering.recover(packets[i + 1], 320) - sound) ** 2)
            concealed += np.sum((concealing.conceal(320) - sound) ** 2)
        else:
            recovering.conceal(320)
            concealing.conceal(320)
    # dB of power: the signal's own is 0
    assert 10 * np.log10(recovered / signal) < -7
    assert 10 * np.log10(concealed / signal) > -3


@pytest.mark.parametrize("coding", [CLEAN, LOSSY, OLD], ids=["clean", "lossy", "no-fec"])
def test_recovery_is_concealment_where_there_is_no_fec_and_only_there(codec: Codec, coding: Coding) -> None:
    packets = encode(syllables(480 * 60), coding, codec)
    n_fec = 0
    for lost in range(10, 50):
        one, other = OpusDecoder(codec=codec), OpusDecoder(codec=codec)
        for packet in packets[:lost]:
            one.decode(packet)
            other.decode(packet)
        same = np.array_equal(one.recover(packets[lost + 1], 320), other.conceal(320))
        assert same != has_fec(packets[lost + 1])
        n_fec += not same
    assert (n_fec > 25) if coding is LOSSY else (n_fec == 0)


def test_of_two_lost_packets_fec_restores_the_second(codec: Codec) -> None:
    packets = encode(syllables(480 * 60), LOSSY, codec)
    lost = next(i for i in range(20, 50) if has_fec(packets[i + 2]))
    one, two = OpusDecoder(codec=codec), OpusDecoder(codec=codec)
    for packet in packets[:lost]:
        one.decode(packet)
        two.decode(packet)
    both = one.recover(packets[lost + 2], 640)
    assert np.array_equal(both[:320], two.conceal(320))
    assert np.array_equal(both[320:], two.recover(packets[lost + 2], 320))


def test_of_a_long_hole_fec_restores_the_end(codec: Codec) -> None:
    packets = encode(syllables(480 * 60), LOSSY, codec)
    following = next(packet for packet in packets[30:] if has_fec(packet))
    one, two = OpusDecoder(codec=codec), OpusDecoder(codec=codec)
    for packet in packets[:20]:
        one.decode(packet)
        two.decode(packet)
    whole = one.recover(following, 3200)
    assert np.array_equal(whole[:1280], two.conceal(1280))
    assert np.array_equal(whole[1280:], two.recover(following, 1920))
