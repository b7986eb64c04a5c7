"""A server behind a lossy link, for clients that cannot be told: a browser and the page it loads.

    browser ── HTTP ──▶ proxy ──▶ server        every request, as it is; SDP on its way is rewritten
            ── UDP ───▶ link ───▶ server

Candidates are taken out of offers and of what is trickled behind them, and those of answers become the
link's. It knows SDP as a body, in a form, and in JSON: how OpenAI's, WHIP's and Pipecat's clients carry it.
HTTP only: no WebSockets, and bodies are passed on when they are whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict

from .lossy_link import LossyLink, without_candidates

_CANDIDATES = re.compile(rb"^a=(?:candidate:|end-of-candidates)[^\r\n]*\r?\n?", re.MULTILINE)
_JSON = "application/json"
_SDP_TYPES = ("application/sdp", "application/trickle-ice-sdpfrag", "multipart/form-data")
_OF_ONE_HOP = (hdrs.CONNECTION, hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.KEEP_ALIVE, hdrs.UPGRADE)
"""Headers that are about the connection and not about what it carries (RFC 9110 §7.6.1)."""
_MAX_BODY_BYTES = 1 << 20


@asynccontextmanager
async def lossy_proxy(link: LossyLink, server: str) -> AsyncGenerator[str]:
    """Serve what ``server`` (a base URL) serves on a free port of 127.0.0.1; yields the base URL of that."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:

        async def forward(request: web.Request) -> web.Response:
            return await _forward(request, http, link, server.rstrip("/"))

        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def _forward(
    request: web.Request, http: aiohttp.ClientSession, link: LossyLink, server: str
) -> web.Response:
    if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
        return web.Response(status=501, text="The lossy proxy carries no WebSockets.")
    body = rewrite_request(request.content_type, await request.read())
    async with http.request(
        request.method,
        server + request.raw_path,
        headers=_end_to_end(request.headers),
        data=body,
        allow_redirects=False,
    ) as response:
        answer = rewrite_response(response.content_type, await response.read(), link)
        return web.Response(status=response.status, headers=_end_to_end(response.headers), body=answer)


def rewrite_request(content_type: str, body: bytes) -> bytes:
    """Return a request's body without the client's candidates."""
    if content_type in _SDP_TYPES:
        return _CANDIDATES.sub(b"", body)
    fields = _fields(content_type, body)
    if fields is None:
        return body
    if isinstance(fields.get("candidates"), list):
        fields["candidates"] = []
    if isinstance(fields.get("sdp"), str):
        fields["sdp"] = without_candidates(fields["sdp"])
    return json.dumps(fields).encode()


def rewrite_response(content_type: str, body: bytes, link: LossyLink) -> bytes:
    """Return a response's body with the link's candidates; raises ``OSError`` as the link does."""
    if content_type == "application/sdp":
        return link.rewrite_answer(body.decode()).encode() if body else body
    fields = _fields(content_type, body)
    if fields is None or not isinstance(fields.get("sdp"), str):
        return body
    return json.dumps({**fields, "sdp": link.rewrite_answer(fields["sdp"])}).encode()


def _fields(content_type: str, body: bytes) -> dict[str, Any] | None:
    """Return a body's JSON object, if it is one."""
    if content_type != _JSON:
        return None
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _end_to_end(headers: Any) -> CIMultiDict[str]:
    """Return the headers that are meant for the other end; ``Host`` too, which pages are judged by."""
    return CIMultiDict((name, value) for name, value in headers.items() if name not in _OF_ONE_HOP)
