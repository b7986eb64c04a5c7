"""Calls of Pipecat's clients over HTTP (small-webrtc-transport): offers and answers as JSON.

    POST   /start                        {body?, …} → {sessionId, iceConfig?}
    POST   /api/offer                    {sdp, type, pc_id, restart_pc, requestData?} → {sdp, type, pc_id}
    PATCH  /api/offer                    {pc_id, candidates} → {status}
    POST, PATCH /sessions/{id}/api/offer the same, with what /start was given

A known ``pc_id`` (the call's id) goes on with its call, an unknown one begins another. ``requestData`` and
the ``body`` of /start may hold ``session``, a session object as ``session.update`` has it. Clients give up
at 4xx and show ``detail``; anything above they try again, two seconds later.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from ..calls.call import Door
from ..core.options import SessionOptions
from ..errors import ClientError
from ..logs import event
from ..rtc.ice import TrickledCandidate
from ..wire.fields import Fields, array, boolean, choice, identifier, integer, record, string
from ..wire.session_json import read_session, render_session
from .access import principal_of
from .bodies import read_body, read_json
from .errors import refusal
from .ice_servers import IceServers
from .offers import MAX_OFFER_BYTES, MAX_SESSION_BYTES
from .port import Answer, CallEndpoint
from .proxy import Proxies
from .sessions import session_for
from .starts import Starts

_log = logging.getLogger(__name__)

_MAX_CANDIDATES = 64
_MAX_INDEX = 255


class RtviCalls:
    """The routes. ``clock`` gives unix seconds."""

    def __init__(
        self,
        endpoint: CallEndpoint,
        proxies: Proxies,
        ice_servers: IceServers,
        clock: Callable[[], float],
    ) -> None:
        self._endpoint = endpoint
        self._proxies = proxies
        self._ice_servers = ice_servers
        self._starts = Starts(clock)

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes under ``prefix``."""
        offer, of_session = f"{prefix}/api/offer", f"{prefix}/sessions/{{session_id}}/api/offer"
        return [
            web.post(f"{prefix}/start", self._start),
            web.post(offer, self._answer),
            web.patch(offer, self._trickle),
            web.post(of_session, self._answer),
            web.patch(of_session, self._trickle),
        ]

    async def _start(self, request: web.Request) -> web.Response:
        body = await read_body(request, "request", max_bytes=MAX_SESSION_BYTES)
        wanted = read_json(body) if body.strip() else Fields({})
        is_daily = wanted.read("createDailyRoom", boolean, absent=False, null=False)
        default = "daily" if is_daily else "webrtc"
        if wanted.read("transport", string, absent=default, null=default) != "webrtc":
            message = 'This server has one transport: "webrtc".'
            raise ClientError(message, code="not_supported", param="transport")
        given = _session_of(wanted, ("body",))
        options = session_for(request, self._endpoint.session_options, given)
        n_bytes = len(json.dumps(render_session(options, "")))  # a key may be bound to more than was sent
        principal = principal_of(request)
        started: dict[str, object] = {"sessionId": self._starts.add(options, principal.owner, n_bytes)}
        ice = self._ice_servers.configuration(principal)
        if ice["iceServers"]:  # an empty list would take away those that the app has set itself
            started["iceConfig"] = ice
        return _json(started)

    async def _answer(self, request: web.Request) -> web.Response:
        body = await read_body(request, "offer", max_bytes=MAX_OFFER_BYTES + MAX_SESSION_BYTES)
        wanted = read_json(body)
        offer = wanted.need("sdp", string)
        wanted.read("type", choice(("offer",)), absent="offer", null="offer")
        call_id = wanted.read("pc_id", identifier, absent=None, null=None)
        restart = wanted.read("restart_pc", boolean, absent=False, null=False)
        answer = None
        if call_id is not None and self._is_reached_by(request, call_id):
            answer = await self._answer_again(request, call_id, offer, restart=restart)
        if answer is None:
            given = _session_of(wanted, ("requestData", "request_data"))
            answer = await self._begin(request, offer, given)
        return _json({"sdp": answer.sdp, "type": "answer", "pc_id": answer.call_id})

    async def _answer_again(
        self, request: web.Request, call_id: str, offer: str, *, restart: bool
    ) -> Answer | None:
        """Return the answer to a further offer of a call, ``None`` if the call is over."""
        is_loopback = self._proxies.visitor(request).is_loopback
        try:
            return await self._endpoint.answer_again(
                call_id, offer, restart=restart, is_loopback_client=is_loopback
            )
        except ClientError as error:
            if error.code != "call_not_found":
                raise
            return None

    async def _begin(self, request: web.Request, offer: str, given: Fields | None) -> Answer:
        visitor = self._proxies.visitor(request)
        answer = await self._endpoint.answer_call(
            offer,
            is_loopback_client=visitor.is_loopback,
            session=self._options_for(request, given),
            owner=principal_of(request).owner,
            door=Door.RTVI,
        )
        origin = f"{visitor.scheme}://{visitor.host}"
        event(
            _log, logging.DEBUG, "call_answered", call=answer.call_id, client=visitor.address, origin=origin
        )
        return answer

    def _options_for(self, request: web.Request, given: Fields | None) -> SessionOptions:
        """Return what a call begins with: what /start was given, if it was asked, and what came along."""
        session_id = request.match_info.get("session_id")
        if session_id is None:
            return session_for(request, self._endpoint.session_options, given)
        start = self._starts.get(session_id)
        if start is None or not principal_of(request).may_reach(start.owner):
            raise ClientError(
                "There is no such session; start another.", code="session_not_found", status=404
            )
        return start.options if given is None else read_session(given, start.options)

    async def _trickle(self, request: web.Request) -> web.Response:
        wanted = read_json(await read_body(request, "request", max_bytes=MAX_OFFER_BYTES))
        call_id = wanted.need("pc_id", identifier)
        candidates = wanted.need("candidates", array(_candidate))
        if len(candidates) > _MAX_CANDIDATES:
            message = f"candidates may be {_MAX_CANDIDATES} at most."
            raise ClientError(message, code="invalid_value", param="candidates")
        is_known = self._is_reached_by(request, call_id)
        if not is_known or not await self._endpoint.add_candidates(call_id, candidates):
            raise ClientError("There is no such call.", code="call_not_found", status=404, param="pc_id")
        return _json({"status": "success"})

    def _is_reached_by(self, request: web.Request, call_id: str) -> bool:
        owner = self._endpoint.owner_of(call_id)
        return owner is not None and principal_of(request).may_reach(owner)


def with_detail(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """Return ``routes`` whose errors also say ``detail``, which is what Pipecat's clients show."""
    return [web.route(route.method, route.path, _detailed(route.handler), **route.kwargs) for route in routes]


def _detailed(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ClientError as error:
            response = refusal(error)
            response.text = json.dumps(json.loads(response.text or "{}") | {"detail": error.message})
            return response

    return answer


def _session_of(wanted: Fields, keys: Sequence[str]) -> Fields | None:
    """Return the session object in the first field that has one: what else an app sends is its own."""
    for key in keys:
        given = wanted.read(key, _object, absent=None, null=None)
        if given is not None and "session" in given:
            return given.need("session", record)
    return None


def _object(value: object, path: str) -> Fields | None:
    return record(value, path) if isinstance(value, dict) else None


def _candidate(value: object, path: str) -> TrickledCandidate:
    fields = record(value, path)
    return TrickledCandidate(
        fields.read("candidate", string, absent="", null=""),
        fields.read("sdp_mid", string, absent=None, null=None),
        fields.read("sdp_mline_index", integer(0, _MAX_INDEX), absent=None, null=None),
    )


def _json(body: dict[str, object]) -> web.Response:
    return web.json_response(body, headers={hdrs.CACHE_CONTROL: "no-store"})
