"""One server process from the first line it prints to its exit: what ``voicertc serve`` runs.

    settings ─► port taken ─► engines started (the app's start-up) ─► listening ─► signal ─► goodbye ─► exit

The port is taken before anything slow, so that "in use" is said at once. Connections are accepted when all is
ready, and wait in the kernel until then: ``/healthz`` answers as soon as a call can be answered.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress

from aiohttp import web

from . import __version__
from .addresses import machine_addresses
from .agents.base import Agent
from .agents.loading import load_agent
from .agents.reloading import ReloadingAgent
from .endpoint import Endpoint
from .errors import SettingsError
from .logs import event
from .server.app import assemble
from .services import Service
from .settings import Settings
from .settings.engines import STAGES
from .tls import from_files, self_signed

_log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Values of ``server.host`` with which nobody but this machine reaches the server."""
_GOODBYE = 1.0
"""Seconds for open HTTP requests and WebSockets to end by themselves; calls are closed before."""
_IDLE_TIMEOUT = 75.0
"""Seconds after which an idle HTTP connection is closed; aiohttp's own default is an hour."""
_EXIT_BY = 2.8
"""Seconds after the first signal at which the process is gone, whatever hangs: promised are 3."""


async def serve(settings: Settings, say: Callable[[str], None], *, dev: bool = False) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. ``say`` is given each line for the operator.

    Raises ``SettingsError`` for what only shows now: the port, the certificate, the agent.
    """
    context = _ssl_context(settings)
    agent = _agent(settings, dev=dev)
    with _listening_socket(settings) as listener:
        stopping = asyncio.Event()
        _stop_on_signals(stopping)
        endpoint = Endpoint(settings, agent=agent)
        # Behind a proxy it has names that only the proxy knows.
        is_local = settings.server.host in _LOOPBACK and not settings.server.trusted_proxies
        told = settings.client_ice_servers()
        app = assemble(endpoint, settings.server, ice_servers=told, is_local=is_local)
        runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            shutdown_timeout=_GOODBYE,
            keepalive_timeout=_IDLE_TIMEOUT,
        )
        try:
            if await _unless(stopping, runner.setup()):
                spare_garbage_collection()
                await web.SockSite(runner, listener, ssl_context=context, backlog=128).start()
                for line in _start_up_lines(settings, listener, endpoint, dev=dev):
                    say(line)
                await stopping.wait()
        finally:
            await runner.cleanup()
    return 0


def spare_garbage_collection() -> None:
    """Leave alone what was loaded, for it stays: 130,000 objects, which a full collection looks at for 70 ms.

    Nobody is served meanwhile, and 20 ms are heard. The objects of a hundred calls take 25.
    """
    gc.collect()
    gc.freeze()


def _start_up_lines(
    settings: Settings, listener: socket.socket, endpoint: Endpoint, *, dev: bool
) -> list[str]:
    """Return what the operator should know: where it is, who hears, thinks and speaks, what to change."""
    lines = [f"voicertc {__version__} is ready: {' '.join(_urls(settings, listener))}"]
    lines += [_service_line(service) for service in endpoint.services]
    lines.append(f"  {'carries':<9} {endpoint.media}")
    engines = [name for stage in STAGES for name in settings.engines(stage)]
    if not any(name.startswith("openai-") for name in engines):
        lines.append("  Set OPENAI_API_KEY to hear, think and speak with OpenAI, or name an engine for each:")
    else:
        lines.append("  Choose another engine for any of them:")
    lines.append(
        "  --set stt.engine=… llm.engine=… tts.engine=… agent.engine=…, or --agent module:name, your own"
    )
    if dev:
        lines.append("  --dev: the agent is read anew when its files change, the page at every request")
    if settings.server.host not in _LOOPBACK and not settings.server.api_keys:
        lines.append("  Whoever can reach it may call; server.api_keys demands a key")
    if settings.server.tls == "self-signed":
        lines.append("  The certificate is self-signed: a browser asks once whether to trust it.")
        if settings.server.host in _LOOPBACK:
            lines.append("  Only this machine can reach it; for phones on the network add --host 0.0.0.0")
    return lines


def _service_line(service: Service) -> str:
    return f"  {service.stage:<9} {service.text}"


def _urls(settings: Settings, listener: socket.socket) -> list[str]:
    server = settings.server
    scheme = "https" if server.tls_cert or server.tls == "self-signed" else "http"
    port = listener.getsockname()[1]
    versions = {"0.0.0.0": (4,), "::": (4, 6)}.get(server.host)  # listening everywhere
    hosts = [server.host]
    if versions is not None:
        hosts = [str(address) for address in machine_addresses() if address.version in versions]
    in_brackets = [f"[{host}]" if ":" in host else host for host in hosts]  # RFC 3986 §3.2.2
    return [f"{scheme}://{host}:{port}{server.base_path}/" for host in in_brackets]


def _agent(settings: Settings, *, dev: bool) -> Agent | None:
    name = settings.agent.import_
    if name is None:
        return None
    return ReloadingAgent(name) if dev else load_agent(name)


def _ssl_context(settings: Settings) -> ssl.SSLContext | None:
    server = settings.server
    if server.tls_cert and server.tls_key:
        return from_files(server.tls_cert, server.tls_key)
    return self_signed() if server.tls == "self-signed" else None


def _listening_socket(settings: Settings) -> socket.socket:
    """Take the port. Raises ``SettingsError`` if it cannot be had."""
    host, port = settings.server.host, settings.server.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family = found[0][0]
        return socket.create_server((host, port), family=family, backlog=128, dualstack_ipv6=host == "::")
    except socket.gaierror as error:
        raise SettingsError([f"server.host: {host!r} is no address of this machine"]) from error
    except PermissionError as error:
        raise SettingsError([f"server.port: {port} needs root; choose one above 1023 with --port"]) from error
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        fix = "stop what listens there, or choose another with --port"
        raise SettingsError([f"server.port: cannot listen on {host}:{port}: {reason}; {fix}"]) from error


def _stop_on_signals(stopping: asyncio.Event) -> None:
    """Set ``stopping`` on SIGINT and SIGTERM, and see to it that the process ends in time.

    Not ``loop.add_signal_handler``: its callback waits for the loop, and a loop that hangs is what the
    deadline is for. The timer outlives the loop on purpose: a library's thread may hang the exit itself.
    """
    loop = asyncio.get_running_loop()

    def stop(number: int, _frame: object) -> None:
        if stopping.is_set():
            return
        deadline = threading.Timer(_EXIT_BY, _end_by_force)
        deadline.daemon = True
        deadline.start()
        loop.call_soon_threadsafe(_note_stop, stopping, signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _end_by_force() -> None:
    os.write(2, b"voicertc: something did not end in time; ended by force\n")  # nothing that could hang, too
    os._exit(1)


def _note_stop(stopping: asyncio.Event, reason: str) -> None:
    if not stopping.is_set():
        event(_log, logging.INFO, "server_stopping", signal=reason)
    stopping.set()


async def _unless(stopping: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do ``work``; if a signal comes first, cancel it and return false."""
    working = asyncio.create_task(work, name="serve/start")
    waiting = asyncio.create_task(stopping.wait(), name="serve/signal")
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if working.done():
        working.result()
        return True
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    return False
