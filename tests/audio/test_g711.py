from __future__ import annotations

import av
import numpy as np
import pytest

from voicertc.audio.g711 import A_LAW, MU_LAW, Law
from voicertc.audio.pcm import Samples

from .signals import decibels, tone

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_BYTE = bytes(range(256))
BOTH = pytest.mark.parametrize(("law", "codec"), [(MU_LAW, "pcm_mulaw"), (A_LAW, "pcm_alaw")])


def coded(law: Law, *samples: int) -> str:
    return law.encode(np.array(samples, np.int16)).hex(" ")


def test_the_code_points_of_mu_law_are_those_of_table_2a() -> None:
    assert coded(MU_LAW, 0, 32767, -32768) == "ff 80 00"
    # The segments' first levels, in the table's 14 bits.
    segments = [4 * level for level in (0, 33, 99, 231, 495, 1023, 2079, 4191)]
    assert MU_LAW.decode(bytes(range(0xFF, 0x7F, -16))).tolist() == segments
    assert MU_LAW.decode(b"\x80\x00\x7f").tolist() == [4 * 8031, -4 * 8031, 0]


def test_the_code_points_of_a_law_are_those_of_table_1a() -> None:
    assert coded(A_LAW, 0, -1, 32767, -32768) == "d5 55 aa 2a"
    # The segments' first levels, in the table's 13 bits, one of which is half a step.
    segments = [8 * level for level in (1, 33, 66, 132, 264, 528, 1056, 2112)]
    codes = bytes((0x80 | segment << 4) ^ 0x55 for segment in range(8))
    assert A_LAW.decode(codes).tolist() == segments
    assert A_LAW.decode(b"\xaa\x2a\x55").tolist() == [8 * 4032, -8 * 4032, -8]


@BOTH
def test_every_sample_is_coded_as_libavcodec_codes_it(law: Law, codec: str) -> None:
    context = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout, context.format = 8_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(EVERY_SAMPLE[None], format="s16", layout="mono")
    frame.sample_rate = 8_000
    expected = b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
    assert law.encode(EVERY_SAMPLE) == expected


@BOTH
def test_every_byte_is_decoded_as_libavcodec_decodes_it(law: Law, codec: str) -> None:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 8_000, "mono"
    frames = context.decode(av.Packet(EVERY_BYTE))
    expected = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    assert np.array_equal(law.decode(EVERY_BYTE), expected)


@BOTH
def test_what_was_decoded_is_coded_as_it_was(law: Law, codec: str) -> None:
    again = law.encode(law.decode(EVERY_BYTE))
    differing = {byte for byte, other in zip(EVERY_BYTE, again, strict=True) if byte != other}
    assert differing == ({0x7F} if law is MU_LAW else set())  # μ-law has a negative zero


def snr(law: Law, sound: Samples) -> float:
    error = law.decode(law.encode(sound)).astype(float) - sound
    return decibels(float(sound.astype(float).std() / error.std()))


@pytest.mark.parametrize("law", [MU_LAW, A_LAW], ids=["mu", "a"])
@pytest.mark.parametrize(("level_db", "at_least"), [(0, 36), (-10, 35), (-20, 35), (-30, 34), (-40, 31)])
def test_the_noise_of_coding_keeps_its_distance_over_forty_decibels(
    law: Law, level_db: float, at_least: float
) -> None:
    assert at_least < snr(law, tone(1004, 8_000, 8_000, 32_000 * 10 ** (level_db / 20))) < 43


def test_frames_may_be_slices_of_something_larger() -> None:
    sound = tone(440, 8_000, 800)
    sound.flags.writeable = False
    assert MU_LAW.encode(np.repeat(sound, 2)[::2]) == MU_LAW.encode(sound)
    assert MU_LAW.encode(sound[:0]) == b""
    assert len(MU_LAW.decode(b"")) == 0
