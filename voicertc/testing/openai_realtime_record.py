"""What a test may ask about one Realtime WebSocket of the fake."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..audio.pcm import Samples

Loss = Literal["early", "fast", "update"]
"""Why sound was lost: before ``session.updated``, faster than the service takes it, by an update of the
session."""

_MAX_EVENTS = 10_000
_MAX_TURNS = 20
"""Benchmarks may talk for hours."""


@dataclass(frozen=True, slots=True, eq=False)
class CommittedTurn:
    """``samples``: ``(n,)`` int16 mono at 24 kHz, without what was lost; ``text``: what they say."""

    item_id: str
    samples: Samples
    text: str


@dataclass(slots=True, eq=False)
class ReceivedSocket:
    """One connection. Times are the loop's, lengths are samples at 24 kHz."""

    at: float
    connection: int
    """Tells TCP connections apart."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    events: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=_MAX_EVENTS))
    """What the client sent; sound as its length in bytes under ``audio``."""
    sent: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=_MAX_EVENTS))
    """What the server sent; sound as its length in bytes under ``delta``."""
    errors: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=_MAX_EVENTS))
    """The ``error`` objects among it."""
    turns: deque[CommittedTurn] = field(default_factory=lambda: deque(maxlen=_MAX_TURNS))
    n_samples: int = 0
    """Sound that came, with what was lost."""
    lost: Counter[Loss] = field(default_factory=Counter)
    """Samples of it that were lost, by reason."""
    n_pings: int = 0
    is_open: bool = False
    status: int | None = None
    """Of the handshake."""
    close_code: int | None = None
    """Of whoever closed first; ``None`` while it is open and after a cut."""
    ended_at: float | None = None

    @property
    def n_lost(self) -> int:
        """Samples that were lost."""
        return self.lost.total()

    def sent_types(self) -> list[str]:
        """Return the types of what the server sent, in order."""
        return [str(event["type"]) for event in self.sent]

    def received(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the client's events of one type, in order."""
        return [event for event in self.events if event.get("type") == kind]
