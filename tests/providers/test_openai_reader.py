from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import repeat
from typing import Any

import numpy as np
import pytest

from voicertc.audio.pcm import Samples
from voicertc.core.replies import ToolCall, Usage
from voicertc.errors import (
    ProviderBusy,
    ProviderCrashed,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
)
from voicertc.logs import Spoken
from voicertc.providers.base import SpeechChunk, TextToSpeech, Used, VoiceRequest
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_reader import READER_PROMPT, OpenAIReaderOptions, OpenAIReaderVoice
from voicertc.providers.openai_reader_fidelity import drift, has_left_the_text
from voicertc.providers.openai_socket import SocketTimes
from voicertc.providers.openai_tts import MAX_CHUNK
from voicertc.providers.plan_b.blame import NoCredit
from voicertc.providers.secret import Secret
from voicertc.testing.contracts.rules import assert_tells_no_key
from voicertc.testing.contracts.text_to_speech import LONG_TEXT, TextToSpeechContract, speak
from voicertc.testing.fake_openai import (
    CloseSocket,
    Cut,
    FailInside,
    FailTurn,
    FakeOpenAI,
    Fault,
    LeaveOut,
    Mute,
    OddSound,
    RealtimeScenario,
    Refuse,
    Scenario,
    SendFrame,
    Stall,
    spoken,
)

from .realtime_sockets import LIMIT, access_of

TEXT = "The weather is fine today."
SHORT = SocketTimes(ready=0.3, send=0.3)
PLANTED = "sk-planted-0123456789abcdef"


@asynccontextmanager
async def started(
    fake: FakeOpenAI, *, access: OpenAIOptions | None = None, **options: Any
) -> AsyncGenerator[OpenAIReaderVoice, None]:
    voice = OpenAIReaderVoice(OpenAIReaderOptions(**options), access or access_of(fake))
    await voice.start()
    try:
        yield voice
    finally:
        await voice.close()


def scenario(
    *,
    faults: Iterable[Fault | None] = (),
    audio_chunk_bytes: int = 1920,
    audio_speed: float = 1e9,
    **realtime: Any,
) -> Scenario:
    return Scenario(
        audio_chunk_bytes=audio_chunk_bytes,
        audio_speed=audio_speed,
        realtime=RealtimeScenario(**realtime),
        faults={"realtime": faults},
    )


def joined(chunks: list[SpeechChunk]) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks])


async def drain(clause: AsyncGenerator[SpeechChunk, None], chunks: list[SpeechChunk]) -> None:
    async with asyncio.timeout(LIMIT):
        async for chunk in clause:
            chunks.append(chunk)


async def until(fake: FakeOpenAI, condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        await fake.until(condition)


async def settled(voice: OpenAIReaderVoice) -> None:
    async with asyncio.timeout(LIMIT):
        await voice.pool.settled()


class TestContract(TextToSpeechContract):
    entry_point = "openai-reader = voicertc.services.makers:_openai_reader"
    gives_marks = False
    at_once = 4
    first_chunk_ms = 40

    @pytest.fixture
    async def voice(self) -> AsyncGenerator[TextToSpeech, None]:
        async with FakeOpenAI(scenario(audio_chunk_bytes=4801)) as fake, started(fake) as voice:
            yield voice

    @pytest.fixture
    def planted_key(self) -> str:
        return PLANTED

    @pytest.fixture
    async def stalled_voice(self, planted_key: str) -> AsyncGenerator[TextToSpeech, None]:
        day = Scenario(api_key=planted_key, realtime=RealtimeScenario(responses=repeat(Stall())))
        async with (
            FakeOpenAI(day) as fake,
            started(fake, first_audio_timeout=0.3, idle_timeout=0.3) as voice,
        ):
            yield voice

    @pytest.fixture
    async def broken_voice(self, planted_key: str) -> AsyncGenerator[TextToSpeech, None]:
        day = Scenario(api_key=planted_key, realtime=RealtimeScenario(responses=repeat(Cut(after=8))))
        async with FakeOpenAI(day) as fake, started(fake) as voice:
            yield voice

    async def assert_nothing_held(self, voice: TextToSpeech) -> None:
        assert isinstance(voice, OpenAIReaderVoice)
        await settled(voice)
        assert voice.pool.n_open == voice.pool.n_idle


@pytest.mark.parametrize("chunk_bytes", [1, 481, 1920, 1921, 1_000_000])
async def test_the_sound_is_complete_however_it_is_cut(chunk_bytes: int) -> None:
    text = TEXT if chunk_bytes > 100 else "Hi."
    async with FakeOpenAI(scenario(audio_chunk_bytes=chunk_bytes)) as fake, started(fake) as voice:
        chunks = await speak(voice, text)
        np.testing.assert_array_equal(joined(chunks), spoken(text))
        assert max(len(chunk.samples) for chunk in chunks) <= MAX_CHUNK


async def test_a_clause_is_asked_for_as_the_service_wants_it() -> None:
    text = 'Say "no", he said.'
    async with FakeOpenAI(scenario()) as fake, started(fake, instructions="Be calm.") as voice:
        chunks = await speak(voice, text, VoiceRequest(voice="cedar", speed=1.25))
        record = fake.sockets[0]
    assert record.query == {"model": "gpt-realtime-2.1-mini"}
    update, create = record.events
    assert update["session"] == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": f"{READER_PROMPT}\n\nBe calm.",
        "tools": [],
        "tool_choice": "none",
        "reasoning": {"effort": "minimal"},
        "audio": {
            "input": {"turn_detection": None, "transcription": None},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "cedar", "speed": 1.25},
        },
    }
    response = create["response"]
    assert json.loads(response.pop("input")[0]["content"][0]["text"]) == text
    assert 200 < response.pop("max_output_tokens") < 300
    assert response == {
        "conversation": "none",
        "metadata": {"utt": "u1"},
        "output_modalities": ["audio"],
        "tool_choice": "none",
    }
    assert list(record.errors) == []
    used = chunks[-1].used
    assert used is not None
    assert used.tokens is not None
    assert (used.provider, used.model, used.characters) == ("openai-reader", voice.model, len(text))
    assert used.seconds == len(joined(chunks)) / 24_000
    assert used.tokens.output_audio_tokens > 0
    assert used.tokens.provider == "openai-reader"


async def test_what_the_parts_of_a_long_text_cost_is_added_up() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as voice:
        chunks = await speak(voice, LONG_TEXT)
        done = [
            event["response"]["usage"] for event in fake.sockets[0].sent if event["type"] == "response.done"
        ]
    assert len(done) > 1
    assert len(joined(chunks)) > 0
    used = chunks[-1].used
    assert used == Used(
        "openai-reader",
        "gpt-realtime-2.1-mini",
        seconds=len(joined(chunks)) / 24_000,
        characters=len(LONG_TEXT),
        tokens=Usage(
            sum(usage["input_tokens"] for usage in done),
            sum(usage["output_tokens"] for usage in done),
            cached_tokens=sum(usage["input_token_details"]["cached_tokens"] for usage in done),
            output_audio_tokens=sum(usage["output_token_details"]["audio_tokens"] for usage in done),
            provider="openai-reader",
        ),
    )


async def test_clauses_share_a_socket_one_after_the_other() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as voice:
        for _ in range(3):
            await speak(voice, TEXT)
        assert len(fake.sockets) == 1
        assert (voice.n_read, voice.n_reworded) == (3, 0)


async def test_a_warm_socket_is_the_first_clauses() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as voice:
        voice.warm()
        voice.warm()
        await until(fake, lambda: fake.sockets and "session.updated" in fake.sockets[0].sent_types())
        await settled(voice)
        voice.warm()
        await speak(voice, TEXT)
        assert len(fake.sockets) == 1


async def test_each_voice_and_speed_has_its_own_sockets_and_there_are_not_too_many() -> None:
    async with FakeOpenAI(scenario(audio_speed=1.0)) as fake, started(fake, max_sockets=2) as voice:
        first, second = (voice.synthesize(TEXT, VoiceRequest(voice=name)) for name in ("marin", "cedar"))
        await anext(first)
        await anext(second)
        with pytest.raises(ProviderBusy, match="2 clauses"):
            await speak(voice, TEXT)
        await first.aclose()
        await settled(voice)
        # The idle one has another speed, and makes room.
        third = voice.synthesize(TEXT, VoiceRequest(speed=1.5))
        await anext(third)
        await until(fake, lambda: not fake.sockets[0].is_open)
        assert len(fake.sockets) == 3
        assert voice.pool.n_open == 2
        await second.aclose()
        await third.aclose()


async def test_a_socket_that_nobody_needs_is_closed() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake, keep_idle=0.05) as voice:
        await speak(voice, TEXT)
        await until(fake, lambda: not fake.sockets[0].is_open)
        assert voice.pool.n_open == 0


async def test_an_old_socket_is_not_used_again() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake, max_age=3000.0) as voice:
        await speak(voice, TEXT)
        for reader in voice.pool._idle:
            reader.socket.opened_at -= 3000.0
        await speak(voice, TEXT)
        assert len(fake.sockets) == 2
        await until(fake, lambda: not fake.sockets[0].is_open)


async def test_stopping_cancels_the_response_and_its_late_sound_is_nobodys() -> None:
    async with FakeOpenAI(scenario(audio_speed=4.0, late_chunks=3)) as fake, started(fake) as voice:
        clause = voice.synthesize(LONG_TEXT, VoiceRequest())
        await anext(clause)
        await clause.aclose()
        chunks = await speak(voice, "Two.")
        np.testing.assert_array_equal(joined(chunks), spoken("Two."))
        await settled(voice)
        record = next(each for each in fake.sockets if each.received("response.cancel"))
        done = next(event["response"] for event in record.sent if event["type"] == "response.done")
        assert record.received("response.cancel")[0]["response_id"] == done["id"]
        assert done["status"] == "cancelled"
        assert voice.pool.n_idle == voice.pool.n_open
        np.testing.assert_array_equal(joined(await speak(voice, "Two.")), spoken("Two."))


async def test_a_cancel_that_comes_too_late_harms_nothing() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake) as voice:
        clause = voice.synthesize("One.", VoiceRequest())
        await anext(clause)
        await until(fake, lambda: fake.sockets[0].sent_types()[-1:] == ["response.done"])
        await clause.aclose()
        await settled(voice)
        np.testing.assert_array_equal(joined(await speak(voice, "Two.")), spoken("Two."))
        assert len(fake.sockets) == 1


async def test_a_socket_whose_cancel_is_not_answered_is_closed() -> None:
    day = scenario(audio_speed=1.0, responses=[LeaveOut(("response.done",))])
    async with FakeOpenAI(day) as fake, started(fake) as voice:
        clause = voice.synthesize(TEXT, VoiceRequest())
        await anext(clause)
        await clause.aclose()
        await until(fake, lambda: not fake.sockets[0].is_open)
        assert len(joined(await speak(voice, "Two."))) == len(spoken("Two."))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("The weather's fine, today!", "reworded"),
        ("The weather is fine today. Anything else?", "reworded"),
        ("the weather is fine TODAY", "same"),
    ],
)
async def test_what_was_reworded_is_counted_and_spoken_all_the_same(
    said: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeOpenAI(scenario(reader=lambda _: said)) as fake, started(fake) as voice:
        with caplog.at_level(logging.INFO, "voicertc"):
            chunks = await speak(voice, TEXT)
        np.testing.assert_array_equal(joined(chunks), spoken(said))
        assert (voice.n_read, voice.n_reworded) == (1, int(kind == "reworded"))
    records = [record for record in caplog.records if record.message == "reader_reworded"]
    assert len(records) == int(kind == "reworded")
    for record in records:
        fields = record.__dict__["voicertc_fields"]
        assert (fields["said"], fields["text"]) == (Spoken(said), Spoken(TEXT))
        words = [value for value in fields.values() if not isinstance(value, Spoken)]
        assert "weather" not in str(words)


@pytest.mark.parametrize(
    "said",
    ["I'm sorry, but I can't help with that.", "Hello! What can I do for you today?"],
)
async def test_who_says_something_else_is_stopped_before_the_first_sound(
    said: str, caplog: pytest.LogCaptureFixture
) -> None:
    day = scenario(reader=lambda _: said, transcript_lead=1.0)
    async with FakeOpenAI(day) as fake, started(fake) as voice:
        clause = voice.synthesize(TEXT, VoiceRequest())
        with pytest.raises(ProviderCrashed, match="something else") as caught:
            await anext(clause)
        assert said not in caught.value.message
        assert voice.n_reworded == 1
        await settled(voice)
        assert voice.pool.n_open == voice.pool.n_idle == 1


async def test_who_says_something_else_later_is_only_noted() -> None:
    day = scenario(reader=lambda _: "The weather, my friend, is bad. Or so they say.", transcript_lead=0.0)
    async with FakeOpenAI(day) as fake, started(fake) as voice:
        assert len(joined(await speak(voice, TEXT))) > 0
        assert voice.n_reworded == 1


async def test_a_function_call_is_no_reading() -> None:
    async with (
        FakeOpenAI(scenario(reader=lambda _: (ToolCall("look_up", '{"a": 1}'),))) as fake,
        started(fake) as voice,
    ):
        with pytest.raises(ProviderCrashed, match="function"):
            await speak(voice, TEXT)


async def test_an_empty_answer_is_no_reading() -> None:
    async with FakeOpenAI(scenario(reader=lambda _: "")) as fake, started(fake) as voice:
        with pytest.raises(ProviderCrashed, match="no sound"):
            await speak(voice, TEXT)
        await settled(voice)
        assert voice.pool.n_idle == 1


async def test_a_reader_that_rambles_is_cut_short() -> None:
    async with (
        FakeOpenAI(scenario(reader=lambda text: text + " And so on." * 300)) as fake,
        started(fake) as voice,
    ):
        with pytest.raises(ProviderCrashed, match="max_output_tokens"):
            await speak(voice, TEXT)


@pytest.mark.parametrize("speed", [0.25, 1.0, 1.5])
async def test_a_long_text_is_read_to_its_end_at_any_speed(speed: float) -> None:
    text = " ".join(f"word{n}" for n in range(200))
    async with FakeOpenAI(scenario()) as fake, started(fake) as voice:
        chunks = await speak(voice, text, VoiceRequest(speed=speed))
        texts = [
            json.loads(event["response"]["input"][0]["content"][0]["text"])
            for event in fake.sockets[0].received("response.create")
        ]
    assert " ".join(texts) == text
    assert sum(len(spoken(part, speed=speed)) for part in texts) == len(joined(chunks))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (FailTurn(), ProviderCrashed),
        (FailTurn(code="insufficient_quota"), NoCredit),
        (FailTurn(code="rate_limit_exceeded"), ProviderBusy),
        (FailInside(after=1, code="insufficient_quota"), NoCredit),
        (Stall(), ProviderTimeout),
        (Stall(after=1), ProviderTimeout),
        (Stall(after=8), ProviderTimeout),
        (LeaveOut(("response.output_audio.delta",)), ProviderCrashed),
        (LeaveOut(("response.created",)), ProviderTimeout),
        (SendFrame(after=8), ProviderCrashed),
        (SendFrame(after=8, frame=b"\0\0"), ProviderCrashed),
        (CloseSocket(after=8), ProviderCrashed),
        (Cut(after=8), ProviderCrashed),
    ],
)
async def test_a_response_that_goes_wrong(
    fault: Fault, kind: type[ProviderError], caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        FakeOpenAI(scenario(responses=[fault])) as fake,
        started(fake, first_audio_timeout=0.7, idle_timeout=0.7) as voice,
    ):
        with pytest.raises(kind) as caught:
            await speak(voice, TEXT)
        assert type(caught.value) is kind
        assert caught.value.provider == "openai-reader"
        assert_tells_no_key(caught.value, caplog.text, fake.api_key)
        np.testing.assert_array_equal(joined(await speak(voice, TEXT)), spoken(TEXT))


async def test_an_error_about_nothing_changes_nothing_and_shows_no_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    day = Scenario(
        api_key=PLANTED,
        realtime=RealtimeScenario(responses=[FailInside(after=3, message=f"It failed for {PLANTED}.")]),
    )
    async with FakeOpenAI(day) as fake, started(fake) as voice:
        with caplog.at_level(logging.DEBUG, "voicertc"):
            np.testing.assert_array_equal(joined(await speak(voice, TEXT)), spoken(TEXT))
    records = [record for record in caplog.records if record.name.startswith("voicertc")]
    assert [record.message for record in records] == ["openai_reader_error"]
    assert PLANTED not in str(records[0].__dict__)


async def test_what_came_before_the_end_is_passed_on() -> None:
    async with FakeOpenAI(scenario(responses=[Cut(after=12)])) as fake, started(fake) as voice:
        chunks: list[SpeechChunk] = []
        with pytest.raises(ProviderCrashed):
            await drain(voice.synthesize(LONG_TEXT, VoiceRequest()), chunks)
        assert len(joined(chunks)) > 0


async def test_a_lost_socket_costs_nothing_before_the_first_sound() -> None:
    async with FakeOpenAI(scenario(responses=[Cut(after=1)])) as fake, started(fake) as voice:
        np.testing.assert_array_equal(joined(await speak(voice, TEXT)), spoken(TEXT))
        assert len(fake.sockets) == 2


async def test_an_idle_socket_that_is_lost_is_not_lent() -> None:
    day = scenario(faults=[CloseSocket(after=2)])
    async with FakeOpenAI(day) as fake, started(fake) as voice:
        voice.warm()
        await until(fake, lambda: fake.sockets and fake.sockets[0].ended_at is not None)
        np.testing.assert_array_equal(joined(await speak(voice, TEXT)), spoken(TEXT))
        assert len(fake.sockets) == 2


async def test_half_a_sample_at_the_end_is_dropped() -> None:
    async with FakeOpenAI(scenario(responses=[OddSound()])) as fake, started(fake) as voice:
        np.testing.assert_array_equal(joined(await speak(voice, TEXT)), spoken(TEXT)[:-1])


async def test_a_trickle_that_says_nothing_buys_no_time() -> None:
    # One piece of 40 ms each 80 ms is heard to its end: a piece that is late ends the clause only if it is
    # later than anybody would wait.
    async with (
        FakeOpenAI(scenario(audio_speed=0.5)) as fake,
        started(fake, first_audio_timeout=0.5, idle_timeout=0.5) as voice,
    ):
        np.testing.assert_array_equal(joined(await speak(voice, "Hi.")), spoken("Hi."))
    day = Scenario(first_audio_delay=5.0, realtime=RealtimeScenario(adds_unknown=True))
    async with FakeOpenAI(day) as fake, started(fake, first_audio_timeout=0.3) as voice:
        with pytest.raises(ProviderTimeout, match=r"0\.3 s"):
            await speak(voice, TEXT)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Refuse(401), ProviderUnavailable),
        (Refuse(403), ProviderUnavailable),
        (Refuse(404), ProviderUnavailable),
        (Refuse(429), ProviderBusy),
        (Refuse(500), ProviderCrashed),
        (Stall(), ProviderTimeout),
        (Mute(), ProviderTimeout),
        (LeaveOut(("session.updated",)), ProviderTimeout),
        (CloseSocket(after=1, code=4000), ProviderUnavailable),
    ],
)
async def test_a_service_that_is_not_to_be_had(
    fault: Fault, kind: type[ProviderError], caplog: pytest.LogCaptureFixture
) -> None:
    day = Scenario(api_key=PLANTED, faults={"realtime": repeat(fault)})
    async with FakeOpenAI(day) as fake:
        access = access_of(fake, connect_timeout=0.3)
        async with started(fake, access=access, times=SHORT) as voice:
            with pytest.raises(kind) as caught:
                await speak(voice, TEXT)
            assert_tells_no_key(caught.value, caplog.text, PLANTED)
            assert voice.pool.n_open == 0


async def test_a_wrong_key_is_told_and_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        FakeOpenAI() as fake,
        started(fake, access=access_of(fake, api_key=Secret(PLANTED))) as voice,
    ):
        voice.warm()
        with pytest.raises(ProviderUnavailable, match="key") as caught:
            await speak(voice, TEXT)
        assert_tells_no_key(caught.value, caplog.text, PLANTED)


async def test_a_voice_that_does_not_exist_is_asked_for_once() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake, voice="cedar") as voice:
        for _ in range(2):
            assert len(joined(await speak(voice, TEXT, VoiceRequest(voice="af_heart")))) > 0
        asked = [
            event["session"]["audio"]["output"]["voice"]
            for record in fake.sockets
            for event in record.received("session.update")
        ]
    assert asked[:2] == ["af_heart", "cedar"]
    assert "af_heart" not in asked[2:]


async def test_a_session_refused_for_no_reason_is_tried_without_what_can_be_done_without() -> None:
    day = scenario(faults=[CloseSocket(after=1, code=4000)])
    async with FakeOpenAI(day) as fake, started(fake) as voice:
        for _ in range(2):
            await speak(voice, TEXT)
        sent = [event["session"] for record in fake.sockets for event in record.received("session.update")]
        assert "reasoning" not in sent[-1]
        assert len(fake.sockets) == 2


async def test_a_model_that_does_not_exist_is_told() -> None:
    async with FakeOpenAI(scenario()) as fake, started(fake, model="gpt-nothing") as voice:
        with pytest.raises(ProviderUnavailable, match="model"):
            await speak(voice, TEXT)


async def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(ProviderUnavailable, match="needs an API key"):
        await OpenAIReaderVoice(OpenAIReaderOptions(), OpenAIOptions()).start()


async def test_a_probe_opens_a_socket_and_hangs_up() -> None:
    async with FakeOpenAI(scenario(faults=[None, Refuse(500)])) as fake, started(fake) as voice:
        await voice.probe()
        await until(fake, lambda: not fake.sockets[0].is_open)
        assert fake.sockets[0].sent_types() == ["session.created", "session.updated"]
        with pytest.raises(ProviderCrashed):
            await voice.probe()


async def test_unknown_events_and_fields_harm_nobody() -> None:
    async with FakeOpenAI(scenario(adds_unknown=True)) as fake, started(fake) as voice:
        np.testing.assert_array_equal(joined(await speak(voice, TEXT)), spoken(TEXT))


async def test_closing_ends_a_clause_that_is_being_read() -> None:
    async with FakeOpenAI(scenario(audio_speed=1.0)) as fake, started(fake) as voice:
        clause = voice.synthesize(TEXT, VoiceRequest())
        await anext(clause)
        await voice.close()
        with pytest.raises(ProviderError, match="closed"):
            await drain(clause, [])
        with pytest.raises(ProviderError, match="closed"):
            await speak(voice, TEXT)
        await until(fake, lambda: not fake.sockets[0].is_open)


@pytest.mark.parametrize(
    ("said", "text", "is_same"),
    [
        ("I am here.", "I'm here", True),
        ("I'm here", "I am here.", True),
        ("It is what it's", "It's what it is.", True),
        ("you cannot go", "You can't go!", True),
        ("we won’t", "We will not.", True),
        ("1,234.56 euros", "1234.56 Euros", True),
        ("At 9:15", "At 9.15", True),
        ("straight forward", "straightforward", True),
        ("Grüße aus KÖLN", "grüße, aus Köln.", True),
        ("你好世界", "你好，世界。", True),
        ("John's car", "John is car", False),
        ("The weather is bad", "The weather is fine", False),
        ("", "Hello", False),
    ],
)
def test_what_counts_as_the_same_words(said: str, text: str, is_same: bool) -> None:
    assert (drift(said, text) == 0.0) is is_same


@pytest.mark.parametrize(
    ("said", "text", "has_left"),
    [
        ("", TEXT, False),
        ("The", TEXT, False),
        ("Sorr", TEXT, False),
        ("Sorry, I", TEXT, False),
        ("Sorry, I can", TEXT, True),
        ("I'm sorry,", TEXT, True),
        ("The weather is", TEXT, False),
        ("Well, the weather is ", TEXT, False),
        ("Today I ", TEXT, True),
        ("Three fifteen is fine", "3:15 is fine", False),
    ],
)
def test_when_a_reader_has_left_the_text(said: str, text: str, has_left: bool) -> None:
    assert has_left_the_text(said, text) is has_left


def test_how_far_is_a_share_of_the_words() -> None:
    assert drift("one two three four", "one two three five") == 0.25
    assert drift("all else", "one two") == 1.0
