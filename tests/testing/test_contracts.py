"""The contracts find fault: each is given providers that break it in one way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress

import numpy as np
import pytest

from voicertc.audio.pcm import HEARING_RATE_HZ, PcmFrame
from voicertc.core.items import Item
from voicertc.core.replies import ReplyRequest, ToolCall, Usage
from voicertc.errors import ProviderCrashed
from voicertc.providers.base import (
    EachTurn,
    EagerEnd,
    Final,
    HeardPiece,
    HeardWord,
    Interim,
    RecognitionRequest,
    Recognizer,
    Resumed,
    SpeechChunk,
    Started,
    Used,
    VoiceRequest,
    WordMark,
)
from voicertc.session.engine import AudioMade, ClauseClosed, ClauseOpened, Piece, TextBegan, TextMade
from voicertc.testing.contracts.reply_engine import GIVEN, ReplyEngineContract
from voicertc.testing.contracts.rules import assert_plausible, assert_tells_no_key
from voicertc.testing.contracts.speech_to_text import SpeechToTextContract
from voicertc.testing.contracts.text_to_speech import SENTENCE, TextToSpeechContract

SPEECH = np.full(HEARING_RATE_HZ, 5_000, np.int16)
SOUND = np.full(48_000, 5_000, np.int16)
ENGLISH = RecognitionRequest(language="en")


class Ears:
    """Hears what it was told to, whatever is said."""

    name = "ears"

    def __init__(self, *heard: HeardPiece, interim: HeardPiece | None = None) -> None:
        self._heard = heard
        self._interim = interim

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def attend(self, request: RecognitionRequest) -> Recognizer:
        return EachTurn(self.recognize)

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        async for _ in audio:
            pass
        for piece in self._heard:
            yield piece


class Mouth:
    """Speaks the chunks it was given, whatever the text."""

    name = "mouth"

    def __init__(self, *chunks: SpeechChunk) -> None:
        self._chunks = chunks

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        for chunk in self._chunks:
            yield chunk


class Engine:
    """Replies with the pieces it was given."""

    def __init__(self, *pieces: Piece) -> None:
        self._pieces = pieces

    async def reply(self, request: ReplyRequest, history: tuple[Item, ...]) -> AsyncGenerator[Piece, None]:
        for piece in self._pieces:
            yield piece


async def assert_finds_fault(judged: Awaitable[None]) -> None:
    with pytest.raises(AssertionError):
        await judged


@pytest.mark.parametrize(
    "heard",
    [
        (),
        (Final("one"), Final("two")),
        (Final("one"), Interim("late")),
        (Interim("one"),),
    ],
    ids=range(4),
)
async def test_a_turn_without_just_one_final_at_its_end(heard: Iterable[HeardPiece]) -> None:
    if not heard:
        with pytest.raises(IndexError):
            await SpeechToTextContract().test_a_turn_ends_in_exactly_one_final(Ears(), SPEECH, ENGLISH)
        return
    await assert_finds_fault(
        SpeechToTextContract().test_a_turn_ends_in_exactly_one_final(Ears(*heard), SPEECH, ENGLISH)
    )


@pytest.mark.parametrize(
    "signs", [(Resumed(),), (EagerEnd("a"), EagerEnd("b")), (Started(), Started())], ids=range(3)
)
async def test_signs_out_of_order(signs: Iterable[HeardPiece]) -> None:
    contract = SpeechToTextContract()
    await assert_finds_fault(
        contract.test_signs_of_a_turn_come_in_their_order(Ears(*signs, Final("")), SPEECH, ENGLISH)
    )
    in_order = (Started(), EagerEnd("a"), Resumed(), Interim("b"), EagerEnd("b"), Final("b"))
    await contract.test_signs_of_a_turn_come_in_their_order(Ears(*in_order), SPEECH, ENGLISH)


@pytest.mark.parametrize(
    "words",
    [
        (HeardWord("two", 0.4, 0.6), HeardWord("words", 0.1, 0.3)),
        (HeardWord("two", 0.1, 0.3), HeardWord("words", 0.9, 1.4)),
        (HeardWord("two", 0.3, 0.1), HeardWord("words", 0.4, 0.6)),
        (HeardWord("words", 0.1, 0.3), HeardWord("two", 0.4, 0.6)),
        (HeardWord("two", 0.1, 0.3, 1.5), HeardWord("words", 0.4, 0.6)),
    ],
    ids=["unordered", "beyond the audio", "backwards", "other words", "too sure"],
)
async def test_words_at_times_that_cannot_be(words: tuple[HeardWord, ...]) -> None:
    judge = SpeechToTextContract().test_words_are_in_order_and_within_the_audio
    await assert_finds_fault(judge(Ears(Final("Two words.", words=words)), SPEECH, ENGLISH))
    good = (HeardWord("Two", 0.1, 0.3), HeardWord("words.", 0.4, 1.0))
    await judge(Ears(Final("Two words.", words=good)), SPEECH, ENGLISH)


async def test_a_recognizer_whose_turns_mix() -> None:
    contract = SpeechToTextContract()
    ears = Ears(Final("always the same"))
    for judge in (
        contract.test_the_turns_of_a_call_do_not_mix,
        contract.test_a_turn_may_begin_while_words_of_the_one_before_are_due,
        contract.test_a_turn_dropped_half_way_leaves_the_next_one_clean,
    ):
        await assert_finds_fault(judge(ears, SPEECH, ENGLISH))


async def test_a_connection_whose_close_ends_no_turn() -> None:
    contract = SpeechToTextContract()
    contract.holds_a_connection = True
    with pytest.raises((AssertionError, TimeoutError, pytest.fail.Exception)):
        async with asyncio.timeout(0.5):
            await contract.test_closing_the_attention_in_a_turn_leaves_no_doubt_how_the_turn_ends(
                Ears(Final("words")), SPEECH, ENGLISH
            )


class SwallowingEars(Ears):
    """Tells the words whatever happens, and takes its time for them."""

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        async for _ in audio:
            pass
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10.0)
        yield Final("words")


async def test_a_recognizer_that_swallows_its_cancellation() -> None:
    judge = SpeechToTextContract().test_cancelling_while_words_are_due_is_not_swallowed
    await judge(Ears(Final("words")), SPEECH, ENGLISH)
    await assert_finds_fault(judge(SwallowingEars(), SPEECH, ENGLISH))


async def test_a_voice_that_tells_its_count_too_early_or_wrongly() -> None:
    judge = TextToSpeechContract().test_what_was_used_is_told_with_the_last_chunk_and_plausible
    count = Used("mouth", seconds=2.0, characters=len(SENTENCE))
    await judge(Mouth(SpeechChunk(SOUND), SpeechChunk(SOUND[:0], used=count)))
    await assert_finds_fault(judge(Mouth(SpeechChunk(SOUND, used=count), SpeechChunk(SOUND))))
    await assert_finds_fault(judge(Mouth(SpeechChunk(SOUND, used=Used("somebody else", seconds=2.0)))))
    await assert_finds_fault(judge(Mouth(SpeechChunk(SOUND, used=Used("mouth", seconds=60.0)))))


@pytest.mark.parametrize(
    "marks",
    [
        (WordMark(900, 0), WordMark(100, 6)),
        (WordMark(0, 6), WordMark(100, 0)),
        (WordMark(99_000, 0),),
        (WordMark(0, 2),),
        (WordMark(0, 999),),
    ],
    ids=["unordered", "text unordered", "beyond the sound", "inside a word", "beyond the text"],
)
async def test_marks_that_cannot_be(marks: tuple[WordMark, ...]) -> None:
    judge = TextToSpeechContract().test_marks_are_in_order_and_inside_text_and_sound
    await assert_finds_fault(judge(Mouth(SpeechChunk(SOUND, marks))))


SAID = (ClauseOpened("Hello."), AudioMade(SOUND), ClauseClosed())
Judge = Callable[[ReplyEngineContract, Engine], Awaitable[None]]


@pytest.mark.parametrize(
    "pieces",
    [
        (AudioMade(SOUND), *SAID),
        (ClauseOpened("a"), ClauseOpened("b"), AudioMade(SOUND), ClauseClosed(), ClauseClosed()),
        (ClauseOpened("a"), AudioMade(SOUND)),
        (ClauseOpened("a"), ClauseClosed()),
        (*SAID, TextBegan()),
        (ClauseClosed(),),
        (ClauseOpened("a"), ToolCall("get_time"), AudioMade(SOUND), ClauseClosed()),
        (Usage(1, 2),),
    ],
    ids=range(8),
)
async def test_pieces_of_a_reply_out_of_order(pieces: Iterable[Piece]) -> None:
    judge = ReplyEngineContract().test_a_spoken_reply_is_clauses_each_with_its_sound
    await assert_finds_fault(judge(Engine(*pieces)))
    await judge(Engine(TextBegan(), *SAID, *SAID, ToolCall("get_time"), Usage(1, 2)))


async def test_an_engine_that_does_not_do_as_it_was_told() -> None:
    contract = ReplyEngineContract()
    await assert_finds_fault(contract.test_a_written_reply_has_no_sound(Engine(TextMade("Hello."), *SAID)))
    await assert_finds_fault(contract.test_given_text_is_written_as_it_is(Engine(TextMade("Hello."))))
    reworded = GIVEN.replace("welcome", "be welcome")
    spoken = Engine(ClauseOpened(reworded), AudioMade(SOUND), ClauseClosed())
    await assert_finds_fault(contract.test_replies_after_each_other_do_not_mix(spoken))
    await assert_finds_fault(
        contract.test_nothing_is_called_that_was_not_offered(Engine(ToolCall("get_weather")))
    )


def test_a_key_is_found_in_whatever_lies_behind_an_error() -> None:
    try:
        try:
            raise OSError("refused: Bearer planted-key")
        except OSError as cause:
            raise ProviderCrashed("It broke.", provider="x") from cause
    except ProviderCrashed as error:
        with pytest.raises(AssertionError):
            assert_tells_no_key(error, "", "planted-key")
        assert_tells_no_key(error, "a log", "another-key")
        with pytest.raises(AssertionError):
            assert_tells_no_key(error, "sent another-key", "another-key")


@pytest.mark.parametrize(
    "used",
    [
        Used("x", seconds=-1.0),
        Used("x", characters=10),
        Used("x", tokens=Usage(10, 5, cached_tokens=11)),
        Used("x", tokens=Usage(10, 5, output_audio_tokens=6)),
    ],
    ids=range(4),
)
def test_counts_that_cannot_be(used: Used) -> None:
    with pytest.raises(AssertionError):
        assert_plausible(used, provider="x", seconds=1.0)
