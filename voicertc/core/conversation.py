"""One conversation: events in, commands out.

``handle`` takes one event and the time, and returns what to do; it never waits and never raises, whatever
the order of events. Between events the caller waits for ``next_deadline``. Deadlines that have passed are
met before an event is looked at, so a late timer changes nothing.

What an event means for who may speak is decided in ``floor``; this dispatches, keeps time and the call's end,
and shows one state to the world.
"""

from __future__ import annotations

from . import events, facts
from .clients import ClientDoor
from .commands import Command, EndCall
from .events import Event
from .facts import State
from .floor import Floor
from .items import Item, Items
from .options import ConversationOptions, SessionOptions
from .outbox import Outbox
from .replies import Stage


class Conversation:
    """Owns the history and decides everything. One task calls it, with a ``now`` that never falls."""

    def __init__(
        self,
        options: ConversationOptions | None = None,
        session: SessionOptions | None = None,
        *,
        id_prefix: str = "",
    ) -> None:
        self.options = options or ConversationOptions()
        self._items = Items()
        self._out = Outbox()
        self._floor = Floor(
            self.options, session or SessionOptions(), self._items, self._out, id_prefix=id_prefix
        )
        self._clients = ClientDoor(self.options, self._floor, self._items, self._out, id_prefix=id_prefix)
        self._state = State.CONNECTING
        self._is_over = False
        self._untold_end: str | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """The history as it was heard, oldest first."""
        return tuple(self._items)

    @property
    def session(self) -> SessionOptions:
        """What the client has chosen."""
        return self._floor.session

    @property
    def state(self) -> State:
        """The one state shown to the world."""
        return self._state

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event at ``now`` (seconds since the session began); return what to do, in order."""
        self._floor.now = max(now, self._floor.now)
        if self._is_over:
            self._follow_end(event)
            return self._out.take()
        if isinstance(event, events.ClockAdvanced):
            self._floor.clock_advanced(event.by)  # before deadlines are met, for it has moved them as well
        self._meet_deadlines()
        self._dispatch(event)
        self._meet_deadlines()  # what is late by its audio time is due at once
        self._take_floor()
        while self._is_word_due():
            self._meet_deadlines()
            self._take_floor()
        self._forget_oldest()
        self._publish_state()
        return self._out.take()

    def next_deadline(self) -> float | None:
        """Return when to call ``handle(TimeElapsed(), …)`` if nothing happens before; ``None``: never."""
        return None if self._is_over else min((at for at, _ in self._floor.deadlines()), default=None)

    def _forget_oldest(self) -> None:
        options, items = self.options, self._items
        while len(items) > options.max_items or (
            items.n_characters > options.max_characters and len(items) > 1
        ):
            items.remove(next(iter(items)).id)

    def _meet_deadlines(self) -> None:
        floor = self._floor
        while not self._is_over and (due := [entry for entry in floor.deadlines() if entry[0] <= floor.now]):
            min(due, key=lambda entry: entry[0])[1]()

    def _is_word_due(self) -> bool:
        return not self._is_over and self._floor.follow_promise()

    def _take_floor(self) -> None:
        if not self._is_over and self._floor.take():
            self._end("agent")
        self._floor.forget_wrong_guess()
        if released := self._floor.replying.guess.release():
            for event in released:
                self._dispatch_reply(event)
            self._take_floor()  # it may be over already, and others wait

    # --- dispatch -------------------------------------------------------------------------------

    def _dispatch(self, event: Event) -> None:
        floor = self._floor
        match event:
            case events.TimeElapsed() | events.ClockAdvanced():
                pass  # deadlines have been met already
            case events.SpeechSuspected():
                floor.speech_suspected()
            case events.SpeechStarted(at):
                floor.speech_started(at)
            case events.SpeechStopped(at):
                floor.speech_stopped(at)
            case events.TranscriptInterim(item_id, text):
                if text and floor.listening.knows(item_id):
                    self._out.publish(facts.InterimHeard(item_id, text))
            case events.WordsGuessed(item_id, text):
                floor.words_guessed(item_id, text)
            case events.TurnEndHeard(item_id):
                floor.turn_end_heard(item_id)
            case events.TranscriptFinal() | events.TranscriptFailed():
                floor.recognized(event)
            case events.CallConnected():
                floor.presence.connected(floor.now)
            case events.ClientAway():
                floor.away()
            case events.ClientBack():
                floor.back()
            case events.CallEnded(reason):
                self._end(reason)
            case events.SayRequested(text, cause):
                floor.agenda.say(text, cause)
            case events.EndRequested():
                floor.presence.leave(floor.replying.live)
            case _:
                self._dispatch_reply(event)

    def _dispatch_reply(self, event: Event) -> None:
        replying = self._floor.replying
        if replying.guess.withholds(event):
            return
        match event:
            case events.ReplyTextAdded():
                replying.text_added(event)
            case events.ClauseQueued():
                replying.clause_queued(event)
            case events.ClauseMarked():
                replying.clause_marked(event)
            case events.ClauseVoiced():
                replying.clause_voiced(event)
            case events.ClauseBegan():
                replying.clause_began(event)
            case events.ToolCalled():
                replying.tool_called(event)
            case events.UsageCounted():
                replying.usage_counted(event)
            case events.ReplyGenerated():
                replying.generated(event)
            case events.ReplyStopped():
                replying.stopped(event)
            case events.ReplyFailed():
                self._floor.reply_failed(event)
            case events.PlayoutStarved(reply_id) | events.PlayoutFed(reply_id):
                replying.starved(reply_id, is_starved=isinstance(event, events.PlayoutStarved))
            case events.PlayoutDrained(reply_id):
                self._floor.drained(reply_id)
            case _:
                self._clients.handle(event)

    # --- the end --------------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        self._is_over = True
        self._untold_end = reason
        self._floor.end()
        self._publish_state()
        if self._floor.replying.is_idle:
            self._tell_end()

    def _follow_end(self, event: Event) -> None:
        """Take what was heard of replies that were cut off; anything else means that no more of it comes."""
        if isinstance(event, events.ReplyStopped):
            self._floor.replying.stopped(event)
            if not self._floor.replying.is_idle:
                return
        self._tell_end()

    def _tell_end(self) -> None:
        """Tell that it is over, behind all else: what was heard of a reply is known only a moment later."""
        if self._untold_end is not None:
            self._out.publish(facts.CallEnding(self._untold_end))
            self._out.order(EndCall(self._untold_end))
            self._untold_end = None

    # --- the state shown to the world -----------------------------------------------------------

    def _publish_state(self) -> None:
        state = self._current_state()
        if state is not self._state:
            self._state = state
            self._out.publish(facts.StateChanged(state))

    def _current_state(self) -> State:
        floor = self._floor
        if self._is_over:
            return State.ENDING
        if not floor.presence.is_connected:
            return State.CONNECTING
        if floor.presence.is_away:
            return State.RECONNECTING
        if floor.presence.greet_at is not None:
            return State.INITIALIZING
        match floor.replying.stage:
            case Stage.HELD:
                return State.INTERRUPTED
            case Stage.PLAYING if not floor.replying.is_silent:
                return State.SPEAKING
            case Stage.PLAYING | Stage.PREPARING if not floor.listening.is_speaking:
                return State.THINKING
        if floor.listening.is_speaking or floor.listening.is_settled:
            return State.LISTENING
        return State.PROCESSING
