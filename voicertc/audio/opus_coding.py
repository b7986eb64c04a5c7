"""How Opus packets are coded: what we choose for ours, and what anyone's tell without being decoded.

A packet begins with one byte, its table of contents (RFC 6716 §3.1); the frames behind it are of one kind:

     0 1 2 3 4   5   6 7
    +---------+---+-----+     config: mode, bandwidth and length of a frame (0-11 SILK, 12-15 hybrid,
    | config  | s |  c  |     16-31 CELT); s: stereo; c: one frame, two, or as many as the next byte says
    +---------+---+-----+

SILK, the speech codec that also makes the lower half of a hybrid, can carry the frame before once more at a
lower rate (LBRR, "in-band FEC"): who misses a packet finds it in the next. CELT has nothing of the kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import ClientError

SILENCE = bytes.fromhex("6807c97227e13e5308e8fc0fd11bb57a021e4e3c000d800000001c051c92c840")
"""A packet of 20 ms of silence as the encoder makes it of zeros in ``CodingMode.LOSSY``.

It is of the mode of the speech before it: a decoder that changes modes at the end of a sentence lets it be
heard."""

CLEAN_SILENCE = b"\xd8\xff\xfe"
"""The same in ``CodingMode.CLEAN``: libopus's word for samples that are all zero."""

_RTP_HZ = 48_000
_LONGEST = _RTP_HZ * 120 // 1000
"""Samples of the longest packet there may be (RFC 6716 §3.2.5): 5760."""


class CodingMode(Enum):
    """Which of Opus's two codecs speech is given to."""

    CLEAN = "celt"
    """CELT: low delay and cheap; a lost packet leaves a hole to conceal. For links that lose next to none."""
    LOSSY = "voip"
    """SILK, or hybrid above 8 kHz: what is lost comes again in the next packet (FEC). For the others."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How an encoder codes from the next frame on."""

    mode: CodingMode = CodingMode.CLEAN
    bit_rate: int = 48_000
    """bit/s, the mean over speech. In ``LOSSY`` 40,000 carry 12 kHz of sound and FEC for half of the CPU that
    32,000 take (figures in ``opus``); with 24,000 FEC leaves 8 kHz of sound, with 20,000 six."""
    loss_percent: int = 0
    """0-100, the packets expected to be lost: how strongly FEC is coded; 0: not at all. ``LOSSY`` only. Up to
    5 libopus would rather have sound above 8 kHz than FEC, and below 32,000 bit/s has no room for both."""


def silence_packet(mode: CodingMode) -> bytes:
    """Return 20 ms of "nothing new": one byte, as libopus sends it in DTX (RFC 6716 §2.1.9).

    A decoder stays in its mode and goes on with the background it knows. Unless three packets of silence
    (``SILENCE``, or zeros, encoded) came before, it takes the last speech for that, and hums for good.
    """
    return (CLEAN_SILENCE if mode is CodingMode.CLEAN else SILENCE)[:1]


def duration(packet: bytes) -> int:
    """Return the length of a packet in samples at 48 kHz, of which it may have 120 to 5760.

    Raises ``ClientError`` (``invalid_audio``) if its head cannot be one's.
    """
    if packet:
        n_samples = _DURATIONS[packet[0]]
        if not n_samples and len(packet) > 1:
            n_samples = _FRAMES[packet[0] >> 3] * (packet[1] & 0b111111)
        if 0 < n_samples <= _LONGEST:
            return n_samples
    raise invalid_audio(
        f"an Opus packet that begins with {packet[:2].hex() or 'nothing'} has no valid length"
    )


def is_dtx(packet: bytes) -> bool:
    """Whether a packet only says that there is nothing to say: two bytes at most, frames of no length.

    Its sender saves transmission and may fall silent altogether (RFC 6716 §2.1.9).
    """
    return 0 < len(packet) <= 2


def has_fec(packet: bytes) -> bool:
    """Whether a packet carries the 10 to 60 ms before it once more (LBRR; RFC 6716 §4.2.3, §4.2.4).

    What cannot be read carries nothing.
    """
    if not packet or packet[0] >= _FIRST_CELT << 3:
        return False
    head = _first_frame(packet)
    if not head:
        return False
    # The frame begins with one bit for each 10 or 20 ms of SILK: does anyone speak? Then this one. The
    # other channel's follow. All are as likely as not, which the range coder stores as plain bits (§4.1.3.2).
    n_spoken = max(1, _FRAMES[packet[0] >> 3] // 960)
    is_stereo = packet[0] & 0b100
    return bool(head[0] >> (7 - n_spoken) & 1 or (is_stereo and head[0] >> (6 - 2 * n_spoken) & 1))


def invalid_audio(message: str) -> ClientError:
    """Return what is raised for packets that are not Opus."""
    return ClientError(message, code="invalid_audio")


def _first_frame(packet: bytes) -> bytes:
    """Return the beginning of the first frame: empty if it has no length or the packet is broken (§3.2)."""
    match packet[0] & 0b11:
        case 0 | 1:
            return packet[1:2]
        case 2:
            length, start = _read_length(packet, 1)
            return packet[start : start + 1] if length else b""
    if len(packet) < 2:
        return b""
    n_frames, is_padded, is_variable = packet[1] & 0b111111, packet[1] & 0b1000000, packet[1] & 0b10000000
    n_padding, start = _read_padding(packet) if is_padded else (0, 2)
    lengths = []
    if is_variable:
        for _ in range(n_frames - 1):
            length, start = _read_length(packet, start)
            lengths.append(length)
    n_left = len(packet) - start - n_padding
    first = lengths[0] if lengths else n_left // max(1, n_frames)
    return packet[start : start + 1] if 0 < first <= n_left else b""


def _read_length(packet: bytes, at: int) -> tuple[int, int]:
    """Return the length of a frame in bytes that is written at ``at``, and where what follows is (§3.2.1)."""
    field = packet[at : at + 2]
    if field and field[0] < 252:
        return field[0], at + 1
    return (field[0] + 4 * field[1], at + 2) if len(field) == 2 else (0, len(packet))


def _read_padding(packet: bytes) -> tuple[int, int]:
    """Return how many bytes of padding a packet ends with, and where its lengths begin (§3.2.5)."""
    n_padding, at = 0, 2
    for byte in packet[2:]:
        at += 1
        n_padding += min(byte, 254)
        if byte < 255:
            break
    return n_padding, at


_FIRST_CELT = 16
_FRAMES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
"""Samples at 48 kHz of one frame, for each of the 32 configurations (RFC 6716 §3.1, table 2)."""
_DURATIONS = tuple(_FRAMES[toc >> 3] * (1, 2, 2, 0)[toc & 0b11] for toc in range(256))
"""Samples at 48 kHz of a packet, for each first byte; 0 if the second one says how many frames it has."""
