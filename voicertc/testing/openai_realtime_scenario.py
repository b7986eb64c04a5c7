"""What the fake's Realtime WebSocket does, as a value: the knobs that no other endpoint has.

What is heard and said is the ``Scenario``'s: ``transcripts``, ``languages``, ``replies``,
``first_audio_delay``, ``audio_speed`` and ``audio_chunk_bytes`` mean the same here. Delays are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..core.replies import ToolCall
from .openai_faults import ResponseFault, TurnFault

SESSION_SECONDS = 3600.0

Reading: TypeAlias = str | tuple[ToolCall, ...]
"""What a reader says instead of the text, or the functions that it calls instead."""


def word_for_word(text: str) -> Reading:
    """Read the text as it is written."""
    return text


@dataclass(frozen=True, slots=True)
class RealtimeScenario:
    """One day in the life of the fake's WebSockets."""

    handshake_delay: float = 0.0
    """Until the answer to the upgrade."""
    update_delay: float = 0.0
    """From ``session.update`` to ``session.updated``; sound that comes before is lost."""
    session_seconds: float = SESSION_SECONDS
    """A session ends after this."""
    adds_unknown: bool = False
    """Put an event of an unknown type before each event, and an unknown field into each."""

    max_speed: float | None = 4.0
    """Sound that comes more times faster than it plays is lost; ``None`` takes all."""
    burst: float = 1.0
    """Seconds of sound that may come at once: what a client held back before the turn."""
    has_delay: bool = True
    """Whether gpt-live-transcribe takes ``delay``; the SDK says no, observers say yes."""

    first_delta_ms: int = 900
    """Streaming models send the first word after so much sound of a turn,"""
    delta_ms: int = 300
    """and another one after so much more; the last word waits for the commit."""
    completion_delays: Sequence[float] = (0.0,)
    """From each commit to ``completed``, the last one for ever; unequal ones change the order."""
    turns: Iterable[TurnFault | None] = ()
    """What goes wrong with the transcription of a turn, one entry per commit of any connection; its events
    are counted from ``input_audio_buffer.committed`` on."""

    reader: Callable[[str], Reading] = word_for_word
    """What an out-of-band response says, given the text: the JSON string that ends the last message of its
    ``input`` or its ``instructions``, or all of it if there is none."""
    transcript_lead: float = 0.2
    """Seconds of sound that the transcript is ahead of it."""
    late_chunks: int = 2
    """Chunks of sound that still come after a cancel."""
    responses: Iterable[ResponseFault | None] = ()
    """What goes wrong with a response, one entry per response of any connection; its events are counted from
    ``response.created`` on."""
    caches: bool = True
    """Count what the last response was given, too, as cached."""
    rate_limits: Sequence[tuple[str, int, int, float]] = field(
        default=(("requests", 1000, 999, 0.06), ("tokens", 50_000, 49_950, 0.06))
    )
    """Name, limit, what remains, seconds until it is full again."""
