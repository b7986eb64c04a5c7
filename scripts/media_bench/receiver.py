"""What a listener makes of the packets that reached it, with FEC and concealment; and how far that is from
what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voicertc.audio.opus import OpusDecoder, has_fec
from voicertc.audio.pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ, Samples
from voicertc.testing.received import ReceivedPacket, in_order
from voicertc.testing.utterance import levels_db

_TICK = 960
_MAX_CONCEALED = 5
"""Frames that are made up at most; behind them is silence."""
_LOUD_DB = -35.0
"""What of the original is loud enough to be missed."""
_GAP_DB = 15.0
"""What is that much softer than the original is a gap."""


@dataclass(frozen=True)
class Comparison:
    """``gap`` and ``seconds`` (of loud sound) in seconds; ``level_db`` above or below the original."""

    seconds: float
    gap: float
    n_clipped: int
    level_db: float


def receive(packets: Sequence[ReceivedPacket]) -> Samples:
    """Return what is heard, ``(n,)`` int16 mono at 24 kHz, from the first packet on.

    Packets come in time or not at all here: a listener's buffer is taken to be longer than the link's jitter.
    """
    decoder = OpusDecoder(rate_hz=PLAYOUT_RATE_HZ)
    pieces: list[Samples] = []
    last: ReceivedPacket | None = None
    for packet in in_order(packets):
        if last is not None:
            n_lost = (packet.sequence_number - last.sequence_number) % 0x10000 - 1
            n_frames = (packet.timestamp - last.timestamp) % 2**32 // _TICK - 1
            pieces += _fill(decoder, min(n_lost, n_frames), n_frames, packet.payload)
        pieces.append(decoder.decode(packet.payload))
        last = packet
    return np.concatenate(pieces) if pieces else np.empty(0, np.int16)


def _fill(decoder: OpusDecoder, n_lost: int, n_frames: int, following: bytes) -> list[Samples]:
    """Return ``n_frames`` of 20 ms before ``following``: ``n_lost`` were packets, the rest silence."""
    is_restored = n_lost > 0 and has_fec(following)
    n_made_up = min(n_lost - is_restored, _MAX_CONCEALED)
    pieces = [decoder.conceal(PLAYOUT_FRAME) for _ in range(n_made_up)]
    pieces.append(np.zeros((n_frames - n_made_up - is_restored) * PLAYOUT_FRAME, np.int16))
    if is_restored:
        pieces.append(decoder.recover(following, PLAYOUT_FRAME))
    return pieces


def said(talk: Samples, offset: int) -> Samples:
    """Return what a server says over and over as ``speech`` (see ``serving.Says``), once, at 24 kHz."""
    half = len(talk) // 2
    start = offset * PLAYOUT_FRAME % half
    return talk[start : start + half]


def compare(heard: Samples, original: Samples) -> Comparison:
    """Compare what was heard with an original that was said over and over, begun anywhere."""
    heard = heard[PLAYOUT_RATE_HZ // 2 :]
    repeated = np.tile(original, -(-len(heard) // len(original)) + 1)
    shift = _shift(heard[: len(original)], original)
    expected = repeated[shift : shift + len(heard)]
    n = len(heard) // PLAYOUT_FRAME * PLAYOUT_FRAME
    of_heard = levels_db(heard[:n].reshape(-1, PLAYOUT_FRAME))
    of_original = levels_db(expected[:n].reshape(-1, PLAYOUT_FRAME))
    is_loud = of_original > _LOUD_DB
    is_gap = is_loud & (of_heard < of_original - _GAP_DB)
    power = [np.mean(10 ** (levels[is_loud] / 10)) for levels in (of_heard, of_original)]
    clipped = [int((np.abs(sound.astype(int)) >= 32_767).sum()) for sound in (heard[:n], expected[:n])]
    return Comparison(
        seconds=float(is_loud.sum()) * 0.02,
        gap=float(is_gap.sum()) * 0.02,
        n_clipped=clipped[0] - clipped[1],
        level_db=float(10 * np.log10(power[0] / power[1])),
    )


def _shift(heard: Samples, original: Samples) -> int:
    """Return where in the original, which goes round, the sound begins that was heard: by correlation."""
    padded = np.zeros(len(original))
    padded[: len(heard)] = heard
    spectrum = np.fft.rfft(original.astype(float)) * np.conj(np.fft.rfft(padded))
    return int(np.fft.irfft(spectrum, len(original)).argmax())
