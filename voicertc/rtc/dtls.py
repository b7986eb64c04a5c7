"""As much of DTLS (RFC 6347) as it takes to tell where in a datagram one record ends and the next begins."""

from __future__ import annotations

_HEADER_BYTES = 13
"""Type, version (0xfe…), epoch and number, length."""


def records(datagram: bytes) -> list[bytes]:
    """Return a datagram's records, of which it may hold several (§4.1.1); what is none, as a whole."""
    found = []
    start = 0
    while start < len(datagram):
        end = start + _HEADER_BYTES
        if end > len(datagram) or datagram[start + 1] != 0xFE:
            end = len(datagram)
        else:
            end += datagram[end - 2] << 8 | datagram[end - 1]
        found.append(datagram[start:end])
        start = end
    return found
