"""OpenAI's speech-to-speech service by itself, against a strict local fake of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import repeat
from typing import Any, cast

import numpy as np
import pytest

from voicertc.audio.pcm import HEARING_RATE_HZ, Samples
from voicertc.core.items import Item, Modality, Role
from voicertc.core.options import Tool, ToolChoice
from voicertc.core.replies import Cause, CutShort, ReplyRequest, ToolCall, Usage
from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderUnavailable
from voicertc.providers import openai_speech_dialogue, openai_speech_ear
from voicertc.providers.base import (
    Dialogue,
    Final,
    HeardPiece,
    RecognitionRequest,
    Recognizer,
    SaidPiece,
    SpeechChunk,
    SpeechToText,
)
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_socket import SocketTimes
from voicertc.providers.openai_speech_dialogue import SpeechDialogue
from voicertc.providers.openai_speech_ear import SpeechEar
from voicertc.providers.openai_speech_to_speech import OpenAISpeechToSpeech, OpenAISpeechToSpeechOptions
from voicertc.providers.secret import Secret
from voicertc.testing.contracts.sounds import audio, hear
from voicertc.testing.contracts.speech_to_text import SpeechToTextContract
from voicertc.testing.fake_openai import (
    Calls,
    CloseSocket,
    Cut,
    FailTurn,
    FakeOpenAI,
    Fault,
    LeaveOut,
    Mute,
    OddSound,
    RealtimeScenario,
    ReceivedSocket,
    Refuse,
    Scenario,
    SendFrame,
    Stall,
    spoken,
)

from .realtime_sockets import LIMIT, access_of

NAME = "openai-realtime"
PLANTED = "sk-planted-0123456789abcdef"
SPEECH = spoken("Twenty-five characters...", rate_hz=HEARING_RATE_HZ)
"""A tone of 1.5 s."""
ASK = ReplyRequest(Cause.TURN, instructions="Be brief.")
HEARING = RecognitionRequest(language="en")
TYPED = (Item("item_1", Role.USER, "Hello there."),)
WEATHER = Tool("get_weather", "Tells the weather.", '{"type": "object", "properties": {}}')


@asynccontextmanager
async def started(
    fake: FakeOpenAI, *, access: OpenAIOptions | None = None, **options: Any
) -> AsyncGenerator[OpenAISpeechToSpeech, None]:
    service = OpenAISpeechToSpeech(OpenAISpeechToSpeechOptions(**options), access or access_of(fake))
    await service.start()
    try:
        yield service
    finally:
        await service.close()


@asynccontextmanager
async def talking(
    scenario: Scenario, request: ReplyRequest = ASK, **options: Any
) -> AsyncGenerator[tuple[FakeOpenAI, Dialogue], None]:
    async with FakeOpenAI(scenario) as fake, started(fake, **options) as service:
        yield fake, service.attend(HEARING, request, lambda error: None)


async def said(
    dialogue: Dialogue, request: ReplyRequest = ASK, history: Sequence[Item] = TYPED, reply_id: str = ""
) -> list[SaidPiece]:
    async with asyncio.timeout(LIMIT):
        return [piece async for piece in dialogue.answer(request, history, reply_id=reply_id)]


def text_of(pieces: Sequence[SaidPiece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def seconds_of(pieces: Sequence[SaidPiece]) -> float:
    return sum(len(piece.samples) for piece in pieces if isinstance(piece, SpeechChunk)) / 24_000


async def until(fake: FakeOpenAI, condition: Any) -> None:
    async with asyncio.timeout(LIMIT):
        await fake.until(condition)


def responses(record: ReceivedSocket) -> list[Mapping[str, Any]]:
    return [event["response"] for event in record.received("response.create")]


# --- hearing --------------------------------------------------------------------------------------


class Ears:
    """The service as a recognizer: what it hears of a call, without an answer."""

    def __init__(self, service: OpenAISpeechToSpeech) -> None:
        self.service = service
        self.name = service.name

    async def start(self) -> None:
        await self.service.start()

    async def close(self) -> None:
        await self.service.close()

    def attend(self, request: RecognitionRequest) -> Recognizer:
        return self.service.attend(request, ASK, lambda error: None)


def transcript(samples: Samples) -> str:
    """What the contract's sounds say: the tone has words, silence has none."""
    return "Hello, two words." if np.abs(samples.astype(int)).max() > 1000 else ""


class TestHearing(SpeechToTextContract):
    entry_point = None
    gives_interims = False  # the transcriber writes once the turn is over
    holds_a_connection = True
    at_once = 4

    @pytest.fixture
    async def recognizer(self) -> AsyncGenerator[SpeechToText, None]:
        async with FakeOpenAI(Scenario(transcripts=transcript)) as fake, started(fake) as service:
            yield Ears(service)

    @pytest.fixture
    async def stalled_recognizer(self) -> AsyncGenerator[SpeechToText, None]:
        scenario = Scenario(api_key=PLANTED, faults={"realtime": repeat(Mute())})
        times = SocketTimes(ready=0.3, send=0.3)
        async with FakeOpenAI(scenario) as fake, started(fake, times=times) as service:
            yield Ears(service)

    @pytest.fixture
    async def broken_recognizer(self) -> AsyncGenerator[SpeechToText, None]:
        realtime = RealtimeScenario(turns=repeat(FailTurn()))
        async with FakeOpenAI(Scenario(api_key=PLANTED, realtime=realtime)) as fake, started(fake) as service:
            yield Ears(service)

    @pytest.fixture
    def speech(self) -> Samples:
        return SPEECH

    @pytest.fixture
    def words(self) -> set[str]:
        return {"hello", "two", "words"}

    @pytest.fixture
    def planted_key(self) -> str:
        return PLANTED

    async def test_interims_come_while_the_user_still_speaks(
        self, recognizer: SpeechToText, speech: Samples, recognition: RecognitionRequest
    ) -> None:
        """They come behind it, before the final."""
        heard: list[HeardPiece] = await hear(recognizer, audio(speech), recognition)
        assert isinstance(heard[-1], Final)


# --- sessions and requests ------------------------------------------------------------------------


async def test_a_session_is_opened_at_once_with_our_own_turn_taking() -> None:
    request = ReplyRequest(Cause.TURN, instructions="Be brief.", tools=(WEATHER,), voice="cedar", speed=1.2)
    async with talking(Scenario(), request) as (fake, _):
        await until(fake, lambda: fake.sockets and "session.updated" in fake.sockets[0].sent_types())
        record = fake.sockets[0]
        assert record.query == {"model": "gpt-realtime-2.1"}
        (update,) = record.received("session.update")
        assert update["session"] == {
            "type": "realtime",
            "output_modalities": ["audio"],
            "truncation": "auto",
            "instructions": "Be brief.",
            "tools": [
                {
                    "type": "function",
                    "name": "get_weather",
                    "description": "Tells the weather.",
                    "parameters": {"type": "object", "properties": {}},
                }
            ],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "reasoning": {"effort": "minimal"},
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "gpt-transcribe", "languages": ["en"]},
                    "noise_reduction": None,
                    "turn_detection": None,
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "cedar", "speed": 1.2},
            },
        }


async def test_a_response_says_only_what_is_otherwise_than_in_the_session() -> None:
    async with talking(Scenario()) as (fake, dialogue):
        await said(dialogue)
        other = ReplyRequest(
            Cause.CLIENT,
            instructions="Sum up.",
            output=Modality.TEXT,
            tools=(WEATHER,),
            tool_choice=ToolChoice("function", "get_weather"),
            max_output_tokens=7,
        )
        await said(dialogue, other)
        first, second = responses(fake.sockets[0])
        assert set(first) == {"output_modalities", "metadata"}
        assert second["instructions"] == "Sum up."
        assert second["output_modalities"] == ["text"]
        assert [tool["name"] for tool in second["tools"]] == ["get_weather"]
        assert second["tool_choice"] == {"type": "function", "name": "get_weather"}
        assert second["max_output_tokens"] == 7
        assert [*fake.sockets[0].errors] == []


async def test_a_voice_changes_until_it_has_spoken() -> None:
    async with talking(Scenario()) as (fake, dialogue):
        await until(fake, lambda: fake.sockets and "session.updated" in fake.sockets[0].sent_types())
        for voice in ("cedar", "ash", "espeak-no-such"):
            await said(dialogue, ReplyRequest(Cause.TURN, instructions="Be brief.", voice=voice))
        first, second, third = responses(fake.sockets[0])
        assert first["audio"]["output"]["voice"] == "cedar"
        assert "audio" not in second
        assert "audio" not in third
        assert [*fake.sockets[0].errors] == []


# --- answers --------------------------------------------------------------------------------------


async def test_an_answer_is_text_and_sound_and_what_it_has_cost() -> None:
    async with talking(Scenario(replies=("Well, it is three.",))) as (_, dialogue):
        pieces = await said(dialogue)
        assert text_of(pieces) == "Well, it is three."
        assert seconds_of(pieces) == pytest.approx(18 * 0.06)
        assert isinstance(pieces[0], str)  # the transcript is ahead
        (usage,) = [piece for piece in pieces if isinstance(piece, Usage)]
        assert usage.provider == NAME
        assert usage.output_audio_tokens == 22  # one for 50 ms
        assert usage.output_tokens >= usage.output_audio_tokens
        assert usage.input_tokens > 0


async def test_sound_that_ends_in_the_middle_of_a_sample_is_taken_as_far_as_it_goes() -> None:
    scenario = Scenario(
        replies=("Well.",), audio_chunk_bytes=1921, realtime=RealtimeScenario(responses=(OddSound(),))
    )
    async with talking(scenario) as (_, dialogue):
        pieces = await said(dialogue)
        assert seconds_of(pieces) == pytest.approx(0.3, abs=0.001)


async def test_what_was_too_long_is_cut_short() -> None:
    async with talking(Scenario(replies=("One two three four five six seven eight.",))) as (_, dialogue):
        pieces = await said(dialogue, ReplyRequest(Cause.TURN, max_output_tokens=12))
        assert CutShort("max_output_tokens") in pieces


async def test_calls_come_behind_what_is_said_whole_and_in_order() -> None:
    calls = (ToolCall("get_weather", '{"city": "Oslo"}'), ToolCall("get_weather", '{"city": "Bergen"}'))
    async with talking(Scenario(replies=(Calls(calls, "Let me look."),))) as (_, dialogue):
        pieces = await said(dialogue, ReplyRequest(Cause.TURN, tools=(WEATHER,)))
        assert [piece for piece in pieces if isinstance(piece, ToolCall)] == list(calls)
        assert text_of(pieces) == "Let me look."


async def test_an_answer_waits_for_all_of_the_turn_and_goes_to_its_socket() -> None:
    async with talking(Scenario(transcripts=("Hello there.",), replies=("Well.",))) as (fake, dialogue):
        turn = Item("item_u", Role.USER, modality=Modality.AUDIO)

        async def listen() -> None:
            request = RecognitionRequest(language="en", item_id="item_u")
            async with aclosing(dialogue.recognize(audio(SPEECH), request)) as pieces:
                async for _ in pieces:
                    pass

        hearing = asyncio.create_task(listen())
        await asyncio.sleep(0)
        pieces = await said(dialogue, history=(turn,))
        await hearing
        assert text_of(pieces) == "Well."
        types = [event["type"] for event in fake.sockets[0].events]
        assert types.index("input_audio_buffer.commit") < types.index("response.create")
        assert len(fake.sockets[0].turns) == 1


async def test_a_turn_that_nobody_heard_is_not_answered() -> None:
    async with talking(Scenario()) as (fake, dialogue):
        unheard = Item("item_u", Role.USER, modality=Modality.AUDIO)
        with pytest.raises(ProviderCrashed):
            await said(dialogue, history=(unheard,))
        answered = Item("item_r", Role.ASSISTANT, "Sorry?", modality=Modality.AUDIO)
        assert text_of(await said(dialogue, history=(unheard, answered, *TYPED)))
        assert [*fake.sockets[0].errors] == []


# --- cancelling -----------------------------------------------------------------------------------


async def test_closing_an_answer_cancels_it_and_the_next_waits_for_its_end() -> None:
    story = "Once upon a time there was a server. " * 4
    scenario = Scenario(
        replies=(story, "All right."), audio_speed=2.0, realtime=RealtimeScenario(late_chunks=3)
    )
    async with talking(scenario) as (fake, dialogue):
        async with asyncio.timeout(LIMIT), aclosing(dialogue.answer(ASK, TYPED)) as answer:
            async for piece in answer:
                if isinstance(piece, SpeechChunk):
                    break
        pieces = await said(dialogue)
        assert text_of(pieces) == "All right."
        record = fake.sockets[0]
        (cancel,) = record.received("response.cancel")
        done = [event["response"] for event in record.sent if event["type"] == "response.done"]
        assert [each["status"] for each in done] == ["cancelled", "completed"]
        assert cancel["response_id"] == done[0]["id"]
        assert [*record.errors] == []
        (usage,) = [piece for piece in pieces if isinstance(piece, Usage)]
        assert usage.output_tokens == sum(each["usage"]["output_tokens"] for each in done)


async def test_an_answer_that_ends_as_it_is_cancelled_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(Scenario(replies=("Well.",))) as (fake, dialogue):
        await said(dialogue)
        ear = cast(SpeechEar, await cast(SpeechDialogue, dialogue)._recognizer.line.ear(HEARING))
        record = fake.sockets[0]
        await ear.socket.send({"type": "response.cancel", "response_id": record.sent[-1]["response"]["id"]})
        await until(fake, lambda: record.errors)
        assert record.errors[0]["code"] == "response_cancel_not_active"
        assert text_of(await said(dialogue)) == "Well."
        assert len(fake.sockets) == 1
        assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]


async def test_an_answer_is_cancelled_that_was_left_before_it_had_a_name() -> None:
    scenario = Scenario(replies=("Once upon a time there was a server.", "Well."), audio_speed=2.0)
    async with talking(scenario) as (fake, dialogue):
        answering = asyncio.create_task(said(dialogue))
        await until(fake, lambda: fake.sockets and fake.sockets[0].received("response.create"))
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        assert text_of(await said(dialogue)) == "Well."
        assert fake.sockets[0].received("response.cancel")
        assert [*fake.sockets[0].errors] == []


async def test_answers_out_of_band_go_beside_one_in_the_conversation() -> None:
    story = "Once upon a time there was a server."
    async with talking(Scenario(replies=(story,), audio_speed=4.0)) as (fake, dialogue):
        aside = ReplyRequest(Cause.CLIENT, output=Modality.TEXT, input=TYPED, is_aside=True)
        spoken_, written = await asyncio.gather(said(dialogue), said(dialogue, aside))
        assert text_of(spoken_) == story
        assert text_of(written) == "Hello there."
        assert seconds_of(written) == 0.0
        assert [*fake.sockets[0].errors] == []


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (FailTurn(), ProviderError),
        (Cut(8), ProviderCrashed),
        (SendFrame(8), ProviderCrashed),
    ],
)
async def test_an_answer_that_fails_is_a_providers_error_and_the_next_one_comes(
    fault: Fault, kind: type[ProviderError]
) -> None:
    scenario = Scenario(replies=("Well.",), realtime=RealtimeScenario(responses=(fault,)))  # type: ignore[arg-type]
    async with talking(scenario) as (_, dialogue):
        with pytest.raises(kind) as caught:
            await said(dialogue)
        assert caught.value.provider == NAME
        assert text_of(await said(dialogue)) == "Well."


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Refuse(401), ProviderUnavailable),
        (Refuse(404, "model_not_found"), ProviderUnavailable),
        (Refuse(429), ProviderBusy),
        (Refuse(500), ProviderError),
        (Cut(0), ProviderError),
        (Mute(), ProviderError),
    ],
)
async def test_whoever_attends_is_told_that_it_cannot_be_reached(
    fault: Fault, kind: type[ProviderError]
) -> None:
    told: list[ProviderError] = []
    scenario = Scenario(api_key=PLANTED, faults={"realtime": repeat(fault)})
    times = SocketTimes(ready=0.3, send=0.3)
    async with FakeOpenAI(scenario) as fake, started(fake, times=times) as service:
        dialogue = service.attend(HEARING, ASK, told.append)
        with pytest.raises(kind) as caught:
            await said(dialogue)
        assert caught.value in told
        assert all(error.provider == NAME for error in told)
        assert PLANTED not in repr([error.message for error in told])


async def test_a_wrong_key_is_told_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    told: list[ProviderError] = []
    async with FakeOpenAI(Scenario()) as fake:
        access = OpenAIOptions(base_url=fake.base_url, api_key=Secret(PLANTED))
        async with started(fake, access=access) as service:
            with pytest.raises(ProviderUnavailable):
                await said(service.attend(HEARING, ASK, told.append))
    assert isinstance(told[0], ProviderUnavailable)
    assert PLANTED not in caplog.text
    assert PLANTED not in repr(told[0].__dict__)


async def test_a_session_refused_for_no_reason_is_tried_without_reasoning_and_so_from_then_on() -> None:
    scenario = Scenario(faults={"realtime": [CloseSocket(after=1, code=4000)]})
    async with FakeOpenAI(scenario) as fake, started(fake) as service:
        for _ in range(2):
            dialogue = service.attend(HEARING, ASK, lambda error: None)
            await said(dialogue)
            await dialogue.close()
        sent = [event["session"] for record in fake.sockets for event in record.received("session.update")]
        assert len(fake.sockets) == 3
    assert ["reasoning" in session for session in sent] == [False, False]  # the first was not even read


async def test_without_a_key_it_does_not_start() -> None:
    service = OpenAISpeechToSpeech(OpenAISpeechToSpeechOptions(), OpenAIOptions())
    with pytest.raises(ProviderUnavailable, match="API key"):
        await service.start()
    await service.close()


async def test_a_socket_that_says_nothing_any_more_is_left_with_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai_speech_dialogue, "_SILENT", 0.1)
    scenario = Scenario(replies=("Well.",), faults={"realtime": (Stall(2),)})
    async with talking(scenario) as (fake, dialogue):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(said(dialogue), 0.4)
        assert text_of(await said(dialogue)) == "Well."
        assert len(fake.sockets) == 2


async def test_an_answer_that_does_not_end_does_not_hold_up_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_speech_ear, "_END", 0.1)
    scenario = Scenario(
        replies=("Once upon a time there was a server.", "Well."),
        realtime=RealtimeScenario(responses=(LeaveOut(("response.done",)),)),
    )
    async with talking(scenario) as (fake, dialogue):
        async with asyncio.timeout(LIMIT), aclosing(dialogue.answer(ASK, TYPED)) as answer:
            await anext(answer)
        assert text_of(await said(dialogue)) == "Well."
        assert len(fake.sockets) == 2


async def test_closing_ends_what_is_being_said_and_leaves_no_task() -> None:
    async with FakeOpenAI(
        Scenario(replies=("Once upon a time there was a server.",), audio_speed=1.0)
    ) as fake:
        async with started(fake) as service:
            dialogue = service.attend(HEARING, ASK, lambda error: None)
            answering = asyncio.create_task(said(dialogue))
            await until(fake, lambda: fake.sockets and "response.created" in fake.sockets[0].sent_types())
            await dialogue.close()
            await dialogue.close()
            with pytest.raises(ProviderError):
                await answering
            with pytest.raises(ProviderError):
                await said(dialogue)
        assert {task for task in asyncio.all_tasks() if NAME in task.get_name()} == set()
