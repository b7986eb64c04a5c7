"""libopus by ctypes: the copy that PyAV's wheel carries, or the system's.

Through FFmpeg libopus can neither change how it codes, nor conceal a loss, nor decode to 16 kHz; and through
PyAV an encode costs 11 µs more, a decode 21 (frames, packets, a resampler). A call from here adds one.

*Calls hold the GIL.* They take 20 to 140 µs. Had they let go of it, any thread that computes in Python would
take it and keep it for the interpreter's 5 ms: with one such thread an encode took 5.3 ms instead of 0.14.

*States live in memory of Python's own* (``opus_encoder_init``), 32 KB for an encoder and 18 KB for a decoder:
nothing has to be freed, at exit or ever.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from ctypes import c_char_p, c_int, c_void_p
from ctypes.util import find_library
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from ..errors import ProviderUnavailable
from .opus_coding import Coding, CodingMode, invalid_audio
from .pcm import FRAME_MS, Samples

# opus_defines.h
APPLICATION_VOIP = 2048
SIGNAL_VOICE = 3001
SET_BITRATE = 4002
SET_COMPLEXITY = 4010
SET_INBAND_FEC = 4012
SET_PACKET_LOSS_PERC = 4014
SET_DTX = 4016
SET_SIGNAL = 4024
RESET_STATE = 4028
SET_PREDICTION_DISABLED = 4042
BAD_ARG = -1
UNIMPLEMENTED = -5
# opus_private.h: of no promise, but there since 1.0, and what opus_demo and libopus's own tests use.
SET_FORCE_MODE = 11002
MODE_SILK_ONLY = 1000
MODE_CELT_ONLY = 1002

_OLDEST = (1, 3)
"""The oldest version that the tests have been run with."""
_LONGEST_MS = 120
"""No packet lasts longer; no call asks for more."""
_MAX_PACKET = 1276
"""Bytes of the longest packet with one frame (RFC 6716 §3.4)."""
_ALIGNMENT = 16
"""Bytes: what ``malloc`` would have given libopus."""

_CLEAN_COMPLEXITY = 5
"""0-10. PESQ-WB of human speech at 48 kbit/s: 4.05 at 0 (27 µs), 4.08 at 2 (25), 4.18 at 5 (37), 4.21 at 7
(49), 4.24 at 10 (51)."""
_LOSSY_COMPLEXITY = 1
"""With FEC at 40 kbit/s: 4.07 at 0 (55 µs), 4.10 at 1 (61), 4.17 at 2 (111), 4.22 at 4 (142), 4.24 at 6.
Bits are cheaper: 32 kbit/s at 5 sound no better than 40 at 1 (4.10; 3.20 against 3.23 at 10 % loss)."""
_THRIFTY_COMPLEXITY = 2
_FULL_BAND_BIT_RATE = 40_000
"""bit/s below which FEC at complexity 1 leaves nothing for sound above 8 kHz, as libopus reckons; at 2, which
it takes for better coding, 32,000 will do, with loss above 5 % even less."""

_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {  # ctypes has no public name for the type of a type
    "opus_get_version_string": (c_char_p, ()),
    "opus_strerror": (c_char_p, (c_int,)),
    "opus_encoder_get_size": (c_int, (c_int,)),
    "opus_encoder_init": (c_int, (c_void_p, c_int, c_int, c_int)),
    # Variadic: only what is always there is declared, as calling conventions demand (arm64 of Apple).
    "opus_encoder_ctl": (c_int, (c_void_p, c_int)),
    "opus_encode": (c_int, (c_void_p, c_char_p, c_int, c_void_p, c_int)),
    "opus_decoder_get_size": (c_int, (c_int,)),
    "opus_decoder_init": (c_int, (c_void_p, c_int, c_int)),
    "opus_decoder_ctl": (c_int, (c_void_p, c_int)),
    "opus_decode": (c_int, (c_void_p, c_char_p, c_int, c_void_p, c_int, c_int)),
}


@lru_cache(maxsize=1)
def load() -> Library:
    """Return the library, found once: PyAV's, else the system's.

    Raises ``ProviderUnavailable`` if there is none, or none that will do, and says why.
    """
    reasons = []
    for path, origin in _candidates():
        try:
            return Library(path, origin)
        except (OSError, AttributeError, ValueError) as error:
            reasons.append(f"{path}: {error}")
    raise ProviderUnavailable(
        f"libopus cannot be loaded: {'; '.join(reasons) or 'none was found'}",
        provider="opus",
        fix="pip install --force-reinstall av",
    )


class Library:
    """The functions of one libopus, typed; ``name`` says which version it is and whose.

    Raises ``OSError`` if the file cannot be loaded, ``AttributeError`` if a function is missing and
    ``ValueError`` if it is too old or none.
    """

    def __init__(self, path: str, origin: str) -> None:
        functions = _bind(ctypes.PyDLL(path))
        version = (functions["opus_get_version_string"]() or b"").decode(errors="replace")
        numbers = re.match(r"libopus (\d+)\.(\d+)", version)
        if not numbers or (int(numbers[1]), int(numbers[2])) < _OLDEST:
            raise ValueError(
                f"{version or 'a nameless library'} is older than libopus {_OLDEST[0]}.{_OLDEST[1]}"
            )
        self.name = f"{version} ({origin})"
        self.path = path
        self._strerror: Callable[[int], bytes] = functions["opus_strerror"]
        self.encoder_get_size: Callable[[int], int] = functions["opus_encoder_get_size"]
        self.encoder_init: Callable[[int, int, int, int], int] = functions["opus_encoder_init"]
        self.encoder_ctl: Callable[..., int] = functions["opus_encoder_ctl"]
        self.encode: Callable[[int, bytes, int, int, int], int] = functions["opus_encode"]
        self.decoder_get_size: Callable[[int], int] = functions["opus_decoder_get_size"]
        self.decoder_init: Callable[[int, int, int], int] = functions["opus_decoder_init"]
        self.decoder_ctl: Callable[..., int] = functions["opus_decoder_ctl"]
        self.decode: Callable[[int, bytes | None, int, int, int, int], int] = functions["opus_decode"]

    def new_encoder(self, rate_hz: int, coding: Coding) -> Encoder:
        """Return an encoder of mono speech at 8, 12, 16, 24 or 48 kHz."""
        return Encoder(self, rate_hz, coding)

    def new_decoder(self, rate_hz: int) -> Decoder:
        """Return a decoder to mono at 8, 12, 16, 24 or 48 kHz."""
        return Decoder(self, rate_hz)

    def describe(self, error: int) -> str:
        """Say in words what a negative result means."""
        return self._strerror(error).decode(errors="replace")


class Encoder:
    """One encoder's ``state``, an address, and the one buffer that its packets are written to."""

    def __init__(self, library: Library, rate_hz: int, coding: Coding) -> None:
        self._library = library
        self._encode = library.encode
        self._n_samples = rate_hz * FRAME_MS // 1000
        self._memory, self.state = _allocate(library.encoder_get_size(1))
        self._check(library.encoder_init(self.state, rate_hz, 1, APPLICATION_VOIP))
        self._check(self.control(SET_SIGNAL, SIGNAL_VOICE))
        self._packet = np.zeros(_MAX_PACKET, np.uint8)
        self._packet_address = self._packet.ctypes.data
        self.coding = coding
        self.apply(coding)

    def apply(self, coding: Coding) -> None:
        """Code like this from the next frame on."""
        self.coding = coding
        is_clean = coding.mode is CodingMode.CLEAN
        # Left alone, libopus would also take SILK at low rates and CELT at high ones.
        forced = self.control(SET_FORCE_MODE, MODE_CELT_ONLY if is_clean else MODE_SILK_ONLY)
        self._check(0 if forced == UNIMPLEMENTED else forced)
        # CELT says how loud each band is by the difference to the frame before. Where the far decoder has had
        # another one (a lost packet, a clip, a rest) it would be up to 25 dB wrong, for 100 ms; without the
        # difference nothing is wrong, it takes 28 µs instead of 36, and 0.06 dB of spectral distance more.
        self._check(self.control(SET_PREDICTION_DISABLED, int(is_clean)))
        n_lost = 0 if is_clean else coding.loss_percent
        self._check(self.control(SET_BITRATE, coding.bit_rate))
        self._check(self.control(SET_COMPLEXITY, _complexity(is_clean, coding.bit_rate, n_lost)))
        self._check(self.control(SET_INBAND_FEC, int(n_lost > 0)))
        self._check(self.control(SET_PACKET_LOSS_PERC, n_lost))

    def encode(self, samples: Samples) -> bytes:
        """Turn ``(n,)`` int16 mono, 20 ms, into one packet."""
        # tobytes: 0.05 µs for a copy in order; asking numpy for the address takes 0.8.
        n_bytes = self._encode(
            self.state, samples.tobytes(), self._n_samples, self._packet_address, _MAX_PACKET
        )
        self._check(n_bytes)
        return self._packet[:n_bytes].tobytes()

    def control(self, request: int, *values: int) -> int:
        """Ask for one thing (opus_encoder_ctl); return 0, or an error's number."""
        return self._library.encoder_ctl(self.state, request, *map(c_int, values))

    def reset(self) -> None:
        """Forget the sound so far, keep the coding."""
        self._check(self.control(RESET_STATE))

    def _check(self, result: int) -> None:
        assert result >= 0, f"an Opus encoder was used wrongly: {self._library.describe(result)}"


class Decoder:
    """One decoder's ``state``, an address, and the one buffer that it decodes to: 120 ms."""

    def __init__(self, library: Library, rate_hz: int) -> None:
        self._library = library
        self._decode = library.decode
        self._memory, self.state = _allocate(library.decoder_get_size(1))
        result = library.decoder_init(self.state, rate_hz, 1)
        assert result == 0, f"no Opus decoder for {rate_hz} Hz: {library.describe(result)}"
        self._max_samples = rate_hz * _LONGEST_MS // 1000
        self._sound = np.zeros(self._max_samples, np.int16)
        self._sound_address = self._sound.ctypes.data

    def decode(self, packet: bytes) -> Samples:
        """Turn a packet into sound."""
        return self._call(packet, self._max_samples, 0)

    def recover(self, packet: bytes, n_samples: int) -> Samples:
        """Make the sound before a packet of its FEC; libopus conceals what that does not reach."""
        n_far = n_samples - self._max_samples
        if n_far > 0:
            return np.concatenate((self.conceal(n_far), self.recover(packet, self._max_samples)))
        return self._call(packet, n_samples, 1)

    def conceal(self, n_samples: int) -> Samples:
        """Go on from what was heard, more and more softly."""
        sound = np.empty(n_samples, np.int16)
        for start in range(0, n_samples, self._max_samples):
            n = min(self._max_samples, n_samples - start)
            sound[start : start + n] = self._call(None, n, 0)
        return sound

    def reset(self) -> None:
        """Forget the sound so far."""
        result = self._library.decoder_ctl(self.state, RESET_STATE)
        assert result == 0, self._library.describe(result)

    def _call(self, packet: bytes | None, n_samples: int, use_fec: int) -> Samples:
        n_bytes = len(packet) if packet else 0
        n = self._decode(self.state, packet, n_bytes, self._sound_address, n_samples, use_fec)
        assert n != BAD_ARG, f"an Opus decoder was asked for {n_samples} samples"
        if n < 0:
            reason = self._library.describe(n)
            raise invalid_audio(f"an Opus packet of {n_bytes} bytes cannot be decoded: {reason}")
        return self._sound[:n].copy()


def _candidates() -> Iterator[tuple[str, str]]:
    """Yield where libopus may be and whose it is; the system's last, as finding it starts programs."""
    for path in sorted(Path(av.__file__).parent.parent.glob("av.libs/libopus-*.so*")):
        yield str(path), "PyAV"
    system = find_library("opus")
    if system:
        yield system, "system"


def _bind(dll: ctypes.PyDLL) -> dict[str, Any]:
    functions = {}
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(dll, name)
        function.restype, function.argtypes = result, arguments
        functions[name] = function
    return functions


def _allocate(n_bytes: int) -> tuple[npt.NDArray[np.uint8], int]:
    """Return memory, to be kept for as long as the state in it is used, and the state's address there."""
    memory = np.zeros(n_bytes + _ALIGNMENT - 1, np.uint8)
    address = memory.ctypes.data
    return memory, address + -address % _ALIGNMENT


def _complexity(is_clean: bool, bit_rate: int, n_lost: int) -> int:
    if is_clean:
        return _CLEAN_COMPLEXITY
    return _THRIFTY_COMPLEXITY if n_lost and bit_rate < _FULL_BAND_BIT_RATE else _LOSSY_COMPLEXITY
