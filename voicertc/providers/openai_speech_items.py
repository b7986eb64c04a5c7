"""What a Realtime session remembers of a call, kept like our history: which of its items is which of ours.

    our history     item_1 (user)   item_2 (said)   item_3 (typed)
                        │               │               │
    the service's   item_Ab (sound) item_Cd (sound) vc_1 (text)

The history changes where the service does not see it: texts are typed, items deleted, a reply's end is never
heard. ``follow`` says what the service has to be told so that it remembers the same; on a new socket that is
the whole conversation, as text. A turn's sound comes by itself (``expect``), and so does what an answer puts
out (``put_out``), which is ours once the session says for which item it is kept (``keep``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.items import Item, Kind, Role
from .openai_events import Event
from .openai_live_ear import Transcript
from .openai_stage import sendable

_MAX_ITEMS = 400
"""Items of the history that the service is told, the newest: more than it can keep in mind."""


@dataclass(slots=True, eq=False)
class Entry:
    """One item that the service has. ``item_id`` is ours, empty while it is not in the history.

    ``own_id`` is the service's, unless ``turn`` knows it: a turn has none until its commit is answered.
    ``ms``: milliseconds of sound that have come of it; ``heard_ms``: of which were heard, if not all.
    """

    own_id: str = ""
    item_id: str = ""
    kind: Kind = Kind.MESSAGE
    reply_id: str = ""
    call_id: str = ""
    turn: Transcript | None = None
    ms: float = 0.0
    heard_ms: float | None = None

    @property
    def id(self) -> str:
        """The service's name for it, empty while it has none."""
        return self.turn.item_id if self.turn is not None and self.turn.is_committed else self.own_id

    @property
    def has_failed(self) -> bool:
        """Whether the service has not made an item of a turn's sound, and will not."""
        return self.turn is not None and self.turn.over.is_set() and not self.turn.is_committed


class Mirror:
    """The memory of one socket. Owned by its ``SpeechEar``."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._ids = itertools.count(1)
        self._call_ids: dict[str, str] = {}  # the service's name for each call that is ours under another

    def expect(self, item_id: str, turn: Transcript) -> None:
        """A turn's sound has been committed: the service makes an item of it.

        What was committed of the same turn before, because it was taken for over, is part of this.
        """
        for entry in self._entries:
            if entry.item_id == item_id:
                entry.item_id = ""
        self._entries.append(Entry(item_id=item_id, turn=turn))

    def put_out(self, entry: Entry) -> None:
        """An answer has begun an item."""
        self._entries.append(entry)

    def keep(self, reply_id: str, item: Item) -> None:
        """Our ``item`` holds what that answer put out: its messages, one to us, or its next call."""
        free = [each for each in self._entries if each.reply_id == reply_id and not each.item_id]
        fitting = [each for each in free if each.kind is item.kind]
        for entry in fitting if item.kind is Kind.MESSAGE else fitting[:1]:
            entry.item_id = item.id
            if item.call_id:
                self._call_ids[item.call_id] = entry.call_id

    def cut(self, item_id: str, ms: float) -> None:
        """No more than ``ms`` milliseconds of a spoken message were heard."""
        for entry in self._entries:
            if entry.item_id == item_id and entry.reply_id:
                if ms < entry.ms:
                    entry.heard_ms = max(0.0, ms)
                ms -= entry.ms

    def follow(self, history: Sequence[Item]) -> list[Event]:
        """Return the events that make the service's memory equal to ``history``; they count as sent."""
        history = history[-_MAX_ITEMS:]
        events = [*self._forgotten(history), *self._truncated()]
        last: Entry | None = None
        for item in told(history):
            entry = self._find(item.id)
            if entry is None and (fields := self._fields(item)) is not None:
                entry = Entry(f"vc_{next(self._ids)}", item.id, item.kind)
                place = self._place(entry, last)
                event = {"type": "conversation.item.create", "item": {"id": entry.own_id, **fields}}
                events.append(event | place)
            last = entry or last
        return events

    def input(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        """Return ``items`` as the input of one response, which leaves the service's memory as it is."""
        given: list[dict[str, Any]] = []
        for item in told(items):
            entry = self._find(item.id)
            if entry is not None and entry.id and entry.heard_ms is None:
                given.append({"type": "item_reference", "id": entry.id})
            elif fields := self._fields(item):
                given.append(fields)
        return given

    def _forgotten(self, history: Iterable[Item]) -> list[Event]:
        """Delete what is not in the history: what nobody heard, and noise that was taken for a turn."""
        wanted = {item.id for item in history}
        self._entries = [each for each in self._entries if not each.has_failed]
        gone = [each for each in self._entries if each.item_id not in wanted and each.id]
        self._entries = [each for each in self._entries if each not in gone]
        return [{"type": "conversation.item.delete", "item_id": each.id} for each in gone]

    def _truncated(self) -> list[Event]:
        events: list[Event] = []
        for entry in self._entries:
            if entry.heard_ms is not None and entry.heard_ms < entry.ms:
                entry.ms, entry.heard_ms = entry.heard_ms, None
                where = {"item_id": entry.id, "content_index": 0, "audio_end_ms": int(entry.ms)}
                events.append({"type": "conversation.item.truncate", **where})
        return events

    def _place(self, entry: Entry, last: Entry | None) -> dict[str, str]:
        """Put a new entry behind ``last``; return what tells the service so, nothing at the end."""
        is_at_end = not self._entries or last is self._entries[-1]
        if is_at_end or (last is not None and not last.id):
            self._entries.append(entry)
            return {}
        self._entries.insert(0 if last is None else self._entries.index(last) + 1, entry)
        return {"previous_item_id": "root" if last is None else last.id}

    def _find(self, item_id: str) -> Entry | None:
        return next((each for each in self._entries if each.item_id == item_id), None) if item_id else None

    def _fields(self, item: Item) -> dict[str, Any] | None:
        """Return an item as the service takes it, or ``None`` if there is nothing to tell."""
        text = sendable(item.text or "")
        match item.kind:
            case Kind.FUNCTION_CALL:
                arguments = item.arguments or "{}"
                return {
                    "type": "function_call",
                    "call_id": item.call_id or "",
                    "name": item.name or "",
                    "arguments": arguments,
                }
            case Kind.FUNCTION_CALL_OUTPUT:
                return {
                    "type": "function_call_output",
                    "call_id": self._call_ids.get(item.call_id or "", item.call_id or ""),
                    "output": text,
                }
            case Kind.MESSAGE if text.strip():
                part = "output_text" if item.role is Role.ASSISTANT else "input_text"
                content = [{"type": part, "text": text}]
                return {"type": "message", "role": item.role.value, "content": content}
            case _:
                return None


def told(history: Sequence[Item]) -> list[Item]:
    """Return what a service can be told: no answers to calls that nobody remembers."""
    calls = {item.call_id for item in history if item.kind is Kind.FUNCTION_CALL}
    return [item for item in history if item.kind is not Kind.FUNCTION_CALL_OUTPUT or item.call_id in calls]
