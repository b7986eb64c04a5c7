"""What the world may know of a conversation: typed facts that any number of wires render.

Facts come out of the core inside ``commands.Publish``, in the order in which clients must see them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .events import Origin, Word
from .items import Item, Modality
from .options import SessionOptions
from .replies import Outcome, ReplyRequest, Usage


class State(StrEnum):
    """What a caller would say the server is doing."""

    CONNECTING = "connecting"
    INITIALIZING = "initializing"
    LISTENING = "listening"
    PROCESSING = "processing"
    THINKING = "thinking"
    SPEAKING = "speaking"
    INTERRUPTED = "interrupted"
    RECONNECTING = "reconnecting"
    ENDING = "ending"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The one state shown to the world."""

    state: State


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """The session's options are now these; ``origin`` asked for it."""

    options: SessionOptions
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """``input_audio_buffer.speech_started``; ``at`` in seconds, prefix padding included."""

    item_id: str
    at: float


@dataclass(frozen=True, slots=True)
class TurnStopped:
    """``input_audio_buffer.speech_stopped``; ``at`` in seconds."""

    item_id: str
    at: float


@dataclass(frozen=True, slots=True)
class TurnTimedOut:
    """``input_audio_buffer.timeout_triggered``: nothing was said from ``start`` to ``end``, in seconds."""

    item_id: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """``input_audio_buffer.committed``."""

    item_id: str
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class InputCleared:
    """``input_audio_buffer.cleared``."""


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """``conversation.item.added``."""

    item: Item
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class ItemDone:
    """``conversation.item.done``: the item will not grow any more."""

    item: Item
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    """``conversation.item.deleted``."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ItemRetrieved:
    """``conversation.item.retrieved``, for the wire that asked."""

    item: Item
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ItemTruncated:
    """``conversation.item.truncated``: cut to what was heard; ``audio_end_ms`` of its audio remain.

    ``origin`` is whoever said what was heard; ``None``: the server knew.
    """

    item_id: str
    audio_end_ms: int
    text: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class InterimHeard:
    """``voicertc.transcript.interim``: may be rewritten by the next."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class FinalHeard:
    """``conversation.item.input_audio_transcription.completed`` of ``seconds`` of audio.

    The speech was heard from ``start`` to ``end``, in seconds of session time.
    """

    item_id: str
    text: str
    seconds: float
    confidence: float | None = None
    language: str | None = None
    start: float = 0.0
    end: float = 0.0
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class HearingFailed:
    """``conversation.item.input_audio_transcription.failed``."""

    item_id: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ReplyBegan:
    """``response.created``."""

    reply_id: str
    request: ReplyRequest


@dataclass(frozen=True, slots=True)
class ReplyItemBegan:
    """``response.output_item.added``, ``conversation.item.added`` and ``response.content_part.added``."""

    reply_id: str
    item: Item
    previous_item_id: str | None
    is_aside: bool = False


@dataclass(frozen=True, slots=True)
class ReplyTextGrew:
    """``response.output_audio_transcript.delta`` (or ``output_text.delta``): append ``text``."""

    reply_id: str
    item_id: str
    text: str
    output: Modality


@dataclass(frozen=True, slots=True)
class ReplyItemEnded:
    """``…transcript.done``, ``content_part.done``, ``conversation.item.done``, ``output_item.done``."""

    reply_id: str
    item: Item
    previous_item_id: str | None
    is_aside: bool = False


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """``response.done``; ``items`` are what it put out. ``reason``: ``turn_detected``, ``client_cancelled``,
    why it is incomplete, or an error's code."""

    reply_id: str
    request: ReplyRequest
    outcome: Outcome
    items: tuple[Item, ...] = ()
    reason: str | None = None
    message: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """``output_audio_buffer.started``."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class PlayoutStopped:
    """``output_audio_buffer.stopped``: all of it has left."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class PlayoutCleared:
    """``output_audio_buffer.cleared``: the rest was thrown away."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """``error`` for the one client that caused it."""

    code: str
    message: str
    param: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class CallEnding:
    """``voicertc.call.ending``: the last event of a call; ``reason`` as in ``events.CallEnded``."""

    reason: str


# --- told by the session itself, beside what the core decides ------------------------------------


@dataclass(frozen=True, slots=True)
class TurnMeasured:
    """``voicertc.metrics``: where the time of an answered turn went, in seconds one after the other.

    ``silence``: from the end of speech until the turn was taken for ended · ``recognition``: until its words
    were there · ``first_text``: until the agent's first · ``first_clause``: until one could be spoken ·
    ``first_audio``: until it was voiced · ``playout``: until it left · ``heard``: until it was at the ear, by
    half the round trip and the client's own delay. ``is_bridged``: a filler was heard before.
    """

    item_id: str
    reply_id: str
    silence: float
    recognition: float
    first_text: float
    first_clause: float
    first_audio: float
    playout: float
    heard: float = 0.0
    is_bridged: bool = False


@dataclass(frozen=True, slots=True)
class HandedOff:
    """``voicertc.handoff``: another agent has taken over."""

    agent: str


@dataclass(frozen=True, slots=True)
class ToolProgressed:
    """``voicertc.tool``: how far a tool has come that the agent runs itself.

    ``phase``: ``started``, ``progress``, ``completed`` or ``failed``.
    """

    name: str
    phase: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class LinkFlow:
    """One direction of a call's packets; ``None`` where nothing is known.

    ``loss``: a fraction, 0–1. ``concealed_ms``: sound made up for what was lost. ``level_dbov``: of speech.
    ``mos``: estimated opinion, 1.0–4.5.
    """

    loss: float | None
    jitter_ms: float | None
    concealed_ms: float | None
    kbps: float
    level_dbov: float | None
    mos: float | None


@dataclass(frozen=True, slots=True)
class LinkMeasured:
    """``voicertc.link``: how the call's packets fare, once a second.

    ``inbound`` is what comes from the client, ``outbound`` what we send and it reports of.
    """

    inbound: LinkFlow
    outbound: LinkFlow
    round_trip_ms: float | None


@dataclass(frozen=True, slots=True)
class ServiceUsage:
    """What one model of one service has counted so far; ``stage``: ``stt``, ``llm`` or ``tts``."""

    stage: str
    provider: str
    model: str
    seconds: float = 0.0
    characters: int = 0
    tokens: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class UsageAdded:
    """``voicertc.usage``: what the session has used so far, in the units that services are paid by.

    The first four are counted here, whoever did the work; ``services`` is what those that did it have told.
    """

    heard_seconds: float
    spoken_seconds: float
    spoken_characters: int
    tokens: Usage
    services: tuple[ServiceUsage, ...] = ()


Fact = (
    StateChanged
    | SessionChanged
    | TurnStarted
    | TurnStopped
    | TurnTimedOut
    | TurnCommitted
    | InputCleared
    | ItemAdded
    | ItemDone
    | ItemDeleted
    | ItemRetrieved
    | ItemTruncated
    | InterimHeard
    | FinalHeard
    | HearingFailed
    | ReplyBegan
    | ReplyItemBegan
    | ReplyTextGrew
    | ReplyItemEnded
    | ReplyEnded
    | PlayoutStarted
    | PlayoutStopped
    | PlayoutCleared
    | Refused
    | CallEnding
    | TurnMeasured
    | HandedOff
    | ToolProgressed
    | LinkMeasured
    | UsageAdded
)
"""Everything a session may publish."""
