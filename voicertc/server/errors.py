"""Whatever goes wrong becomes ``{"error": {"type", "code", "message", "param"}}``, as OpenAI has it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from ..errors import ClientError
from ..logs import event

_log = logging.getLogger(__name__)

_CODES = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not answer to this method."),
}
"""Code and message for what the router refuses."""


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer failed requests; what was not foreseen is logged, and told to nobody else."""
    try:
        return await handler(request)
    except ClientError as error:
        return refusal(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code, message = _CODES.get(error.status, ("bad_request", error.reason))
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return error_response(error.status, code, message, headers=allowed)
    except Exception as error:
        event(_log, logging.ERROR, "request_failed", exc_info=error, method=request.method, path=request.path)
        return error_response(500, "internal", "Something went wrong here; it has been noted.")


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return an error as JSON. Its ``type`` says whose fault it is, by ``status``."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"type": kind, "code": code, "message": message, "param": param}
    return web.json_response({"error": error}, status=status, headers=headers)


def refusal(error: ClientError) -> web.Response:
    """Return what a client is told that cannot have what it asked for."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 6750 §3
    response = error_response(error.status, error.code, error.message, param=error.param, headers=headers)
    if error.status in (408, 413):
        response.force_close()  # the rest of the body is still on its way
    return response
