"""How long the user has been silent since the agent's last word (OpenAI Realtime: ``idle_timeout_ms``).

reply heard ──> awaiting ──floor is free──> counting ──deadline──> over, until another is heard
                    ^─────── the user spoke ───┘
"""

from __future__ import annotations

from .options import TurnDetection


class Idleness:
    """Owned by the ``Floor``, which tells what has happened; it counts after a reply only."""

    def __init__(self) -> None:
        self._is_awaiting = False
        self._quiet_since: float | None = None

    def deadline(self, detection: TurnDetection | None) -> float | None:
        """Return when it will have been too long; ``None`` while nobody counts. Only ``server_vad`` does."""
        if detection is None or detection.type != "server_vad" or detection.idle_timeout is None:
            return None
        return None if self._quiet_since is None else self._quiet_since + detection.idle_timeout

    def reply_began(self) -> None:
        """The agent is at work; if nothing is heard of it, nobody counts."""
        self._is_awaiting, self._quiet_since = False, None

    def reply_heard(self) -> None:
        """The agent has spoken: it counts, once the floor is free."""
        self._is_awaiting = True

    def floor_is_free(self, now: float) -> None:
        """Nobody speaks, and nobody is about to."""
        if self._is_awaiting:
            self._is_awaiting, self._quiet_since = False, now

    def interrupted(self) -> None:
        """There was a sound; if nothing comes of it, it counts anew."""
        self._is_awaiting |= self._quiet_since is not None
        self._quiet_since = None

    def end(self) -> float:
        """It has been too long; return since when."""
        since, self._quiet_since = self._quiet_since, None
        assert since is not None
        return since
