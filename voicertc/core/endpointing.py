"""Deciding that a turn is over: when, counted in audio time from the last speech frame."""

from __future__ import annotations

from dataclasses import dataclass

from .events import TranscriptFailed, TranscriptFinal
from .options import EndpointingOptions, TurnDetection

_MAX_GUESSES = 2
"""Of one turn: who pauses more often is thinking aloud."""
_MAX_GUESSED = 10.0
"""Seconds of a turn that are recognized anew if the guess was wrong; a longer one would cost too much."""
_MEANT = 0.5
"""Seconds of speech that somebody meant as words; shorter ones may be a cough, or a door."""
_SILENCE_BY_EAGERNESS = {"low": 1.0, "medium": 0.6, "auto": 0.6, "high": 0.3}
"""Seconds of silence that stand for OpenAI's ``semantic_vad`` eagerness until words are weighed too."""


@dataclass(slots=True)
class Turn:
    """A user's turn from its first speech frame to its last word. Owned by the ``Conversation``.

    ``started_at``, ``last_speech_at`` and ``audio_from``, where its audio begins (pre-roll included), are
    audio times; ``number`` tells the order in which turns were said. One that ``continues`` was begun in the
    midst of speech, because the turn before it was ended there.

    ``is_published`` says whether clients have seen it: a turn that began over a reply stays unseen until it
    has proved to be a barge-in, one that ``is_withheld`` (push-to-talk) until it is committed. ``result`` is
    what the recognizer said of it before its time. One that ``is_recorded`` was not said in this
    conversation: a client has put it there, and asks for an answer itself.
    """

    number: int
    item_id: str
    started_at: float
    last_speech_at: float
    audio_from: float
    continues: bool = False
    is_speaking: bool = True
    is_published: bool = False
    is_withheld: bool = False
    is_recorded: bool = False
    is_answered: bool = False
    """Whether its sound is answered, so that nothing more comes of its words."""
    has_interrupted: bool = False
    """Whether a reply was ended for it."""
    n_guesses: int = 0
    """How often it was taken for over before it was."""
    is_guessed: bool = False
    """Whether it is taken for over in this very pause."""
    result: TranscriptFinal | TranscriptFailed | None = None

    @property
    def is_meant(self) -> bool:
        """Whether it was meant as words, even if none were found: it ended a reply, or is long enough."""
        return self.has_interrupted or self.last_speech_at - self.started_at >= _MEANT


@dataclass(frozen=True, slots=True)
class PendingTurn:
    """A turn that is over and whose words are due by ``deadline``."""

    turn: Turn
    deadline: float


def guess_at(turn: Turn, options: EndpointingOptions) -> float | None:
    """Return when to begin to prepare an answer although ``turn`` may go on; ``None``: not in this pause."""
    may_guess = turn.is_published and not turn.is_withheld and not turn.is_speaking and not turn.is_guessed
    if options.eager_silence is None or not may_guess or turn.n_guesses == _MAX_GUESSES:
        return None
    if turn.last_speech_at - turn.started_at > _MAX_GUESSED:
        return None
    return turn.last_speech_at + options.eager_silence


def end_of_turn(turn: Turn, detection: TurnDetection | None, options: EndpointingOptions) -> float:
    """Return when ``turn`` is over if nothing more is heard of the user.

    Push-to-talk (``detection`` is ``None``) ends a turn only by its maximum length.
    """
    longest = turn.started_at + options.max_turn
    if turn.is_speaking or detection is None:
        return longest
    return min(longest, turn.last_speech_at + silence_of(detection))


def silence_of(detection: TurnDetection) -> float:
    """Return the seconds of silence that end a turn under ``detection``."""
    if detection.type == "semantic_vad":
        return _SILENCE_BY_EAGERNESS[detection.eagerness]
    return detection.silence
