"""Probes: a provider is asked in the background whether it is there, at the start and while left alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import ProviderError, ProviderTimeout
from ...logs import event
from .address import Address
from .blame import NotDescribed, is_disproved
from .breaker import Permit, State
from .member import Member

Found = Callable[[Member[Any], Permit, ProviderError], None]
"""Told what a probe at the start has failed with."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """How often a provider that is left alone is asked whether it is back."""

    first: float = 5.0
    """Seconds until the first probe; doubled after each that fails, and each time the provider let us down
    again after one that succeeded."""
    longest: float = 60.0
    """Seconds between two probes at most."""
    timeout: float = 5.0
    """Seconds that a probe may take."""
    verdict: float = 0.5
    """Seconds in which something must come from an address that is in doubt: three round trips of a bad line,
    and the rest of a turn's 3 s is the next engine's."""


class Probes:
    """The probing tasks of one chain, at most one for each member that is left alone; ``close`` ends them.

    ``answered`` is told who is asked again because a probe was answered.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        answered: Callable[[Member[Any]], None],
        options: ProbeOptions | None = None,
    ) -> None:
        self.options = options or ProbeOptions()
        self._clock = clock
        self._answered = answered
        self._tasks: dict[Member[Any], asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()  # that look once, or are ending
        self._is_closed = False

    def watch(self, member: Member[Any]) -> None:
        """Probe ``member`` until its breaker is closed; nothing happens if it cannot be probed."""
        if member.probe is None or self._is_closed:
            return
        if (earlier := self._tasks.pop(member, None)) is not None:
            earlier.cancel()
            self._others.add(earlier)
        task = asyncio.create_task(self._watch(member), name=f"plan_b/{member.name}/probe")
        self._tasks[member] = task
        task.add_done_callback(lambda task: self._forget(member, task))

    def look(self, member: Member[Any], found: Found) -> None:
        """Probe ``member`` once and tell ``found`` if that fails; nothing happens if it cannot be probed."""
        if member.probe is None or self._is_closed:
            return
        task = asyncio.create_task(self._look(member, found), name=f"plan_b/{member.name}/look")
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    def doubt(self, member: Member[Any]) -> None:
        """Find out whether anything comes from where ``member`` is, and go on probing while nothing does."""
        address = member.address
        if address is None or address.is_watched or member.probe is None or self._is_closed:
            return
        address.is_watched = True
        task = asyncio.create_task(self._doubt(member, address), name=f"plan_b/{member.name}/doubt")
        self._others.add(task)
        task.add_done_callback(self._others.discard)
        task.add_done_callback(lambda _: address.unwatched())

    async def close(self) -> None:
        """End all; none begins any more. May be called twice."""
        self._is_closed = True
        tasks = (*self._tasks.values(), *self._others)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, member: Member[Any], task: asyncio.Task[None]) -> None:
        self._others.discard(task)
        if self._tasks.get(member) is task:
            del self._tasks[member]

    async def _watch(self, member: Member[Any]) -> None:
        n_failed = 0
        while member.breaker.state(self._clock()) is not State.CLOSED:
            exponent = min(32, member.breaker.n_opened - 1 + n_failed)
            await asyncio.sleep(min(self.options.longest, self.options.first * 2.0**exponent))
            n_failed += 1
            if await self._is_back(member) and member.breaker.probed():
                self._answered(member)

    async def _look(self, member: Member[Any], found: Found) -> None:
        if member.breaker.state(self._clock()) is not State.CLOSED:
            return  # it has failed already, and is watched
        permit = member.breaker.admit(self._clock())
        error = await self._probe(member)
        if isinstance(error, ProviderError):
            found(member, permit, error)
        else:
            member.breaker.abandoned(permit)

    async def _doubt(self, member: Member[Any], address: Address) -> None:
        loop, was_silent = asyncio.get_running_loop(), False
        while True:
            begun = loop.time()
            timer = loop.call_later(self.options.verdict, address.judge, begun)
            try:
                await self._probe(member)
            finally:
                timer.cancel()
            address.judge(begun)  # also if it was refused at once
            if address.is_silent != was_silent:
                was_silent = address.is_silent
                what = "address_silent" if was_silent else "address_heard_again"
                event(_log, logging.WARNING if was_silent else logging.INFO, what, provider=member.name)
            if not was_silent:
                return
            await asyncio.sleep(self.options.first)

    async def _is_back(self, member: Member[Any]) -> bool:
        """Whether a probe disproves what the member was left alone for."""
        if member.breaker.state(self._clock()) is State.CLOSED:
            return False
        error = await self._probe(member)
        if error is None or isinstance(error, NotDescribed):
            return is_disproved(member.left_for, error)
        if isinstance(error, ProviderError):
            event(_log, logging.DEBUG, "provider_probe_failed", provider=member.name, reason=error.message)
        return False

    async def _probe(self, member: Member[Any]) -> Exception | None:
        """Probe once; return what came of it instead of success."""
        assert member.probe is not None, "who cannot be probed is not watched"
        try:
            async with asyncio.timeout(self.options.timeout):
                await member.probe()
        except ProviderError as error:
            return error
        except TimeoutError:
            return ProviderTimeout(f"{member.name} did not answer in time", provider=member.name)
        except Exception as error:  # a third party's probe: what it raises must not end the watch
            event(_log, logging.ERROR, "provider_probe_broken", provider=member.name, exc_info=True)
            return error
        return None
