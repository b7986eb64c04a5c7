"""A member of a chain: one provider, and what is known of how it fares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from ...errors import ProviderUnavailable
from ..base import Provider
from .address import Address
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


_JUST_NOW = 1.0
"""Seconds in which a refusal is not heard twice: a turn that is guessed to be over is asked about twice."""

P = TypeVar("P", bound=Provider)
"""A recognizer, a voice, or an agent, which has the same three members."""


class Member(Generic[P]):
    """One provider of a chain, owned by it.

    ``probe`` and ``rate_limits`` are the provider's own if it has some and none are given. ``address``: where
    it is, if others may be there as well.
    """

    def __init__(
        self,
        provider: P,
        *,
        breaker: BreakerOptions | None = None,
        gate: GateOptions | None = None,
        rate_limits: RateLimits | None = None,
        probe: Probe | None = None,
        address: Address | None = None,
    ) -> None:
        self.provider = provider
        self.name = provider.name
        own: object = provider  # what a provider may have besides its port
        if probe is None and isinstance(own, Probed):
            probe = own.probe
        if rate_limits is None:
            rate_limits = own.rate_limits if isinstance(own, RateLimited) else RateLimits()
        self.probe = probe
        self.address = address
        self.breaker = CircuitBreaker(breaker)
        self.gate = Gate(provider.name, gate)
        self.rate_limits = rate_limits
        self.last_error = ""
        """What it said when it failed last; empty since it succeeded."""
        self.left_for: type[BaseException] | None = None
        """The kind of failure for which it was left alone last."""
        self._refusal: tuple[float, ProviderUnavailable] | None = None
        self.is_skipped = False
        """Whether work passed it by, the last time there was some."""

    def is_usable(self, now: float) -> bool:
        """Whether work should be given to it."""
        return self.breaker.allows(now) and not self.rate_limits.is_nearly_used(now) and not self.is_silent

    @property
    def is_silent(self) -> bool:
        """Whether nothing at all comes from where it is."""
        return self.address is not None and self.address.is_silent

    def refused(self, error: ProviderUnavailable, now: float) -> None:
        """Keep what the operator was told."""
        self._refusal = now, error

    def just_refused(self, now: float) -> ProviderUnavailable | None:
        """Return what it refused with a moment ago, and would again, in words only; else ``None``."""
        if self._refusal is None or now - self._refusal[0] >= _JUST_NOW:
            return None
        error = self._refusal[1]
        return ProviderUnavailable(error.message, provider=error.provider, fix=error.fix)

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
