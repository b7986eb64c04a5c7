"""RTP packets as bytes: read and written by hand, because it is done a hundred times a second for each call.

RFC 3550 §5.1; of header extensions only the level of the sound is looked at (RFC 6464, in RFC 8285's form).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_HEADER = struct.Struct("!BBHII")
_ONE_BYTE = 0xBEDE
"""The extension profile in which each element has a header of one byte (RFC 8285 §4.2)."""


class RtpPacket(NamedTuple):
    """What is needed of one packet; ``timestamp`` counts 48,000 a second, whatever is coded (RFC 7587)."""

    payload_type: int
    sequence_number: int
    """16 bits."""
    timestamp: int
    """32 bits."""
    ssrc: int
    payload: bytes
    level: int | None = None
    """How loud it is, in −dBov: 0 is the loudest, 127 silence; ``None`` if the sender does not say."""


def is_rtp(data: bytes) -> bool:
    """Whether a datagram is RTP, and not RTCP, STUN or DTLS (RFC 7983 §7, RFC 5761 §4)."""
    return len(data) >= 12 and 127 < data[0] < 192 and not 191 < data[1] < 224


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram is RTCP, of a type that aiortc takes for it: up to 208 of the 223 there are."""
    return len(data) >= 8 and 127 < data[0] < 192 and 191 < data[1] < 209


def parse(data: bytes, level_id: int = 0) -> RtpPacket | None:
    """Read a packet, decrypted before; ``None`` if it is none. ``level_id``: negotiated for levels, or 0."""
    size = len(data)
    if size < 12:
        return None
    first, second, number, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        return None
    start = 12 + 4 * (first & 0x0F)
    level = None
    if first & 0x10:
        if start + 4 > size:
            return None
        extension = start
        start += 4 + 4 * (data[start + 2] << 8 | data[start + 3])
        if level_id and start <= size:
            level = _level(data, extension, start, level_id)
    end = size - data[-1] if first & 0x20 else size
    if start > end:
        return None
    return RtpPacket(second & 0x7F, number, timestamp, ssrc, data[start:end], level)


def header(payload_type: int, number: int, timestamp: int, ssrc: int, *, marker: bool = False) -> bytes:
    """Return the 12 bytes before a payload; ``marker``: the first packet after silence (RFC 3551 §4.1)."""
    return _HEADER.pack(0x80, payload_type | (0x80 if marker else 0), number, timestamp, ssrc)


def _level(data: bytes, start: int, end: int, level_id: int) -> int | None:
    """Find the level among the elements of one extension block, which lies within ``data``."""
    profile = data[start] << 8 | data[start + 1]
    at = start + 4
    if profile == _ONE_BYTE:
        while at < end:
            element = data[at]
            if not element:  # padding
                at += 1
                continue
            identifier, length = element >> 4, (element & 0x0F) + 1
            if identifier == 15:  # reserved: what follows is not to be read
                return None
            if identifier == level_id and at + 1 < end:
                return data[at + 1] & 0x7F
            at += 1 + length
    elif profile & 0xFFF0 == 0x1000:  # elements with headers of two bytes (RFC 8285 §4.3)
        while at + 1 < end:
            identifier, length = data[at], data[at + 1]
            if not identifier:
                at += 1
                continue
            if identifier == level_id and length and at + 2 < end:
                return data[at + 2] & 0x7F
            at += 2 + length
    return None
