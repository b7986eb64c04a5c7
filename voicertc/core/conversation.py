"""One conversation: the user's machine, the agent's machine, and the few rules that join them.

    user     SILENT ──speech──> SPEAKING <──> PAUSING ──silence──> turn decided ──final words──┐
    agent    IDLE <──drained── PLAYING <──> HELD                                               │
               └──────────────────> PREPARING <────────────────────────────────────────────────┘

``handle`` takes one event and the time, and returns what to do; it never waits and never raises, whatever
the order of events. Between events the caller waits for ``next_deadline``. Deadlines that have passed are
met before an event is looked at, so a late timer changes nothing.

The user's side is ``listening``, the agent's ``replying``, what waits to be said ``agenda``. The rules that
join them are methods here: ``_hold``, ``_resume``, ``_barge_in``, ``_reopen_turn``, ``_take_floor``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import events, facts
from .agenda import Agenda
from .clients import ClientDoor
from .commands import Command, DropTurn, EndCall
from .endpointing import Turn, end_of_turn
from .events import Event, Origin
from .facts import State
from .interruption import Hold, claims_floor
from .items import Item, Items
from .listening import Listening
from .options import ConversationOptions, SessionOptions
from .outbox import Outbox
from .replies import Cause, Failure, Reply, ReplyRequest, Stage
from .replying import Replying


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
        self.session = session or SessionOptions()
        self._now = 0.0
        self._state = State.CONNECTING
        self._is_connected = self._is_away = self._is_over = False
        self._items = Items()
        self._out = Outbox()
        self._listening = Listening(self._items, self._out, id_prefix=id_prefix)
        self._replying = Replying(self._items, self._out, id_prefix=id_prefix)
        self._clients = ClientDoor(self._items, self._out, id_prefix=id_prefix)
        self._agenda = Agenda(max_says=self.options.max_queued_says)
        self._hold_in_doubt: Hold | None = None
        self._is_ducked = False
        self._greet_at: float | None = None
        self._end_is_due = False

    # --- what the session sees ------------------------------------------------------------------

    @property
    def items(self) -> tuple[Item, ...]:
        """The history as it was heard, oldest first."""
        return tuple(self._items)

    @property
    def state(self) -> State:
        """The one state shown to the world."""
        return self._state

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event at ``now`` (seconds since the session began); return what to do, in order."""
        self._now = max(now, self._now)
        if self._is_over:
            if isinstance(event, events.ReplyStopped):
                self._replying.stopped(event)
            return self._out.take()
        self._meet_deadlines()
        if not self._is_over:
            self._dispatch(event)
        self._meet_deadlines()  # what is late by its audio time is due at once
        self._take_floor()
        while len(self._items) > self.options.max_items:
            self._items.remove(next(iter(self._items)).id)
        self._publish_state()
        return self._out.take()

    def next_deadline(self) -> float | None:
        """Return when to call ``handle(TimeElapsed(), …)`` if nothing happens before; ``None``: never."""
        return min((at for at, _ in self._deadlines()), default=None)

    # --- dispatch -------------------------------------------------------------------------------

    def _dispatch(self, event: Event) -> None:
        match event:
            case events.TimeElapsed():
                pass  # deadlines have been met already
            case events.SpeechSuspected():
                self._speech_suspected()
            case events.SpeechStarted(at):
                self._speech_started(at)
            case events.SpeechStopped(at):
                self._speech_stopped(at)
            case events.TranscriptInterim(item_id, text):
                if text and self._listening.knows(item_id):
                    self._out.publish(facts.InterimHeard(item_id, text))
            case events.TranscriptFinal():
                self._final(event)
            case events.TranscriptFailed():
                self._hearing_failed(event)
            case events.ReplyTextAdded():
                self._replying.text_added(event)
            case events.ClauseQueued():
                self._replying.clause_queued(event)
            case events.ClauseVoiced():
                self._replying.clause_voiced(event)
            case events.ClauseBegan():
                self._replying.clause_began(event)
            case events.ReplyGenerated(reply_id):
                self._replying.generated(reply_id)
            case events.ReplyFailed():
                self._reply_failed(event)
            case events.PlayoutDrained(reply_id):
                self._drained(reply_id)
            case events.ReplyStopped():
                self._replying.stopped(event)
            case events.SayRequested(text, cause):
                self._agenda.say(text, cause)
            case events.EndRequested():
                self._end_is_due = True
            case _:
                self._dispatch_call(event)

    def _dispatch_call(self, event: Event) -> None:
        match event:
            case events.CallConnected():
                self._connected()
            case events.ClientAway():
                self._away()
            case events.ClientBack():
                self._back()
            case events.CallEnded(reason):
                self._end(reason)
            case events.SessionUpdated(options, origin):
                self._session_updated(options, origin)
            case events.ItemSubmitted():
                item_id = event.item.id
                is_taken = self._listening.claims_id(item_id) or self._replying.claims_id(item_id)
                self._clients.submit(event, is_taken=is_taken)
            case events.ItemDeleteRequested():
                self._clients.delete(event)
            case events.ItemRetrieveRequested():
                self._clients.retrieve(event)
            case events.ItemTruncateRequested(item_id, audio_end_ms, origin):
                if why := self._replying.truncate(item_id, audio_end_ms):
                    self._clients.refuse("invalid_value", why, origin, "audio_end_ms")
            case events.ResponseRequested(request, origin):
                self._response_requested(request, origin)
            case events.ResponseCancelRequested(reply_id, origin):
                self._response_cancelled(reply_id, origin)
            case events.OutputClearRequested():
                self._silence("client_cancelled")
            case events.InputCommitRequested(origin):
                self._input_committed(origin)
            case events.InputClearRequested():
                self._listening.drop()
                self._out.publish(facts.InputCleared())
                self._resume()
            case events.ClientErred(code, message, param, origin):
                self._clients.refuse(code, message, origin, param)

    # --- deadlines ------------------------------------------------------------------------------

    def _deadlines(self) -> Iterator[tuple[float, Callable[[], None]]]:
        if self._is_over:
            return
        if turn := self._listening.turn:
            at = end_of_turn(turn, self.session.turn_detection, self.options.endpointing)
            yield at, self._end_turn
        if hold := self._hold_in_doubt:
            if hold.claim_at is not None:
                yield hold.claim_at, self._claim
            if hold.resume_at is not None:
                yield hold.resume_at, self._resume
        if pending := self._listening.next_missed:
            yield pending.deadline, self._final_missed
        if self._replying.live and self._replying.stage is Stage.PREPARING:
            yield self._replying.live.deadline, self._reply_missed
        if self._greet_at is not None:
            yield self._greet_at, self._greet

    def _meet_deadlines(self) -> None:
        while due := [entry for entry in self._deadlines() if entry[0] <= self._now]:
            # Each of these takes its own deadline away, so the loop ends.
            min(due, key=lambda entry: entry[0])[1]()

    # --- the call -------------------------------------------------------------------------------

    def _connected(self) -> None:
        if not self._is_connected:
            self._is_connected = True
            self._greet_at = self._now + self.options.greeting_delay

    def _greet(self) -> None:
        self._greet_at = None
        if self.options.phrases.greeting:
            self._agenda.say(self.options.phrases.greeting, Cause.GREETING)

    def _away(self) -> None:
        self._is_away = True
        if self._listening.turn:
            self._listening.turn.is_speaking = False
            self._end_turn()
        self._hold_in_doubt = None
        self._replying.hold()

    def _back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._replying.resume()

    def _end(self, reason: str) -> None:
        self._is_over = True
        self._listening.drop_all()
        self._silence("client_cancelled")
        self._agenda.clear()
        self._publish_state()
        self._out.publish(facts.CallEnding(reason))
        self._out.order(EndCall(reason))

    def _session_updated(self, options: SessionOptions, origin: Origin | None) -> None:
        self.session = options
        self._out.publish(facts.SessionChanged(options, origin))
        if self._greet_at is not None:
            self._greet()

    # --- the user's turn ------------------------------------------------------------------------

    def _speech_suspected(self) -> None:
        if self._may_interrupt and self._replying.stage is Stage.PLAYING and not self._listening.turn:
            self._is_ducked = True
            self._replying.duck()

    def _speech_started(self, at: float) -> None:
        self._is_ducked = False
        if turn := self._listening.turn:
            turn.is_speaking = True
            if self._hold_in_doubt:
                self._hold()
            return
        detection = self.session.turn_detection
        turn = self._listening.open(at, detection)
        stage = self._replying.stage
        if detection is None:
            return  # push-to-talk: the turn shows itself when it is committed
        if stage in (Stage.PLAYING, Stage.HELD) and self._may_interrupt:
            self._hold()
            return
        self._listening.announce(turn, detection)
        if stage is Stage.PREPARING:
            self._reopen_turn()

    def _speech_stopped(self, at: float) -> None:
        if self._is_ducked:
            self._is_ducked = False
            self._replying.resume()
        turn = self._listening.turn
        if not turn or not turn.is_speaking:
            return
        turn.is_speaking = False
        turn.last_speech_at = max(turn.last_speech_at, at)
        if self._hold_in_doubt:
            self._hold_in_doubt = Hold(resume_at=at + self.options.interruptions.resume_after)

    def _end_turn(self) -> None:
        detection = self.session.turn_detection
        turn = self._listening.close(self._now + self.options.endpointing.final_timeout)
        if self._replying.is_idle:  # what it may have talked over has ended
            self._listening.announce(turn, detection)
        if turn.is_published:
            self._listening.commit(turn, self._now if turn.is_speaking else turn.last_speech_at, detection)
        if turn.is_speaking:
            # A monologue is heard in pieces of the maximum length; the floor stays the user's.
            rest = self._listening.open(self._now, detection, continues=True)
            if turn.is_published:
                self._listening.announce(rest, detection)
        if turn.failure:
            self._hearing_failed(turn.failure)

    def _final(self, event: events.TranscriptFinal) -> None:
        turn = self._listening.settle(event.item_id)
        if turn is None:
            return
        text = event.text.strip()
        if not turn.is_published:
            options = self.options
            if not claims_floor(text, event.confidence, options.interruptions, options.backchannels):
                self._resume()
                return
            self._barge_in(turn)
            self._listening.commit(turn, turn.last_speech_at, self.session.turn_detection)
        if self._listening.understood(event, text) and text:
            self._greet_at = None
            self._agenda.drop_greeting()
            detection = self.session.turn_detection
            if detection is not None and detection.create_response:
                self._agenda.answer_is_due = True

    def _hearing_failed(self, event: events.TranscriptFailed) -> None:
        open_turn = self._listening.turn
        if open_turn and open_turn.item_id == event.item_id:
            open_turn.failure = event  # the user still speaks: they are told when they have done
            return
        turn = self._listening.settle(event.item_id)
        if turn is None:
            return
        if not turn.is_published:
            self._resume()
            return
        self._out.publish(facts.HearingFailed(event.item_id, event.code, event.message))
        phrases = self.options.phrases
        self._agenda.say(phrases.busy if event.code == "busy" else phrases.not_heard, Cause.APOLOGY)

    def _final_missed(self) -> None:
        missed = self._listening.next_missed
        if missed:
            self._out.order(DropTurn(missed.turn.item_id))
            why = "The recognizer did not answer in time."
            self._hearing_failed(events.TranscriptFailed(missed.turn.item_id, "timeout", why))

    # --- the agent's replies --------------------------------------------------------------------

    def _reply_failed(self, event: events.ReplyFailed) -> None:
        if silent := self._replying.failed(event):
            self._apologize(silent)

    def _reply_missed(self) -> None:
        failure = Failure("timeout", "The reply did not begin in time.")
        if late := self._replying.cancel("failed", failure):
            self._apologize(late)

    def _apologize(self, reply: Reply) -> None:
        if reply.request.cause is not Cause.APOLOGY:  # a voice that fails cannot apologize for itself
            self._agenda.say(self.options.phrases.apology, Cause.APOLOGY)

    def _drained(self, reply_id: str) -> None:
        if reply := self._replying.drained(reply_id):
            self._hold_in_doubt = None
            self._is_ducked = False
            if reply.failure:
                self._apologize(reply)

    # --- joint rules ----------------------------------------------------------------------------

    @property
    def _may_interrupt(self) -> bool:
        detection = self.session.turn_detection
        return detection is not None and detection.interrupt_response and self.options.interruptions.enabled

    def _hold(self) -> None:
        """The user may be taking the floor: silence first, decide then."""
        self._replying.hold()
        self._hold_in_doubt = Hold(claim_at=self._now + self.options.interruptions.min_speech)

    def _resume(self) -> None:
        """It was no claim: the reply goes on where it was silenced."""
        if self._hold_in_doubt and not self._listening.is_speaking:
            self._hold_in_doubt = None
            self._replying.resume()

    def _claim(self) -> None:
        """The user went on speaking over the held reply."""
        self._hold_in_doubt = None
        if self._listening.turn:
            self._barge_in(self._listening.turn)

    def _barge_in(self, turn: Turn) -> None:
        """The floor is the user's: the reply ends at the last word that was heard."""
        self._listening.announce(turn, self.session.turn_detection)
        self._silence("turn_detected")

    def _silence(self, reason: str) -> None:
        self._hold_in_doubt = None
        self._replying.cancel(reason)

    def _reopen_turn(self) -> None:
        """The user went on before the reply was audible: what they said before still wants an answer."""
        if reply := self._replying.cancel("turn_detected"):
            self._agenda.put_back(reply.request)

    def _take_floor(self) -> None:
        """Speak, if the floor is free and there is something to say."""
        if self._is_over or self._is_away or not self._is_connected or not self._replying.is_idle:
            return
        users = self._listening.turn is not None and self.session.turn_detection is not None
        if users or not self._listening.is_settled:
            return
        if request := self._agenda.take(self.session):
            self._replying.start(request, self._now + self.options.endpointing.reply_timeout)
        elif self._end_is_due:
            self._end("agent")

    # --- what clients ask for -------------------------------------------------------------------

    def _response_requested(self, request: ReplyRequest, origin: Origin | None) -> None:
        live = self._replying.live
        if self._agenda.asked is not None or (live is not None and not live.is_ended):
            why = "A response is already in progress; wait for response.done or cancel it."
            self._clients.refuse("conversation_already_has_active_response", why, origin)
            return
        self._agenda.asked = request  # begins when what is still playing has been heard

    def _response_cancelled(self, reply_id: str | None, origin: Origin | None) -> None:
        live = self._replying.live
        if live is None or live.is_ended or reply_id not in (None, live.id):
            why = "There is no such response to cancel."
            self._clients.refuse("response_cancel_not_active", why, origin)
            return
        self._silence("client_cancelled")

    def _input_committed(self, origin: Origin | None) -> None:
        turn = self._listening.turn
        if turn is None:
            why = "Nothing has been said since the last commit."
            self._clients.refuse("input_audio_buffer_commit_empty", why, origin)
            return
        if self.session.turn_detection is None:
            self._listening.announce(turn, None)
        elif not turn.is_published:
            self._barge_in(turn)
        turn.is_speaking = False
        turn.last_speech_at = max(turn.last_speech_at, self._now)
        self._end_turn()

    # --- the state shown to the world -----------------------------------------------------------

    def _publish_state(self) -> None:
        state = self._current_state()
        if state is not self._state:
            self._state = state
            self._out.publish(facts.StateChanged(state))

    def _current_state(self) -> State:
        if self._is_over:
            return State.ENDING
        if not self._is_connected:
            return State.CONNECTING
        if self._is_away:
            return State.RECONNECTING
        if self._greet_at is not None:
            return State.INITIALIZING
        match self._replying.stage:
            case Stage.HELD:
                return State.INTERRUPTED
            case Stage.PLAYING:
                return State.SPEAKING
            case Stage.PREPARING if not self._listening.is_speaking:
                return State.THINKING
        if self._listening.is_speaking or self._listening.is_settled:
            return State.LISTENING
        return State.PROCESSING
