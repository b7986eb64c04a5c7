"""Where in the call a block of sound belongs, from time stamps that may be anything.

    time stamps   0   20  40  60            440 460        0   20           (ms)
    sound         |##|##|##|##|   silence   |##|##|  anew |##|##|
    position      0   20  40  60            440 460        480 500

The position must stay true although packets are lost, a client sends nothing while it is silent (DTX, RFC
6716 §2.1.9), its clock restarts, or its device was asleep: deadlines of turn-taking count from it. Sound that
never came is a jump ahead.
"""

from __future__ import annotations

from typing import TypeAlias

TIMELINE_HZ = 48_000
"""The clock of Opus's time stamps, whatever rate is coded (RFC 7587 §4.1)."""

Ticks: TypeAlias = int
"""1/48,000 of a second."""

_MAX_LEAD = 0.5
"""Seconds by which sound may run ahead of real time before its time stamps are not believed."""
_LAG_PATIENCE = 1.0
"""Seconds: packets held up on the way all come at once and need no correction."""
_CLOCK_ERROR = 0.0005
"""By how much a sender's clock may go wrong, in seconds per second: ten times what quartz does."""


class Timeline:
    """Tells how much sound is missing before each block. Pure: ``now`` is seconds since the call began.

    ``delay``: how old sound is when it is told of, at least, in seconds. ``max_lag``: seconds by which sound
    may lag behind for a second before it is set right; more than anything on the way holds it up.
    ``position``: where the first block begins at the earliest.

    Invariant: ``position`` never falls, and stays within ``_MAX_LEAD`` ahead of real time, but for what the
    sender's clock gains.
    """

    def __init__(self, *, delay: float = 0.0, max_lag: float = 0.5, position: Ticks = 0) -> None:
        self._delay = delay
        self._max_lag = max_lag
        self.position = position
        """Where the next block begins if nothing is missing, counted from the beginning of the call."""
        self._next_stamp: int | None = None
        self._lag_since = 0.0
        self._least_lag: Ticks = 0

    def gap(self, stamp: int | None, length: Ticks, now: float) -> Ticks:
        """Return how much is missing before a block that came at ``now``, and move on behind it.

        ``stamp``: the block's time stamp, not wrapped; ``None``: it has none, and follows the one before.
        """
        real = round((now - self._delay) * TIMELINE_HZ) - length
        if self._next_stamp is None:
            missing = max(0, real - self.position)  # the call began before its first sound
        else:
            missing = self._missing(stamp, real, now)
            missing += self._overdue(real - self.position - missing, now)
        self.position += missing + length
        self._next_stamp = (self._next_stamp or 0) + length if stamp is None else stamp + length
        return missing

    def _missing(self, stamp: int | None, real: Ticks, now: float) -> Ticks:
        """Return what the time stamps say is missing, as far as real time bears it out."""
        if stamp is None or self._next_stamp is None:
            return 0
        jump = stamp - self._next_stamp
        if jump <= 0:
            return 0  # the client's clock began anew: go on from here
        if self.position + jump - real > _ticks(_MAX_LEAD + _CLOCK_ERROR * now):
            return max(0, real - self.position)
        return jump

    def _overdue(self, lag: Ticks, now: float) -> Ticks:
        """Return what sound has lagged behind for so long that no late packets can explain it."""
        self._least_lag = min(self._least_lag, lag)
        if now - self._lag_since < _LAG_PATIENCE:
            return 0
        overdue = self._least_lag
        self._lag_since, self._least_lag = now, lag
        if overdue <= _ticks(self._max_lag + _CLOCK_ERROR * now):
            return 0
        self._least_lag = 0
        return overdue


def _ticks(seconds: float) -> Ticks:
    return round(seconds * TIMELINE_HZ)
