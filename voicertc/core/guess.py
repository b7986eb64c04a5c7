"""An answer that is prepared while the user pauses, on the guess that the turn is over.

It is an ordinary reply, held, of which nobody is told: neither clients nor the history. If the turn goes on
it is cancelled without a trace; if it ends with the very words that were guessed it becomes the live reply,
with all that has happened to it until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import Event, ReplyFailed
from .items import Item, Items
from .replies import Reply, ReplyRequest


@dataclass(frozen=True, slots=True)
class Guess:
    """``item`` is what ``reply`` answers; it would stand behind the item ``after``."""

    reply: Reply
    item: Item
    after: str | None
    withheld: list[Event] = field(default_factory=list)
    """What the engine has told of it, in order; as much as an engine makes ahead of the ear."""

    def fits(self, request: ReplyRequest, items: Items) -> bool:
        """Whether ``request``, behind ``items``, asks for just this, and it has not failed."""
        last = items.get(items.last_id or "")
        if last is None or last.id != self.item.id or items.previous_id(last.id) != self.after:
            return False
        if request != self.reply.request or (self.item.text is not None and last.text != self.item.text):
            return False
        return not any(isinstance(event, ReplyFailed) for event in self.withheld)
