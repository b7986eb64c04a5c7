from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest

from voicertc.audio.pcm import HEARING_RATE_HZ, PcmFrame, Samples
from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError
from voicertc.providers.base import Final, HeardPiece, RecognitionRequest, SpeechToText, Used
from voicertc.providers.openai_stt import OpenAISpeechToText, OpenAISpeechToTextOptions
from voicertc.providers.plan_b.blame import Refused
from voicertc.testing.contracts.sounds import audio, endless_audio, hear
from voicertc.testing.contracts.speech_to_text import SpeechToTextContract
from voicertc.testing.fake_openai import Cut, FakeOpenAI, Fault, Refuse, Scenario, Send, Stall, spoken
from voicertc.testing.openai_scenario import API_KEY

from .openai_stages import LIMIT, all_left, started

SPEECH = spoken("Twenty-five characters.", rate_hz=HEARING_RATE_HZ)
REQUEST = RecognitionRequest()


def transcript(samples: Samples) -> str:
    """What the contract's sounds say: the tone has words, silence has none."""
    return "Hello, two words." if np.abs(samples.astype(int)).max() > 1000 else ""


async def said(
    recognizer: SpeechToText, source: AsyncIterator[PcmFrame], request: RecognitionRequest
) -> list[HeardPiece]:
    """What was heard, without what it has cost."""
    pieces = await hear(recognizer, source, request)
    return [replace(piece, used=None) if isinstance(piece, Final) else piece for piece in pieces]


class TestContract(SpeechToTextContract):
    entry_point = "openai-file = voicertc.services.makers:_openai_file"
    gives_interims = False
    at_once = 4

    @pytest.fixture
    async def fake(self) -> AsyncGenerator[FakeOpenAI, None]:
        async with FakeOpenAI(Scenario(transcripts=transcript)) as fake:
            yield fake

    @pytest.fixture
    async def recognizer(self, fake: FakeOpenAI) -> AsyncGenerator[SpeechToText, None]:
        async with started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer:
            yield recognizer

    @pytest.fixture
    async def stalled_recognizer(self) -> AsyncGenerator[SpeechToText, None]:
        options = OpenAISpeechToTextOptions(timeout=0.2)
        async with (
            FakeOpenAI(Scenario(faults={"transcriptions": repeat(Stall())})) as fake,
            started(OpenAISpeechToText, options, fake) as recognizer,
        ):
            yield recognizer

    @pytest.fixture
    async def broken_recognizer(self) -> AsyncGenerator[SpeechToText, None]:
        async with (
            FakeOpenAI(Scenario(faults={"transcriptions": repeat(Cut())})) as fake,
            started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
        ):
            yield recognizer

    @pytest.fixture
    def planted_key(self) -> str:
        return API_KEY

    @pytest.fixture
    def speech(self) -> Samples:
        return SPEECH

    @pytest.fixture
    def words(self) -> set[str]:
        return {"hello", "two", "words"}

    async def assert_nothing_held(self, recognizer: SpeechToText) -> None:
        assert isinstance(recognizer, OpenAISpeechToText)
        assert not recognizer._turns


async def test_a_turn_is_one_request_with_just_what_was_said() -> None:
    async with FakeOpenAI(Scenario(transcripts=[" Hello there. "], languages=("de",))) as fake:
        async with started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer:
            assert await said(recognizer, audio(SPEECH), REQUEST) == [Final("Hello there.", language="de")]
        (request,) = fake.requests_to("transcriptions")
        assert request.fields == {"model": "gpt-transcribe", "response_format": "json"}
        assert request.rate_hz == HEARING_RATE_HZ
        assert request.audio is not None
        np.testing.assert_array_equal(request.audio, SPEECH)


async def test_what_is_known_beforehand_is_sent() -> None:
    options = OpenAISpeechToTextOptions(model="whisper-1", language="fr", prompt="Oslo")
    async with (
        FakeOpenAI() as fake,
        started(OpenAISpeechToText, options, fake) as recognizer,
    ):
        await hear(recognizer, audio(SPEECH), REQUEST)
        await hear(recognizer, audio(SPEECH), RecognitionRequest(language="en", prompt="Bergen \ud800"))
        common = {"model": "whisper-1", "response_format": "json"}
        assert [request.fields for request in fake.requests_to("transcriptions")] == [
            common | {"language": "fr", "prompt": "Oslo"},
            common | {"language": "en", "prompt": "Bergen \ufffd"},
        ]


async def test_nothing_is_sent_for_what_is_too_short_to_be_a_word() -> None:
    async with (
        FakeOpenAI() as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
    ):
        for n in (0, 1, 1599):
            assert await said(recognizer, audio(SPEECH[:n]), REQUEST) == [Final("")]
        assert fake.requests_to("transcriptions") == ()
        assert await said(recognizer, audio(SPEECH[:1600]), REQUEST) == [Final("Hello there.", language="en")]


async def test_a_turn_without_end_is_heard_out_and_sent_in_part() -> None:
    options = OpenAISpeechToTextOptions(max_turn=0.5)
    async with (
        FakeOpenAI() as fake,
        started(OpenAISpeechToText, options, fake) as recognizer,
    ):
        await hear(recognizer, audio(SPEECH), REQUEST)
        sent = fake.requests_to("transcriptions")[0].audio
        assert sent is not None
        np.testing.assert_array_equal(sent, SPEECH[: HEARING_RATE_HZ // 2])


@pytest.mark.parametrize("text", ["", " \n", "[BLANK_AUDIO]", "(wind blowing)", " [Music] (laughs) .", "."])
async def test_a_description_of_silence_is_no_words(text: str) -> None:
    async with (
        FakeOpenAI(Scenario(transcripts=[text], languages=())) as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
    ):
        assert await said(recognizer, audio(SPEECH), REQUEST) == [Final("")]


async def test_a_server_that_does_not_know_a_field_is_asked_without_it() -> None:
    options = OpenAISpeechToTextOptions(prompt="Oslo", language="en")
    async with (
        FakeOpenAI(Scenario(api_key=None, is_strict=False, refused_fields=("prompt",))) as fake,
        started(OpenAISpeechToText, options, fake) as recognizer,
    ):
        for _ in range(2):
            assert await said(recognizer, audio(SPEECH), REQUEST) == [Final("Hello there.", language="en")]
        requests = fake.requests_to("transcriptions")
        assert [("prompt" in request.fields, request.status) for request in requests] == [
            (True, 400),
            (False, 200),
            (False, 200),
        ]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Send(b'{"text": 5}', "application/json"), ProviderCrashed),
        (Send(b"{}", "application/json"), ProviderCrashed),
        (Send(b"[1]", "application/json"), ProviderCrashed),
        (Send(b"not json", "application/json"), ProviderCrashed),
        (Send(b"<html>hello</html>", "text/html"), ProviderCrashed),
        (Send(b"", "application/json"), ProviderCrashed),
        (Refuse(401, "invalid_api_key"), Refused),
        (Refuse(404, "model_not_found"), Refused),
        (Refuse(400, "audio_too_short"), ProviderError),
    ],
    ids=str,
)
async def test_what_is_no_transcript_is_an_error(fault: Fault, expected: type[ProviderError]) -> None:
    async with (
        FakeOpenAI(Scenario(faults={"transcriptions": repeat(fault)})) as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
    ):
        with pytest.raises(ProviderError) as caught:
            await hear(recognizer, audio(SPEECH), REQUEST)
        assert type(caught.value) is expected


@pytest.mark.parametrize("languages", [None, [], {}, {"0": 1}, ["en"], [{"name": "English"}], [{"code": 5}]])
async def test_a_language_in_another_form_is_passed_over(languages: object) -> None:
    body = json.dumps({"text": "Hi.", "languages": languages}).encode()
    async with (
        FakeOpenAI(Scenario(faults={"transcriptions": [Send(body, "application/json")]})) as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
    ):
        assert await said(recognizer, audio(SPEECH), REQUEST) == [Final("Hi.")]


async def test_one_failure_is_not_noticed() -> None:
    async with (
        FakeOpenAI(Scenario(faults={"transcriptions": [Refuse(503)]})) as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
    ):
        assert await said(recognizer, audio(SPEECH), REQUEST) == [Final("Hello there.", language="en")]
        assert [request.outcome for request in fake.requests_to("transcriptions")] == ["failed", "answered"]


async def test_a_second_failure_is_an_error() -> None:
    async with (
        FakeOpenAI(Scenario(faults={"transcriptions": repeat(Refuse(503))})) as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
    ):
        with pytest.raises(ProviderBusy):
            await hear(recognizer, audio(SPEECH), REQUEST)
        assert len(fake.requests_to("transcriptions")) == 2


async def test_who_stops_listening_for_the_transcript_closes_the_connection() -> None:
    async with (
        FakeOpenAI(Scenario(transcription_delay=LIMIT)) as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(timeout=LIMIT), fake) as recognizer,
    ):
        turn = asyncio.create_task(hear(recognizer, audio(SPEECH), REQUEST))
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: any(each.fields for each in fake.requests_to("transcriptions")))
            turn.cancel()
            await asyncio.gather(turn, return_exceptions=True)
        await all_left(fake)
        assert fake.requests_to("transcriptions")[0].outcome == "left"


async def test_the_connection_is_opened_while_the_user_speaks() -> None:
    async with (
        FakeOpenAI() as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
    ):
        turn = asyncio.create_task(hear(recognizer, endless_audio(SPEECH), REQUEST))
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: fake.requests_to("models"))
        assert fake.requests_to("transcriptions") == ()
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)


async def test_what_the_service_counts_is_told() -> None:
    async with (
        FakeOpenAI() as fake,
        started(OpenAISpeechToText, OpenAISpeechToTextOptions(), fake) as recognizer,
    ):
        (final,) = await hear(recognizer, audio(SPEECH), REQUEST)
        assert isinstance(final, Final)
        assert final.used == Used("openai-file", "gpt-transcribe", seconds=len(SPEECH) / HEARING_RATE_HZ)
