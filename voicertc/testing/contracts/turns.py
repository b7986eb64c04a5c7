"""The contract of recognizers, its first half: what one turn yields, whatever is in it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from ...audio.pcm import HEARING_RATE_HZ, PcmFrame, Samples
from ...providers.base import (
    EagerEnd,
    EndOfTurn,
    Final,
    HeardPiece,
    Interim,
    RecognitionRequest,
    Resumed,
    SpeechToText,
    Started,
)
from .event_loop import assert_leaves_no_task, assert_never_holds_the_loop_up
from .provider import ProviderContract
from .rules import LIMIT, assert_plausible
from .sounds import audio, hear, plain_words

_BEFORE_FINAL = (Started, Interim, EagerEnd, Resumed, EndOfTurn)


class TurnContract(ProviderContract):
    """What ``SpeechToTextContract`` begins with; inherit from that one."""

    stage = "stt"
    gives_interims = True
    """False for a recognizer that is given whole turns (a file endpoint)."""
    holds_a_connection = False
    """True for a recognizer whose attention to a call is a connection, which ``Recognizer.close`` closes with
    all turns under way; false where each turn is heard by itself (``EachTurn``), and goes on then."""
    at_once = 2
    """How many turns the fixture's recognizer can hear at the same time."""
    counted_by: str | None = None
    """The provider that ``Final.used`` names, where it is not the recognizer's own name (a chain)."""

    @pytest.fixture
    def recognizer(self) -> SpeechToText:
        """A started recognizer; the fixture closes it."""
        raise NotImplementedError

    @pytest.fixture
    def stalled_recognizer(self) -> SpeechToText:
        """A started recognizer that never answers, with its deadlines shortened to well under a second."""
        raise NotImplementedError

    @pytest.fixture
    def broken_recognizer(self) -> SpeechToText:
        """A started recognizer that breaks in the middle of every turn."""
        raise NotImplementedError

    @pytest.fixture
    def speech(self) -> Samples:
        """Speech at 16 kHz, one second or more, that it understands without a grammar."""
        raise NotImplementedError

    @pytest.fixture
    def words(self) -> set[str]:
        """Words that must be in what it understands, lower case."""
        raise NotImplementedError

    @pytest.fixture
    def recognition(self) -> RecognitionRequest:
        """The request of every turn; override where the provider needs one of its own."""
        return RecognitionRequest(language="en")

    @pytest.fixture
    def planted_key(self) -> str | None:
        """The key that the stalled and the broken recognizer were given: no error and no log may show it."""
        return None

    async def assert_nothing_held(self, recognizer: SpeechToText) -> None:
        """Fail if a turn that is over still holds what is no task: a worker, a socket (override)."""

    async def test_a_turn_ends_in_exactly_one_final(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        heard = await hear(recognizer, audio(speech), recognition)
        assert isinstance(heard[-1], Final)
        assert all(isinstance(each, _BEFORE_FINAL) for each in heard[:-1])
        await self.assert_nothing_held(recognizer)

    async def test_signs_of_a_turn_come_in_their_order(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        heard = await hear(recognizer, audio(speech), recognition)
        kinds = [type(each) for each in heard]
        assert kinds.count(Started) <= 1
        assert kinds.count(EndOfTurn) <= 1
        ends = [kind for kind in kinds if kind in (EagerEnd, Resumed)]
        assert ends == [EagerEnd, Resumed] * (len(ends) // 2) + [EagerEnd] * (len(ends) % 2)

    async def test_the_words_are_understood(
        self, recognizer: SpeechToText, speech: Samples, words: set[str], recognition: RecognitionRequest
    ) -> None:
        final = final_of(await hear(recognizer, audio(speech), recognition))
        assert words <= set(plain_words(final.text))
        assert final.confidence is None or 0.0 <= final.confidence <= 1.0
        assert final.language is None or (len(final.language) == 2 and final.language.islower())

    async def test_words_are_in_order_and_within_the_audio(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        final = final_of(await hear(recognizer, audio(speech), recognition))
        times = [time for word in final.words for time in (word.start, word.end)]
        starts = [word.start for word in final.words]
        assert starts == sorted(starts)
        assert all(word.start <= word.end for word in final.words)
        assert all(0.0 <= time <= len(speech) / HEARING_RATE_HZ + 0.05 for time in times)
        assert all(word.confidence is None or 0.0 <= word.confidence <= 1.0 for word in final.words)
        if final.words:
            told = [part for word in final.words for part in plain_words(word.text)]
            assert told == plain_words(final.text)

    async def test_what_was_used_is_plausible(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        final = final_of(await hear(recognizer, audio(speech), recognition))
        if final.used is not None:
            provider = self.counted_by or recognizer.name
            assert_plausible(final.used, provider=provider, seconds=len(speech) / HEARING_RATE_HZ)

    async def test_interims_come_while_the_user_still_speaks(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        if not self.gives_interims:
            assert [type(each) for each in await hear(recognizer, audio(speech), recognition)] == [Final]
            return
        seen = asyncio.Event()

        async def until_interim() -> AsyncGenerator[PcmFrame, None]:
            async for frame in audio(speech):
                yield frame
            await seen.wait()

        heard: list[HeardPiece] = []
        attention = recognizer.attend(recognition)
        async with asyncio.timeout(LIMIT):
            async for each in attention.recognize(until_interim(), recognition):
                heard.append(each)
                if isinstance(each, Interim):
                    seen.set()
            await attention.close()
        assert any(isinstance(each, Interim) for each in heard)

    async def test_interims_are_text_and_change(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        heard = await hear(recognizer, audio(speech), recognition)
        texts = [each.text for each in heard if isinstance(each, Interim)]
        assert all(text.strip() for text in texts)
        assert all(before != after for before, after in itertools.pairwise(texts))

    async def test_no_audio_at_all_is_an_empty_final(
        self, recognizer: SpeechToText, recognition: RecognitionRequest
    ) -> None:
        heard = await hear(recognizer, audio(np.zeros(0, np.int16)), recognition)
        assert [(type(each), final_of([each]).text) for each in heard] == [(Final, "")]
        await self.assert_nothing_held(recognizer)

    async def test_one_short_frame_is_heard_out(
        self, recognizer: SpeechToText, recognition: RecognitionRequest
    ) -> None:
        heard = await hear(recognizer, audio(np.zeros(7, np.int16)), recognition)
        assert isinstance(heard[-1], Final)

    async def test_frames_of_any_size_and_place_are_taken(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        async def ragged() -> AsyncGenerator[PcmFrame, None]:
            start, size = 0, 1
            while start < len(speech):
                yield PcmFrame(speech[start : start + size], position=1_000_000 + 3 * start)
                start, size = start + size, size * 2 % 1021
            yield PcmFrame(speech[:0], position=5_000_000)

        assert final_of(await hear(recognizer, ragged(), recognition)).text

    async def test_turns_leave_no_task_behind(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        await assert_leaves_no_task(lambda: hear(recognizer, audio(speech), recognition))

    async def test_the_event_loop_is_never_held_up(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        await assert_never_holds_the_loop_up(lambda: hear(recognizer, audio(speech), recognition))


def final_of(heard: list[HeardPiece]) -> Final:
    """Return the turn's ``Final``, which is the last piece and the only one."""
    finals = [each for each in heard if isinstance(each, Final)]
    assert finals == heard[-1:]
    return finals[0]
