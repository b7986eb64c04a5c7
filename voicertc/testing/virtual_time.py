"""An event loop whose clock jumps: what waits an hour is tested in a second, and always the same.

    virtual_time.run(main())

Whenever nothing is ready, time moves on to the next timer. Sockets and threads make no sense in it; waiting
for something that no timer will bring is reported as a deadlock instead of hanging.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at 0.0 s."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self._now = 0.0

    def time(self) -> float:
        """Return the virtual monotonic time, in seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: nothing is ready and no timer is set")
        self._loop.jump(timeout)
        return []


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run ``main`` on a new virtual-time loop, like ``asyncio.run``."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
