"""Where the time of an answered turn went, from the end of speech to the ear: its waterfall.

    end of speech · silence · recognition · first_text · first_clause · first_audio · playout · heard

One log line and one ``TurnMeasured`` for each; the stages follow one another and add up to the whole. All
times are session time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, auto
from itertools import accumulate, pairwise

from .. import logs
from ..core import facts
from ..core.facts import Fact
from ..core.replies import Cause, Outcome

_log = logging.getLogger(__name__)


class Mark(Enum):
    """What a reply has reached."""

    FIRST_TEXT = auto()
    FIRST_CLAUSE = auto()
    FIRST_AUDIO = auto()


class TurnLog:
    """Listens to a session's facts and to its mouth. ``tell`` is given each turn's waterfall.

    ``ear_delay``: seconds from the first packet to the ear.
    """

    def __init__(
        self, *, clock: Callable[[], float], ear_delay: Callable[[], float], tell: Callable[[Fact], None]
    ) -> None:
        self._clock = clock
        self._ear_delay = ear_delay
        self._tell = tell
        self._speech_end: float | None = None
        self._item_id = ""
        self._decided_at = 0.0
        self._final_at = 0.0
        self._answers: str | None = None
        self._reached: dict[Mark, float] = {}
        self._is_bridged = False
        self._filler = ""  # a reply of its own, where there was none yet to be part of
        self._guessed = ""
        self._reached_early: dict[Mark, float] = {}
        self._heard = ""

    def reached(self, reply_id: str, mark: Mark) -> None:
        """A reply has come so far, for the first time or again; it may be one that nobody knows of yet."""
        if reply_id == self._answers:
            self._reached.setdefault(mark, self._clock())
        else:
            if reply_id != self._guessed:
                self._guessed, self._reached_early = reply_id, {}
            self._reached_early.setdefault(mark, self._clock())

    def note(self, fact: Fact) -> None:
        """Take one fact."""
        match fact:
            case facts.TurnStopped(item_id, at):
                self._item_id, self._speech_end, self._decided_at = item_id, at, self._clock()
                self._is_bridged = False
            case facts.FinalHeard(_, text):
                self._final_at, self._heard = self._clock(), text
            case facts.ReplyBegan(reply_id, request) if request.cause is Cause.TURN:
                self._answers = reply_id
                self._reached = self._reached_early if reply_id == self._guessed else {}
            case facts.ReplyBegan(reply_id, request) if request.cause is Cause.FILLER:
                self._filler = reply_id
            case facts.ReplyTextGrew(reply_id) if reply_id == self._filler:
                self._is_bridged = True
            case facts.ReplyTextGrew(reply_id) if reply_id == self._answers and self._speech_end is not None:
                if Mark.FIRST_AUDIO in self._reached:
                    self._measure(reply_id, self._speech_end)
                else:
                    self._is_bridged = True
            case facts.ReplyEnded(reply_id, _, Outcome.CANCELLED, _, "turn_detected"):
                logs.event(_log, logging.INFO, "reply_interrupted", reply=reply_id)

    def _measure(self, reply_id: str, speech_end: float) -> None:
        self._answers = self._speech_end = None
        times = [speech_end, self._decided_at, self._final_at]
        times += [self._reached.get(mark, self._final_at) for mark in Mark] + [self._clock()]
        times = list(accumulate(times, max))  # a stage that was skipped took no time
        times.append(times[-1] + self._ear_delay())
        stages = [round(later - earlier, 4) for earlier, later in pairwise(times)]
        silence, recognition, first_text, first_clause, first_audio, playout, heard = stages
        logs.event(
            _log,
            logging.INFO,
            "turn_answered",
            reply=reply_id,
            silence_ms=_ms(silence),
            recognition_ms=_ms(recognition),
            first_text_ms=_ms(first_text),
            first_clause_ms=_ms(first_clause),
            first_audio_ms=_ms(first_audio),
            playout_ms=_ms(playout),
            heard_ms=_ms(heard),
            total_ms=_ms(times[-1] - times[0]),
            bridged=self._is_bridged,
            heard=logs.Spoken(self._heard),
        )
        self._tell(
            facts.TurnMeasured(
                self._item_id,
                reply_id,
                silence,
                recognition,
                first_text,
                first_clause,
                first_audio,
                playout,
                heard,
                self._is_bridged,
            )
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
