"""One log line per answered turn: where its time went, from the end of speech to the first sound.

All times come from the facts themselves and are in session time, so a line reads the same in a replay.
"""

from __future__ import annotations

import logging

from .. import logs
from ..core import facts
from ..core.facts import Fact
from ..core.replies import Cause, Outcome

_log = logging.getLogger(__name__)


class TurnLog:
    """Listens to a session's facts. ``now`` is session time in seconds."""

    def __init__(self) -> None:
        self._speech_end: float | None = None
        self._decided_at = 0.0
        self._final_at = 0.0
        self._answers: str | None = None
        self._heard = ""

    def note(self, fact: Fact, now: float) -> None:
        """Take one fact."""
        match fact:
            case facts.TurnStopped(_, at):
                self._speech_end, self._decided_at = at, now
            case facts.FinalHeard(_, text):
                self._final_at, self._heard = now, text
            case facts.ReplyBegan(reply_id, request) if request.cause is Cause.TURN:
                self._answers = reply_id
            case facts.PlayoutStarted(reply_id) if reply_id == self._answers and self._speech_end is not None:
                self._write(reply_id, self._speech_end, now)
            case facts.ReplyEnded(reply_id, _, Outcome.CANCELLED, _, "turn_detected"):
                logs.event(_log, logging.INFO, "reply_interrupted", reply=reply_id)

    def _write(self, reply_id: str, speech_end: float, now: float) -> None:
        self._answers = self._speech_end = None
        logs.event(
            _log,
            logging.INFO,
            "turn_answered",
            reply=reply_id,
            silence_ms=_ms(self._decided_at - speech_end),
            final_ms=_ms(self._final_at - self._decided_at),
            first_sound_ms=_ms(now - self._final_at),
            total_ms=_ms(now - speech_end),
            heard=logs.Spoken(self._heard),
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
