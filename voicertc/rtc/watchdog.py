"""When a client is away, back, or lost, from nothing but the times at which something arrived.

aiortc notices a killed client after 30 seconds and one that never connects not at all. Any datagram is a
sign of life: a live client sends RTP, or RTCP and STUN at least every few seconds (RFC 7675).
"""

from __future__ import annotations

from enum import Enum


class Sign(Enum):
    """What the watchdog noticed."""

    AWAY = "nothing has come for a while"
    BACK = "something came after all"
    LOST = "nothing has come for too long"
    NEVER_CONNECTED = "the connection was not made in time"


class Watchdog:
    """Pure: the peer tells it what happened at which ``now`` (monotonic seconds), asks at ``deadline``."""

    def __init__(self, now: float, *, connect_timeout: float, pause_after: float, close_after: float) -> None:
        self._pause_after = pause_after
        self._close_after = close_after
        self._connect_by = now + connect_timeout
        self.is_connected = False
        """Whether media could ever flow."""
        self.heard = now
        """When the last datagram arrived; set for each, so it is a plain attribute."""
        self.is_away = False
        """Whether ``AWAY`` was said, and not ``BACK`` since."""

    def connect(self, now: float) -> None:
        """Media can flow from now on."""
        self.is_connected = True
        self.heard = now

    @property
    def deadline(self) -> float:
        """When ``check`` may have something to say next, if nothing arrives before."""
        if not self.is_connected:
            return self._connect_by
        return self.heard + (self._close_after if self.is_away else self._pause_after)

    def check(self, now: float) -> Sign | None:
        """Return what is to be noticed at ``now``, each thing once."""
        if not self.is_connected:
            return Sign.NEVER_CONNECTED if now >= self._connect_by else None
        silence = now - self.heard
        if silence >= self._close_after:
            return Sign.LOST
        if silence >= self._pause_after:
            if not self.is_away:
                self.is_away = True
                return Sign.AWAY
        elif self.is_away:
            self.is_away = False
            return Sign.BACK
        return None
