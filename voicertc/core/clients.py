"""What clients may do to the history, and how they are told that they may not."""

from __future__ import annotations

from dataclasses import replace

from . import events, facts
from .events import Origin
from .items import Items
from .outbox import Outbox


class ClientDoor:
    """Checks what clients ask of the history and does it. Owned by the ``Conversation``."""

    def __init__(self, items: Items, out: Outbox, *, id_prefix: str) -> None:
        self._items = items
        self._out = out
        self._id_prefix = id_prefix
        self._count = 0

    def refuse(self, code: str, message: str, origin: Origin | None, param: str | None = None) -> None:
        """Tell the client that caused it, and nobody else."""
        self._out.publish(facts.Refused(code, message, param, origin))

    def submit(self, event: events.ItemSubmitted, *, is_taken: bool) -> None:
        """Add a client's item where it wants it; ``is_taken``: its id is another item's that is to come."""
        item, after = event.item, event.previous_item_id
        if not item.id:
            item = replace(item, id=self._new_id())
        if is_taken or item.id in self._items:
            why = f"There is an item {item.id} already."
            self.refuse("item_already_exists", why, event.origin, "item.id")
            return
        if after not in (None, "root") and after not in self._items:
            why = f"There is no item {after} to put it behind."
            self.refuse("item_not_found", why, event.origin, "previous_item_id")
            return
        previous = self._items.last_id if after is None else None if after == "root" else after
        self._items.insert_after(previous, item)
        self._out.publish(facts.ItemAdded(item, previous))
        self._out.publish(facts.ItemDone(item, previous))

    def delete(self, event: events.ItemDeleteRequested) -> None:
        """Take an item out."""
        if self._is_known(event.item_id, event.origin):
            self._items.remove(event.item_id)
            self._out.publish(facts.ItemDeleted(event.item_id))

    def retrieve(self, event: events.ItemRetrieveRequested) -> None:
        """Show an item to the client that asked."""
        if self._is_known(event.item_id, event.origin):
            item = self._items.get(event.item_id)
            assert item is not None
            self._out.publish(facts.ItemRetrieved(item, event.origin))

    def _new_id(self) -> str:
        while True:
            self._count += 1
            item_id = f"item_{self._id_prefix}c{self._count}"
            if item_id not in self._items:
                return item_id

    def _is_known(self, item_id: str, origin: Origin | None) -> bool:
        if item_id in self._items:
            return True
        self.refuse("item_not_found", f"There is no item {item_id}.", origin, "item_id")
        return False
