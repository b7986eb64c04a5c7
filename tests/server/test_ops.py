"""Health, and what happens when the application starts and ends."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web

from voicertc.server.app import assemble
from voicertc.settings import ServerSection

from .conftest import ServerClient
from .endpoints import SilentEndpoint


async def status_of(response: aiohttp.ClientResponse) -> tuple[int, Any]:
    assert response.headers["Cache-Control"] == "no-store"
    return response.status, await response.json()


@pytest.mark.parametrize("path", ["", "/agent"])
async def test_a_server_that_answers_is_alive_and_ready(serve: ServerClient, path: str) -> None:
    client = await serve(mounted_at=path)
    assert await status_of(await client.get(f"{path}/healthz")) == (200, {"status": "ok"})
    assert await status_of(await client.get(f"{path}/readyz")) == (200, {"status": "ready"})


async def test_a_server_that_says_goodbye_is_alive_and_not_ready(
    aiohttp_client: Any, endpoint: SilentEndpoint
) -> None:
    app = assemble(endpoint, ServerSection())
    client = await aiohttp_client(app)
    await app.shutdown()
    assert await status_of(await client.get("/healthz")) == (200, {"status": "ok"})
    assert await status_of(await client.get("/readyz")) == (503, {"status": "stopping"})


async def test_calls_are_ended_before_open_requests_are_waited_for(endpoint: SilentEndpoint) -> None:
    around = web.Application()
    around.add_subapp("/agent", assemble(endpoint, ServerSection()))
    runner = web.AppRunner(around)
    await runner.setup()
    assert endpoint.asked == [("start",)]
    await runner.shutdown()
    assert endpoint.asked == [("start",), ("close",)]
    await runner.cleanup()


async def test_a_start_up_that_fails_is_cleaned_up(endpoint: SilentEndpoint) -> None:
    async def fail(_: web.Application) -> None:
        raise OSError("another part does not start")

    app = assemble(endpoint, ServerSection())
    app.on_startup.append(fail)
    runner = web.AppRunner(app)
    with pytest.raises(OSError, match="another part"):
        await runner.setup()
    await runner.cleanup()
    assert endpoint.asked == [("start",), ("close",)]


async def test_an_endpoint_that_does_not_start_is_closed() -> None:
    endpoint = StubbornEndpoint()
    runner = web.AppRunner(assemble(endpoint, ServerSection()))
    with pytest.raises(OSError, match="no engine"):
        await runner.setup()
    await runner.cleanup()
    assert endpoint.asked == [("start",), ("close",)]


class StubbornEndpoint(SilentEndpoint):
    async def start(self) -> None:
        await SilentEndpoint.start(self)
        raise OSError("no engine")
