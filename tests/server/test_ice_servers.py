"""The STUN and TURN servers that clients are told, and who is not told."""

from __future__ import annotations

from typing import Any

import pytest

from voicertc.rtc.options import IceServer
from voicertc.rtc.turn_credentials import ClientIceServers, turn_credentials

from .conftest import ServerClient
from .endpoints import OFFER
from .test_calls import CALLS, SDP

ROUTE = "/v1/realtime/ice_servers"
KEY = "a-key-of-the-operator"
TOLD = ClientIceServers(
    (
        IceServer(("stun:stun.example:3478",)),
        IceServer(("turn:old.example",), 'a "user"', "mine\\\\"),
        IceServer(("stun:turn.example", "turns:turn.example:5349?transport=tcp")),
    ),
    turn_secret="north",
    turn_ttl=600.0,
)
NOW = 1_700_000_000.4


def now() -> float:
    return NOW


def expected(name: str) -> list[dict[str, Any]]:
    username, credential = turn_credentials("north", name, expires_at=1_700_000_600)
    return [
        {"urls": ["stun:stun.example:3478"]},
        {"urls": ["turn:old.example"], "username": 'a "user"', "credential": "mine\\\\"},
        {
            "urls": ["stun:turn.example", "turns:turn.example:5349?transport=tcp"],
            "username": username,
            "credential": credential,
        },
    ]


def links(name: str) -> list[str]:
    username, credential = turn_credentials("north", name, expires_at=1_700_000_600)
    password = 'credential-type="password"'
    return [
        '<stun:stun.example:3478>; rel="ice-server"',
        '<turn:old.example>; rel="ice-server"; username="a \\"user\\""; '
        f'credential="mine\\\\\\\\"; {password}',
        '<stun:turn.example>; rel="ice-server"',
        '<turns:turn.example:5349?transport=tcp>; rel="ice-server"; '
        f'username="{username}"; credential="{credential}"; {password}',
    ]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_page_is_told_what_a_peer_connection_takes(serve: ServerClient) -> None:
    client = await serve(ice_servers=TOLD, clock=now)
    response = await client.get(ROUTE)
    assert (response.status, await response.json()) == (200, {"iceServers": expected("guest")})
    assert response.headers["Cache-Control"] == "no-store"


async def test_whoever_has_a_key_has_a_name(serve: ServerClient) -> None:
    client = await serve(ice_servers=TOLD, clock=now, api_keys=(KEY,), base_path="/voice")
    minted = await client.post("/v1/realtime/client_secrets", json={}, headers=bearer(KEY))
    short_lived = (await minted.json())["value"]
    response = await client.get(f"/voice{ROUTE}", headers=bearer(short_lived))
    name = f"ek-{short_lived.split('_')[1]}"
    assert await response.json() == {"iceServers": expected(name)}


async def test_where_there_are_none_there_are_none(serve: ServerClient) -> None:
    client = await serve()
    assert await (await client.get(ROUTE)).json() == {"iceServers": []}
    answered = await client.post(CALLS, data=OFFER, headers=SDP)
    assert "Link" not in answered.headers
    assert "Link" not in (await client.options(CALLS)).headers
    assert list(await (await client.post("/start")).json()) == ["sessionId"]


async def test_whip_clients_are_told_with_the_answer_and_when_they_ask(serve: ServerClient) -> None:
    client = await serve(ice_servers=TOLD, clock=now)
    answered = await client.post(CALLS, data=OFFER, headers=SDP)
    asked = await client.options(CALLS)
    assert answered.headers.getall("Link") == links("guest")
    assert asked.headers.getall("Link") == links("guest")
    assert asked.headers["Accept-Post"] == "application/sdp"


@pytest.mark.parametrize("key", [None, "not-a-key-of-the-operator", "ek_1_2_3"])
async def test_who_may_not_call_may_not_relay(serve: ServerClient, key: str | None) -> None:
    client = await serve(ice_servers=TOLD, clock=now, api_keys=(KEY,))
    headers = bearer(key) if key else {}
    assert (await client.get(ROUTE, headers=headers)).status == 401
    preflight = await client.options(CALLS, headers=headers)
    assert (preflight.status, "Link" in preflight.headers) == (204, False)
    allowed = await client.options(CALLS, headers=bearer(KEY))
    assert len(allowed.headers.getall("Link")) == 4


async def test_pages_elsewhere_are_told_if_they_may_call(serve: ServerClient) -> None:
    client = await serve(ice_servers=TOLD, clock=now, cors_origins=("https://app.example",))
    own = await client.get(ROUTE, headers={"Origin": "https://app.example"})
    assert own.headers["Access-Control-Allow-Origin"] == "https://app.example"
    answered = await client.post(CALLS, data=OFFER, headers=SDP | {"Origin": "https://app.example"})
    assert "Link" in answered.headers["Access-Control-Expose-Headers"]
    for path in (ROUTE, CALLS):
        asked = await client.options(path, headers={"Origin": "https://evil.example"})
        assert (asked.status, "Link" in asked.headers) == (403, False)
    assert (await client.get(ROUTE, headers={"Origin": "https://evil.example"})).status == 403


async def test_pipecats_clients_are_told_as_they_start(serve: ServerClient) -> None:
    client = await serve(ice_servers=TOLD, clock=now)
    started = await (await client.post("/start", json={})).json()
    assert started["iceConfig"] == {"iceServers": expected("guest")}
    assert list(started) == ["sessionId", "iceConfig"]
