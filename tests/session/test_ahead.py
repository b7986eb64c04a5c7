"""The queue between who makes a reply and who takes it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from voicertc.errors import ProviderCrashed
from voicertc.session.ahead import Ahead
from voicertc.session.engine import AudioMade, ClauseOpened


def sound(seconds: float) -> AudioMade:
    return AudioMade(np.ones(int(seconds * 24_000), np.int16))


async def test_pieces_come_out_in_their_order_and_then_the_end() -> None:
    ahead = Ahead()
    pieces = [ClauseOpened("a"), sound(0.1), ClauseOpened("b")]
    for piece in pieces:
        await ahead.put(piece)
    ahead.end()
    assert [await ahead.get() for _ in pieces] == pieces
    assert await ahead.get() is None
    assert await ahead.get() is None


async def test_who_makes_sound_waits_while_there_is_enough_and_words_count_for_nothing() -> None:
    ahead = Ahead(max_seconds=1.0)
    for _ in range(3):
        await ahead.put(sound(0.4))
    making = asyncio.create_task(ahead.put(ClauseOpened("b")))
    await asyncio.sleep(0)
    assert not making.done()
    await ahead.get()
    await making
    ahead.end()
    assert [type(await ahead.get()) for _ in range(4)] == [AudioMade, AudioMade, ClauseOpened, type(None)]


async def test_who_takes_waits_for_what_is_made() -> None:
    ahead = Ahead()
    taking = asyncio.create_task(ahead.get())
    await asyncio.sleep(0)
    assert not taking.done()
    await ahead.put(ClauseOpened("a"))
    assert await taking == ClauseOpened("a")


async def test_a_failure_is_raised_behind_what_was_made() -> None:
    ahead = Ahead()
    await ahead.put(ClauseOpened("a"))
    ahead.end(ProviderCrashed("gone", provider="voice"))
    assert await ahead.get() == ClauseOpened("a")
    with pytest.raises(ProviderCrashed):
        await ahead.get()
