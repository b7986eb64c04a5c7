"""Puts the HTTP surface together as one aiohttp application, to be run or to be mounted in another.

web.run_app(voicertc.create_app())
app.add_subapp("/voice-agent", voicertc.create_app(agent=my_agent))
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from ..agents.base import Agent, AgentFunction
from ..endpoint import Endpoint
from ..settings import ServerSection, Settings
from .calls import CallEndpoint, Calls
from .errors import errors_as_json
from .ops import Health
from .page import Page, add_headers, static_directory
from .proxy import Proxies

ENDPOINT = web.AppKey("voicertc_endpoint", Endpoint)
"""Where an application keeps its endpoint."""


def create_app(
    *, agent: Agent | AgentFunction | None = None, settings: Settings | None = None
) -> web.Application:
    """Return an application that serves the page and the calls of one endpoint.

    ``agent`` answers instead of the one that the settings name; ``settings`` default to what the environment
    says (``Settings.load()``). The endpoint starts and ends with the application.
    """
    settings = settings or Settings.load()
    endpoint = Endpoint(settings, agent=agent)
    app = assemble(endpoint, settings.server)
    app[ENDPOINT] = endpoint
    return app


def assemble(endpoint: CallEndpoint, server: ServerSection) -> web.Application:
    """Return an application around an endpoint."""
    health = Health()
    parts = (
        Calls(endpoint, Proxies(server.trusted_proxies), server.base_path),
        Page(static_directory(server.static_dir)),
        health,
    )
    app = web.Application(middlewares=[errors_as_json])
    # A proxy may take the base path away or leave it: both are served.
    for prefix in dict.fromkeys(("", server.base_path)):
        for part in parts:
            app.add_routes(part.routes(prefix))

    async def live(_: web.Application) -> AsyncIterator[None]:
        try:
            await endpoint.start()
            health.is_ready = True
            yield
        finally:  # also when the start fails, or another's start that comes later
            await endpoint.close()

    async def say_goodbye(_: web.Application) -> None:
        # Before open requests are waited for, so that callers hear it at once.
        health.is_ready = False
        await endpoint.close()

    app.cleanup_ctx.append(live)
    app.on_shutdown.append(say_goodbye)
    app.on_response_prepare.append(add_headers)
    return app
