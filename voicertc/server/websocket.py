"""The Realtime protocol over a WebSocket: a call without WebRTC, or a sideband onto a call that is up.

    GET /v1/realtime[?model=…|intent=transcription]     a call of its own
    GET /v1/realtime?call_id=rtc_…                      sees and steers that call

Everything that can be refused is refused before the upgrade, with a status and an error in JSON.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from aiohttp import WSMessage, WSMsgType, hdrs, web

from ..calls.socket_line import Socket
from ..errors import ClientError
from ..logs import event
from ..wire.fields import Fields
from ..wire.flood import TokenBucket
from ..wire.realtime import MAX_MESSAGE_BYTES
from .access import principal_of
from .errors import error_response
from .port import CallEndpoint
from .sessions import session_for

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_SUBPROTOCOL = "realtime"
"""What browsers are answered, who give their key as another subprotocol (OpenAI Realtime)."""
_MAX_READ_BYTES = 2 * MAX_MESSAGE_BYTES["websocket"]
"""What is read of one message: the wire tells what is too large for it; beyond this the socket is closed."""
_PING_AFTER = 15.0
"""Seconds without a message until the client is asked whether it is there."""
_PONG_WITHIN = 10.0
"""Seconds until it counts as lost if it does not answer."""
_SIGN_RATE, _SIGN_BURST = 20.0, 50.0
"""Pings and pongs per second in the long run, and at once: a sign of life every few seconds is usual."""
_CLOSE_TIMEOUT = 0.7
"""Seconds until a client is not waited for that does not say goodbye in turn: a shutdown waits, too."""
_LINGER = 5.0
"""Seconds that a client has to read what was sent, the close code too, once nobody waits for it any more."""


class WebSockets:
    """The route of WebSockets."""

    def __init__(self, endpoint: CallEndpoint) -> None:
        self._endpoint = endpoint

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes under ``prefix``."""
        return [web.get(f"{prefix}/v1/realtime", self._open)]

    async def _open(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
            message = "This address speaks WebSocket; WebRTC begins with a POST to /v1/realtime/calls."
            headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
            return error_response(426, "upgrade_required", message, headers=headers)
        response = _response(request)
        if call_id := request.query.get("call_id"):
            sideband = self._endpoint.attach(self._reachable(request, call_id))
            try:
                return await _serve(request, response, sideband.serve)
            finally:
                sideband.close()
        call = await self._endpoint.open_socket(
            session=session_for(request, self._endpoint.session_options, _intent(request)),
            owner=principal_of(request).owner,
        )
        try:
            return await _serve(request, response, call.serve)
        finally:
            call.end("failed")

    def _reachable(self, request: web.Request, call_id: str) -> str:
        """Return the id of the call that is meant. Raises ``ClientError`` 404 if it is not this client's."""
        owner = self._endpoint.owner_of(call_id)
        if owner is None or not principal_of(request).may_reach(owner):
            raise ClientError("There is no such call.", code="call_not_found", status=404, param="call_id")
        return call_id


async def _serve(
    request: web.Request, response: web.WebSocketResponse, serve: Callable[[Socket], Awaitable[None]]
) -> web.WebSocketResponse:
    try:
        await response.prepare(request)
        await serve(_AiohttpSocket(request, response))
    except ConnectionError as error:
        event(_log, logging.DEBUG, "socket_lost", error=str(error))  # before it had its answer
    except Exception as error:
        if not response.prepared:
            raise
        event(_log, logging.ERROR, "socket_crashed", exc_info=error, path=request.path)
    return response


def _response(request: web.Request) -> web.WebSocketResponse:
    """Return the answer to an upgrade. Raises ``ClientError`` if it is none.

    aiohttp would log the subprotocols, and a key with them, of a client that does not offer ours.
    """
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    names = [name.strip() for name in offered.split(",")] if offered is not None else [_SUBPROTOCOL]
    if _SUBPROTOCOL not in names:
        message = f'Offer the subprotocol "{_SUBPROTOCOL}", beside the one that carries a key.'
        raise ClientError(message, code="unsupported_subprotocol", param="Sec-WebSocket-Protocol")
    response = web.WebSocketResponse(
        protocols=(_SUBPROTOCOL,),
        timeout=_CLOSE_TIMEOUT,
        max_msg_size=_MAX_READ_BYTES,
        autoping=False,
        compress=False,  # sound in base64 hardly shrinks, and costs more than it saves
    )
    if not response.can_prepare(request):
        raise ClientError("This is no WebSocket handshake of version 13.", code="bad_request")
    return response


def _intent(request: web.Request) -> Fields | None:
    intent = request.query.get("intent")
    if intent is None:
        return None
    if intent not in ("realtime", "transcription"):
        message = 'intent must be "realtime" or "transcription".'
        raise ClientError(message, code="invalid_value", param="intent")
    return Fields({"type": intent}, "session")


class _AiohttpSocket:
    """aiohttp's WebSocket as a call's ``Socket``."""

    def __init__(self, request: web.Request, response: web.WebSocketResponse) -> None:
        self._transport = request.transport
        self._response = response
        self._signs = TokenBucket(rate=_SIGN_RATE, burst=_SIGN_BURST)

    async def receive(self) -> str | bytes | None:
        """See ``Socket``."""
        while True:
            message = await self._next()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    data = message.data
                    assert isinstance(data, str | bytes)
                    return data
                case WSMsgType.PING:
                    await _in_time(self._response.pong(message.data))
                    await self._pause()
                case WSMsgType.PONG:
                    await self._pause()
                case WSMsgType.CLOSE | WSMsgType.CLOSING:
                    return None
                case WSMsgType.CLOSED | WSMsgType.ERROR:
                    raise ConnectionError("The connection is broken.")

    async def _next(self) -> WSMessage:
        """Wait for what comes; a client that says nothing is asked whether it is there, while we listen."""
        with suppress(TimeoutError):
            return await self._response.receive(_PING_AFTER)
        await _in_time(self._response.ping())
        return await _in_time(self._response.receive())

    async def _pause(self) -> None:
        """Wait until the client may send one more ping or pong: thousands fit into one packet."""
        while not self._signs.take(asyncio.get_running_loop().time()):  # noqa: ASYNC110 (it is for time only)
            await asyncio.sleep(1 / _SIGN_RATE)

    async def send(self, message: str) -> None:
        """See ``Socket``."""
        await self._response.send_str(message)

    async def close(self, code: int, reason: str) -> None:
        """See ``Socket``."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT + 0.1):
                await self._response.close(code=code, message=reason.encode())
        except (TimeoutError, ConnectionError):
            pass
        except asyncio.CancelledError:
            # aiohttp 3.14 leaves the wait of a cancelled send behind, for the next one to find it cancelled.
            if (task := asyncio.current_task()) and task.cancelling():
                raise
        finally:
            if self._transport is not None:
                # What is still to be sent waits for a client that may never read it.
                asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)


async def _in_time(work: Awaitable[_T]) -> _T:
    try:
        async with asyncio.timeout(_PONG_WITHIN):
            return await work
    except TimeoutError:
        raise ConnectionError("The client does not answer.") from None
