from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicertc.rtc.rtp import RtpPacket, header, is_rtp, parse

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


@given(st.binary(max_size=80), st.integers(0, 15))
def test_any_bytes_are_a_packet_or_none(data: bytes, level_id: int) -> None:
    read = parse(data, level_id)
    assert read is None or len(read.payload) <= len(data) - 12


@given(st.binary(max_size=40), st.sampled_from([0xBEDE, 0x1000, 0x1005]))
def test_any_extensions_leave_the_payload_whole(elements: bytes, profile: int) -> None:
    read = parse(extended(profile, elements), LEVEL_ID)
    assert read is not None
    assert read._replace(level=None) == READ
