"""A reply as OpenAI Realtime tells it: a response, its output items, their one part, its words.

    response.created
      output_item.added · conversation.item.added · content_part.added
        deltas …
      output_audio.done · output_audio_transcript.done · content_part.done
      conversation.item.done · output_item.done
    response.done

(REALTIME: a normal voice turn.) The numbers that clients need are kept here: which of a response's output
items is which ``output_index``, and what it has put out so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core import facts
from ..core.items import Item, Modality
from ..core.replies import Outcome, ReplyRequest
from .item_json import render_item
from .session_json import PCM_FORMAT

ServerEvent = dict[str, object]
"""A server event but for its ``event_id``."""

_CANCEL_REASONS = ("turn_detected", "client_cancelled")


@dataclass(slots=True)
class _Told:
    """What a client has been told of one response: its items' ids, and those that are done."""

    item_ids: list[str] = field(default_factory=list)
    output: list[ServerEvent] = field(default_factory=list)


class Responses:
    """The responses of one wire that are under way; a wire that comes in the middle is told the rest."""

    def __init__(self, conversation_id: str) -> None:
        self._conversation_id = conversation_id
        self._told: dict[str, _Told] = {}

    def began(self, fact: facts.ReplyBegan) -> list[ServerEvent]:
        """Tell that a response has been created."""
        self._told[fact.reply_id] = _Told()
        response = self._render(fact.reply_id, fact.request, "in_progress", None, [])
        return [{"type": "response.created", "response": response}]

    def item_began(self, fact: facts.ReplyItemBegan) -> list[ServerEvent]:
        """Tell of an output item and its part, both still empty."""
        place = self._place(fact.reply_id, fact.item.id)
        item = render_item(fact.item)
        return [
            {
                "type": "response.output_item.added",
                "response_id": fact.reply_id,
                "output_index": place["output_index"],
                "item": item,
            },
            {"type": "conversation.item.added", "previous_item_id": fact.previous_item_id, "item": item},
            {"type": "response.content_part.added", **place, "part": _part(fact.item.modality, "")},
        ]

    def text_grew(self, fact: facts.ReplyTextGrew) -> list[ServerEvent]:
        """Tell more of the words."""
        kind = "output_audio_transcript" if fact.output is Modality.AUDIO else "output_text"
        place = self._place(fact.reply_id, fact.item_id)
        return [{"type": f"response.{kind}.delta", **place, "delta": fact.text}]

    def item_ended(self, fact: facts.ReplyItemEnded) -> list[ServerEvent]:
        """Tell that an output item, its part and its words are whole, or were cut."""
        place = self._place(fact.reply_id, fact.item.id)
        item = render_item(fact.item)
        self._told.setdefault(fact.reply_id, _Told()).output.append(item)
        part = _part(fact.item.modality, fact.item.text or "")
        return [
            *_words_done(fact.item, place),
            {"type": "response.content_part.done", **place, "part": part},
            {"type": "conversation.item.done", "previous_item_id": fact.previous_item_id, "item": item},
            {
                "type": "response.output_item.done",
                "response_id": fact.reply_id,
                "output_index": place["output_index"],
                "item": item,
            },
        ]

    def ended(self, fact: facts.ReplyEnded) -> list[ServerEvent]:
        """Tell how a response ended; its sound may still be leaving."""
        told = self._told.pop(fact.reply_id, _Told())
        output = told.output or ([render_item(fact.item)] if fact.item else [])
        details = _status_details(fact)
        response = self._render(fact.reply_id, fact.request, fact.outcome.value, details, output)
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

    def _render(
        self,
        reply_id: str,
        request: ReplyRequest,
        status: str,
        details: ServerEvent | None,
        output: list[ServerEvent],
    ) -> ServerEvent:
        return {
            "object": "realtime.response",
            "id": reply_id,
            "status": status,
            "status_details": details,
            "output": output,
            "conversation_id": self._conversation_id,
            "output_modalities": [request.output.value],
            "max_output_tokens": "inf",
            "metadata": None if request.metadata is None else dict(request.metadata),
            "audio": {"output": {"format": PCM_FORMAT, "voice": request.voice}},
            # Present and null: agents-realtime 0.20 drops the event if a count in it were null.
            "usage": None,
        }


def _part(modality: Modality, text: str) -> ServerEvent:
    # Not "output_audio", as in items: the two vocabularies differ.
    if modality is Modality.AUDIO:
        return {"type": "audio", "transcript": text}
    return {"type": "text", "text": text}


def _words_done(item: Item, place: ServerEvent) -> list[ServerEvent]:
    text = item.text or ""
    if item.modality is Modality.TEXT:
        return [{"type": "response.output_text.done", **place, "text": text}]
    return [
        {"type": "response.output_audio.done", **place},
        {"type": "response.output_audio_transcript.done", **place, "transcript": text},
    ]


def _status_details(fact: facts.ReplyEnded) -> ServerEvent | None:
    match fact.outcome:
        case Outcome.COMPLETED:
            return None
        case Outcome.CANCELLED:
            # OpenAI knows two reasons; whatever the server stops on its own account is not the turn's.
            reason = fact.reason if fact.reason in _CANCEL_REASONS else "client_cancelled"
            return {"type": "cancelled", "reason": reason}
        case Outcome.FAILED:
            error = {"type": "server_error", "code": fact.reason or "failed", "message": fact.message or ""}
            return {"type": "failed", "error": error}
