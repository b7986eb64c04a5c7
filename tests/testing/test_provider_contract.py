"""The contract of all providers finds fault with what is left, a blocked loop, entry points and rates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from voicertc.audio.pcm import Samples
from voicertc.errors import ProviderError, ProviderUnavailable
from voicertc.providers.base import SpeechChunk, VoiceRequest
from voicertc.services import ProviderContext
from voicertc.settings import Settings
from voicertc.testing.contracts import event_loop
from voicertc.testing.contracts.event_loop import (
    MAX_STALL,
    assert_leaves_no_task,
    assert_never_holds_the_loop_up,
    no_task_left,
)
from voicertc.testing.contracts.provider import KEY
from voicertc.testing.contracts.text_to_speech import PLAIN_TEXT, TextToSpeechContract


class Voice:
    """Speaks the chunks it was given, whatever the text; ``trouble`` is raised when it starts."""

    name = "voice"

    def __init__(self, *chunks: SpeechChunk, trouble: Exception | None = None) -> None:
        self._chunks = chunks
        self._trouble = trouble

    async def start(self) -> None:
        if self._trouble:
            raise self._trouble

    async def close(self) -> None: ...

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        for chunk in self._chunks:
            yield chunk


class Leaking:
    """Work that begins a task each time and forgets it; ``end`` ends them all."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[bool]] = []

    async def __call__(self) -> None:
        self.tasks.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def leaking(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Leaking, None]:
    monkeypatch.setattr(event_loop, "GRACE", 0.1)
    leaking = Leaking()
    yield leaking
    await leaking.end()


async def test_a_task_that_outlives_its_provider(leaking: Leaking) -> None:
    with pytest.raises(AssertionError, match=r"still running after close: forgotten in .*Event\.wait"):
        async with no_task_left():
            await leaking()


async def test_a_task_that_is_closed_with_its_provider_is_no_fault(leaking: Leaking) -> None:
    async with no_task_left():
        await leaking()
        await leaking.end()


async def test_a_task_more_after_each_turn_of_a_provider_that_ends_them_when_it_is_closed(
    leaking: Leaking,
) -> None:
    with pytest.raises(AssertionError, match="more tasks after each: forgotten"):
        await assert_leaves_no_task(leaking)


async def test_a_task_that_is_kept_from_the_first_turn_on_is_no_fault(leaking: Leaking) -> None:
    async def work() -> None:
        if not leaking.tasks:
            await leaking()

    await assert_leaves_no_task(work)


async def test_a_turn_that_blocks_the_event_loop_at_its_end() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        time.sleep(1.2 * MAX_STALL)  # noqa: ASYNC251 (blocking is the fault)

    with pytest.raises(pytest.fail.Exception, match="stood still"):
        await assert_never_holds_the_loop_up(work)


async def test_what_stalls_the_event_loop_once_is_no_fault() -> None:
    stalls = iter([1.2 * MAX_STALL])

    async def work() -> None:
        time.sleep(next(stalls, 0.0))  # noqa: ASYNC251 (blocking is the fault)
        await asyncio.sleep(0)

    await assert_never_holds_the_loop_up(work)


def sound(rate_hz: int) -> Samples:
    """60 ms for each character of ``PLAIN_TEXT`` at ``rate_hz``, between silences of half a second."""
    silence = np.zeros(rate_hz // 2, np.int16)
    return np.concatenate([silence, np.full(int(0.06 * len(PLAIN_TEXT) * rate_hz), 5_000, np.int16), silence])


async def test_a_voice_that_is_not_24_khz() -> None:
    judge = TextToSpeechContract().test_the_pace_of_speech_is_that_of_24_khz
    await judge(Voice(SpeechChunk(sound(24_000))))
    for rate_hz in (8_000, 16_000, 44_100, 48_000):
        with pytest.raises(AssertionError, match="is it 24 kHz"):
            await judge(Voice(SpeechChunk(sound(rate_hz))))


async def test_a_voice_that_goes_on_when_it_is_closed() -> None:
    judge = TextToSpeechContract().test_closing_twice_is_harmless_and_ends_what_is_being_said
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await judge(Voice(*[SpeechChunk(sound(24_000))] * 3))


def whole(context: ProviderContext) -> Voice:
    assert (context.engine, context.api_key and context.api_key.reveal()) == ("voice", KEY)
    return Voice()


def without_its_model(context: ProviderContext) -> Voice:
    trouble = ProviderUnavailable("the model is missing", provider="voice", fix="Download it.")
    return Voice(trouble=trouble)


def breaks_when_made(context: ProviderContext) -> Voice:
    raise RuntimeError("no such file")


def breaks_when_started(context: ProviderContext) -> Voice:
    return Voice(trouble=RuntimeError("no such file"))


def is_no_provider(context: ProviderContext) -> object:
    return type("Other", (), {"name": "voice", "start": None, "close": None})()


def has_another_name(context: ProviderContext) -> Voice:
    voice = Voice()
    voice.name = "loud"
    return voice


def tells_no_fix(context: ProviderContext) -> Voice:
    return Voice(trouble=ProviderUnavailable("the model is missing", provider="voice", fix=""))


def tells_its_key(context: ProviderContext) -> Voice:
    return Voice(trouble=ProviderUnavailable(f"{KEY} is wrong", provider="voice", fix="Set another."))


def is_only_an_error(context: ProviderContext) -> Voice:
    return Voice(trouble=ProviderError("the model is missing", provider="voice"))


async def judge_entry_point(maker: str | None, caplog: pytest.LogCaptureFixture) -> None:
    point = {} if maker is None else {"entry_point": f"voice = {__name__}:{maker}"}
    contract = type("Contract", (TextToSpeechContract,), point)()
    settings = Settings.load(flags={"tts.api_key": KEY}, environ={})
    await contract.test_the_entry_point_makes_a_provider_that_starts_or_says_what_is_missing(
        ProviderContext("tts", "voice", settings), caplog
    )


@pytest.mark.parametrize("maker", ["whole", "without_its_model"])
async def test_an_entry_point_as_it_should_be(maker: str, caplog: pytest.LogCaptureFixture) -> None:
    await judge_entry_point(maker, caplog)


@pytest.mark.parametrize(
    ("maker", "kind"),
    [
        (None, AssertionError),
        ("breaks_when_made", RuntimeError),
        ("breaks_when_started", RuntimeError),
        ("is_no_provider", AssertionError),
        ("has_another_name", AssertionError),
        ("tells_no_fix", AssertionError),
        ("tells_its_key", AssertionError),
        ("is_only_an_error", ProviderError),
        ("is_not_there", AttributeError),
    ],
)
async def test_an_entry_point_or_a_start_that_breaks(
    maker: str | None, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(kind):
        await judge_entry_point(maker, caplog)
