"""The user's machine: the open turn, and the turns whose words are still due.

    SILENT ──open──> SPEAKING <──> PAUSING ──close──> pending ──final words──> in the history
                                                └──> withheld ──commit──┘  (push-to-talk)

Owned and driven by the ``Floor``, which decides; this keeps the turns and tells the world of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from . import events, facts
from .commands import CloseTurn, DropTurn, GuessTurn, OpenTurn, Recognize
from .endpointing import PendingTurn, Turn
from .items import Item, Items, Modality, Role, is_coming
from .options import TurnDetection
from .outbox import Outbox

_PUSH_TO_TALK_PADDING = 0.3
"""Seconds of audio before the detected start that a push-to-talk turn keeps."""
_MAX_WITHHELD = 20
"""Pieces of what was said under push-to-talk that wait for a commit: ten minutes of them."""
_MAX_LATE = 8
"""Committed turns before which an earlier one may still be put: words are late by seconds, not minutes."""


class Listening:
    """At most one turn is open; any number, in practice one or two, wait for their words.

    ``is_voice_on``: whether the ears hear speech this very moment, in a turn or not.
    """

    def __init__(self, items: Items, out: Outbox, *, id_prefix: str) -> None:
        self.turn: Turn | None = None
        self.is_voice_on = False
        self._items = items
        self._out = out
        self._id_prefix = id_prefix
        self._count = 0
        self._heard_until = 0.0
        self._pending: dict[str, PendingTurn] = {}
        self._withheld: dict[str, Turn] = {}
        self._committed: deque[Turn] = deque(maxlen=_MAX_LATE)

    @property
    def is_speaking(self) -> bool:
        """Whether the user is speaking this very moment."""
        return self.turn is not None and self.turn.is_speaking

    @property
    def is_settled(self) -> bool:
        """Whether the words of all closed turns are known, but for those that nobody committed."""
        return all(pending.turn.is_withheld for pending in self._pending.values())

    @property
    def awaits_words(self) -> bool:
        """Whether the words of a turn are due that clients know of, or will; recordings are none."""
        turns = (pending.turn for pending in self._pending.values())
        said = (turn for turn in turns if not turn.is_withheld and not turn.is_recorded)
        return any(turn.is_published or turn.is_meant for turn in said)

    @property
    def next_missed(self) -> PendingTurn | None:
        """The pending turn whose words are due first."""
        return min(self._pending.values(), key=lambda pending: pending.deadline, default=None)

    @property
    def n_recordings(self) -> int:
        """How many items of recorded speech wait for their words."""
        return sum(pending.turn.is_recorded for pending in self._pending.values())

    def knows(self, item_id: str) -> bool:
        """Whether the turn is open or pending, so that news of it are news."""
        return item_id in self._pending or (self.turn is not None and self.turn.item_id == item_id)

    def claims_id(self, item_id: str) -> bool:
        """Whether the id is of a turn that is not in the history yet, so that no client may take it."""
        if self.knows(item_id) or item_id in self._withheld:
            return True
        return is_coming(item_id, f"item_{self._id_prefix}u", self._count)

    # --- from the first word to the last --------------------------------------------------------

    def open(self, at: float, detection: TurnDetection | None, *, continues: bool = False) -> Turn:
        """Open a turn whose speech began at ``at``; its audio begins a little earlier.

        Not in the words of the turn before, though, which would be heard twice; one that ``continues`` begins
        exactly at ``at``.
        """
        self._count += 1
        padding = detection.prefix_padding if detection else _PUSH_TO_TALK_PADDING
        self.turn = Turn(
            number=self._count,
            item_id=f"item_{self._id_prefix}u{self._count}",
            started_at=at,
            last_speech_at=at,
            audio_from=at if continues else max(self._heard_until, at - padding),
            continues=continues,
            is_withheld=detection is None,
        )
        self._out.order(OpenTurn(self.turn.item_id, self.turn.audio_from))
        return self.turn

    def announce(self, turn: Turn, detection: TurnDetection | None) -> None:
        """Let clients know that the turn has begun, once."""
        if turn.is_published:
            return
        turn.is_published = True
        if detection is not None:
            self._out.publish(facts.TurnStarted(turn.item_id, turn.audio_from))

    def guess(self, turn: Turn) -> None:
        """The open turn may be over: its words are wanted."""
        self._out.order(GuessTurn(turn.item_id))

    def close(self, deadline: float) -> Turn:
        """The open turn is over: its words are due by ``deadline``."""
        turn = self._forget_open()
        assert turn is not None
        self._pending[turn.item_id] = PendingTurn(turn, deadline)
        if turn.is_withheld:
            self._withheld[turn.item_id] = turn
            if len(self._withheld) > _MAX_WITHHELD:
                self._drop_withheld(next(iter(self._withheld)))
        self._out.order(CloseTurn(turn.item_id))
        return turn

    def release(self) -> list[Turn]:
        """Withhold nothing any more: return the closed turns that a commit has made public, in order."""
        turns = list(self._withheld.values())
        self._withheld.clear()
        for turn in turns:
            turn.is_withheld = False
        return turns

    def commit(self, turn: Turn, end: float, detection: TurnDetection | None) -> None:
        """Put a turn that is over into the history, its words still open; ``end`` is in audio time."""
        if detection is not None:
            self._out.publish(facts.TurnStopped(turn.item_id, end))
        previous = self._place_of(turn)
        item = Item(turn.item_id, Role.USER, None, modality=Modality.AUDIO)
        self._items.insert_after(previous, item)
        self._committed.append(turn)
        self._out.publish(facts.TurnCommitted(turn.item_id, previous))
        self._out.publish(facts.ItemAdded(item, previous))
        self._out.publish(facts.ItemDone(item, previous))

    def settle(self, event: events.TranscriptFinal | events.TranscriptFailed) -> Turn | None:
        """Return the turn whose words, or whose failure, have come and may be told; ``None`` if it has none.

        What comes before its time is kept with the turn.
        """
        if self.turn and self.turn.item_id == event.item_id:
            self.turn.result = event
            return None
        pending = self._pending.pop(event.item_id, None)
        if pending is None:
            return None
        if pending.turn.is_withheld:
            pending.turn.result = event
            return None
        return pending.turn

    def understood(self, turn: Turn, event: events.TranscriptFinal, text: str) -> bool:
        """Write the words into the history; return whether there still is such an item."""
        item = self._items.get(event.item_id)
        if item is None:  # the client deleted it meanwhile
            return False
        self._items.replace(replace(item, text=text))
        heard = facts.FinalHeard(
            event.item_id,
            text,
            event.seconds,
            event.confidence,
            event.language,
            # A recognizer may find the first word before the ears were certain, and the last one longer.
            min([turn.started_at, *(word.start for word in event.words)]),
            max([turn.last_speech_at, *(word.end for word in event.words)]),
            event.words,
        )
        self._out.publish(heard)
        return True

    def await_words(self, item_id: str, now: float, deadline: float) -> None:
        """Have recorded speech recognized, whose item is in the history already."""
        self._count += 1
        turn = Turn(
            self._count, item_id, now, now, now, is_speaking=False, is_published=True, is_recorded=True
        )
        self._pending[item_id] = PendingTurn(turn, deadline)
        self._out.order(Recognize(item_id))

    def time_out(self, start: float, end: float) -> None:
        """Put a turn into the history in which nothing was said from ``start`` to ``end``."""
        self._count += 1
        item_id = f"item_{self._id_prefix}u{self._count}"
        previous = self._items.last_id
        item = Item(item_id, Role.USER, "", modality=Modality.AUDIO)
        self._items.append(item)
        self._out.publish(facts.TurnTimedOut(item_id, start, end))
        self._out.publish(facts.TurnCommitted(item_id, previous))
        self._out.publish(facts.ItemAdded(item, previous))
        self._out.publish(facts.ItemDone(item, previous))

    def shift(self, by: float) -> None:
        """Session time has jumped: recognizers have as long as before."""
        for item_id, pending in self._pending.items():
            self._pending[item_id] = replace(pending, deadline=pending.deadline + by)

    # --- forgetting -----------------------------------------------------------------------------

    def drop(self) -> None:
        """Forget the open turn."""
        if turn := self._forget_open():
            self._out.order(DropTurn(turn.item_id))

    def clear(self) -> None:
        """Forget the open turn and what was withheld."""
        self.drop()
        for item_id in tuple(self._withheld):
            self._drop_withheld(item_id)

    def drop_all(self) -> None:
        """Forget the open turn and all whose words are due."""
        self.clear()
        for item_id in self._pending:
            self._out.order(DropTurn(item_id))
        self._pending.clear()

    def _forget_open(self) -> Turn | None:
        turn, self.turn = self.turn, None
        if turn:
            self._heard_until = max(self._heard_until, turn.last_speech_at)
        return turn

    def _drop_withheld(self, item_id: str) -> None:
        del self._withheld[item_id]
        if self._pending.pop(item_id, None):
            self._out.order(DropTurn(item_id))

    def _place_of(self, turn: Turn) -> str | None:
        """Return the id behind which the turn belongs: before all that were said after it."""
        for other in self._committed:
            if other.number > turn.number and other.item_id in self._items:
                return self._items.previous_id(other.item_id)
        return self._items.last_id
