"""What a client said that starts a session before it offers a call, kept for that offer (Pipecat: /start)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from ..core.options import SessionOptions

START_LIFE = 600.0
"""Seconds for which it is remembered: a user may have to allow the microphone first."""
MAX_BYTES = 8 * 1024 * 1024
"""What all that is remembered may take, as JSON; the oldest is forgotten beyond it."""

_ENTRY_BYTES = 1_000
"""What an entry takes beside its JSON text."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a call is to begin with, whose it is, until when (unix seconds), and how much room it takes."""

    options: SessionOptions
    owner: str
    expires_at: float
    n_bytes: int


class Starts:
    """The sessions that were started, by their ids, oldest first. ``clock`` gives unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_id: dict[str, Start] = {}
        self._n_bytes = 0

    def add(self, options: SessionOptions, owner: str, n_bytes: int) -> str:
        """Remember ``options``, which take ``n_bytes`` as JSON; return the session's id."""
        session_id = secrets.token_urlsafe(16)
        start = Start(options, owner, self._clock() + START_LIFE, _ENTRY_BYTES + n_bytes)
        self._by_id[session_id] = start
        self._n_bytes += start.n_bytes
        while self._n_bytes > MAX_BYTES or self._oldest.expires_at <= self._clock():
            self._n_bytes -= self._oldest.n_bytes
            del self._by_id[next(iter(self._by_id))]
        return session_id

    def get(self, session_id: str) -> Start | None:
        """Return what is remembered, or ``None``."""
        start = self._by_id.get(session_id)
        return start if start is not None and start.expires_at > self._clock() else None

    @property
    def _oldest(self) -> Start:
        return next(iter(self._by_id.values()))
