"""Offers, answers and goodbyes over HTTP, as they are on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from voicertc.errors import ClientError
from voicertc.server import bodies
from voicertc.server.app import assemble
from voicertc.server.offers import MAX_OFFER_BYTES
from voicertc.settings import ServerSection

from .conftest import AiohttpClient, ServerClient
from .endpoints import ANSWER, OFFER, Asked, SilentEndpoint

CALLS = "/v1/realtime/calls"
SDP = {"Content-Type": "application/sdp"}


async def in_chunks(n_bytes: int) -> AsyncIterator[bytes]:
    """A body whose length is not told beforehand."""
    yield b"x" * n_bytes


async def error_of(response: aiohttp.ClientResponse) -> tuple[int, dict[str, Any]]:
    assert response.content_type == "application/json"
    body = await response.json()
    assert list(body) == ["error"]
    return response.status, body["error"]


def is_error(kind: str, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    return {"type": kind, "code": code, "message": message, "param": param}


async def test_an_offer_is_answered_and_the_answer_says_where_the_call_is(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve()
    response = await client.post(CALLS, data=OFFER, headers=SDP)
    assert response.status == 201
    assert response.headers["Content-Type"] == "application/sdp"
    assert response.headers["Location"] == "/v1/realtime/calls/rtc_1"
    assert response.headers["Cache-Control"] == "no-store"
    assert await response.text() == ANSWER
    assert endpoint.asked == [("start",), Asked(OFFER)]


@pytest.mark.parametrize("content_type", ["application/sdp; charset=utf-8", "Application/SDP"])
async def test_a_content_type_may_be_written_in_other_ways(serve: ServerClient, content_type: str) -> None:
    client = await serve()
    response = await client.post(CALLS, data=OFFER, headers={"Content-Type": content_type})
    assert response.status == 201


async def test_a_compressed_offer_is_read(serve: ServerClient, endpoint: SilentEndpoint) -> None:
    client = await serve()
    response = await client.post(CALLS, data=OFFER.encode(), headers=SDP, compress="gzip")
    assert response.status == 201
    assert endpoint.asked[-1] == Asked(OFFER)


@pytest.mark.parametrize("method_and_path", [("DELETE", ""), ("POST", "/hangup")])
async def test_a_call_is_ended_by_its_address(
    serve: ServerClient, endpoint: SilentEndpoint, method_and_path: tuple[str, str]
) -> None:
    method, path = method_and_path
    client = await serve()
    await client.post(CALLS, data=OFFER, headers=SDP)
    for _ in range(2):  # the second time it is known still
        ended = await client.request(method, f"{CALLS}/rtc_1{path}")
        assert (ended.status, await ended.read()) == (200, b"")
    unknown = await client.request(method, f"{CALLS}/rtc_2{path}")
    assert await error_of(unknown) == (
        404,
        is_error("invalid_request_error", "call_not_found", "There is no such call.", "call_id"),
    )
    assert endpoint.asked[2:] == [("hangup", "rtc_1")] * 2


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/mixed; boundary=x"])
async def test_an_offer_of_another_media_type_gets_415(serve: ServerClient, content_type: str) -> None:
    client = await serve()
    response = await client.post(CALLS, data=OFFER, headers={"Content-Type": content_type})
    message = (
        "Send the SDP offer as it is, with Content-Type: application/sdp, or as multipart/form-data with the "
        "fields sdp and session."
    )
    assert await error_of(response) == (
        415,
        is_error("invalid_request_error", "unsupported_media_type", message),
    )


async def test_an_offer_over_the_limit_gets_413_whether_it_says_its_length_or_not(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve()
    limit = MAX_OFFER_BYTES
    too_large = is_error(
        "invalid_request_error", "offer_too_large", "The offer may have 65536 bytes at most."
    )
    assert await error_of(await client.post(CALLS, data=b"x" * (limit + 1), headers=SDP)) == (413, too_large)
    response = await client.post(CALLS, data=in_chunks(limit + 1), headers=SDP)
    assert await error_of(response) == (413, too_large)
    bomb = await client.post(CALLS, data=b"x" * 1_000_000, headers=SDP, compress="gzip")
    assert await error_of(bomb) == (413, too_large)
    assert (await client.post(CALLS, data=in_chunks(limit), headers=SDP)).status == 201
    assert len(endpoint.asked) == 2


async def test_an_offer_that_is_no_text_gets_400(serve: ServerClient) -> None:
    client = await serve()
    response = await client.post(CALLS, data=b"\xff\xfe", headers=SDP)
    assert await error_of(response) == (
        400,
        is_error("invalid_request_error", "invalid_sdp", "The offer must be UTF-8 text."),
    )


async def test_a_body_that_cannot_be_unpacked_gets_400(serve: ServerClient) -> None:
    client = await serve()
    response = await client.post(CALLS, data=b"no gzip", headers=SDP | {"Content-Encoding": "gzip"})
    assert (await error_of(response))[0] == 400


@pytest.mark.parametrize(
    ("failure", "status", "error", "retry_after"),
    [
        (
            ClientError("An offer needs audio.", code="no_audio", status=422, param="sdp"),
            422,
            is_error("invalid_request_error", "no_audio", "An offer needs audio.", "sdp"),
            None,
        ),
        (
            ClientError("All lines are busy.", code="too_many_calls", status=503, retry_after=5),
            503,
            is_error("server_error", "too_many_calls", "All lines are busy."),
            "5",
        ),
        (
            RuntimeError("the key is sk-secret"),
            500,
            is_error("server_error", "internal", "Something went wrong here; it has been noted."),
            None,
        ),
    ],
)
async def test_what_the_endpoint_refuses_reaches_the_client_and_nothing_more(
    serve: ServerClient,
    endpoint: SilentEndpoint,
    failure: Exception,
    status: int,
    error: dict[str, Any],
    retry_after: str | None,
) -> None:
    endpoint.failure = failure
    client = await serve()
    response = await client.post(CALLS, data=OFFER, headers=SDP)
    assert response.headers.get("Retry-After") == retry_after
    assert await error_of(response) == (status, error)


async def test_an_unforeseen_failure_is_logged_once(
    serve: ServerClient, endpoint: SilentEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.failure = RuntimeError("boom")
    client = await serve()
    await client.post(CALLS, data=OFFER, headers=SDP)
    (record,) = [record for record in caplog.records if record.name.startswith("voicertc")]
    assert (record.levelname, record.getMessage()) == ("ERROR", "request_failed")
    assert record.exc_info is not None


async def test_addresses_that_do_not_exist_and_wrong_methods_are_json_errors(serve: ServerClient) -> None:
    client = await serve()
    assert await error_of(await client.get("/v1/models")) == (
        404,
        is_error("invalid_request_error", "not_found", "There is nothing at this address."),
    )
    response = await client.put(CALLS)
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert await error_of(response) == (
        405,
        is_error(
            "invalid_request_error", "method_not_allowed", "This address does not answer to this method."
        ),
    )


async def test_a_body_that_does_not_arrive_gets_408_and_the_connection_is_closed(
    serve: ServerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.05)
    client = await serve()
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST /v1/realtime/calls HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n"
        b"Content-Length: 100\r\n\r\nv=0\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in head
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_client_that_leaves_in_the_middle_of_its_offer_is_no_failure(
    serve: ServerClient, endpoint: SilentEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve()
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST /v1/realtime/calls HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n"
        b"Content-Length: 100\r\n\r\nv=0\r\n"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.get("/healthz")).status == 200
    await client.close()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert not any(isinstance(asked, Asked) for asked in endpoint.asked)


async def test_an_offer_that_an_outer_middleware_has_read_is_still_answered(
    aiohttp_client: AiohttpClient, endpoint: SilentEndpoint
) -> None:
    @web.middleware
    async def read_it(request: web.Request, handler: Any) -> web.StreamResponse:
        await request.read()
        response: web.StreamResponse = await handler(request)
        return response

    around = web.Application(middlewares=[read_it])
    around.add_subapp("/voice", assemble(endpoint, ServerSection()))
    client: TestClient[Any, Any] = await aiohttp_client(around)
    assert (await client.post(f"/voice{CALLS}", data=OFFER, headers=SDP)).status == 201
    too_large = await client.post(f"/voice{CALLS}", data=in_chunks(70_000), headers=SDP)
    assert too_large.status == 413


@pytest.mark.parametrize(
    ("keys", "path", "headers", "location"),
    [
        ({"mounted_at": "/agent"}, "/agent", {}, "/agent"),
        ({"base_path": "/voice"}, "", {}, "/voice"),
        ({"base_path": "/voice"}, "/voice", {}, "/voice"),
        ({"base_path": "/voice", "mounted_at": "/agent"}, "/agent", {}, "/voice/agent"),
        ({"trusted_proxies": ["127.0.0.0/8"]}, "", {"X-Forwarded-Prefix": "/p"}, "/p"),
        ({"trusted_proxies": ["127.0.0.1"], "base_path": "/b"}, "", {"X-Forwarded-Prefix": "/p"}, "/p"),
        ({"trusted_proxies": ["10.0.0.0/8"]}, "", {"X-Forwarded-Prefix": "/p"}, ""),
        ({"trusted_proxies": ["127.0.0.1"]}, "", {"X-Forwarded-Prefix": "//evil.example"}, ""),
    ],
)
async def test_the_location_is_the_one_that_the_client_can_reach(
    serve: ServerClient, keys: dict[str, Any], path: str, headers: dict[str, str], location: str
) -> None:
    client = await serve(**keys)
    response = await client.post(f"{path}{CALLS}", data=OFFER, headers=SDP | headers)
    assert response.headers["Location"] == f"{location}/v1/realtime/calls/rtc_1"
    assert (await client.delete(f"{path}{CALLS}/rtc_1")).status == 200


async def test_a_client_behind_a_trusted_proxy_is_not_taken_for_a_local_one(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve(trusted_proxies=["127.0.0.1"])
    await client.post(CALLS, data=OFFER, headers=SDP | {"X-Forwarded-For": "203.0.113.9"})
    assert endpoint.asked[-1] == Asked(OFFER, is_loopback=False)
