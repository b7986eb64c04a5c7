"""STUN as far as it is read: as aioice reads it, and nothing is believed that is not signed."""

from __future__ import annotations

from aioice import stun as aioice_stun
from aioice.stun import Class, Message, Method

from voicertc.rtc import stun

from .datagrams import check


def test_a_check_is_read_as_aioice_reads_it() -> None:
    for ufrag, secret in (("abcd", "x" * 22), ("a" * 256, "y" * 256)):
        request = check(ufrag, secret)
        assert stun.message_type(request) == stun.BINDING_REQUEST
        assert stun.transaction_id(request) == aioice_stun.parse_message(request).transaction_id
        assert stun.called_ufrag(request) == ufrag.encode()
        assert stun.is_authentic(request, secret.encode())
        assert not stun.is_authentic(request, secret.encode() + b"z")


def test_any_changed_byte_makes_a_check_unauthentic() -> None:
    request = check("abcd", "x" * 22)
    signed_until = request.index(b"\x00\x08\x00\x14") + 24
    for place in range(signed_until):
        if place in (2, 3):
            continue  # the length: aioice compares it with the datagram's
        forged = bytearray(request)
        forged[place] ^= 0x01
        assert not stun.is_authentic(bytes(forged), b"x" * 22), place


def test_a_name_behind_the_signature_is_nobodys() -> None:
    message = Message(Method.BINDING, Class.REQUEST)
    message.add_message_integrity(b"x" * 22)
    assert stun.called_ufrag(bytes(message) + b"\x00\x06\x00\x04abcd") is None
