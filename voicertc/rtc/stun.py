"""As much of STUN (RFC 8489) as it takes to say whose a datagram is; the protocol itself is aioice's.

 0                   1                   2                   3
|0 0|   type            |         length of what follows        |
|                       magic cookie                            |
|                transaction id, 12 bytes                       |
| attribute type        | its length    | value, padded to 4 …  |
"""

from __future__ import annotations

import hmac
import struct

HEADER_BYTES = 20
BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111

_COOKIE = bytes.fromhex("2112a442")
_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_INTEGRITY_BYTES = 20
_PAIR = struct.Struct("!HH")


def message_type(data: bytes) -> int | None:
    """Return the type of a STUN message (§5); ``None``: this is none."""
    if len(data) < HEADER_BYTES or data[0] > 3 or data[4:8] != _COOKIE:
        return None
    return data[0] << 8 | data[1]


def transaction_id(data: bytes) -> bytes:
    """Return what a response has in common with its request; ``data`` is a STUN message."""
    return data[8:HEADER_BYTES]


def called_ufrag(data: bytes) -> bytes | None:
    """Return whom a connectivity check calls: the first half of its USERNAME (RFC 8445 §7.2.2)."""
    name = _attribute(data, _USERNAME)
    return None if name is None else data[name[0] : name[1]].partition(b":")[0]


def is_authentic(data: bytes, password: bytes) -> bool:
    """Whether a message was made by somebody who knows ``password`` (short-term credentials, §9.1.3)."""
    found = _attribute(data, _MESSAGE_INTEGRITY)
    if found is None or found[1] - found[0] != _INTEGRITY_BYTES:
        return False
    start, end = found
    # The hash covers what stands before the attribute, as if the message ended with it (§14.5).
    covered = data[:2] + (end - HEADER_BYTES).to_bytes(2) + data[4 : start - 4]
    return hmac.compare_digest(hmac.digest(password, covered, "sha1"), data[start:end])


def _attribute(data: bytes, wanted: int) -> tuple[int, int] | None:
    """Return where the value of the first such attribute begins and ends.

    What follows MESSAGE-INTEGRITY is ignored, for nobody vouches for it (§14.5).
    """
    place = HEADER_BYTES
    while place + 4 <= len(data):
        kind, length = _PAIR.unpack_from(data, place)
        start = place + 4
        if start + length > len(data):
            return None
        if kind == wanted:
            return start, start + length
        if kind == _MESSAGE_INTEGRITY:
            return None
        place = start + length + -length % 4
    return None
