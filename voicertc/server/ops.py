"""What operations ask: is it alive, may it be sent calls."""

from __future__ import annotations

from aiohttp import web


class Health:
    """``is_ready`` is true from the end of start-up until the goodbye begins; the application sets it."""

    def __init__(self) -> None:
        self.is_ready = False

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes under ``prefix``."""
        return [web.get(f"{prefix}/healthz", self._alive), web.get(f"{prefix}/readyz", self._ready)]

    async def _alive(self, request: web.Request) -> web.Response:
        # Start-up is over before a request is taken, so whoever is answered can call.
        return _status("ok", 200)

    async def _ready(self, request: web.Request) -> web.Response:
        return _status("ready", 200) if self.is_ready else _status("stopping", 503)


def _status(word: str, status: int) -> web.Response:
    return web.json_response({"status": word}, status=status, headers={"Cache-Control": "no-store"})
