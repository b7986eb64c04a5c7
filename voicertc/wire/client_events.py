"""What a client may send, as core events: one small reader for each ``type`` of OpenAI Realtime.

``session.update`` is not here: it changes what the wire itself remembers (``realtime``).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..core import events
from ..core.events import Event, Origin
from ..core.items import Item, Modality, Role
from ..core.options import BYTES_PER_SECOND, AudioFormat, SessionOptions
from ..core.replies import Cause, ReplyRequest
from ..errors import ClientError
from .fields import Fields, array, choice, identifier, integer, record, string
from .item_json import read_item, read_item_or_reference, recording_in
from .received import AudioAppended, Received, SpeechSubmitted
from .session_json import read_max_tokens, read_output, read_voice
from .tools_json import read_tools

Transport = Literal["webrtc", "websocket", "sideband"]
"""How a client is connected: a ``sideband`` is a second connection, to a call whose sound goes elsewhere."""

_MAX_APPEND_BYTES = 15 * 1024 * 1024
"""Of one piece of audio, as OpenAI has it."""
_MAX_RECORDING = 30
"""Seconds of recorded speech in an item: as long as a turn may be."""
_MAX_INPUT = 512
"""Items that a response may be given instead of the conversation."""
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


def read_event(kind: str, sent: Sent) -> Received:
    """Return what a message of type ``kind`` is. Raises ``ClientError``."""
    reader = _READERS.get(kind)
    if reader is None:
        shown = kind if len(kind) <= 64 else kind[:64] + "…"
        raise ClientError(f"There is no client event {shown!a}.", code="unknown_event", param="type")
    return reader(sent)


def _input_append(sent: Sent) -> Received:
    if sent.transport != "websocket":
        message = "Audio cannot be appended to this call; send it on the call's audio track."
        raise ClientError(message, code="not_supported", param="type")
    coding = sent.options.input_format
    audio = _decoded(sent.fields.need("audio", string), coding, "audio", _MAX_APPEND_BYTES)
    return AudioAppended(audio, coding, sent.origin)


def _decoded(coded: str, coding: AudioFormat, path: str, most: int) -> bytes:
    """Return the bytes of ``coded`` sound, at most ``most``."""
    try:
        audio = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ClientError(f"{path} must be base64.", code="invalid_value", param=path) from error
    if len(audio) > most:
        message = f"{path} may have {most} bytes at most; send it in pieces."
        raise ClientError(message, code="invalid_value", param=path)
    if coding == "pcm16" and len(audio) % 2:
        message = f"{path} must hold whole 16-bit samples: its number of bytes is odd."
        raise ClientError(message, code="invalid_value", param=path)
    return audio


def _input_commit(sent: Sent) -> Event:
    return events.InputCommitRequested(sent.origin)


def _input_clear(sent: Sent) -> Event:
    return events.InputClearRequested(sent.origin)


def _output_clear(sent: Sent) -> Event:
    if sent.transport == "websocket":
        # Over a WebSocket playout is the client's own.
        raise ClientError("There is no output buffer on this transport.", code="not_supported", param="type")
    return events.OutputClearRequested(sent.origin)


def _item_create(sent: Sent) -> Received:
    wanted = sent.fields.need("item", record)
    previous = sent.fields.read("previous_item_id", identifier, absent=None, null=None)
    if (coded := recording_in(wanted)) is None:
        return events.ItemSubmitted(read_item(wanted), previous, sent.origin)
    coding = sent.options.input_format
    path = f"{wanted.path('content')}[0].audio"
    audio = _decoded(coded, coding, path, _MAX_RECORDING * BYTES_PER_SECOND[coding])
    item_id = wanted.read("id", identifier, absent="", null="")
    item = Item(item_id, Role.USER, None, modality=Modality.AUDIO)
    return SpeechSubmitted(events.ItemSubmitted(item, previous, sent.origin), audio, coding)


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
    options = sent.options
    if options.is_transcription:
        # The words "response.create" release a queue in agents-realtime when the event had no event_id.
        message = "There are no responses in a transcription session; response.create is not for it."
        raise ClientError(message, code="not_supported", param="type")
    place = wanted.read("conversation", choice(("auto", "none")), absent="auto", null="auto")
    tools, tool_choice = read_tools(wanted, options.tools, options.tool_choice)
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
        tools=tools,
        tool_choice=tool_choice,
        max_output_tokens=read_max_tokens(wanted, options.max_output_tokens),
        input=wanted.read("input", _input, absent=None, null=None),
        is_aside=place == "none",
    )
    return events.ResponseRequested(request, sent.origin)


def _response_cancel(sent: Sent) -> Event:
    response_id = sent.fields.read("response_id", identifier, absent=None, null=None)
    return events.ResponseCancelRequested(response_id, sent.origin)


_READERS: dict[str, Callable[[Sent], Received]] = {
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


def _input(value: object, path: str) -> tuple[Item, ...]:
    items = array(record)(value, path)
    if len(items) > _MAX_INPUT:
        message = f"{path} must have at most {_MAX_INPUT} items."
        raise ClientError(message, code="invalid_value", param=path)
    return tuple(read_item_or_reference(item) for item in items)
