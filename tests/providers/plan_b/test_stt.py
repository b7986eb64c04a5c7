from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.audio.pcm import PcmFrame
from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout
from voicertc.providers.base import (
    EagerEnd,
    Final,
    HeardPiece,
    HeardWord,
    Interim,
    RecognitionRequest,
    Recognizer,
    Resumed,
    SpeechToText,
    Started,
    Used,
)
from voicertc.providers.plan_b.member import Member
from voicertc.providers.plan_b.stt import FallbackSpeechToText
from voicertc.testing import virtual_time

from .services import HANGS, Ear, Hears, Script, bad_key, crash

REQUEST = RecognitionRequest(language="en")
SAMPLES = np.zeros(320, np.int16)
WHOLE = list(range(50))
"""The frames of ``speech()``."""

HEARS: Script = (Hears(), 0.2, Final("Hello."))


async def speech(n_frames: int = 50, *, gap: float = 0.02) -> AsyncIterator[PcmFrame]:
    """A second of sound as it is spoken."""
    for number in range(n_frames):
        await asyncio.sleep(gap)
        yield PcmFrame(SAMPLES, number * 320)


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


def chain_of(*ears: Ear, **options: float) -> FallbackSpeechToText:
    return FallbackSpeechToText([Member[SpeechToText](ear) for ear in ears], **options)


async def hear(recognizer: Recognizer, audio: AsyncIterator[PcmFrame] | None = None) -> list[HeardPiece]:
    return [piece async for piece in recognizer.recognize(audio or speech(), REQUEST)]


@pytest.mark.parametrize(
    ("fails", "told_before", "at", "reason"),
    [
        ((crash("a"),), [], 1.2, "a broke"),
        ((Hears(25), Interim("Hell"), crash("a")), [Interim("Hell")], 1.2, "a broke"),
        ((Hears(), crash("a")), [], 1.2, "a broke"),
        ((Hears(), Interim("Hell"), HANGS), [Interim("Hell")], 2.7, "a gave no text within 1.5 s"),
        ((HANGS,), [], 2.7, "a gave no text within 1.5 s"),
        ((Hears(10), HANGS), [], 2.7, "a gave no text within 1.5 s"),
        ((Hears(),), [], 1.2, "a ended without a result"),
        ((Hears(10), bad_key("a")), [], 1.2, "a refused the key"),
        ((Hears(10), KeyError("a bug")), [], 1.2, "KeyError"),
        ((Hears(10), ProviderError("a knows no Klingon", provider="a")), [], 1.2, "a knows no Klingon"),
        ((Hears(), Final(None)), [], 1.2, "a yielded Final.text as None, not str"),  # type: ignore[arg-type]
        (
            (Hears(), "Hello."),
            [],
            1.2,
            "a yielded str, not Started, Interim, EagerEnd, Resumed, EndOfTurn or Final",
        ),
        (
            (Hears(), Final("Hello.", used=Used("a", seconds=None))),  # type: ignore[arg-type]
            [],
            1.2,
            "a yielded Used.seconds as None, not int | float",
        ),
    ],
    ids=[
        "crash at once",
        "crash in the middle",
        "crash at the end",
        "final never comes",
        "hears nothing",
        "stops hearing",
        "ends without a result",
        "key",
        "bug",
        "refusal",
        "final without a text",
        "bare text",
        "seconds that are none",
    ],
)
def test_a_turn_that_one_recognizer_loses_is_heard_by_the_next_from_its_beginning(
    fails: Script, told_before: list[HeardPiece], at: float, reason: str
) -> None:
    async def main() -> None:
        first, second = Ear("a", fails), Ear("b", HEARS)
        stt = chain_of(first, second)
        recognizer = stt.attend(REQUEST)
        assert await hear(recognizer) == [*told_before, Final("Hello.")]
        assert (now(), second.heard) == (pytest.approx(at), [WHOLE])
        assert [member.error for member in stt.report().members] == [reason, ""]
        assert (first.n_open, second.n_open) == (0, 0)
        await recognizer.close()
        assert (first.n_left, second.n_left) == (1, 1)

    virtual_time.run(main())


def test_a_recognizer_is_attended_with_when_it_is_first_needed_and_kept() -> None:
    async def main() -> None:
        first, second, third = Ear("a", HEARS, (crash("a"),), HEARS), Ear("b", HEARS), Ear("c", HEARS)
        recognizer = chain_of(first, second, third).attend(REQUEST)
        assert (first.n_attended, second.n_attended) == (1, 0)
        for _ in range(3):
            assert await hear(recognizer) == [Final("Hello.")]
        assert (first.n_attended, second.n_attended, third.n_attended) == (1, 1, 0)
        await recognizer.close()
        await recognizer.close()
        assert (first.n_left, second.n_left, third.n_left) == (1, 1, 0)

    virtual_time.run(main())


def test_a_turn_goes_to_the_next_as_it_is_spoken_while_the_first_is_known_to_be_down() -> None:
    async def main() -> None:
        first = Ear("a", (bad_key("a"),))
        second = Ear("b", HEARS, (Hears(25), Interim("Hell"), Hears(), Final("Hello.")))
        stt = chain_of(first, second)
        recognizer = stt.attend(REQUEST)
        await hear(recognizer)
        begun, seen = now(), list[tuple[float, HeardPiece]]()
        async for piece in recognizer.recognize(speech(), REQUEST):
            seen.append((round(now() - begun, 3), piece))
        assert seen == [(0.5, Interim("Hell")), (1.0, Final("Hello."))]
        assert first.n_requests == 1
        other = stt.attend(REQUEST)
        assert (first.n_attended, second.n_attended) == (1, 2)
        await recognizer.close()
        await other.close()

    virtual_time.run(main())


def test_a_long_silence_of_a_recognizer_that_hears_is_no_failure() -> None:
    async def main() -> None:
        first, second = Ear("a", (Hears(), 1.4, Final("Hello."))), Ear("b", HEARS)
        recognizer = chain_of(first, second).attend(REQUEST)
        assert await hear(recognizer, speech(1000)) == [Final("Hello.")]
        assert second.n_requests == 0

    virtual_time.run(main())


def test_the_last_recognizer_has_no_deadline_but_its_own() -> None:
    async def main() -> None:
        recognizer = chain_of(Ear("a", (crash(),)), Ear("b", (Hears(), 9.0, Final("Hello.")))).attend(REQUEST)
        assert await hear(recognizer) == [Final("Hello.")]
        assert now() == pytest.approx(10.0)

    virtual_time.run(main())


def test_one_that_is_asked_late_has_its_time_from_then_on() -> None:
    async def main() -> None:
        ears = Ear("a", (HANGS,)), Ear("b", (Hears(), 1.4, Final("Hello."))), Ear("c", HEARS)
        recognizer = chain_of(*ears).attend(REQUEST)
        assert await hear(recognizer) == [Final("Hello.")]
        assert (now(), ears[2].n_requests) == (pytest.approx(1.0 + 1.5 + 1.4), 0)

    virtual_time.run(main())


def test_if_all_fail_the_first_ones_error_is_raised() -> None:
    async def main() -> None:
        recognizer = chain_of(Ear("a", (HANGS,)), Ear("b", (crash("b"),))).attend(REQUEST)
        with pytest.raises(ProviderTimeout, match="a gave no text"):
            await hear(recognizer)

    virtual_time.run(main())


def test_speech_starts_once_and_an_early_end_is_taken_back() -> None:
    async def main() -> None:
        first = Ear("a", (Hears(5), Started(), Hears(5), EagerEnd("Hell"), crash("a")))
        second = Ear("b", (Hears(5), Started(), *HEARS))
        recognizer = chain_of(first, second).attend(REQUEST)
        assert await hear(recognizer) == [Started(), EagerEnd("Hell"), Resumed(), Final("Hello.")]

    virtual_time.run(main())


def test_an_empty_text_is_a_text() -> None:
    async def main() -> None:
        second = Ear("b", HEARS)
        recognizer = chain_of(Ear("a", (Hears(), Final(""))), second).attend(REQUEST)
        assert await hear(recognizer) == [Final("")]
        assert second.n_requests == 0

    virtual_time.run(main())


def test_of_a_turn_longer_than_the_tape_the_next_hears_the_last_part_and_its_words_are_placed() -> None:
    async def main() -> None:
        words = (HeardWord("Hello.", 0.1, 0.3),)
        first, second = Ear("a", (Hears(), crash("a"))), Ear("b", (Hears(), Final("Hello.", words=words)))
        recognizer = chain_of(first, second, max_turn=0.4).attend(REQUEST)
        (final,) = await hear(recognizer)
        assert second.heard == [WHOLE[-20:]]
        assert isinstance(final, Final)
        assert (final.words[0].start, final.words[0].end) == (pytest.approx(0.7), pytest.approx(0.9))

    virtual_time.run(main())


def test_a_recording_longer_than_the_tape_is_heard_whole() -> None:
    async def main() -> None:
        first, second = Ear("a", (Hears(10), 1.0, Hears(), Final("Hello."))), Ear("b", HEARS)
        recognizer = chain_of(first, second, max_turn=0.4).attend(REQUEST)
        assert await hear(recognizer, speech(500, gap=0.0)) == [Final("Hello.")]
        assert first.heard == [list(range(500))]

    virtual_time.run(main())


@pytest.mark.parametrize("n_ears", [1, 2])
def test_a_call_that_ends_in_the_middle_leaves_nothing_behind(n_ears: int) -> None:
    async def main() -> None:
        ears = [Ear("a", HEARS), Ear("b", HEARS)][:n_ears]
        stt = chain_of(*ears)
        recognizer = stt.attend(REQUEST)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(hear(recognizer), 0.5)
        await recognizer.close()
        assert [ear.n_open for ear in ears] == [0] * n_ears
        assert [member.state for member in stt.report().members] == ["closed"] * n_ears
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(main())


def test_a_turn_whose_call_is_over_is_given_to_nobody_else() -> None:
    async def main() -> None:
        first, second = Ear("a", (Hears(), crash("a"))), Ear("b", HEARS)
        stt = chain_of(first, second)
        recognizer = stt.attend(REQUEST)
        turn = asyncio.create_task(hear(recognizer))
        await asyncio.sleep(0.5)
        await recognizer.close()
        with pytest.raises(ProviderCrashed, match="a broke"):
            await turn
        assert (second.n_attended, stt.report().members[0].error) == (0, "")

    virtual_time.run(main())


def test_turns_that_overlap_are_heard_apart() -> None:
    async def main() -> None:
        first = Ear("a", (Hears(), HANGS), HEARS)
        second = Ear("b", (Hears(), Final("First.")))
        recognizer = chain_of(first, second).attend(REQUEST)
        heard = await asyncio.gather(hear(recognizer), hear(recognizer))
        assert heard == [[Final("First.")], [Final("Hello.")]]

    virtual_time.run(main())


def test_a_turn_without_any_sound_finds_its_recognizer_too() -> None:
    async def main() -> None:
        busy = ProviderBusy("all are taken", provider="a")
        recognizer = chain_of(Ear("a", (busy,)), Ear("b", HEARS)).attend(REQUEST)
        assert await hear(recognizer, speech(0)) == [Final("Hello.")]

    virtual_time.run(main())


@settings(deadline=None)
@given(
    fails=st.lists(st.integers(0, 60), max_size=3),
    gap=st.sampled_from([0.0, 0.02]),
    max_turn=st.sampled_from([0.1, 0.5, 2.0]),
)
def test_whoever_fails_whenever_the_last_hears_the_end_of_the_turn(
    fails: list[int], gap: float, max_turn: float
) -> None:
    async def main() -> None:
        ears = [Ear(f"e{index}", (Hears(after), crash())) for index, after in enumerate(fails)]
        last = Ear("last", HEARS)
        recognizer = chain_of(*ears, last, max_turn=max_turn).attend(REQUEST)
        assert (await hear(recognizer, speech(gap=gap)))[-1] == Final("Hello.")
        (heard,) = last.heard
        assert heard == WHOLE[len(WHOLE) - len(heard) :]
        assert len(heard) >= min(50, round(max_turn / 0.02)) - 1  # lengths are sums of floats
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual_time.run(main())


def test_a_recognizer_whose_connection_breaks_is_a_crash_for_the_log() -> None:
    async def main() -> None:
        stt = chain_of(Ear("a", (Hears(), Interim("x"))))
        with pytest.raises(ProviderCrashed, match="a ended without a result"):
            await hear(stt.attend(REQUEST))

    virtual_time.run(main())
