"""What a provider has under way when it is closed: it ends at once, and says so.

self._until_closed = UntilClosed("my-ears")                 # in __init__

def recognize(self, audio, request):
    return self._until_closed(self._heard(audio, request))  # an async generator that does the work

async def close(self):
    self._until_closed.close()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from ..errors import ProviderError

Piece = TypeVar("Piece")


class UntilClosed:
    """All turns, answers or clauses of one provider that are under way; ``close`` ends them.

    ``provider``: its name in the settings, which the ``ProviderError`` carries.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._steps: set[asyncio.Timeout] = set()
        self._is_closed = False

    async def __call__(self, work: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        """Yield what ``work`` yields; raise ``ProviderError`` as soon as, or if already, all is closed."""
        async with aclosing(work):
            while True:
                try:
                    piece = await self._step(work)
                except StopAsyncIteration:
                    return
                yield piece

    def close(self) -> None:
        """End all that is under way, and all that begins later. May be called twice."""
        self._is_closed = True
        steps, self._steps = self._steps, set()  # a scope that is ending must not be ended again
        for step in steps:
            step.reschedule(asyncio.get_running_loop().time())

    async def _step(self, work: AsyncGenerator[Piece, None]) -> Piece:
        """Return the next piece. The scope is around one step only: between two, others' code runs."""
        if self._is_closed:
            raise self._closed()
        try:
            async with asyncio.timeout(None) as step:
                self._steps.add(step)
                try:
                    return await anext(work)
                finally:
                    self._steps.discard(step)
        except TimeoutError:
            if not step.expired():
                raise
            raise self._closed() from None

    def _closed(self) -> ProviderError:
        return ProviderError(f"{self._provider} was closed", provider=self._provider)
