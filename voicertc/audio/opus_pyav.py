"""Opus through PyAV's codecs, for machines where libopus itself cannot be reached.

FFmpeg fixes at the start how an encoder codes, and its decoder knows neither FEC nor concealment: the mode
is ``LOSSY`` whatever was asked for, ``apply`` changes nothing, and what is lost fades to silence.
"""

from __future__ import annotations

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.codec.codec import UnknownCodecError

from ..errors import ProviderUnavailable
from .opus_coding import Coding, CodingMode, duration, invalid_audio
from .pcm import FRAME_MS, Samples
from .resample import Resampler

_DECODED_HZ = 48_000
"""What FFmpeg's libopus decoder gives, whatever it is asked for."""
_COMPLEXITY = "2"
"""As ``libopus`` chooses for low bit rates."""
_FADE = _DECODED_HZ * 5 // 1000
"""Samples within which the last sound goes to zero: 5 ms, heard as no click."""


class PyavCodec:
    """PyAV's libopus; ``reason`` says why this one has to do."""

    def __init__(self, reason: str = "") -> None:
        self.name = f"PyAV {av.__version__}, no concealment" + (f" ({reason})" if reason else "")

    def new_encoder(self, rate_hz: int, coding: Coding) -> Encoder:
        """Return an encoder of mono speech at 8, 12, 16, 24 or 48 kHz."""
        return Encoder(rate_hz, coding)

    def new_decoder(self, rate_hz: int) -> Decoder:
        """Return a decoder to mono at a rate that a ``Resampler`` makes of 48 kHz."""
        return Decoder(rate_hz)


class Encoder:
    """One stream of speech; its coding is what it was made with, but for the mode."""

    def __init__(self, rate_hz: int, coding: Coding) -> None:
        is_lossy = coding.mode is CodingMode.LOSSY
        self.coding = Coding(CodingMode.LOSSY, coding.bit_rate, coding.loss_percent if is_lossy else 0)
        self._rate_hz = rate_hz
        self.reset()

    def apply(self, coding: Coding) -> None:
        """Change nothing: another context would begin with a click."""

    def encode(self, samples: Samples) -> bytes:
        """Turn ``(n,)`` int16 mono, 20 ms, into one packet."""
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
        frame.sample_rate = self._rate_hz
        frame.planes[0].update(samples.tobytes())
        (packet,) = self._context.encode(frame)
        return bytes(packet)

    def reset(self) -> None:
        """Forget the sound so far."""
        self._context = _open_codec("w")
        self._context.sample_rate = self._rate_hz
        self._context.layout = "mono"
        self._context.format = "s16"
        self._context.bit_rate = self.coding.bit_rate
        self._context.options = {
            "application": "voip",
            "frame_duration": str(FRAME_MS),
            "compression_level": _COMPLEXITY,
            "fec": str(int(self.coding.loss_percent > 0)),
            "packet_loss": str(self.coding.loss_percent),
        }
        self._context.open()


class Decoder:
    """One stream of packets, decoded to 48 kHz and brought down from there: 1.6 ms later than need be."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self.reset()

    def decode(self, packet: bytes) -> Samples:
        """Turn a packet into sound."""
        n_samples = duration(packet)
        try:
            frames = self._context.decode(av.Packet(packet))
        except av.FFmpegError as error:
            raise invalid_audio(f"an Opus packet of {len(packet)} bytes cannot be decoded") from error
        pieces = [np.frombuffer(bytes(frame.planes[0]), np.int16)[: frame.samples] for frame in frames]
        sound = np.concatenate([np.empty(0, np.int16), *pieces])
        if len(sound) != n_samples:
            raise invalid_audio(f"an Opus packet of {len(packet)} bytes holds less than it says")
        self._last = int(sound[-1])
        return self._resampler.feed(sound)

    def recover(self, packet: bytes, n_samples: int) -> Samples:
        """Conceal: nobody reads the packet's FEC."""
        return self.conceal(n_samples)

    def conceal(self, n_samples: int) -> Samples:
        """Let the last sound go to zero, then be silent."""
        sound = np.zeros(n_samples * _DECODED_HZ // self._rate_hz, np.int16)
        n_faded = min(_FADE, len(sound))
        sound[:n_faded] = np.linspace(self._last, 0, _FADE)[:n_faded]
        self._last = int(sound[-1]) if n_samples else self._last
        return self._resampler.feed(sound)

    def reset(self) -> None:
        """Forget the sound so far."""
        self._context = _open_codec("r")
        self._context.sample_rate = _DECODED_HZ
        self._context.layout = "mono"
        self._context.open()
        self._resampler = Resampler(_DECODED_HZ, self._rate_hz, is_live=True)
        self._last = 0


def _open_codec(mode: Literal["r", "w"]) -> AudioCodecContext:
    try:
        return av.CodecContext.create("libopus", mode)
    except UnknownCodecError as error:
        raise ProviderUnavailable(
            "this build of PyAV has no libopus", provider="opus", fix="pip install --force-reinstall av"
        ) from error
