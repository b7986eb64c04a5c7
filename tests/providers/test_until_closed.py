"""What is under way when a provider is closed ends at once, and with an error that names the provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from voicertc.errors import ProviderError
from voicertc.providers.until_closed import UntilClosed

LIMIT = 10.0


class Counting:
    """Work that counts to two and then waits for ever; ``is_over`` once it has freed what it held."""

    def __init__(self) -> None:
        self.is_over = False
        self.waits = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
            self.waits.set()
            await asyncio.Event().wait()
        finally:
            self.is_over = True


async def test_pieces_pass_as_they_are_and_end() -> None:
    async def work() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    assert [piece async for piece in UntilClosed("ears")(work())] == [1, 2]


async def test_what_waits_ends_when_all_is_closed() -> None:
    until_closed, work = UntilClosed("ears"), Counting()
    pieces: list[int] = []

    async def listen() -> None:
        async for piece in until_closed(work()):
            pieces.append(piece)

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(LIMIT):
        await work.waits.wait()
        until_closed.close()
        until_closed.close()
        with pytest.raises(ProviderError, match="ears was closed") as caught:
            await listening
    assert (caught.value.provider, pieces, work.is_over) == ("ears", [1, 2], True)


async def test_what_is_between_two_pieces_ends_at_the_next_and_whoever_has_them_is_not_cancelled() -> None:
    until_closed, work = UntilClosed("ears"), Counting()
    pieces = until_closed(work())
    async with asyncio.timeout(LIMIT):
        assert await anext(pieces) == 1
        until_closed.close()
        await asyncio.sleep(0)
        with pytest.raises(ProviderError):
            await anext(pieces)
    assert work.is_over


async def test_what_begins_later_does_not_begin() -> None:
    until_closed, work = UntilClosed("ears"), Counting()
    until_closed.close()
    with pytest.raises(ProviderError):
        await anext(until_closed(work()))
    assert not work.waits.is_set()


async def test_closing_early_closes_the_work() -> None:
    work = Counting()
    pieces = UntilClosed("ears")(work())
    await anext(pieces)
    await pieces.aclose()
    assert work.is_over


async def test_cancelling_is_no_error_of_a_provider() -> None:
    work = Counting()
    pieces = UntilClosed("ears")(work())
    async with asyncio.timeout(LIMIT):
        await anext(pieces)
        await anext(pieces)
        waiting = asyncio.ensure_future(anext(pieces))
        await work.waits.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert work.is_over


async def test_a_timeout_of_the_work_itself_stays_one() -> None:
    async def work() -> AsyncGenerator[int, None]:
        yield 1
        raise TimeoutError

    pieces = UntilClosed("ears")(work())
    assert await anext(pieces) == 1
    with pytest.raises(TimeoutError):
        await anext(pieces)
