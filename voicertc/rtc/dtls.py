"""As much of DTLS (RFC 6347) as it takes to tell where in a datagram one record ends and the next begins."""

from __future__ import annotations

_HEADER_BYTES = 13
"""Type, version (0xfe…), epoch and number, length."""


def is_dtls(data: bytes) -> bool:
    """Whether a datagram is DTLS, and not STUN or RTP (RFC 7983 §7)."""
    return bool(data) and 19 < data[0] < 64


def records(datagram: bytes) -> list[bytes]:
    """Return a datagram's records, of which it may hold several (§4.1.1).

    What has another header than DTLS 1.2's is one record until the end; what is none at all is left out.
    """
    found = []
    start = 0
    while is_dtls(rest := datagram[start:]):
        end = _HEADER_BYTES
        if len(rest) < end or rest[1] != 0xFE:
            end = len(rest)
        else:
            end += rest[11] << 8 | rest[12]
        found.append(rest[:end])
        start += end
    return found
