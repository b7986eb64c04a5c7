"""What goes wrong on a Realtime socket, in our words: refused handshakes, ``error`` events, close codes.

    handshake answered 401, 403, 404, 429, 5xx     as the same status of the HTTP API (``openai_errors``)
    ``error`` before ``session.updated``           SessionRefused: nothing would be heard or said in it
    invalid_api_key, close 3000                    ProviderUnavailable
    insufficient_quota, model_not_found, …         ProviderUnavailable
    rate limits, too many sessions                 ProviderBusy
    session_expired, any other end                 ProviderCrashed: the next socket will do

A wrong key is let in first (101), then told so by an ``error`` and close code 3000; an illegal request by
close code 4000 (observed on 2026-09-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import httpx2
import openai

from ..errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderUnavailable
from .openai_errors import in_band_error, quote, refused_key, translate

_BAD_KEY = frozenset({"invalid_api_key", "authentication_error", "invalid_authentication"})
_BAD_MODEL = frozenset({"model_not_found", "invalid_model", "unsupported_model"})
_FORBIDDEN = frozenset({"forbidden", "permission_denied", "unsupported_country_region_territory"})
_CROWDED = frozenset(
    {"session_limit_reached", "websocket_connection_limit_reached", "too_many_sessions", "server_overloaded"}
)
_EXPIRED = frozenset({"session_expired", "session_duration_exceeded"})
_FIX_MODEL = "Check the model's name."
_FIX_ACCESS = "Check what the key's project may do, and from which country."
_FIX_SESSION = "Check the model and its options."


class SessionRefused(ProviderUnavailable):
    """The service does not take a session's configuration; ``param`` is the field it names, or empty."""

    def __init__(self, message: str, *, provider: str, param: str) -> None:
        super().__init__(message, provider=provider, fix=_FIX_SESSION)
        self.param = param

    def may_be_about(self, field: str) -> bool:
        """Whether the service names ``field``, or nothing at all."""
        return not self.param or field in f"{self.param} {self.message}"


def refused_handshake(
    error: aiohttp.WSServerHandshakeError, *, provider: str, key: str | None = None
) -> ProviderError:
    """Translate the status a handshake was answered with, by the rules of the HTTP API."""
    # aiohttp throws the body away; an answer without one goes through the same door as the SDK's errors.
    if error.status < 400:
        return ProviderCrashed(f"{provider} does not speak WebSocket there", provider=provider)
    request = httpx2.Request("GET", str(error.request_info.real_url.with_user(None).with_query(None)))
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    kept = {name: headers[name] for name in headers if name.startswith(("retry-after", "x-"))}
    response = httpx2.Response(error.status, headers=kept, request=request)
    refusal = openai.APIStatusError("handshake refused", response=response, body=None)
    return translate(refusal, provider=provider, key=key).error


def realtime_error(body: Mapping[str, Any], *, provider: str, key: str | None = None) -> ProviderError:
    """Translate the ``error`` object of an ``error`` event, or of a failed item or response."""
    codes = {text for name in ("code", "type") if isinstance(text := body.get(name), str)}
    told = body.get("message")
    said = quote(told if isinstance(told, str) else "", key) or ", ".join(sorted(codes)) or "no reason given"
    if codes & _BAD_KEY:
        return refused_key(provider, key)  # its message repeats a part of the key
    if codes & _BAD_MODEL:
        message = f"{provider} does not know the model ({said})"
        return ProviderUnavailable(message, provider=provider, fix=_FIX_MODEL)
    if codes & _FORBIDDEN:
        message = f"{provider} does not permit this ({said})"
        return ProviderUnavailable(message, provider=provider, fix=_FIX_ACCESS)
    if crowded := codes & _CROWDED:
        return ProviderBusy(f"{provider} is busy ({', '.join(crowded)})", provider=provider)
    if codes & _EXPIRED:
        return ProviderCrashed(f"{provider} ended the session: it was too old", provider=provider)
    return in_band_error(dict(body), provider=provider, key=key)


def refused_session(body: Mapping[str, Any], *, provider: str, key: str | None = None) -> ProviderError:
    """Translate an ``error`` that came instead of ``session.updated``."""
    error = realtime_error(body, provider=provider, key=key)
    is_about_request = body.get("type") == "invalid_request_error" and type(error) is ProviderCrashed
    if not is_about_request or body.get("code") in _EXPIRED:
        return error
    told, param = body.get("message"), body.get("param")
    said = quote(told if isinstance(told, str) else "", key) or "no reason given"
    message = f"{provider} refused the session's configuration: {said}"
    return SessionRefused(
        message, provider=provider, param=quote(param, key) if isinstance(param, str) else ""
    )


def closed_socket(code: int | None, *, provider: str, last: ProviderError | None = None) -> ProviderError:
    """Say what the end of a socket means. ``last``: the error that was told just before it, if any."""
    if last is not None:
        return last
    if code == 3000:
        return refused_key(provider, None)
    if code == 4000:
        return SessionRefused(
            f"{provider} refused the session (close code 4000)", provider=provider, param=""
        )
    if code in {1008, 1013}:
        return ProviderBusy(f"{provider} closed the socket (close code {code})", provider=provider)
    how = f"close code {code}" if code not in {None, 1006} else "no goodbye"
    return ProviderCrashed(f"{provider} lost the connection ({how})", provider=provider)
