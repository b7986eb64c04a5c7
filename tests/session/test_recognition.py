from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.audio.pcm import HEARING_FRAME, PcmFrame
from voicertc.core.events import Word
from voicertc.providers.base import HeardWord
from voicertc.session.recognition import Recognition
from voicertc.testing import virtual_time

FRAME = 0.02


def frame(second: float) -> PcmFrame:
    return PcmFrame(np.zeros(HEARING_FRAME, np.int16), round(second * 16_000))


def frames(begin: float, end: float) -> list[PcmFrame]:
    return [frame(begin + i * FRAME) for i in range(round((end - begin) / FRAME))]


async def given_in_all(recognition: Recognition) -> list[PcmFrame]:
    """What a provider is given until the turn ends."""
    return [each async for each in recognition.frames()]


def placed(
    heard: Iterable[PcmFrame],
    words: Iterable[HeardWord],
    session_time: Callable[[float], float] = lambda at: at,
) -> tuple[Word, ...]:
    """The words' times after all the frames were pushed and given."""

    async def main() -> tuple[Word, ...]:
        recognition = Recognition("item_u1", session_time, max_waiting=100.0)
        for each in heard:
            recognition.push(each, is_speech=True, pause=0.0)
        recognition.close()
        await given_in_all(recognition)
        return recognition.place(words)

    return virtual_time.run(main())


def test_words_of_an_unbroken_turn_are_shifted_by_where_it_began() -> None:
    heard = [HeardWord("go", 0.3, 0.52, 0.9), HeardWord("on", 0.6, 1.0)]
    assert placed(frames(7.0, 9.0), heard) == (Word("go", 7.3, 7.52, 0.9), Word("on", 7.6, 8.0))


def test_sound_that_is_missing_moves_the_words_behind_it_and_not_those_before() -> None:
    heard = [HeardWord("one", 0.0, 0.5), HeardWord("two", 0.5, 1.0), HeardWord("three", 0.8, 1.2)]
    broken = [*frames(1.0, 1.5), *frames(3.0, 3.5), *frames(5.0, 5.5)]
    assert placed(broken, heard) == (
        Word("one", 1.0, 1.5),
        Word("two", 3.0, 3.5),
        Word("three", 3.3, 5.2),
    )


def test_the_audio_s_time_is_made_session_time_as_it_was_when_the_sound_came() -> None:
    lags = iter([10.0] * 50 + [12.0] * 50)  # session time made a step of two seconds, half way
    heard = [HeardWord("one", 0.9, 1.0), HeardWord("two", 1.0, 1.2)]
    assert placed(frames(0.0, 2.0), heard, lambda at: at + next(lags)) == (
        Word("one", 10.9, 11.0),
        Word("two", 13.0, 13.2),
    )


def test_a_clock_that_drifts_is_followed() -> None:
    slow = placed(frames(0.0, 60.0), [HeardWord("late", 59.0, 59.5)], lambda at: at * 1.01)
    (word,) = slow
    assert (word.start, word.end) == pytest.approx((59.59, 60.095), abs=0.002)


def test_a_word_of_a_provider_that_was_given_nothing_has_no_place() -> None:
    assert placed([], [HeardWord("hm", 0.0, 0.1)]) == ()
    assert placed(frames(0.0, 1.0), []) == ()


def test_what_a_slow_provider_was_never_given_moves_the_words_too() -> None:
    async def main() -> None:
        recognition = Recognition("item_u1", lambda at: at)
        for each in frames(0.0, 15.0):
            recognition.push(each, is_speech=True, pause=0.0)
        recognition.close()
        taken = await given_in_all(recognition)
        assert taken[0].start == pytest.approx(5.0)
        assert recognition.place([HeardWord("last", 9.0, 9.5)]) == (Word("last", 14.0, 14.5),)

    virtual_time.run(main())


def test_a_pause_is_given_when_the_user_goes_on_and_its_words_lie_right() -> None:
    async def main() -> None:
        recognition = Recognition("item_u1", lambda at: at)
        for each in frames(0.0, 1.0):
            recognition.push(each, is_speech=True, pause=0.0)
        for each in frames(1.0, 2.0):
            recognition.push(each, is_speech=False, pause=each.end - 1.0)
        assert recognition.seconds == pytest.approx(1.2)
        for each in frames(2.0, 3.0):
            recognition.push(each, is_speech=True, pause=0.0)
        recognition.close()
        assert len(await given_in_all(recognition)) == 150
        assert recognition.place([HeardWord("again", 2.1, 2.5)]) == (Word("again", 2.1, 2.5),)

    virtual_time.run(main())


def test_words_that_come_while_audio_still_waits_are_placed_by_what_was_given() -> None:
    async def main() -> None:
        recognition = Recognition("item_u1", lambda at: at + 3.0)
        for each in frames(0.0, 1.0):
            recognition.push(each, is_speech=True, pause=0.0)
        provider = recognition.frames()
        async with asyncio.timeout(1):
            await anext(provider)
        assert recognition.place([HeardWord("hi", 0.0, 0.02)]) == (Word("hi", 3.0, 3.02),)

    virtual_time.run(main())


@settings(deadline=None)  # the machine may be busy
@given(
    stretches=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 50)), min_size=1, max_size=6),
    words=st.lists(st.tuples(st.floats(0, 8), st.floats(0, 1)), max_size=5),
)
def test_words_keep_their_order_and_never_end_before_they_begin(
    stretches: list[tuple[float, int]], words: list[tuple[float, float]]
) -> None:
    heard, at = [], 0.0
    for silence, n_frames in stretches:
        heard += frames(at + silence, at + silence + n_frames * FRAME)
        at = heard[-1].end
    begins = sorted(begin for begin, _ in words)
    times = placed(heard, [HeardWord("w", begin, begin + 0.1) for begin in begins])
    assert [word.start for word in times] == sorted(word.start for word in times)
    assert all(word.start <= word.end for word in times)
