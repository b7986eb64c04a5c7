"""What a client may send, as core events: one small reader for each ``type`` of OpenAI Realtime.

``session.update`` is not here: it changes what the wire itself remembers (``realtime``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..core import events
from ..core.events import Event, Origin
from ..core.options import SessionOptions
from ..core.replies import Cause, ReplyRequest
from ..errors import ClientError
from .fields import Fields, choice, identifier, integer, record, string
from .item_json import read_item
from .session_json import read_output, read_voice

Transport = Literal["webrtc", "websocket"]

_MAX_AUDIO_MS = 24 * 3600 * 1000
_MAX_METADATA = 16
"""Pairs of a response's metadata, as OpenAI has it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of a client, with all that reading it needs."""

    fields: Fields
    origin: Origin
    options: SessionOptions
    transport: Transport


def read_event(kind: str, sent: Sent) -> Event:
    """Return the core event that a message of type ``kind`` is. Raises ``ClientError``."""
    reader = _READERS.get(kind)
    if reader is None:
        shown = kind if len(kind) <= 64 else kind[:64] + "…"
        raise ClientError(f"There is no client event {shown!a}.", code="unknown_event", param="type")
    return reader(sent)


def _input_append(sent: Sent) -> Event:
    raise ClientError(
        "Audio cannot be appended to this call; send it on the call's audio track.",
        code="not_supported",
        param="type",
    )


def _input_commit(sent: Sent) -> Event:
    return events.InputCommitRequested(sent.origin)


def _input_clear(sent: Sent) -> Event:
    return events.InputClearRequested(sent.origin)


def _output_clear(sent: Sent) -> Event:
    if sent.transport != "webrtc":
        # Over a WebSocket playout is the client's own.
        raise ClientError("There is no output buffer on this transport.", code="not_supported", param="type")
    return events.OutputClearRequested(sent.origin)


def _item_create(sent: Sent) -> Event:
    item = read_item(sent.fields.need("item", record))
    previous = sent.fields.read("previous_item_id", identifier, absent=None, null=None)
    return events.ItemSubmitted(item, previous, sent.origin)


def _item_retrieve(sent: Sent) -> Event:
    return events.ItemRetrieveRequested(sent.fields.need("item_id", identifier), sent.origin)


def _item_delete(sent: Sent) -> Event:
    return events.ItemDeleteRequested(sent.fields.need("item_id", identifier), sent.origin)


def _item_truncate(sent: Sent) -> Event:
    item_id = sent.fields.need("item_id", identifier)
    sent.fields.need("content_index", integer(0, 0))
    end_ms = sent.fields.need("audio_end_ms", integer(0, _MAX_AUDIO_MS))
    return events.ItemTruncateRequested(item_id, end_ms, sent.origin)


def _response_create(sent: Sent) -> Event:
    wanted = sent.fields.section("response")
    place = wanted.read("conversation", choice(("auto", "none")), absent="auto", null="auto")
    if place == "none":
        raise _not_supported(wanted, "conversation", "A response outside the conversation")
    if "input" in wanted:
        raise _not_supported(wanted, "input", "A response to other input than the conversation")
    options = sent.options
    request = ReplyRequest(
        Cause.CLIENT,
        instructions=wanted.read(
            "instructions", string, absent=options.instructions, null=options.instructions
        ),
        output=read_output(wanted, options.output),
        voice=read_voice(wanted.section("audio").section("output"), options.voice),
        speed=options.speed,
        language=options.language,
        metadata=wanted.read("metadata", _metadata, absent=None, null=None),
    )
    return events.ResponseRequested(request, sent.origin)


def _response_cancel(sent: Sent) -> Event:
    response_id = sent.fields.read("response_id", identifier, absent=None, null=None)
    return events.ResponseCancelRequested(response_id, sent.origin)


_READERS: dict[str, Callable[[Sent], Event]] = {
    "input_audio_buffer.append": _input_append,
    "input_audio_buffer.commit": _input_commit,
    "input_audio_buffer.clear": _input_clear,
    "output_audio_buffer.clear": _output_clear,
    "conversation.item.create": _item_create,
    "conversation.item.retrieve": _item_retrieve,
    "conversation.item.delete": _item_delete,
    "conversation.item.truncate": _item_truncate,
    "response.create": _response_create,
    "response.cancel": _response_cancel,
}


def _metadata(value: object, path: str) -> tuple[tuple[str, str], ...]:
    fields = record(value, path)
    pairs = fields.pairs()
    if len(pairs) > _MAX_METADATA:
        message = f"{path} must have at most {_MAX_METADATA} entries."
        raise ClientError(message, code="invalid_value", param=path)
    return tuple((string(key, path), string(text, fields.path(key))) for key, text in pairs)


def _not_supported(wanted: Fields, key: str, what: str) -> ClientError:
    # The words "response.create" release a queue in agents-realtime when the event had no event_id.
    message = f"{what} is not supported yet by response.create of this server."
    return ClientError(message, code="not_supported", param=wanted.path(key))
