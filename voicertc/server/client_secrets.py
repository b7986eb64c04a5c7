"""Short-lived keys for browsers, each bound to a session configuration (OpenAI Realtime: client secrets).

POST /v1/realtime/client_secrets   {expires_after?: {anchor, seconds}, session?: {type, …}}
                                   → 200 {value: "ek_…", expires_at, session}
"""

from __future__ import annotations

import secrets

from aiohttp import hdrs, web

from ..errors import ClientError
from ..wire.fields import Fields, choice, integer
from ..wire.session_json import read_session, render_session
from .access import principal_of
from .bodies import read_body, read_json
from .keys import Keyring
from .offers import MAX_SESSION_BYTES
from .port import CallEndpoint

DEFAULT_SECONDS = 600
"""How long a key lives whose maker does not say, as OpenAI has it."""

_seconds = integer(10, 7200)


class ClientSecrets:
    """The route that makes keys. Only who needs no such key may have one made."""

    def __init__(self, endpoint: CallEndpoint, keyring: Keyring) -> None:
        self._endpoint = endpoint
        self._keyring = keyring

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes under ``prefix``."""
        return [web.post(f"{prefix}/v1/realtime/client_secrets", self._mint)]

    async def _mint(self, request: web.Request) -> web.Response:
        if principal_of(request).is_short_lived:
            raise ClientError(
                "A short-lived key cannot make others; ask with an API key.",
                code="insufficient_permissions",
                status=403,
            )
        wanted = await _read_request(request)
        lifetime = wanted.section("expires_after")
        lifetime.read("anchor", choice(("created_at",)), absent=None, null=None)
        seconds = lifetime.read("seconds", _seconds, absent=DEFAULT_SECONDS, null=DEFAULT_SECONDS)
        session = wanted.section("session")
        options = read_session(session, self._endpoint.session_options)
        value, expires_at = self._keyring.mint(dict(session.pairs()), seconds)
        shown = render_session(options, f"sess_{secrets.token_hex(6)}")
        body = {"value": value, "expires_at": expires_at, "session": shown}
        return web.json_response(body, headers={hdrs.CACHE_CONTROL: "no-store"})


async def _read_request(request: web.Request) -> Fields:
    """Return the request's JSON object; no body is an empty one."""
    body = await read_body(request, "request", max_bytes=MAX_SESSION_BYTES)
    if not body:
        return Fields({})
    if request.content_type != "application/json":
        message = "Send JSON, with Content-Type: application/json."
        raise ClientError(message, code="unsupported_media_type", status=415)
    return read_json(body)
