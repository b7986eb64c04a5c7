"""The gate: how many requests a provider is sent at a time, and who comes next.

A service that is asked more than it can do answers everybody late. Beyond the cap there is a short queue, and
beyond that the answer is ``ProviderBusy`` at once, so that the next provider of the list gets its chance.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from .blame import GateFull


@dataclass(frozen=True, slots=True)
class GateOptions:
    """How many may ask at a time."""

    most: int = 100
    """Requests at a time: below the 128 connections of a pool, above what one process can serve."""
    waiting: int = 32
    """Requests that may wait for their turn."""
    patience: float = 0.5
    """Seconds they wait: after that a fall-back is quicker."""


class Gate:
    """One provider's gate. ``enter`` and ``leave`` come in pairs; first come, first served.

    Invariant: while somebody waits, all places are taken.
    """

    def __init__(self, provider: str, options: GateOptions | None = None) -> None:
        self.options = options or GateOptions()
        self._provider = provider
        self._inside = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def n_inside(self) -> int:
        """Requests under way."""
        return self._inside

    @property
    def n_waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._queue)

    async def enter(self) -> None:
        """Take a place; raise ``ProviderBusy`` if there is none in time. Does not wait if one is free."""
        if self._inside < self.options.most:
            self._inside += 1
            return
        if len(self._queue) >= self.options.waiting:
            raise self._full()
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self.options.patience):
                await turn
        except TimeoutError:
            if not self._given(turn):
                raise self._full() from None
        except BaseException:
            if self._given(turn):
                self.leave()  # the place was given in the very moment in which it was given up
            raise

    def leave(self) -> None:
        """Give the place to who waits longest, or give it back."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        assert self._inside > 0, "left more often than entered"
        self._inside -= 1

    def _given(self, turn: asyncio.Future[None]) -> bool:
        """Whether ``turn`` has come after all; if not, it will not."""
        if turn in self._queue:
            self._queue.remove(turn)
        return turn.done() and not turn.cancelled()

    def _full(self) -> GateFull:
        return GateFull(
            f"{self._provider} has {self.options.most} requests to answer already", provider=self._provider
        )
