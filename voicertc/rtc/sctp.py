"""As much of SCTP (RFC 9260) as it takes to keep from aiortc what it cannot bear of a data channel's peer.

aiortc 1.16 trusts what it parses: one chunk with a parameter of length 0 is read for ever, a SACK's gaps can
take seconds, and what a peer never completes is kept without a bound. Each would hold up all calls of the
process. Nothing that is refused here comes from a peer that keeps to the standards.

    common header, 12 bytes | chunk | chunk …          chunk: type, flags, length, then by type:
    DATA         TSN, stream, …                        INIT, INIT ACK: 16 bytes, then parameters
    SACK         TSN, window, n gaps, n TSNs, …        HEARTBEAT, ABORT, ERROR, RE-CONFIG: parameters,
    FORWARD-TSN  TSN, streams …                        each type, length, value, padded to 4
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

DATA, INIT, INIT_ACK, SACK, FORWARD_TSN = 0, 1, 2, 3, 192
_OF_PARAMETERS = {INIT: 16, INIT_ACK: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
"""Where parameters begin in chunks that consist of them: INITs, HEARTBEATs, ABORT, ERROR and RE-CONFIG."""

MAX_STREAMS = 64
"""Streams in use at a time; a call needs one or two. For each FORWARD-TSN all are gone through."""
MAX_AHEAD = 256
"""TSNs that may come before one that is missing: 300 KB on its way. All are sorted for each chunk."""
MAX_HELD = 512
"""Chunks of messages that are not complete: the longest message that we say we take has 60 of full length."""
_MAX_CONTROL = 8
"""Chunks other than DATA in one packet: most are answered."""
_MAX_GAP_SPAN = 4096
"""TSNs that a SACK may say it has behind the first missing one: more than we ever have on the way."""

_HEADER = struct.Struct("!BBH")
_PAIR = struct.Struct("!HH")
_DATA = struct.Struct("!LH")
_SACK = struct.Struct("!LLHH")


class Reception(NamedTuple):
    """How far an association's receiving side has come."""

    last_tsn: int | None
    """Up to which everything came; ``None`` before the peer's INIT."""
    room: int
    """Bytes that may still come: the window that was advertised, less what is held."""
    n_held: int
    """Chunks of messages that are not complete."""
    streams: Container[int]
    """Streams in use."""
    n_new: int
    """Streams that may be taken in use besides."""


def refusal(packet: bytes, reception: Reception) -> str | None:
    """Return why a packet must not be given to aiortc, in a few words; ``None``: it may."""
    n_control = 0
    asked: set[int] = set()  # streams to be taken in use
    seen: set[int] = set()
    chunks = list(_chunks(packet))
    for kind, body in chunks:
        n_control += kind != DATA
        problem = None
        if kind == DATA:
            problem = _refused_data(body, reception, asked)
        elif kind == FORWARD_TSN:
            problem = _refused_forward(body, reception, asked)
        elif kind == SACK:
            problem = _refused_sack(body)
        elif (start := _OF_PARAMETERS.get(kind)) is not None:
            problem = None if _are_parameters(body, start) else "a parameter without length"
        if problem is None and kind in (SACK, FORWARD_TSN) and kind in seen:
            problem = "two chunks that tell of everything"
        if problem is not None:
            return problem
        seen.add(kind)
    if n_control > _MAX_CONTROL:
        return "too many chunks to answer"
    if INIT in seen and len(chunks) > 1:
        return "an INIT in company"  # RFC 9260 §6.10
    return "too many streams" if len(asked) > reception.n_new else None


def _chunks(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each chunk as aiortc finds them; a wrong length makes it drop the packet."""
    place = 12
    while place + 4 <= len(packet):
        kind, _, length = _HEADER.unpack_from(packet, place)
        if length < 4:
            return
        yield kind, packet[place + 4 : place + length]
        place += length + -length % 4


def _refused_data(body: bytes, reception: Reception, asked: set[int]) -> str | None:
    if len(body) <= 12:
        return "no data"  # RFC 9260 §3.3.1: an ABORT's cause, there
    tsn, stream = _DATA.unpack_from(body)
    if reception.last_tsn is None:
        return "data before the association"
    if MAX_AHEAD < (tsn - reception.last_tsn) % 2**32 < 2**31:
        return "data too far ahead"
    if reception.room <= 0 or reception.n_held > MAX_HELD:
        return "messages that are never complete"
    if stream not in reception.streams:
        asked.add(stream)
    return None


def _refused_forward(body: bytes, reception: Reception, asked: set[int]) -> str | None:
    if len(body) < 4 or len(body) % 4:
        return "a list of streams that is cut off"
    if reception.last_tsn is None:
        return "data before the association"
    asked.update(stream for stream, _ in _PAIR.iter_unpack(body[4:]) if stream not in reception.streams)
    return None


def _refused_sack(body: bytes) -> str | None:
    if len(body) < _SACK.size:
        return "a SACK that is cut off"
    n_gaps = _SACK.unpack_from(body)[2]
    gaps = body[_SACK.size : _SACK.size + 4 * n_gaps]
    if len(gaps) < 4 * n_gaps:
        return "a SACK that is cut off"
    spans = [end - start + 1 for start, end in _PAIR.iter_unpack(gaps)]
    return "gaps that cannot be" if spans and (min(spans) < 1 or sum(spans) > _MAX_GAP_SPAN) else None


def _are_parameters(body: bytes, start: int) -> bool:
    """Whether each parameter has a length at all: what is 0 long leads nowhere."""
    place = start
    while place + 4 <= len(body):
        length = _PAIR.unpack_from(body, place)[1]
        if length < 4:
            return False
        place += length + -length % 4
    return True
