"""Probes: while a provider is left alone, it is asked in the background whether it is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import ProviderError
from ...logs import event
from .breaker import State
from .member import Member

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


class Probes:
    """The probing tasks of one chain, at most one for each member; ``close`` ends them.

    ``recovered`` is told who is back.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        recovered: Callable[[Member[Any]], None],
        options: ProbeOptions | None = None,
    ) -> None:
        self.options = options or ProbeOptions()
        self._clock = clock
        self._recovered = recovered
        self._tasks: dict[Member[Any], asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def watch(self, member: Member[Any]) -> None:
        """Probe ``member`` until its breaker is closed; nothing happens if it cannot be probed."""
        if member.probe is None or self._is_closed:
            return
        if (earlier := self._tasks.pop(member, None)) is not None:
            earlier.cancel()
            self._ending.add(earlier)
        task = asyncio.create_task(self._watch(member), name=f"plan_b/{member.name}/probe")
        self._tasks[member] = task
        task.add_done_callback(lambda task: self._forget(member, task))

    async def close(self) -> None:
        """End all; none begins any more. May be called twice."""
        self._is_closed = True
        tasks = (*self._tasks.values(), *self._ending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, member: Member[Any], task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if self._tasks.get(member) is task:
            del self._tasks[member]

    async def _watch(self, member: Member[Any]) -> None:
        n_failed = 0
        while member.breaker.state(self._clock()) is not State.CLOSED:
            exponent = min(32, member.breaker.n_opened - 1 + n_failed)
            await asyncio.sleep(min(self.options.longest, self.options.first * 2.0**exponent))
            n_failed += 1
            if await self._is_back(member) and member.breaker.probed():
                self._recovered(member)

    async def _is_back(self, member: Member[Any]) -> bool:
        if member.breaker.state(self._clock()) is State.CLOSED or member.probe is None:
            return False
        try:
            async with asyncio.timeout(self.options.timeout):
                await member.probe()
        except (TimeoutError, ProviderError) as error:
            reason = error.message if isinstance(error, ProviderError) else "timeout"
            event(_log, logging.DEBUG, "provider_probe_failed", provider=member.name, reason=reason)
            return False
        except Exception:  # a third party's probe: what it raises must not end the watch
            event(_log, logging.ERROR, "provider_probe_broken", provider=member.name, exc_info=True)
            return False
        return True
