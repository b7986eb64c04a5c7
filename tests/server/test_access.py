"""Who comes in, over HTTP: keys on every guarded route, and nowhere else."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from aiohttp import hdrs, web
from aiohttp.test_utils import TestClient, make_mocked_request

from voicertc.errors import ClientError
from voicertc.providers.secret import Secret
from voicertc.server.access import Access, principal_of
from voicertc.server.keys import Keyring, Principal
from voicertc.server.origins import Origins
from voicertc.server.proxy import Proxies

from .conftest import ServerClient
from .endpoints import OFFER, Asked, SilentEndpoint
from .test_calls import CALLS, SDP, error_of, is_error

KEY = "a-key-of-the-operator"
MINT = "/v1/realtime/client_secrets"
FROM_AFAR = {"X-Forwarded-For": "203.0.113.9"}
"""What a trusted proxy says of a visitor."""

GUARDED = [
    ("POST", CALLS),
    ("GET", CALLS),
    ("POST", MINT),
    ("DELETE", f"{CALLS}/rtc_1"),
    ("PATCH", f"{CALLS}/rtc_1"),
    ("GET", f"{CALLS}/rtc_1"),
    ("POST", f"{CALLS}/rtc_1/hangup"),
    ("POST", f"{CALLS}/rtc_1/accept"),
    ("POST", f"{CALLS}/rtc_1/reject"),
    ("POST", f"{CALLS}/rtc_1/refer"),
    ("GET", "/v1/realtime/ice_servers"),
]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def minted(client: TestClient[Any, Any], key: str | None = KEY, **body: Any) -> str:
    response = await client.post(MINT, json=body, headers=bearer(key) if key else {})
    assert response.status == 200
    value: str = (await response.json())["value"]
    return value


@pytest.mark.parametrize("prefix", ["", "/voice"])
@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_every_route_wants_a_key_where_there_are_some(
    serve: ServerClient, endpoint: SilentEndpoint, prefix: str, method: str, path: str
) -> None:
    client = await serve(api_keys=[KEY], base_path="/voice")
    answers = []
    for headers in (
        {},
        bearer("not-a-key-of-the-operator"),
        bearer("ek_1_2_3"),
        {"Authorization": "Basic x"},
    ):
        response = await client.request(method, prefix + path, headers=headers)
        assert response.headers["WWW-Authenticate"] == "Bearer"
        answers.append((response.status, (await response.json())["error"]["code"]))
    assert answers == [
        (401, "missing_api_key"),
        (401, "invalid_api_key"),
        (401, "invalid_api_key"),
        (401, "missing_api_key"),
    ]
    assert endpoint.asked == [("start",)]


async def test_the_list_above_has_every_route_under_v1_and_api(serve: ServerClient) -> None:
    client = await serve(api_keys=[KEY])
    router = client.app.router  # type: ignore[union-attr]  # the test client has one
    guarded = {
        (route.method, route.resource.canonical.replace("{call_id}", "rtc_1"))
        for route in router.routes()
        if route.resource is not None and route.method not in ("OPTIONS", "HEAD")
    }
    ours = {(method, path) for method, path in guarded if path.startswith(("/v1/", "/api/"))}
    # Those of the WebSocket and of Pipecat's clients have tests of their own.
    assert ours - {("GET", "/v1/realtime")} - {route for route in ours if "/api/" in route[1]} == set(GUARDED)


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/healthz", "/readyz"])
async def test_the_page_and_health_want_none(serve: ServerClient, path: str) -> None:
    client = await serve(api_keys=[KEY])
    assert (await client.get(path)).status == 200
    assert (await client.get(path, headers=bearer("nonsense"))).status == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_a_preflight_is_never_asked_for_a_key(serve: ServerClient, method: str, path: str) -> None:
    client = await serve(api_keys=[KEY])
    asks = {"Origin": "https://app.example.com", "Access-Control-Request-Method": method}
    response = await client.options(path, headers=asks)
    assert (response.status, await response.read()) == (204, b"")
    assert method in response.headers["Access-Control-Allow-Methods"].split(", ")


@pytest.mark.parametrize(
    "authorization", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER  {KEY}"], ids=["plain", "lower", "upper"]
)
async def test_a_key_lets_in_and_owns_the_call(
    serve: ServerClient, endpoint: SilentEndpoint, authorization: str
) -> None:
    client = await serve(api_keys=["another-of-their-keys", KEY])
    response = await client.post(CALLS, data=OFFER, headers=SDP | {"Authorization": authorization})
    assert response.status == 201
    (_, asked) = endpoint.asked
    assert isinstance(asked, Asked)
    assert asked.owner.startswith("key-")
    assert KEY not in asked.owner


async def test_without_api_keys_a_foreign_key_comes_in_from_this_machine_only(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve(trusted_proxies=["127.0.0.1"])
    for headers in ({}, bearer("sk-of-another-service"), FROM_AFAR, FROM_AFAR | {"Authorization": "Basic x"}):
        assert (await client.post(CALLS, data=OFFER, headers=SDP | headers)).status == 201
    response = await client.post(CALLS, data=OFFER, headers=SDP | FROM_AFAR | bearer("sk-of-another-service"))
    message = (
        "This server has no API keys, and takes any other from its own machine only, for yours may belong to "
        "another service. Send none, or have server.api_keys set."
    )
    assert await error_of(response) == (401, is_error("invalid_request_error", "invalid_api_key", message))
    assert [asked.owner for asked in endpoint.asked if isinstance(asked, Asked)] == [""] * 4


@pytest.mark.parametrize("api_keys", [[], [KEY]], ids=["without", "with"])
async def test_expired_and_forged_short_lived_keys_are_refused(
    serve: ServerClient, endpoint: SilentEndpoint, api_keys: list[str]
) -> None:
    now = 1_000.0
    client = await serve(api_keys=api_keys, clock=lambda: now)
    value = await minted(client, expires_after={"anchor": "created_at", "seconds": 10})
    assert (await client.post(CALLS, data=OFFER, headers=SDP | bearer(value))).status == 201
    forged = await client.post(CALLS, data=OFFER, headers=SDP | bearer(value[:-1] + "z"))
    now = 1_010.0
    expired = await client.post(CALLS, data=OFFER, headers=SDP | bearer(value))
    codes = [(response.status, (await response.json())["error"]["code"]) for response in (forged, expired)]
    assert codes == [(401, "invalid_api_key"), (401, "expired_api_key")]
    assert len(endpoint.owners) == 1


@pytest.mark.parametrize("api_keys", [[], [KEY]], ids=["without", "with"])
@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", ""), ("POST", "/hangup"), ("GET", ""), ("PATCH", "")]
)
async def test_a_foreign_call_looks_like_one_that_does_not_exist(
    serve: ServerClient, endpoint: SilentEndpoint, api_keys: list[str], method: str, path: str
) -> None:
    client = await serve(api_keys=api_keys)
    mine, theirs = await minted(client), await minted(client)
    await client.post(CALLS, data=OFFER, headers=SDP | bearer(theirs))
    endpoint.owners["rtc_2"] = ""  # the embedding application's own

    async def answer(call_id: str) -> tuple[int, str, dict[str, str]]:
        response = await client.request(method, f"{CALLS}/{call_id}{path}", headers=bearer(mine))
        headers = {name: value for name, value in response.headers.items() if name != "Date"}
        return response.status, await response.text(), headers

    unknown = await answer("rtc_99")
    assert unknown[0] == (404)
    assert await answer("rtc_1") == await answer("rtc_2") == unknown
    assert endpoint.ended == set()


@pytest.mark.parametrize("api_keys", [[], [KEY]], ids=["without", "with"])
async def test_an_api_key_and_the_maker_reach_a_short_lived_keys_call(
    serve: ServerClient, endpoint: SilentEndpoint, api_keys: list[str]
) -> None:
    client = await serve(api_keys=api_keys)
    value = await minted(client)
    await client.post(CALLS, data=OFFER, headers=SDP | bearer(value))
    for key in (value, KEY):
        response = await client.delete(f"{CALLS}/rtc_1", headers=bearer(key))
        assert response.status == 200


def admitted(**headers: str) -> Principal | str:
    """Whom a WebSocket's upgrade is taken for, or why not."""
    proxies = Proxies()
    keyring = Keyring([Secret(KEY)], lambda: 0.0)
    access = Access(keyring, Origins(None, proxies, demands_key=True), proxies)
    seen: list[Principal] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(principal_of(request))
        return web.Response()

    route, _ = access.guard([web.get("/v1/realtime", handler)])
    request = make_mocked_request("GET", "/v1/realtime", {"Upgrade": "websocket", **headers})
    try:
        route.handler(request).send(None)  # type: ignore[union-attr]  # no view class is among them
    except StopIteration:
        return seen[0]
    except ClientError as error:
        return error.code
    raise AssertionError("it waits for something")


PROTOCOL = hdrs.SEC_WEBSOCKET_PROTOCOL


def test_a_browsers_websocket_brings_its_key_as_a_subprotocol() -> None:
    offered = f"realtime, openai-insecure-api-key.{KEY}, openai-agents-sdk.0.20.0"
    entered = admitted(Authorization=f"Bearer {KEY}")
    assert isinstance(entered, Principal)
    assert admitted(**{PROTOCOL: offered}) == entered
    assert admitted(**{PROTOCOL: f"realtime,openai-insecure-api-key.{KEY}"}) == entered
    assert admitted(**{PROTOCOL: "realtime, openai-insecure-api-key.wrong"}) == "invalid_api_key"
    assert admitted(**{PROTOCOL: "realtime, openai-insecure-api-key."}) == "missing_api_key"
    assert admitted(**{PROTOCOL: "realtime"}) == "missing_api_key"
    assert admitted() == "missing_api_key"
    # Only where a header could not be: else a form could carry a key past the header's rules.
    assert admitted(**{PROTOCOL: offered, "Upgrade": "h2c"}) == "missing_api_key"
    assert admitted(**{PROTOCOL: offered, "Authorization": "Bearer wrong"}) == "invalid_api_key"


async def test_keys_are_in_no_log_and_in_no_answer(
    serve: ServerClient, endpoint: SilentEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    for api_keys in ([KEY], []):
        client = await serve(api_keys=api_keys, trusted_proxies=["127.0.0.1"])
        value = await minted(client)
        sent = [KEY, value, value[:-1] + "z", "sk-of-another-service", "ek_forged_by_somebody"]
        for key in sent:
            for where in ({}, FROM_AFAR):
                headers = bearer(key) | where
                for method, path in GUARDED:
                    response = await client.request(method, path, headers=headers)
                    if (method, path) != ("POST", MINT) or response.status != 200:
                        told.append(f"{response.headers} {await response.text()}")
                response = await client.post(CALLS, data=OFFER, headers=SDP | headers)
                told.append(f"{response.headers} {await response.text()}")
        endpoint.failure = RuntimeError("an answer that fails")
        await client.post(CALLS, data=OFFER, headers=SDP | bearer(KEY))
        endpoint.failure = None
        told += [f"{record.__dict__}" for record in caplog.records] + [caplog.text, repr(endpoint.asked)]
        assert [key for key in sent for text in told if key in text] == []
