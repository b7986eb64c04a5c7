"""The deadlines of one streamed answer: until its first useful byte, then between two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from ..errors import ProviderTimeout

_T = TypeVar("_T")


class Patience:
    """How long may be waited: ``first`` seconds for the first thing of use, ``idle`` between two.

    ``provider``: whose patience is tried, by its name in the settings.

    Bytes that say nothing (a comment that keeps the line open, a thought) buy no time; whoever reads the
    stream calls ``something_came``. Only waiting counts, not the time in which nobody asked for more.
    """

    def __init__(self, provider: str, *, first: float, idle: float) -> None:
        self.provider = provider
        self._first, self._idle, self._left = first, idle, first
        self._has_come = False

    @property
    def left(self) -> float:
        """Seconds that may still be waited for the next thing of use."""
        return self._left

    def something_came(self) -> None:
        """Note that the stream has delivered something of use."""
        self._has_come, self._left = True, self._idle

    async def wait(self, awaited: Awaitable[_T]) -> _T:
        """Await ``awaited``; raise ``ProviderTimeout`` when the patience ends before it."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            async with asyncio.timeout(self._left) as scope:
                return await awaited
        except TimeoutError:
            if not scope.expired():
                raise
            raise self._exhausted() from None
        finally:
            self._left -= clock() - begun

    def _exhausted(self) -> ProviderTimeout:
        said = f"stopped in the middle for {self._idle:g} s"
        if not self._has_come:
            said = f"gave no answer within {self._first:g} s"
        return ProviderTimeout(f"{self.provider} {said}", provider=self.provider)


async def in_time(work: Awaitable[_T], seconds: float | None, provider: str) -> _T:
    """Await ``work``; raise ``ProviderTimeout`` if it takes longer than ``seconds`` (``None``: no bound)."""
    try:
        async with asyncio.timeout(seconds) as scope:
            return await work
    except TimeoutError:
        if not scope.expired():
            raise
        raise ProviderTimeout(f"{provider} gave nothing for {seconds:g} s", provider=provider) from None
