"""The agent's machine: a reply from its request to the last word that was heard of it.

Owned and driven by the ``Floor``; publishes in the order that OpenAI's Realtime clients expect.
A reply's item holds the clauses that have begun to leave for the client, never what is only planned.
"""

from __future__ import annotations

from dataclasses import replace

from . import events, facts
from .clauses import Clause, heard_text
from .commands import CancelReply, DuckReply, HoldReply, ResumeReply, StartReply
from .items import Item, Items, Modality, Role, Status, is_coming
from .outbox import Outbox
from .replies import Failure, Outcome, Reply, ReplyRequest, Stage
from .spoken import SAMPLES_PER_MS, Spoken


class Replying:
    """At most one reply is live; a cancelled one is remembered until playout says what was heard of it.

    ``patience``: seconds until a reply must be heard.
    """

    def __init__(self, items: Items, out: Outbox, *, id_prefix: str, patience: float) -> None:
        self.live: Reply | None = None
        self._items = items
        self._out = out
        self._id_prefix = id_prefix
        self._patience = patience
        self._count = 0
        self._stopping: dict[str, tuple[Reply, str]] = {}
        self._spoken = Spoken(items, out)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being prepared, played, held or stopped."""
        return self.live is None and not self._stopping

    @property
    def stage(self) -> Stage:
        """The live reply's stage; ``DONE`` when there is none."""
        return self.live.stage if self.live else Stage.DONE

    @property
    def is_audible(self) -> bool:
        """Whether there is a spoken reply that plays, or would if it were not held."""
        is_spoken = self.live is not None and self.live.request.output is Modality.AUDIO
        return is_spoken and self.stage in (Stage.PLAYING, Stage.HELD)

    @property
    def is_in_progress(self) -> bool:
        """Whether clients wait for the end of a reply (``response.done``)."""
        return self.live is not None and not self.live.is_ended

    def claims_id(self, item_id: str) -> bool:
        """Whether the id is of a reply that is not in the history yet, so that no client may take it."""
        at_work = [reply for reply, _ in self._stopping.values()] + ([self.live] if self.live else [])
        if any(reply.item_id == item_id for reply in at_work):
            return True
        return is_coming(item_id, f"item_{self._id_prefix}r", self._count)

    def start(self, request: ReplyRequest, now: float) -> None:
        """Begin a reply."""
        assert self.live is None
        self.live = self._new(request, now)
        self._out.order(StartReply(self.live.id, request))
        self._out.publish(facts.ReplyBegan(self.live.id, request))

    def decline(self, request: ReplyRequest, now: float) -> None:
        """Tell of a reply that was cancelled before it was begun: whoever asked waits for its end."""
        reply = self._new(request, now)
        self._out.publish(facts.ReplyBegan(reply.id, request))
        self._end(reply, "client_cancelled")

    # --- how much there is of it ----------------------------------------------------------------

    def clause_queued(self, event: events.ClauseQueued) -> None:
        """Note a clause that playout will come to."""
        reply = self._find(event.reply_id)
        if reply and event.index == len(reply.clauses):
            reply.clauses.append(Clause(event.text))

    def clause_marked(self, event: events.ClauseMarked) -> None:
        """Note where more words of a clause lie."""
        reply = self._find(event.reply_id)
        if reply and event.index < len(reply.clauses):
            clause = reply.clauses[event.index]
            reply.clauses[event.index] = replace(clause, marks=clause.marks + event.marks)

    def clause_voiced(self, event: events.ClauseVoiced) -> None:
        """Note where a clause's audio lies."""
        reply = self._find(event.reply_id)
        if reply and event.index < len(reply.clauses):
            clause = reply.clauses[event.index]
            reply.clauses[event.index] = replace(clause, start=event.start, n_samples=event.n_samples)

    def clause_began(self, event: events.ClauseBegan) -> None:
        """A clause is leaving: now its words belong to the history."""
        reply = self._find(event.reply_id)
        if not reply or event.index != reply.n_begun or event.index >= len(reply.clauses):
            return
        reply.n_begun += 1
        if reply.n_begun == 1:
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
        if reply.clauses and reply.clauses[-1].n_samples is None:  # the voice broke off within it
            self._cut(reply, event.n_samples)
        self._end_if_complete(reply)
        return reply if not reply.clauses and not reply.is_item_added else None

    def drained(self, reply_id: str) -> Reply | None:
        """The last sample has left; return the reply, which is then over."""
        reply = self._find(reply_id)
        if not reply or not reply.is_ended:
            return None
        self._out.publish(facts.PlayoutStopped(reply.id))
        self._spoken.remember(reply, None)
        self.live = None
        return reply

    # --- ducking, holding, stopping -------------------------------------------------------------

    def duck(self) -> None:
        """Lower the reply that is playing."""
        if self.live and self.live.stage is Stage.PLAYING:
            self._out.order(DuckReply(self.live.id))

    def hold(self, *, even_unheard: bool = False) -> None:
        """Silence the reply that is playing, or keep one that is being prepared silent; it may go on."""
        is_unheard = self.stage is Stage.PREPARING
        if self.live and (self.stage is Stage.PLAYING or (is_unheard and even_unheard)):
            self.live.stage = Stage.HELD
            self._out.order(HoldReply(self.live.id))

    def resume(self, now: float) -> None:
        """Go on with a ducked or held reply; one that was not heard yet has as long again to begin."""
        if self.live and self.live.stage in (Stage.PLAYING, Stage.HELD):
            self.live.stage = Stage.PLAYING if self.live.is_item_added else Stage.PREPARING
            self.live.deadline = now + self._patience
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
        heard = event.heard_samples if reply.cut_at is None else min(event.heard_samples, reply.cut_at)
        item = self._items.get(reply.item_id)
        if item is not None:
            is_spoken = reply.request.output is Modality.AUDIO
            text = heard_text(reply.clauses[: reply.n_begun], heard) if is_spoken else item.text
            item = replace(item, text=text, status=Status.INCOMPLETE)
            self._items.replace(item)
        if not reply.is_ended:
            self._end(reply, reason)
        if reply.n_begun:
            self._spoken.remember(reply, heard)
            self._out.publish(facts.PlayoutCleared(reply.id))
            if item is not None:
                self._out.publish(facts.ItemTruncated(item.id, heard // SAMPLES_PER_MS, item.text or ""))

    def truncate(self, item_id: str, audio_end_ms: int) -> str | None:
        """Cut an item to what its client played of it; see ``Spoken``."""
        return self._spoken.truncate(item_id, audio_end_ms, self.live)

    # --- publishing -----------------------------------------------------------------------------

    def _new(self, request: ReplyRequest, now: float) -> Reply:
        self._count += 1
        return Reply(
            id=f"resp_{self._id_prefix}{self._count}",
            item_id=f"item_{self._id_prefix}r{self._count}",
            request=request,
            deadline=now + self._patience,
        )

    def _find(self, reply_id: str) -> Reply | None:
        return self.live if self.live and self.live.id == reply_id else None

    def _add_item(self, reply: Reply) -> None:
        if reply.stage is Stage.PREPARING:
            reply.stage = Stage.PLAYING
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
        so_far = item.text or ""
        if reply.cut_at is not None:
            text = heard_text(reply.clauses[: reply.n_begun], reply.cut_at)[len(so_far) :]
        if text:
            self._items.replace(replace(item, text=so_far + text))
            self._out.publish(facts.ReplyTextGrew(reply.id, item.id, text, reply.request.output))

    def _cut(self, reply: Reply, n_samples: int) -> None:
        """Keep no more of a reply than this, which may be less than its item holds already."""
        reply.cut_at = n_samples if reply.cut_at is None else min(reply.cut_at, n_samples)
        item = self._items.get(reply.item_id)
        if item is not None:
            kept = heard_text(reply.clauses[: reply.n_begun], reply.cut_at)
            if len(kept) < len(item.text or ""):
                self._items.replace(replace(item, text=kept))
                self._out.publish(facts.ItemTruncated(item.id, reply.cut_at // SAMPLES_PER_MS, kept))

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
