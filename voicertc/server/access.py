"""Who comes in: each request to a guarded route is from a page that may, with a key where one is demanded.

    routes ── guard ──► the same, each behind the check; and OPTIONS for each of their addresses

A preflight (OPTIONS) carries no key, so it needs none (Fetch Standard §4.8). The page and the health routes
are not guarded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from ..errors import ClientError
from ..logs import event
from .keys import Keyring, Principal
from .origins import Origins
from .proxy import Proxies

_log = logging.getLogger(__name__)

_PRINCIPAL = web.RequestKey("voicertc_principal", Principal)
_SUBPROTOCOL = "openai-insecure-api-key."
"""Browsers cannot give a WebSocket headers; OpenAI's clients put the key into its subprotocols."""


class Access:
    """The check before the guarded routes."""

    def __init__(self, keyring: Keyring, origins: Origins, proxies: Proxies) -> None:
        self._keyring = keyring
        self._origins = origins
        self._proxies = proxies

    def guard(self, routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
        """Return ``routes`` behind the check; a route for OPTIONS needs no key, and is told the methods."""
        by_path: dict[str, list[web.RouteDef]] = {}
        for route in routes:
            by_path.setdefault(route.path, []).append(route)
        return [guarded for path, group in by_path.items() for guarded in self._guard(path, group)]

    def _guard(self, path: str, group: list[web.RouteDef]) -> list[web.RouteDef]:
        own = {route.method: route.handler for route in group}
        heads = {hdrs.METH_HEAD} if hdrs.METH_GET in own else set()
        methods = sorted({*own, *heads, hdrs.METH_OPTIONS})
        checked = [
            web.route(route.method, path, self._checked(route.handler), **route.kwargs)
            for route in group
            if route.method != hdrs.METH_OPTIONS
        ]
        told = self._told(own.get(hdrs.METH_OPTIONS, _nothing), methods)
        return [*checked, web.options(path, told)]

    def _checked(self, handler: Handler) -> Handler:
        async def check(request: web.Request) -> web.StreamResponse:
            self._origins.check(request)
            try:
                self._recognize(request)
            except ClientError as error:
                client = self._proxies.visitor(request).address
                event(_log, logging.INFO, "key_refused", code=error.code, client=client)
                raise
            return await handler(request)

        return check

    def _recognize(self, request: web.Request) -> None:
        """Note who sent the request. Raises ``ClientError`` 401."""
        is_loopback = self._proxies.visitor(request).is_loopback
        request[_PRINCIPAL] = self._keyring.admit(_bearer(request), is_loopback=is_loopback)

    def _told(self, handler: Handler, methods: list[str]) -> Handler:
        async def tell(request: web.Request) -> web.StreamResponse:
            self._origins.check(request)
            with suppress(ClientError):  # who may not call is told less, see ``known_principal``
                self._recognize(request)
            response = await handler(request)
            response.headers[hdrs.ALLOW] = ", ".join(methods)
            response.headers.update(self._origins.preflight(request, methods))
            return response

        return tell


def principal_of(request: web.Request) -> Principal:
    """Return who sent a request that came through a guarded route."""
    return request[_PRINCIPAL]


def known_principal(request: web.Request) -> Principal | None:
    """Return who sent an OPTIONS request, ``None`` if that is nobody who may call: it needs no key."""
    return request.get(_PRINCIPAL)


def _bearer(request: web.Request) -> str | None:
    """Return the key that came along (RFC 6750 §2.1); other schemes are some proxy's business."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        return None
    for name in ",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())).split(","):
        if name.strip().startswith(_SUBPROTOCOL):
            return name.strip().removeprefix(_SUBPROTOCOL) or None
    return None


async def _nothing(request: web.Request) -> web.StreamResponse:
    return web.Response(status=204)
