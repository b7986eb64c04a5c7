"""How sound is coded on a WebSocket; G.711 is FFmpeg's, so that ours is judged by another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from voicertc.audio.pcm import Samples

from .speech import RATE_HZ


@dataclass(frozen=True, slots=True)
class Format:
    """A format of the protocol, from and to ``(n,)`` int16 mono at ``rate_hz``."""

    as_json: dict[str, Any]
    rate_hz: int
    encode: Callable[[Samples], bytes]
    decode: Callable[[bytes], Samples]


def _decoded(sound: bytes) -> Samples:
    return np.frombuffer(sound, dtype="<i2").astype(np.int16)


def _g711(name: str, codec: str) -> Format:
    rate_hz = 8_000

    def encode(samples: Samples) -> bytes:
        context = av.CodecContext.create(codec, "w")
        context.sample_rate, context.layout, context.format = rate_hz, "mono", "s16"
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate_hz
        return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])

    def decode(sound: bytes) -> Samples:
        context = av.CodecContext.create(codec, "r")
        context.sample_rate, context.layout = rate_hz, "mono"
        frames = context.decode(av.Packet(sound)) if sound else []
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames] or [np.zeros(0, np.int16)])

    return Format({"type": name}, rate_hz, encode, decode)


PCM = Format(
    {"type": "audio/pcm", "rate": RATE_HZ}, RATE_HZ, lambda samples: samples.astype("<i2").tobytes(), _decoded
)
MU_LAW = _g711("audio/pcmu", "pcm_mulaw")
A_LAW = _g711("audio/pcma", "pcm_alaw")
