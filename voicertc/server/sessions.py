"""What a session begins with: the operator's defaults, what its key is bound to, what its client asks for.

    defaults ◄─ the short-lived key's session ◄─ ?model= ◄─ the request's own session

All three speak of OpenAI Realtime's session object, and each changes only what it names.
"""

from __future__ import annotations

from aiohttp import web

from ..core.options import SessionOptions
from ..wire.fields import Fields, identifier
from ..wire.session_json import read_session
from .access import principal_of


def session_for(
    request: web.Request, defaults: SessionOptions, asked: Fields | None = None
) -> SessionOptions:
    """Return what the session that ``request`` begins is to be; ``asked`` is the session object in its body.

    Raises ``ClientError``.
    """
    wishes = [Fields(principal_of(request).session or {}, "session")]
    if model := request.query.get("model"):
        wishes.append(Fields({"model": identifier(model, "model")}, "session"))
    if asked is not None:
        wishes.append(asked)
    options = defaults
    for wish in wishes:
        options = read_session(wish, options)
    return options
