"""Calls held against a server, each with its turns, and what became of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from voicertc.errors import ClientError
from voicertc.testing.utterance import Utterance

from .callers import Caller, Habits
from .fakes import Fake
from .judging import Turn, judge
from .metering import Metered, Usage, metered
from .serving import Served

_SETUP_SPACING = 0.05
"""Seconds from one call's set-up to the next one's: 20 a second, which both cores can do."""
_SETTLE = 1.0
"""Seconds from the last set-up until anything is measured."""
_IDLE = 3.0
"""Seconds for which all calls are up and silent before they talk."""

Failures = dict[str, str]
"""Why, by the call's name."""
NOBODY: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Held:
    """What came of some calls. ``failures``: why calls could not be set up or did not last. ``skipped``:
    packets that this process sent too late; above zero it measures itself."""

    n_calls: int
    turns: list[Turn]
    failures: list[str]
    skipped: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """Calls that went on for a while: what they took when they were silent, and when they talked.

    ``memory_mb``: what each added to the server's.
    """

    held: Held
    idle: Usage
    talking: Usage
    memory_mb: float


async def converse(
    server: Served,
    utterances: Sequence[Utterance],
    habits: Habits,
    *,
    n_calls: int,
    n_turns: int,
    spread: float,
) -> Held:
    """Hold calls of so many turns each, which begin over ``spread`` seconds."""
    callers = [Caller(server.url, utterances, habits, number) for number in range(n_calls)]
    begins = asyncio.get_running_loop().time

    async def turns(caller: Caller, index: int) -> None:
        await caller.converse(begins() + spread * index / n_calls, n_turns=n_turns)

    with _no_collections():
        try:
            failures = await _each(callers, _connected)
            failures |= await _each(callers, turns, but=failures)
        finally:
            await asyncio.gather(*(caller.close() for caller in callers))
    return _held(callers, failures)


async def load(
    server: Served,
    fake: Fake | None,
    utterances: Sequence[Utterance],
    habits: Habits,
    *,
    n_calls: int,
    seconds: float,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Loaded:
    """Hold ``n_calls`` for so long, their turns spread evenly; ``meanwhile`` is done while they talk."""
    # What is made once, when the first call comes, is nobody's.
    await converse(server, utterances, habits, n_calls=1, n_turns=1, spread=0.0)
    before = server.pss_mb
    callers = [Caller(server.url, utterances, habits, number) for number in range(n_calls)]
    loop = asyncio.get_running_loop()
    with _no_collections():
        try:
            failures = await _each(callers, _connected)
            idle = await _idle(server, fake, callers, failures)
            begins = loop.time()
            since = begins + habits.period

            async def turns(caller: Caller, index: int) -> None:
                await caller.converse(begins + habits.period * index / n_calls, until=since + seconds)

            talk = asyncio.create_task(_each(callers, turns, but=failures))
            await asyncio.sleep(since - loop.time())
            async with metered(server, fake) as talking:
                await asyncio.gather(asyncio.sleep(seconds), *([meanwhile()] if meanwhile else []))
            memory = (server.pss_mb - before) / n_calls
            failures |= await talk
        finally:
            await asyncio.gather(*(caller.close() for caller in callers))
    return Loaded(_held(callers, failures, since), idle.usage, talking.usage, memory)


async def _idle(server: Served, fake: Fake | None, callers: Sequence[Caller], failures: Failures) -> Metered:
    loop = asyncio.get_running_loop()

    async def idle(caller: Caller, index: int) -> None:
        await caller.idle(until)

    until = loop.time() + _SETTLE
    failures |= await _each(callers, idle, but=failures)
    until = loop.time() + _IDLE
    async with metered(server, fake) as silent:
        failures |= await _each(callers, idle, but=failures)
    return silent


async def _each(
    callers: Sequence[Caller], act: Callable[[Caller, int], Awaitable[None]], but: Mapping[str, str] = NOBODY
) -> Failures:
    """Have all callers do something at the same time, but those that have failed; return who fails now."""
    acting = [(caller, index) for index, caller in enumerate(callers) if caller.name not in but]
    ended = await asyncio.gather(*(act(*each) for each in acting), return_exceptions=True)
    failures: Failures = {}
    for (caller, _), error in zip(acting, ended, strict=True):
        if isinstance(error, ConnectionError | ClientError | OSError | TimeoutError):
            failures[caller.name] = str(error) or type(error).__name__
        elif error is not None:
            raise error
    return failures


async def _connected(caller: Caller, index: int) -> None:
    """Connect a caller when its turn has come: a few are set up side by side."""
    await asyncio.sleep(index * _SETUP_SPACING)
    await caller.connect()


def _held(callers: Sequence[Caller], failures: Failures, since: float = 0.0) -> Held:
    turns = [turn for caller in callers for turn in judge(caller) if turn.began >= since]
    skipped = sum(caller.skipped for caller in callers)
    return Held(len(callers), turns, list(failures.values()), skipped)


@contextmanager
def _no_collections() -> Generator[None]:
    """Collect no garbage meanwhile: it would be measured as the server's lateness."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
