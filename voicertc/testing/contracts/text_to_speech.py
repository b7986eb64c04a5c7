"""The contract of voices: what a clause sounds like, where its words are, and what it has cost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing

import numpy as np
import pytest

from ...audio.opus import OpusDecoder
from ...audio.pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ
from ...errors import ProviderError, ProviderTimeout
from ...providers.base import SpeechChunk, TextToSpeech, VoiceRequest
from .event_loop import assert_leaves_no_task, assert_never_holds_the_loop_up
from .provider import ProviderContract
from .rules import LIMIT, assert_blames, assert_plausible, assert_tells_no_key

SENTENCE = "Hello there, this is a test of the voice."
LONG_TEXT = " ".join(f"This is sentence number {n} of a long story about a small boat." for n in range(20))
PLAIN_TEXT = (
    "The little boat went slowly down the river, past the old mill and the green fields, "
    "until it came to the sea."
)
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


async def speak(voice: TextToSpeech, text: str, request: VoiceRequest | None = None) -> list[SpeechChunk]:
    """All chunks of a clause."""
    async with asyncio.timeout(LIMIT):
        return [chunk async for chunk in voice.synthesize(text, request or VoiceRequest())]


def total(chunks: Iterable[SpeechChunk]) -> int:
    """Samples in all chunks."""
    return sum(len(chunk.samples) for chunk in chunks)


class TextToSpeechContract(ProviderContract):
    """Inherit, give the fixtures, and the voice is judged."""

    stage = "tts"
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
    counted_by: str | None = None
    """The provider that ``used`` names, where it is not the voice's own name (a chain)."""
    characters_per_second = (10.0, 20.0)
    """How fast it speaks ``PLAIN_TEXT``, silence before and behind it not counted.

    Voices of flite and espeak-ng speak 16.4 to 18.9, people mostly 12.6 to 17.6. What is made at 48 kHz and
    given as 24 kHz has half the pace, what is made at 16 kHz half as much again: for a voice that
    speaks less than 13.4 lower the upper bound, to tell the latter.
    """
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

    @pytest.fixture
    def planted_key(self) -> str | None:
        """The key that the stalled and the broken voice were given: no error and no log may show it."""
        return None

    async def assert_nothing_held(self, voice: TextToSpeech) -> None:
        """Fail if a clause that is over still holds what is no task: a worker, a socket (override)."""

    async def test_speech_is_24_khz_int16_mono(self, voice: TextToSpeech) -> None:
        chunks = await speak(voice, SENTENCE)
        kinds = {(chunk.samples.dtype, chunk.samples.ndim) for chunk in chunks}
        assert kinds == {(np.dtype(np.int16), 1)}
        assert max(int(np.abs(chunk.samples.astype(int)).max(initial=0)) for chunk in chunks) > 1000
        await self.assert_nothing_held(voice)

    async def test_the_pace_of_speech_is_that_of_24_khz(self, voice: TextToSpeech) -> None:
        sound = np.concatenate([chunk.samples for chunk in await speak(voice, PLAIN_TEXT)]).astype(int)
        (loud,) = np.nonzero(np.abs(sound) > np.abs(sound).max() / 50)
        slowest, fastest = self.characters_per_second
        if self.speaks:
            pace = len(PLAIN_TEXT) * PLAYOUT_RATE_HZ / (loud[-1] - loud[0])
            assert slowest < pace < fastest, f"{pace:.1f} characters a second: is it 24 kHz?"

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

    async def test_what_was_used_is_told_with_the_last_chunk_and_plausible(self, voice: TextToSpeech) -> None:
        for text in (SENTENCE, LONG_TEXT):
            chunks = await speak(voice, text)
            assert all(chunk.used is None for chunk in chunks[:-1])
            if (used := chunks[-1].used) is not None:
                seconds, provider = total(chunks) / PLAYOUT_RATE_HZ, self.counted_by or voice.name
                assert_plausible(used, provider=provider, seconds=seconds, characters=len(text))

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

    async def test_a_provider_that_hangs_is_a_timeout(
        self, stalled_voice: TextToSpeech, planted_key: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(ProviderTimeout) as caught:
            await speak(stalled_voice, SENTENCE)
        assert_blames(caught.value, stalled_voice.name)
        assert_tells_no_key(caught.value, caplog.text, planted_key)
        await self.assert_nothing_held(stalled_voice)

    async def test_a_provider_that_breaks_says_whose_fault_it_was(
        self, broken_voice: TextToSpeech, planted_key: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(ProviderError) as caught:
            await speak(broken_voice, SENTENCE)
        assert_blames(caught.value, broken_voice.name)
        assert_tells_no_key(caught.value, caplog.text, planted_key)
        await self.assert_nothing_held(broken_voice)

    async def test_closing_twice_is_harmless_and_ends_what_is_being_said(self, voice: TextToSpeech) -> None:
        async with asyncio.timeout(LIMIT):
            clause = voice.synthesize(LONG_TEXT, VoiceRequest())
            await anext(clause)
            await voice.close()
            await voice.close()
            with pytest.raises(ProviderError):
                async for _ in clause:
                    pass

    async def test_clauses_leave_no_task_behind(self, voice: TextToSpeech) -> None:
        await assert_leaves_no_task(lambda: speak(voice, SENTENCE))

    async def test_the_event_loop_is_never_held_up(self, voice: TextToSpeech) -> None:
        await assert_never_holds_the_loop_up(lambda: speak(voice, SENTENCE))


async def until_cancelled(voice: TextToSpeech, begun: asyncio.Event) -> None:
    """Speak a long text, and hang on to it after the first chunk."""
    async with aclosing(voice.synthesize(LONG_TEXT, VoiceRequest())) as chunks:
        async for _ in chunks:
            begun.set()
            await asyncio.Event().wait()


def about(chunks: Iterable[SpeechChunk]) -> int:
    """Length in tenths of a second: the same text may differ by a few samples."""
    return round(total(chunks) / PLAYOUT_RATE_HZ * 10)


def is_word_start(text: str, index: int) -> bool:
    """Whether ``text[index]`` is there and begins a word (or a sign that is read out)."""
    inside = 0 <= index < len(text) and not text[index].isspace()
    return inside and (index == 0 or not (text[index - 1].isalnum() and text[index].isalnum()))
