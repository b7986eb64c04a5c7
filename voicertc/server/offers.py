"""An offer as clients post it (OpenAI Realtime): SDP as it is, or a form of SDP and a session object."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import hdrs, web

from ..errors import ClientError
from ..wire.fields import Fields
from .bodies import read_body, read_json, too_large
from .multipart import read_form

MAX_OFFER_BYTES = 64 * 1024
"""A browser's offer has 2–6 KB."""
MAX_SESSION_BYTES = 128 * 1024
"""A session's instructions and tools, as JSON: dozens of tools have 20 KB."""

_MAX_FORM_BYTES = MAX_OFFER_BYTES + MAX_SESSION_BYTES + 4096


@dataclass(frozen=True, slots=True)
class PostedOffer:
    """``session`` is the session object that came along; ``None``: none did."""

    sdp: str
    session: Fields | None = None


async def read_offer(request: web.Request) -> PostedOffer:
    """Return the offer in ``request``. Raises ``ClientError``."""
    match request.content_type:
        case "application/sdp":
            return PostedOffer(_text(await read_body(request, "offer", max_bytes=MAX_OFFER_BYTES)))
        case "multipart/form-data":
            body = await read_body(request, "form", max_bytes=_MAX_FORM_BYTES)
            return _read_form(body, request.headers[hdrs.CONTENT_TYPE])
    raise ClientError(
        "Send the SDP offer as it is, with Content-Type: application/sdp, or as multipart/form-data with the "
        "fields sdp and session.",
        code="unsupported_media_type",
        status=415,
    )


def _read_form(body: bytes, content_type: str) -> PostedOffer:
    form = read_form(body, content_type)
    offer, session = form.get("sdp"), form.get("session")
    if not offer:
        message = "The form has no field sdp with the offer."
        raise ClientError(message, code="missing_required_parameter", param="sdp")
    if len(offer) > MAX_OFFER_BYTES:
        raise too_large("offer", MAX_OFFER_BYTES)
    if session is not None and len(session) > MAX_SESSION_BYTES:
        raise too_large("session", MAX_SESSION_BYTES)
    return PostedOffer(_text(offer), read_json(session, "session") if session is not None else None)


def _text(offer: bytes) -> str:
    try:
        return offer.decode()
    except UnicodeDecodeError as error:
        raise ClientError("The offer must be UTF-8 text.", code="invalid_sdp") from error
