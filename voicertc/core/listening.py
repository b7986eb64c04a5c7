"""The user's machine: the open turn, and the turns whose words are still due.

    SILENT ──open──> SPEAKING <──> PAUSING ──close──> pending ──final words──> in the history

Owned and driven by the ``Conversation``, which decides; this keeps the turns and tells the world of them.
"""

from __future__ import annotations

from dataclasses import replace

from . import events, facts
from .commands import CloseTurn, DropTurn, OpenTurn
from .endpointing import PendingTurn, Turn
from .items import Item, Items, Modality, Role, is_coming
from .options import TurnDetection
from .outbox import Outbox

_PUSH_TO_TALK_PADDING = 0.3
"""Seconds of audio before the detected start that a push-to-talk turn keeps."""


class Listening:
    """At most one turn is open; any number, in practice one or two, wait for their words."""

    def __init__(self, items: Items, out: Outbox, *, id_prefix: str) -> None:
        self.turn: Turn | None = None
        self._items = items
        self._out = out
        self._id_prefix = id_prefix
        self._count = 0
        self._pending: dict[str, PendingTurn] = {}

    @property
    def is_speaking(self) -> bool:
        """Whether the user is speaking this very moment."""
        return self.turn is not None and self.turn.is_speaking

    @property
    def is_settled(self) -> bool:
        """Whether the words of all closed turns are known."""
        return not self._pending

    @property
    def next_missed(self) -> PendingTurn | None:
        """The pending turn whose words are due first."""
        return min(self._pending.values(), key=lambda pending: pending.deadline, default=None)

    def knows(self, item_id: str) -> bool:
        """Whether the turn is open or pending, so that news of it are news."""
        return item_id in self._pending or (self.turn is not None and self.turn.item_id == item_id)

    def claims_id(self, item_id: str) -> bool:
        """Whether the id is of a turn that is not in the history yet, so that no client may take it."""
        return self.knows(item_id) or is_coming(item_id, f"item_{self._id_prefix}u", self._count)

    def open(self, at: float, detection: TurnDetection | None, *, continues: bool = False) -> Turn:
        """Open a turn whose speech began at ``at``; its audio begins a little earlier.

        One that ``continues`` the turn before begins exactly there, or its words would be heard twice.
        """
        self._count += 1
        self.turn = Turn(f"item_{self._id_prefix}u{self._count}", at, at)
        padding = detection.prefix_padding if detection else _PUSH_TO_TALK_PADDING
        self._out.order(OpenTurn(self.turn.item_id, at if continues else max(0.0, at - padding)))
        return self.turn

    def announce(self, turn: Turn, detection: TurnDetection | None) -> None:
        """Let clients know that the turn has begun, once."""
        if turn.is_published:
            return
        turn.is_published = True
        if detection is not None:
            at = max(0.0, turn.started_at - detection.prefix_padding)
            self._out.publish(facts.TurnStarted(turn.item_id, at))

    def close(self, deadline: float) -> Turn:
        """The open turn is over: its words are due by ``deadline``."""
        turn = self.turn
        assert turn is not None
        self.turn = None
        self._pending[turn.item_id] = PendingTurn(turn, deadline)
        self._out.order(CloseTurn(turn.item_id))
        return turn

    def commit(self, turn: Turn, end: float, detection: TurnDetection | None) -> None:
        """Put a turn that is over into the history, its words still open; ``end`` is in audio time."""
        if detection is not None:
            self._out.publish(facts.TurnStopped(turn.item_id, end))
        previous = self._items.last_id
        item = Item(turn.item_id, Role.USER, None, modality=Modality.AUDIO)
        self._items.append(item)
        self._out.publish(facts.TurnCommitted(turn.item_id, previous))
        self._out.publish(facts.ItemAdded(item, previous))
        self._out.publish(facts.ItemDone(item, previous))

    def settle(self, item_id: str) -> Turn | None:
        """Return a pending turn whose words, or whose failure, have come; ``None`` if it is not awaited."""
        pending = self._pending.pop(item_id, None)
        return pending.turn if pending else None

    def understood(self, event: events.TranscriptFinal, text: str) -> bool:
        """Write the words into the history; return whether there still is such an item."""
        item = self._items.get(event.item_id)
        if item is None:  # the client deleted it meanwhile
            return False
        self._items.replace(replace(item, text=text))
        self._out.publish(
            facts.FinalHeard(event.item_id, text, event.seconds, event.confidence, event.language)
        )
        return True

    def drop(self) -> None:
        """Forget the open turn."""
        if self.turn:
            self._out.order(DropTurn(self.turn.item_id))
            self.turn = None

    def drop_all(self) -> None:
        """Forget the open turn and all whose words are due."""
        self.drop()
        for item_id in self._pending:
            self._out.order(DropTurn(item_id))
        self._pending.clear()
