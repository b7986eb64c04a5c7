from __future__ import annotations

import av
import numpy as np
import pytest

from voicertc.audio.opus import SILENCE, OpusDecoder, OpusEncoder
from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, Samples
from voicertc.errors import ClientError, ProviderUnavailable

from .signals import amplitude_at, decibels, to_samples, tone

LOOKAHEAD = 312 / 48_000
"""Seconds of the encoder's pre-skip in VoIP mode (RFC 7845 §5.1)."""
RESAMPLER_LAG = 25 / HEARING_RATE_HZ


def encode(sound: Samples, encoder: OpusEncoder | None = None) -> list[bytes]:
    encoder = encoder or OpusEncoder()
    return [encoder.encode(sound[i : i + 480]) for i in range(0, len(sound) - 479, 480)]


def decode(packets: list[bytes], rate_hz: int = HEARING_RATE_HZ) -> Samples:
    decoder = OpusDecoder(rate_hz=rate_hz)
    return np.concatenate([decoder.decode(packet) for packet in packets])


def vowel(n: int) -> Samples:
    """Harmonics of 150 Hz under two formants, swelling: what a speech codec is made for; at 24 kHz."""
    time = np.arange(n) / PLAYOUT_RATE_HZ
    sound = np.zeros(n)
    for k in range(1, 30):
        frequency = 150 * k
        weight = 1 / (1 + ((frequency - 700) / 200) ** 2) + 0.5 / (1 + ((frequency - 1200) / 200) ** 2)
        sound += weight * np.sin(2 * np.pi * frequency * time + k * k)
    sound *= 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
    return to_samples(sound / np.abs(sound).max() * 12_000)


def test_a_frame_in_is_a_packet_of_20_ms_out() -> None:
    packets = encode(vowel(24_000))
    assert len(packets) == 50
    assert {packet[0] & 0b111 for packet in packets} == {0}  # RFC 6716 §3.1: mono, one frame
    assert {packet[0] >> 3 for packet in packets} == {13}  # hybrid, super-wideband, 20 ms
    rate = sum(len(packet) for packet in packets) * 8
    assert 20_000 < rate < 36_000  # 32 kbit/s are the mean over speech


def test_speech_comes_back_alike_and_only_the_lookahead_late() -> None:
    sound = vowel(48_000)
    back = decode(encode(sound), rate_hz=24_000).astype(float)
    late = round((LOOKAHEAD + 25 / 24_000) * 24_000)
    middle = slice(9_600, 38_400)
    alike = {
        shift: np.corrcoef(back[shift:][middle], sound[: len(back) - shift][middle])[0, 1]
        for shift in range(late - 24, late + 25)
    }
    best = max(alike, key=lambda shift: alike[shift])
    assert abs(best - late) <= 2
    assert alike[best] > 0.97
    assert abs(decibels(back[middle].std() / sound[middle].std())) < 1


def test_a_tone_keeps_its_level_and_frequency() -> None:
    back = decode(encode(tone(440, PLAYOUT_RATE_HZ, 48_000, amplitude=8000)))
    assert len(back) == 32_000
    amplitude, rest = amplitude_at(440, HEARING_RATE_HZ, back[8000:24_000])
    assert abs(decibels(amplitude / 8000)) < 1
    assert decibels(rest / amplitude) < -12


def test_every_packet_gives_exactly_its_20_ms() -> None:
    decoder = OpusDecoder()
    assert [len(decoder.decode(packet)) for packet in encode(vowel(4800))] == [320] * 10


def test_packets_of_another_length_and_number_of_channels_are_mono_too() -> None:
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, "stereo", "s16"
    context.options = {"frame_duration": "60"}
    context.open()
    frame = av.AudioFrame(format="s16", layout="stereo", samples=2880)
    frame.sample_rate = 48_000
    loud = tone(500, 48_000, 2880, amplitude=8000)
    frame.planes[0].update(np.repeat(loud, 2).tobytes())
    decoder = OpusDecoder()
    blocks = []
    for _ in range(5):
        frame.pts = None
        (packet,) = context.encode(frame)
        blocks.append(decoder.decode(bytes(packet)))
    assert [len(block) for block in blocks] == [960] * 5
    amplitude, _ = amplitude_at(500, HEARING_RATE_HZ, blocks[-1])
    assert abs(decibels(amplitude / 8000)) < 1


def test_the_silence_packet_is_silent_and_of_the_mode_of_speech() -> None:
    speech = encode(vowel(4800))
    assert SILENCE[0] == speech[-1][0]
    decoder = OpusDecoder()
    for packet in speech:
        decoder.decode(packet)
    after = [decoder.decode(SILENCE) for _ in range(5)]
    assert [len(block) for block in after] == [320] * 5
    assert all(np.abs(block).max() <= 8 for block in after[2:])  # -72 dBFS once the tail is out


def test_silence_between_two_sentences_does_not_change_the_second() -> None:
    encoder = OpusEncoder()
    first, second = encode(vowel(24_000), encoder), encode(vowel(24_000), encoder)
    straight = decode(first + second)[-15_000:].astype(float)  # all but its first 60 ms
    with_pause = decode(first + [SILENCE] * 5 + second)[-15_000:].astype(float)
    assert decibels((with_pause - straight).std() / straight.std()) < -15
    assert decibels((with_pause - straight)[-8000:].std() / straight.std()) < -45


def test_another_rate_and_bit_rate_can_be_chosen() -> None:
    encoder = OpusEncoder(rate_hz=48_000, bit_rate=64_000)
    sound = tone(1000, 48_000, 48_000, amplitude=8000)
    packets = [encoder.encode(sound[i : i + 960]) for i in range(0, 48_000, 960)]
    assert sum(len(packet) for packet in packets) * 8 > 40_000
    back = decode(packets, rate_hz=48_000)
    amplitude, _ = amplitude_at(1000, 48_000, back[12_000:36_000])
    assert abs(decibels(amplitude / 8000)) < 1


@pytest.mark.parametrize("n", [0, 240, 479, 481, 960])
def test_a_frame_of_another_length_is_our_own_mistake(n: int) -> None:
    with pytest.raises(AssertionError, match="480 samples"):
        OpusEncoder().encode(np.zeros(n, np.int16))


def test_frames_may_be_slices_of_something_larger() -> None:
    sound = vowel(960)
    sound.flags.writeable = False
    twice = np.repeat(sound, 2)
    assert OpusEncoder().encode(twice[::2][:480]) == OpusEncoder().encode(sound[:480])


@pytest.mark.parametrize("packet", [b"", b"\xff", b"\x03\xff\xff\xff", b"\xff" * 50], ids=repr)
def test_what_is_not_opus_is_the_client_s_fault_and_harms_nothing_behind_it(packet: bytes) -> None:
    packets = encode(vowel(4800))
    decoder = OpusDecoder()
    before = [decoder.decode(good) for good in packets[:5]]
    with pytest.raises(ClientError) as caught:
        decoder.decode(packet)
    assert caught.value.code == "invalid_audio"
    after = [decoder.decode(good) for good in packets[5:]]
    assert np.array_equal(np.concatenate(before + after), decode(packets))


def test_a_packet_that_holds_nothing_is_20_ms_all_the_same() -> None:
    # Discontinuous transmission: one byte, for which the decoder invents the sound.
    assert len(OpusDecoder().decode(b"\x68")) == 320


def test_a_build_without_libopus_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(codec: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(codec)

    monkeypatch.setattr(av.CodecContext, "create", staticmethod(create))
    with pytest.raises(ProviderUnavailable, match="libopus") as caught:
        OpusEncoder()
    assert "pip install" in caught.value.fix
