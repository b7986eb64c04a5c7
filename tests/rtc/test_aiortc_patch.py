from __future__ import annotations

from aioice.ice import Connection
from aiortc import RTCPeerConnection
from hypothesis import given
from hypothesis import strategies as st

from voicertc.rtc.aiortc_patch import missing_names, parse_rtp, shared_certificate

HEADER = bytes([0x80, 0xEF]) + (7).to_bytes(2) + (960).to_bytes(4) + (99).to_bytes(4)


def test_the_pinned_versions_have_every_private_name() -> None:
    assert missing_names() == []


def test_a_name_that_an_upgrade_took_away_is_named() -> None:
    names = [
        (RTCPeerConnection, "_RTCPeerConnection__certificates"),
        (Connection, "_gone"),
        (Connection, "_queue"),
    ]
    assert missing_names(names) == ["Connection._gone"]


def test_the_certificate_is_made_once() -> None:
    assert shared_certificate() is shared_certificate()


def test_a_packet_is_read_with_all_that_may_stand_before_its_payload() -> None:
    read = (99, 7, 960, b"payload")
    assert parse_rtp(HEADER + b"payload") == read
    assert parse_rtp(bytes([0x82]) + HEADER[1:] + bytes(8) + b"payload") == read, "two contributing sources"
    extension = b"\xbe\xde\x00\x02" + bytes(8)
    assert parse_rtp(bytes([0x90]) + HEADER[1:] + extension + b"payload") == read
    assert parse_rtp(bytes([0xA0]) + HEADER[1:] + b"payload" + b"\x00\x00\x03") == read, (
        "three bytes of padding"
    )
    assert parse_rtp(HEADER) == (99, 7, 960, b"")


def test_what_is_cut_short_is_no_packet() -> None:
    assert parse_rtp(HEADER[:11]) is None
    assert parse_rtp(bytes([0x8F]) + HEADER[1:]) is None
    assert parse_rtp(bytes([0xA0]) + HEADER[1:] + b"\xff") is None
    assert parse_rtp(bytes([0x40]) + HEADER[1:]) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_none(data: bytes) -> None:
    read = parse_rtp(data)
    assert read is None or len(read[3]) <= len(data) - 12
