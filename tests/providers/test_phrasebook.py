"""The phrasebook: judged as a voice by the contract of all voices, both when it learns and when it knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
import pytest

from voicertc.audio import clips
from voicertc.audio.pcm import PLAYOUT_FRAME, PLAYOUT_RATE_HZ
from voicertc.errors import ProviderCrashed, ProviderTimeout
from voicertc.providers.base import SpeechChunk, TextToSpeech, VoiceRequest, WordMark
from voicertc.providers.phrasebook import Phrasebook
from voicertc.session.cascade import voice_beforehand
from voicertc.testing.contracts.text_to_speech import TextToSpeechContract, speak, total
from voicertc.testing.fakes import FakeVoice, voiced, word_starts

REQUEST = VoiceRequest()


class Spoken:
    """A voice whose every text is spoken from a phrasebook."""

    def __init__(
        self, voice: TextToSpeech, book: Phrasebook | None = None, *, with_packets: bool = True
    ) -> None:
        self.voice = voice
        self.name = voice.name
        self.book = book or Phrasebook()
        self.with_packets = with_packets

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        return self.book.speak(self.voice, text, request, with_packets=self.with_packets)


class KnownBefore(Spoken):
    """Has spoken each text once before it is asked to."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        async for _ in super().synthesize(text, request):
            pass
        async with aclosing(super().synthesize(text, request)) as chunks:
            async for chunk in chunks:
                yield chunk


class ChunkVoice(FakeVoice):
    """Yields the chunks it was given, then raises what it was given."""

    def __init__(self, *chunks: SpeechChunk, error: Exception | None = None) -> None:
        super().__init__()
        self._chunks = chunks
        self._error = error

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        self.texts.append(text)
        for chunk in self._chunks:
            yield chunk
        if self._error:
            raise self._error


class TestContract(TextToSpeechContract):
    entry_point = None
    obeys_speed = False
    gives_packets = True

    @pytest.fixture
    def voice(self) -> Spoken:
        return Spoken(FakeVoice(first_audio=0.0))

    @pytest.fixture
    def stalled_voice(self) -> Spoken:
        return Spoken(ChunkVoice(error=ProviderTimeout("stalled", provider=FakeVoice.name)))

    @pytest.fixture
    def broken_voice(self) -> Spoken:
        return Spoken(
            ChunkVoice(SpeechChunk(voiced("Hello.")), error=ProviderCrashed("broke", provider=FakeVoice.name))
        )

    async def assert_nothing_held(self, voice: TextToSpeech) -> None:
        assert isinstance(voice, Spoken)
        assert isinstance(voice.voice, FakeVoice)
        for _ in range(10):  # the loop closes generators that nobody closed, in its own time
            await asyncio.sleep(0)
        assert voice.voice.n_open == 0

    async def test_closing_twice_is_harmless_and_ends_what_is_being_said(self, voice: TextToSpeech) -> None:
        """It ends nothing: what it knows needs no voice, and the voice behind it is closed by its owner."""
        await voice.close()
        await voice.close()


class TestContractOfKnownPhrases(TestContract):
    first_chunk_ms = 1_000_000  # all of it is there at once

    @pytest.fixture
    def voice(self) -> Spoken:
        return KnownBefore(FakeVoice(first_audio=0.0))


async def test_a_phrase_is_synthesized_and_encoded_once() -> None:
    voice = FakeVoice(first_audio=0.0)
    spoken = Spoken(voice)
    first = await speak(spoken, "Hello there.")
    (again,) = await speak(spoken, "Hello there.")
    assert voice.texts == ["Hello there."]
    assert np.array_equal(again.samples[: len(voiced("Hello there."))], voiced("Hello there."))
    assert np.array_equal(np.concatenate([chunk.samples for chunk in first]), again.samples)
    assert tuple(packet for chunk in first for packet in chunk.packets) == again.packets
    assert [mark.text_start for mark in again.marks] == word_starts("Hello there.")
    assert (await speak(spoken, "Hello there."))[0] is again


async def test_packets_are_those_of_the_sound() -> None:
    (_, known) = [await speak(Spoken(FakeVoice(), book), "Hello.") for book in [Phrasebook()] * 2]
    assert known[0].packets == clips.encode(voiced("Hello.")).packets


@pytest.mark.parametrize(
    "request_", [VoiceRequest(voice="other"), VoiceRequest(speed=1.2), VoiceRequest(language="de")], ids=str
)
async def test_the_same_text_spoken_otherwise_is_another_phrase(request_: VoiceRequest) -> None:
    spoken = Spoken(FakeVoice(first_audio=0.0))
    await speak(spoken, "Hello.")
    await speak(spoken, "Hello.", request_)
    assert spoken.voice.texts == ["Hello."] * 2
    assert spoken.book.n_phrases == 2


async def test_the_same_text_of_another_provider_is_another_phrase() -> None:
    class Other(FakeVoice):
        name = "other"

    book, one, other = Phrasebook(), FakeVoice(first_audio=0.0), Other(first_audio=0.0)
    for voice in (one, other, one, other):
        await speak(Spoken(voice, book), "Hello.")
    assert (one.texts, other.texts) == (["Hello."], ["Hello."])


async def test_sound_of_any_length_comes_in_whole_frames_and_loses_nothing() -> None:
    sound = voiced("Hello.")[:5000]
    sizes = [7, 473, 481, 1200, 1, 2838]
    starts = np.cumsum([0, *sizes])
    chunks = [SpeechChunk(sound[start : start + n]) for start, n in zip(starts, sizes, strict=False)]
    coded = await speak(Spoken(ChunkVoice(*chunks)), "Hello.")
    assert {len(chunk.samples) - len(chunk.packets) * PLAYOUT_FRAME for chunk in coded} == {0}
    joined = np.concatenate([chunk.samples for chunk in coded])
    assert np.array_equal(joined[:5000], sound)
    assert joined[5000:].tolist() == [0] * (-5000 % PLAYOUT_FRAME)


async def test_marks_wait_for_sound_and_none_is_lost() -> None:
    marks = [WordMark(0, 0), WordMark(300, 6), WordMark(900, 9)]
    chunks = [
        SpeechChunk(np.ones(n, np.int16), (mark,)) for n, mark in zip((100, 500, 0), marks, strict=True)
    ]
    voice = ChunkVoice(*chunks)
    spoken = Spoken(voice)
    coded = await speak(spoken, "Hello to you.")
    assert [chunk.marks for chunk in coded] == [tuple(marks[:2]), tuple(marks[2:])]
    assert (await speak(spoken, "Hello to you."))[0].marks == tuple(marks)


async def test_a_voices_own_packets_pass_and_are_kept() -> None:
    own = clips.encode(voiced("Hello."))
    spoken = Spoken(ChunkVoice(SpeechChunk(own.samples, (WordMark(0, 0),), own.packets)))
    assert [chunk.packets for chunk in await speak(spoken, "Hello.")] == [own.packets]
    assert [chunk.packets for chunk in await speak(spoken, "Hello.")] == [own.packets]


async def test_a_voices_own_packets_out_of_step_are_encoded_anew() -> None:
    own = clips.encode(np.random.default_rng(1).integers(-9000, 9000, 4000).astype(np.int16))
    before = SpeechChunk(np.ones(100, np.int16))
    coded = await speak(Spoken(ChunkVoice(before, SpeechChunk(own.samples, (), own.packets))), "Hello.")
    joined = np.concatenate([chunk.samples for chunk in coded])
    assert np.array_equal(joined[100 : 100 + len(own.samples)], own.samples)
    assert not {packet for chunk in coded for packet in chunk.packets} & set(own.packets)


async def test_who_sends_no_packets_is_given_the_sound_as_the_voice_made_it() -> None:
    voice, book = FakeVoice(first_audio=0.0), Phrasebook()
    plain, coded = (Spoken(voice, book, with_packets=each) for each in (False, True))
    for _ in range(2):
        chunks = await speak(plain, "Hello.")
        assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), voiced("Hello."))
        assert [mark for chunk in chunks for mark in chunk.marks] == [WordMark(0, 0)]
        assert not any(chunk.packets for chunk in chunks)
        assert all(chunk.packets for chunk in await speak(coded, "Hello."))
    assert len(chunks) == 1
    assert voice.texts == ["Hello."] * 2


async def test_what_was_not_heard_out_or_broke_is_not_known() -> None:
    book = Phrasebook()
    voice = FakeVoice(first_audio=0.0)
    clause = book.speak(voice, "Hello there.", REQUEST, with_packets=True)
    await anext(clause)
    await clause.aclose()
    assert voice.n_open == 0
    broken = ChunkVoice(SpeechChunk(voiced("Hello there.")), error=ProviderCrashed("broke", provider="fake"))
    with pytest.raises(ProviderCrashed):
        await speak(Spoken(broken, book), "Hello there.")
    assert book.n_phrases == 0
    await speak(Spoken(voice, book), "Hello there.")
    assert voice.texts == ["Hello there."] * 2


async def test_a_voice_that_has_nothing_to_say_is_asked_again() -> None:
    voice = ChunkVoice()
    spoken = Spoken(voice)
    assert await speak(spoken, "...") == []
    assert await speak(spoken, "...") == []
    assert len(voice.texts) == 2


async def test_the_phrase_said_longest_ago_makes_room_for_a_new_one() -> None:
    voice = FakeVoice(first_audio=0.0)
    spoken = Spoken(voice, Phrasebook(max_phrases=2))
    for text in ("One.", "Two.", "One.", "Three.", "One.", "Two."):
        await speak(spoken, text)
    assert voice.texts == ["One.", "Two.", "Three.", "Two."]
    assert spoken.book.n_phrases == 2


async def test_what_is_kept_is_bounded_in_bytes() -> None:
    voice = FakeVoice(first_audio=0.0)
    await speak(whole := Spoken(voice), "Number 10.")
    one = whole.book.n_bytes
    assert one > 10 * 1440 * 2
    spoken = Spoken(voice, Phrasebook(max_bytes=3 * one + one // 2))
    for n in range(10, 30):
        await speak(spoken, f"Number {n}.")
        assert spoken.book.n_bytes <= 3 * one + one // 2
    assert spoken.book.n_phrases == 3
    await speak(spoken, "Number 30. " * 4)  # too big for the book: all others would have to go
    assert spoken.book.n_phrases == 3
    await speak(spoken, "Number 29.")
    assert voice.texts.count("Number 29.") == 1


async def test_a_long_story_is_told_and_not_kept() -> None:
    spoken = Spoken(ChunkVoice(SpeechChunk(np.ones(31 * PLAYOUT_RATE_HZ, np.int16))))
    assert total(await speak(spoken, "Once upon a time.")) == 31 * PLAYOUT_RATE_HZ
    assert spoken.book.n_phrases == 0


async def test_two_calls_that_learn_a_phrase_at_once_both_hear_it_and_it_is_kept_once() -> None:
    voice = FakeVoice(first_audio=0.0)
    spoken = Spoken(voice)
    one, other = await asyncio.gather(speak(spoken, "Hello."), speak(spoken, "Hello."))
    assert total(one) == total(other) == len(clips.encode(voiced("Hello.")).samples)
    await speak(spoken, "Hello.")
    assert len(voice.texts) == 2
    kept = spoken.book.n_bytes
    await speak(alone := Spoken(FakeVoice(first_audio=0.0)), "Hello.")
    assert kept == alone.book.n_bytes


async def test_others_have_their_turn_while_a_long_text_is_encoded() -> None:
    """A voice that has all of it ready must not hold the event loop for the time that encoding takes."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(others())
    before, most = 0, 0
    voice = Spoken(ChunkVoice(SpeechChunk(np.ones(240_000, np.int16))))
    async for chunk in voice.synthesize("Hello.", REQUEST):
        assert turns > before or not before
        before = turns
        most = max(most, len(chunk.packets))
    ticker.cancel()
    assert most <= 10  # some 0.5 ms
    assert turns >= 240_000 // PLAYOUT_FRAME // 10 - 1


async def pieces_of(
    book: Phrasebook, voice: TextToSpeech, request: VoiceRequest, *, with_packets: bool = True
) -> list[SpeechChunk]:
    """What is spoken of "Sorry."."""
    return [chunk async for chunk in book.speak(voice, "Sorry.", request, with_packets=with_packets)]


async def test_an_apology_is_said_in_any_voice_there_is() -> None:
    book, gone = Phrasebook(), ChunkVoice(error=ProviderCrashed("gone", provider="fake"))
    known = await pieces_of(book, FakeVoice(first_audio=0.0), VoiceRequest("anna"))
    said = await pieces_of(book, gone, VoiceRequest("otto"))
    assert total(said) == total(known)
    with pytest.raises(ProviderCrashed):
        await pieces_of(Phrasebook(), gone, VoiceRequest("otto"))


async def test_an_apology_is_said_in_any_voice_also_if_its_own_has_a_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    book = Phrasebook()
    known = await pieces_of(book, FakeVoice(first_audio=0.0), VoiceRequest("anna"))
    buggy = ChunkVoice(error=KeyError("a bug"))
    assert total(await pieces_of(book, buggy, VoiceRequest("otto"))) == total(known)
    (record,) = caplog.records
    assert (record.message, record.levelname) == ("said_in_another_voice", "WARNING")
    assert record.voicertc_fields == {"provider": "fake-voice", "reason": "KeyError"}  # type: ignore[attr-defined]  # see logs.event
    assert record.exc_info is not None


async def test_what_broke_off_in_the_middle_is_not_begun_anew_in_another_voice() -> None:
    book = Phrasebook()
    await pieces_of(book, FakeVoice(first_audio=0.0), VoiceRequest("anna"))
    broken = ChunkVoice(SpeechChunk(voiced("Sorry.")), error=ProviderCrashed("broke", provider="fake"))
    with pytest.raises(ProviderCrashed):
        await pieces_of(book, broken, VoiceRequest("otto"))


async def test_a_stand_ins_sound_is_not_kept_as_the_voices_own() -> None:
    book = Phrasebook()
    voice = ChunkVoice(SpeechChunk(voiced("Sorry."), is_substitute=True))
    await pieces_of(book, voice, REQUEST)
    await pieces_of(book, voice, REQUEST)
    assert voice.texts == ["Sorry."] * 2  # the voice is asked again
    gone = ChunkVoice(error=ProviderCrashed("gone", provider="fake"))
    assert total(await pieces_of(book, gone, REQUEST))  # and what stood in is there when nobody else is


async def test_who_has_no_use_for_packets_is_given_what_was_made_with_them() -> None:
    book, voice = Phrasebook(), FakeVoice(first_audio=0.0)
    await pieces_of(book, voice, REQUEST)
    await pieces_of(book, voice, REQUEST, with_packets=False)
    assert voice.texts == ["Sorry."]


async def test_what_was_voiced_beforehand_is_not_pushed_out() -> None:
    book, voice = Phrasebook(max_phrases=2), FakeVoice(first_audio=0.0)
    await voice_beforehand(["Sorry."], voice, REQUEST, book)
    for number in range(5):
        async for _ in book.speak(voice, f"Number {number}.", REQUEST, with_packets=True):
            pass
    n_asked = len(voice.texts)
    await pieces_of(book, voice, REQUEST)
    assert len(voice.texts) == n_asked
    assert book.n_phrases == 2
