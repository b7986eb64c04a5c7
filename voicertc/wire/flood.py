"""How many messages a client may send: a token bucket on the caller's clock."""

from __future__ import annotations

FLOOD_RATE, FLOOD_BURST = 50.0, 300.0
"""Messages per second in the long run, and at once: a restored history comes in one burst. It is what a data
channel may bring, which cannot be told to wait."""
FLOOD_NOTICE = 1.0
"""Seconds between two errors that only say: too many messages."""


class TokenBucket:
    """Lets ``burst`` messages through at once and ``rate`` per second in the long run."""

    def __init__(self, *, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._filled_at: float | None = None

    def take(self, now: float) -> bool:
        """Take one token at ``now`` (any monotonic seconds); return whether there was one."""
        if self._filled_at is not None:
            gained = max(0.0, now - self._filled_at) * self._rate
            self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
