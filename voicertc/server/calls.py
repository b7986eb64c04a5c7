"""Calls over HTTP: an SDP offer comes in, the answer goes out; later a word ends the call.

    POST   /v1/realtime/calls               application/sdp → 201, the answer, Location
    POST   /v1/realtime/calls/{id}/hangup   → 200
    DELETE /v1/realtime/calls/{id}          → 200

Offers are small and come from anybody, so they are read with a limit of bytes and of time.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge

from ..errors import ClientError
from ..logs import event
from .proxy import Proxies

_log = logging.getLogger(__name__)

MAX_OFFER_BYTES = 64 * 1024
"""A browser's offer has 2–6 KB."""

OFFER_TIMEOUT = 10.0
"""Seconds in which the whole offer must have arrived: slower than any modem."""


class Answer(Protocol):
    """What an endpoint gives for an offer."""

    @property
    def call_id(self) -> str:
        """The call's id, ``rtc_…``."""

    @property
    def sdp(self) -> str:
        """The answer."""


class CallEndpoint(Protocol):
    """What the routes need of ``voicertc.Endpoint``."""

    async def start(self) -> None:
        """Make ready for calls."""

    async def close(self) -> None:
        """End all calls; may be called twice."""

    async def answer_call(self, offer_sdp: str, *, is_loopback_client: bool = False) -> Answer:
        """Begin a call. Raises ``ClientError``."""

    async def hangup(self, call_id: str) -> bool:
        """End a call; return whether there is, or lately was, one with this id."""


class Calls:
    """The routes of calls. ``base_path`` is where a proxy serves them if it does not say so itself."""

    def __init__(self, endpoint: CallEndpoint, proxies: Proxies, base_path: str = "") -> None:
        self._endpoint = endpoint
        self._proxies = proxies
        self._base_path = base_path

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes under ``prefix``; those without one are named, for ``Location``."""
        name = None if prefix else "call"
        calls = f"{prefix}/v1/realtime/calls"
        return [
            web.post(calls, self._create),
            web.delete(f"{calls}/{{call_id}}", self._end, name=name),
            web.post(f"{calls}/{{call_id}}/hangup", self._end),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        offer = await _read_offer(request)
        visitor = self._proxies.visitor(request)
        answer = await self._endpoint.answer_call(offer, is_loopback_client=visitor.is_loopback)
        event(
            _log,
            logging.DEBUG,
            "call_answered",
            call=answer.call_id,
            client=visitor.address,
            origin=f"{visitor.scheme}://{visitor.host}",
        )
        # The route's own URL holds the prefix under which this application is mounted in another.
        path = request.app.router["call"].url_for(call_id=answer.call_id)
        prefix = self._base_path if visitor.prefix is None else visitor.prefix
        headers = {
            # As bytes, for aiohttp would add a charset, and some clients compare the type as it is.
            "Content-Type": "application/sdp",
            "Location": f"{prefix}{path}",
            "Cache-Control": "no-store",
        }
        return web.Response(status=201, body=answer.sdp.encode(), headers=headers)

    async def _end(self, request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        if not await self._endpoint.hangup(call_id):
            raise ClientError("There is no such call.", code="call_not_found", status=404, param="call_id")
        return web.Response()


async def _read_offer(request: web.Request) -> str:
    if request.content_type != "application/sdp":
        message = "Send the SDP offer as it is, with Content-Type: application/sdp."
        raise ClientError(message, code="unsupported_media_type", status=415)
    body = await _read_body(request)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ClientError("The offer must be UTF-8 text.", code="invalid_sdp") from error


async def _read_body(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_OFFER_BYTES:
        raise _too_large()
    try:
        # The limit of aiohttp is the outermost application's, which may be another's.
        limited = request.clone(client_max_size=MAX_OFFER_BYTES)
    except RuntimeError:
        limited = request  # a middleware of the application around has read the body already
    try:
        async with asyncio.timeout(OFFER_TIMEOUT):
            body = await limited.read()
    except TimeoutError as error:
        message = f"The offer did not arrive within {OFFER_TIMEOUT:g} seconds."
        raise ClientError(message, code="request_timeout", status=408) from error
    except HTTPRequestEntityTooLarge as error:
        raise _too_large() from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise ClientError("The request's body is broken.", code="bad_request") from error
    if len(body) > MAX_OFFER_BYTES:
        raise _too_large()
    return body


def _too_large() -> ClientError:
    message = f"An offer may have {MAX_OFFER_BYTES} bytes at most."
    return ClientError(message, code="offer_too_large", status=413)
