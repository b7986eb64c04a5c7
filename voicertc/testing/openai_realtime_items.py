"""The conversation that a Realtime session keeps: its items, what the model makes of them, what they count.

Sound counts 1 token per 100 ms of the user's and 1 per 50 ms of the assistant's; text 1 per word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .openai_answers import tokens
from .openai_refusals import RefusedError
from .openai_scenario import MS_PER_CHARACTER

USER_MS_PER_TOKEN, ASSISTANT_MS_PER_TOKEN = 100, 50


@dataclass(frozen=True, slots=True)
class InputTokens:
    """What a response was given."""

    text: int = 0
    audio: int = 0


@dataclass(slots=True, eq=False)
class Item:
    """One item: ``fields`` as on the wire; ``heard`` what the model hears in its sound of ``audio_ms``."""

    fields: dict[str, Any]
    heard: str = ""
    audio_ms: float = 0.0
    ms_per_character: float = MS_PER_CHARACTER
    cut_ms: int | None = None
    """Where it was truncated."""

    @property
    def id(self) -> str:
        """Its id on the wire."""
        return str(self.fields["id"])

    def text(self) -> str:
        """Return its words, as far as they were not truncated."""
        if self.cut_ms is not None:
            return self.heard[: round(self.cut_ms / self.ms_per_character)]
        parts = self.fields.get("content", ())
        return self.heard or " ".join(part.get("text") or part.get("transcript") or "" for part in parts)

    def message(self) -> dict[str, Any]:
        """Return it in the shape of a chat message, for the scenario's ``replies``."""
        match self.fields:
            case {"type": "function_call", "name": name, "arguments": arguments}:
                function = {"name": name, "arguments": arguments}
                call = {"id": self.fields.get("call_id"), "type": "function", "function": function}
                return {"role": "assistant", "content": None, "tool_calls": [call]}
            case {"type": "function_call_output", "call_id": call_id, "output": output}:
                return {"role": "tool", "tool_call_id": call_id, "content": output}
            case _:
                return {"role": self.fields["role"], "content": self.text()}

    def counted(self) -> InputTokens:
        """Return the tokens of it."""
        if self.audio_ms:
            of_assistant = self.fields["role"] == "assistant"
            ms = self.audio_ms if self.cut_ms is None else self.cut_ms
            each = ASSISTANT_MS_PER_TOKEN if of_assistant else USER_MS_PER_TOKEN
            return InputTokens(0, math.ceil(ms / each))
        words = self.text() if self.fields["type"] == "message" else json.dumps(self.fields)
        return InputTokens(len(tokens(words)))


@dataclass(slots=True, eq=False)
class Conversation:
    """The items of one session, in order. Its session alone changes it."""

    items: list[Item] = field(default_factory=list)

    @property
    def last_id(self) -> str | None:
        """The id of the last item."""
        return self.items[-1].id if self.items else None

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Put an item behind ``after`` (``root``: first; ``None``: last) and return the id before it."""
        if any(each.id == item.id for each in self.items):
            message = f"Error adding item: an item with id '{item.id}' already exists."
            raise RefusedError(message, code="item_create_duplicate_id", param="item.id")
        place = len(self.items)
        if after is not None:
            place = (
                0 if after == "root" else self.items.index(self.get(after, "item_create_invalid_item_id")) + 1
            )
        self.items.insert(place, item)
        return self.items[place - 1].id if place else None

    def before(self, item: Item) -> str | None:
        """Return the id before an item; of one that was deleted, the last."""
        ids = [each.id for each in self.items if each is not item]
        place = self.items.index(item) if item in self.items else len(ids)
        return ids[place - 1] if place else None

    def get(self, item_id: str, code: str) -> Item:
        """Return an item, or refuse with ``code``."""
        for item in self.items:
            if item.id == item_id:
                return item
        message = f"Error: the item with id '{item_id}' does not exist."
        raise RefusedError(message, code=code, param="item_id")

    def delete(self, item_id: str) -> None:
        """Forget an item."""
        self.items.remove(self.get(item_id, "item_delete_invalid_item_id"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Forget what the user has not heard of an answer, and its transcript."""
        item = self.get(item_id, "item_truncate_invalid_item_id")
        if item.fields.get("role") != "assistant" or not item.audio_ms:
            message = "Only model output audio messages can be truncated."
            raise RefusedError(message, code="invalid_value", param="item_id")
        if content_index != 0:
            message = f"Invalid content_index: {content_index}."
            raise RefusedError(message, code="invalid_value", param="content_index")
        ms = item.audio_ms if item.cut_ms is None else item.cut_ms
        if not 0 <= audio_end_ms <= math.ceil(ms):
            message = f"Audio content of {math.floor(ms)}ms is already shorter than {audio_end_ms}ms"
            raise RefusedError(message, code="invalid_value", param="audio_end_ms")
        item.cut_ms = audio_end_ms
        item.fields = {**item.fields, "content": [{"type": "output_audio"}]}

    def messages(self, instructions: str) -> list[dict[str, Any]]:
        """Return the whole in the shape of chat messages."""
        return [{"role": "system", "content": instructions}, *(item.message() for item in self.items)]

    def calls(self, call_id: object) -> bool:
        """Whether a function was called under this id."""
        return any(
            item.fields["type"] == "function_call" and item.fields.get("call_id") == call_id
            for item in self.items
        )


def counted(items: Sequence[Item], instructions: str, tools: Sequence[Any]) -> InputTokens:
    """Return the tokens that a response is given."""
    each = [item.counted() for item in items]
    prefix = len(tokens(instructions)) + (len(tokens(json.dumps(tools))) if tools else 0)
    return InputTokens(prefix + sum(one.text for one in each), sum(one.audio for one in each))


def client_item(fields: Mapping[str, Any], new_id: str) -> Item:
    """Return an item that the client has written, or refuse what no type tells."""
    if fields["type"] not in ("message", "function_call", "function_call_output"):
        message = "The fake knows messages, function calls and their outputs."
        raise RefusedError(message, code="not_in_the_fake", param="item.type")
    for index, part in enumerate(fields.get("content", ())):
        needed = {"input_text": "text", "output_text": "text"}.get(part.get("type"))
        for name in ("type", *([needed] if needed else [])):
            if name not in part:
                param = f"item.content[{index}].{name}"
                message = f"Missing required parameter: '{param}'."
                raise RefusedError(message, code="missing_required_parameter", param=param)
    item = {"id": new_id, "object": "realtime.item", "status": "completed", **fields}
    return Item(item)
