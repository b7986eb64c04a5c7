from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from voicertc.audio.pcm import PcmFrame
from voicertc.providers.plan_b.tape import Tape
from voicertc.testing import virtual_time

SAMPLES = np.zeros(320, np.int16)


async def source(n_frames: int, *, breaks: bool = False) -> AsyncIterator[PcmFrame]:
    for number in range(n_frames):
        await asyncio.sleep(0.02)
        yield PcmFrame(SAMPLES, number * 320)
    if breaks:
        raise RuntimeError("the ear broke")


def tape_of(frames: AsyncIterator[PcmFrame]) -> Tape:
    return Tape(frames, max_length=1.0, clock=asyncio.get_running_loop().time)


async def numbers(frames: AsyncIterator[PcmFrame]) -> list[int]:
    return [frame.position // 320 async for frame in frames]


def test_a_listener_who_was_replaced_gets_nothing_more() -> None:
    async def main() -> None:
        async with tape_of(source(10)) as tape:
            first, _ = tape.play(is_last=False)
            assert (await anext(first)).position == 0
            forgotten = asyncio.create_task(numbers(first))
            await asyncio.sleep(0.05)
            second, _ = tape.play(is_last=False)
            await asyncio.sleep(0.05)
            assert await numbers(second) == list(range(10))
            assert await forgotten == [1, 2]

    virtual_time.run(main())


def test_the_last_listeners_sound_is_not_kept() -> None:
    async def main() -> None:
        async with tape_of(source(10)) as tape:
            first, _ = tape.play(is_last=False)
            for _ in range(5):
                await anext(first)
            last, offset = tape.play(is_last=True)
            assert (await numbers(last), offset) == (list(range(10)), 0.0)
            nobody, offset = tape.play(is_last=True)
            assert (await numbers(nobody), offset) == ([], pytest.approx(0.2))

    virtual_time.run(main())


@pytest.mark.parametrize("is_last", [True, False])
def test_a_source_that_breaks_is_told_from_a_listener_that_does(is_last: bool) -> None:
    async def main() -> None:
        async with tape_of(source(3, breaks=True)) as tape:
            frames, _ = tape.play(is_last=is_last)
            with pytest.raises(RuntimeError, match="the ear broke"):
                await numbers(frames)
            assert isinstance(tape.error, RuntimeError)

    virtual_time.run(main())


def test_when_the_source_ended_is_known_although_nobody_listens_to_the_end() -> None:
    async def main() -> None:
        async with tape_of(source(10)) as tape:
            frames, _ = tape.play(is_last=False)
            await anext(frames)
            ends = list[float]()
            tape.on_end = lambda: ends.append(asyncio.get_running_loop().time())
            await asyncio.sleep(5.0)
            assert ends == [tape.ended_at] == [pytest.approx(0.2)]

    virtual_time.run(main())
