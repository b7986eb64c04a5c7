"""The line under a Realtime socket: one event at a time, the first exchange, the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NoReturn

import aiohttp

from ..errors import ProviderCrashed, ProviderError, ProviderTimeout
from .openai_errors import LIBRARY_ERRORS
from .openai_events import Event, nested
from .openai_socket_errors import closed_socket, refused_session


async def configure(
    line: aiohttp.ClientWebSocketResponse, session: Mapping[str, Any], provider: str, key: str
) -> Mapping[str, Any]:
    """Take ``session.created``, send ``session.update``, wait for ``session.updated``; return what holds now.

    An ``error`` before that is the end: a session that was refused hears and says nothing.
    """
    while True:
        event = await next_event(line, provider, None)
        match event.get("type"):
            case "session.created":
                await line.send_str(json.dumps({"type": "session.update", "session": session}))
            case "session.updated":
                return nested(event, "session")
            case "error":
                raise refused_session(nested(event, "error"), provider=provider, key=key)
            case _:
                pass  # what is new in the protocol is none of our business


async def next_event(
    line: aiohttp.ClientWebSocketResponse, provider: str, told: ProviderError | None
) -> Event:
    """Wait for the next event. ``told``: the last error that came in one, which explains a close."""
    message = await line.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        _raise_end(message, line.close_code, provider, told)
    try:
        event = json.loads(message.data)
    except ValueError as error:
        raise ProviderCrashed(f"{provider} sent what is no JSON", provider=provider) from error
    if not isinstance(event, dict):
        raise ProviderCrashed(f"{provider} sent what is no event", provider=provider)
    return event


def _raise_end(
    message: aiohttp.WSMessage, code: int | None, provider: str, told: ProviderError | None
) -> NoReturn:
    """Raise what a message that is no text means."""
    if message.type is aiohttp.WSMsgType.BINARY:
        raise ProviderCrashed(f"{provider} sent bytes instead of an event", provider=provider)
    if isinstance(message.data, aiohttp.ServerTimeoutError):
        raise ProviderTimeout(f"{provider} does not answer any more", provider=provider)
    if isinstance(message.data, aiohttp.WebSocketError):
        raise ProviderCrashed(f"{provider} broke the WebSocket protocol", provider=provider)
    raise closed_socket(code, provider=provider, last=told)


async def hang_up(line: aiohttp.ClientWebSocketResponse, patience: float) -> None:
    """Close a line, and cut it if that takes longer than ``patience`` seconds."""
    try:
        async with asyncio.timeout(patience):
            await line.close()
    except LIBRARY_ERRORS:
        pass  # it is cut by now, which is all that is wanted
