"""What RTVI clients ask for, put into the words of the native protocol, whose readers then do the rest.

send-text            →  output_audio_buffer.clear, conversation.item.create, response.create
append-to-context    →  the same
client-message t, d  →  the client event of type ``t`` with the fields ``d``
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..core import events
from ..core.events import Origin
from ..core.items import Item, Kind, Role
from ..core.options import SessionOptions
from ..errors import ClientError
from .client_events import Sent, read_event
from .fields import Fields, array, boolean, choice, identifier, record, string
from .received import Received
from .session_json import apply_update

_NOBODY = Origin("")
"""Who asks for a reply on the client's behalf: if that is refused, one is coming anyway."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One message of a client, with all that reading it needs. ``wire`` is the wire's name."""

    kind: str
    id: str | None
    data: Fields
    options: SessionOptions
    wire: str

    @property
    def origin(self) -> Origin:
        """Who is told of a refusal."""
        return Origin(self.wire, self.id)


def read_message(asked: Asked) -> list[Received]:
    """Return what a message means that has no answer. Raises ``ClientError``."""
    reader = _READERS.get(asked.kind)
    if reader is None:
        shown = asked.kind if len(asked.kind) <= 64 else asked.kind[:64] + "…"
        raise ClientError(f"Messages of type {shown!a} are not understood.", code="unknown_event")
    return reader(asked)


def read_native(asked: Asked) -> tuple[str, Received]:
    """Return the ``t`` of a ``client-message`` and the native client event that it is."""
    kind = asked.data.need("t", identifier)
    fields = Fields(dict(asked.data.section("d").pairs()))
    if kind == "session.update":
        merged = apply_update(asked.options, fields.need("session", record))
        return kind, events.SessionUpdated(merged, asked.origin)
    event = read_event(kind, Sent(fields, asked.origin, asked.options, "webrtc"))
    if isinstance(event, events.ResponseRequested) and event.request.is_aside:
        message = "A response outside the conversation could not be told apart from others in RTVI."
        raise ClientError(message, code="not_supported")
    return kind, event


def read_result(asked: Asked) -> Item:
    """Return the result of a function call as the item it becomes."""
    call_id = asked.data.need("tool_call_id", identifier)
    output = asked.data.read("result", _result, absent=None, null=None)
    if output is None:
        raise ClientError("data.result is missing.", code="missing_required_parameter", param="data.result")
    return Item("", text=output, kind=Kind.FUNCTION_CALL_OUTPUT, call_id=call_id)


def ask_for_reply(options: SessionOptions, *, is_written: bool = False) -> Received:
    """Return the wish for a reply as the session has it, or a written one. Raises ``ClientError``."""
    wanted: dict[str, object] = {"response": {"output_modalities": ["text"]}} if is_written else {}
    asked = read_event("response.create", Sent(Fields(wanted), _NOBODY, options, "webrtc"))
    assert isinstance(asked, events.ResponseRequested)
    return replace(asked, waits=True)  # these clients know of no response that could be in the way


def _send_text(asked: Asked) -> list[Received]:
    options = asked.data.section("options")
    return _add(
        asked,
        Role.USER,
        asked.data.need("content", _words),
        asks=options.read("run_immediately", boolean, absent=True, null=True),
        is_written=not options.read("audio_response", boolean, absent=True, null=True),
    )


def _append_to_context(asked: Asked) -> list[Received]:
    role = Role(asked.data.need("role", choice(tuple(role.value for role in Role))))
    asks = asked.data.read("run_immediately", boolean, absent=False, null=False)
    return _add(asked, role, asked.data.need("content", _content), asks=asks)


def _disconnect_bot(asked: Asked) -> list[Received]:
    return [events.CallEnded("hangup")]


_READERS: dict[str, Callable[[Asked], list[Received]]] = {
    "send-text": _send_text,
    "append-to-context": _append_to_context,
    "disconnect-bot": _disconnect_bot,
}


def _add(asked: Asked, role: Role, text: str, *, asks: bool, is_written: bool = False) -> list[Received]:
    """Add an item; who ``asks`` for a reply wants it instead of what is being said."""
    item = events.ItemSubmitted(Item("", role, text), origin=asked.origin)
    if not asks:
        return [item]
    return [events.OutputClearRequested(), item, ask_for_reply(asked.options, is_written=is_written)]


def _words(value: object, path: str) -> str:
    text = string(value, path)
    if not text.strip():
        raise ClientError(f"{path} must not be empty.", code="invalid_value", param=path)
    return text


def _content(value: object, path: str) -> str:
    """A text, or the parts of one as language models take them."""
    if not isinstance(value, list):
        return _words(value, path)
    texts = [part.need("text", string) for part in array(record)(value, path)]
    return _words("\n".join(texts), path)


def _result(value: object, path: str) -> str:
    if isinstance(value, str):
        return string(value, path)
    try:
        return json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError) as error:  # 1e999 is read as infinity; "[[[[…" may be read, just so
        message = f"{path} holds what cannot be written as JSON."
        raise ClientError(message, code="invalid_value", param=path) from error
