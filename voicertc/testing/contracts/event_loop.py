"""The event loop belongs to all calls: what is over leaves no task on it, and nothing holds it up."""

from __future__ import annotations

import asyncio
import time
from asyncio import Task
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

GRACE = 2.0
"""Seconds that tasks have to end by themselves; those of sockets need a moment. Only a leak waits so long."""
MAX_STALL = 0.5
"""Seconds that the loop may stand still: more than a caller forgives, so that a busy machine is no fault."""
_TRIES = 3
_BEAT = 0.02

Work = Callable[[], Awaitable[object]]
"""One whole turn, answer, clause or reply."""


class EventLoopContract:
    """What the suites of all providers and engines begin with; inherit from one of those."""

    @pytest.fixture(autouse=True)
    async def no_task_is_left(self) -> AsyncGenerator[None, None]:
        """Fail if a task lives on when the test is over and its fixtures have closed what they started."""
        async with no_task_left():
            yield


@asynccontextmanager
async def no_task_left() -> AsyncGenerator[None, None]:
    """Fail if a task that begins inside lives on behind it."""
    before = asyncio.all_tasks()
    yield
    left = await _left(0, before)
    assert not left, f"still running after close: {_told(left)}"


async def assert_leaves_no_task(work: Work) -> None:
    """Fail if each time that ``work`` is done there are more tasks, though the provider stays open.

    The first time opens what is kept: a connection's tasks may stay, and be replaced, but not grow.
    """
    await work()
    before = asyncio.all_tasks()
    await work()
    await work()
    left = await _left(len(before), set())
    assert len(left) <= len(before), f"more tasks after each: {_told(left - before)}"


async def assert_never_holds_the_loop_up(work: Work) -> None:
    """Fail if the loop stands still while ``work`` is done, each of several times.

    This is the one check by the wall clock. A machine that is busy, and what is loaded the first time, stall
    the loop once; what blocks it does so every time.
    """
    stalls: list[float] = []
    while len(stalls) < _TRIES:
        stalls.append(await _longest_stall(work))
        if stalls[-1] < MAX_STALL:
            return
    pytest.fail(f"the event loop stood still for {min(stalls):.2f} s: no call hears anything meanwhile")


async def _longest_stall(work: Work) -> float:
    """Seconds between two beats of the loop, at most, while ``work`` is done."""
    last, longest = time.perf_counter(), 0.0

    def beat() -> None:
        nonlocal last, longest
        now = time.perf_counter()
        last, longest = now, max(longest, now - last)

    async def beats() -> None:
        while True:
            beat()
            await asyncio.sleep(_BEAT)

    heart = asyncio.create_task(beats(), name="contract/heart")
    try:
        await work()
        beat()
    finally:
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)
    return longest


async def _left(n_kept: int, kept: set[Task[Any]]) -> set[Task[Any]]:
    """Return the tasks but for ``kept`` and this one, as soon as they are ``n_kept``, or after ``GRACE``."""
    deadline = time.perf_counter() + GRACE
    while True:
        left = asyncio.all_tasks() - kept - {asyncio.current_task()}
        seconds = deadline - time.perf_counter()
        if len(left) <= n_kept or seconds <= 0.0:
            return left
        await asyncio.wait(left, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def _told(tasks: set[Task[Any]]) -> str:
    """Name tasks, and where they wait."""
    return ", ".join(sorted(f"{task.get_name()} in {task.get_coro()!r}" for task in tasks))
