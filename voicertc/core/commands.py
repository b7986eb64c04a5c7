"""What the conversation orders: imperatives for the session, executed at once and never awaited."""

from __future__ import annotations

from dataclasses import dataclass

from .facts import Fact
from .items import Item
from .replies import ReplyRequest


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Begin to recognize; the turn's audio starts at ``at`` (seconds, pre-roll included)."""

    item_id: str
    at: float


@dataclass(frozen=True, slots=True)
class GuessTurn:
    """The turn may be over: find its words, and tell them as ``WordsGuessed``; it may go on all the same."""

    item_id: str


@dataclass(frozen=True, slots=True)
class CloseTurn:
    """The turn is over: finish its recognition; a ``TranscriptFinal`` or ``TranscriptFailed`` is due."""

    item_id: str


@dataclass(frozen=True, slots=True)
class DropTurn:
    """Forget the turn; nothing it says is wanted any more."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Recognize:
    """Recognize the recorded speech that came with an item; a transcript or a failure is due."""

    item_id: str


@dataclass(frozen=True, slots=True)
class StartReply:
    """Ask the engine; text, clauses and their audio are due.

    ``guess``: the user's item that it answers, which is not in the history yet, and may never be: the reply
    is held until that is known.
    """

    reply_id: str
    request: ReplyRequest
    guess: Item | None = None


@dataclass(frozen=True, slots=True)
class FillReply:
    """Say ``text`` as a clause of a reply whose own words take their time; a clause under way comes first."""

    reply_id: str
    text: str


@dataclass(frozen=True, slots=True)
class CancelReply:
    """Stop playout now, then the engine; ``ReplyStopped`` is due before anything else."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class DuckReply:
    """Lower a reply that is playing: someone may be speaking."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class HoldReply:
    """Silence a reply, keeping its audio from the sample where the fade begins."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class ResumeReply:
    """Go on with a ducked or held reply."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class EndCall:
    """Close the call; everything of it is freed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell every wire."""

    fact: Fact


Command = (
    OpenTurn
    | GuessTurn
    | CloseTurn
    | DropTurn
    | Recognize
    | StartReply
    | FillReply
    | CancelReply
    | DuckReply
    | HoldReply
    | ResumeReply
    | EndCall
    | Publish
)
"""Everything a conversation may order."""
