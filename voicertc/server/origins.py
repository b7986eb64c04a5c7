"""Which pages may use this server: browsers say where a page is from, and obey what they are answered (CORS).

Two things are told apart. A request with an ``Origin`` that is not allowed is refused, for browsers send some
without asking first (a form, a WebSocket). A response tells the browser whether the page may read it (Fetch
Standard §3.2). A client that is no browser has no origin, and is judged by its key alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from ..errors import ClientError
from .proxy import Proxies

ANY = "*"

EXPOSED = ", ".join(("Location", "ETag", "Link", hdrs.ACCESS_CONTROL_ALLOW_METHODS, hdrs.RETRY_AFTER))
"""What a page may read of a response: agents-realtime finds its call in ``Location``, WHIP needs all."""

ALLOWED_HEADERS = (
    "Authorization",  # which a wildcard would not cover
    "Content-Type",
    "X-OpenAI-Agents-SDK",
    "OpenAI-Beta",
    "If-Match",
    "ETag",  # Eyevinn's WHIP client sends it for If-Match
)
MAX_MORE_HEADERS = 32
"""Further headers that a preflight is granted because it asked: SDKs send a dozen about themselves."""

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_OF_PROXIES = re.compile(r"(?:x-)?forwarded\b|x-real-ip", re.IGNORECASE)
"""Headers by which a proxy is believed: no page has any business to send them."""

_MAX_AGE = 7200
"""Seconds for which a preflight's answer holds; Chromium takes no more."""

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_PORTS = {"http": ":80", "https": ":443"}


class Origins:
    """The origins that are allowed besides the server's own.

    ``chosen`` are the operator's; ``*`` among them allows all. ``None``: all, if ``demands_key``, else those
    on the browser's own machine, for a page from anywhere must not use a server that trusts all who reach it.

    ``is_local``: the server is reached from this machine only, so that nobody has another name for it. A page
    that says so has had its name turned to this machine (DNS rebinding), and is none of the server's own.
    """

    def __init__(
        self, chosen: Sequence[str] | None, proxies: Proxies, *, demands_key: bool, is_local: bool = False
    ) -> None:
        self._proxies = proxies
        self._knows_its_names = is_local and not demands_key
        self._allows_this_machine = chosen is None
        self._allows_all = demands_key if chosen is None else ANY in chosen
        self._chosen = frozenset(_normal(origin) for origin in chosen or ())

    def check(self, request: web.Request) -> None:
        """Raise ``ClientError`` 403 for a request of a page that is not allowed."""
        if not self._allows(request):
            raise ClientError(
                "Pages of this origin may not use this server; server.cors_origins can allow them.",
                code="origin_not_allowed",
                status=403,
            )

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the browser on every response, errors too, what the page may read."""
        response.headers[hdrs.VARY] = ", ".join((*response.headers.getall(hdrs.VARY, ()), hdrs.ORIGIN))
        if self._allows(request) and (origin := request.headers.get(hdrs.ORIGIN)):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED

    def preflight(self, request: web.Request, methods: Iterable[str]) -> dict[str, str]:
        """Return what a preflight wants to know beside ``add_headers``; ``methods`` are the address's."""
        asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        return {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(methods),
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ", ".join((*ALLOWED_HEADERS, *_further(asked))),
            hdrs.ACCESS_CONTROL_MAX_AGE: str(_MAX_AGE),
        }

    def _allows(self, request: web.Request) -> bool:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or self._allows_all:
            return True
        is_own = not self._knows_its_names and self._is_own(request, origin)
        return (
            is_own
            or _normal(origin) in self._chosen
            or (self._allows_this_machine and _is_on_this_machine(origin))
        )

    def _is_own(self, request: web.Request, origin: str) -> bool:
        # A page cannot write this header, and it is right behind proxies that hide the server's own name.
        if request.headers.get("Sec-Fetch-Site") == "same-origin":
            return True
        origin = _normal(origin)
        return _host(origin) == _without_port_of(origin, self._proxies.visitor(request).host.lower())


def _normal(origin: str) -> str:
    """Return an origin as browsers write it: lower case, without the scheme's own port (RFC 6454 §6.2)."""
    return _without_port_of(origin.lower(), origin.lower())


def _without_port_of(origin: str, text: str) -> str:
    port = _PORTS.get(origin.partition("://")[0])
    return text.removesuffix(port) if port else text


def _host(origin: str) -> str:
    # Not the scheme: a proxy that ends TLS may not say so, and who serves one serves the other.
    return origin.partition("://")[2]


def _is_on_this_machine(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:  # half an IPv6 address
        return False
    return parts.scheme in _PORTS and parts.hostname in _THIS_MACHINE


def _further(asked: str) -> list[str]:
    known = {name.lower() for name in ALLOWED_HEADERS}
    names = [name.strip() for name in asked.split(",")[:MAX_MORE_HEADERS]]
    return [
        name
        for name in names
        if _HEADER.fullmatch(name) and not _OF_PROXIES.match(name) and name.lower() not in known
    ]
