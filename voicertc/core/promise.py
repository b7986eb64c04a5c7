"""Nobody is left in silence: while the user waits for the agent there is a word in time, or an apology.

    owed ──2.4 s of silence──> "One moment, please." ──5 s of silence──> "I am still working on it." ──> …

This is a rule over the conversation's state and no timer beside it: after every event ``follow`` looks
whether the agent owes a word and whether any can be heard, whoever is waited for: a recognizer, an agent, a
voice that stopped in the middle, a function of the client's. When the wait is over for good is decided where
it began (``Reply.deadline``, the words' deadline); a function's is here, for nobody else waits for that.

Who speaks is not waiting. But speech may prove to be none, a cough or a door: then the wait goes on as if it
had not been there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from .agenda import Agenda, plain_request
from .endpointing import Turn
from .items import Item, Items, Kind, Modality, Role
from .listening import Listening
from .options import Phrases, SessionOptions
from .replies import Cause, Stage
from .replying import Replying

_FIRST = 2.4
"""Seconds of silence before the first word: with what it takes to say it, three at the ear."""
_AGAIN = 5.0
"""Seconds of silence between two words of progress: shorter ones nag, longer ones sound like a dead line."""
_TOOL_PATIENCE = 30.0
"""Seconds a client's function may take before its caller hears that nothing came of it."""
_MAX_FILLERS = 16
"""Fillers in a row that are told apart from what else was said: more than a function is waited for."""
_ANSWERS = (Cause.TURN, Cause.CLIENT, Cause.IDLE)
"""Causes of replies that somebody waits for."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """Since when a word is owed, and nothing is heard of either side; ``n_kept`` words came meanwhile."""

    owed_since: float | None = None
    quiet_since: float | None = None
    n_kept: int = 0

    @property
    def deadline(self) -> float | None:
        if self.owed_since is None or self.quiet_since is None:
            return None
        return max(self.owed_since, self.quiet_since) + (_AGAIN if self.n_kept else _FIRST)

    def with_later(self, wait: _Wait) -> _Wait:
        """Return this wait, gone on as ``wait``, which was taken for another."""
        quiet_since = wait.quiet_since if self.quiet_since is None else self.quiet_since
        return _Wait(self.owed_since, quiet_since, self.n_kept + wait.n_kept)

    def shifted(self, by: float) -> _Wait:
        owed_since = None if self.owed_since is None else self.owed_since + by
        quiet_since = None if self.quiet_since is None else self.quiet_since + by
        return _Wait(owed_since, quiet_since, self.n_kept)


@dataclass(frozen=True, slots=True)
class _Interrupted:
    """A wait that the user's turn ``number`` has broken into; ``by_nothing``: which was no speech."""

    wait: _Wait
    number: int
    by_nothing: bool = False

    def by_a_word(self) -> _Interrupted:
        """Something was said meanwhile: silence is counted from then on."""
        return replace(self, wait=replace(self.wait, quiet_since=None))


class Promise:
    """Owned by the ``Floor``, whose parts it looks at. Without ``phrases.waiting`` nothing is promised."""

    def __init__(
        self, listening: Listening, replying: Replying, agenda: Agenda, items: Items, phrases: Phrases
    ) -> None:
        self._listening = listening
        self._replying = replying
        self._agenda = agenda
        self._items = items
        self._phrases = phrases
        self._wait = _Wait()
        self._unheard: _Wait | None = None  # the wait as it was before a word that is still silent …
        self._carrier: str | None = None  # … and part of this reply, if not one of its own
        self._interrupted: _Interrupted | None = None
        self._proved: float | None = None  # until when was said what has just proved to be speech
        self._given_up: str | None = None
        self._fillers: deque[str] = deque(maxlen=_MAX_FILLERS)

    @property
    def deadline(self) -> float | None:
        """When a word must be said; ``None`` while none is owed, or one is heard."""
        return self._wait.deadline

    def follow(self, now: float, session: SessionOptions, *, is_up: bool, answers_turns: bool) -> None:
        """Look at what an event has left behind.

        ``is_up``: whether there is anybody to hear, and no greeting to wait for. ``answers_turns``: whether
        turns are answered without being asked to.
        """
        is_promised = self._phrases.waiting is not None and is_up
        is_owed = is_promised and self._owes_words(session, answers_turns)
        self._follow_fate(is_owed=is_owed)
        wait = self._wait
        if is_owed and self._interrupted and self._interrupted.by_nothing:
            wait, self._interrupted = self._interrupted.wait.with_later(wait), None
        is_quiet = self._replying.is_silent and not self._listening.is_speaking
        quiet_since = (now if wait.quiet_since is None else wait.quiet_since) if is_quiet else None
        proved, self._proved = self._proved, None
        owed_since = next(since for since in (wait.owed_since, proved, now) if since is not None)
        self._wait = _Wait(owed_since, quiet_since, wait.n_kept) if is_owed else _Wait(None, quiet_since)

    def keep(self, now: float, session: SessionOptions) -> None:
        """Say a word in place of the one that is owed; if it is not heard, another is due in its time."""
        wait = self._wait
        assert wait.owed_since is not None  # this is its deadline
        self._wait, self._unheard = _Wait(wait.owed_since, now, wait.n_kept + 1), None
        live = self._replying.live
        if live is None and self._is_function_due and now - wait.owed_since >= _TOOL_PATIENCE:
            self._given_up = self._last_item.id if self._last_item else None
            self._agenda.say(self._phrases.apology, Cause.APOLOGY)
            return
        phrase = self._phrases.still_waiting if wait.n_kept else self._phrases.waiting
        if phrase is None:
            return
        if live is not None and live.request.cause is not Cause.FILLER:
            self._replying.fill(phrase)
            self._unheard, self._carrier = wait, live.id
        elif self._replying.is_idle:
            request = replace(plain_request(session, Cause.FILLER), text=phrase)
            self._replying.start(request, now)
            self._fillers.append(self._replying.item_id)
            self._unheard, self._carrier = wait, None

    def shift(self, by: float) -> None:
        """Session time has jumped: nobody has waited any longer for it."""
        self._wait = self._wait.shifted(by)
        self._unheard = self._unheard and self._unheard.shifted(by)
        if self._interrupted:
            self._interrupted = replace(self._interrupted, wait=self._interrupted.wait.shifted(by))

    def speech_judged(self, turn: Turn, *, has_words: bool) -> None:
        """A turn that may have broken into the wait was speech, or none: then the wait has gone on.

        What proves to be speech only now, for it was said over a reply, is owed an answer from its end on.
        """
        if has_words:
            self._proved = turn.last_speech_at
        if self._interrupted is None or turn.number < self._interrupted.number:
            return
        if has_words:
            self._interrupted = None
        elif self._listening.turn is None and self._listening.is_settled:  # else others are to be judged yet
            self._interrupted = replace(self._interrupted, by_nothing=True)

    @property
    def is_tool_at_work(self) -> bool:
        """Whether the client runs a function, or is about to ask for the answer to what that gave."""
        last = self._last_item
        if last is None or last.id == self._given_up:
            return False
        return last.kind in (Kind.FUNCTION_CALL, Kind.FUNCTION_CALL_OUTPUT)

    def _follow_fate(self, *, is_owed: bool) -> None:
        """Note what becomes of the wait: a word was heard or lost, or the user speaks, if it is speech."""
        turn, live = self._listening.turn, self._replying.live
        if is_owed:
            if self._unheard and self._carrier and (live is None or live.id != self._carrier):
                self._wait, self._unheard = self._unheard, None  # it has gone with the reply
            if not self._replying.is_silent:  # a word has come
                self._unheard = None
                self._interrupted = self._interrupted and self._interrupted.by_a_word()
            return
        if turn is None and self._listening.is_settled:
            self._interrupted = None
        elif turn and self._wait.owed_since is not None and self._interrupted is None:
            self._interrupted = _Interrupted(self._unheard or self._wait, turn.number)
        self._unheard = None

    def _owes_words(self, session: SessionOptions, answers_turns: bool) -> bool:
        """Whether the user waits for the agent to speak, or to go on."""
        listening, live = self._listening, self._replying.live
        if live is not None and live.request.cause is not Cause.FILLER and not live.is_generated:
            is_answer = live.request.cause in _ANSWERS and live.is_spoken and not live.request.is_aside
            return is_answer and live.stage is not Stage.HELD
        is_written = session.output is not Modality.AUDIO or session.is_transcription
        has_floor = listening.turn is not None and session.turn_detection is not None
        if is_written or has_floor:
            return False
        awaits_words = listening.awaits_words and answers_turns and not session.answers_sound
        is_asked = self._agenda.answer_is_due or self._agenda.asked is not None
        return awaits_words or is_asked or self._is_function_due

    @property
    def _is_function_due(self) -> bool:
        """Whether the client runs a function whose answer the user waits for."""
        if not self.is_tool_at_work:
            return False
        item, answered = self._last_item, set()
        while item is not None and item.kind in (Kind.FUNCTION_CALL, Kind.FUNCTION_CALL_OUTPUT):
            if item.kind is Kind.FUNCTION_CALL_OUTPUT:
                answered.add(item.call_id)
            elif item.call_id not in answered:
                return True
            item = self._before(item.id)
        return False

    @property
    def _last_item(self) -> Item | None:
        """The newest item that is no filler, and no noise."""
        item_id = self.last_id
        return None if item_id is None else self._items.get(item_id)

    @property
    def last_id(self) -> str | None:
        """The id of the newest item that is no filler, and no noise."""
        return self._skipped(self._items.last_id)

    def _before(self, item_id: str) -> Item | None:
        before = self._skipped(self._items.previous_id(item_id))
        return None if before is None else self._items.get(before)

    def _skipped(self, item_id: str | None) -> str | None:
        while item_id is not None and (item_id in self._fillers or _is_noise(self._items.get(item_id))):
            item_id = self._items.previous_id(item_id)
        return item_id


def _is_noise(item: Item | None) -> bool:
    """Whether the item is a turn in which no words were found."""
    return item is not None and item.role is Role.USER and item.modality is Modality.AUDIO and item.text == ""
