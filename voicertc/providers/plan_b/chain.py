"""A chain: one stage's providers in the order in which they are asked, and who is to be asked next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic

from ...errors import ProviderBusy, ProviderError, ProviderTimeout, ProviderUnavailable
from ...logs import event
from .blame import NoCredit, NotDescribed, blame
from .breaker import Permit, State
from .member import Member, MemberReport, P
from .probes import ProbeOptions, Probes

_log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Monotonic seconds; those of the event loop, unless a test says otherwise."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """How a stage fares. ``current``: who would be asked now."""

    stage: str
    current: str
    members: tuple[MemberReport, ...]


class Chain(Generic[P]):
    """The providers of one stage (``stt``, ``llm``, ``tts``), best first, never none.

    One object serves all calls of a process; it owns its members and the tasks that probe them.
    """

    def __init__(
        self,
        stage: str,
        members: Sequence[Member[P]],
        *,
        probes: ProbeOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        assert members, "a stage without providers"
        self.stage = stage
        self.members = tuple(members)
        self.primary = self.members[0]
        """The one that the operator put first, also if it could not start."""
        self.clock = clock or _loop_time
        self._probes = Probes(self.clock, self._on_probation, probes)

    async def start(self) -> None:
        """Start all members at once; those that cannot are left out, with a line for the operator.

        Raises the first one's ``ProviderUnavailable`` if none is left.
        """
        starts = (member.provider.start() for member in self.members)
        results = await asyncio.gather(*starts, return_exceptions=True)
        failed = [(m, error) for m, error in zip(self.members, results, strict=True) if error is not None]
        bugs = [error for _, error in failed if not isinstance(error, ProviderUnavailable)]
        if bugs or len(failed) == len(self.members):
            await self.close()
            raise (bugs or [error for _, error in failed])[0]
        for member, error in failed:
            assert isinstance(error, ProviderUnavailable)
            event(
                _log,
                logging.ERROR,
                "provider_left_out",
                stage=self.stage,
                provider=member.name,
                reason=error.message,
                fix=error.fix,
            )
            await member.provider.close()
        out = {member for member, _ in failed}
        self.members = tuple(member for member in self.members if member not in out)

    async def close(self) -> None:
        """End the probes and close all members; may be called twice."""
        await self._probes.close()
        await asyncio.gather(*(member.provider.close() for member in self.members))

    def look(self) -> None:
        """Probe each member once in the background: a wrong key is found before the first caller finds it."""
        for member in self.members:
            self._probes.look(member, self._found)

    def attempts(self) -> Attempts[P]:
        """Begin to look for a member that does one piece of work."""
        return Attempts(self)

    def current(self) -> Member[P]:
        """Return the member that would be asked now."""
        now = self.clock()
        usable = [member for member in self.members if member.is_usable(now)]
        return usable[0] if usable else min(self.members, key=lambda member: member.due(now))

    def report(self) -> ChainReport:
        """Say how the stage fares."""
        now = self.clock()
        reports = tuple(member.report(now) for member in self.members)
        return ChainReport(self.stage, self.current().name, reports)

    def failed(self, member: Member[P], error: BaseException, *, has_opened: bool) -> None:
        """Note why a member failed, and begin to probe it if it is left alone from now on."""
        member.last_error = error.message if isinstance(error, ProviderError) else type(error).__name__
        if isinstance(error, ProviderBusy) and error.retry_after is not None:
            member.rate_limits.refused(error.retry_after, self.clock())
        if isinstance(error, ProviderUnavailable):
            member.refused(error, self.clock())
        if isinstance(error, ProviderTimeout):
            self._probes.doubt(member)
        is_bug = not isinstance(error, ProviderError)
        event(
            _log,
            logging.ERROR if isinstance(error, ProviderUnavailable) else logging.WARNING,
            "provider_failed",
            exc_info=error if is_bug else None,
            stage=self.stage,
            provider=member.name,
            reason=member.last_error,
            fix=error.fix if isinstance(error, ProviderUnavailable) else None,
            is_left_alone=self._is_left_alone(member),
        )
        if has_opened:
            member.left_for = type(error)
            if not isinstance(error, NoCredit):  # of which no probe can tell whether it is over
                self._probes.watch(member)

    def recovered(self, member: Member[P]) -> None:
        """Note that a member that was left alone has done its work again."""
        event(_log, logging.INFO, "provider_recovered", stage=self.stage, provider=member.name)

    def note_skipped(self, skipped: Sequence[Member[P]], chosen: Member[P]) -> None:
        """Log who is passed by, once for each time that it begins."""
        now = self.clock()
        for member in skipped:
            if not member.is_skipped:
                member.is_skipped = True
                event(
                    _log,
                    logging.WARNING,
                    "provider_skipped",
                    stage=self.stage,
                    provider=member.name,
                    is_left_alone=self._is_left_alone(member),
                    is_nearly_used=member.rate_limits.is_nearly_used(now) or None,
                    is_silent=member.is_silent or None,
                    instead=chosen.name,
                )
        chosen.is_skipped = False

    def _is_left_alone(self, member: Member[P]) -> bool | None:
        """Whether only a trial asks it; ``None`` for no, so that a line says it only then."""
        return member.breaker.state(self.clock()) is not State.CLOSED or None

    def _on_probation(self, member: Member[P]) -> None:
        """Note that a member is asked again, which is no proof yet that it works."""
        event(_log, logging.INFO, "provider_on_probation", stage=self.stage, provider=member.name)

    def _found(self, member: Member[P], permit: Permit, error: ProviderError) -> None:
        """Take what the first probe has failed with as if a request had, unless one has said it already."""
        if isinstance(error, NotDescribed):
            member.breaker.abandoned(permit)
            event(
                _log,
                logging.INFO,
                "provider_not_described",
                stage=self.stage,
                provider=member.name,
                reason=error.message,
            )
        elif permit.period == member.breaker.period:
            opened = member.breaker.failed(permit, blame(error), self.clock())
            self.failed(member, error, has_opened=opened)


class Attempts(Generic[P]):
    """The attempts at one piece of work: each member at most once, best first.

    Members that are left alone, or whose allowance is nearly used, are passed by; if that is all of them,
    they are asked all the same, the one that is due first before the others.
    """

    def __init__(self, chain: Chain[P]) -> None:
        self._chain = chain
        self._tried: list[Member[P]] = []
        self._is_desperate = False
        self.errors: list[Exception] = []
        """Why the attempts so far failed."""

    def next(self) -> Attempt[P] | None:
        """Return the next attempt, or ``None`` if nobody is left. It has to be entered at once."""
        now = self._chain.clock()
        untried = [member for member in self._chain.members if member not in self._tried]
        usable = [member for member in untried if member.is_usable(now)]
        self._is_desperate = self._is_desperate or not (usable or self._tried)
        if self._is_desperate:
            usable = self._willing(untried, now)
        if not usable:  # a little that is left of an allowance is better than nobody
            usable = [member for member in untried if member.breaker.allows(now)]
        if not usable:
            return None
        chosen = usable[0]
        self._chain.note_skipped([member for member in untried if member not in usable], chosen)
        self._tried.append(chosen)
        return Attempt(self._chain, self, chosen, has_next=len(usable) > 1)

    def _willing(self, untried: list[Member[P]], now: float) -> list[Member[P]]:
        """Return who is asked for want of a better one: not who has just said that an operator must act."""
        by_due = sorted(untried, key=lambda member: member.due(now))
        refusals = {member: member.just_refused(now) for member in by_due}
        willing = [member for member in by_due if refusals[member] is None]
        if not willing:
            self.errors += [error for error in refusals.values() if error is not None]
        return willing

    @property
    def error(self) -> Exception:
        """Why nobody did it: what the first who was asked said, since the others only stand in."""
        return self.errors[0]


class Attempt(Generic[P]):
    """One member's attempt, from ``async with`` to its end; how it ends is noted in the member's breaker.

    ``has_next``: somebody else may be asked if this one fails.
    """

    def __init__(self, chain: Chain[P], attempts: Attempts[P], member: Member[P], *, has_next: bool) -> None:
        self.member = member
        self.provider = member.provider
        self.has_next = has_next
        self.has_begun = False
        """Whether something came of it that cannot be taken back: nobody else is asked then."""
        self.is_excused = False
        """Whether the member is not to blame, however the attempt ends."""
        self._chain = chain
        self._attempts = attempts
        self._permit = member.breaker.admit(chain.clock())

    def unless_silent(self, scope: asyncio.Timeout) -> AbstractContextManager[None]:
        """End ``scope`` as soon as nothing at all comes from where the member is, if others may be asked."""
        loop, address = asyncio.get_running_loop(), self.member.address

        def give_up() -> None:
            if not scope.expired():
                scope.reschedule(loop.time())

        return address.waiting(give_up) if address is not None and self.has_next else nullcontext()

    def timeout(self, what: str) -> ProviderTimeout:
        """Return the error of a member that was given up; ``what`` it has not done, unless it could not."""
        name = self.member.name
        said = f"nothing comes from where {name} is" if self.member.is_silent else f"{name} {what}"
        return ProviderTimeout(said, provider=name)

    async def __aenter__(self) -> Attempt[P]:
        try:
            await self.member.gate.enter()
        except BaseException as error:
            self._end(error)
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.member.gate.leave()
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        breaker = self.member.breaker
        if self.is_excused:
            breaker.abandoned(self._permit)
        elif isinstance(error, Exception):
            self._attempts.errors.append(error)
            opened = breaker.failed(self._permit, blame(error), self._chain.clock())
            self._chain.failed(self.member, error, has_opened=opened)
        elif error is None or self.has_begun:  # also if its listener has left in the middle
            if breaker.succeeded(self._permit):
                self._chain.recovered(self.member)
            self.member.last_error = ""
        else:
            breaker.abandoned(self._permit)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
