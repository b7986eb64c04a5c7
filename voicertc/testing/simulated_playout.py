"""The playout of one reply, simulated: which clause begins when, and how much has left by now.

Used by ``world`` only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SAMPLES_PER_SECOND = 24_000
STARVED_AFTER = 0.25
"""Seconds without sound in the middle of a reply until that is told."""


@dataclass(slots=True)
class SimulatedPlayout:
    """One reply's playout: what is queued, what has left, and whether it is moving.

    ``handed_at``: when all of it goes to a client that plays at its own pace; ``None`` for one that does not.
    """

    reply_id: str
    clauses: list[int] = field(default_factory=list)
    n_begun: int = 0
    is_generated: bool = False
    played: float = 0.0
    moving_since: float | None = None
    handed_at: float | None = None
    is_starved: bool = False
    is_held: bool = False

    @property
    def length(self) -> int:
        """Samples in all."""
        return sum(self.clauses)

    def played_at(self, now: float) -> float:
        """Samples that have left, or were played by the client, by ``now``."""
        if self.moving_since is None:
            return self.played
        return min(self.played + (now - self.moving_since) * SAMPLES_PER_SECOND, float(self.length))

    def ends_at(self, now: float) -> float:
        """When the last sample will have been played if nothing happens."""
        return max(now, (self.moving_since or now) + (self.length - self.played) / SAMPLES_PER_SECOND)

    def next_event(self) -> float | None:
        """When the next clause begins, the last one has left, or it is plain that more should have come."""
        if self.moving_since is None:
            return None
        if self.n_begun < len(self.clauses):
            if self.handed_at is not None:
                return self.handed_at
            return self._leaves_at(sum(self.clauses[: self.n_begun]))
        if self.is_generated:
            return self._leaves_at(self.length)
        return None if self.is_starved else self._leaves_at(self.length) + STARVED_AFTER

    def _leaves_at(self, position: int) -> float:
        assert self.moving_since is not None
        return self.moving_since + max(0.0, position - self.played) / SAMPLES_PER_SECOND
