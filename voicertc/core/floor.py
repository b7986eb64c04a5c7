"""Who may speak: the rules that join the user's machine and the agent's.

    user     SILENT ──speech──> SPEAKING <──> PAUSING ──silence──> turn decided ──final words──┐
    agent    IDLE <──drained── PLAYING <──> HELD                                               │
               └──────────────────> PREPARING <────────────────────────────────────────────────┘

The user's side is ``listening``, the agent's ``replying``, what waits to be said ``agenda``. What happens to
one side because of the other is decided here and nowhere else: ``_hold``, ``_resume``, ``barge_in``,
``_reopen_turn``, ``take``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from . import events, facts
from .agenda import Agenda, plain_request
from .commands import DropTurn
from .endpointing import Turn, end_of_turn, guess_at
from .idleness import Idleness
from .interruption import Interruption, claims_floor
from .items import Item, Items, Modality, Role
from .listening import Listening
from .options import ConversationOptions, SessionOptions
from .outbox import Outbox
from .presence import Presence
from .promise import Promise
from .replies import Cause, Failure, Reply, Stage
from .replying import Replying

_WORD_END = 0.2
"""Seconds of speech after a commit that are still the end of the last word, not a new turn."""


class Floor:
    """Owned by the ``Conversation``, which sets ``now`` before it tells what has happened."""

    def __init__(
        self,
        options: ConversationOptions,
        session: SessionOptions,
        items: Items,
        out: Outbox,
        *,
        id_prefix: str,
    ) -> None:
        patience = options.endpointing.reply_timeout
        self.now = 0.0
        self.session = session
        self.listening = Listening(items, out, id_prefix=id_prefix)
        self.replying = Replying(items, out, id_prefix=id_prefix, patience=patience)
        self.agenda = Agenda(max_says=options.max_queued_says)
        self.presence = Presence(greeting_delay=options.greeting_delay)
        self._idleness = Idleness()
        self._options = options
        self._items = items
        self._out = out
        self._doubt = Interruption(options.interruptions)
        self._promise = Promise(self.listening, self.replying, self.agenda, items, options.phrases)

    def deadlines(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """Yield what is to be done when. Each of these takes its own deadline away, or sets a later one."""
        if turn := self.listening.turn:
            at = end_of_turn(turn, self.session.turn_detection, self._options.endpointing)
            yield at, self.end_turn
            at_first = guess_at(turn, self._options.endpointing) if self._may_guess else None
            if at_first is not None and at_first < at and self.now < at:
                yield at_first, self._guess_turn
        if self._doubt.claim_at is not None:
            yield self._doubt.claim_at, self._claim
        if self._doubt.resume_at is not None:
            yield self._doubt.resume_at, self._resume
        if pending := self.listening.next_missed:
            yield pending.deadline, self._words_missed
        for reply in self.replying.awaited:
            yield reply.deadline, partial(self._reply_missed, reply)
        if self.presence.greet_at is not None:
            yield self.presence.greet_at, self._greet
        if self._promise.deadline is not None:
            yield self._promise.deadline, self._keep_promise
        if (idle_at := self._idleness.deadline(self.session.turn_detection)) is not None:
            yield idle_at, self._time_out

    # --- the call -------------------------------------------------------------------------------

    def clock_advanced(self, by: float) -> None:
        """Session time has jumped by so much; those who wait for services wait no less for it.

        Where a file is sent there is no time to prepare an answer: its pauses are over at once.
        """
        if self.listening.turn:
            self.listening.turn.is_guessed = True
        self.listening.shift(by)
        self.replying.shift(by)
        self._promise.shift(by)
        self.presence.shift(by)

    def session_updated(self, options: SessionOptions) -> None:
        """The session's options are now these; a greeting waits for what their client does next."""
        was, self.session = self.session.turn_detection, options
        if (was is None) is not (options.turn_detection is None):
            self.listen_afresh()  # what was in the air was said under other rules
        self.presence.set_up(self.now)

    def away(self) -> None:
        """Nobody is there to hear: the turn is over, the reply waits, even one that has not begun."""
        self.presence.is_away = True
        self.replying.guess.drop()
        self._idleness.interrupted()
        self.listening.is_voice_on = False
        if self.listening.turn:
            self.listening.turn.is_speaking = False
            self.end_turn()
        self._doubt.forget()
        self.replying.hold(self.now, even_unheard=True)

    def back(self) -> None:
        """The client is there again."""
        if self.presence.is_away:
            self.presence.is_away = False
            if not self._doubt.is_held:
                self.replying.resume(self.now)

    def end(self) -> None:
        """It is over: forget everything, be silent."""
        self.listening.drop_all()
        self.replying.guess.drop()
        self.silence("client_cancelled")
        self.replying.cancel_asides("client_cancelled")
        self.agenda.clear()

    def _greet(self) -> None:
        self.presence.greet_at = None
        if self._options.phrases.greeting and not self.session.is_transcription:
            self.agenda.say(self._options.phrases.greeting, Cause.GREETING)

    def greet_no_more(self) -> None:
        """Somebody else has the first word."""
        self.presence.greet_at = None
        self.agenda.drop_greeting()

    # --- the user's turn ------------------------------------------------------------------------

    def speech_suspected(self) -> None:
        """Someone may be speaking: the reply makes room."""
        if self._may_interrupt and self.replying.stage is Stage.PLAYING and not self.listening.is_speaking:
            self._doubt.duck()
            self.replying.duck()

    def speech_started(self, at: float, *, continues: bool = False) -> None:
        """The user speaks; ``continues``: has been speaking, but in what was another turn until now."""
        self._idleness.interrupted()
        self.replying.guess.drop()
        self.listening.is_voice_on = True
        detection = self.session.turn_detection
        turn = self.listening.turn
        if turn:
            turn.is_speaking, turn.is_guessed = True, False
        else:
            turn = self.listening.open(at, detection, continues=continues)
        if self.replying.is_audible and self._may_interrupt:
            self._hold()
            return
        self._resume()  # what was held or ducked may not be interrupted any more
        if turn.is_withheld:
            return  # push-to-talk: the turn shows itself when it is committed
        if not continues:
            self.listening.announce(turn, detection)
        if self.replying.stage is Stage.PREPARING:
            self._reopen_turn()

    def speech_stopped(self, at: float) -> None:
        """The user pauses, or has said all; also ends a mere suspicion."""
        self.listening.is_voice_on = False
        if self._doubt.is_ducked:
            self._resume()
        turn = self.listening.turn
        if not turn or not turn.is_speaking:
            return
        turn.is_speaking = False
        turn.last_speech_at = max(turn.last_speech_at, at)
        if turn.continues and not turn.is_published and at < turn.started_at + _WORD_END:
            self.listening.drop()
            self._resume()
        else:
            self._doubt.pause(at)

    def _guess_turn(self) -> None:
        """The user pauses, and may have said all: find out what the answer would be."""
        turn = self.listening.turn
        assert turn is not None
        turn.is_guessed = True
        turn.n_guesses += 1
        self.listening.guess(turn)
        if self.session.answers_sound:
            self._prepare(turn, None)

    def words_guessed(self, item_id: str, text: str) -> None:
        """These are the turn's words, if it is over; who answers its sound is at work already."""
        turn = self.listening.turn
        is_wanted = turn is not None and turn.item_id == item_id and turn.is_guessed and self._may_guess
        may_ask = self._options.endpointing.is_agent_guessing and not self.session.answers_sound
        if turn and is_wanted and may_ask and text.strip():
            self._prepare(turn, text.strip())

    def _prepare(self, turn: Turn, words: str | None) -> None:
        item = Item(turn.item_id, Role.USER, words, modality=Modality.AUDIO)
        self.replying.prepare(plain_request(self.session, Cause.TURN), item, self.now)

    @property
    def _may_guess(self) -> bool:
        """Whether the open turn would be answered at once, and nobody could hear of it before its time."""
        is_free = self.replying.is_idle and self.listening.is_settled and self.agenda.asked is None
        is_up = self.presence.is_up and not self.presence.is_leaving
        return is_free and is_up and self.session.output is Modality.AUDIO and self._answers_turns

    def turn_end_heard(self, item_id: str) -> None:
        """The recognizer says that the turn is over; if the user is heard to speak, it is not."""
        turn = self.listening.turn
        if turn and turn.item_id == item_id and not turn.is_speaking and not turn.is_withheld:
            self.end_turn()

    def recognized(self, event: events.TranscriptFinal | events.TranscriptFailed) -> None:
        """A turn's words have come, or will not."""
        if turn := self.listening.settle(event):
            self.conclude(turn, event)

    def end_turn(self) -> None:
        """The open turn is over: its words are due."""
        detection = self.session.turn_detection
        turn = self.listening.close(self.now + self._options.endpointing.final_timeout)
        if self.replying.is_idle and not turn.is_withheld:  # what it may have talked over has ended
            self.listening.announce(turn, detection)
        if turn.is_published:
            self.listening.commit(turn, self.now if turn.is_speaking else turn.last_speech_at, detection)
            if self.session.answers_sound and self._answers_turns:
                turn.is_answered = True
                self._answer()
        if turn.is_speaking:
            # A monologue is heard in pieces of the maximum length; the floor stays the user's.
            rest = self.listening.open(self.now, detection, continues=True)
            if turn.is_published and not rest.is_withheld:
                self.listening.announce(rest, detection)
        if turn.result:
            self.recognized(turn.result)

    def conclude(self, turn: Turn, event: events.TranscriptFinal | events.TranscriptFailed) -> None:
        """Do what a turn's words, or their failure, ask for."""
        match event:
            case events.TranscriptFinal():
                self._understood(turn, event)
            case events.TranscriptFailed():
                self._not_understood(turn, event)

    def _understood(self, turn: Turn, event: events.TranscriptFinal) -> None:
        text = event.text.strip()
        if not turn.is_published:
            # Once the reply it was said over has ended, any word is one: it may be the answer to it.
            backchannels = () if self.replying.is_idle else self._options.backchannels
            if not claims_floor(text, event.confidence, self._options.interruptions, backchannels):
                self._disclaim(turn)
                return
            self.barge_in(turn)
            self.listening.commit(turn, turn.last_speech_at, self.session.turn_detection)
        is_kept = self.listening.understood(turn, event, text)
        if not turn.is_recorded:
            self._promise.speech_judged(turn, has_words=bool(text))
        if not is_kept or turn.is_recorded or turn.is_answered:
            return
        if text:
            self.greet_no_more()
            self.agenda.answer_is_due |= self._answers_turns
        elif self._answers_turns and turn.is_meant and not self._is_work_under_way:
            self.agenda.say(self._options.phrases.not_heard, Cause.APOLOGY)

    @property
    def _is_work_under_way(self) -> bool:
        """Whether the user waits for an answer, or for what a function gives: that is what comes next."""
        return self.agenda.answer_is_due or self._promise.is_tool_at_work

    def _answer(self) -> None:
        """The user has said something that wants an answer."""
        self.greet_no_more()
        self.agenda.answer_is_due = True

    def _not_understood(self, turn: Turn, event: events.TranscriptFailed) -> None:
        if not turn.is_published:
            self._disclaim(turn)
            return
        self._promise.speech_judged(turn, has_words=True)  # as far as anybody knows
        self._out.publish(facts.HearingFailed(event.item_id, event.code, event.message))
        phrases = self._options.phrases
        phrase = phrases.busy if event.code == "busy" else phrases.apology
        if turn.is_answered or self.session.answers_sound:
            return  # the answer does not need them
        if self.agenda.asked and self._promise.last_id == event.item_id:
            self.agenda.asked = replace(self.agenda.asked, text=phrase)  # there is nothing else to answer
        elif self._answers_turns and not turn.is_recorded:
            self.agenda.say(phrase, Cause.APOLOGY)

    def _words_missed(self) -> None:
        if missed := self.listening.next_missed:
            self._out.order(DropTurn(missed.turn.item_id))
            why = "The recognizer did not answer in time."
            self.recognized(events.TranscriptFailed(missed.turn.item_id, "timeout", why))

    # --- the agent's replies --------------------------------------------------------------------

    def reply_failed(self, event: events.ReplyFailed) -> None:
        """The engine gave up."""
        if silent := self.replying.failed(event):
            self._apologize(silent)

    def drained(self, reply_id: str) -> None:
        """A reply has been said to its end."""
        if reply := self.replying.drained(reply_id):
            self._idleness.reply_heard()
            self.sound_ended()
            if reply.failure:
                self._apologize(reply)

    def sound_ended(self) -> None:
        """What could be heard may be over: then nothing is in doubt, and who speaks is not spoken over."""
        if not self.replying.is_audible:
            self._doubt.forget()
            self._announce_speech()
            turn = self.listening.turn
            if turn and turn.is_speaking and not turn.is_withheld and self.replying.stage is Stage.PREPARING:
                self._reopen_turn()

    def _reply_missed(self, late: Reply) -> None:
        self.replying.give_up(late, Failure("timeout", "The reply did not begin in time."))
        self._apologize(late)

    def _apologize(self, reply: Reply) -> None:
        """Say that it went wrong, unless nobody is to hear it, or it was the apology that did."""
        is_unheard = reply.request.is_aside and not reply.is_spoken
        if reply.request.cause is not Cause.APOLOGY and not is_unheard:
            self.agenda.say(self._options.phrases.apology, Cause.APOLOGY)

    def forget_wrong_guess(self) -> None:
        """A turn that ended without being answered, by whatever it turned out to be, was guessed in vain."""
        if self.replying.guess.reply and self.listening.turn is None and self.listening.is_settled:
            self.replying.guess.drop()

    def follow_promise(self) -> bool:
        """Note, after every event, whether the user waits for the agent, and hears nothing.

        Return whether a word is due at once: what had seemed to be speech was none.
        """
        is_up, answers_turns = self.presence.is_up, self._answers_turns
        self._promise.follow(self.now, self.session, is_up=is_up, answers_turns=answers_turns)
        return self._promise.deadline is not None and self._promise.deadline <= self.now

    def _keep_promise(self) -> None:
        self._promise.keep(self.now, self.session)

    # --- joint rules ----------------------------------------------------------------------------

    def take(self) -> bool:
        """Speak, if the floor is free and there is something to say; return whether the call is to end."""
        if not self.presence.is_up:
            return False
        users = self.listening.turn is not None and self.session.turn_detection is not None
        awaits_words = not self.listening.is_settled and not self.session.answers_sound
        if users or awaits_words or self.session.is_transcription:
            return False
        if self.replying.is_idle:
            request = self.agenda.take(self.session)
        elif self._options.is_client_paced and self.replying.is_only_sounding:
            # The client plays one behind the other: what it asks for need not wait for its loudspeaker.
            request = self.agenda.take_asked()
        else:
            return False
        if request:
            self._idleness.reply_began()
            self.replying.start(request, self.now)
            return False
        if not self.replying.is_idle:
            return False
        if not self._promise.is_tool_at_work:
            self._idleness.floor_is_free(self.now)
        return self.presence.is_leaving

    def _time_out(self) -> None:
        """Nobody has said anything for too long: the agent may."""
        self.listening.time_out(self._idleness.end(), self.now)
        self.agenda.idle_is_due = True

    @property
    def _may_interrupt(self) -> bool:
        detection = self.session.turn_detection
        return detection is not None and detection.interrupt_response and self._options.interruptions.enabled

    @property
    def _answers_turns(self) -> bool:
        detection = self.session.turn_detection
        is_answering = detection is not None and detection.create_response
        return is_answering and not self.session.is_transcription

    def _hold(self) -> None:
        """The user may be taking the floor: silence first, decide then."""
        self._doubt.hold(self.now)
        self.replying.hold(self.now)

    def _resume(self) -> None:
        """It was no claim: the reply goes on where it was silenced."""
        if self._doubt.forget() and not self.presence.is_away:
            self.replying.resume(self.now)

    def _disclaim(self, turn: Turn) -> None:
        """The words of a turn over a reply were no claim; the user may have begun to say others."""
        self._promise.speech_judged(turn, has_words=False)
        if not self.listening.is_speaking:
            self._resume()

    def _claim(self) -> None:
        """The user went on speaking over the held reply."""
        if self.listening.turn:
            self.barge_in(self.listening.turn)
        else:
            self._resume()

    def barge_in(self, turn: Turn) -> None:
        """The floor is the user's: the reply ends at the last word that was heard."""
        turn.has_interrupted = True
        self.listening.announce(turn, self.session.turn_detection)
        self.silence("turn_detected")

    def _reopen_turn(self) -> None:
        """The user went on before the reply was audible: what they said before still wants an answer."""
        if reply := self.replying.withdraw("turn_detected"):
            self.presence.stay(reply)
            self.agenda.put_back(reply.request)

    def silence(self, reason: str) -> None:
        """Stop for good all that is said or to be said at once."""
        if self.replying.is_audible:
            self._idleness.reply_heard()
        self._doubt.forget()
        self._announce_speech()
        reply = self.replying.cancel(reason)
        if reply and reason == "turn_detected":
            self.presence.stay(reply)

    def _announce_speech(self) -> None:
        """Nothing is audible any more, so that the user speaks is no secret."""
        turn = self.listening.turn
        if turn and turn.is_speaking and not turn.is_withheld and not turn.continues:
            self.listening.announce(turn, self.session.turn_detection)

    def listen_afresh(self) -> None:
        """Forget what is being said; what the user goes on to say is a turn of its own."""
        self.replying.guess.drop()
        self.listening.clear()
        if self.listening.is_voice_on:
            self.speech_started(self.now, continues=True)
        else:
            self._resume()
