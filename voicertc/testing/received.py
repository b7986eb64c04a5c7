"""What a headless client heard: packets as they arrived, and frames as they are decoded afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..audio.opus import OpusDecoder
from ..audio.pcm import Samples


@dataclass(frozen=True, slots=True)
class ReceivedPacket:
    """One RTP packet: ``at`` is the loop's time of its arrival, ``timestamp`` counts 48,000 a second."""

    at: float
    sequence_number: int
    timestamp: int
    payload: bytes


@dataclass(frozen=True, slots=True, eq=False)
class HeardFrame:
    """A packet decoded: ``(n,)`` int16 mono, and when it arrived."""

    at: float
    timestamp: int
    samples: Samples


def in_order(packets: Iterable[ReceivedPacket]) -> list[ReceivedPacket]:
    """Return packets by sequence number, which wraps at 65,536 (RFC 3550 §5.1), each once."""
    by_number: dict[int, ReceivedPacket] = {}
    newest = 0
    for packet in packets:
        number = packet.sequence_number
        if by_number:
            # The nearest number to the newest one that ends in these 16 bits.
            number = newest + (number - newest + 0x8000) % 0x10000 - 0x8000
        newest = max(newest, number) if by_number else number
        by_number.setdefault(number, packet)
    return [by_number[number] for number in sorted(by_number)]


def decode(packets: Iterable[ReceivedPacket], *, rate_hz: int) -> list[HeardFrame]:
    """Decode packets in the order of their numbers, as one stream."""
    decoder = OpusDecoder(rate_hz=rate_hz)
    return [
        HeardFrame(packet.at, packet.timestamp, decoder.decode(packet.payload))
        for packet in in_order(packets)
    ]
