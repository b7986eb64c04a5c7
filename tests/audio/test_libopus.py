"""The binding itself: found, refused, fed with rubbish, and left no memory behind."""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest

from voicertc.audio import libopus
from voicertc.audio.opus import Coding, CodingMode, OpusDecoder, OpusEncoder, duration, has_fec
from voicertc.errors import ClientError, ProviderUnavailable

from .opus_speech import CLEAN, LOSSY, encode, syllables, vowel


@pytest.fixture
def no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which a PyAV wheel would have its libraries; empty."""
    libraries = tmp_path / "av.libs"
    libraries.mkdir()
    monkeypatch.setattr(libopus.av, "__file__", str(tmp_path / "av" / "__init__.py"))
    return libraries


def load() -> libopus.Library:
    """Not the one that was found before."""
    return libopus.load.__wrapped__()


def test_the_library_is_found_once_and_says_which_it_is() -> None:
    library = libopus.load()
    assert library is libopus.load()
    assert library.name.startswith("libopus 1.")
    assert library.name.endswith(("(PyAV)", "(system)"))


def test_without_a_wheel_s_copy_the_system_s_is_taken(
    no_wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (no_wheel / "libopus-0123abcd.so.0").write_bytes(b"not a library")
    known = libopus.load().path
    monkeypatch.setattr(libopus, "find_library", lambda name: known if name == "opus" else None)
    library = load()
    assert library.path == known
    assert library.name.endswith("(system)")


def test_where_there_is_none_at_all_the_reasons_and_the_fix_are_named(
    no_wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libopus, "find_library", lambda name: None)
    with pytest.raises(ProviderUnavailable, match="none was found") as caught:
        load()
    assert "pip install" in caught.value.fix
    broken = no_wheel / "libopus-0123abcd.so.0"
    broken.write_bytes(b"not a library")
    with pytest.raises(ProviderUnavailable, match=broken.name):
        load()


def test_a_library_that_lacks_a_function_is_refused() -> None:
    other = find_library("m")
    assert other is not None
    with pytest.raises(AttributeError, match="opus_"):
        libopus.Library(other, "system")


def test_a_library_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libopus, "_OLDEST", (99, 0))
    with pytest.raises(ValueError, match=r"older than libopus 99\.0"):
        libopus.Library(libopus.load().path, "PyAV")


def test_errors_are_said_in_libopus_s_own_words() -> None:
    assert libopus.load().describe(-4) == "corrupted stream"
    with pytest.raises(ClientError, match="corrupted stream"):
        OpusDecoder().decode(b"\xff\xff")
    with pytest.raises(AssertionError, match="invalid argument"):
        OpusEncoder(rate_hz=44_100)
    with pytest.raises(AssertionError, match="invalid argument"):
        OpusDecoder(rate_hz=44_100)


@pytest.mark.parametrize("coding", [CLEAN, LOSSY], ids=["clean", "lossy"])
def test_the_encoder_is_set_as_its_coding_says(coding: Coding) -> None:
    encoder = libopus.load().new_encoder(24_000, LOSSY)
    encoder.apply(coding)
    is_lossy = coding.mode is CodingMode.LOSSY

    def get(request: int) -> int:
        value = ctypes.c_int()
        dll = ctypes.PyDLL(libopus.load().path)
        dll.opus_encoder_ctl.argtypes = (ctypes.c_void_p, ctypes.c_int)
        assert dll.opus_encoder_ctl(encoder.state, request + 1, ctypes.byref(value)) == 0
        return value.value

    assert get(libopus.SET_BITRATE) == coding.bit_rate
    assert get(libopus.SET_SIGNAL) == libopus.SIGNAL_VOICE
    assert get(libopus.SET_INBAND_FEC) == int(is_lossy)
    assert get(libopus.SET_PACKET_LOSS_PERC) == (10 if is_lossy else 0)
    assert get(libopus.SET_COMPLEXITY) == (1 if is_lossy else 5)
    assert get(libopus.SET_DTX) == 0


def test_no_bytes_from_outside_do_worse_than_a_client_s_error() -> None:
    random = np.random.default_rng(4)
    real = encode(syllables(48_000), LOSSY) + encode(syllables(48_000), CLEAN)
    decoder = OpusDecoder()
    outcomes: Counter[str] = Counter()
    for i in range(6000):
        if i % 2:
            packet = random.bytes(int(random.integers(1, 200)))
        else:
            mutated = bytearray(real[int(random.integers(len(real)))])
            for _ in range(int(random.integers(1, 6))):
                mutated[int(random.integers(len(mutated)))] = int(random.integers(256))
            packet = bytes(mutated[: int(random.integers(1, len(mutated) + 1))])
        has_fec(packet)
        for call in (decoder.decode, lambda packet: decoder.recover(packet, 320)):
            try:
                n_samples = len(call(packet))
            except ClientError as error:
                outcomes[error.code] += 1
            else:
                assert n_samples == (320 if call != decoder.decode else duration(packet) // 3)
                outcomes["heard"] += 1
    assert set(outcomes) == {"heard", "invalid_audio"}
    assert min(outcomes.values()) > 1000
    sound = np.concatenate([decoder.decode(packet) for packet in encode(vowel(24_000))])
    assert 1000 < sound[8000:].std() < 10_000  # and it decodes still


def test_two_thousand_encoders_and_decoders_leave_nothing_behind() -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    sound = vowel(480)

    def use(times: int) -> None:
        for _ in range(times):
            OpusDecoder().decode(OpusEncoder().encode(sound))

    use(200)
    before = resident()
    use(2000)
    # One that stayed would be 55 KB: 110 MB in all.
    assert resident() - before < 4_000_000


def test_a_state_is_where_it_may_be_and_small() -> None:
    library = libopus.load()
    encoder, decoder = library.new_encoder(24_000, CLEAN), library.new_decoder(16_000)
    assert encoder.state % 16 == decoder.state % 16 == 0
    assert library.encoder_get_size(1) + library.decoder_get_size(1) < 100_000
