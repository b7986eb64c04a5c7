"""Packets are read without being decoded; libopus's own functions are the judges."""

from __future__ import annotations

import ctypes

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicertc.audio import libopus
from voicertc.audio.opus import (
    CLEAN_SILENCE,
    SILENCE,
    Coding,
    CodingMode,
    OpusDecoder,
    OpusEncoder,
    duration,
    has_fec,
    is_dtx,
    silence_packet,
)
from voicertc.errors import ClientError

from .opus_speech import CLEAN, LOSSY, encode, frames, syllables, vowel

both_modes = pytest.mark.parametrize("coding", [CLEAN, LOSSY], ids=["clean", "lossy"])


@pytest.fixture(scope="module")
def judge() -> ctypes.PyDLL:
    dll = ctypes.PyDLL(libopus.load().path)
    dll.opus_packet_get_nb_samples.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_int)
    if not hasattr(dll, "opus_packet_has_lbrr"):
        pytest.skip(f"{libopus.load().name} has no opus_packet_has_lbrr: 1.4 has")
    dll.opus_packet_has_lbrr.argtypes = (ctypes.c_char_p, ctypes.c_int)
    return dll


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Random bytes, of which few begin like a packet of several frames; those are made more likely."""
    body = draw(st.binary(max_size=80))
    if draw(st.booleans()):
        return body
    config, code = draw(st.integers(0, 31)), draw(st.integers(0, 7))
    count = draw(st.integers(0, 6)) | draw(st.sampled_from([0, 0x40, 0x80, 0xC0]))
    return bytes([config << 3 | code, count]) + body


@settings(max_examples=1500, deadline=None)
@given(packets())
@example(b"")
@example(b"\x03")
@example(b"\x1b\x02")
@example(b"\x1b\x03")
@example(b"\x83\x30")
@example(b"\x83\x31")
def test_a_packet_s_duration_is_what_libopus_says(judge: ctypes.PyDLL, packet: bytes) -> None:
    expected = judge.opus_packet_get_nb_samples(packet, len(packet), 48_000)
    if expected > 0:
        assert duration(packet) == expected
    else:
        with pytest.raises(ClientError) as caught:
            duration(packet)
        assert caught.value.code == "invalid_audio"


@settings(max_examples=1500, deadline=None)
@given(packets())
@example(b"\x68")
@example(b"\x68\x40")
@example(b"\x6c\x20")
@example(b"\x1c\x11")  # 60 ms, stereo: the other channel's
@example(b"\x6a\x01\x40\x00")
@example(b"\x6a\xfc\x00" + b"\x40" * 300)
@example(b"\x6b\x41\x02\x40\x00\x00")
@example(b"\x6b\xc2\x02\x01\x40\x40\x00\x00")
def test_whether_a_packet_has_fec_is_what_libopus_says(judge: ctypes.PyDLL, packet: bytes) -> None:
    said = judge.opus_packet_has_lbrr(packet, len(packet))
    if said >= 0:  # else it is no packet
        assert has_fec(packet) == bool(said)
    else:
        assert has_fec(packet) in (True, False)


@pytest.mark.parametrize("length_ms", [20, 40, 60])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_fec_is_seen_in_packets_of_any_shape(judge: ctypes.PyDLL, length_ms: int, layout: str) -> None:
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, layout, "s16"
    context.bit_rate = 40_000
    context.options = {
        "frame_duration": str(length_ms),
        "application": "voip",
        "fec": "1",
        "packet_loss": "10",
    }
    context.open()
    sound = np.repeat(syllables(96_000), 2 if layout == "mono" else 4)
    n = 48 * length_ms
    found = []
    for i in range(50):
        frame = av.AudioFrame(format="s16", layout=layout, samples=n)
        frame.sample_rate = 48_000
        channels = frame.layout.nb_channels
        frame.planes[0].update(sound[i * n * channels : (i + 1) * n * channels].tobytes())
        (packet,) = map(bytes, context.encode(frame))
        assert has_fec(packet) == bool(judge.opus_packet_has_lbrr(packet, len(packet)))
        assert duration(packet) == n
        found.append(has_fec(packet))
    assert sum(found) > 10


def test_fec_is_there_when_asked_for_and_where_somebody_speaks() -> None:
    sound = syllables(48_000)
    assert sum(map(has_fec, encode(sound, LOSSY))) > 80
    for coding in (CLEAN, Coding(CodingMode.LOSSY, 40_000)):
        assert not any(map(has_fec, encode(sound, coding)))
    assert not any(map(has_fec, encode(np.zeros(24_000, np.int16), LOSSY)[5:]))


def test_the_bit_rates_at_which_fec_takes_the_upper_band_are_as_documented() -> None:
    def bands(bit_rate: int, loss_percent: int) -> tuple[set[int], bool]:
        coded = encode(syllables(48_000), Coding(CodingMode.LOSSY, bit_rate, loss_percent))[10:]
        return {packet[0] >> 3 for packet in coded}, any(map(has_fec, coded))

    super_wide, wide, medium = {13}, {9}, {5}  # hybrid; SILK
    assert bands(40_000, 10) == bands(32_000, 10) == (super_wide, True)
    assert bands(40_000, 3) == bands(32_000, 3) == (super_wide, True)
    assert bands(28_000, 3) == (super_wide, False)
    assert bands(24_000, 20) == (wide, True)
    assert bands(20_000, 20) == (medium, True)


def test_packets_of_two_bytes_at_most_say_that_there_is_nothing_to_say() -> None:
    assert [is_dtx(packet) for packet in (b"", b"\x68", b"\x6b\x01", CLEAN_SILENCE, SILENCE)] == [
        False,
        True,
        True,
        False,
        False,
    ]


@both_modes
def test_the_packets_of_silence_are_what_libopus_itself_sends(coding: Coding) -> None:
    encoder = libopus.load().new_encoder(24_000, coding)
    assert encoder.control(libopus.SET_DTX, 1) == 0
    for frame in frames(vowel(9600)):
        encoder.encode(frame)
    sent = [encoder.encode(np.zeros(480, np.int16)) for _ in range(60)]
    dtx = [packet for packet in sent if is_dtx(packet)]
    assert len(dtx) > 40
    assert set(dtx) == {silence_packet(coding.mode)}
    real = next(packet for packet in sent[30:] if not is_dtx(packet))
    assert real[0] == silence_packet(coding.mode)[0]
    if coding.mode is CodingMode.CLEAN:
        assert real == CLEAN_SILENCE


@both_modes
def test_dtx_is_off_silence_is_for_the_sender_to_leave_out(coding: Coding) -> None:
    assert not any(map(is_dtx, encode(np.zeros(48_000, np.int16), coding)))


@both_modes
@pytest.mark.parametrize("ready", [False, True], ids=["encoded", "ready"])
def test_after_three_packets_of_silence_an_empty_one_keeps_a_decoder_silent(
    coding: Coding, ready: bool
) -> None:
    encoder, decoder = OpusEncoder(coding=coding), OpusDecoder(rate_hz=24_000)
    for frame in frames(vowel(24_000)):
        decoder.decode(encoder.encode(frame))
    constant = CLEAN_SILENCE if coding.mode is CodingMode.CLEAN else SILENCE
    for _ in range(3):
        decoder.decode(constant if ready else encoder.encode(np.zeros(480, np.int16)))
    loudest = 0
    for _ in range(3):  # one every 400 ms, between which the far end goes on by itself
        loudest = max(loudest, np.abs(decoder.decode(silence_packet(coding.mode))).max())
        loudest = max(loudest, np.abs(decoder.conceal(19 * 480)).max())
    assert loudest <= 32  # -60 dBFS


@both_modes
def test_without_them_it_hums(coding: Coding) -> None:
    encoder, decoder = OpusEncoder(coding=coding), OpusDecoder(rate_hz=24_000)
    for frame in frames(vowel(24_000)):
        decoder.decode(encoder.encode(frame))
    for _ in range(20):
        decoder.decode(silence_packet(coding.mode))
    assert np.abs(decoder.conceal(480)).max() > 300  # -40 dBFS
