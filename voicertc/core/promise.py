"""Nobody is left in silence: while the user waits for the agent there is a word in time, or an apology.

    owed ──2.4 s of silence──> "One moment, please." ──5 s of silence──> "I am still working on it." ──> …

This is a rule over the conversation's state and no timer beside it: after every event ``follow`` looks
whether the agent owes a word and whether any can be heard, whoever is waited for: a recognizer, an agent, a
voice that stopped in the middle, a function of the client's. When the wait is over for good is decided where
it began (``Reply.deadline``, the words' deadline); a function's is here, for nobody else waits for that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from .agenda import Agenda, plain_request
from .items import Item, Items, Kind, Modality
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
        self._n_kept = 0
        self._owed_since: float | None = None
        self._silent_since: float | None = None
        self._given_up: str | None = None
        self._fillers: deque[str] = deque(maxlen=_MAX_FILLERS)

    @property
    def deadline(self) -> float | None:
        """When a word must be said; ``None`` while none is owed, or one is heard."""
        if self._silent_since is None:
            return None
        return self._silent_since + (_AGAIN if self._n_kept else _FIRST)

    def follow(self, now: float, session: SessionOptions, *, is_up: bool, answers_turns: bool) -> None:
        """Look at what an event has left behind.

        ``is_up``: whether there is anybody to hear, and no greeting to wait for. ``answers_turns``: whether
        turns are answered without being asked to.
        """
        if self._phrases.waiting is None or not is_up or not self._owes_words(session, answers_turns):
            self._n_kept = 0
            self._owed_since = self._silent_since = None
            return
        if self._owed_since is None:
            self._owed_since = now
        if not self._replying.is_silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now

    def keep(self, now: float, session: SessionOptions) -> None:
        """Say a word in place of the one that is owed; if it is not heard, another is due in its time."""
        is_first, self._n_kept, self._silent_since = not self._n_kept, self._n_kept + 1, now
        live = self._replying.live
        if live is None and self._is_function_due and self._is_overdue(now):
            self._given_up = self._last_item.id if self._last_item else None
            self._agenda.say(self._phrases.apology, Cause.APOLOGY)
            return
        phrase = self._phrases.waiting if is_first else self._phrases.still_waiting
        if phrase is None:
            return
        if live is not None and live.request.cause is not Cause.FILLER:
            self._replying.fill(phrase)
        elif self._replying.is_idle:
            request = replace(plain_request(session, Cause.FILLER), text=phrase)
            self._replying.start(request, now)
            self._fillers.append(self._replying.item_id)

    def shift(self, by: float) -> None:
        """Session time has jumped: nobody has waited any longer for it."""
        if self._owed_since is not None:
            self._owed_since += by
        if self._silent_since is not None:
            self._silent_since += by

    @property
    def is_tool_at_work(self) -> bool:
        """Whether the client runs a function, or is about to ask for the answer to what that gave."""
        last = self._last_item
        if last is None or last.id == self._given_up:
            return False
        return last.kind in (Kind.FUNCTION_CALL, Kind.FUNCTION_CALL_OUTPUT)

    def _owes_words(self, session: SessionOptions, answers_turns: bool) -> bool:
        """Whether the user waits for the agent to speak, or to go on."""
        listening, live = self._listening, self._replying.live
        if listening.is_speaking:
            return False
        if live is not None and live.request.cause is not Cause.FILLER:
            is_answer = live.request.cause in _ANSWERS and live.is_spoken and not live.request.is_aside
            return is_answer and not live.is_generated and live.stage is not Stage.HELD
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
        """The newest item that is no filler."""
        item_id = self.last_id
        return None if item_id is None else self._items.get(item_id)

    @property
    def last_id(self) -> str | None:
        """The id of the newest item that is no filler."""
        return self._skipped(self._items.last_id)

    def _before(self, item_id: str) -> Item | None:
        before = self._skipped(self._items.previous_id(item_id))
        return None if before is None else self._items.get(before)

    def _skipped(self, item_id: str | None) -> str | None:
        while item_id is not None and item_id in self._fillers:
            item_id = self._items.previous_id(item_id)
        return item_id

    def _is_overdue(self, now: float) -> bool:
        return self._owed_since is not None and now - self._owed_since >= _TOOL_PATIENCE
