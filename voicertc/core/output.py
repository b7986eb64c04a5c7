"""What a reply puts out: its items, published in the order that OpenAI's Realtime clients expect.

A message holds the clauses that have begun to leave for the client, never what is only planned; a function
call is there at once, behind what was said before it.
"""

from __future__ import annotations

from dataclasses import replace

from . import events, facts
from .clauses import heard_text
from .items import Item, Items, Kind, Role, Status, is_coming
from .outbox import Outbox
from .replies import Outcome, Reply
from .spoken import SAMPLES_PER_MS


class Output:
    """Writes replies into the history and tells of it. Owned by ``Replying``."""

    def __init__(self, items: Items, out: Outbox, *, id_prefix: str) -> None:
        self._items = items
        self._out = out
        self._id_prefix = id_prefix
        self._n_calls = 0

    def claims_id(self, item_id: str) -> bool:
        """Whether the id is of a function call that is to come."""
        return is_coming(item_id, f"item_{self._id_prefix}f", self._n_calls)

    def begin_message(self, reply: Reply) -> None:
        """Add the reply's message, still empty."""
        item = Item(
            reply.item_id, Role.ASSISTANT, "", status=Status.IN_PROGRESS, modality=reply.request.output
        )
        self._add(reply, item)

    def grow(self, reply: Reply, text: str) -> None:
        """Add words to the message."""
        item = reply.items.get(reply.item_id)
        if item is None:  # the client deleted it meanwhile
            return
        so_far = item.text or ""
        if reply.cut_at is not None:
            text = heard_text(reply.clauses[: reply.n_begun], reply.cut_at)[len(so_far) :]
        if text:
            reply.items.replace(replace(item, text=so_far + text))
            self._out.publish(facts.ReplyTextGrew(reply.id, item.id, text, reply.request.output))

    def call(self, reply: Reply, event: events.ToolCalled) -> None:
        """Add a function call."""
        if reply.clauses and not reply.has_message:
            self.begin_message(reply)  # what is said first comes first, even if nobody has heard it yet
        self._n_calls += 1
        call = Item(
            f"item_{self._id_prefix}f{self._n_calls}",
            Role.ASSISTANT,
            kind=Kind.FUNCTION_CALL,
            status=Status.IN_PROGRESS,
            call_id=f"call_{self._id_prefix}{self._n_calls}",
            name=event.name,
            arguments="",
        )
        self._add(reply, call)
        call = replace(call, arguments=event.arguments, status=Status.COMPLETED)
        reply.items.replace(call)
        self._end_item(reply, call)

    def cut(self, reply: Reply, n_samples: int) -> None:
        """Keep no more of a reply than this, which may be less than its message holds already."""
        reply.cut_at = n_samples if reply.cut_at is None else min(reply.cut_at, n_samples)
        item = reply.items.get(reply.item_id)
        if item is not None:
            kept = heard_text(reply.clauses[: reply.n_begun], reply.cut_at)
            if len(kept) < len(item.text or ""):
                reply.items.replace(replace(item, text=kept))
                self.tell_truncated(reply, reply.cut_at)

    def tell_truncated(self, reply: Reply, n_samples: int) -> None:
        """Tell that this much of a spoken message is left; of an aside's, clients do not keep any."""
        item = reply.items.get(reply.item_id)
        if item is not None and not reply.request.is_aside:
            self._out.publish(facts.ItemTruncated(item.id, n_samples // SAMPLES_PER_MS, item.text or ""))

    def keep_heard(self, reply: Reply, heard: int) -> None:
        """The reply was stopped: its message keeps what was heard, ``heard`` samples.

        Where a client cut it there itself, it was told which words that are; they are not counted again.
        """
        item = reply.items.get(reply.item_id)
        if item is not None:
            text = item.text
            if reply.is_spoken and heard != reply.cut_at:
                text = heard_text(reply.clauses[: reply.n_begun], heard)
            reply.items.replace(replace(item, text=text, status=Status.INCOMPLETE))

    def complete(self, reply: Reply) -> None:
        """All of it has been said: end it."""
        item = reply.items.get(reply.item_id)
        if item is not None:
            status = Status.INCOMPLETE if reply.failure or reply.cut_short else Status.COMPLETED
            reply.items.replace(replace(item, status=status))
        self.end(reply, None)

    def end(self, reply: Reply, reason: str | None) -> None:
        """Tell that there will be no more of it; ``reason``: why it was cancelled."""
        reply.is_ended = True
        message = reply.items.get(reply.item_id) if reply.has_message else None
        if message is not None:
            self._end_item(reply, message)
        outcome, why, text = Outcome.COMPLETED, reason, None
        if reply.failure:
            outcome, why, text = Outcome.FAILED, reply.failure.code, reply.failure.message
        elif reason is not None:
            outcome = Outcome.CANCELLED
        elif reply.cut_short is not None:
            outcome, why = Outcome.INCOMPLETE, reply.cut_short
        put_out = tuple(item for item_id in reply.behind if (item := reply.items.get(item_id)) is not None)
        self._out.publish(facts.ReplyEnded(reply.id, reply.request, outcome, put_out, why, text, reply.usage))

    def _add(self, reply: Reply, item: Item) -> None:
        reply.behind[item.id] = previous = reply.items.last_id
        reply.items.append(item)
        self._out.publish(facts.ReplyItemBegan(reply.id, item, previous, reply.request.is_aside))

    def _end_item(self, reply: Reply, item: Item) -> None:
        previous = reply.behind[item.id]
        self._out.publish(facts.ReplyItemEnded(reply.id, item, previous, reply.request.is_aside))
