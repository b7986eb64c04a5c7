"""What every recognizer and every voice must do, whoever made it: two suites to inherit from.

    class TestMyRecognizer(SpeechToTextContract):
        @pytest.fixture
        async def recognizer(self): ...yield a started provider, close it...

Fixtures named below are abstract: a suite that forgets one fails, it does not pass silently. The class
attributes say what a kind of provider cannot do by its nature. Every wait has the deadline ``LIMIT``, so a
hang is a failure; no test measures the machine's speed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterable

import numpy as np
import pytest

from voicertc.audio.opus import OpusDecoder
from voicertc.audio.pcm import (
    HEARING_FRAME,
    HEARING_RATE_HZ,
    PLAYOUT_FRAME,
    PLAYOUT_RATE_HZ,
    PcmFrame,
    Samples,
)
from voicertc.errors import ProviderError, ProviderTimeout
from voicertc.providers.base import (
    Final,
    HeardPiece,
    Interim,
    RecognitionRequest,
    SpeechChunk,
    SpeechToText,
    TextToSpeech,
    VoiceRequest,
)

LIMIT = 20.0
"""Seconds until a wait counts as a hang; far above what any provider needs on a loaded machine."""

SENTENCE = "Hello there, this is a test of the voice."
LONG_TEXT = " ".join(f"This is sentence number {n} of a long story about a small boat." for n in range(20))
ODD_TEXTS = (
    "...",
    "?!",
    "—",
    "\N{GRINNING FACE}",
    "Grüße aus Köln, naïve façade, 你好.",
    "1,234.56 + 3/4 = 50% & more <b>not markup</b> [[not phonemes]]",
    "line one\nline two\ttabbed\r\n",
    "e\u0301 combining, \u200bzero width, \u00a0no-break",
    "a nul\x00inside",
    "lone surrogate \ud800 here",
    "x" * 300,
)


def frames(samples: Samples, *, position: int = 0) -> Iterable[PcmFrame]:
    """Cut 16 kHz ``samples`` into 20 ms frames; the last one may be shorter."""
    for start in range(0, len(samples), HEARING_FRAME):
        yield PcmFrame(samples[start : start + HEARING_FRAME], position=position + start)


async def audio(samples: Samples) -> AsyncGenerator[PcmFrame, None]:
    """Frames as fast as they are asked for, then the end of the turn."""
    for frame in frames(samples):
        yield frame
        await asyncio.sleep(0)


async def endless_audio(samples: Samples) -> AsyncGenerator[PcmFrame, None]:
    """The speech, then a user who neither speaks nor ends the turn."""
    async for frame in audio(samples):
        yield frame
    await asyncio.Event().wait()


async def failing_audio(samples: Samples) -> AsyncGenerator[PcmFrame, None]:
    """The speech, then our own end of the call breaks."""
    async for frame in audio(samples):
        yield frame
    raise RuntimeError("the ear broke")


async def hear(
    recognizer: SpeechToText, source: AsyncIterator[PcmFrame], request: RecognitionRequest
) -> list[HeardPiece]:
    """All that a turn yields."""
    async with asyncio.timeout(LIMIT):
        return [heard async for heard in recognizer.attend(request).recognize(source, request)]


class SpeechToTextContract:
    """Inherit, give the fixtures, and the recognizer is judged."""

    gives_interims = True
    """False for a recognizer that is given whole turns (a file endpoint)."""
    at_once = 2
    """How many turns the fixture's recognizer can hear at the same time."""

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

    async def assert_nothing_held(self, recognizer: SpeechToText) -> None:
        """Fail if a turn that is over still holds a worker, a task, a socket (override)."""

    async def test_a_turn_ends_in_exactly_one_final(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        heard = await hear(recognizer, audio(speech), recognition)
        assert [type(each) for each in heard] == [Interim] * (len(heard) - 1) + [Final]
        await self.assert_nothing_held(recognizer)

    async def test_the_words_are_understood(
        self, recognizer: SpeechToText, speech: Samples, words: set[str], recognition: RecognitionRequest
    ) -> None:
        final = (await hear(recognizer, audio(speech), recognition))[-1]
        assert isinstance(final, Final)
        assert words <= set(plain_words(final.text))
        assert final.confidence is None or 0.0 <= final.confidence <= 1.0

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
        async with asyncio.timeout(LIMIT):
            async for each in recognizer.attend(recognition).recognize(until_interim(), recognition):
                heard.append(each)
                seen.set()
        assert isinstance(heard[0], Interim)

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
        assert [(type(each), each.text) for each in heard] == [(Final, "")]
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

        heard = await hear(recognizer, ragged(), recognition)
        assert isinstance(heard[-1], Final)
        assert heard[-1].text

    async def test_turns_at_once_do_not_mix(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        silence = np.zeros(HEARING_RATE_HZ // 2, np.int16)
        sources = [speech, silence, speech, silence][: self.at_once]
        turns = await asyncio.gather(*(hear(recognizer, audio(each), recognition) for each in sources))
        alone = (await hear(recognizer, audio(speech), recognition))[-1].text
        assert [bool(turn[-1].text) for turn in turns] == [True, False, True, False][: self.at_once]
        assert turns[0][-1].text == alone

    async def test_turns_after_each_other_do_not_mix(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        silence = np.zeros(HEARING_RATE_HZ // 2, np.int16)
        turns = [await hear(recognizer, audio(each), recognition) for each in (speech, silence, speech)]
        assert [bool(turn[-1].text) for turn in turns] == [True, False, True]

    async def test_closing_early_frees_everything(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        for _ in range(self.at_once + 1):
            turn = recognizer.attend(recognition).recognize(endless_audio(speech), recognition)
            async with asyncio.timeout(LIMIT):
                if self.gives_interims:
                    await anext(turn)
                await turn.aclose()
        await self.assert_nothing_held(recognizer)
        assert (await hear(recognizer, audio(speech), recognition))[-1].text

    async def test_cancelling_frees_everything(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        for _ in range(self.at_once + 1):
            spoken = asyncio.Event()
            turn = asyncio.create_task(
                hear(recognizer, announced(endless_audio(speech), spoken), recognition)
            )
            async with asyncio.timeout(LIMIT):
                await spoken.wait()
                turn.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await turn
        await self.assert_nothing_held(recognizer)
        assert (await hear(recognizer, audio(speech), recognition))[-1].text

    async def test_an_ear_that_breaks_is_not_a_providers_error(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        with pytest.raises(RuntimeError, match="the ear broke"):
            await hear(recognizer, failing_audio(speech), recognition)
        await self.assert_nothing_held(recognizer)

    async def test_a_provider_that_hangs_is_a_timeout(
        self, stalled_recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        with pytest.raises(ProviderTimeout) as caught:
            await hear(stalled_recognizer, audio(speech), recognition)
        assert (caught.value.provider, caught.value.retryable) == (stalled_recognizer.name, True)
        await self.assert_nothing_held(stalled_recognizer)

    async def test_a_provider_that_breaks_says_whose_fault_it_was(
        self, broken_recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        with pytest.raises(ProviderError) as caught:
            await hear(broken_recognizer, audio(speech), recognition)
        assert (caught.value.provider, caught.value.retryable) == (broken_recognizer.name, True)
        await self.assert_nothing_held(broken_recognizer)

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


async def announced(
    source: AsyncIterator[PcmFrame], spoken: asyncio.Event, *, after: int = 10
) -> AsyncGenerator[PcmFrame, None]:
    """Pass ``source`` on and set ``spoken`` when ``after`` frames have been taken."""
    count = 0
    async for frame in source:
        yield frame
        count += 1
        if count == after:
            spoken.set()


def plain_words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    kept = "".join(char if char.isalnum() or char == "'" else " " for char in text.lower())
    return kept.split()


async def speak(voice: TextToSpeech, text: str, request: VoiceRequest | None = None) -> list[SpeechChunk]:
    """All chunks of a clause."""
    async with asyncio.timeout(LIMIT):
        return [chunk async for chunk in voice.synthesize(text, request or VoiceRequest())]


def total(chunks: Iterable[SpeechChunk]) -> int:
    """Samples in all chunks."""
    return sum(len(chunk.samples) for chunk in chunks)


class TextToSpeechContract:
    """Inherit, give the fixtures, and the voice is judged."""

    gives_marks = True
    """False for a voice that does not tell when its words begin."""
    gives_packets = False
    """True for a voice whose sound comes with its Opus packets."""
    obeys_speed = True
    """False for a voice whose speed is fixed (or a fake that speaks the same whatever is asked)."""
    speaks = True
    """False for a fake that returns audio that has nothing to do with the text's length."""
    at_once = 2
    """How many clauses the fixture's voice can speak at the same time."""
    first_chunk_ms = 500
    """The first chunk must be no longer: a longer one means that somebody waited for it."""

    @pytest.fixture
    def voice(self) -> TextToSpeech:
        """A started voice; the fixture closes it."""
        raise NotImplementedError

    @pytest.fixture
    def stalled_voice(self) -> TextToSpeech:
        """A started voice that never answers, with its deadlines shortened to well under a second."""
        raise NotImplementedError

    @pytest.fixture
    def broken_voice(self) -> TextToSpeech:
        """A started voice that breaks in the middle of every clause."""
        raise NotImplementedError

    async def assert_nothing_held(self, voice: TextToSpeech) -> None:
        """Fail if a clause that is over still holds a worker, a task, a socket (override)."""

    async def test_speech_is_24_khz_int16_mono(self, voice: TextToSpeech) -> None:
        chunks = await speak(voice, SENTENCE)
        kinds = {(chunk.samples.dtype, chunk.samples.ndim) for chunk in chunks}
        assert kinds == {(np.dtype(np.int16), 1)}
        assert max(int(np.abs(chunk.samples.astype(int)).max(initial=0)) for chunk in chunks) > 1000
        if self.speaks:
            assert 1.0 < total(chunks) / PLAYOUT_RATE_HZ < 6.0
        await self.assert_nothing_held(voice)

    async def test_the_first_chunk_does_not_wait_for_the_rest(self, voice: TextToSpeech) -> None:
        chunks = await speak(voice, LONG_TEXT)
        first = next(chunk for chunk in chunks if len(chunk.samples))
        assert len(first.samples) <= self.first_chunk_ms * PLAYOUT_RATE_HZ // 1000

    async def test_marks_are_in_order_and_inside_text_and_sound(self, voice: TextToSpeech) -> None:
        for text in (SENTENCE, LONG_TEXT, "Grüße aus Köln sagt Jürgen.", "\N{GRINNING FACE} smile now"):
            chunks = await speak(voice, text)
            marks = [mark for chunk in chunks for mark in chunk.marks]
            assert bool(marks) == self.gives_marks
            assert marks == sorted(marks, key=lambda mark: (mark.sample, mark.text_start))
            assert [mark.text_start for mark in marks] == sorted({mark.text_start for mark in marks})
            assert all(0 <= mark.sample <= total(chunks) for mark in marks)
            assert all(is_word_start(text, mark.text_start) for mark in marks)

    async def test_a_mark_is_never_late_by_more_than_a_chunk(self, voice: TextToSpeech) -> None:
        begun = previous = 0
        for chunk in await speak(voice, LONG_TEXT):
            assert all(mark.sample >= previous for mark in chunk.marks)
            previous, begun = begun, begun + len(chunk.samples)

    async def test_packets_are_as_long_as_the_sound_they_come_with(self, voice: TextToSpeech) -> None:
        sounding = [chunk for chunk in await speak(voice, SENTENCE) if len(chunk.samples)]
        assert all(bool(chunk.packets) == self.gives_packets for chunk in sounding)
        decoder = OpusDecoder(rate_hz=PLAYOUT_RATE_HZ)
        for chunk in sounding if self.gives_packets else ():
            sizes = [len(decoder.decode(packet)) for packet in chunk.packets]
            assert sizes == [PLAYOUT_FRAME] * (len(chunk.samples) // PLAYOUT_FRAME)
            assert len(chunk.samples) == sum(sizes)

    async def test_faster_is_shorter_where_a_voice_has_more_than_one_speed(self, voice: TextToSpeech) -> None:
        lengths = [
            total(await speak(voice, SENTENCE, VoiceRequest(speed=speed))) for speed in (0.25, 1.0, 1.5)
        ]
        assert lengths == sorted(lengths, reverse=True)
        assert len(set(lengths)) == (3 if self.obeys_speed else 1)

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
    async def test_odd_text_does_no_harm(self, voice: TextToSpeech, text: str) -> None:
        chunks = await speak(voice, text)
        marks = [mark for chunk in chunks for mark in chunk.marks]
        assert all(0 <= mark.text_start < len(text) for mark in marks)
        assert total(await speak(voice, SENTENCE)) > 0
        await self.assert_nothing_held(voice)

    async def test_clauses_at_once_do_not_mix(self, voice: TextToSpeech) -> None:
        texts = ["One.", LONG_TEXT, SENTENCE, "Two."][: self.at_once]
        spoken = await asyncio.gather(*(speak(voice, text) for text in texts))
        alone = [await speak(voice, text) for text in texts]
        if self.speaks:
            assert [about(each) for each in spoken] == [about(each) for each in alone]

    async def test_closing_early_frees_everything(self, voice: TextToSpeech) -> None:
        for _ in range(self.at_once + 1):
            clause = voice.synthesize(LONG_TEXT, VoiceRequest())
            async with asyncio.timeout(LIMIT):
                await anext(clause)
                await clause.aclose()
        await self.assert_nothing_held(voice)

    async def test_what_was_cancelled_does_not_leak_into_the_next_clause(self, voice: TextToSpeech) -> None:
        fresh = await speak(voice, SENTENCE)
        for _ in range(self.at_once + 1):
            begun = asyncio.Event()
            clause = asyncio.create_task(until_cancelled(voice, begun))
            async with asyncio.timeout(LIMIT):
                await begun.wait()
                clause.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await clause
        await self.assert_nothing_held(voice)
        if self.speaks:
            assert about(await speak(voice, SENTENCE)) == about(fresh)

    async def test_a_provider_that_hangs_is_a_timeout(self, stalled_voice: TextToSpeech) -> None:
        with pytest.raises(ProviderTimeout) as caught:
            await speak(stalled_voice, SENTENCE)
        assert (caught.value.provider, caught.value.retryable) == (stalled_voice.name, True)
        await self.assert_nothing_held(stalled_voice)

    async def test_a_provider_that_breaks_says_whose_fault_it_was(self, broken_voice: TextToSpeech) -> None:
        with pytest.raises(ProviderError) as caught:
            await speak(broken_voice, SENTENCE)
        assert (caught.value.provider, caught.value.retryable) == (broken_voice.name, True)
        await self.assert_nothing_held(broken_voice)

    async def test_closing_twice_is_harmless(self, voice: TextToSpeech) -> None:
        async with asyncio.timeout(LIMIT):
            await voice.close()
            await voice.close()


async def until_cancelled(voice: TextToSpeech, begun: asyncio.Event) -> None:
    """Speak a long text, and hang on to it after the first chunk."""
    async for _ in voice.synthesize(LONG_TEXT, VoiceRequest()):
        begun.set()
        await asyncio.Event().wait()


def about(chunks: Iterable[SpeechChunk]) -> int:
    """Length in tenths of a second: the same text may differ by a few samples."""
    return round(total(chunks) / PLAYOUT_RATE_HZ * 10)


def is_word_start(text: str, index: int) -> bool:
    """Whether ``text[index]`` is there and begins a word (or a sign that is read out)."""
    inside = 0 <= index < len(text) and not text[index].isspace()
    return inside and (index == 0 or not (text[index - 1].isalnum() and text[index].isalnum()))
