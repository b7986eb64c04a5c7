"""Puts the HTTP surface together as one aiohttp application, to be run or to be mounted in another.

web.run_app(voicertc.create_app())
app.add_subapp("/voice-agent", voicertc.create_app(agent=my_agent))
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from ..agents.base import Agent, AgentFunction
from ..endpoint import Endpoint
from ..rtc.turn_credentials import ClientIceServers
from ..settings import ServerSection, Settings
from .access import Access
from .calls import Calls
from .client_secrets import ClientSecrets
from .errors import errors_as_json
from .ice_servers import IceServers
from .keys import Keyring
from .ops import Health
from .origins import Origins
from .page import Page, add_headers, static_directory
from .port import CallEndpoint
from .proxy import Proxies
from .rtvi import RtviCalls, with_detail
from .websocket import WebSockets

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
    app = assemble(endpoint, settings.server, ice_servers=settings.client_ice_servers())
    app[ENDPOINT] = endpoint
    return app


def assemble(
    endpoint: CallEndpoint,
    server: ServerSection,
    *,
    ice_servers: ClientIceServers | None = None,
    is_local: bool = False,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """Return an application around an endpoint.

    ``ice_servers``: what clients are told of STUN and TURN. ``is_local``: nobody but this machine reaches it,
    see ``Origins``. ``clock`` gives unix seconds, for keys and passwords that expire.
    """
    health = Health()
    proxies = Proxies(server.trusted_proxies)
    keyring = Keyring(server.api_keys, clock)
    origins = Origins(server.cors_origins, proxies, demands_key=keyring.demands_key, is_local=is_local)
    access = Access(keyring, origins, proxies)
    told = IceServers(ice_servers or ClientIceServers(), clock)
    guarded = (
        Calls(endpoint, proxies, told, server.base_path),
        told,
        ClientSecrets(endpoint, keyring),
        WebSockets(endpoint),
    )
    rtvi = RtviCalls(endpoint, proxies, told, clock)
    public = (Page(static_directory(server.static_dir)), health)
    app = web.Application(middlewares=[errors_as_json])
    # A proxy may take the base path away or leave it: both are served.
    for prefix in dict.fromkeys(("", server.base_path)):
        app.add_routes(access.guard(route for part in guarded for route in part.routes(prefix)))
        app.add_routes(with_detail(access.guard(rtvi.routes(prefix))))
        for part in public:
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
    app.on_response_prepare.extend((add_headers, origins.add_headers))
    return app
