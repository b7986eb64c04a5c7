"""Offers as raw SDP and as forms, and what the session of each begins with."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from voicertc.core.items import Modality
from voicertc.core.options import SessionOptions
from voicertc.server import bodies

from .conftest import ServerClient
from .endpoints import ANSWER, OFFER, Asked, SilentEndpoint
from .test_access import bearer, minted
from .test_calls import CALLS, SDP, error_of

SESSION = {"type": "realtime", "instructions": "Sing.", "output_modalities": ["text"]}
SINGING = SessionOptions(instructions="Sing.", output=Modality.TEXT)


def part(name: str, content: str | bytes, *more: str) -> bytes:
    head = "\r\n".join((f'Content-Disposition: form-data; name="{name}"', *more))
    body = content.encode() if isinstance(content, str) else content
    return f"--limit\r\n{head}\r\n\r\n".encode() + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--limit--\r\n"


FORM = {"Content-Type": "multipart/form-data; boundary=limit"}
SDP_PART = part("sdp", OFFER, "Content-Type: application/sdp")
SESSION_PART = part("session", json.dumps(SESSION), "Content-Type: application/json")


@pytest.mark.parametrize(
    "body",
    [
        form(SDP_PART, SESSION_PART),
        form(SESSION_PART, SDP_PART),
        form(part("sdp", OFFER), part("session", json.dumps(SESSION))),
        form(part("other", b"\xff\x00"), SDP_PART, part("", "x"), SESSION_PART),
        form(SDP_PART, SESSION_PART, part("sdp", "a second one")),
        b"a preamble\r\n" + form(SDP_PART, SESSION_PART) + b"and what is behind",
        form(SDP_PART, SESSION_PART).replace(b'name="sdp"', b'name="sdp"; filename="offer.sdp"'),
        form(SDP_PART, SESSION_PART).replace(b'form-data; name="sdp"', b"form-data;name=sdp"),
        form(SDP_PART, SESSION_PART).replace(b"Content-Disposition", b"content-disposition"),
        form(SDP_PART, SESSION_PART).replace(
            b'form-data; name="sdp"', b'form-data; filename="b"; name="sdp"'
        ),
    ],
)
async def test_a_form_brings_an_offer_and_a_session(
    serve: ServerClient, endpoint: SilentEndpoint, body: bytes
) -> None:
    client = await serve()
    response = await client.post(CALLS, data=body, headers=FORM)
    assert (response.status, response.headers["Content-Type"]) == (201, "application/sdp")
    assert await response.text() == ANSWER
    assert endpoint.asked[-1] == Asked(OFFER, SINGING)


async def test_the_forms_of_aiohttp_and_of_quoted_boundaries_are_read(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve()
    posted = aiohttp.FormData(quote_fields=False)
    posted.add_field("sdp", OFFER, content_type="application/sdp")
    posted.add_field("session", json.dumps(SESSION), content_type="application/json", filename="blob")
    assert (await client.post(CALLS, data=posted)).status == 201
    quoted = {"Content-Type": 'Multipart/Form-Data; charset=utf-8; boundary="limit"'}
    assert (await client.post(CALLS, data=form(SDP_PART, SESSION_PART), headers=quoted)).status == 201
    assert endpoint.asked[1:] == [Asked(OFFER, SINGING)] * 2


async def test_a_form_without_a_session_is_an_offer_like_any_other(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve()
    assert (await client.post(CALLS, data=form(SDP_PART), headers=FORM)).status == 201
    assert endpoint.asked[-1] == Asked(OFFER)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code", "param"),
    [
        (form(SESSION_PART), None, 400, "missing_required_parameter", "sdp"),
        (form(part("sdp", "")), None, 400, "missing_required_parameter", "sdp"),
        (form(part("SDP", OFFER)), None, 400, "missing_required_parameter", "sdp"),
        (form(part("sdp", b"\xff\xfe")), None, 400, "invalid_sdp", None),
        (form(), None, 400, "missing_required_parameter", "sdp"),
        (b"", None, 400, "invalid_form", None),
        (b"no form at all", None, 400, "invalid_form", None),
        (SDP_PART + SESSION_PART, None, 400, "invalid_form", None),
        (form(SDP_PART)[:-8], None, 400, "invalid_form", None),
        (form(SDP_PART).replace(b"\r\n", b"\n"), None, 400, "invalid_form", None),
        (form(SDP_PART).replace(b"; name=", b"; nom="), None, 400, "invalid_form", None),
        (b"--limit\r\n\r\n" + OFFER.encode() + b"\r\n--limit--", None, 400, "invalid_form", None),
        (form(*[part(str(number), "x") for number in range(16)]), None, 400, "invalid_form", None),
        (form(*[b"--limit\r\n"] * 20_000), None, 400, "invalid_form", None),
        (form(SDP_PART), "multipart/form-data", 400, "invalid_form", None),
        (form(SDP_PART), "multipart/form-data; boundary=", 400, "invalid_form", None),
        (form(SDP_PART), "multipart/form-data; boundary=other", 400, "invalid_form", None),
        (form(SDP_PART), "multipart/form-data; boundary=\xff", 400, "invalid_form", None),
        (form(SDP_PART, part("session", "")), None, 400, "invalid_json", "session"),
        (form(SDP_PART, part("session", "{")), None, 400, "invalid_json", "session"),
        (form(SDP_PART, part("session", "[]")), None, 400, "invalid_json", "session"),
        (form(SDP_PART, part("session", "null")), None, 400, "invalid_json", "session"),
        (form(SDP_PART, part("session", '{"speed": NaN}')), None, 400, "invalid_json", "session"),
        (form(SDP_PART, part("session", b'{"\xff": 1}')), None, 400, "invalid_json", "session"),
        (form(SDP_PART, part("session", "[" * 100_000)), None, 400, "invalid_json", "session"),
        (form(SDP_PART, part("session", '{"type": 1}')), None, 400, "invalid_value", "session.type"),
        (form(SDP_PART, part("session", '{"model": 1}')), None, 400, "invalid_type", "session.model"),
        (
            form(SDP_PART, part("session", '{"audio": {"output": {"speed": 9}}}')),
            None,
            400,
            "invalid_value",
            "session.audio.output.speed",
        ),
        (form(part("sdp", "x" * 65_537)), None, 413, "offer_too_large", None),
        (form(SDP_PART, part("session", "x" * 131_073)), None, 413, "session_too_large", None),
        (form(SDP_PART, part("other", "x" * 300_000)), None, 413, "form_too_large", None),
    ],
)
async def test_a_form_that_cannot_be_read_says_what_is_wrong(
    serve: ServerClient,
    endpoint: SilentEndpoint,
    body: bytes,
    content_type: str | None,
    status: int,
    code: str,
    param: str | None,
) -> None:
    client = await serve()
    headers = {"Content-Type": content_type} if content_type else FORM
    answered, error = await error_of(await client.post(CALLS, data=body, headers=headers))
    assert (answered, error["code"], error["param"]) == (status, code, param)
    assert endpoint.asked == [("start",)]


async def test_a_form_that_does_not_arrive_gets_408(
    serve: ServerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.05)
    client = await serve()
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = "POST /v1/realtime/calls HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nContent-Type: "
    writer.write(f"{head}{FORM['Content-Type']}\r\n\r\n".encode() + SDP_PART)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


BOUND = {"instructions": "Hum.", "model": "bound", "audio": {"output": {"voice": "marin", "speed": 1.2}}}
DEFAULTS = SessionOptions(instructions="Talk.", voice="cedar", transcription_prompt="Oslo")


@pytest.mark.parametrize(
    ("query", "asked", "expected"),
    [
        ("", None, replace(DEFAULTS, instructions="Hum.", model="bound", voice="marin", speed=1.2)),
        ("?model=", {}, replace(DEFAULTS, instructions="Hum.", model="bound", voice="marin", speed=1.2)),
        (
            "?model=wanted",
            {"instructions": "Sing.", "audio": {"output": {"speed": 0.5}}},
            replace(DEFAULTS, instructions="Sing.", model="wanted", voice="marin", speed=0.5),
        ),
        (
            "?model=wanted",
            {"model": "own", "instructions": None},
            replace(DEFAULTS, instructions="", model="own", voice="marin", speed=1.2),
        ),
    ],
)
async def test_a_session_begins_with_defaults_then_its_keys_then_its_own_wishes(
    serve: ServerClient,
    endpoint: SilentEndpoint,
    query: str,
    asked: dict[str, Any] | None,
    expected: SessionOptions,
) -> None:
    endpoint.session_options = DEFAULTS
    client = await serve()
    value = await minted(client, None, session=BOUND)
    parts = [SDP_PART] if asked is None else [SDP_PART, part("session", json.dumps(asked))]
    response = await client.post(CALLS + query, data=form(*parts), headers=FORM | bearer(value))
    assert response.status == 201
    assert endpoint.asked[-1] == Asked(OFFER, expected, f"ek-{value.split('_')[1]}")


async def test_a_raw_offer_gets_its_keys_session_and_its_model_too(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve()
    value = await minted(client, None, session={"type": "transcription"})
    response = await client.post(f"{CALLS}?model=wanted", data=OFFER, headers=SDP | bearer(value))
    assert response.status == 201
    expected = SessionOptions(model="wanted", is_transcription=True)
    assert endpoint.asked[-1] == Asked(OFFER, expected, f"ek-{value.split('_')[1]}")


async def test_a_model_that_is_no_name_is_refused(serve: ServerClient) -> None:
    client = await serve()
    response = await client.post(f"{CALLS}?model={'x' * 513}", data=OFFER, headers=SDP)
    status, error = await error_of(response)
    assert (status, error["param"]) == (400, "model")
