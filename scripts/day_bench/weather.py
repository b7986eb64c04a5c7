"""When a service is well and when it is not: fair and foul spells one after the other, from one seed."""

from __future__ import annotations

import random
from enum import Enum


class Fault(Enum):
    """What a service does instead of its work."""

    REFUSED = "refused"
    """It cannot be reached."""
    DENIED = "denied"
    """It does not let us in: the operator has to act."""
    BUSY = "busy"
    """It asks to be asked later."""
    HANGS = "hangs"
    """Nothing comes."""
    STALLS = "stalls"
    """Something comes, and then nothing more."""
    TRICKLES = "trickles"
    """It comes far too slowly."""
    CRASHES = "crashes"
    """It breaks in the middle, with an exception that is nobody's contract."""
    EMPTY = "empty"
    """It ends without anything."""


MORNING = 60.0
"""Seconds in which all is well at first: a server's start, when it voices its phrases."""
_SHARE = 0.9
"""Part of the requests that fail in a foul spell."""
_FLUKE = 0.005
"""Part of the requests that fail in a fair one."""


class Weather:
    """One service's; it is asked with times that never go back.

    ``fair`` and ``foul`` are the mean lengths of spells in seconds; a foul one has one fault.
    """

    def __init__(self, seed: str, *, fair: float, foul: float) -> None:
        self._random = random.Random(seed)
        self._fair, self._foul = fair, foul
        self._fault: Fault | None = None
        self._until = MORNING + self._random.expovariate(1 / fair)
        self._is_over = False
        self.fair_since = 0.0
        """When the fair spell began; what it says in a foul one means nothing."""
        self.n_spells = 0
        """Foul ones so far."""

    def fault(self, now: float) -> Fault | None:
        """Return what befalls a request that begins now."""
        if self.is_fair(now):
            fluke = self._random.random() < _FLUKE and now > MORNING and not self._is_over
            return self._random.choice(list(Fault)) if fluke else None
        return self._fault if self._random.random() < _SHARE else None

    def is_fair(self, now: float) -> bool:
        """Whether requests succeed, but for a few."""
        while now >= self._until and not self._is_over:
            if self._fault is None:
                self._fault = self._random.choice(list(Fault))
                self._until += self._random.expovariate(1 / self._foul)
                self.n_spells += 1
            else:
                self._fault, self.fair_since = None, self._until
                self._until += self._random.expovariate(1 / self._fair)
        return self._fault is None

    def clear_up(self, now: float) -> None:
        """Be fair from now on."""
        if not self.is_fair(now):
            self.fair_since = now
        self._fault, self._is_over = None, True
