"""Calls over HTTP: an SDP offer comes in, the answer goes out; later a word ends the call.

    POST    /v1/realtime/calls               application/sdp, or a form with sdp and session
                                             → 201, the answer, Location, ETag
    PATCH   /v1/realtime/calls/{id}          application/trickle-ice-sdpfrag, If-Match → 204
    POST    /v1/realtime/calls/{id}/hangup   → 200
    DELETE  /v1/realtime/calls/{id}          → 200
    GET     on both                          → 204

ICE servers, if clients are told any, come as ``Link`` headers of the answer and of OPTIONS. The routes are
those of OpenAI Realtime and of WHIP (RFC 9725) at once. A call is its maker's: to others with short-lived
keys it does not exist.
"""

from __future__ import annotations

import logging

from aiohttp import hdrs, web

from ..errors import ClientError
from ..logs import event
from ..rtc.fragment import MEDIA_TYPE, read_fragment
from .access import known_principal, principal_of
from .bodies import read_body
from .ice_servers import IceServers
from .keys import Principal
from .offers import read_offer
from .port import CallEndpoint
from .proxy import Proxies
from .sessions import session_for

_log = logging.getLogger(__name__)

MAX_FRAGMENT_BYTES = 16 * 1024
"""A client has some dozen addresses, of a hundred bytes each."""


class Calls:
    """The routes of calls. ``base_path`` is where a proxy serves them if it does not say so itself."""

    def __init__(
        self, endpoint: CallEndpoint, proxies: Proxies, ice_servers: IceServers, base_path: str = ""
    ) -> None:
        self._endpoint = endpoint
        self._proxies = proxies
        self._ice_servers = ice_servers
        self._base_path = base_path

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes under ``prefix``; those without one are named, for ``Location``."""
        name = None if prefix else "call"
        calls = f"{prefix}/v1/realtime/calls"
        call = f"{calls}/{{call_id}}"
        return [
            web.post(calls, self._create),
            web.get(calls, _nothing),
            web.options(calls, self._tell_types),
            web.delete(call, self._end, name=name),
            web.patch(call, self._trickle),
            web.get(call, self._look),
            web.post(f"{call}/hangup", self._end),
            *(web.post(f"{call}/{word}", _refuse_sip) for word in ("accept", "reject", "refer")),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        offer = await read_offer(request)
        visitor = self._proxies.visitor(request)
        answer = await self._endpoint.answer_call(
            offer.sdp,
            is_loopback_client=visitor.is_loopback,
            session=session_for(request, self._endpoint.session_options, offer.session),
            owner=principal_of(request).owner,
        )
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
            hdrs.CONTENT_TYPE: "application/sdp",
            hdrs.LOCATION: f"{prefix}{path}",
            hdrs.ETAG: f'"{_etag(answer.call_id)}"',
            hdrs.CACHE_CONTROL: "no-store",
        }
        response = web.Response(status=201, body=answer.sdp.encode(), headers=headers)
        self._add_links(response, principal_of(request))
        return response

    async def _tell_types(self, request: web.Request) -> web.Response:
        # WHIP clients ask, RFC 9725 §4.2; it is a header of RFC 5789's kind that aiohttp has no name for.
        response = web.Response(status=204, headers={"Accept-Post": "application/sdp"})
        # Some ask here for ICE servers: they cannot take others once they have made an offer (§4.6).
        if (principal := known_principal(request)) is not None:
            self._add_links(response, principal)
        return response

    def _add_links(self, response: web.Response, principal: Principal) -> None:
        for link in self._ice_servers.links(principal):
            response.headers.add(hdrs.LINK, link)

    async def _end(self, request: web.Request) -> web.Response:
        await self._endpoint.hangup(self._call_id(request))
        return web.Response()

    async def _look(self, request: web.Request) -> web.Response:
        self._call_id(request)
        return await _nothing(request)

    async def _trickle(self, request: web.Request) -> web.Response:
        call_id = self._call_id(request)
        if request.content_type != MEDIA_TYPE:
            message = f"Send candidates with Content-Type: {MEDIA_TYPE}."
            raise ClientError(message, code="unsupported_media_type", status=415)
        _check_etag(request, call_id)
        body = await read_body(request, "fragment", max_bytes=MAX_FRAGMENT_BYTES)
        fragment = read_fragment(body.decode("utf-8", "replace"))
        if not await self._endpoint.add_candidates(call_id, fragment.candidates, ufrag=fragment.ufrag):
            raise _no_call()
        return await _nothing(request)

    def _call_id(self, request: web.Request) -> str:
        """Return the id of the call that is meant. Raises ``ClientError`` 404 if it is not this client's."""
        call_id = request.match_info["call_id"]
        owner = self._endpoint.owner_of(call_id)
        if owner is None or not principal_of(request).may_reach(owner):
            raise _no_call()
        return call_id


async def _nothing(request: web.Request) -> web.Response:
    return web.Response(status=204)


async def _refuse_sip(request: web.Request) -> web.Response:
    raise ClientError("This server takes no calls by SIP.", code="no_sip", status=404)


def _check_etag(request: web.Request, call_id: str) -> None:
    """Let through what is meant for the call's one ICE session (RFC 9725 §4.3.1)."""
    matches = request.if_match
    if matches is None:
        message = "Send If-Match with the ETag of the answer."
        raise ClientError(message, code="precondition_required", status=428)
    # "*" asks for a restart of ICE, which the fragment itself tells.
    if not any(etag.value in ("*", _etag(call_id)) and not etag.is_weak for etag in matches):
        message = "If-Match is not the ETag of this call."
        raise ClientError(message, code="precondition_failed", status=412)


def _etag(call_id: str) -> str:
    """The tag of a call's ICE session: it has one only, for ICE is not restarted."""
    return f"ice-{call_id}"


def _no_call() -> ClientError:
    return ClientError("There is no such call.", code="call_not_found", status=404, param="call_id")
