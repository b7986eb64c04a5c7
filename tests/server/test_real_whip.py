"""A WHIP client's requests to the real endpoint, with offers as they are on the wire; nobody sends media."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from voicertc import Endpoint
from voicertc.agents.base import AgentRequest, as_agent
from voicertc.server.app import assemble
from voicertc.session.setup import Services
from voicertc.settings import ServerSection, Settings
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector

from ..rtc.offers import HEAD, audio
from .conftest import AiohttpClient
from .test_access import KEY, bearer, minted
from .test_calls import CALLS, SDP, error_of

pytestmark = pytest.mark.network

TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}


async def mute(request: AgentRequest) -> AsyncGenerator[str, None]:
    return
    yield ""


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> TestClient[Any, Any]:
    services = Services(FakeRecognizer([]), as_agent(mute), FakeVoice(), LoudnessDetector())
    return await aiohttp_client(
        assemble(Endpoint(Settings(), services=services), ServerSection(api_keys=KEY))  # type: ignore[arg-type]  # read as in a file
    )


@pytest.mark.parametrize(
    ("offered", "answered"), [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly")]
)
async def test_an_offer_is_answered_in_its_own_direction(
    client: TestClient[Any, Any], offered: str, answered: str
) -> None:
    offer = HEAD + audio(direction=offered)
    response = await client.post(CALLS, data=offer, headers=SDP | bearer(KEY))
    assert response.status == 201
    assert f"a={answered}" in (await response.text()).splitlines()
    assert (await client.delete(response.headers["Location"], headers=bearer(KEY))).status == 200


async def test_a_whole_life_with_trickle(client: TestClient[Any, Any]) -> None:
    mine, theirs = bearer(await minted(client)), bearer(await minted(client))
    posted = await client.post(CALLS, data=HEAD + audio(), headers=SDP | mine)
    call, etag = posted.headers["Location"], posted.headers["ETag"]
    patch = TRICKLE | mine | {"If-Match": etag}

    async def send(*lines: str, headers: dict[str, str] = patch) -> tuple[int, str]:
        response = await client.patch(call, data="\r\n".join(lines), headers=headers)
        if response.status == 204:
            return 204, await response.text()
        status, error = await error_of(response)
        return status, error["code"]

    known = ("a=ice-ufrag:frag", "a=ice-pwd:frag0123456789012345678901", "m=audio 9 RTP/AVP 0", "a=mid:0")
    candidates = (
        "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
        "a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
        "a=candidate:3 1 udp 2130706431 6a7b0000.local 61665 typ host",
        "a=candidate:4 1 udp 2130706431 nonsense x typ host",
        "a=candidate:5 1 udp \N{SUPERSCRIPT TWO} 127.0.0.1 \N{SUPERSCRIPT TWO} typ host",
        "a=candidate:6 1 udp 1 127.0.0.1 9 typ srflx raddr 127.0.0.1 rport many",
        "a=candidate:7 1 udp " + "9" * 5_000 + " 127.0.0.1 9 typ host",
        "a=candidate:",
        "a=end-of-candidates",
    )
    assert await send(*known, *candidates) == (204, "")
    for candidate in candidates:
        assert await send(candidate) == (204, "")
    assert await send(*known, *candidates[:1] * 100) == (204, "")
    restart = (known[0].replace(":frag", ":other"), *known[1:])
    assert await send(*restart, headers=patch | {"If-Match": "*"}) == (422, "ice_restart_unsupported")
    assert await send(*known, headers=patch | theirs) == (404, "call_not_found")
    assert await send(*known, headers=patch | {"If-Match": '"stale"'}) == (412, "precondition_failed")

    assert (await client.get(call, headers=mine)).status == 204
    assert (await client.delete(call, headers=theirs)).status == 404
    for _ in range(2):
        assert (await client.delete(call, headers=mine)).status == 200
    assert await send(*known) == (404, "call_not_found")
    assert (await client.delete(call, headers=theirs)).status == 404
