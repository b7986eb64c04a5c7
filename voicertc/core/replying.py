"""The agent's machine: replies from their request to the last word that was heard of them.

    live       the conversation's one reply: prepared, played, held
    trailing   ended ones that a client, playing at its own pace, has not played to their end
    asides     written replies outside the conversation, beside all else
    stopping   cancelled ones, until playout says what was heard of them
    guess      one that is prepared before it is known whether it is wanted

Owned and driven by the ``Floor``; what a reply puts out is ``output``, what may be truncated ``spoken``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from . import events, facts
from .clauses import Clause
from .commands import CancelReply, DuckReply, FillReply, HoldReply, ResumeReply, StartReply
from .guess import Guess
from .items import Item, Items, is_coming
from .outbox import Outbox
from .output import Output
from .replies import Failure, Reply, ReplyRequest, Stage
from .spoken import Spoken

_PLAYED = "played"
"""Why an ended reply stops whose client has said how much it played of it: nobody knows that better."""


class Replying:
    """All replies that are not over. ``patience``: seconds until a reply must be heard."""

    def __init__(self, items: Items, out: Outbox, *, id_prefix: str, patience: float) -> None:
        self.live: Reply | None = None
        self._items = items
        self._out = out
        self._id_prefix = id_prefix
        self._patience = patience
        self._count = 0
        self._trailing: dict[str, Reply] = {}
        self._asides: dict[str, Reply] = {}
        self._stopping: dict[str, tuple[Reply, str]] = {}
        self.guess = Guess(items, out)
        self._output = Output(items, out, id_prefix=id_prefix)
        self._spoken = Spoken(out)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of the conversation is being prepared, played, held or stopped."""
        return self.live is None and not self._trailing and not self._stopping

    @property
    def is_only_sounding(self) -> bool:
        """Whether all that was to be said is said, and merely being played."""
        is_through = self.live is None or (self.live.is_ended and self.live.stage is Stage.PLAYING)
        return is_through and not self._stopping

    @property
    def stage(self) -> Stage:
        """The live reply's stage; ``DONE`` when there is none."""
        return self.live.stage if self.live else Stage.DONE

    @property
    def item_id(self) -> str:
        """The id of the live reply's message; empty if there is none."""
        return self.live.item_id if self.live else ""

    @property
    def is_audible(self) -> bool:
        """Whether there is a spoken reply that plays, or would if it were not held."""
        is_spoken = self.live is not None and self.live.is_spoken
        return bool(self._trailing) or (is_spoken and self.stage in (Stage.PLAYING, Stage.HELD))

    @property
    def is_in_progress(self) -> bool:
        """Whether clients wait for the end of a reply of the conversation (``response.done``)."""
        return self.live is not None and not self.live.is_ended and not self.live.request.is_aside

    @property
    def n_asides(self) -> int:
        """How many written replies outside the conversation are at work."""
        return len(self._asides)

    @property
    def awaited(self) -> Iterator[Reply]:
        """The replies of which nothing has been heard or read yet."""
        at_work = (*self._asides.values(), self.live) if self.live else tuple(self._asides.values())
        return (reply for reply in at_work if reply.is_awaited)

    @property
    def is_silent(self) -> bool:
        """Whether nothing can be heard of the reply that is due: it is prepared, or its sound ran out."""
        if self.live is None or self.stage is Stage.PREPARING:
            return not self._trailing
        return self.stage is Stage.PLAYING and self.live.is_starved

    def claims_id(self, item_id: str) -> bool:
        """Whether the id is of a reply that is not in the history yet, so that no client may take it."""
        stopping = (reply for reply, _ in self._stopping.values())
        guessed = (self.guess.reply,) if self.guess.reply else ()
        at_work = (*stopping, *guessed, *self._asides.values(), *((self.live,) if self.live else ()))
        if any(reply.item_id == item_id or item_id in reply.behind for reply in at_work):
            return True
        is_message = is_coming(item_id, f"item_{self._id_prefix}r", self._count)
        return is_message or self._output.claims_id(item_id)

    def start(self, request: ReplyRequest, now: float) -> None:
        """Begin a reply; one that is merely being played goes on beside it.

        It has begun already if it was guessed.
        """
        if guessed := self.guess.take(request):
            self._adopt(guessed, now)
            return
        reply = self._new(request, now)
        if request.is_aside and not reply.is_spoken:
            self._asides[reply.id] = reply
        else:
            if self.live is not None:
                assert self.live.is_ended
                self._trailing[self.live.id] = self.live
            self.live = reply
        self._out.order(StartReply(reply.id, request))
        self._out.publish(facts.ReplyBegan(reply.id, request))

    def prepare(self, request: ReplyRequest, item: Item, now: float) -> None:
        """Prepare the answer to ``item``, which may come into the history, unheard and untold."""
        self.guess.prepare(self._new(request, now), item)

    def decline(self, request: ReplyRequest, now: float) -> None:
        """Tell of a reply that was cancelled before it was begun: whoever asked waits for its end."""
        reply = self._new(request, now)
        self._out.publish(facts.ReplyBegan(reply.id, request))
        self._output.end(reply, "client_cancelled")

    def shift(self, by: float) -> None:
        """Session time has jumped: whoever prepares a reply has as long as before."""
        for reply in self.awaited:
            reply.deadline += by

    # --- how much there is of it ----------------------------------------------------------------

    def clause_queued(self, event: events.ClauseQueued) -> None:
        """Note a clause that playout will come to."""
        reply = self._find(event.reply_id)
        if reply and event.index == len(reply.clauses):
            reply.clauses.append(Clause(event.text, is_filler=event.is_filler))

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
        self._begin_message(reply)
        if reply.n_begun == 1:
            self._out.publish(facts.PlayoutStarted(reply.id))
        self._output.grow(reply, reply.clauses[event.index].text)
        self._end_if_complete(reply)

    def text_added(self, event: events.ReplyTextAdded) -> None:
        """Written output grew."""
        reply = self._find(event.reply_id)
        if reply and not reply.is_spoken and event.text:
            self._begin_message(reply)
            self._output.grow(reply, event.text)

    def tool_called(self, event: events.ToolCalled) -> None:
        """The agent wants a function run."""
        reply = self._find(event.reply_id)
        if reply and not reply.is_generated:
            self._output.call(reply, event)

    def usage_counted(self, event: events.UsageCounted) -> None:
        """Note what the reply has cost."""
        reply = self._find(event.reply_id)
        if reply:
            counted = self.guess.with_owed(event.usage)
            reply.usage = counted if reply.usage is None else reply.usage + counted

    def generated(self, event: events.ReplyGenerated) -> None:
        """The engine is through."""
        reply = self._find(event.reply_id)
        if reply:
            reply.is_generated = True
            reply.cut_short = event.cut_short
            self._end_if_complete(reply)

    def failed(self, event: events.ReplyFailed) -> Reply | None:
        """The engine gave up; return the reply if nothing of it will be heard, which is then over."""
        reply = self._find(event.reply_id)
        if not reply or reply.is_generated:
            return None
        reply.failure = Failure(event.code, event.message)
        reply.is_generated = True
        if reply.clauses and reply.clauses[-1].n_samples is None:  # the voice broke off within it
            self._output.cut(reply, event.n_samples)
        self._end_if_complete(reply)
        return reply if not reply.clauses and not reply.has_message else None

    def drained(self, reply_id: str) -> Reply | None:
        """The last sample has left, or was played; return the reply, which is then over."""
        reply = self._trailing.pop(reply_id, None) or self._find(reply_id)
        if not reply or not reply.is_ended:
            return None
        self._out.publish(facts.PlayoutStopped(reply.id))
        self._spoken.remember(reply, None)
        if reply is self.live:
            self.live = None
        return reply

    # --- ducking, holding, stopping -------------------------------------------------------------

    def fill(self, phrase: str) -> None:
        """Bridge the wait for the live reply's own words; those that have come end without a space."""
        if self.live:
            has_words = any(not clause.is_filler for clause in self.live.clauses)
            self._out.order(FillReply(self.live.id, f" {phrase}" if has_words else f"{phrase} "))

    def starved(self, reply_id: str, *, is_starved: bool) -> None:
        """The live reply's sound has run out before its end, or there is more of it again."""
        if self.live and self.live.id == reply_id:
            self.live.is_starved = is_starved and not self.live.is_generated

    def duck(self) -> None:
        """Lower the reply that is playing."""
        if self.live and self.live.stage is Stage.PLAYING:
            self._out.order(DuckReply(self.live.id))

    def hold(self, now: float, *, even_unheard: bool = False) -> None:
        """Silence the reply that is playing, or keep one that is being prepared silent; it may go on."""
        is_unheard = self.stage is Stage.PREPARING
        if self.live and (self.stage is Stage.PLAYING or (is_unheard and even_unheard)):
            self.live.stage, self.live.held_since = Stage.HELD, now
            self._out.order(HoldReply(self.live.id))

    def resume(self, now: float) -> None:
        """Go on with a ducked or held reply, which has as long as it had before it was held."""
        if self.live and self.live.stage in (Stage.PLAYING, Stage.HELD):
            self.live.stage = Stage.PLAYING if self.live.has_begun else Stage.PREPARING
            if self.live.held_since is not None:
                self.live.deadline += now - self.live.held_since
                self.live.held_since = None
            self._out.order(ResumeReply(self.live.id))

    def cancel(self, reason: str) -> Reply | None:
        """Stop all that is audible or will be; return what was live.

        The items are cut when playout has said what was heard.
        """
        for trailing in tuple(self._trailing.values()):
            self._stop(trailing, reason)
        return self.withdraw(reason)

    def withdraw(self, reason: str) -> Reply | None:
        """Stop what is live, not what a client still plays of the one before; return it."""
        live, self.live = self.live, None
        if live:
            self._stop(live, reason)
        return live

    def cancel_aside(self, reply_id: str, reason: str) -> bool:
        """Stop a written reply outside the conversation; return whether there is one."""
        if reply := self._asides.get(reply_id):
            self._stop(reply, reason)
        return reply is not None

    def cancel_asides(self, reason: str) -> None:
        """Stop all written replies outside the conversation."""
        for reply in tuple(self._asides.values()):
            self._stop(reply, reason)

    def give_up(self, reply: Reply, failure: Failure) -> None:
        """Stop a reply that did not begin in time."""
        reply.failure = failure
        if reply is self.live:
            self.live = None
        self._stop(reply, "failed")

    def stopped(self, event: events.ReplyStopped) -> None:
        """Playout has stopped: the item keeps what was heard."""
        reply, reason = self._stopping.pop(event.reply_id, (None, ""))
        if reply is None:
            return
        heard = event.heard_samples
        if reply.cut_at is not None:
            heard = reply.cut_at if reason == _PLAYED else min(heard, reply.cut_at)
        self._output.keep_heard(reply, heard)
        if not reply.is_ended:
            self._output.end(reply, reason)
        if reply.n_begun:
            self._spoken.remember(reply, heard, event.made_samples)
            self._out.publish(facts.PlayoutCleared(reply.id))
            if heard != reply.cut_at:  # a client that cut it there itself has been told
                self._output.tell_truncated(reply, heard)

    def truncate(self, event: events.ItemTruncateRequested, *, is_client_paced: bool) -> str | None:
        """Cut an item to what its client played of it; see ``Spoken``.

        What a client that plays at its own pace has truncated, it does not play any more.
        """
        audible = (*self._trailing.values(), *((self.live,) if self.live else ()))
        reply = next((reply for reply in audible if reply.item_id == event.item_id and reply.n_begun), None)
        refusal = self._spoken.truncate(event, reply)
        if reply and refusal is None and is_client_paced and reply.is_ended:
            if reply is self.live:
                self.live = None
            self._stop(reply, _PLAYED)
        return refusal

    # --- within ---------------------------------------------------------------------------------

    def _adopt(self, guessed: Reply, now: float) -> None:
        """The guess was right: it is the live reply from now on."""
        guessed.deadline = now + self._patience
        self.live = guessed
        self._out.publish(facts.ReplyBegan(guessed.id, guessed.request))
        self._out.order(ResumeReply(guessed.id))

    def _new(self, request: ReplyRequest, now: float) -> Reply:
        self._count += 1
        return Reply(
            id=f"resp_{self._id_prefix}{self._count}",
            item_id=f"item_{self._id_prefix}r{self._count}",
            request=request,
            deadline=now + self._patience,
            items=Items() if request.is_aside else self._items,
        )

    def _find(self, reply_id: str) -> Reply | None:
        return self.live if self.live and self.live.id == reply_id else self._asides.get(reply_id)

    def _begin_message(self, reply: Reply) -> None:
        if reply.stage is Stage.PREPARING:
            reply.stage = Stage.PLAYING
        if not reply.has_message:
            self._output.begin_message(reply)

    def _stop(self, reply: Reply, reason: str) -> None:
        reply.stage = Stage.DONE
        self._trailing.pop(reply.id, None)
        self._asides.pop(reply.id, None)
        self._stopping[reply.id] = (reply, reason)
        self._out.order(CancelReply(reply.id))

    def _end_if_complete(self, reply: Reply) -> None:
        if not reply.is_generated or reply.is_ended or reply.n_begun < len(reply.clauses):
            return
        self._output.complete(reply)
        if not reply.clauses:  # nothing to hear: over at once
            self._asides.pop(reply.id, None)
            if reply is self.live:
                self.live = None
