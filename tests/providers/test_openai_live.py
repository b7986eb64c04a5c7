from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from typing import Any

import numpy as np
import pytest

from voicertc.audio.pcm import HEARING_RATE_HZ, PcmFrame, Samples
from voicertc.audio.resample import Resampler
from voicertc.core.replies import Usage
from voicertc.errors import (
    ProviderBusy,
    ProviderCrashed,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
)
from voicertc.providers.base import (
    Final,
    HeardPiece,
    Interim,
    RecognitionRequest,
    SpeechToText,
    Used,
)
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_live import OpenAILiveOptions, OpenAILiveSpeechToText
from voicertc.providers.openai_socket import SocketTimes
from voicertc.providers.secret import Secret
from voicertc.testing.contracts.rules import assert_tells_no_key
from voicertc.testing.contracts.sounds import audio, ending, endless_audio, frames, hear, hear_turn
from voicertc.testing.contracts.speech_to_text import SpeechToTextContract
from voicertc.testing.contracts.turns import final_of
from voicertc.testing.fake_openai import (
    CloseSocket,
    Cut,
    FailInside,
    FailTurn,
    FakeOpenAI,
    Fault,
    LeaveOut,
    Mute,
    RealtimeScenario,
    ReceivedSocket,
    Refuse,
    Scenario,
    SendFrame,
    Stall,
    spoken,
)

from .realtime_sockets import LIMIT, access_of

SPEECH = spoken("Twenty-five characters...", rate_hz=HEARING_RATE_HZ)
"""A tone of 1.5 s."""
TEXT = "What is the time in Oslo?"
REQUEST = RecognitionRequest(language="en")
SHORT = SocketTimes(ready=0.3, send=0.3)
PLANTED = "sk-planted-0123456789abcdef"


@asynccontextmanager
async def started(
    fake: FakeOpenAI, *, access: OpenAIOptions | None = None, **options: Any
) -> AsyncGenerator[OpenAILiveSpeechToText, None]:
    recognizer = OpenAILiveSpeechToText(OpenAILiveOptions(**options), access or access_of(fake))
    await recognizer.start()
    try:
        yield recognizer
    finally:
        await recognizer.close()


def scenario(
    texts: Sequence[str] = (TEXT,), *, faults: Iterable[Fault | None] = (), **realtime: Any
) -> Scenario:
    return Scenario(transcripts=texts, realtime=RealtimeScenario(**realtime), faults={"realtime": faults})


async def until(fake: FakeOpenAI, condition: Any) -> None:
    async with asyncio.timeout(LIMIT):
        await fake.until(condition)


def turns(fake: FakeOpenAI) -> list[str]:
    return [turn.text for record in fake.sockets for turn in record.turns]


def is_ready(record: ReceivedSocket) -> bool:
    return "session.updated" in record.sent_types()


async def heard_in(recognizer: SpeechToText, samples: Samples = SPEECH) -> Final:
    return final_of(await hear(recognizer, audio(samples), REQUEST))


class Mouth:
    """A user whose sound a test gives piece by piece."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[PcmFrame | None] = asyncio.Queue()

    def say(self, samples: Samples) -> None:
        for frame in frames(samples):
            self._frames.put_nowait(frame)

    def stop(self) -> None:
        self._frames.put_nowait(None)

    async def frames(self) -> AsyncGenerator[PcmFrame, None]:
        while (frame := await self._frames.get()) is not None:
            yield frame


def transcript(samples: Samples) -> str:
    """What the contract's sounds say: the tone has words, silence has none."""
    return "Hello, two words." if np.abs(samples.astype(int)).max() > 1000 else ""


class TestContract(SpeechToTextContract):
    entry_point = "openai-live = voicertc.services.makers:_openai_live"
    holds_a_connection = True
    at_once = 4

    @pytest.fixture
    async def fake(self) -> AsyncGenerator[FakeOpenAI, None]:
        async with FakeOpenAI(Scenario(transcripts=transcript)) as fake:
            yield fake

    @pytest.fixture
    async def recognizer(self, fake: FakeOpenAI) -> AsyncGenerator[SpeechToText, None]:
        async with started(fake) as recognizer:
            yield recognizer

    @pytest.fixture
    def planted_key(self) -> str:
        return PLANTED

    @pytest.fixture
    async def stalled_recognizer(self, planted_key: str) -> AsyncGenerator[SpeechToText, None]:
        day = Scenario(api_key=planted_key, faults={"realtime": repeat(Stall(after=2))})
        async with FakeOpenAI(day) as fake, started(fake, final_timeout=0.2, times=SHORT) as recognizer:
            yield recognizer

    @pytest.fixture
    async def broken_recognizer(self, planted_key: str) -> AsyncGenerator[SpeechToText, None]:
        day = Scenario(api_key=planted_key, realtime=RealtimeScenario(turns=repeat(Cut(after=1))))
        async with FakeOpenAI(day) as fake, started(fake) as recognizer:
            yield recognizer

    @pytest.fixture
    def speech(self) -> Samples:
        return SPEECH

    @pytest.fixture
    def words(self) -> set[str]:
        return {"hello", "two", "words"}

    # A fake that is asked what is in a sound must first have all of it: these are judged below.
    test_interims_come_while_the_user_still_speaks = None  # type: ignore[assignment]
    test_closing_early_frees_everything = None  # type: ignore[assignment]

    async def assert_nothing_held(self, recognizer: SpeechToText) -> None:
        assert isinstance(recognizer, OpenAILiveSpeechToText)
        assert recognizer._recognizers == set()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not [name for name in names if name.startswith("openai-live")]


class TestContractOfAStreamingModel(TestContract):
    """The same, by a fake whose texts are known beforehand: it writes while it is spoken to."""

    @pytest.fixture
    async def fake(self) -> AsyncGenerator[FakeOpenAI, None]:
        async with FakeOpenAI(scenario(["Hello, two words."])) as fake:
            yield fake

    test_interims_come_while_the_user_still_speaks = (
        SpeechToTextContract.test_interims_come_while_the_user_still_speaks
    )
    test_closing_early_frees_everything = SpeechToTextContract.test_closing_early_frees_everything
    # Whatever is said, this fake hears the same words: these are judged above.
    test_turns_at_once_do_not_mix = None  # type: ignore[assignment]
    test_turns_after_each_other_do_not_mix = None  # type: ignore[assignment]
    test_the_turns_of_a_call_do_not_mix = None  # type: ignore[assignment]
    test_a_turn_may_begin_while_words_of_the_one_before_are_due = None  # type: ignore[assignment]
    test_a_turn_dropped_half_way_leaves_the_next_one_clean = None  # type: ignore[assignment]


async def test_a_turn_is_sent_as_the_service_wants_it() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as recognizer:
        final = await heard_in(recognizer)
        record = fake.sockets[0]
    used = Used("openai-live", "gpt-live-transcribe", seconds=2.0)
    assert final == Final(TEXT, None, "en", used=used)
    assert record.query == {"intent": "transcription"}
    kinds = [event["type"] for event in record.events]
    assert kinds[0] == "session.update"
    assert kinds[-1] == "input_audio_buffer.commit"
    assert set(kinds[1:-1]) == {"input_audio_buffer.append"}
    heard = record.events[0]["session"]["audio"]["input"]
    assert heard == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": {"model": "gpt-live-transcribe", "languages": ["en"], "delay": "low"},
        "noise_reduction": None,
        "turn_detection": None,
    }
    resampler = Resampler(16_000, 24_000)
    expected = np.concatenate((resampler.feed(SPEECH), resampler.flush()))
    np.testing.assert_array_equal(record.turns[0].samples, expected)
    assert record.n_lost == 0
    sizes = [event["audio"] for event in record.events if event["type"] == "input_audio_buffer.append"]
    assert min(sizes[:-1]) >= 1920


@pytest.mark.parametrize(
    ("options", "request_", "fields"),
    [
        ({"delay": None}, RecognitionRequest(), {"model": "gpt-live-transcribe"}),
        (
            {"keywords": ("Oslo",), "prompt": "Travel", "language": "de"},
            RecognitionRequest(),
            {
                "model": "gpt-live-transcribe",
                "languages": ["de"],
                "keywords": ["Oslo"],
                "prompt": "Travel",
                "delay": "low",
            },
        ),
        (
            {"prompt": "Travel", "language": "de", "delay": None},
            RecognitionRequest(language="nb", prompt="Fjords\x00"),
            {"model": "gpt-live-transcribe", "languages": ["nb"], "prompt": "Fjords"},
        ),
        (
            {"model": "gpt-realtime-whisper", "prompt": "no", "keywords": ("no",), "delay": "minimal"},
            RecognitionRequest(language="en"),
            {"model": "gpt-realtime-whisper", "language": "en", "delay": "minimal"},
        ),
        (
            {"model": "gpt-4o-transcribe", "prompt": "Travel", "delay": None},
            RecognitionRequest(language="en"),
            {"model": "gpt-4o-transcribe", "language": "en", "prompt": "Travel"},
        ),
    ],
)
async def test_a_model_is_told_what_it_takes(
    options: dict[str, Any], request_: RecognitionRequest, fields: dict[str, Any]
) -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake, **options) as recognizer:
        assert final_of(await hear(recognizer, audio(SPEECH), request_)).text == TEXT
        assert fake.sockets[0].errors == type(fake.sockets[0].errors)()
        assert fake.sockets[0].events[0]["session"]["audio"]["input"]["transcription"] == fields


async def test_a_delay_that_is_refused_is_left_out_from_then_on() -> None:
    async with FakeOpenAI(scenario(has_delay=False)) as fake, started(fake) as recognizer:
        for _ in range(2):
            assert (await heard_in(recognizer)).text == TEXT
        sent = [
            event["session"]["audio"]["input"]["transcription"]
            for record in fake.sockets
            for event in record.received("session.update")
        ]
    assert ["delay" in fields for fields in sent] == [True, False, False]


async def test_calls_that_begin_at_once_all_find_out_that_it_is_refused() -> None:
    async with FakeOpenAI(scenario(has_delay=False)) as fake, started(fake) as recognizer:
        ears = [recognizer.open_ear(REQUEST, lambda *_: None, lambda *_: None) for _ in range(3)]
        for ear in await asyncio.gather(*ears):
            await ear.close()
        assert len(fake.sockets) == 6


async def test_a_session_refused_for_no_reason_is_tried_without_the_delay() -> None:
    day = scenario(faults=[CloseSocket(after=1, code=4000)])
    async with FakeOpenAI(day) as fake, started(fake) as recognizer:
        assert (await heard_in(recognizer)).text == TEXT
        (update,) = fake.sockets[1].received("session.update")
        assert "delay" not in update["session"]["audio"]["input"]["transcription"]


async def test_words_come_while_the_user_speaks_and_only_grow() -> None:
    mouth = Mouth()
    async with FakeOpenAI(scenario()) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        turn = attention.recognize(mouth.frames(), REQUEST)
        mouth.say(SPEECH)
        async with asyncio.timeout(LIMIT):
            first = await anext(turn)
            assert isinstance(first, Interim)
            assert fake.sockets[0].received("input_audio_buffer.commit") == []
            mouth.stop()
            rest = [piece async for piece in turn]
    texts = [piece.text for piece in [first, *rest[:-1]] if isinstance(piece, Interim)]
    assert all(TEXT.startswith(text) for text in texts)
    assert texts == sorted(texts, key=len)
    assert final_of(rest).text == TEXT


async def test_the_socket_is_open_before_the_first_turn() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        await until(fake, lambda: fake.sockets and is_ready(fake.sockets[0]))
        await hear_turn(attention, audio(SPEECH), REQUEST)
        await hear_turn(attention, audio(SPEECH), REQUEST)
        assert len(fake.sockets) == 1
        assert len(fake.sockets[0].received("session.update")) == 1
        await attention.close()
        await until(fake, lambda: not fake.sockets[0].is_open)


async def test_a_turn_that_begins_before_the_socket_is_ready_loses_nothing() -> None:
    day = scenario(update_delay=0.3)
    async with FakeOpenAI(day) as fake, started(fake) as recognizer:
        assert (await heard_in(recognizer, np.tile(SPEECH, 2))).text == TEXT
        assert fake.sockets[0].n_lost == 0


@pytest.mark.parametrize("n_samples", [0, 1, 1599])
async def test_less_than_a_tenth_of_a_second_is_no_word_and_not_sent(n_samples: int) -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as recognizer:
        final = await heard_in(recognizer, SPEECH[:n_samples])
        assert final.text == ""
        assert all(record.n_samples == 0 for record in fake.sockets)


async def test_a_tenth_of_a_second_is_sent() -> None:
    async with FakeOpenAI(scenario(["Hi."])) as fake, started(fake) as recognizer:
        assert (await heard_in(recognizer, SPEECH[:1600])).text == "Hi."


async def test_a_final_that_comes_late_is_the_words_so_far_and_is_not_the_next_turns() -> None:
    texts = ["First the long words.", "Second."]
    async with (
        FakeOpenAI(scenario(texts, completion_delays=(1.2, 0.0))) as fake,
        started(fake, final_timeout=0.5) as recognizer,
    ):
        attention = recognizer.attend(REQUEST)
        first = final_of(await hear_turn(attention, audio(np.tile(SPEECH, 2)), REQUEST))
        assert first.text == "First the long"
        mouth = Mouth()
        mouth.say(SPEECH)
        turn = asyncio.create_task(hear_turn(attention, mouth.frames(), REQUEST))
        done = "conversation.item.input_audio_transcription.completed"
        await until(fake, lambda: done in fake.sockets[0].sent_types())
        mouth.stop()
        second = final_of(await turn)
        await attention.close()
    assert second.text == "Second."
    # What the first turn cost was told too late for the first turn.
    assert first.used == Used("openai-live", "gpt-live-transcribe")
    assert second.used == Used("openai-live", "gpt-live-transcribe", seconds=3.0 + 2.0)


@pytest.mark.parametrize(
    "fault",
    [LeaveOut(("conversation.item.input_audio_transcription.completed",)), Stall(after=3)],
)
async def test_a_final_that_never_comes_is_the_words_so_far(fault: Fault) -> None:
    async with (
        FakeOpenAI(scenario(turns=[fault])) as fake,
        started(fake, final_timeout=0.2) as recognizer,
    ):
        final = await heard_in(recognizer)
        assert final.text
        assert TEXT.startswith(final.text)
        assert len(fake.sockets) == 1


async def test_a_socket_that_says_nothing_is_a_timeout_and_the_next_turn_has_a_new_one() -> None:
    day = scenario(faults=[Stall(after=2)])
    async with FakeOpenAI(day) as fake, started(fake, final_timeout=0.5) as recognizer:
        attention = recognizer.attend(REQUEST)
        with pytest.raises(ProviderTimeout, match=r"0\.5 s"):
            await hear_turn(attention, audio(SPEECH), REQUEST)
        assert final_of(await hear_turn(attention, audio(SPEECH), REQUEST)).text == TEXT
        assert len(fake.sockets) == 2
        await until(fake, lambda: not fake.sockets[0].is_open)
        await attention.close()


async def test_texts_that_come_in_another_order_belong_to_their_turns() -> None:
    day = scenario(["First.", "Second."], completion_delays=(0.3, 0.0))
    async with FakeOpenAI(day) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        ended = asyncio.Event()

        async def second() -> list[HeardPiece]:
            await ended.wait()
            return await hear_turn(attention, audio(SPEECH[:4800]), REQUEST)

        both = await asyncio.gather(hear_turn(attention, ending(audio(SPEECH), ended), REQUEST), second())
        await attention.close()
        items = [
            event["item_id"] for event in fake.sockets[0].sent if str(event["type"]).endswith("completed")
        ]
    assert [final_of(turn).text for turn in both] == ["First.", "Second."]
    assert items == sorted(items, reverse=True)


async def test_a_turn_whose_transcription_fails_is_no_words_of_the_next_one() -> None:
    day = scenario(["One.", "Two."], turns=[FailTurn(message=f"It failed for {PLANTED}.")])
    async with FakeOpenAI(day) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        with pytest.raises(ProviderCrashed) as caught:
            await hear_turn(attention, audio(SPEECH), REQUEST)
        assert caught.value.provider == "openai-live"
        assert PLANTED not in caught.value.message
        assert final_of(await hear_turn(attention, audio(SPEECH), REQUEST)).text == "Two."
        assert len(fake.sockets) == 1
        await attention.close()


async def test_a_turn_that_is_dropped_leaves_no_sound_behind() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        turn = attention.recognize(endless_audio(SPEECH), REQUEST)
        async with asyncio.timeout(LIMIT):
            await anext(turn)
            await turn.aclose()
        assert final_of(await hear_turn(attention, audio(SPEECH[:8000]), REQUEST)).text == TEXT
        record = fake.sockets[0]
        assert len(record.turns[0].samples) == 12_000
        assert len(record.received("input_audio_buffer.clear")) == 1
        await attention.close()


@pytest.mark.parametrize(
    "fault",
    [Cut(after=3), CloseSocket(after=3), SendFrame(after=3), FailInside(after=3, code="session_expired")],
)
async def test_a_socket_lost_in_the_middle_of_a_turn_costs_no_word(fault: Fault) -> None:
    # The third event is the first word; an error alone is no end, and then nothing has to be sent again.
    mouth = Mouth()
    async with FakeOpenAI(scenario(faults=[fault])) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        turn = asyncio.create_task(hear_turn(attention, mouth.frames(), REQUEST))
        mouth.say(SPEECH)
        await until(fake, lambda: len(fake.sockets[-1].sent) >= 3 if fake.sockets else False)
        mouth.say(SPEECH)
        mouth.stop()
        final = final_of(await turn)
        await attention.close()
        assert final.text == TEXT
        assert len(fake.sockets) == (1 if isinstance(fault, FailInside) else 2)
        assert len(fake.sockets[-1].turns[0].samples) == 2 * len(SPEECH) * 3 // 2
        assert fake.sockets[-1].n_lost == 0


async def test_a_socket_lost_after_the_end_of_a_turn_costs_no_word() -> None:
    async with FakeOpenAI(scenario(turns=[Cut(after=1)])) as fake, started(fake) as recognizer:
        assert (await heard_in(recognizer)).text == TEXT
        assert len(fake.sockets) == 2


async def test_a_turn_is_sent_again_once() -> None:
    async with (
        FakeOpenAI(scenario(turns=[Cut(after=1), Cut(after=1)])) as fake,
        started(fake) as recognizer,
    ):
        with pytest.raises(ProviderCrashed):
            await heard_in(recognizer)
        assert turns(fake) == [TEXT, TEXT]


async def test_a_socket_lost_between_turns_is_opened_again_before_the_next() -> None:
    day = scenario(faults=[Cut(after=2), Refuse(500)])
    async with FakeOpenAI(day) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        await until(fake, lambda: len(fake.sockets) == 3 and is_ready(fake.sockets[2]))
        assert final_of(await hear_turn(attention, audio(SPEECH), REQUEST)).text == TEXT
        assert len(fake.sockets) == 3
        await attention.close()


async def test_a_changed_request_is_told_between_turns_only() -> None:
    day = scenario(completion_delays=(0.2,))
    async with FakeOpenAI(day) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        ended = asyncio.Event()

        async def second() -> list[HeardPiece]:
            await ended.wait()
            return await hear_turn(attention, audio(SPEECH), RecognitionRequest("nb", "Fjords"))

        both = await asyncio.gather(hear_turn(attention, ending(audio(SPEECH), ended), REQUEST), second())
        await attention.close()
        record = fake.sockets[0]
        updates = record.received("session.update")
        fields = updates[1]["session"]["audio"]["input"]["transcription"]
        kinds = [event["type"] for event in record.events if event["type"] != "input_audio_buffer.append"]
    assert [final_of(turn).text for turn in both] == [TEXT, TEXT]
    assert (fields["languages"], fields["prompt"]) == (["nb"], "Fjords")
    commit = "input_audio_buffer.commit"
    assert kinds == ["session.update", commit, "session.update", commit]
    assert record.n_lost == 0


async def test_an_old_socket_is_replaced_between_turns_by_one_that_is_ready() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake, max_age=0.2) as recognizer:
        attention = recognizer.attend(REQUEST)
        await until(fake, lambda: len(fake.sockets) >= 2 and not fake.sockets[0].is_open)
        old, new = fake.sockets[0], fake.sockets[1]
        assert old.ended_at is not None
        assert old.ended_at > new.at
        assert final_of(await hear_turn(attention, audio(SPEECH), REQUEST)).text == TEXT
        await attention.close()


async def test_an_old_socket_is_not_closed_while_its_words_are_due() -> None:
    day = scenario(completion_delays=(0.5,))
    async with FakeOpenAI(day) as fake, started(fake, max_age=1.0) as recognizer:
        attention = recognizer.attend(REQUEST)
        await until(fake, lambda: fake.sockets and is_ready(fake.sockets[0]))
        heard = await hear_turn(attention, audio(np.tile(SPEECH, 2)), REQUEST)
        assert final_of(heard).text == TEXT
        assert turns(fake) == [TEXT]
        await until(fake, lambda: not fake.sockets[0].is_open)
        await attention.close()


async def test_a_session_that_reaches_its_cap_is_followed_by_another() -> None:
    async with FakeOpenAI(scenario(session_seconds=0.5)) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        await until(fake, lambda: len(fake.sockets) >= 2)
        await attention.close()


async def test_what_tokens_cost_is_told_too() -> None:
    async with (
        FakeOpenAI(scenario()) as fake,
        started(fake, model="gpt-4o-transcribe", delay=None) as recognizer,
    ):
        used = (await heard_in(recognizer)).used
    tokens = Usage(15, 6, input_audio_tokens=15, provider="openai-live")
    assert used == Used("openai-live", "gpt-4o-transcribe", tokens=tokens)


@pytest.mark.parametrize(
    ("faults", "kind", "n_sockets"),
    [
        (repeat(Refuse(401)), ProviderUnavailable, 1),
        (repeat(Refuse(404)), ProviderUnavailable, 1),
        (repeat(Refuse(429, headers={"Retry-After": "20"})), ProviderBusy, 1),
        (repeat(Refuse(500)), ProviderCrashed, 2),
        (repeat(Stall()), ProviderTimeout, 1),
        (repeat(Mute()), ProviderTimeout, 1),
        (repeat(LeaveOut(("session.updated",))), ProviderTimeout, 1),
        (repeat(CloseSocket(after=1, code=4000)), ProviderUnavailable, 1),
        (repeat(FailInside(after=1, code="insufficient_quota")), ProviderUnavailable, 1),
    ],
)
async def test_a_service_that_is_not_to_be_had_is_told_to_the_turn(
    faults: Any, kind: type[ProviderError], n_sockets: int, caplog: pytest.LogCaptureFixture
) -> None:
    day = Scenario(api_key=PLANTED, faults={"realtime": faults})
    async with FakeOpenAI(day) as fake:
        access = access_of(fake, connect_timeout=0.3)
        async with started(fake, access=access, times=SHORT) as recognizer:
            with pytest.raises(kind) as caught:
                await heard_in(recognizer)
            assert_tells_no_key(caught.value, caplog.text, PLANTED)
            assert len(fake.sockets) >= n_sockets


async def test_a_wrong_key_is_told_and_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        FakeOpenAI(scenario()) as fake,
        started(fake, access=access_of(fake, api_key=Secret(PLANTED))) as recognizer,
    ):
        with pytest.raises(ProviderUnavailable, match="key") as caught:
            await heard_in(recognizer)
        assert_tells_no_key(caught.value, caplog.text, PLANTED)


async def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(ProviderUnavailable, match="needs an API key"):
        await OpenAILiveSpeechToText(OpenAILiveOptions(), OpenAIOptions()).start()


async def test_a_probe_opens_a_socket_and_hangs_up() -> None:
    async with FakeOpenAI(scenario(faults=[None, Refuse(500)])) as fake, started(fake) as recognizer:
        await recognizer.probe()
        await until(fake, lambda: not fake.sockets[0].is_open)
        assert fake.sockets[0].sent_types() == ["session.created", "session.updated"]
        with pytest.raises(ProviderCrashed):
            await recognizer.probe()


async def test_unknown_events_and_fields_harm_nobody() -> None:
    async with FakeOpenAI(scenario(adds_unknown=True)) as fake, started(fake) as recognizer:
        assert (await heard_in(recognizer)).text == TEXT


async def test_a_closed_recognizer_hears_nothing() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as recognizer:
        attention = recognizer.attend(REQUEST)
        await attention.close()
        with pytest.raises(ProviderError, match="closed"):
            await hear_turn(attention, audio(SPEECH), REQUEST)


async def test_a_long_recording_is_sent_no_faster_than_it_is_taken() -> None:
    async with FakeOpenAI(scenario(["A long story."])) as fake, started(fake) as recognizer:
        final = await heard_in(recognizer, np.tile(SPEECH, 6))
        assert final.text == "A long story."
        assert fake.sockets[0].n_lost == 0
