"""The bodies of requests: small, and from anybody, so they are read with a limit of bytes and of time."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge

from ..errors import ClientError
from ..wire.fields import Fields, parse_message

BODY_TIMEOUT = 10.0
"""Seconds in which the whole body must have arrived: slower than any modem."""


async def read_body(request: web.Request, what: str, *, max_bytes: int) -> bytes:
    """Return the body of ``request``. ``what`` it is, in a word, is for errors.

    Raises ``ClientError``: 413 ``{what}_too_large``, 408 ``request_timeout``, 400 ``bad_request``.
    """
    if (request.content_length or 0) > max_bytes:
        raise too_large(what, max_bytes)
    try:
        # The limit of aiohttp is the outermost application's, which may be another's.
        limited = request.clone(client_max_size=max_bytes)
    except RuntimeError:
        limited = request  # a middleware of the application around has read the body already
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await limited.read()
    except TimeoutError as error:
        message = f"The {what} did not arrive within {BODY_TIMEOUT:g} seconds."
        raise ClientError(message, code="request_timeout", status=408) from error
    except HTTPRequestEntityTooLarge as error:
        raise too_large(what, max_bytes) from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise ClientError("The request's body is broken.", code="bad_request") from error
    if len(body) > max_bytes:
        raise too_large(what, max_bytes)
    return body


def read_json(body: bytes, path: str = "") -> Fields:
    """Return the JSON object that ``body`` holds; ``path`` is its place in the request.

    Raises ``ClientError`` 400 ``invalid_json``.
    """
    try:
        fields = parse_message(body.decode())
    except (UnicodeDecodeError, ClientError) as error:
        message = f"The {path or 'request'} must be a JSON object."
        raise ClientError(message, code="invalid_json", param=path or None) from error
    return Fields(dict(fields.pairs()), path)


def too_large(what: str, max_bytes: int) -> ClientError:
    """Return the error for a body, or a part of one, that is longer than it may be."""
    message = f"The {what} may have {max_bytes} bytes at most."
    return ClientError(message, code=f"{what}_too_large", status=413)
