from __future__ import annotations

from voicertc.rtc.options import IceServer
from voicertc.rtc.turn_credentials import ClientIceServers, turn_credentials

STUN = IceServer(("stun:stun.example:3478",))
OWN = IceServer(("turn:old.example",), "me", "mine")
SHARED = IceServer(("turn:turn.example:3478?transport=udp", "turns:turn.example:5349?transport=tcp"))


def test_a_credential_is_the_one_that_coturn_computes() -> None:
    # As OpenSSL does: printf %s 1700000000:call | openssl dgst -sha1 -hmac north -binary | base64
    assert turn_credentials("north", "call", expires_at=1_700_000_000) == (
        "1700000000:call",
        "sOQHRpLXVWqqKGRBoMoDfQmJyo0=",
    )


def test_only_turn_servers_without_a_credential_are_given_one() -> None:
    told = ClientIceServers((STUN, OWN, SHARED), "north", turn_ttl=600.0)
    first, second, third = told.for_client("call", now=1_699_999_400.9)
    assert (first, second) == (STUN, OWN)
    assert third == IceServer(SHARED.urls, *turn_credentials("north", "call", expires_at=1_700_000_000))


def test_without_a_secret_servers_are_told_as_they_are() -> None:
    told = ClientIceServers((STUN, OWN))
    assert told.for_client("call", now=0.0) == (STUN, OWN)


def test_the_secret_shows_nowhere() -> None:
    told = ClientIceServers((SHARED,), "north-star")
    (server,) = told.for_client("call", now=0.0)
    assert server.credential is not None
    assert "north" not in repr(told)
    assert server.credential not in repr(server)
