"""The STUN and TURN servers that clients are told, in the words of each kind of client.

    GET /v1/realtime/ice_servers            → 200 {"iceServers": […]}: an RTCConfiguration, as it is
    POST, OPTIONS /v1/realtime/calls        Link: <turn:…>; rel="ice-server"; …  (WHIP, RFC 9725 §4.6)
    POST /start                             {…, "iceConfig": {"iceServers": […]}}  (Pipecat)

All of it is told only to who may call: with a TURN server's password anybody could relay through it.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import hdrs, web

from ..rtc.options import IceServer
from ..rtc.turn_credentials import ClientIceServers, is_turn
from .access import principal_of
from .keys import Principal

_NOBODY = "guest"
"""Name for TURN of clients without a key."""


class IceServers:
    """What each client is told. ``clock`` gives unix seconds."""

    def __init__(self, told: ClientIceServers, clock: Callable[[], float]) -> None:
        self._told = told
        self._clock = clock

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes under ``prefix``."""
        return [web.get(f"{prefix}/v1/realtime/ice_servers", self._tell)]

    def configuration(self, principal: Principal) -> dict[str, object]:
        """Return an RTCConfiguration (W3C WebRTC §4.2.1) with the servers for a client."""
        return {"iceServers": [_as_json(server) for server in self._for(principal)]}

    def links(self, principal: Principal) -> list[str]:
        """Return values of ``Link`` headers, one for each URL."""
        return [_as_link(url, server) for server in self._for(principal) for url in server.urls]

    def _for(self, principal: Principal) -> tuple[IceServer, ...]:
        return self._told.for_client(principal.owner or _NOBODY, self._clock())

    async def _tell(self, request: web.Request) -> web.Response:
        body = self.configuration(principal_of(request))
        return web.json_response(body, headers={hdrs.CACHE_CONTROL: "no-store"})


def _as_json(server: IceServer) -> dict[str, object]:
    told: dict[str, object] = {"urls": list(server.urls)}
    if server.credential is not None:
        told |= {"username": server.username, "credential": server.credential}
    return told


def _as_link(url: str, server: IceServer) -> str:
    # In this order and with these quotes: some clients take it apart with one regular expression.
    link = f'<{url}>; rel="ice-server"'
    if server.credential is None or not is_turn(url):
        return link
    username, credential = _quoted(server.username or ""), _quoted(server.credential)
    return f'{link}; username={username}; credential={credential}; credential-type="password"'


def _quoted(text: str) -> str:
    """Return a quoted-string (RFC 9110 §5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
