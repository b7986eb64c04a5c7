from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicertc.rtc.dtls import is_dtls, records


def record(body: bytes, kind: int = 22) -> bytes:
    return bytes([kind, 0xFE, 0xFD]) + bytes(8) + len(body).to_bytes(2) + body


def test_the_records_of_a_flight_are_told_apart() -> None:
    flight = [record(b"certificate"), record(b"", 20), record(b"finished" * 30)]
    assert records(b"".join(flight)) == flight
    assert records(flight[0]) == flight[:1]


def test_what_is_read_otherwise_stays_whole_and_what_is_none_is_left_out() -> None:
    whole = record(b"one")
    assert records(whole + b"\x16\xfe\xfd") == [whole, b"\x16\xfe\xfd"], "cut off"
    assert records(whole + b"\x2f" + bytes(40)) == [whole, b"\x2f" + bytes(40)], "DTLS 1.3's short header"
    assert records(whole + b"\0\x01" + bytes(40)) == [whole]
    assert records(b"") == []


@given(st.binary(max_size=100), st.lists(st.binary(max_size=20), max_size=5))
def test_nothing_is_made_up(rest: bytes, bodies: list[bytes]) -> None:
    whole = [record(body) for body in bodies]
    found = records(b"".join(whole) + rest)
    assert found[: len(whole)] == whole
    assert rest.startswith(b"".join(found[len(whole) :]))
    assert all(is_dtls(each) for each in found)
