from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from voicertc.rtc.turn_credentials import ClientIceServers
from voicertc.server.app import assemble
from voicertc.settings import ServerSection

from .endpoints import SilentEndpoint

AiohttpClient = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]
ServerClient = Callable[..., Awaitable[TestClient[Any, Any]]]


@pytest.fixture
def endpoint() -> SilentEndpoint:
    return SilentEndpoint()


@pytest.fixture
def serve(aiohttp_client: AiohttpClient, endpoint: SilentEndpoint) -> ServerClient:
    """Starts the application with keys of the settings' section ``server`` and returns a client for it."""

    async def start(
        *,
        mounted_at: str = "",
        clock: Callable[[], float] = time.time,
        ice_servers: ClientIceServers | None = None,
        **keys: Any,
    ) -> TestClient[Any, Any]:
        app = assemble(endpoint, ServerSection(**keys), ice_servers=ice_servers, clock=clock)
        if mounted_at:
            around = web.Application()
            around.add_subapp(mounted_at, app)
            app = around
        return await aiohttp_client(app)

    return start
