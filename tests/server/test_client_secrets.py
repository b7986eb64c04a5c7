"""Short-lived keys over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.realtime import ClientSecretCreateResponse

from voicertc.core.options import SessionOptions

from .conftest import ServerClient
from .endpoints import SilentEndpoint
from .test_access import FROM_AFAR, KEY, MINT, bearer, minted
from .test_calls import error_of, in_chunks, is_error

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
async def test_a_key_is_made_as_openais_own_types_have_it(serve: ServerClient, kind: str) -> None:
    client = await serve(clock=lambda: 1_700_000_000.5)
    response = await client.post(MINT, json={"session": {"type": kind}})
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    made = ClientSecretCreateResponse.model_validate_json(await response.read(), strict=True)
    assert made.value.startswith("ek_")
    assert made.expires_at == 1_700_000_600
    assert made.session.type == kind
    assert made.session.id.startswith("sess_")


async def test_the_whole_effective_session_is_shown(serve: ServerClient, endpoint: SilentEndpoint) -> None:
    endpoint.session_options = SessionOptions(instructions="Talk.", voice="cedar")
    client = await serve()
    wanted = {"type": "realtime", "instructions": "Sing.", "audio": {"input": {"turn_detection": None}}}
    response = await client.post(MINT, json={"session": wanted})
    session = (await response.json())["session"]
    assert session["instructions"] == "Sing."
    assert session["audio"]["output"]["voice"] == "cedar"
    assert session["audio"]["input"]["turn_detection"] is None
    again = await client.post(MINT, json={})
    assert (await again.json())["session"]["instructions"] == "Talk."
    assert (await again.json())["session"]["id"] != session["id"]


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (None, 600),
        ({}, 600),
        ({"expires_after": None, "session": None}, 600),
        ({"expires_after": {}}, 600),
        ({"expires_after": {"anchor": "created_at"}}, 600),
        ({"expires_after": {"seconds": 10}}, 10),
        ({"expires_after": {"anchor": "created_at", "seconds": 7200}}, 7200),
        ({"unknown": 1, "expires_after": {"seconds": 60.0, "more": 1}}, 60),
    ],
)
async def test_it_lives_as_long_as_was_asked(
    serve: ServerClient, body: dict[str, Any] | None, seconds: int
) -> None:
    client = await serve(clock=lambda: 1_000.0)
    response = await (client.post(MINT) if body is None else client.post(MINT, json=body))
    assert (await response.json())["expires_at"] == 1_000 + seconds


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 10.5}}, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": "60"}}, "invalid_type", "expires_after.seconds"),
        ({"expires_after": {"seconds": True}}, "invalid_type", "expires_after.seconds"),
        ({"expires_after": {"anchor": "now"}}, "invalid_value", "expires_after.anchor"),
        ({"expires_after": 60}, "invalid_type", "expires_after"),
        ({"session": []}, "invalid_type", "session"),
        ({"session": {"type": "speech"}}, "invalid_value", "session.type"),
        ({"session": {"audio": {"output": {"speed": 9}}}}, "invalid_value", "session.audio.output.speed"),
        ({"session": {"tools": {}}}, "invalid_type", "session.tools"),
        ([], "invalid_json", None),
        ("text", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"session": {"instructions": "\xff"}}', "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
    ],
)
async def test_what_cannot_be_granted_is_named(
    serve: ServerClient, body: Any, code: str, param: str | None
) -> None:
    client = await serve()
    sent = body if isinstance(body, bytes) else json.dumps(body)
    status, error = await error_of(await client.post(MINT, data=sent, headers=JSON))
    assert (status, error["code"], error["param"]) == (400, code, param)


@pytest.mark.parametrize("depth", [400, 800, 900, 940, 960, 980])
@pytest.mark.parametrize("place", ['"tools": [{"type": "function", "name": "f", "parameters": X}]', '"x": X'])
async def test_a_session_that_is_nested_deeply_breaks_nothing(
    serve: ServerClient, depth: int, place: str
) -> None:
    client = await serve()
    deep = '{"a":' * depth + "1" + "}" * depth
    body = '{"session": {' + place.replace("X", deep) + "}}"
    response = await client.post(MINT, data=body, headers=JSON)
    assert response.status in (200, 400)


async def test_another_media_type_gets_415_and_a_long_body_413(serve: ServerClient) -> None:
    client = await serve()
    status, error = await error_of(
        await client.post(MINT, data=b"{}", headers={"Content-Type": "text/plain"})
    )
    assert (status, error["code"]) == (415, "unsupported_media_type")
    status, error = await error_of(await client.post(MINT, data=in_chunks(200_000), headers=JSON))
    assert (status, error["code"]) == (413, "request_too_large")


async def test_a_short_lived_key_makes_no_others(serve: ServerClient) -> None:
    client = await serve(api_keys=[KEY])
    value = await minted(client)
    message = "A short-lived key cannot make others; ask with an API key."
    assert await error_of(await client.post(MINT, json={}, headers=bearer(value))) == (
        403,
        is_error("invalid_request_error", "insufficient_permissions", message),
    )


async def test_too_many_keys_get_503_and_a_time_to_come_back(
    serve: ServerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicertc.server.keys.MAX_BOUND_BYTES", 1_500)
    client = await serve(trusted_proxies=["127.0.0.1"])
    responses = [await client.post(MINT, json={}, headers=FROM_AFAR) for _ in range(3)]
    assert [response.status for response in responses] == [200, 200, 503]
    assert responses[-1].headers["Retry-After"] == "60"
    assert (await error_of(responses[-1]))[1]["code"] == "too_many_keys"
