"""The contract of recognizers: what is heard in a turn, in the turns of a whole call, and when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from ...audio.pcm import HEARING_RATE_HZ, PcmFrame, Samples
from ...errors import ProviderError, ProviderTimeout
from ...providers.base import HeardPiece, RecognitionRequest, Recognizer, SpeechToText
from .rules import LIMIT, assert_blames, assert_tells_no_key
from .sounds import announced, audio, ending, endless_audio, failing_audio, hear, hear_turn
from .turns import TurnContract, final_of

_SILENCE = np.zeros(HEARING_RATE_HZ // 2, np.int16)


class SpeechToTextContract(TurnContract):
    """Inherit, give the fixtures, and the recognizer is judged."""

    async def test_turns_at_once_do_not_mix(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        sources = [speech, _SILENCE, speech, _SILENCE][: self.at_once]
        turns = await asyncio.gather(*(hear(recognizer, audio(each), recognition) for each in sources))
        alone = final_of(await hear(recognizer, audio(speech), recognition)).text
        assert [bool(final_of(turn).text) for turn in turns] == [True, False, True, False][: self.at_once]
        assert final_of(turns[0]).text == alone

    async def test_turns_after_each_other_do_not_mix(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        turns = [await hear(recognizer, audio(each), recognition) for each in (speech, _SILENCE, speech)]
        assert [bool(final_of(turn).text) for turn in turns] == [True, False, True]

    async def test_the_turns_of_a_call_do_not_mix(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        attention = recognizer.attend(recognition)
        turns = [
            await hear_turn(attention, audio(each), recognition)
            for each in (speech, _SILENCE, speech, speech)
        ]
        await attention.close()
        texts = [final_of(turn).text for turn in turns]
        assert texts == [texts[0], "", texts[0], texts[0]]
        assert texts[0]
        await self.assert_nothing_held(recognizer)

    async def test_a_turn_may_begin_while_words_of_the_one_before_are_due(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        attention = recognizer.attend(recognition)
        ended = asyncio.Event()

        async def second() -> list[HeardPiece]:
            async with asyncio.timeout(LIMIT):
                await ended.wait()
            return await hear_turn(attention, audio(_SILENCE), recognition)

        first = hear_turn(attention, ending(audio(speech), ended), recognition)
        turns = await asyncio.gather(first, second())
        await attention.close()
        alone = final_of(await hear(recognizer, audio(speech), recognition)).text
        assert [final_of(turn).text for turn in turns] == [alone, ""]

    async def test_a_turn_dropped_half_way_leaves_the_next_one_clean(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        attention = recognizer.attend(recognition)
        for _ in range(2):
            await self._drop(attention, speech, recognition)
            assert final_of(await hear_turn(attention, audio(_SILENCE), recognition)).text == ""
        await self._drop(attention, speech, recognition)
        after = final_of(await hear_turn(attention, audio(speech), recognition)).text
        await attention.close()
        assert after == final_of(await hear(recognizer, audio(speech), recognition)).text
        await self.assert_nothing_held(recognizer)

    async def _drop(self, attention: Recognizer, speech: Samples, recognition: RecognitionRequest) -> None:
        """Begin a turn and cancel it when half a second of it has been taken."""
        spoken = asyncio.Event()
        source = announced(endless_audio(speech), spoken, after=25)
        turn = asyncio.create_task(hear_turn(attention, source, recognition))
        async with asyncio.timeout(LIMIT):
            await spoken.wait()
            turn.cancel()
            with pytest.raises(asyncio.CancelledError):
                await turn

    async def test_closing_early_frees_everything(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        for _ in range(self.at_once + 1):
            attention = recognizer.attend(recognition)
            turn = attention.recognize(endless_audio(speech), recognition)
            async with asyncio.timeout(LIMIT):
                if self.gives_interims:
                    await anext(turn)
                await turn.aclose()
                await attention.close()
        await self.assert_nothing_held(recognizer)
        assert final_of(await hear(recognizer, audio(speech), recognition)).text

    async def test_cancelling_frees_everything(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        for _ in range(self.at_once + 1):
            attention = recognizer.attend(recognition)
            await self._drop(attention, speech, recognition)
            await attention.close()
        await self.assert_nothing_held(recognizer)
        assert final_of(await hear(recognizer, audio(speech), recognition)).text

    async def test_cancelling_while_words_are_due_is_not_swallowed(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        for n_rounds in (0, 3, 20):  # of the event loop, since the last frame was taken
            attention, ended = recognizer.attend(recognition), asyncio.Event()
            turn = asyncio.create_task(hear_turn(attention, ending(audio(speech), ended), recognition))
            async with asyncio.timeout(LIMIT):
                await ended.wait()
                for _ in range(n_rounds):
                    await asyncio.sleep(0)
                was_due = turn.cancel()  # who already knows the words is done
                await asyncio.wait({turn})
                await attention.close()
            assert turn.cancelled() == was_due
        await self.assert_nothing_held(recognizer)

    async def test_an_ear_that_breaks_is_not_a_providers_error(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        with pytest.raises(RuntimeError, match="the ear broke"):
            await hear(recognizer, failing_audio(speech), recognition)
        await self.assert_nothing_held(recognizer)

    async def test_a_provider_that_hangs_is_a_timeout(
        self,
        stalled_recognizer: SpeechToText,
        speech: Samples,
        recognition: RecognitionRequest,
        planted_key: str | None,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with pytest.raises(ProviderTimeout) as caught:
            await hear(stalled_recognizer, audio(speech), recognition)
        assert_blames(caught.value, stalled_recognizer.name)
        assert_tells_no_key(caught.value, caplog.text, planted_key)
        await self.assert_nothing_held(stalled_recognizer)

    async def test_a_provider_that_breaks_says_whose_fault_it_was(
        self,
        broken_recognizer: SpeechToText,
        speech: Samples,
        recognition: RecognitionRequest,
        planted_key: str | None,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with pytest.raises(ProviderError) as caught:
            await hear(broken_recognizer, audio(speech), recognition)
        assert_blames(caught.value, broken_recognizer.name)
        assert_tells_no_key(caught.value, caplog.text, planted_key)
        await self.assert_nothing_held(broken_recognizer)

    async def test_an_attention_that_was_never_used_closes_twice(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        async with asyncio.timeout(LIMIT):
            attention = recognizer.attend(recognition)
            await attention.close()
            await attention.close()
        await self.assert_nothing_held(recognizer)
        assert final_of(await hear(recognizer, audio(speech), recognition)).text

    async def test_closing_the_attention_in_a_turn_leaves_no_doubt_how_the_turn_ends(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        spoken, hangs_up = asyncio.Event(), asyncio.Event()

        async def until_hung_up() -> AsyncGenerator[PcmFrame, None]:
            async for frame in announced(audio(speech), spoken):
                yield frame
            await hangs_up.wait()

        attention = recognizer.attend(recognition)
        turn = asyncio.create_task(hear_turn(attention, until_hung_up(), recognition))
        async with asyncio.timeout(LIMIT):
            await spoken.wait()
            await attention.close()
            if self.holds_a_connection:
                with pytest.raises(ProviderError):
                    await turn
            else:
                hangs_up.set()
                assert final_of(await turn).text
            await attention.close()
        await self.assert_nothing_held(recognizer)

    async def test_closing_twice_is_harmless(self, recognizer: SpeechToText) -> None:
        async with asyncio.timeout(LIMIT):
            await recognizer.close()
            await recognizer.close()

    async def test_closing_ends_a_turn_that_is_being_heard(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        spoken = asyncio.Event()
        turn = asyncio.create_task(hear(recognizer, announced(endless_audio(speech), spoken), recognition))
        async with asyncio.timeout(LIMIT):
            await spoken.wait()
            await recognizer.close()
            with pytest.raises(ProviderError):
                await turn
