"""What processes take: of the server's core, of the clients', and how late the clients themselves are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from media_bench.machine import SERVER_CORE, busy_time

from .fakes import Fake
from .serving import Served

_STEP = 0.01
"""Seconds for which the clients' clock sleeps to find out how late it wakes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in a stretch of time, each as a part of one core.

    ``server``: its process and children, with all threads; ``main_thread``: the event loop's; ``others``:
    what anybody else took of its core; ``clients`` and ``fake`` share the other core. ``late_ms``: by how
    much the clients woke up too late, 99th percentile: what is measured is as much too late.
    """

    seconds: float
    server: float
    main_thread: float
    others: float
    clients: float
    fake: float
    late_ms: float


@dataclass(slots=True)
class Metered:
    """``usage`` is there when the stretch is over."""

    _usage: Usage | None = None

    @property
    def usage(self) -> Usage:
        """What was taken."""
        assert self._usage is not None, "the stretch is not over"
        return self._usage

    def finish(self, usage: Usage) -> None:
        """Note it."""
        self._usage = usage


@asynccontextmanager
async def metered(server: Served, fake: Fake | None) -> AsyncGenerator[Metered, None]:
    """Measure what is taken within."""
    found = Metered()
    late: list[float] = []
    clock = asyncio.create_task(_wake_up_again_and_again(late))
    before = _counts(server, fake)
    try:
        yield found
    finally:
        after = _counts(server, fake)
        clock.cancel()
        await asyncio.gather(clock, return_exceptions=True)
    seconds, *taken = (later - earlier for later, earlier in zip(after, before, strict=True))
    server_cpu, main_thread, busy, clients, fake_cpu = (each / seconds for each in taken)
    others = max(0.0, busy - server_cpu)
    late_ms = 1000 * float(np.percentile(late, 99)) if late else 0.0
    found.finish(Usage(seconds, server_cpu, main_thread, others, clients, fake_cpu, late_ms))


def _counts(server: Served, fake: Fake | None) -> tuple[float, ...]:
    return (
        time.monotonic(),
        server.cpu,
        server.main_thread_cpu,
        busy_time(SERVER_CORE),
        time.process_time(),
        fake.cpu if fake is not None else 0.0,
    )


async def _wake_up_again_and_again(late: list[float]) -> None:
    while True:
        due = time.monotonic() + _STEP
        await asyncio.sleep(_STEP)
        late.append(time.monotonic() - due)
