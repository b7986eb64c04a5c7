"""Raw PCM out of an HTTP body: bytes in as the socket gives them, samples out for playout.

A read may split a sample. Some servers send a WAV file although raw samples were asked for, some another rate
than they should, and some an error page or an MP3, which must not reach anybody's ear as noise.
"""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np

from ..audio.pcm import PLAYOUT_RATE_HZ, Samples
from ..audio.resample import Resampler

_NOT_PCM: tuple[tuple[bytes, str], ...] = (
    (b"ID3", "MP3"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b'{"', "JSON"),
    (b"<!", "HTML"),
    (b"<html", "HTML"),
)
_WAV = b"RIFF"
_MAX_HEADER = 4096
"""A WAV header with more in it than this is none."""
_FORMATS = frozenset({1, 0xFFFE})
"""WAVE_FORMAT_PCM and WAVE_FORMAT_EXTENSIBLE."""
_UNKNOWN_SIZE = 0x7FFF0000
"""A stream's length is not known when its header is written: it is 0 or about 2 or 4 GB then."""


class PcmBody:
    """Decodes one body. ``rate_hz``: of raw samples; a WAV header's own rate comes first.

    ``feed`` and ``flush`` raise ``ValueError`` when the body is no 16-bit mono PCM.
    """

    def __init__(self, *, rate_hz: int = PLAYOUT_RATE_HZ) -> None:
        self._resampler = Resampler(rate_hz, PLAYOUT_RATE_HZ)
        self._held = b""
        self._stage: Literal["begin", "header", "samples"] = "begin"
        self._bytes_left: int | None = None

    def feed(self, piece: bytes) -> Samples:
        """Return the samples that ``piece`` completes, ``(n,)`` at 24 kHz; often as many as it holds."""
        self._held += piece
        if self._stage == "begin" and not self._may_become_magic():
            self._begin()
        if self._stage == "header":
            self._read_header()
        return self._take() if self._stage == "samples" else np.zeros(0, np.int16)

    def flush(self) -> Samples:
        """Return the last samples, at the end of the body; half a sample is dropped."""
        if self._stage == "begin":
            self._begin()
        last = self._take() if self._stage == "samples" else np.zeros(0, np.int16)
        return np.concatenate((last, self._resampler.flush()))

    def _may_become_magic(self) -> bool:
        """Whether it cannot be told yet what this body is; with real samples one byte is enough."""
        magics = (_WAV, *(magic for magic, _ in _NOT_PCM))
        return any(magic.startswith(self._held) and magic != self._held for magic in magics)

    def _begin(self) -> None:
        for magic, name in _NOT_PCM:
            if self._held.startswith(magic):
                raise ValueError(f"{name} instead of PCM")
        self._stage = "header" if self._held.startswith(_WAV) else "samples"

    def _read_header(self) -> None:
        """Walk the RIFF chunks up to ``data`` (Multimedia Programming Interface 1.0, WAVE)."""
        place = 12
        while len(self._held) >= place + 8:
            name, size = struct.unpack_from("<4sI", self._held, place)
            if name == b"data":
                self._bytes_left = size if 0 < size < _UNKNOWN_SIZE else None
                self._held = self._held[place + 8 :]
                self._stage = "samples"
                return
            if name == b"fmt " and len(self._held) >= place + 24:
                kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", self._held, place + 8)
                if kind not in _FORMATS or (channels, bits) != (1, 16):
                    raise ValueError(f"WAV with {channels} channels of {bits} bits instead of 16-bit mono")
                self._resampler = Resampler(rate_hz, PLAYOUT_RATE_HZ)
            place += 8 + size + size % 2
        if place > _MAX_HEADER:
            raise ValueError("a WAV file without samples")

    def _take(self) -> Samples:
        if self._bytes_left is not None:
            self._held = self._held[: self._bytes_left]
        whole = len(self._held) // 2 * 2
        samples = np.frombuffer(self._held[:whole], dtype="<i2").astype(np.int16)
        self._held = self._held[whole:]
        if self._bytes_left is not None:
            self._bytes_left -= whole
        return self._resampler.feed(samples)
