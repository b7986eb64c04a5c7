"""The conversation's history: an ordered list of items, changed only by the core.

OpenAI Realtime calls the same things *conversation items*. An assistant's spoken item holds only the
text whose audio has left for the client, and after a barge-in only the text that was heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who said it."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Kind(StrEnum):
    """What sort of item it is."""

    MESSAGE = "message"
    FUNCTION_CALL = "function_call"
    FUNCTION_CALL_OUTPUT = "function_call_output"
    ITEM_REFERENCE = "item_reference"
    """Stands for an item of the history, in the ``input`` of a reply only."""


class Status(StrEnum):
    """How far an item, or a reply, has come."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


class Modality(StrEnum):
    """Whether a message was spoken or written."""

    AUDIO = "audio"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the history.

    ``text`` is what was said: for a user's speech the transcript (``None`` until it is final), for an
    assistant's speech the words that left for the client. ``call_id``, ``name`` and ``arguments`` (a JSON
    string) belong to function calls, ``call_id`` and ``text`` to their outputs.
    """

    id: str
    role: Role = Role.USER
    text: str | None = None
    kind: Kind = Kind.MESSAGE
    status: Status = Status.COMPLETED
    modality: Modality = Modality.TEXT
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None

    @property
    def n_characters(self) -> int:
        """How much there is to remember of it."""
        return len(self.text or "") + len(self.arguments or "")

    @property
    def is_unheard_speech(self) -> bool:
        """Whether it is a user's speech whose words are not known yet."""
        return self.role is Role.USER and self.modality is Modality.AUDIO and self.text is None


class Items:
    """The ordered history. Owned by the ``Conversation``; ids are unique.

    A dictionary keeps the order of insertion, which is all that is needed until an item is put
    somewhere else than at the end; then it is rebuilt.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, Item] = {}
        self.n_characters = 0
        """Of all texts and arguments."""

    def __iter__(self) -> Iterator[Item]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._by_id

    def get(self, item_id: str) -> Item | None:
        """Return the item, or ``None`` when there is none with this id."""
        return self._by_id.get(item_id)

    @property
    def last_id(self) -> str | None:
        """The id of the last item, or ``None`` while the history is empty."""
        return next(reversed(self._by_id), None)

    def previous_id(self, item_id: str) -> str | None:
        """Return the id of the item before ``item_id``, or ``None`` if that is the first."""
        previous = None
        for candidate in self._by_id:
            if candidate == item_id:
                return previous
            previous = candidate
        return None

    def append(self, item: Item) -> None:
        """Put a new item at the end."""
        assert item.id not in self._by_id, f"duplicate item {item.id}"
        self._by_id[item.id] = item
        self.n_characters += item.n_characters

    def insert_after(self, previous_id: str | None, item: Item) -> None:
        """Put a new item behind ``previous_id``, or at the front when that is ``None``."""
        assert item.id not in self._by_id, f"duplicate item {item.id}"
        if previous_id == self.last_id:
            self.append(item)
            return
        entries = list(self._by_id.values())
        position = 0 if previous_id is None else 1 + list(self._by_id).index(previous_id)
        entries.insert(position, item)
        self._by_id = {entry.id: entry for entry in entries}
        self.n_characters += item.n_characters

    def replace(self, item: Item) -> None:
        """Exchange the item of the same id, keeping its place."""
        assert item.id in self._by_id, f"unknown item {item.id}"
        self.n_characters += item.n_characters - self._by_id[item.id].n_characters
        self._by_id[item.id] = item

    def remove(self, item_id: str) -> None:
        """Take an item out."""
        self.n_characters -= self._by_id.pop(item_id).n_characters


def is_coming(item_id: str, prefix: str, count: int) -> bool:
    """Return whether ``item_id`` is ``prefix`` and a number above ``count``, the last one given out."""
    number = item_id.removeprefix(prefix)
    return number != item_id and number.isdecimal() and int(number) > count
