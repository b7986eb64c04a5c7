"""Playout at the client's own pace: all sound is handed over as soon as it is made, and the client plays it.

    append ──> sink ──> client   [ played ......... | not yet played ...... ]
                                   since its first sample     at most ``_LEAD``

A WebSocket carries events, not time. What the client has played is known only if it says so
(``conversation.item.truncate``); until then it is taken to play all it gets, from the first sample on and
without a pause but where it has run dry. So nobody can make it play lower or hold: a reply goes on, or ends.
Only what has not been handed over at all, an answer that is prepared on a guess, can be kept back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import dropwhile, islice

from ..audio.pcm import PLAYOUT_RATE_HZ, Samples
from ..audio.playout import PlayoutListener

_LEAD = 30.0
"""Seconds a client may have in hand. Nearly every reply is sent as fast as it is made, as OpenAI's server
does; but a book is not to be made, paid for and sent before it is known whether anybody listens."""
_TICK = 1e-6
"""Seconds by which a timer may be early."""


class ClientPacedPlayout:
    """A ``Playout`` whose sound goes to ``sink(reply_id, samples)``; owned by one session.

    Replies follow one another without a pause: the next may ``begin`` when the one before is finished,
    although the client still plays it. All methods run on the event loop, whose time is every ``now``.
    """

    def __init__(self, sink: Callable[[str, Samples], None]) -> None:
        self.listener: PlayoutListener | None = None
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._replies: deque[_Reply] = (
            deque()
        )  # in the order of their sound; ended ones go with the next begin
        self._timer: asyncio.TimerHandle | None = None

    # --- the voice's side ---------------------------------------------------------------------------

    def begin(self, reply_id: str) -> None:
        """Make a new reply the one that is added to; the one before must be finished or cancelled."""
        assert all(reply.is_finished or reply.is_over for reply in self._replies), "a reply is not finished"
        self._replies = deque(reply for reply in self._replies if not reply.is_over)
        self._replies.append(_Reply(reply_id))

    def mark_clause(self, reply_id: str, index: int) -> None:
        """Let clause ``index`` begin with the next sample appended."""
        if reply := self._live(reply_id):
            reply.clauses.append(index) if reply.kept is None else reply.kept.append(index)

    def fill_frame(self, reply_id: str) -> int:
        """Do nothing: the client is not sent packets."""
        return 0

    def append(self, reply_id: str, samples: Samples, packets: tuple[bytes, ...] = ()) -> None:
        """Hand ``(n,)`` int16 mono at 24 kHz over to the client, which has no use for packets."""
        reply = self._live(reply_id)
        if reply is None or not len(samples):
            return
        assert not reply.is_finished, f"{reply_id} was finished and gets more samples"
        if reply.kept is None:
            self._hand_over(reply, samples)
        else:
            reply.kept.append(samples)

    def _hand_over(self, reply: _Reply, samples: Samples) -> None:
        reply_id, is_first = reply.id, not reply.n_sent
        now = self._loop.time()
        reply.sent(max(self._end, now), len(samples), now)
        if reply.is_starved:
            reply.is_starved = False
            if self.listener:
                self.listener.playout_fed(reply_id)
        # First the words, then their sound: that is the order in which a client is told of them.
        if is_first and self.listener:
            self.listener.playout_started(reply_id)
        while reply.clauses:
            index = reply.clauses.popleft()
            if self.listener:
                self.listener.clause_began(reply_id, index)
        if not reply.is_over:  # a listener may have cancelled it
            self._sink(reply_id, samples)
            self._set_timer()

    def is_full(self, reply_id: str) -> bool:
        """Whether the voice should wait for ``room_made``: the client has more than the lead in hand."""
        reply = self._live(reply_id)
        if reply is None or max(self._end - self._loop.time(), reply.kept_seconds) <= _LEAD + _TICK:
            return False
        reply.awaits_room = True
        self._set_timer()
        return True

    def finish(self, reply_id: str) -> None:
        """Say that no more will be appended; ``playout_drained`` follows when the client is at the end."""
        if reply := self._live(reply_id):
            reply.is_finished = True
            self._wake()

    # --- the conversation's side --------------------------------------------------------------------

    def duck(self, reply_id: str) -> None:
        """Do nothing: the client plays on."""

    def hold(self, reply_id: str) -> None:
        """Keep back a reply of which nothing was handed over; any other the client plays on."""
        reply = self._live(reply_id)
        if reply and not reply.n_sent and reply.kept is None:
            reply.kept = []

    def resume(self, reply_id: str) -> None:
        """Hand over what was kept back."""
        reply = self._live(reply_id)
        if reply is None or reply.kept is None:
            return
        kept, reply.kept = reply.kept, None
        for each in kept:
            if isinstance(each, int):
                reply.clauses.append(each)
            elif not reply.is_over:  # a listener may have cancelled it
                self._hand_over(reply, each)
        self._wake()

    def cancel(self, reply_id: str, now: float) -> int:
        """Take the client to have stopped the reply; return the samples heard, again if asked again."""
        reply = self._find(reply_id)
        if reply is None:
            return 0
        if not reply.is_over:
            self._stop(reply, now)
            self._set_timer()
        return reply.heard(now)

    def heard_samples(self, reply_id: str, now: float) -> int:
        """Count the samples that the client can have played; 0 for a reply that is not known."""
        reply = self._find(reply_id)
        return 0 if reply is None else reply.heard(now)

    def close(self) -> None:
        """Let no timer fire any more; may be called twice."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    # --- within -------------------------------------------------------------------------------------

    @property
    def _end(self) -> float:
        """When the client will have played all that it was handed."""
        return max((reply.end for reply in self._replies), default=0.0)

    def _find(self, reply_id: str) -> _Reply | None:
        return next((reply for reply in self._replies if reply.id == reply_id), None)

    def _live(self, reply_id: str) -> _Reply | None:
        reply = self._find(reply_id)
        return reply if reply is not None and not reply.is_over else None

    def _stop(self, reply: _Reply, now: float) -> None:
        """End the reply here; what was to follow it follows now."""
        unplayed = max(0.0, reply.end - max(now, reply.begin))
        reply.stop(now)
        for other in islice(dropwhile(lambda other: other is not reply, self._replies), 1, None):
            other.move(-unplayed)

    def _set_timer(self) -> None:
        self.close()
        if (at := self._next_event()) is not None:
            self._timer = self._loop.call_at(at, self._wake)

    def _next_event(self) -> float | None:
        times = [reply.end for reply in self._replies if reply.may_drain]
        times += [reply.end for reply in self._replies if reply.may_starve]
        times += [self._end - _LEAD for reply in self._replies if reply.awaits_room and reply.may_go_on]
        return min(times, default=None)

    def _wake(self) -> None:
        """Tell what has come to pass, then wait for what comes next."""
        now = self._loop.time() + _TICK
        for reply in tuple(self._replies):
            if reply.awaits_room and reply.may_go_on and self._end - _LEAD <= now:
                reply.awaits_room = False
                if self.listener:
                    self.listener.room_made(reply.id)
            if reply.may_starve and reply.end <= now:
                reply.is_starved = True
                if self.listener:
                    self.listener.playout_starved(reply.id)
            if reply.may_drain and reply.end <= now:
                reply.is_over = True
                if self.listener:
                    self.listener.playout_drained(reply.id)
        self._set_timer()


class _Reply:
    """What the client was handed of one reply, and when it plays that: stretches of time without a pause."""

    def __init__(self, reply_id: str) -> None:
        self.id = reply_id
        self.n_sent = 0
        self.clauses: deque[int] = deque()  # that begin with the next sample; as many as have no sound yet
        self.awaits_room = False
        self.is_finished = False
        self.is_starved = False
        self.is_over = False  # cancelled or drained
        self.kept: list[Samples | int] | None = None  # sound, and clauses that begin with what follows them
        self._stretches: deque[tuple[float, int]] = deque()  # begins at, samples
        self._heard_before = 0  # samples of stretches that are over and forgotten

    @property
    def may_go_on(self) -> bool:
        """Whether it is neither over nor kept back."""
        return not self.is_over and self.kept is None

    @property
    def may_drain(self) -> bool:
        """Whether it is over when the client has played what it has."""
        return self.is_finished and self.may_go_on

    @property
    def kept_seconds(self) -> float:
        """How much sound is kept back."""
        return sum(len(each) for each in self.kept or () if not isinstance(each, int)) / PLAYOUT_RATE_HZ

    @property
    def may_starve(self) -> bool:
        """Whether the client runs dry if no more of it comes."""
        return bool(self.n_sent) and not (self.is_finished or self.is_over or self.is_starved)

    @property
    def begin(self) -> float:
        """When the client begins to play what is left to play of it."""
        return self._stretches[0][0] if self._stretches else 0.0

    @property
    def end(self) -> float:
        """When the client has played all it has of it."""
        return _end_of(self._stretches[-1]) if self._stretches else 0.0

    def sent(self, at: float, n_samples: int, now: float) -> None:
        """Note samples that the client plays from ``at`` on."""
        while self._stretches and _end_of(self._stretches[0]) < now:
            self._heard_before += self._stretches.popleft()[1]
        if self._stretches and at <= self.end + _TICK:
            begin, n_before = self._stretches.pop()
            self._stretches.append((begin, n_before + n_samples))
        else:
            self._stretches.append((at, n_samples))
        self.n_sent += n_samples

    def heard(self, now: float) -> int:
        """Count the samples played by ``now``."""
        played = ((now + _TICK - begin) * PLAYOUT_RATE_HZ for begin, _ in self._stretches)
        return self._heard_before + sum(
            max(0, min(n_samples, int(n))) for n, (_, n_samples) in zip(played, self._stretches, strict=True)
        )

    def stop(self, now: float) -> None:
        """Nothing more of it is played."""
        self._heard_before = self.heard(now)
        self._stretches.clear()
        self.kept = None
        self.is_over = True

    def move(self, by: float) -> None:
        """Play all of it so many seconds later."""
        self._stretches = deque((begin + by, n_samples) for begin, n_samples in self._stretches)


def _end_of(stretch: tuple[float, int]) -> float:
    begin, n_samples = stretch
    return begin + n_samples / PLAYOUT_RATE_HZ
