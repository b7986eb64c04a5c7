"""Datagrams of strangers and of clients that mean harm: seeded, and shaped to get far before they fail.

A *stranger* has no keys: it only knows how packets look. An *insider* is a client with a call of its own:
what it sends is authentic, and inside it may be anything. All of these go on for ever.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

from aioice.stun import Class, Message, Method
from google_crc32c import value as crc32c

_COOKIE = bytes.fromhex("2112a442")
_LONGEST = 1340
"""Bytes for which pylibsrtp has room, with all that it may add."""
_SIZES = (0, 1, 2, 3, 4, 7, 12, 13, 20, 60, 200, 1200, 1472)

# --- strangers ----------------------------------------------------------------------------------


def stun(rng: random.Random, ufrag: str) -> Iterator[bytes]:
    """Connectivity checks for ``ufrag`` without its password, and answers to questions nobody asked."""
    while True:
        message = Message(
            Method.BINDING,
            rng.choice(list(Class)),
            attributes={"USERNAME": f"{ufrag}:{rng.choice(['', 'them', 'x' * 400])}", "PRIORITY": 1},
        )
        if rng.random() < 0.3:
            message.attributes["USE-CANDIDATE"] = None
            message.attributes["ICE-CONTROLLING"] = rng.getrandbits(64)
        if rng.random() < 0.2:
            message.attributes["ERROR-CODE"] = (rng.choice([401, 487, 699]), "x" * rng.choice([0, 3, 763]))
        if rng.random() < 0.7:
            message.add_message_integrity(rng.randbytes(22))
        yield _mutated(rng, bytes(message), wrong=rng.random())
        yield _attributes(rng)


def _attributes(rng: random.Random) -> bytes:
    """A message of attributes that are known, each with a length that may be wrong for it."""
    kinds = [0x0001, 0x0006, 0x0008, 0x0009, 0x000C, 0x0020, 0x0024, 0x8028, 0x802A, rng.getrandbits(16)]
    body = b""
    for _ in range(rng.randrange(1, 6)):
        value = rng.randbytes(rng.choice(_SIZES[:10]))
        length = rng.choice([len(value), len(value), 0, 0xFFFF])
        body += struct.pack("!HH", rng.choice(kinds), length) + value + bytes(-len(value) % 4)
    kind = rng.choice([0x0001, 0x0011, 0x0101, 0x0111, rng.getrandbits(14)])
    length = rng.choice([len(body), len(body), len(body), 0, 0xFFFF])
    return struct.pack("!HH", kind, length) + _COOKIE + rng.randbytes(12) + body


def dtls(rng: random.Random) -> Iterator[bytes]:
    """Records of all kinds in the clear: fragments of a ClientHello, alerts, data, lies of length."""
    while True:
        datagram = b""
        for _ in range(rng.choice([1, 1, 1, 2, 30])):
            kind = rng.choice([20, 21, 22, 22, 23, 24, 25, rng.randrange(20, 64)])
            body = rng.randbytes(rng.choice(_SIZES[:10]))
            if kind == 22:
                total, offset = rng.choice([(len(body), 0), (2**24 - 1, 0), (200, rng.getrandbits(24))])
                head = bytes([rng.choice([1, 0, 2, 11, 20])]) + total.to_bytes(3) + rng.randbytes(2)
                body = head + (offset & 0xFFFFFF).to_bytes(3) + len(body).to_bytes(3) + body
            elif kind == 21:
                body = bytes([rng.choice([1, 2]), rng.choice([0, 10, 40, 255])])
            length = rng.choice([len(body), len(body), len(body), 0, 0xFFFF])
            version = rng.choice([0xFEFD, 0xFEFD, 0xFEFF, rng.getrandbits(16)])
            epoch = rng.choice([0, 0, 1, 0xFFFF])
            datagram += struct.pack("!BHHHLH", kind, version, epoch, 0, rng.getrandbits(16), length) + body
        yield datagram[:1472]


def sealed(rng: random.Random) -> Iterator[bytes]:
    """What looks like SRTP and SRTCP, and all other first bytes, of sizes up to what no path carries."""
    while True:
        first = rng.choice([0x80, 0x80, 0x90, 0xBF, rng.randrange(256)])
        second = rng.choice([111, 200, 201, 206, 209, 223, rng.randrange(256)])
        yield bytes([first, second]) + rng.randbytes(rng.choice([*_SIZES, 1600, 9000]))


def _mutated(rng: random.Random, data: bytes, wrong: float) -> bytes:
    if wrong < 0.25:
        return data
    if wrong < 0.5:
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed) + (rng.randbytes(1200) if wrong > 0.95 else b"")


# --- insiders: RTP ------------------------------------------------------------------------------


def rtp(rng: random.Random, payload_type: int, ssrc: int) -> Iterator[bytes]:
    """RTP with whatever libsrtp lets through, a good packet in between."""
    number, timestamp = rng.getrandbits(15), rng.getrandbits(32)
    while True:
        number = number + rng.choice([1, 1, 1, 1, 0, 2, 3, -1, -2, 9, -101]) & 0xFFFF
        if rng.random() < 0.01:
            number = number + rng.choice([3001, 20_000, 0x8000]) & 0xFFFF
        timestamp = timestamp + rng.choice([960] * 6 + [0, 1, -960, 120, 2**31, 2**31 - 1, -1]) & 0xFFFF_FFFF
        source = ssrc if rng.random() < 0.8 else rng.choice([0, 2**32 - 1, rng.getrandbits(32)])
        kind = payload_type if rng.random() < 0.9 else rng.choice([0, 13, 64, 95, 127])
        yield _rtp_packet(rng, kind, number, timestamp, source)


def _rtp_packet(rng: random.Random, kind: int, number: int, timestamp: int, source: int) -> bytes:
    first, middle = 0x80, b""
    if rng.random() < 0.2:
        n_sources = rng.choice([1, 15])
        first |= n_sources
        middle += rng.randbytes(4 * n_sources)
    if rng.random() < 0.4:
        first |= 0x10
        elements = rng.randbytes(4 * rng.choice([0, 1, 2, 20]))
        profile = rng.choice([0xBEDE, 0xBEDE, 0x1000, 0x1004, rng.getrandbits(16)])
        middle += struct.pack("!HH", profile, len(elements) // 4) + elements
    payload = opus(rng)
    if rng.random() < 0.15:
        first |= 0x20
        payload += bytes([rng.choice([0, 1, len(payload) & 0xFF, 255])])
    marker = 0x80 if rng.random() < 0.2 else 0
    head = struct.pack("!BBHLL", first, kind | marker, number, timestamp, source)
    return (head + middle + payload)[:_LONGEST]


def opus(rng: random.Random) -> bytes:
    """Something behind an Opus packet's first byte: any mode, any number of frames, mostly broken."""
    toc = rng.randrange(256)
    body = rng.randbytes(rng.choice([0, 0, 1, 2, 3, 10, 60, 160, 1275, 1400]))
    if toc & 3 == 3 and body:
        count = rng.choice([0, 1, 2, 3, 6, 48, 63]) | rng.choice([0, 0x40, 0x80, 0xC0])
        body = bytes([count]) + body[1:]
    return b"" if rng.random() < 0.05 else bytes([toc]) + body


# --- insiders: RTCP -----------------------------------------------------------------------------


def rtcp(rng: random.Random, ours: int, theirs: int) -> Iterator[bytes]:
    """Compound packets about our stream and theirs, by SSRC, with values and lengths that cannot be."""
    while True:
        yield b"".join(_report(rng, ours, theirs) for _ in range(rng.choice([1, 1, 2, 5])))[:_LONGEST]


def _report(rng: random.Random, ours: int, theirs: int) -> bytes:
    kind = rng.choice([200, 201, 201, 202, 203, 204, 205, 206, 206, 207, 208])
    count = rng.randrange(32)
    sources = [ours, theirs, 0, rng.getrandbits(32)]
    sender = struct.pack("!L", rng.choice(sources) if rng.random() < 0.5 else theirs)
    match kind:
        case 200 | 201:
            body = sender + (rng.randbytes(20) if kind == 200 else b"")
            body += b"".join(_block(rng, rng.choice(sources[:2])) for _ in range(count))
        case 202:
            item = bytes([rng.choice([0, 1, 8, 255]), rng.choice([0, 4, 255])]) + rng.randbytes(6)
            body = sender + item
        case 203:
            body = b"".join(struct.pack("!L", rng.choice(sources)) for _ in range(count % 4))
        case 205:
            count = rng.choice([1, 15, count])
            body = sender + struct.pack("!L", ours) + rng.randbytes(4 * rng.randrange(200))
        case 206:
            count = rng.choice([1, 4, 15, 15])
            remb = b"REMB" + bytes([rng.choice([0, 1, 255])]) + rng.randbytes(rng.choice([3, 7, 11]))
            body = sender + struct.pack("!L", rng.choice([0, ours])) + remb
        case _:
            body = sender + rng.randbytes(rng.choice([0, 4, 40]))
    body += bytes(-len(body) % 4)
    length = len(body) // 4 if rng.random() < 0.8 else rng.choice([0, 1, len(body) // 4 + 1, 0xFFFF])
    padding = 0x20 if rng.random() < 0.1 else 0
    count = count if rng.random() < 0.8 else rng.randrange(32)
    return struct.pack("!BBH", 0x80 | padding | count, kind, length) + body


def _block(rng: random.Random, source: int) -> bytes:
    fraction, lost = rng.choice([0, 1, 255]), rng.choice([0, 5, 2**23 - 1, 2**23])
    jitter = rng.choice([0, 48, 2**32 - 1])
    return (
        struct.pack("!LB", source, fraction)
        + lost.to_bytes(3)
        + struct.pack(
            "!LLLL", rng.getrandbits(32), jitter, rng.getrandbits(32), rng.choice([0, 1, 2**32 - 1])
        )
    )


# --- insiders: SCTP -----------------------------------------------------------------------------


def sctp_packet(tag: int, *chunks: bytes) -> bytes:
    """A packet with a good checksum."""
    head = struct.pack("!HHL", 5000, 5000, tag)
    body = b"".join(chunk + bytes(-len(chunk) % 4) for chunk in chunks)
    return head + struct.pack("<L", crc32c(head + bytes(4) + body)) + body


def chunk(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("!BBH", kind, flags, len(body) + 4) + body


def sctp(rng: random.Random, tag: int, last_tsn: Callable[[], int]) -> Iterator[bytes]:
    """Chunks of all types under the right tag, with TSNs about the last one that came."""
    while True:
        n_chunks = rng.choice([1, 1, 1, 2, 5, 60])
        chunks = [_chunk(rng, last_tsn()) for _ in range(n_chunks)]
        packet = sctp_packet(tag if rng.random() < 0.9 else 0, *chunks)[:1200]
        yield packet if rng.random() < 0.5 else sctp_packet(tag, packet[12:])


def _chunk(rng: random.Random, last_tsn: int) -> bytes:
    tsn = struct.pack("!L", last_tsn + rng.choice([1, 1, 2, 3, 50, 255, 257, 2**31, -1]) & 0xFFFF_FFFF)
    stream = struct.pack("!H", rng.choice([0, 1, 2, 3, rng.getrandbits(6), rng.getrandbits(16)]))
    kind = rng.choice([0] * 8 + [3] * 4 + [4, 5, 9, 10, 11, 130, 130, 192, 192, rng.randrange(12, 256)])
    if rng.random() < 0.005:
        kind = rng.choice([1, 2, 6, 7, 8, 14])  # the end of the association, or a new one
    match kind:
        case 0:
            protocol = struct.pack("!L", rng.choice([50, 50, 51, 53, 56, 57, 0]))
            opening = bytes([rng.choice([3, 3, 2, 0]), 0]) + bytes(6) + rng.randbytes(4) + b"label"
            data = rng.choice([opening, b"{}", b"{}", rng.randbytes(rng.choice([1, 900]))])
            data = data if rng.random() < 0.97 else b""
            return chunk(0, tsn + stream + rng.randbytes(2) + protocol + data, rng.randrange(8))
        case 1 | 2:
            params = _parameters(rng) if rng.random() < 0.5 else b""
            return chunk(kind, rng.randbytes(4) + struct.pack("!LHHL", 65_536, 9, 9, 7) + params)
        case 3:
            n_gaps = rng.choice([0, 1, 3, 100])
            gaps = b"".join(struct.pack("!HH", 1, rng.choice([1, 5, 9, 0xFFFF])) for _ in range(n_gaps))
            told = n_gaps if rng.random() < 0.8 else 999
            return chunk(3, tsn + rng.randbytes(4) + struct.pack("!HH", told, 0) + gaps)
        case 192:
            return chunk(192, tsn + b"".join(rng.randbytes(4) for _ in range(rng.choice([0, 1, 60, 200]))))
        case 4 | 5 | 6 | 9 | 130:
            return chunk(kind, _parameters(rng))
        case _:
            return chunk(kind, rng.randbytes(rng.choice(_SIZES[:9])))


def _parameters(rng: random.Random) -> bytes:
    body = b""
    for _ in range(rng.choice([1, 1, 2, 40])):
        value = rng.randbytes(rng.choice([0, 4, 8, 12, 14]))
        length = len(value) + 4 if rng.random() < 0.95 else rng.choice([0, 3, 0xFFFF])
        kind = rng.choice([13, 16, 17, 7, 0x8008, 0xC000, 1])
        body += struct.pack("!HH", kind, length) + value + bytes(-len(value) % 4)
    return body
