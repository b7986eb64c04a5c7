"""A reply as OpenAI Realtime tells it: a response, its output items, their one part, its words.

    response.created
      output_item.added · conversation.item.added · content_part.added
        deltas …
      output_audio.done · output_audio_transcript.done · content_part.done
      conversation.item.done · output_item.done
      output_item.added · conversation.item.added                                 a function call
        function_call_arguments.delta · function_call_arguments.done
      conversation.item.done · output_item.done
    response.done

(REALTIME: a normal voice turn.) The numbers that clients need are kept here: which of a response's output
items is which ``output_index``, and what it has put out so far. A response outside the conversation has no
``conversation.item`` events.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from ..core import facts
from ..core.items import Item, Kind, Modality
from ..core.options import AudioFormat
from ..core.replies import Outcome, ReplyRequest, Usage
from .audio_json import render_format
from .item_json import render_item

ServerEvent = dict[str, object]
"""A server event but for its ``event_id``."""

_CANCEL_REASONS = ("turn_detected", "client_cancelled")


@dataclass(slots=True)
class _Told:
    """What a client has been told of one response: its items' ids, and which of them is its message."""

    item_ids: list[str] = field(default_factory=list)
    message_id: str | None = None


class Responses:
    """The responses of one wire that are under way; a wire that comes in the middle is told the rest.

    ``audio_format`` is that of the session's output.
    """

    def __init__(self, conversation_id: str) -> None:
        self.audio_format: AudioFormat = "pcm16"
        self._conversation_id = conversation_id
        self._told: dict[str, _Told] = {}

    def began(self, fact: facts.ReplyBegan) -> list[ServerEvent]:
        """Tell that a response has been created."""
        self._told[fact.reply_id] = _Told()
        response = self._render(fact.reply_id, fact.request, "in_progress")
        return [{"type": "response.created", "response": response}]

    def item_began(self, fact: facts.ReplyItemBegan) -> list[ServerEvent]:
        """Tell of an output item, still empty, and of a message's part."""
        place = self._place(fact.reply_id, fact.item.id)
        item = render_item(fact.item)
        output: list[ServerEvent] = [
            {
                "type": "response.output_item.added",
                "response_id": fact.reply_id,
                "output_index": place["output_index"],
                "item": item,
            }
        ]
        if not fact.is_aside:
            added = {"previous_item_id": fact.previous_item_id, "item": item}
            output.append({"type": "conversation.item.added", **added})
        if fact.item.kind is Kind.MESSAGE:
            self._told[fact.reply_id].message_id = fact.item.id
            part = _part(fact.item.modality, "")
            output.append({"type": "response.content_part.added", **place, "part": part})
        return output

    def text_grew(self, fact: facts.ReplyTextGrew) -> list[ServerEvent]:
        """Tell more of the words."""
        kind = "output_audio_transcript" if fact.output is Modality.AUDIO else "output_text"
        place = self._place(fact.reply_id, fact.item_id)
        return [{"type": f"response.{kind}.delta", **place, "delta": fact.text}]

    def audio(self, reply_id: str, audio: bytes) -> list[ServerEvent]:
        """Send more of the sound; nothing if the client knows of no message that it belongs to."""
        told = self._told.get(reply_id)
        if told is None or told.message_id is None:
            return []
        place = self._place(reply_id, told.message_id)
        coded = base64.b64encode(audio).decode("ascii")
        return [{"type": "response.output_audio.delta", **place, "delta": coded}]

    def item_ended(self, fact: facts.ReplyItemEnded) -> list[ServerEvent]:
        """Tell that an output item will not grow any more."""
        place = self._place(fact.reply_id, fact.item.id)
        item = render_item(fact.item)
        is_message = fact.item.kind is Kind.MESSAGE
        output = _words_done(fact.item, place) if is_message else _call_made(fact.item, place)
        if not fact.is_aside:
            done = {"previous_item_id": fact.previous_item_id, "item": item}
            output.append({"type": "conversation.item.done", **done})
        output.append(
            {
                "type": "response.output_item.done",
                "response_id": fact.reply_id,
                "output_index": place["output_index"],
                "item": item,
            }
        )
        return output

    def ended(self, fact: facts.ReplyEnded) -> list[ServerEvent]:
        """Tell that a response is done: all of it was made, or it was stopped."""
        self._told.pop(fact.reply_id, None)
        response = self._render(fact.reply_id, fact.request, fact.outcome.value)
        response["status_details"] = _status_details(fact)
        response["output"] = [render_item(item) for item in fact.items]
        response["usage"] = _usage(fact.usage or Usage())
        return [{"type": "response.done", "response": response}]

    def _place(self, reply_id: str, item_id: str) -> ServerEvent:
        """Return the four fields that say where a part belongs. An item has one part only."""
        item_ids = self._told.setdefault(reply_id, _Told()).item_ids
        if item_id not in item_ids:
            item_ids.append(item_id)
        return {
            "response_id": reply_id,
            "item_id": item_id,
            "output_index": item_ids.index(item_id),
            "content_index": 0,
        }

    def _render(self, reply_id: str, request: ReplyRequest, status: str) -> ServerEvent:
        limit = request.max_output_tokens
        return {
            "object": "realtime.response",
            "id": reply_id,
            "status": status,
            "status_details": None,
            "output": [],
            "conversation_id": None if request.is_aside else self._conversation_id,
            "output_modalities": [request.output.value],
            "max_output_tokens": "inf" if limit is None else limit,
            "metadata": None if request.metadata is None else dict(request.metadata),
            "audio": {"output": {"format": render_format(self.audio_format), "voice": request.voice}},
            # Null until it is done; agents-realtime 0.20 drops the event if a count in it were null.
            "usage": None,
        }


def _part(modality: Modality, text: str) -> ServerEvent:
    # Not "output_audio", as in items: the two vocabularies differ.
    if modality is Modality.AUDIO:
        return {"type": "audio", "transcript": text}
    return {"type": "text", "text": text}


def _words_done(item: Item, place: ServerEvent) -> list[ServerEvent]:
    text = item.text or ""
    part = {"type": "response.content_part.done", **place, "part": _part(item.modality, text)}
    if item.modality is Modality.TEXT:
        return [{"type": "response.output_text.done", **place, "text": text}, part]
    return [
        {"type": "response.output_audio.done", **place},
        {"type": "response.output_audio_transcript.done", **place, "transcript": text},
        part,
    ]


def _call_made(item: Item, place: ServerEvent) -> list[ServerEvent]:
    where = {name: place[name] for name in ("response_id", "item_id", "output_index")}
    where["call_id"] = item.call_id or ""
    arguments = item.arguments or ""
    kind = "response.function_call_arguments"
    return [
        {"type": f"{kind}.delta", **where, "delta": arguments},
        {"type": f"{kind}.done", **where, "name": item.name or "", "arguments": arguments},
    ]


def _usage(usage: Usage) -> ServerEvent:
    return {
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_token_details": {
            "text_tokens": usage.input_tokens - usage.input_audio_tokens,
            "audio_tokens": usage.input_audio_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "output_token_details": {
            "text_tokens": usage.output_tokens - usage.output_audio_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }


def _status_details(fact: facts.ReplyEnded) -> ServerEvent | None:
    match fact.outcome:
        case Outcome.COMPLETED:
            return None
        case Outcome.CANCELLED:
            # OpenAI knows two reasons; whatever the server stops on its own account is not the turn's.
            reason = fact.reason if fact.reason in _CANCEL_REASONS else "client_cancelled"
            return {"type": "cancelled", "reason": reason}
        case Outcome.INCOMPLETE:
            return {"type": "incomplete", "reason": fact.reason}
        case Outcome.FAILED:
            error = {"type": "server_error", "code": fact.reason or "failed", "message": fact.message or ""}
            return {"type": "failed", "error": error}
