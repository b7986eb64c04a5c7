"""What the conversation is told: facts, in the past tense, from ears, engines, playout and clients.

``at`` is audio time: seconds since the session began at which the sound happened, as opposed to ``now``, when
the core hears of it. ``origin`` names the wire and the client's own ``event_id``, so that a refusal finds
its way back.
"""

from __future__ import annotations

from dataclasses import dataclass

from .items import Item
from .options import SessionOptions
from .replies import Cause, ReplyRequest, Usage


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent an event: the wire's name within the session, and the client's ``event_id`` if it gave one."""

    wire: str
    event_id: str | None = None


# --- the call -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallConnected:
    """Media flows both ways."""


@dataclass(frozen=True, slots=True)
class ClientAway:
    """Nothing has arrived from the client for some seconds; it may come back."""


@dataclass(frozen=True, slots=True)
class ClientBack:
    """A client that was away is heard again."""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over: ``reason`` is ``hangup``, ``shutdown``, ``lost``, ``agent`` or ``failed``."""

    reason: str


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The client changed its session; ``options`` is the whole, merged."""

    options: SessionOptions
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ClockAdvanced:
    """Session time jumped ``by`` seconds: a client sent its sound faster than it was made.

    Turns end by the time of their sound; what services are given to answer is real time and stays as it is.
    Where ``by`` is negative, it stood still so long instead: the client had to wait with its sound.
    """

    by: float


@dataclass(frozen=True, slots=True)
class TimeElapsed:
    """The deadline that ``next_deadline`` named has come."""


# --- ears ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpeechSuspected:
    """Something that may be speech; a reply is ducked, nothing more."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech for certain; ``at`` is its first frame's audio time, some tens of milliseconds ago."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """No speech any more; ``at`` is the end of the last speech frame. Also ends a mere suspicion."""

    at: float


@dataclass(frozen=True, slots=True)
class TranscriptInterim:
    """The recognizer's guess at an open turn."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class WordsGuessed:
    """What ``commands.GuessTurn`` asked for: the turn's words, if it is over."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TurnEndHeard:
    """The recognizer is certain that the open turn is over: nobody needs to wait for silence."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word that was heard, and when, in seconds of session time; ``confidence`` 0–1 or ``None``."""

    text: str
    start: float
    end: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptFinal:
    """The words of a turn; ``confidence`` 0–1 or ``None``; ``seconds`` of audio were recognized.

    ``words`` are empty if the recognizer gives no times.
    """

    item_id: str
    text: str
    confidence: float | None = None
    language: str | None = None
    seconds: float = 0.0
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptFailed:
    """A turn could not be recognized; ``code`` is ``busy``, ``timeout``, ``crashed`` or ``failed``."""

    item_id: str
    code: str
    message: str


# --- replies ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplyTextAdded:
    """Written output grew by ``text`` (replies whose output is text only)."""

    reply_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ClauseQueued:
    """A clause's audio goes to playout next. Clauses of a reply are numbered from 0.

    ``is_filler``: it is what ``commands.FillReply`` asked for.
    """

    reply_id: str
    index: int
    text: str
    is_filler: bool = False


@dataclass(frozen=True, slots=True)
class ClauseVoiced:
    """A clause is synthesized: where its audio lies in the reply, in samples at 24 kHz."""

    reply_id: str
    index: int
    start: int
    n_samples: int


@dataclass(frozen=True, slots=True)
class ClauseMarked:
    """The voice has told where more of a clause's words lie; it may still be at work on them."""

    reply_id: str
    index: int
    marks: tuple[tuple[int, int], ...]
    """``(sample from the clause's start, character in its text)`` for each word."""


@dataclass(frozen=True, slots=True)
class ClauseBegan:
    """The first sample of a clause has left for the client."""

    reply_id: str
    index: int


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The agent wants a function run by the client; ``arguments`` is JSON text."""

    reply_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class UsageCounted:
    """A language model has told what it has counted for a reply; several requests of one reply add up."""

    reply_id: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class ReplyGenerated:
    """The engine is through: no more text or audio will come. ``cut_short``: why it is not all of it."""

    reply_id: str
    cut_short: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The engine gave up; what it produced before stays: ``n_samples`` of audio (24 kHz) in all."""

    reply_id: str
    code: str
    message: str
    n_samples: int = 0


@dataclass(frozen=True, slots=True)
class PlayoutStarved:
    """A reply's sound has run out in the middle: the caller hears nothing, and more is due."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class PlayoutFed:
    """There is sound again behind a ``PlayoutStarved``."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class PlayoutDrained:
    """The last sample of a generated reply has left for the client."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class ReplyStopped:
    """Playout of a cancelled reply has stopped; ``heard_samples`` (24 kHz) of ``made_samples`` reached the
    ear."""

    reply_id: str
    heard_samples: int
    made_samples: int = 0


@dataclass(frozen=True, slots=True)
class SayRequested:
    """The agent, a timer or the server wants to say something when the floor is free."""

    text: str
    cause: Cause = Cause.SAY


@dataclass(frozen=True, slots=True)
class EndRequested:
    """The agent wants the call to end once its reply has been heard."""


# --- clients ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemSubmitted:
    """A client adds an item; ``previous_item_id``: ``None`` = at the end, ``root`` = in front."""

    item: Item
    previous_item_id: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ItemDeleteRequested:
    """A client takes an item out of the history."""

    item_id: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ItemTruncateRequested:
    """A client says how much of a reply it played, in milliseconds."""

    item_id: str
    audio_end_ms: int
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ItemRetrieveRequested:
    """A client wants to see an item."""

    item_id: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ResponseRequested:
    """A client asks for a reply; ``request`` holds the session's options with the client's changes.

    One that ``waits`` comes after the reply that is in progress; others are refused while there is one.
    """

    request: ReplyRequest
    origin: Origin | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class ResponseCancelRequested:
    """A client wants the reply gone; ``reply_id`` ``None`` means the one that is live."""

    reply_id: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class OutputClearRequested:
    """A client wants silence now."""

    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class InputCommitRequested:
    """A client says that its turn is over (push-to-talk)."""

    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class InputClearRequested:
    """A client wants what it said since the last commit forgotten (push-to-talk: a turn begins)."""

    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ClientErred:
    """A wire could not make sense of what its client sent; it is told so."""

    code: str
    message: str
    param: str | None = None
    origin: Origin | None = None


Event = (
    CallConnected
    | ClientAway
    | ClientBack
    | CallEnded
    | SessionUpdated
    | ClockAdvanced
    | TimeElapsed
    | SpeechSuspected
    | SpeechStarted
    | SpeechStopped
    | TranscriptInterim
    | WordsGuessed
    | TurnEndHeard
    | TranscriptFinal
    | TranscriptFailed
    | ReplyTextAdded
    | ClauseQueued
    | ClauseMarked
    | ClauseVoiced
    | ClauseBegan
    | ToolCalled
    | UsageCounted
    | ReplyGenerated
    | ReplyFailed
    | PlayoutStarved
    | PlayoutFed
    | PlayoutDrained
    | ReplyStopped
    | SayRequested
    | EndRequested
    | ItemSubmitted
    | ItemDeleteRequested
    | ItemTruncateRequested
    | ItemRetrieveRequested
    | ResponseRequested
    | ResponseCancelRequested
    | OutputClearRequested
    | InputCommitRequested
    | InputClearRequested
    | ClientErred
)
"""Everything a conversation may be told."""
