"""The proxy in front of a server that speaks HTTP, and what it makes of bodies that carry SDP."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from voicertc.testing.client import HeadlessClient
from voicertc.testing.lossy_link import Direction, Kind, LossyLink, without_candidates
from voicertc.testing.lossy_proxy import lossy_proxy, rewrite_request, rewrite_response

from ..rtc.calls import tone
from .answering import answering
from .test_lossy_link import answer_sdp, host

pytestmark = pytest.mark.network


async def test_a_call_over_http_goes_through_the_link() -> None:
    link = LossyLink()
    async with answering() as (url, calls), lossy_proxy(link, url) as proxy, HeadlessClient(proxy) as client:
        assert client.location == "/prefix/v1/realtime/calls/rtc_1"
        await client.say(np.concatenate((tone(0.3, 16_000), np.zeros(1600, np.int16))))
        await calls[0].until("playout_drained", "reply-1")
        assert link.counts[Direction.DOWN][Kind.RTP].sent >= len(client.packets) > 40
    link.close()


@pytest.fixture
async def mirror() -> AsyncGenerator[str]:
    """A server that answers with what it was asked."""

    async def show(request: web.Request) -> web.Response:
        asked = {
            "method": request.method,
            "path": request.raw_path,
            "host": request.headers["Host"],
            "key": request.headers.get("Authorization"),
            "body": (await request.read()).decode(),
        }
        return web.json_response(asked, status=203, headers={"ETag": '"x"'})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", show)
    async with TestServer(app) as server:
        yield str(server.make_url("/base"))


async def test_all_else_passes_the_proxy_as_it_is(mirror: str) -> None:
    link = LossyLink()
    async with lossy_proxy(link, mirror) as proxy, aiohttp.ClientSession() as http:
        asked = http.put(f"{proxy}/a%20b?c=d", data="body", headers={"Authorization": "Bearer k"})
        async with asked as response:
            assert (response.status, response.headers["ETag"]) == (203, '"x"')
            assert await response.json() == {
                "method": "PUT",
                "path": "/base/a%20b?c=d",
                "host": proxy.removeprefix("http://"),
                "key": "Bearer k",
                "body": "body",
            }
        with pytest.raises(aiohttp.WSServerHandshakeError, match="501"):
            await http.ws_connect(f"{proxy}/v1/realtime")
    link.close()


OFFER = answer_sdp(host("192.0.2.1", 9), "2 1 udp 1 abc.local 9 typ host")
BARE = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\n"


def test_candidates_are_taken_out_however_an_offer_is_carried() -> None:
    assert without_candidates(OFFER) == BARE
    assert rewrite_request("application/sdp", OFFER.encode()) == BARE.encode()
    form = f'--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\n{OFFER}\r\n--x--\r\n'
    bare_form = form.replace(OFFER, BARE)
    assert rewrite_request("multipart/form-data", form.encode()) == bare_form.encode()
    trickled = f"a=mid:0\r\na=candidate:{host('192.0.2.1', 9)}\r\na=end-of-candidates"
    assert rewrite_request("application/trickle-ice-sdpfrag", trickled.encode()) == b"a=mid:0\r\n"
    as_json = json.dumps({"sdp": OFFER, "type": "offer", "pc_id": None}).encode()
    assert json.loads(rewrite_request("application/json", as_json)) == {
        "sdp": BARE,
        "type": "offer",
        "pc_id": None,
    }
    more = json.dumps({"pc_id": "1", "candidates": [{"candidate": "candidate:1"}]}).encode()
    assert json.loads(rewrite_request("application/json", more)) == {"pc_id": "1", "candidates": []}
    for body in (b"{", b"[1]"):
        assert rewrite_request("application/json", body) == body
    assert rewrite_request("text/plain", OFFER.encode()) == OFFER.encode()


async def test_candidates_are_replaced_however_an_answer_is_carried() -> None:
    link = LossyLink()
    text = answer_sdp(host("127.0.0.1", 5000))
    rewritten = link.rewrite_answer(text)
    assert rewritten != text
    assert rewrite_response("application/sdp", text.encode(), link) == rewritten.encode()
    as_json = json.dumps({"sdp": text, "pc_id": "1"}).encode()
    assert json.loads(rewrite_response("application/json", as_json, link)) == {"sdp": rewritten, "pc_id": "1"}
    for kind, body in (("application/sdp", b""), ("application/json", b'{"id": 1}'), ("text/html", b"<p>")):
        assert rewrite_response(kind, body, link) == body
    link.close()
