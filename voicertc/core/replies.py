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
from .items import Item, Items, Modality
from .options import Tool, ToolChoice


class Cause(StrEnum):
    """Why a reply was begun."""

    TURN = "turn"
    CLIENT = "client"
    GREETING = "greeting"
    SAY = "say"
    TIMER = "timer"
    IDLE = "idle"
    APOLOGY = "apology"
    FILLER = "filler"


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
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent wants a function run; ``arguments`` is JSON text. Agents yield it, clients answer it."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a model counted for a reply.

    ``cached_tokens`` and ``input_audio_tokens`` are part of ``input_tokens``, ``output_audio_tokens`` of
    ``output_tokens``, ``cached_audio_tokens`` of the first two. ``provider`` counted them, if it is known.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    provider: str = ""

    def __add__(self, other: Usage) -> Usage:
        """Return both together; the provider is the first's."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.input_audio_tokens + other.input_audio_tokens,
            self.output_audio_tokens + other.output_audio_tokens,
            self.cached_audio_tokens + other.cached_audio_tokens,
            self.provider or other.provider,
        )


@dataclass(frozen=True, slots=True)
class CutShort:
    """A language model had to stop: ``reason`` is ``max_output_tokens`` or ``content_filter``."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """What an engine is asked for. The history travels beside it, so that journals stay small.

    ``text`` given means: say just this, no agent is asked. ``input`` given replaces the history. An
    ``is_aside`` reply is outside the conversation: it leaves no items in it.
    """

    cause: Cause
    text: str | None = None
    instructions: str = ""
    output: Modality = Modality.AUDIO
    voice: str = "default"
    speed: float = 1.0
    language: str | None = None
    metadata: tuple[tuple[str, str], ...] | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    max_output_tokens: int | None = None
    input: tuple[Item, ...] | None = None
    is_aside: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a reply could not be given, or not to its end; ``code`` is for machines."""

    code: str
    message: str


@dataclass(slots=True)
class Reply:
    """One live reply. Owned and changed by ``replying.Replying``, its ``Output`` and its ``Spoken`` only.

    ``items`` is where its items live: the conversation's history, or a place of its own. ``item_id`` is the
    message's, which is there from its first sound or written word. ``clauses``: what has been handed to
    playout, in order, of which ``n_begun`` have begun to leave. ``cut_at``: samples after which nothing is
    kept, because a client did not play them or the voice failed.
    """

    id: str
    item_id: str
    request: ReplyRequest
    deadline: float
    items: Items
    stage: Stage = Stage.PREPARING
    clauses: list[Clause] = field(default_factory=list)
    n_begun: int = 0
    behind: dict[str, str | None] = field(default_factory=dict)
    """The ids of its items in order, and behind which item each came into the history."""
    cut_at: int | None = None
    usage: Usage | None = None
    cut_short: str | None = None
    is_generated: bool = False
    is_ended: bool = False
    """Whether its end has been published (``response.done``); its sound may still be leaving."""
    failure: Failure | None = None
    is_starved: bool = False
    """Whether its sound has run out although more of it is due."""
    held_since: float | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether nothing of it has been heard or read yet, fillers aside."""
        if self.stage is Stage.PREPARING:
            return True
        is_filled = self.is_spoken and all(clause.is_filler for clause in self.clauses)
        return is_filled and self.stage is Stage.PLAYING and not self.is_generated

    @property
    def has_message(self) -> bool:
        """Whether its message is in its place; it may be there before it is heard, in front of a call."""
        return self.item_id in self.behind

    @property
    def has_begun(self) -> bool:
        """Whether something of it was said or written."""
        return self.n_begun > 0 if self.is_spoken else self.has_message

    @property
    def is_spoken(self) -> bool:
        """Whether it is to be heard."""
        return self.request.output is Modality.AUDIO
