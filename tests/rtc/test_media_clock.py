from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from voicertc.rtc.media_clock import SLOTS_PER_REST, SLOTS_PER_TICK, MediaClock
from voicertc.testing import virtual_time


def hold_loop(seconds: float) -> None:
    """Let time pass in which nobody is served."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual_time.VirtualTimeLoop)
    loop.jump(seconds)


class Sitter:
    """Notes when it is served, in ms since the story began, and what it missed."""

    def __init__(self, clock: MediaClock, again: int | None = SLOTS_PER_TICK) -> None:
        self.again = again
        self.served: list[float] = []
        self.missed: list[int] = []
        self.due: list[float] = []
        self.on_tick: Callable[[], None] = lambda: None
        self._clock = clock
        self.seat = clock.seat(self)

    def tick(self, at: float, n_missed: int) -> int | None:
        self.served.append(round(1000 * self._clock.now, 3))
        self.due.append(round(1000 * at, 3))
        self.missed.append(n_missed)
        self.on_tick()
        return self.again


def test_who_speaks_is_served_every_20_ms() -> None:
    async def story() -> Sitter:
        sitter = Sitter(MediaClock())
        await asyncio.sleep(0.0131)
        sitter.seat.hasten()
        await asyncio.sleep(0.1)
        return sitter

    assert virtual_time.run(story()).served == [13.1, 32, 52, 72, 92, 112]


def test_who_rests_is_served_every_400_ms_and_at_once_when_it_wakes() -> None:
    async def story() -> Sitter:
        sitter = Sitter(MediaClock(), SLOTS_PER_REST)
        sitter.seat.hasten()
        await asyncio.sleep(0.901)
        sitter.seat.hasten()
        await asyncio.sleep(0.1)
        return sitter

    assert virtual_time.run(story()).served == [0, 400, 800, 901]


def test_who_leaves_is_served_no_more_and_the_clock_sleeps() -> None:
    async def story() -> tuple[Sitter, Sitter]:
        clock = MediaClock()
        leaver, ender = Sitter(clock), Sitter(clock, again=None)
        leaver.seat.hasten()
        ender.seat.hasten()
        await asyncio.sleep(0.05)
        leaver.seat.leave()
        leaver.seat.leave()
        await asyncio.sleep(1.0)
        ender.seat.hasten()
        await asyncio.sleep(1.0)
        return leaver, ender

    leaver, ender = virtual_time.run(story())
    assert len(leaver.served) == 3
    assert ender.served == [0, 1050]


def test_who_is_woken_by_another_that_is_served_does_not_wait_for_the_next_turn() -> None:
    async def story() -> list[Sitter]:
        clock = MediaClock()
        first, second = Sitter(clock), Sitter(clock)
        first.seat.hasten()
        await asyncio.sleep(0.05)
        first.on_tick = lambda: second.seat.hasten() if second.seat.slot is None else None
        await asyncio.sleep(0.05)
        return [first, second]

    first, second = virtual_time.run(story())
    assert first.served == [0, 20, 40, 60, 80, 100]
    assert second.served == [62, 82]


def test_seats_are_spread_over_the_20_ms() -> None:
    async def story() -> list[Sitter]:
        clock = MediaClock()
        sitters = [Sitter(clock) for _ in range(100)]
        for n, sitter in enumerate(sitters):
            await asyncio.sleep(0.0007 * (n % 5))
            sitter.seat.hasten()
        await asyncio.sleep(0.2)
        return sitters

    sitters = virtual_time.run(story())
    phases = [round(sitter.served[-1] % 20) // 2 for sitter in sitters]
    assert max(phases.count(slot) for slot in range(10)) <= 20


def test_a_late_clock_leaves_ticks_out_and_tells_how_many() -> None:
    async def story() -> Sitter:
        victim = Sitter(MediaClock())
        victim.seat.hasten()
        await asyncio.sleep(0.1)
        hold_loop(0.071)
        await asyncio.sleep(0.1)
        return victim

    victim = virtual_time.run(story())
    assert victim.due == [0, 20, 40, 60, 80, 100, 160, 180, 200, 220, 240, 260]
    assert victim.missed[5:8] == [0, 2, 0]
    assert len(victim.served) == len(set(victim.served)), "no burst"


def test_a_clock_that_slept_for_seconds_serves_everybody_once() -> None:
    async def story() -> list[Sitter]:
        clock = MediaClock()
        sitters = [Sitter(clock), Sitter(clock, SLOTS_PER_REST), Sitter(clock)]
        for sitter in sitters:
            sitter.seat.hasten()
        await asyncio.sleep(0.005)
        hold_loop(3.0)
        await asyncio.sleep(0.001)
        return sitters

    assert [len(sitter.served) for sitter in virtual_time.run(story())] == [2, 2, 2]


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_step_of_the_wall_clock_is_not_noticed(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    async def story() -> Sitter:
        sitter = Sitter(MediaClock())
        sitter.seat.hasten()
        await asyncio.sleep(0.05)
        there = time.time() + step
        monkeypatch.setattr(time, "time", lambda: there)
        await asyncio.sleep(0.05)
        return sitter

    assert virtual_time.run(story()).served == [0, 20, 40, 60, 80, 100]
