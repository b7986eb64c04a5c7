"""The agent's machine: a reply from its request to the last word that was heard of it.

Owned and driven by the ``Conversation``; publishes in the order that OpenAI's Realtime clients expect.
A reply's item holds the clauses that have begun to leave for the client, never what is only planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import events, facts
from .clauses import Clause, heard_text
from .commands import CancelReply, DuckReply, HoldReply, ResumeReply, StartReply
from .items import Item, Items, Modality, Role, Status, is_coming
from .outbox import Outbox
from .replies import Failure, Outcome, Reply, ReplyRequest, Stage

_SAMPLES_PER_MS = 24
_MAX_SPOKEN = 32
"""Ended replies that a client may still truncate: more than it can have unplayed."""


@dataclass(frozen=True, slots=True)
class _Spoken:
    clauses: tuple[Clause, ...]
    heard_samples: int


class Replying:
    """At most one reply is live; a cancelled one is remembered until playout says what was heard of it."""

    def __init__(self, items: Items, out: Outbox, *, id_prefix: str) -> None:
        self.live: Reply | None = None
        self._items = items
        self._out = out
        self._id_prefix = id_prefix
        self._count = 0
        self._stopping: dict[str, tuple[Reply, str]] = {}
        self._spoken: dict[str, _Spoken] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being prepared, played, held or stopped."""
        return self.live is None and not self._stopping

    @property
    def stage(self) -> Stage:
        """The live reply's stage; ``DONE`` when there is none."""
        return self.live.stage if self.live else Stage.DONE

    def claims_id(self, item_id: str) -> bool:
        """Whether the id is of a reply that is not in the history yet, so that no client may take it."""
        at_work = [reply for reply, _ in self._stopping.values()] + ([self.live] if self.live else [])
        if any(reply.item_id == item_id for reply in at_work):
            return True
        return is_coming(item_id, f"item_{self._id_prefix}r", self._count)

    def start(self, request: ReplyRequest, deadline: float) -> None:
        """Begin a reply that must be heard by ``deadline``."""
        assert self.live is None
        self._count += 1
        reply = Reply(
            id=f"resp_{self._id_prefix}{self._count}",
            item_id=f"item_{self._id_prefix}r{self._count}",
            request=request,
            deadline=deadline,
        )
        self.live = reply
        self._out.order(StartReply(reply.id, request))
        self._out.publish(facts.ReplyBegan(reply.id, request))

    # --- how much there is of it ----------------------------------------------------------------

    def clause_queued(self, event: events.ClauseQueued) -> None:
        """Note a clause that playout will come to."""
        reply = self._find(event.reply_id)
        if reply and event.index == len(reply.clauses):
            reply.clauses.append(Clause(event.text))

    def clause_voiced(self, event: events.ClauseVoiced) -> None:
        """Note where a clause's audio lies."""
        reply = self._find(event.reply_id)
        if reply and event.index < len(reply.clauses):
            reply.clauses[event.index] = replace(
                reply.clauses[event.index], start=event.start, n_samples=event.n_samples, marks=event.marks
            )

    def clause_began(self, event: events.ClauseBegan) -> None:
        """A clause is leaving: now its words belong to the history."""
        reply = self._find(event.reply_id)
        if not reply or event.index != reply.n_begun or event.index >= len(reply.clauses):
            return
        is_first = reply.n_begun == 0
        reply.n_begun += 1
        if is_first:
            reply.stage = Stage.PLAYING
            self._add_item(reply)
            self._out.publish(facts.PlayoutStarted(reply.id))
        self._grow(reply, reply.clauses[event.index].text)
        self._end_if_complete(reply)

    def text_added(self, event: events.ReplyTextAdded) -> None:
        """Written output grew."""
        reply = self._find(event.reply_id)
        if not reply or reply.request.output is not Modality.TEXT or not event.text:
            return
        if not reply.is_item_added:
            reply.stage = Stage.PLAYING
            self._add_item(reply)
        self._grow(reply, event.text)

    def generated(self, reply_id: str) -> None:
        """The engine is through."""
        reply = self._find(reply_id)
        if reply:
            reply.is_generated = True
            self._end_if_complete(reply)

    def failed(self, event: events.ReplyFailed) -> Reply | None:
        """The engine gave up; return the reply if nothing of it will be heard, which is then over."""
        reply = self._find(event.reply_id)
        if not reply or reply.is_generated:
            return None
        reply.failure = Failure(event.code, event.message)
        reply.is_generated = True
        self._end_if_complete(reply)
        return reply if not reply.clauses and not reply.is_item_added else None

    def drained(self, reply_id: str) -> Reply | None:
        """The last sample has left; return the reply, which is then over."""
        reply = self._find(reply_id)
        if not reply or not reply.is_ended:
            return None
        self._out.publish(facts.PlayoutStopped(reply.id))
        self._remember(reply, _length(reply.clauses))
        self.live = None
        return reply

    # --- ducking, holding, stopping -------------------------------------------------------------

    def duck(self) -> None:
        """Lower the reply that is playing."""
        if self.live and self.live.stage is Stage.PLAYING:
            self._out.order(DuckReply(self.live.id))

    def hold(self) -> None:
        """Silence the reply that is playing; it may go on."""
        if self.live and self.live.stage is Stage.PLAYING:
            self.live.stage = Stage.HELD
            self._out.order(HoldReply(self.live.id))

    def resume(self) -> None:
        """Go on with a ducked or held reply."""
        if self.live and self.live.stage in (Stage.PLAYING, Stage.HELD):
            self.live.stage = Stage.PLAYING
            self._out.order(ResumeReply(self.live.id))

    def cancel(self, reason: str, failure: Failure | None = None) -> Reply | None:
        """Stop the live reply for good; its item is cut when playout has said what was heard."""
        reply = self.live
        if reply is None:
            return None
        reply.stage = Stage.DONE
        reply.failure = failure
        self.live = None
        self._stopping[reply.id] = (reply, reason)
        self._out.order(CancelReply(reply.id))
        return reply

    def stopped(self, event: events.ReplyStopped) -> None:
        """Playout has stopped: the item keeps what was heard."""
        reply, reason = self._stopping.pop(event.reply_id, (None, ""))
        if reply is None:
            return
        if reply.is_item_added:
            item = self._items.get(reply.item_id)
            if item is not None and reply.request.output is Modality.AUDIO:
                text = heard_text(reply.clauses[: reply.n_begun], event.heard_samples)
                item = replace(item, text=text, status=Status.INCOMPLETE)
                self._items.replace(item)
        if not reply.is_ended:
            self._end(reply, reason)
        if reply.n_begun:
            self._remember(reply, event.heard_samples)
            self._out.publish(facts.PlayoutCleared(reply.id))
            item = self._items.get(reply.item_id)
            if item is not None:
                end_ms = event.heard_samples // _SAMPLES_PER_MS
                self._out.publish(facts.ItemTruncated(item.id, end_ms, item.text or ""))

    def truncate(self, item_id: str, audio_end_ms: int) -> str | None:
        """Cut a spoken item to what its client played; return why not, or ``None`` when it is done.

        A later cut may shorten, never lengthen.
        """
        item = self._items.get(item_id)
        spoken = self._spoken.get(item_id)
        if self.live and self.live.item_id == item_id and self.live.n_begun:
            clauses = tuple(self.live.clauses[: self.live.n_begun])
            spoken = _Spoken(clauses, _length(clauses))
        if item is None or spoken is None:
            return f"There is no spoken item {item_id} that could be truncated."
        samples = audio_end_ms * _SAMPLES_PER_MS
        if samples > _length(spoken.clauses):
            return f"Audio of {item_id} ends at {_length(spoken.clauses) // _SAMPLES_PER_MS} ms."
        if samples < spoken.heard_samples:
            self._spoken[item_id] = _Spoken(spoken.clauses, samples)
            item = replace(item, text=heard_text(spoken.clauses, samples))
            self._items.replace(item)
        self._out.publish(facts.ItemTruncated(item_id, audio_end_ms, item.text or ""))
        return None

    # --- publishing -----------------------------------------------------------------------------

    def _find(self, reply_id: str) -> Reply | None:
        return self.live if self.live and self.live.id == reply_id else None

    def _add_item(self, reply: Reply) -> None:
        reply.previous_item_id = self._items.last_id
        reply.is_item_added = True
        item = Item(
            reply.item_id, Role.ASSISTANT, "", status=Status.IN_PROGRESS, modality=reply.request.output
        )
        self._items.append(item)
        self._out.publish(facts.ReplyItemBegan(reply.id, item, reply.previous_item_id))

    def _grow(self, reply: Reply, text: str) -> None:
        item = self._items.get(reply.item_id)
        if item is None:  # the client deleted it meanwhile
            return
        self._items.replace(replace(item, text=(item.text or "") + text))
        self._out.publish(facts.ReplyTextGrew(reply.id, item.id, text, reply.request.output))

    def _end_if_complete(self, reply: Reply) -> None:
        if not reply.is_generated or reply.is_ended or reply.n_begun < len(reply.clauses):
            return
        item = self._items.get(reply.item_id)
        if item is not None:
            status = Status.INCOMPLETE if reply.failure else Status.COMPLETED
            self._items.replace(replace(item, status=status))
        self._end(reply, None)
        if not reply.clauses:  # nothing to hear: over at once
            self.live = None

    def _end(self, reply: Reply, reason: str | None) -> None:
        reply.is_ended = True
        item = self._items.get(reply.item_id)
        if item is not None:
            self._out.publish(facts.ReplyItemEnded(reply.id, item, reply.previous_item_id))
        if reply.failure:
            outcome, reason, message = Outcome.FAILED, reply.failure.code, reply.failure.message
        else:
            outcome, message = Outcome.CANCELLED if reason else Outcome.COMPLETED, None
        self._out.publish(facts.ReplyEnded(reply.id, reply.request, outcome, item, reason, message))

    def _remember(self, reply: Reply, heard_samples: int) -> None:
        self._spoken[reply.item_id] = _Spoken(tuple(reply.clauses[: reply.n_begun]), heard_samples)
        if len(self._spoken) > _MAX_SPOKEN:
            del self._spoken[next(iter(self._spoken))]


def _length(clauses: Sequence[Clause]) -> int:
    """Return how many samples of the clauses are known to exist."""
    return max((clause.start + (clause.n_samples or 0) for clause in clauses), default=0)
