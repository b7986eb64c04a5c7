from __future__ import annotations

import struct

import pytest
from aiortc.rtcsctptransport import (
    AbortChunk,
    Chunk,
    CookieAckChunk,
    CookieEchoChunk,
    DataChunk,
    ForwardTsnChunk,
    HeartbeatChunk,
    InitAckChunk,
    InitChunk,
    ReconfigChunk,
    SackChunk,
    ShutdownChunk,
    StreamResetOutgoingParam,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.rtc.sctp import (
    DATA,
    FORWARD_TSN,
    INIT,
    MAX_AHEAD,
    MAX_HELD,
    MAX_STREAMS,
    SACK,
    Reception,
    refusal,
)

from .fuzz import chunk, sctp_packet

LAST = 2**32 - 2
USUAL = Reception(last_tsn=LAST, room=2**20, n_held=0, streams={1}, n_new=MAX_STREAMS - 1)
RECONFIG = 130


def refused(*chunks: bytes, reception: Reception = USUAL) -> str | None:
    return refusal(sctp_packet(7, *chunks), reception)


def data(tsn: int = LAST + 1, stream: int = 1, payload: bytes = b"{}") -> bytes:
    return chunk(DATA, struct.pack("!LHHL", tsn & 0xFFFF_FFFF, stream, 0, 51) + payload)


def forward(*streams: int) -> bytes:
    return chunk(
        FORWARD_TSN, struct.pack("!L", 0) + b"".join(struct.pack("!HH", each, 0) for each in streams)
    )


def sack(*gaps: tuple[int, int], n_told: int | None = None) -> bytes:
    head = struct.pack("!LLHH", 0, 0, len(gaps) if n_told is None else n_told, 0)
    return chunk(SACK, head + b"".join(struct.pack("!HH", *gap) for gap in gaps))


def parameter(length: int, value: bytes = b"") -> bytes:
    return struct.pack("!HH", 13, length) + value


def made_by_aiortc() -> list[Chunk]:
    """One of each kind, as a client with aiortc sends it."""
    init, init_ack, data, sack, forward, reconfig, heartbeat, echo = (
        InitChunk(), InitAckChunk(), DataChunk(), SackChunk(), ForwardTsnChunk(), ReconfigChunk(),
        HeartbeatChunk(), CookieEchoChunk(),
    )  # fmt: skip
    init.params = init_ack.params = [(0xC000, b""), (0x8008, bytes([192, 130])), (7, bytes(24))]
    data.tsn, data.stream_id, data.user_data = 0, 1, b"x"
    sack.gaps, sack.duplicates = [(2, 3), (5, 5)], [1]
    forward.streams = [(1, 2)]
    reset = StreamResetOutgoingParam(1, 2, 3, [1])
    reconfig.params = [(13, bytes(reset))]
    heartbeat.params = [(1, b"now")]
    echo.body = bytes(24)
    others = [AbortChunk(), ShutdownChunk(), CookieAckChunk()]
    return [init, init_ack, data, sack, forward, reconfig, heartbeat, echo, *others]


@pytest.mark.parametrize("made", made_by_aiortc(), ids=lambda made: type(made).__name__)
def test_what_a_client_sends_is_taken(made: Chunk) -> None:
    assert refused(bytes(made)) is None


def test_what_usually_comes_in_company_is_taken() -> None:
    assert refused(sack(), data(), data(LAST + 2), data(LAST + MAX_AHEAD)) is None
    assert refused(data(LAST), data(LAST - 70_000)) is None, "again, as something was lost on the way back"
    assert refused(chunk(11, b""), data()) is None


@pytest.mark.parametrize("kind", [4, 5, 6, 9, RECONFIG])
def test_a_parameter_without_length_is_refused(kind: int) -> None:
    """aiortc goes round it for ever."""
    assert refused(chunk(kind, parameter(8, b"good") + parameter(0))) == "a parameter without length"
    assert refused(chunk(kind, parameter(3))) == "a parameter without length"
    assert refused(chunk(kind, parameter(7, b"odd") + bytes(1) + parameter(0))) is not None
    assert refused(chunk(kind, parameter(8, b"good") + b"\0\0\0")) is None, "less than one's head ends them"
    assert refused(chunk(kind, parameter(4))) is None


def test_so_is_it_behind_an_init() -> None:
    init = struct.pack("!LLHHL", 1, 2, 3, 4, 5)
    assert refused(chunk(INIT, init + parameter(0))) == "a parameter without length"
    assert refused(chunk(INIT, init + parameter(6, b"ab") + bytes(2) + parameter(0))) is not None
    assert refused(chunk(INIT, init), data()) == "an INIT in company"


def test_gaps_that_take_long_to_go_through_are_refused() -> None:
    assert refused(sack(*[(n, n) for n in range(2, 200, 2)])) is None
    assert refused(sack((1, 65_535))) == "gaps that cannot be"
    assert refused(sack(*[(1, 100)] * 50)) == "gaps that cannot be"
    assert refused(sack((5, 4))) == "gaps that cannot be"
    assert refused(sack((2, 2), n_told=2)) == "a SACK that is cut off"
    assert refused(sack(), sack()) == "two chunks that tell of everything"


def test_what_would_pile_up_is_refused() -> None:
    assert refused(data(LAST + MAX_AHEAD + 1)) == "data too far ahead"
    never = "messages that are never complete"
    assert refused(data(), reception=USUAL._replace(room=0)) == never
    assert refused(data(), reception=USUAL._replace(n_held=MAX_HELD + 1)) == never
    assert refused(data(payload=b"")) == "no data"
    assert refused(data(), reception=USUAL._replace(last_tsn=None)) == "data before the association"
    assert refused(forward(), reception=USUAL._replace(last_tsn=None)) == "data before the association"


def test_streams_are_few() -> None:
    full = USUAL._replace(n_new=0)
    assert refused(data(stream=1), forward(1), reception=full) is None
    assert refused(data(stream=2), reception=full) == "too many streams"
    assert refused(forward(1, 2), reception=full) == "too many streams"
    assert refused(forward(*range(2, 1 + MAX_STREAMS))) is None
    assert refused(forward(*range(2, 2 + MAX_STREAMS))) == "too many streams"
    assert refused(forward(), forward()) == "two chunks that tell of everything"
    assert refused(chunk(FORWARD_TSN, bytes(6))) == "a list of streams that is cut off"


def test_what_would_be_answered_often_is_refused() -> None:
    assert refused(*[chunk(4, b"")] * 8, *[data()] * 30) is None
    assert refused(*[chunk(4, b"")] * 9) == "too many chunks to answer"


@settings(max_examples=300)
@given(st.binary(max_size=120), st.sampled_from([0, 1, 2, 3, 4, 5, 6, 9, 130, 192]))
def test_any_bytes_are_judged(body: bytes, kind: int) -> None:
    for packet in (body, sctp_packet(7, chunk(kind, body)), sctp_packet(7, chunk(kind, body))[:-3]):
        assert refusal(packet, USUAL) in (None, *REASONS)


REASONS = (
    "a SACK that is cut off",
    "a list of streams that is cut off",
    "a parameter without length",
    "data too far ahead",
    "gaps that cannot be",
    "no data",
    "too many chunks to answer",
    "too many streams",
    "two chunks that tell of everything",
    "an INIT in company",
)
