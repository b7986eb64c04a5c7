"""What the fake OpenAI server is told to do, and what it notes down of its clients.

A ``Scenario`` is a value: delays, what was said, what to answer, which request fails and how. A delay is in
seconds. Everything not said is the provider's normal, fast and faultless day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from ..audio.pcm import PLAYOUT_RATE_HZ, Samples
from ..core.replies import ToolCall
from .openai_faults import Fault
from .openai_realtime_scenario import RealtimeScenario

Endpoint = Literal["transcriptions", "chat", "responses", "speech", "models", "realtime"]
Outcome = Literal["open", "answered", "refused", "failed", "left"]
"""``failed``: by a fault of the scenario; ``left``: the client closed the connection before the end."""

MS_PER_CHARACTER = 60
TONE_HZ = 440
TONE_PEAK = 8000

API_KEY = "sk-test-0123456789abcdef"
"""What the fake asks for, unless the scenario says otherwise."""


Transcripts: TypeAlias = Sequence[str] | Callable[[Samples], str]
"""In the order of the requests, the last one for ever; or what is in this sound, ``(n,)`` int16 mono."""


@dataclass(frozen=True, slots=True)
class Calls:
    """An answer that calls functions, and says ``text`` before."""

    calls: tuple[ToolCall, ...]
    text: str = ""


Replies: TypeAlias = Sequence[str | Calls] | Callable[[Sequence[Mapping[str, Any]]], str | Calls]
"""In the order of the requests, the last one for ever; or what to answer to these messages."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One day in the life of the fake."""

    api_key: str | None = API_KEY
    """The only key that is let in; ``None`` lets in everybody, as compatible servers do."""
    is_strict: bool = True
    """Refuse what OpenAI refuses: unknown models, fields, values. False for a lenient compatible server."""
    refused_fields: tuple[str, ...] = ()
    """Fields refused besides, as compatible servers do with what they do not know."""

    transcripts: Transcripts = ("Hello there.",)
    """What the sound says."""
    languages: tuple[str, ...] = ("en",)
    """Languages that are found in the sound."""
    transcription_delay: float = 0.0
    """Until the transcript, from the end of the upload."""

    replies: Replies = ("Hello. How can I help you?",)
    """What the language model answers; a token is a word with the space before it, or a piece of a call."""
    thoughts: str = ""
    """What it thinks first: as ``reasoning_content``, at /responses as an item of its own."""
    finish_reason: str = "stop"
    """How an answer ends, unless it calls functions or is too long."""
    call_piece: int | None = 6
    """Characters of a call's arguments in each piece; ``None``: each call whole, as Ollama sends it."""
    mixes_calls: bool = False
    """Send the pieces of several calls by turns."""
    call_index: Literal["counted", "zero", "missing"] = "counted"
    """How calls are numbered; Ollama has done it in all three ways (ollama/ollama#7881, #15457)."""
    has_call_ids: bool = True
    """Give each call an id."""
    cached_tokens: int = 0
    """Tokens of a prompt that are said to come from the cache, at most all of them."""
    first_token_delay: float = 0.0
    token_interval: float = 0.0

    first_audio_delay: float = 0.0
    audio_speed: float = math.inf
    """How many times faster than it plays the sound is sent."""
    audio_chunk_bytes: int = 1920
    """40 ms; an odd number splits samples."""
    rate_hz: int = PLAYOUT_RATE_HZ
    """Rate of the speech; OpenAI's is 24 kHz."""
    has_wav_header: bool = False
    """Put a WAV header before raw samples, as some compatible servers do."""

    line_end: str = "\n"
    """What ends the lines of an event stream: LF, CR or CRLF."""
    write_bytes: int | None = None
    """Cut event streams into writes of so many bytes, also inside characters; ``None``: one per event."""
    comment_interval: float | None = None
    """Send a comment that keeps the line open as often as this while nothing else is sent."""
    has_null_content: bool = False
    """Begin the answer with ``content: null`` instead of an empty string."""
    sends_done: bool = True
    """End the stream with ``[DONE]``."""
    linger: float = 0.0
    """Keep an event stream open so long after its last event."""

    realtime: RealtimeScenario = field(default_factory=RealtimeScenario)
    """What only the WebSocket ``/v1/realtime`` does."""

    faults: Mapping[Endpoint, Iterable[Fault | None]] = field(default_factory=dict)
    """What goes wrong, one entry per request or WebSocket and endpoint (``itertools.repeat`` for ever); then
    nothing."""


@dataclass(slots=True, eq=False)
class ReceivedRequest:
    """One request: ``fields`` are the JSON body or the form; ``audio`` is what was to be transcribed.

    Times are the loop's; ``connection`` tells TCP connections apart.
    """

    endpoint: Endpoint
    at: float
    connection: int
    headers: Mapping[str, str]
    fields: Mapping[str, Any] = field(default_factory=dict)
    audio: Samples | None = None
    rate_hz: int | None = None
    status: int | None = None
    outcome: Outcome = "open"
    n_sent: int = 0
    """Pieces of the body sent: tokens or chunks of sound."""
    first_byte_at: float | None = None
    ended_at: float | None = None


def spoken(text: str, *, speed: float = 1.0, rate_hz: int = PLAYOUT_RATE_HZ) -> Samples:
    """Return what the fake says for ``text``: a tone of 60 ms for each character, ``(n,)`` int16 mono."""
    n = round(len(text) * MS_PER_CHARACTER * rate_hz / 1000 / speed)
    phase = 2 * np.pi * TONE_HZ * np.arange(n) / rate_hz
    return np.asarray(np.round(TONE_PEAK * np.sin(phase)), dtype=np.int16)
