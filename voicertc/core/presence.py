"""Whether anybody is there to speak to: who has come, has gone away, and is to leave.

    connected ──greeting delay──> up <──away, back──> away
                                   └──end requested, goodbye heard──> leaving

The greeting waits a moment for what the client does first: set up its session, say or ask something.
"""

from __future__ import annotations

from .replies import Reply

_SETUP_GRACE = 0.25
"""Seconds after a client has set up its session in which it may say or ask something itself."""


class Presence:
    """Owned by the ``Floor``. ``greet_at``: when the greeting may come; ``None`` once it is decided."""

    def __init__(self, *, greeting_delay: float) -> None:
        self.is_connected = self.is_away = False
        self.greet_at: float | None = None
        self.is_leaving = False
        """Whether the call ends when nothing is left to say."""
        self._greeting_delay = greeting_delay
        self._goodbye_id: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is somebody to hear, and no greeting to wait for."""
        return self.is_connected and not self.is_away and self.greet_at is None

    def connected(self, now: float) -> None:
        """Media flows, for the first time or again."""
        if not self.is_connected:
            self.is_connected = True
            self.greet_at = now + self._greeting_delay

    def set_up(self, now: float) -> None:
        """The client has set up its session: what it does next comes before a greeting."""
        if self.greet_at is not None:
            self.greet_at = max(self.greet_at, now + _SETUP_GRACE)

    def shift(self, by: float) -> None:
        """Session time has jumped: the greeting waits no less."""
        if self.greet_at is not None:
            self.greet_at += by

    def leave(self, goodbye: Reply | None) -> None:
        """The call is to end; if ``goodbye`` is being said, once that has been heard."""
        self.is_leaving = True
        self._goodbye_id = goodbye.id if goodbye else None

    def stay(self, unheard: Reply) -> None:
        """The user cut a reply short: if it was the goodbye, it was none."""
        if unheard.id == self._goodbye_id:
            self.is_leaving = False
