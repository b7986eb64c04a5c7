"""An answer that is prepared while the user pauses, on the guess that the turn is over.

It is an ordinary reply, held, of which nobody is told: neither clients nor the history. If the turn goes on
it is cancelled without a trace; if it ends with the very words that were guessed it becomes the live reply,
with all that has happened to it until then.
"""

from __future__ import annotations

from .commands import CancelReply, HoldReply, StartReply
from .events import Event, ReplyFailed, UsageCounted
from .items import Item, Items
from .outbox import Outbox
from .replies import Reply, ReplyRequest, Usage


class Guess:
    """At most one answer. Owned by ``Replying``."""

    def __init__(self, items: Items, out: Outbox) -> None:
        self.reply: Reply | None = None
        """What is prepared."""
        self._items = items
        self._out = out
        self._item: Item | None = None
        self._after: str | None = None
        self._withheld: list[Event] = []
        self._released: list[Event] = []
        self._owed = Usage()

    def prepare(self, reply: Reply, item: Item) -> None:
        """Prepare the answer to ``item``, which may come into the history next."""
        self.drop()
        self.reply, self._item, self._after = reply, item, self._items.last_id
        self._out.order(StartReply(reply.id, reply.request, item))
        self._out.order(HoldReply(reply.id))

    def drop(self) -> None:
        """It was wrong: forget what was prepared."""
        if self.reply:
            self._out.order(CancelReply(self.reply.id))
            counted = (event.usage for event in self._withheld if isinstance(event, UsageCounted))
            self._owed = sum(counted, self._owed)
            self._forget()

    def with_owed(self, usage: Usage) -> Usage:
        """Return what a reply has cost together with what was prepared in vain before it."""
        owed, self._owed = self._owed, Usage()
        return usage + owed

    def take(self, request: ReplyRequest) -> Reply | None:
        """Return the reply if it is what ``request`` asks for now; it is dropped otherwise."""
        reply = self.reply
        if reply is None or not self._fits(reply, request):
            self.drop()
            return None
        self._released += self._withheld
        self._forget()
        return reply

    def withholds(self, event: Event) -> bool:
        """Whether an event is about what is prepared, so that it waits until that is wanted."""
        if self.reply is None or getattr(event, "reply_id", None) != self.reply.id:
            return False
        self._withheld.append(event)  # no more than an engine makes ahead of the ear
        return True

    def release(self) -> list[Event]:
        """Return what has waited and may be handled now, in order."""
        released, self._released = self._released, []
        return released

    def _fits(self, reply: Reply, request: ReplyRequest) -> bool:
        """Whether the history ends with the item, as it was guessed, and nothing has failed."""
        item, last = self._item, self._items.get(self._items.last_id or "")
        if item is None or last is None or last.id != item.id:
            return False
        if request != reply.request or self._items.previous_id(last.id) != self._after:
            return False
        is_right = item.text is None or last.text == item.text
        return is_right and not any(isinstance(event, ReplyFailed) for event in self._withheld)

    def _forget(self) -> None:
        self.reply = self._item = self._after = None
        self._withheld = []
