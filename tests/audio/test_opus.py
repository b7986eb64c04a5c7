"""What every way to libopus owes to those who encode and decode: the system's copy and PyAV's codec too."""

from __future__ import annotations

import av
import numpy as np
import pytest

from voicertc.audio import libopus, opus
from voicertc.audio.opus import SILENCE, Codec, Coding, CodingMode, OpusDecoder, OpusEncoder
from voicertc.audio.opus_pyav import PyavCodec
from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ
from voicertc.errors import ClientError, ProviderUnavailable

from .opus_speech import CLEAN, CODECS, LOSSY, OLD, codec_called, decode, encode, frames, vowel
from .signals import amplitude_at, decibels, tone

LOOKAHEAD = 312 / 48_000
"""Seconds of the encoder's pre-skip in VoIP mode (RFC 7845 §5.1)."""
RESAMPLER_LAG = 25
"""Samples at 24 kHz that PyAV's way is later, for it decodes to 48 kHz."""

codings = pytest.mark.parametrize("coding", [CLEAN, LOSSY, OLD], ids=["clean", "lossy", "no-fec"])


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> Codec:
    return codec_called(request.param)


@codings
def test_a_frame_in_is_a_packet_of_20_ms_out(codec: Codec, coding: Coding) -> None:
    encoder = OpusEncoder(coding=coding, codec=codec)
    packets = [encoder.encode(frame) for frame in frames(vowel(24_000))]
    assert len(packets) == 50
    assert {packet[0] & 0b111 for packet in packets} == {0}  # RFC 6716 §3.1: mono, one frame
    # 20 ms of super-wideband: CELT, or hybrid
    expected = 27 if encoder.coding.mode is CodingMode.CLEAN else 13
    assert {packet[0] >> 3 for packet in packets} == {expected}
    rate = sum(len(packet) for packet in packets) * 8
    assert 0.6 < rate / coding.bit_rate < 1.15  # the bit rate is the mean over speech


def test_the_coding_is_what_was_asked_for_or_what_it_really_is(codec: Codec) -> None:
    encoder = OpusEncoder(coding=CLEAN, codec=codec)
    for asked in (CLEAN, LOSSY, OLD):
        encoder.apply(asked)
        fixed = Coding(CodingMode.LOSSY, CLEAN.bit_rate)
        assert encoder.coding == (fixed if isinstance(codec, PyavCodec) else asked)


@codings
def test_speech_comes_back_alike_and_only_the_lookahead_late(codec: Codec, coding: Coding) -> None:
    sound = vowel(48_000)
    back = decode(encode(sound, coding, codec), rate_hz=24_000, codec=codec).astype(float)
    late = round(LOOKAHEAD * PLAYOUT_RATE_HZ) + (RESAMPLER_LAG if isinstance(codec, PyavCodec) else 0)
    middle = slice(9_600, 38_400)
    alike = {
        shift: np.corrcoef(back[shift:][middle], sound[: len(back) - shift][middle])[0, 1]
        for shift in range(late - 24, late + 25)
    }
    best = max(alike, key=lambda shift: alike[shift])
    assert abs(best - late) <= 2
    assert alike[best] > 0.97
    assert abs(decibels(back[middle].std() / sound[middle].std())) < 1


@codings
@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_a_tone_keeps_its_level_frequency_and_length(codec: Codec, coding: Coding, rate_hz: int) -> None:
    packets = encode(tone(440, PLAYOUT_RATE_HZ, 48_000, amplitude=8000), coding, codec)
    back = decode(packets, rate_hz, codec)
    assert len(back) == 2 * rate_hz
    amplitude, rest = amplitude_at(440, rate_hz, back[rate_hz // 2 : rate_hz * 3 // 2])
    assert abs(decibels(amplitude / 8000)) < 1
    assert decibels(rest / amplitude) < -12


def test_every_packet_gives_exactly_its_20_ms(codec: Codec) -> None:
    decoder = OpusDecoder(codec=codec)
    assert [len(decoder.decode(packet)) for packet in encode(vowel(4800))] == [320] * 10


def test_a_block_stays_as_it_is_when_the_next_one_is_decoded(codec: Codec) -> None:
    decoder = OpusDecoder(codec=codec)
    packets = encode(vowel(9600))
    blocks = [decoder.decode(packet) for packet in packets[:10]]
    before = [block.copy() for block in blocks]
    blocks += [decoder.conceal(320), decoder.recover(packets[10], 320), decoder.decode(packets[10])]
    assert all(map(np.array_equal, blocks, before))


@pytest.mark.parametrize(("length_ms", "layout"), [(10, "mono"), (60, "stereo"), (60, "mono")])
def test_packets_of_another_length_and_number_of_channels_are_mono_too(
    codec: Codec, length_ms: int, layout: str
) -> None:
    n = 48 * length_ms
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, layout, "s16"
    context.options = {"frame_duration": str(length_ms)}
    context.open()
    frame = av.AudioFrame(format="s16", layout=layout, samples=n)
    frame.sample_rate = 48_000
    frame.planes[0].update(
        np.repeat(tone(500, 48_000, n, amplitude=8000), 2 if layout == "stereo" else 1).tobytes()
    )
    decoder = OpusDecoder(codec=codec)
    blocks = []
    for _ in range(10):
        frame.pts = None
        (packet,) = context.encode(frame)
        blocks.append(decoder.decode(bytes(packet)))
    assert [len(block) for block in blocks] == [16 * length_ms] * 10
    amplitude, _ = amplitude_at(500, HEARING_RATE_HZ, np.concatenate(blocks[-2:]))
    assert abs(decibels(amplitude / 8000)) < 1


def test_the_silence_packet_is_silent_and_of_the_mode_of_speech(codec: Codec) -> None:
    speech = encode(vowel(4800), LOSSY, codec)
    assert SILENCE[0] == speech[-1][0]
    decoder = OpusDecoder(codec=codec)
    for packet in speech:
        decoder.decode(packet)
    after = [decoder.decode(SILENCE) for _ in range(5)]
    assert [len(block) for block in after] == [320] * 5
    assert all(np.abs(block).max() <= 8 for block in after[2:])  # -72 dBFS once the tail is out


def test_silence_between_two_sentences_does_not_change_the_second(codec: Codec) -> None:
    encoder = OpusEncoder(coding=OLD, codec=codec)
    first, second = ([encoder.encode(frame) for frame in frames(vowel(24_000))] for _ in range(2))
    straight = decode(first + second, codec=codec)[-15_000:].astype(float)  # all but its first 60 ms
    with_pause = decode(first + [SILENCE] * 5 + second, codec=codec)[-15_000:].astype(float)
    assert decibels((with_pause - straight).std() / straight.std()) < -15
    assert decibels((with_pause - straight)[-8000:].std() / straight.std()) < -45


@pytest.mark.parametrize("coding", [Coding(bit_rate=64_000), Coding(CodingMode.LOSSY, 64_000)])
def test_another_rate_and_bit_rate_can_be_chosen(codec: Codec, coding: Coding) -> None:
    encoder = OpusEncoder(rate_hz=48_000, coding=coding, codec=codec)
    sound = tone(1000, 48_000, 48_000, amplitude=8000)
    packets = [encoder.encode(sound[i : i + 960]) for i in range(0, 48_000, 960)]
    assert sum(len(packet) for packet in packets) * 8 > 40_000
    back = decode(packets, 48_000, codec)
    amplitude, _ = amplitude_at(1000, 48_000, back[12_000:36_000])
    assert abs(decibels(amplitude / 8000)) < 1


@pytest.mark.parametrize("n", [0, 240, 479, 481, 960])
def test_a_frame_of_another_length_is_our_own_mistake(codec: Codec, n: int) -> None:
    with pytest.raises(AssertionError, match="480 samples"):
        OpusEncoder(codec=codec).encode(np.zeros(n, np.int16))


def test_a_frame_of_another_type_is_our_own_mistake(codec: Codec) -> None:
    with pytest.raises(AssertionError, match="int16"):
        OpusEncoder(codec=codec).encode(np.zeros(480, np.float32))  # type: ignore[arg-type]  # the mistake


def test_frames_may_be_slices_of_something_larger(codec: Codec) -> None:
    sound = vowel(960)
    sound.flags.writeable = False
    twice = np.repeat(sound, 2)
    assert encode(twice[::2][:480], codec=codec) == encode(sound[:480], codec=codec)


@pytest.mark.parametrize(
    "packet",
    [b"", b"\xff", b"\x03\xff\xff\xff", b"\xff" * 50, b"\x1b\x03" + bytes(30), b"\x69" + bytes(31)],
    ids=["empty", "no-count", "63-frames", "too-much", "180-ms", "odd-halves"],
)
def test_what_is_not_opus_is_the_client_s_fault_and_harms_nothing_behind_it(
    codec: Codec, packet: bytes
) -> None:
    packets = encode(vowel(4800))
    decoder = OpusDecoder(codec=codec)
    before = [decoder.decode(good) for good in packets[:5]]
    with pytest.raises(ClientError) as caught:
        decoder.decode(packet)
    assert caught.value.code == "invalid_audio"
    after = [decoder.decode(good) for good in packets[5:]]
    assert np.array_equal(np.concatenate(before + after), decode(packets, codec=codec))


def test_nothing_can_be_recovered_from_what_is_not_opus(codec: Codec) -> None:
    with pytest.raises(ClientError) as caught:
        OpusDecoder(codec=codec).recover(b"", 320)
    assert caught.value.code == "invalid_audio"


def test_a_packet_that_holds_nothing_is_20_ms_all_the_same(codec: Codec) -> None:
    # Discontinuous transmission: one byte, for which the decoder invents the sound.
    assert len(OpusDecoder(codec=codec).decode(b"\x68")) == 320


@pytest.mark.parametrize("n", [0, 40, 120, 320, 960, 1920, 1960, 16_000])
def test_what_is_lost_is_filled_to_the_sample(codec: Codec, n: int) -> None:
    packets = encode(vowel(9600), LOSSY)
    decoder = OpusDecoder(codec=codec)
    for packet in packets[:10]:
        decoder.decode(packet)
    assert len(decoder.conceal(n)) == n
    assert len(decoder.recover(packets[11], n)) == n
    assert len(decoder.decode(packets[11])) == 320


@pytest.mark.parametrize("n", [1, 39, 321])
def test_a_hole_that_is_no_multiple_of_2_5_ms_is_our_own_mistake(codec: Codec, n: int) -> None:
    with pytest.raises(AssertionError, match=r"2\.5 ms"):
        OpusDecoder(codec=codec).conceal(n)
    with pytest.raises(AssertionError, match=r"2\.5 ms"):
        OpusDecoder(codec=codec).recover(SILENCE, n)


@codings
def test_concealment_begins_without_a_click_and_fades(codec: Codec, coding: Coding) -> None:
    decoder = OpusDecoder(codec=codec)
    sound = np.concatenate([decoder.decode(packet) for packet in encode(vowel(24_000), coding, codec)])
    lost = decoder.conceal(1600)
    joined = np.concatenate((sound[-640:], lost)).astype(float)
    assert np.abs(np.diff(joined)).max() <= 1.1 * np.abs(np.diff(sound[-3200:].astype(float))).max()
    assert lost[-320:].std() < 0.5 * sound[-3200:].std()


def test_before_the_first_packet_there_is_nothing_to_go_on_with(codec: Codec) -> None:
    assert not OpusDecoder(codec=codec).conceal(640).any()


def test_after_a_reset_a_decoder_is_as_new(codec: Codec) -> None:
    packets = encode(vowel(9600))
    decoder = OpusDecoder(codec=codec)
    for packet in packets:
        decoder.decode(packet)
    decoder.reset()
    again = np.concatenate([decoder.decode(packet) for packet in packets])
    assert np.array_equal(again, decode(packets, codec=codec))


@codings
def test_after_a_reset_an_encoder_is_as_new_but_keeps_its_coding(codec: Codec, coding: Coding) -> None:
    encoder = OpusEncoder(coding=coding, codec=codec)
    kept = encoder.coding
    for frame in frames(vowel(24_000)[::-1]):
        encoder.encode(frame)
    encoder.reset()
    assert [encoder.encode(frame) for frame in frames(vowel(9600))] == encode(vowel(9600), coding, codec)
    assert encoder.coding == kept


def test_libopus_itself_is_chosen_where_it_can_be_loaded() -> None:
    assert opus.implementation == libopus.load().name == opus.choose().name


def test_pyav_s_codec_is_chosen_where_libopus_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> libopus.Library:
        raise ProviderUnavailable("libopus cannot be loaded: gone", provider="opus", fix="find it")

    monkeypatch.setattr(libopus, "load", load)
    codec = opus.choose()
    assert isinstance(codec, PyavCodec)
    assert codec.name == f"PyAV {av.__version__}, no concealment (libopus cannot be loaded: gone)"


def test_a_pyav_without_libopus_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(codec: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(codec)

    monkeypatch.setattr(av.CodecContext, "create", staticmethod(create))
    with pytest.raises(ProviderUnavailable, match="libopus") as caught:
        OpusEncoder(codec=PyavCodec())
    assert "pip install" in caught.value.fix
