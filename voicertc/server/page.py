"""The page and its files, and what browsers are told to allow them.

The page's own URLs are relative, so it works under any prefix; only the address without its last slash has
to be put right.
"""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

_BESIDE_PACKAGE = Path(__file__).resolve().parents[2] / "static"
_IN_PACKAGE = Path(__file__).resolve().parents[1] / "static"

SECURITY_HEADERS = {
    # Only files from here run, and nothing can be sent elsewhere; WebRTC is not governed by it.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def static_directory(chosen: Path | None = None) -> Path:
    """Return where the page is: ``chosen`` by the operator, else the checkout's, else the installed one."""
    if chosen is not None:
        return chosen
    # Next to an installed package lies whatever else is installed: a page must say so by being there.
    is_checkout = (_BESIDE_PACKAGE.parent / "pyproject.toml").is_file()
    return _BESIDE_PACKAGE if is_checkout and _BESIDE_PACKAGE.is_dir() else _IN_PACKAGE


class Page:
    """The routes of the page; ``directory`` holds ``index.html`` and all that it asks for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def routes(self, prefix: str = "") -> list[web.AbstractRouteDef]:
        """Return the routes under ``prefix``."""
        return [
            # In this order: in an application that is not mounted, the router takes "" for "/".
            web.get(f"{prefix}/", self._index),
            web.get(prefix, self._add_slash),
            web.static(f"{prefix}/static", self._directory),
        ]

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self._directory / "index.html")

    async def _add_slash(self, request: web.Request) -> web.StreamResponse:
        # Relative, because a proxy may have taken part of the path away; "./" in case the name has a colon.
        raise web.HTTPPermanentRedirect(f"./{request.rel_url.raw_name}/{_query(request)}")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on every response; files are asked for again by their ``ETag``."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if isinstance(response, web.FileResponse):
        # One release's page must not run another's script; an unchanged file costs a 304.
        response.headers.setdefault("Cache-Control", "no-cache")


def _query(request: web.Request) -> str:
    query = request.rel_url.raw_query_string
    return f"?{query}" if query else ""
