"""What a reply is: one response of the agent, from its cause to its last heard word.

    preparing ──> playing <──> held ──> done
        └────────────┴──────────┴────────┘

An event whose ``reply_id`` is not in the conversation's small table of live replies is dropped at the
door, so a stale answer can do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .clauses import Clause
from .items import Modality


class Cause(StrEnum):
    """Why a reply was begun."""

    TURN = "turn"
    CLIENT = "client"
    GREETING = "greeting"
    SAY = "say"
    TIMER = "timer"
    APOLOGY = "apology"


class Stage(StrEnum):
    """How far a reply has come."""

    PREPARING = "preparing"
    PLAYING = "playing"
    HELD = "held"
    DONE = "done"


class Outcome(StrEnum):
    """How a reply ended (OpenAI Realtime: ``response.status``)."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """What an engine is asked for. The history travels beside it, so that journals stay small.

    ``text`` given means: say just this, no agent is asked.
    """

    cause: Cause
    text: str | None = None
    instructions: str = ""
    output: Modality = Modality.AUDIO
    voice: str = "default"
    speed: float = 1.0
    language: str | None = None
    metadata: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a reply could not be given, or not to its end; ``code`` is for machines."""

    code: str
    message: str


@dataclass(slots=True)
class Reply:
    """One live reply. Owned and changed by ``replying.Replying`` and its ``Spoken`` only.

    ``clauses``: what has been handed to playout, in order, of which ``n_begun`` have begun to leave.
    ``previous_item_id`` is set when the item enters the history, at its first sound or written word.
    ``cut_at``: samples after which nothing is kept, because a client did not play them or the voice failed.
    """

    id: str
    item_id: str
    request: ReplyRequest
    deadline: float
    stage: Stage = Stage.PREPARING
    clauses: list[Clause] = field(default_factory=list)
    n_begun: int = 0
    previous_item_id: str | None = None
    is_item_added: bool = False
    cut_at: int | None = None
    is_generated: bool = False
    is_ended: bool = False
    """Whether its end has been published (``response.done``); its sound may still be leaving."""
    failure: Failure | None = None
