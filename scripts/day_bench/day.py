"""A day of calls on a virtual clock, what is watched meanwhile, and what is asked at its end.

line 1   [call]      [call]   [call]            [call]
line 2        [call]       [call]       [call]         …       the last tenth of an hour is fair weather
ears-1   ~~~~fair~~~~|stalls|~~~~~fair~~~~~~|refused|~~~~ …
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import resource
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from voicertc.providers.plan_b.breaker import State
from voicertc.testing import virtual_time

from .one_call import Outcome, hold, planned
from .services import Providers

HOUR = 3600.0
_PAUSE = (20.0, 240.0)
"""Seconds between two calls on a line, from and to."""
_FAIR_END = 900.0
"""Seconds of fair weather at the end, after which every provider has to be asked again."""
_LOOK = 10.0
"""Seconds between looks at the breakers."""
_LONGEST_BAN = 720.0
"""Seconds for which a provider that is well may be left alone: twice the breakers' longest, and probes."""
_N_SAMPLES = 20
"""How often memory is looked at."""


@dataclass(slots=True)
class Day:
    """What came of it. ``memory_mb`` and ``n_objects``: the least of the second and of the last tenth."""

    hours: float
    outcome: Outcome = field(default_factory=Outcome)
    faults: Counter[str] = field(default_factory=Counter)
    n_requests: int = 0
    n_spells: int = 0
    longest_ban: float = 0.0
    """Seconds for which a provider that was well was left alone, at most."""
    most_at_once: int = 0
    memory_mb: tuple[float, float] = (0.0, 0.0)
    n_objects: tuple[int, int] = (0, 0)

    @property
    def broken(self) -> list[str]:
        """What should never happen, in words."""
        return self.outcome.broken


def run(hours: float, *, seed: int, n_lines: int = 3) -> Day:
    """Simulate it; the same seed gives the same day."""

    async def main() -> Day:
        return await _Running(hours, seed, n_lines).run()

    with _without_log():
        return virtual_time.run(main())


class _Running:
    """The day while it goes on; made on the loop."""

    def __init__(self, hours: float, seed: int, n_lines: int) -> None:
        self._day = Day(hours)
        self._until = hours * HOUR
        self._seed = seed
        self._n_lines = n_lines
        self._loop = asyncio.get_running_loop()
        self._providers = Providers(seed)
        self._numbers = count(1)
        self._n_up = 0
        self._banned_since: dict[str, float] = {}
        self._memory: list[tuple[float, float, int]] = []

    async def run(self) -> Day:
        """Hold all calls and judge the whole."""
        day, providers = self._day, self._providers
        await providers.start()
        self._services = await providers.services()
        watch = asyncio.create_task(self._watch(), name="day/watch")
        async with asyncio.TaskGroup() as group:
            for number in range(self._n_lines):
                group.create_task(self._line(number), name=f"day/line-{number}")
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        self._ask_at_the_end()
        await providers.close()
        self._look_for_leftovers()
        self._compare_memory()
        for each in providers.all:
            day.n_requests += each.n_requests
            day.n_spells += each.weather.n_spells
            day.faults.update({fault.value: n for fault, n in each.faults.items()})
        return day

    async def _line(self, number: int) -> None:
        """Hold one call after the other; each line has its own chances, whatever the others do."""
        chance = random.Random(f"{self._seed}/line-{number}")
        await asyncio.sleep(chance.uniform(0.0, _PAUSE[0]))
        while self._loop.time() < self._until:
            self._n_up += 1
            self._day.most_at_once = max(self._day.most_at_once, self._n_up)
            self._day.outcome.add(await hold(self._services, planned(chance), f"sess_{next(self._numbers)}"))
            self._n_up -= 1
            await asyncio.sleep(chance.uniform(*_PAUSE))

    async def _watch(self) -> None:
        """Look at the breakers, and now and then at memory; let the sun out towards the end."""
        spacing, is_fair = self._until / _N_SAMPLES, False
        while True:
            await asyncio.sleep(_LOOK)
            now = self._loop.time()
            if now > self._until - _FAIR_END and not is_fair:
                is_fair = True
                for each in self._providers.all:
                    each.weather.clear_up(now)
            self._look_at_breakers(now)
            if now >= spacing * (len(self._memory) + 1):
                gc.collect()
                self._memory.append((now / self._until, _resident_mb(), len(gc.get_objects())))

    def _look_at_breakers(self, now: float) -> None:
        """Note for how long a provider is left alone although it is well."""
        for chain in self._providers.chains:
            for member in chain.members:
                if member.breaker.state(now) is State.CLOSED or not member.provider.weather.is_fair(now):
                    self._banned_since.pop(member.name, None)
                    continue
                ban = now - self._banned_since.setdefault(member.name, now)
                self._day.longest_ban = max(self._day.longest_ban, ban)

    def _ask_at_the_end(self) -> None:
        broken, now = self._day.broken, self._loop.time()
        if self._day.longest_ban > _LONGEST_BAN:
            broken.append(f"a provider that was well was left alone for {self._day.longest_ban:.0f} s")
        for chain in self._providers.chains:
            for member in chain.members:
                if member.breaker.state(now) is not State.CLOSED:
                    broken.append(
                        f"{member.name} is still left alone after {_FAIR_END:.0f} s of fair weather"
                    )
                if member.gate.n_inside or member.gate.n_waiting:
                    broken.append(f"{member.name}: {member.gate.n_inside} places were never given back")
        for each in self._providers.all:
            if each.n_open:
                broken.append(f"{each.name}: {each.n_open} requests were never freed")

    def _look_for_leftovers(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        self._day.broken.extend(f"a task is left: {task}" for task in tasks)
        timers = [timer for timer in self._loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        self._day.broken.extend(f"a timer is left: {timer}" for timer in timers)

    def _compare_memory(self) -> None:
        early = [sample for sample in self._memory if 0.1 <= sample[0] < 0.2]
        late = [sample for sample in self._memory if sample[0] >= 0.9]
        if early and late:
            self._day.memory_mb = min(each[1] for each in early), min(each[1] for each in late)
            self._day.n_objects = min(each[2] for each in early), min(each[2] for each in late)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


@contextmanager
def _without_log() -> Generator[None]:
    """Log nothing: a service that fails is a line each time, and who keeps them would seem to leak."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
