"""A member of a chain: one provider, and what is known of how it fares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from ..base import Provider
from .breaker import BreakerOptions, CircuitBreaker
from .gate import Gate, GateOptions
from .rate_limits import RateLimits

Probe = Callable[[], Awaitable[None]]
"""Asks a provider for something that costs nothing; raises if it is not there."""


@runtime_checkable
class Probed(Protocol):
    """A provider that can be asked whether it is there."""

    async def probe(self) -> None:
        """Return if the provider works as far as can be told for nothing; raise ``ProviderError`` else."""


@runtime_checkable
class RateLimited(Protocol):
    """A provider that is told what is left of its allowance."""

    @property
    def rate_limits(self) -> RateLimits:
        """What is left."""


P = TypeVar("P", bound=Provider)
"""A recognizer, a voice, or an agent, which has the same three members."""


class Member(Generic[P]):
    """One provider of a chain, owned by it.

    ``probe`` and ``rate_limits`` are the provider's own if it has some and none are given.
    """

    def __init__(
        self,
        provider: P,
        *,
        breaker: BreakerOptions | None = None,
        gate: GateOptions | None = None,
        rate_limits: RateLimits | None = None,
        probe: Probe | None = None,
    ) -> None:
        self.provider = provider
        self.name = provider.name
        own: object = provider  # what a provider may have besides its port
        if probe is None and isinstance(own, Probed):
            probe = own.probe
        if rate_limits is None:
            rate_limits = own.rate_limits if isinstance(own, RateLimited) else RateLimits()
        self.probe = probe
        self.breaker = CircuitBreaker(breaker, is_probed=probe is not None)
        self.gate = Gate(provider.name, gate)
        self.rate_limits = rate_limits
        self.last_error = ""
        """What it said when it failed last; empty since it succeeded."""
        self.is_skipped = False
        """Whether work passed it by, the last time there was some."""

    def is_usable(self, now: float) -> bool:
        """Whether work should be given to it."""
        return self.breaker.allows(now) and not self.rate_limits.is_nearly_used(now)

    def due(self, now: float) -> float:
        """Return when it may be asked next, for want of a better one."""
        return max(self.breaker.due(now), self.rate_limits.due(now))

    def report(self, now: float) -> MemberReport:
        """Say how it fares."""
        return MemberReport(
            self.name,
            self.breaker.state(now).value,
            self.rate_limits.is_nearly_used(now),
            self.gate.n_inside,
            self.gate.n_waiting,
            self.last_error,
        )


@dataclass(frozen=True, slots=True)
class MemberReport:
    """How a provider fares: ``state`` is its breaker's, ``error`` what it failed with last."""

    name: str
    state: str
    is_nearly_used: bool
    n_requests: int
    n_waiting: int
    error: str
