"""Which pages may use the server, and what their browsers are told."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, make_mocked_request

from voicertc.errors import ClientError
from voicertc.server.app import assemble
from voicertc.server.origins import Origins
from voicertc.server.proxy import Proxies
from voicertc.settings import ServerSection

from .conftest import AiohttpClient, ServerClient
from .endpoints import OFFER, SilentEndpoint
from .test_calls import CALLS, SDP, error_of, is_error

KEY = "a-key-of-the-operator"
ELSEWHERE = "https://app.example.com"
EXPOSED = "Location, ETag, Link, Access-Control-Allow-Methods, Retry-After"


def cors(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {
        name.removeprefix("Access-Control-"): value
        for name, value in response.headers.items()
        if name.startswith("Access-Control-") or name == "Vary"
    }


async def post(client: TestClient[Any, Any], origin: str | None, **headers: str) -> aiohttp.ClientResponse:
    given = {"Origin": origin} if origin is not None else {}
    return await client.post(CALLS, data=OFFER, headers=SDP | given | headers)


async def test_a_page_of_another_origin_may_read_answers_and_errors(serve: ServerClient) -> None:
    client = await serve(cors_origins=[ELSEWHERE])
    told = {"Allow-Origin": ELSEWHERE, "Expose-Headers": EXPOSED, "Vary": "Origin"}
    answer = await post(client, ELSEWHERE)
    wrong_type = await client.post(CALLS, data=b"", headers={"Origin": ELSEWHERE})
    unknown_call = await client.delete(f"{CALLS}/rtc_9", headers={"Origin": ELSEWHERE})
    nothing_there = await client.get("/v1/models", headers={"Origin": ELSEWHERE})
    wrong_method = await client.put(CALLS, headers={"Origin": ELSEWHERE})
    responses = (answer, wrong_type, unknown_call, nothing_there, wrong_method)
    assert [response.status for response in responses] == [201, 415, 404, 404, 405]
    assert [cors(response) for response in responses] == [told] * 5


async def test_a_page_may_read_that_its_key_is_missing_and_that_all_broke(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve(api_keys=[KEY])
    endpoint.failure = RuntimeError("boom")
    refused = await post(client, ELSEWHERE)
    broken = await post(client, ELSEWHERE, Authorization=f"Bearer {KEY}")
    assert [response.status for response in (refused, broken)] == [401, 500]
    for response in (refused, broken):
        assert cors(response)["Allow-Origin"] == ELSEWHERE


LOCAL = ["http://localhost:3000", "https://localhost", "http://127.0.0.1:5173", "http://[::1]:8000"]
FOREIGN = [
    ELSEWHERE,
    "http://localhost.example.com",
    "http://127.0.0.1.example.com:8080",
    "https://example.com:80",
    "null",
    "file://",
    "chrome-extension://localhost",
    "http://[::1",
    "nonsense",
]


@pytest.mark.parametrize(
    ("keys", "allowed", "refused"),
    [
        ({}, LOCAL, [*FOREIGN, ""]),
        ({"api_keys": [KEY]}, [*LOCAL, *FOREIGN], []),
        ({"cors_origins": "*"}, [*LOCAL, *FOREIGN], []),
        ({"cors_origins": []}, [], [*LOCAL, *FOREIGN, ""]),
        (
            {"cors_origins": [ELSEWHERE, "HTTP://Other.example.com:80"], "api_keys": [KEY]},
            [ELSEWHERE, "HTTPS://App.Example.com:443", "http://other.example.com"],
            ["https://other.example.com", "https://app.example.com.evil.example", *LOCAL, "null"],
        ),
    ],
    ids=["by default", "with keys", "any", "none", "chosen"],
)
async def test_only_pages_of_allowed_origins_may_use_it(
    serve: ServerClient,
    endpoint: SilentEndpoint,
    keys: dict[str, Any],
    allowed: list[str],
    refused: list[str],
) -> None:
    client = await serve(**keys)
    for origin in [*allowed, *refused]:
        response = await post(client, origin, Authorization=f"Bearer {KEY}")
        is_allowed = origin in allowed
        assert (response.status == 201) is is_allowed, origin
        assert ("Access-Control-Allow-Origin" in response.headers) is is_allowed, origin
        preflight = await client.options(CALLS, headers={"Origin": origin})
        assert preflight.status == (204 if is_allowed else 403), origin
    assert len(endpoint.owners) == len(allowed)


async def test_a_refused_page_is_told_why(serve: ServerClient) -> None:
    client = await serve()
    message = "Pages of this origin may not use this server; server.cors_origins can allow them."
    form = aiohttp.FormData({"sdp": OFFER})
    # A form is sent by browsers without a preflight.
    response = await client.post(CALLS, data=form(), headers={"Origin": ELSEWHERE})
    assert await error_of(response) == (
        403,
        is_error("invalid_request_error", "origin_not_allowed", message),
    )
    assert cors(response) == {"Vary": "Origin"}


async def test_a_websocket_from_a_foreign_page_is_refused(
    aiohttp_client: AiohttpClient, endpoint: SilentEndpoint
) -> None:
    client = await aiohttp_client(assemble(endpoint, ServerSection()))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.ws_connect(CALLS, origin=ELSEWHERE)
    assert caught.value.status == 403


@pytest.mark.parametrize("keys", [{}, {"cors_origins": []}, {"cors_origins": [ELSEWHERE]}])
async def test_the_servers_own_page_may_always_use_it(
    serve: ServerClient, endpoint: SilentEndpoint, keys: dict[str, Any]
) -> None:
    client = await serve(trusted_proxies=["127.0.0.1"], **keys)
    own = f"http://{client.host}:{client.port}"
    responses = [
        await post(client, own),
        await post(client, "https://voice.example.com", Host="voice.example.com"),
        await post(client, "https://Voice.example.com", Host="voice.example.com:443"),
        await post(client, "https://v.example.com", **{"X-Forwarded-Host": "v.example.com"}),
        # A proxy that is not trusted, or does not say its name: browsers know better.
        await post(client, "https://w.example.com", **{"Sec-Fetch-Site": "same-origin"}),
        await post(client, None),
    ]
    assert [response.status for response in responses] == [201] * 6
    others = [
        await post(client, "https://voice.example.com:444", Host="voice.example.com"),
        await post(client, "https://w.example.com", **{"Sec-Fetch-Site": "same-site"}),
    ]
    assert [response.status for response in others] == [403] * 2


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (CALLS, "GET, HEAD, OPTIONS, POST"),
        (f"{CALLS}/rtc_9", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        (f"{CALLS}/rtc_9/hangup", "OPTIONS, POST"),
        ("/v1/realtime/client_secrets", "OPTIONS, POST"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/voice"])
async def test_a_preflight_says_what_a_page_may_send(
    serve: ServerClient, path: str, methods: str, prefix: str
) -> None:
    client = await serve(cors_origins=[ELSEWHERE], base_path="/voice")
    asked = "authorization,content-type, X-Stainless-OS ,x-forwarded-for,Forwarded,X-Real-IP,b@d,," + "x" * 65
    headers = {"Origin": ELSEWHERE, "Access-Control-Request-Headers": asked}
    response = await client.options(prefix + path, headers=headers)
    assert response.status == 204
    assert response.headers["Allow"] == methods
    assert cors(response) == {
        "Allow-Origin": ELSEWHERE,
        "Allow-Methods": methods,
        "Allow-Headers": "Authorization, Content-Type, X-OpenAI-Agents-SDK, OpenAI-Beta, If-Match, ETag, "
        "X-Stainless-OS",
        "Expose-Headers": EXPOSED,
        "Max-Age": "7200",
        "Vary": "Origin",
    }


async def test_a_preflight_that_asks_for_thousands_of_headers_is_granted_a_few(serve: ServerClient) -> None:
    client = await serve(cors_origins="*")
    asked = ",".join(f"x-{number}" for number in range(1_000))
    headers = {"Origin": ELSEWHERE, "Access-Control-Request-Headers": asked}
    response = await client.options(CALLS, headers=headers)
    assert len(response.headers["Access-Control-Allow-Headers"].split(", ")) == 6 + 32


async def test_the_application_around_keeps_its_own_rules(
    aiohttp_client: AiohttpClient, endpoint: SilentEndpoint
) -> None:
    async def own(request: web.Request) -> web.Response:
        return web.Response(headers={"Vary": "Accept"})

    around = web.Application()
    around.router.add_get("/own", own)
    around.add_subapp("/agent", assemble(endpoint, ServerSection(cors_origins=("*",))))
    client = await aiohttp_client(around)
    response = await client.get("/own", headers={"Origin": ELSEWHERE})
    assert cors(response) == {"Vary": "Accept"}
    response = await client.post(f"/agent{CALLS}", data=OFFER, headers=SDP | {"Origin": ELSEWHERE})
    assert cors(response)["Allow-Origin"] == ELSEWHERE


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}])
@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("http://evil.example:8080", False),  # whose name was turned to 127.0.0.1 after its page was loaded
        ("http://localhost:8080", True),
        ("http://127.0.0.1:8080", True),
    ],
)
def test_a_local_server_without_keys_goes_by_no_other_name(
    origin: str, is_allowed: bool, headers: dict[str, str]
) -> None:
    host = origin.removeprefix("http://")
    request = make_mocked_request("POST", "/", headers={"Origin": origin, "Host": host, **headers})
    origins = Origins(None, Proxies(), demands_key=False, is_local=True)
    if is_allowed:
        origins.check(request)
    else:
        with pytest.raises(ClientError):
            origins.check(request)
    Origins(None, Proxies(), demands_key=True, is_local=True).check(request)
    Origins(["*"], Proxies(), demands_key=False, is_local=True).check(request)
