"""The circuit breaker: after a few failures in a row a provider is left alone, so that no turn waits for it.

             3 failures in a row, or one that needs the operator
    closed ─────────────────────────────────────────────────────> open
      ^  ^                                                         │ its time is over
      │  └────────── the trial succeeded ───────── half-open <─────┤
      │                                            (one trial)     │
      └────────── a probe was answered (on probation) <────────────┘

Pure: every method is told the time, in seconds of any monotonic clock. What comes of a request counts only
for the state in which it was let through, so an old request that ends late changes nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

from .blame import Blame


class State(Enum):
    """Whether a provider is asked."""

    CLOSED = "closed"
    """Yes."""
    OPEN = "open"
    """No."""
    HALF_OPEN = "half_open"
    """By one request at a time, to see whether it is back."""


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """When a provider is left alone, and how long."""

    failures: int = 3
    """Failures in a row after which it is: one may be the network, three are a pattern."""
    window: float = 60.0
    """Seconds within which those failures lie: three in an hour are no outage."""
    open_for: float = 30.0
    """Seconds for which it is left alone the first time; twice as long each time it fails again."""
    longest: float = 300.0
    """Seconds for which it is left alone at most."""
    trial: float = 60.0
    """Seconds after which a trial that has not ended holds up the next one no longer."""


@dataclass(frozen=True, slots=True)
class Permit:
    """One request was let through. ``period``: the breaker's, which counts its openings and closings.

    ``is_forced``: it was made for want of anybody else. If it fails, nothing new is known.
    """

    period: int
    is_trial: bool
    is_forced: bool


class CircuitBreaker:
    """One provider's breaker. Owned by its member; every request takes a permit and says what came of it.

    A failure that needs the operator is tried again by a real request after the longest time, unless a probe
    is answered before.
    """

    def __init__(self, options: BreakerOptions | None = None) -> None:
        self.options = options or BreakerOptions()
        self.n_opened = 0
        """How often it has opened since a request succeeded last."""
        self._failures: deque[float] = deque(maxlen=self.options.failures)
        self.period = 0
        """Counts its openings and closings."""
        self._is_open = False
        self._until = 0.0  # when it is half-open
        self._trial: tuple[Permit, float] | None = None

    def state(self, now: float) -> State:
        """Return the state."""
        if not self._is_open:
            return State.CLOSED
        return State.OPEN if now < self._until else State.HALF_OPEN

    def allows(self, now: float) -> bool:
        """Whether a request should be made: not while it is open, nor while another one is the trial."""
        match self.state(now):
            case State.CLOSED:
                return True
            case State.OPEN:
                return False
            case State.HALF_OPEN:
                return not self._is_on_trial(now)

    def due(self, now: float) -> float:
        """Return when the next request should be made."""
        if self.allows(now):
            return now
        if self.state(now) is State.HALF_OPEN and self._trial is not None:
            return self._trial[1] + self.options.trial
        return self._until

    def admit(self, now: float) -> Permit:
        """Let a request through, also one that is not allowed: by succeeding it closes the breaker too."""
        is_allowed = self.allows(now)
        permit = Permit(self.period, self._is_open and is_allowed, not is_allowed)
        if permit.is_trial:
            self._trial = permit, now
        return permit

    def succeeded(self, permit: Permit) -> bool:
        """Note that a request went well; return whether that ended an outage."""
        if permit.period != self.period:
            return False
        was_out = self.n_opened > 0
        self._failures.clear()
        self.n_opened = 0
        if self._is_open:
            self._close()
        return was_out

    def failed(self, permit: Permit, fault: Blame, now: float) -> bool:
        """Note that a request failed; return whether that opened the breaker (again)."""
        if fault is Blame.REQUEST:
            self.abandoned(permit)
            return False
        if permit.period != self.period or permit.is_forced:
            return False
        self._failures.append(now)
        is_pattern = (
            len(self._failures) == self.options.failures and now - self._failures[0] <= self.options.window
        )
        # On probation, that is since only a probe was answered, one failure is enough.
        if fault is Blame.OPERATOR or permit.is_trial or self.n_opened or is_pattern:
            self._open(fault, now)
            return True
        return False

    def abandoned(self, permit: Permit) -> None:
        """Note that nobody waits for a request any more: the next one may be the trial."""
        if self._trial is not None and self._trial[0] is permit:
            self._trial = None

    def probed(self) -> bool:
        """Note that a probe was answered; return whether that closed the breaker.

        A probe proves less than a request does (a model is described also to who has no credit left), so the
        breaker is on probation: it opens again at the first failure, and for longer.
        """
        if not self._is_open:
            return False
        self._close()
        return True

    def _is_on_trial(self, now: float) -> bool:
        return self._trial is not None and now - self._trial[1] < self.options.trial

    def _open(self, fault: Blame, now: float) -> None:
        options = self.options
        open_for = min(options.longest, options.open_for * 2.0 ** min(self.n_opened, 32))
        self._is_open = True
        self._until = now + (options.longest if fault is Blame.OPERATOR else open_for)
        self.n_opened += 1
        self._change()

    def _close(self) -> None:
        self._is_open = False
        self._change()

    def _change(self) -> None:
        self.period += 1
        self._failures.clear()
        self._trial = None
