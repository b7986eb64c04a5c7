"""What is left of an account's allowance, as a service tells it with every answer.

    x-ratelimit-limit-requests: 500     x-ratelimit-limit-tokens: 200000
    x-ratelimit-remaining-requests: 3   x-ratelimit-remaining-tokens: 1312
    x-ratelimit-reset-requests: 59.6s   x-ratelimit-reset-tokens: 6m0s
    retry-after: 7

(OpenAI: guides/rate-limits; most compatible services copy it.) While it is nearly used, work goes to the next
provider; so nobody's turn is the one that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

NEARLY = 0.05
"""The part of an allowance that is kept back: for what is under way, and for other users of the account."""
LONGEST = 600.0
"""Seconds for which a service is believed that it has nothing left; after them it is asked again."""

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001, "µs": 0.000001, "ns": 0.000000001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_NAMES = ("requests", "tokens")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be asked until ``resets_at`` (seconds of the caller's clock)."""

    limit: float
    remaining: float
    resets_at: float

    def is_nearly_used(self, now: float) -> bool:
        """Whether so little is left that others should do the work."""
        return now < self.resets_at and self.remaining < max(1.0, self.limit * NEARLY)


class RateLimits:
    """One service's allowances, as it told them last. Anybody may tell it, in any order."""

    def __init__(self) -> None:
        self._allowances: dict[str, Allowance] = {}
        self._refused_until = float("-inf")

    @property
    def allowances(self) -> Mapping[str, Allowance]:
        """What was told, by ``requests`` and ``tokens``."""
        return self._allowances

    def read(self, headers: Mapping[str, str], now: float) -> None:
        """Take what an answer's headers say, names in any case; what makes no sense is ignored."""
        told = {name.lower(): value for name, value in headers.items()}
        for name in _NAMES:
            limit, remaining = (
                _number(told.get(f"x-ratelimit-{what}-{name}")) for what in ("limit", "remaining")
            )
            reset = duration(told.get(f"x-ratelimit-reset-{name}", ""))
            if remaining is not None and reset is not None:
                self.note(name, limit=limit or 0.0, remaining=remaining, reset=reset, now=now)

    def note(self, name: str, *, limit: float, remaining: float, reset: float, now: float) -> None:
        """Take one allowance, as the Realtime event ``rate_limits.updated`` has it; ``reset``: seconds."""
        self._allowances[name] = Allowance(limit, remaining, now + min(max(0.0, reset), LONGEST))

    def refused(self, retry_after: float, now: float) -> None:
        """Take a 429 that says when to come back, in seconds."""
        self._refused_until = max(self._refused_until, now + min(max(0.0, retry_after), LONGEST))

    def is_nearly_used(self, now: float) -> bool:
        """Whether others should do the work for now."""
        if now < self._refused_until:
            return True
        return any(allowance.is_nearly_used(now) for allowance in self._allowances.values())

    def due(self, now: float) -> float:
        """Return when the service may be asked again. A little that is left may be used at once."""
        return max(now, self._refused_until)


def duration(text: str) -> float | None:
    """Return the seconds of ``6m0s``, ``59.6s``, ``12ms`` or ``7``; ``None`` for anything else."""
    text = text.strip()
    if (plain := _number(text)) is not None:
        return plain
    parts = _PART.findall(text)
    if not parts or "".join(value + unit for value, unit in parts) != text:
        return None
    return sum(float(value) * _UNITS[unit] for value, unit in parts)


def _number(text: str | None) -> float | None:
    if text is None or re.fullmatch(r"\s*\d{1,12}(?:\.\d{1,9})?\s*", text) is None:
        return None
    return float(text)
