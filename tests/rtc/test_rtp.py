from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicertc.rtc.rtp import RtpPacket, header, is_rtcp, is_rtp, parse

HEADER = bytes([0x80, 0xEF]) + (7).to_bytes(2) + (960).to_bytes(4) + (99).to_bytes(4)
READ = RtpPacket(111, 7, 960, 99, b"payload")
LEVEL_ID = 3


def extended(profile: int, elements: bytes) -> bytes:
    """A packet with a block of header extensions, filled up to whole words."""
    elements += bytes(-len(elements) % 4)
    block = profile.to_bytes(2) + (len(elements) // 4).to_bytes(2) + elements
    return bytes([0x90]) + HEADER[1:] + block + b"payload"


def test_a_packet_is_read_with_all_that_may_stand_before_its_payload() -> None:
    assert parse(HEADER + b"payload") == READ
    assert parse(bytes([0x82]) + HEADER[1:] + bytes(8) + b"payload") == READ, "two contributing sources"
    assert parse(extended(0xBEDE, bytes(8))) == READ
    assert parse(bytes([0xA0]) + HEADER[1:] + b"payload" + b"\x00\x00\x03") == READ, "three bytes of padding"
    assert parse(HEADER) == READ._replace(payload=b"")


def test_the_level_is_found_among_other_elements_in_both_forms() -> None:
    one_byte = bytes([0x10, 0x01, 0x00, LEVEL_ID << 4, 0x80 | 42])
    assert parse(extended(0xBEDE, one_byte), LEVEL_ID) == READ._replace(level=42)
    two_bytes = bytes([1, 2, 0xAA, 0xAA, 0x00, LEVEL_ID, 1, 127])
    assert parse(extended(0x1000, two_bytes), LEVEL_ID) == READ._replace(level=127)


def test_no_level_is_made_up() -> None:
    assert parse(extended(0xBEDE, bytes([0x10, 0x01])), LEVEL_ID) == READ
    assert parse(extended(0xBEDE, bytes([LEVEL_ID << 4, 42]))) == READ, "none was negotiated"
    assert parse(extended(0xBEDE, bytes([0xF0, 0, LEVEL_ID << 4, 42])), LEVEL_ID) == READ, "15 ends the block"
    assert parse(extended(0x1234, bytes([LEVEL_ID << 4, 42])), LEVEL_ID) == READ, "another profile"


def test_what_is_cut_short_is_no_packet() -> None:
    assert parse(HEADER[:11]) is None
    assert parse(bytes([0x8F]) + HEADER[1:]) is None
    assert parse(bytes([0xA0]) + HEADER[1:] + b"\xff") is None
    assert parse(bytes([0x40]) + HEADER[1:]) is None
    assert parse(bytes([0x90]) + HEADER[1:] + b"\xbe\xde\x00\x09") is None


def test_a_header_that_was_made_is_read_back() -> None:
    made = header(111, 7, 960, 99, marker=True)
    assert made == bytes([0x80, 0x80 | 111]) + HEADER[2:]
    assert parse(made + b"payload") == READ


def test_rtp_is_told_from_what_shares_its_port() -> None:
    assert is_rtp(HEADER)
    assert not is_rtp(bytes([0x80, 200]) + bytes(20)), "RTCP"
    assert not is_rtp(bytes([0x00, 0x01]) + bytes(20)), "STUN"
    assert not is_rtp(bytes([22, 254, 253]) + bytes(20)), "DTLS"
    assert not is_rtp(b"\x80")


def test_only_what_aiortc_takes_for_rtcp_is_given_to_it_as_such() -> None:
    """With 209 to 223 it would take it for RTP, of which nothing is to reach it."""
    assert [kind for kind in range(256) if is_rtcp(bytes([0x80, kind]) + bytes(6))] == [*range(192, 209)]
    assert not any(is_rtcp(bytes([first, 200]) + bytes(6)) for first in (0, 3, 63, 127, 192, 255))
    assert not is_rtcp(b"\x80\xc8" + bytes(5)), "its source must be there"
    assert not any(is_rtp(bytes([0x80, kind]) + bytes(10)) for kind in range(192, 224))


@st.composite
def elements(draw: st.DrawFn) -> tuple[int, bytes, int | None]:
    """A block of extensions with a level somewhere among others: profile, block, level if there is one."""
    has_two_bytes = draw(st.booleans())
    others = st.integers(4, 14).flatmap(
        lambda number: st.tuples(st.just(number), st.binary(min_size=1, max_size=16))
    )
    before, after = draw(st.lists(others, max_size=3)), draw(st.lists(others, max_size=3))
    level = draw(st.none() | st.integers(0, 127))
    voice = draw(st.sampled_from([0, 0x80]))
    mine = [] if level is None else [(LEVEL_ID, bytes([voice | level]))]
    block = b""
    for number, value in [*before, *mine, *after]:
        block += bytes(draw(st.integers(0, 3)))  # padding, anywhere
        head = [number, len(value)] if has_two_bytes else [number << 4 | len(value) - 1]
        block += bytes(head) + value
    profile = draw(st.integers(0x1000, 0x100F)) if has_two_bytes else 0xBEDE
    return profile, block + bytes(-len(block) % 4), level


@given(
    elements(),
    st.lists(st.integers(0, 2**32 - 1), max_size=15),
    st.tuples(
        st.integers(0, 127), st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
    ),
    st.binary(max_size=60),
    st.none() | st.integers(1, 255),
)
def test_a_packet_of_any_form_is_read_back(
    extension: tuple[int, bytes, int | None],
    sources: list[int],
    numbers: tuple[int, int, int, int],
    payload: bytes,
    n_padding: int | None,
) -> None:
    profile, block, level = extension
    kind, number, timestamp, ssrc = numbers
    first = 0x90 | len(sources) | (0x20 if n_padding else 0)
    data = bytes([first]) + header(kind, number, timestamp, ssrc, marker=True)[1:]
    data += b"".join(source.to_bytes(4) for source in sources)
    data += profile.to_bytes(2) + (len(block) // 4).to_bytes(2) + block + payload
    if n_padding:
        data += bytes(n_padding - 1) + bytes([n_padding])
    assert parse(data, LEVEL_ID) == RtpPacket(kind, number, timestamp, ssrc, payload, level)
    assert parse(data) == RtpPacket(kind, number, timestamp, ssrc, payload, None)
    for end in range(len(data) - len(payload) - (n_padding or 0)):
        assert parse(data[:end], LEVEL_ID) is None, "cut off before its payload"


@given(st.binary(max_size=80), st.integers(0, 15))
def test_any_bytes_are_a_packet_or_none(data: bytes, level_id: int) -> None:
    read = parse(data, level_id)
    assert read is None or len(read.payload) <= len(data) - 12


@given(st.binary(max_size=40), st.sampled_from([0xBEDE, 0x1000, 0x1005]))
def test_any_extensions_leave_the_payload_whole(elements: bytes, profile: int) -> None:
    read = parse(extended(profile, elements), LEVEL_ID)
    assert read is not None
    assert read._replace(level=None) == READ
