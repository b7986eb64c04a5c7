"""The offline voice: espeak-ng in real workers, and its engine in this process where that shows more."""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib.util
import os
import threading
from collections.abc import AsyncGenerator, Iterator

import numpy as np
import pytest

from voicertc.audio.pcm import PLAYOUT_RATE_HZ
from voicertc.errors import ProviderUnavailable
from voicertc.providers.base import SpeechChunk, TextToSpeech, VoiceRequest, WordMark
from voicertc.providers.espeak import EspeakOptions, EspeakVoice, Voice, choose_voice
from voicertc.providers.espeak_engine import Espeak
from voicertc.providers.worker_engine import Cancelled, EngineUnavailable, Request
from voicertc.providers.worker_main import serve
from voicertc.providers.worker_messages import CANCEL, Message, Pipe, encode
from voicertc.providers.workers import PoolOptions
from voicertc.testing.contracts.rules import LIMIT
from voicertc.testing.contracts.text_to_speech import LONG_TEXT, SENTENCE, TextToSpeechContract, speak, total

pytestmark = pytest.mark.engines

PATIENT = PoolOptions(workers=2, wait=LIMIT, deadline=LIMIT, reset_deadline=LIMIT, first_pause=0.01)
HASTY = PoolOptions(workers=1, deadline=0.1, first_pause=0.01)


class StalledVoice(EspeakVoice):
    engine = f"{__package__}.engines:StalledVoice"


class BrokenVoice(EspeakVoice):
    engine = f"{__package__}.engines:BrokenVoice"


@contextlib.asynccontextmanager
async def started(voice: EspeakVoice) -> AsyncGenerator[EspeakVoice, None]:
    await voice.start()
    try:
        yield voice
    finally:
        await voice.close()


class TestContract(TextToSpeechContract):
    entry_point = "espeak = voicertc.services.makers:_espeak"

    @pytest.fixture
    async def voice(self) -> AsyncGenerator[EspeakVoice, None]:
        async with started(EspeakVoice(EspeakOptions(pool=PATIENT))) as voice:
            yield voice

    @pytest.fixture
    async def stalled_voice(self) -> AsyncGenerator[EspeakVoice, None]:
        async with started(StalledVoice(EspeakOptions(pool=HASTY))) as voice:
            yield voice

    @pytest.fixture
    async def broken_voice(self) -> AsyncGenerator[EspeakVoice, None]:
        async with started(BrokenVoice(EspeakOptions(pool=HASTY))) as voice:
            yield voice

    async def assert_nothing_held(self, voice: TextToSpeech) -> None:
        assert isinstance(voice, EspeakVoice)
        async with contextlib.AsyncExitStack() as leases:
            for _ in range(voice.pool.options.workers):
                await leases.enter_async_context(voice.pool.lease())


@pytest.fixture
async def voice() -> AsyncGenerator[EspeakVoice, None]:
    async with started(EspeakVoice(EspeakOptions(pool=PATIENT))) as voice:
        yield voice


async def test_words_are_marked_where_they_are_heard(voice: EspeakVoice) -> None:
    text = "Wait... (really?) well-known Köln costs 1,234.56 dollars."
    chunks = await speak(voice, text)
    marks = [mark for chunk in chunks for mark in chunk.marks]
    words = [text[mark.text_start :].split()[0] for mark in marks]
    assert words == ["Wait...", "really?)", "well-known", "Köln", "costs", "1,234.56", "dollars."]
    assert marks[0] == WordMark(sample=0, text_start=0)
    sound = joined(chunks)
    # "dollars" begins with a stop: there is a gap in the sound close before it.
    before = sound[marks[-1].sample - PLAYOUT_RATE_HZ // 20 : marks[-1].sample + PLAYOUT_RATE_HZ // 20]
    assert quietest(before, PLAYOUT_RATE_HZ // 100) < quietest(sound[:4800], PLAYOUT_RATE_HZ // 100) + 500


@pytest.mark.parametrize("text", ["Hello.", "... and hello", "aha", "Stop!"])
async def test_no_silence_is_waited_for_before_the_first_sound(voice: EspeakVoice, text: str) -> None:
    sound = joined(await speak(voice, text))
    assert np.flatnonzero(np.abs(sound.astype(int)) > 50)[0] <= PLAYOUT_RATE_HZ // 100


async def test_a_pause_follows_as_the_punctuation_asks(voice: EspeakVoice) -> None:
    pauses = {text: trailing_silence(joined(await speak(voice, text))) for text in ("So.", "So,", "So")}
    assert pauses["So."] > pauses["So,"] > pauses["So"] > 0.02


async def test_silence_is_no_speech(voice: EspeakVoice) -> None:
    assert await speak(voice, "...") == []
    assert await speak(voice, "\0 \n") == []


async def test_the_worker_is_free_before_the_clause_has_been_taken(voice: EspeakVoice) -> None:
    clauses = [voice.synthesize(LONG_TEXT, VoiceRequest()) for _ in range(10)]
    for clause in clauses:
        await anext(clause)
    lengths = [total([chunk async for chunk in clause]) / PLAYOUT_RATE_HZ for clause in clauses]
    assert max(lengths) - min(lengths) < 0.2
    assert min(lengths) > 60


async def test_voices_are_known_after_the_start(voice: EspeakVoice) -> None:
    assert Voice("en-us", "English (America)") in voice.voices
    assert len(voice.voices) > 50
    assert voice.version


async def test_another_voice_speaks_otherwise(voice: EspeakVoice) -> None:
    lengths = [total(await speak(voice, SENTENCE, VoiceRequest(language=each))) for each in ("en", "fr")]
    assert abs(lengths[0] - lengths[1]) > PLAYOUT_RATE_HZ // 10


@pytest.mark.parametrize(
    ("request_", "chosen"),
    [
        (VoiceRequest(), "en-us"),
        (VoiceRequest(voice="en-gb"), "en-gb"),
        (VoiceRequest(voice="EN-GB", language="de"), "en-gb"),
        (VoiceRequest(voice="en-GB+Alex"), "en-gb+Alex"),
        (VoiceRequest(voice="en-gb+../x"), "en-us"),
        (VoiceRequest(voice="alloy"), "en-us"),
        (VoiceRequest(language="en"), "en-us"),
        (VoiceRequest(language="en-us"), "en-us"),
        (VoiceRequest(language="de"), "de"),
        (VoiceRequest(voice="alloy", language="pt"), "pt-br"),
        (VoiceRequest(language="xx"), "en-us"),
    ],
)
def test_the_voice_is_the_wanted_one_or_the_nearest(request_: VoiceRequest, chosen: str) -> None:
    assert choose_voice(request_, {"de", "en-gb", "en-us", "pt-br", "pt-pt"}, "en-us") == chosen


async def test_a_library_that_is_not_there_says_how_to_get_it() -> None:
    voice = EspeakVoice(EspeakOptions(pool=PATIENT, library="/nonexistent/libespeak-ng.so"))
    with pytest.raises(ProviderUnavailable, match="cannot be loaded") as caught:
        await voice.start()
    assert (caught.value.provider, caught.value.fix) == (
        "espeak",
        "pip install 'voicertc[local]', or apt-get install libespeak-ng1",
    )


# The engine in this process


class Wire(Request):
    """A request whose answer is kept, and that can be cancelled after some messages."""

    def __init__(self, text: str, *, cancel_after: int = 1000) -> None:
        super().__init__(
            Message("speak", 1, {"voice": "en-us", "words_per_minute": 170}, text.encode()), None
        )
        self.sent: list[tuple[str, bytes, dict[str, object]]] = []
        self.cancel_after = cancel_after

    @property
    def is_cancelled(self) -> bool:
        return len(self.sent) >= self.cancel_after

    def send(self, kind: str, body: bytes = b"", *, last: bool = False, **fields: object) -> None:
        self.sent.append((kind, body, {**fields, "last": last}))


@pytest.fixture
def engine() -> Espeak:
    return Espeak({})


def test_the_first_chunk_is_short_and_the_others_are_gathered(engine: Espeak) -> None:
    request = Wire(LONG_TEXT)
    engine.serve(request)
    lengths = [len(body) // 2 / 22.05 for _, body, _ in request.sent]
    assert lengths[0] < 70
    assert all(200 <= length < 300 for length in lengths[1:-1])
    assert [kind for kind, _, _ in request.sent] == ["chunk"] * (len(lengths) - 1) + ["done"]
    assert [fields["last"] for _, _, fields in request.sent] == [False] * (len(lengths) - 1) + [True]


def test_a_cancelled_text_is_stopped_in_the_middle(engine: Espeak) -> None:
    whole, part, again = Wire(LONG_TEXT), Wire(LONG_TEXT, cancel_after=3), Wire(LONG_TEXT)
    engine.serve(whole)
    with pytest.raises(Cancelled):
        engine.serve(part)
    engine.serve(again)
    assert len(part.sent) == 3
    assert len(again.sent) == len(whole.sent)


def test_an_error_in_the_callback_is_not_lost_in_c(engine: Espeak) -> None:
    class Broken(Wire):
        def send(self, kind: str, body: bytes = b"", *, last: bool = False, **fields: object) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        engine.serve(Broken("Hello."))


def test_the_systems_library_is_taken_when_there_is_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    if ctypes.util.find_library("espeak-ng") is None:
        pytest.skip("the system has no libespeak-ng: apt-get install libespeak-ng1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    engine = Espeak({})
    request = Wire("Hello.")
    engine.serve(request)
    assert request.sent[-1][0] == "done"


def test_no_library_and_no_data_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        Espeak({"library": "libdoes-not-exist.so"})
    monkeypatch.setattr("voicertc.providers.espeak_engine._open", lambda path: (NoData(), None))
    with pytest.raises(EngineUnavailable, match="no voice data"):
        Espeak({})


class NoData:
    """A library whose data directory is missing."""

    class _Function:
        def __call__(self, *arguments: object) -> int:
            return -1

    espeak_Info = _Function()  # noqa: N815
    espeak_ListVoices = _Function()  # noqa: N815
    espeak_Initialize = _Function()  # noqa: N815


@pytest.fixture
def pipes() -> Iterator[tuple[Pipe, int, int]]:
    """The worker's end, and the server's file descriptors to write and to read."""
    to_worker, from_worker = os.pipe(), os.pipe()
    yield Pipe(to_worker[0], from_worker[1]), to_worker[1], from_worker[0]
    for fd in (to_worker[0], from_worker[0], from_worker[1]):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_the_engine_serves_the_requests_of_a_pipe(engine: Espeak, pipes: tuple[Pipe, int, int]) -> None:
    pipe, write_fd, read_fd = pipes
    fields = {"voice": "en-us", "words_per_minute": 170}
    for message in (
        Message("speak", 1, fields, b"One."),
        Message("speak", 2, fields, b"Two."),
        Message(CANCEL, 2),
        Message("speak", 3, fields, b"..."),
        Message("more", 3),  # belongs to an answered request
    ):
        os.write(write_fd, encode(message))
    answers = Pipe(read_fd, write_fd)
    worker = threading.Thread(target=serve, args=(engine, pipe))
    worker.start()
    heard: list[tuple[str, int]] = []
    while not heard or heard[-1][0] != "done":
        message = answers.receive()
        assert message is not None
        heard.append((message.kind, message.request))
    os.close(write_fd)
    worker.join(LIMIT)
    assert not worker.is_alive()
    # What was in the pipe before the cancellation was not worked on.
    assert sorted(set(heard)) == [("cancelled", 2), ("chunk", 3), ("done", 3)]


def joined(chunks: list[SpeechChunk]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int16), *(chunk.samples for chunk in chunks)])


def quietest(sound: np.ndarray, width: int) -> int:
    blocks = np.abs(sound[: len(sound) // width * width].astype(int)).reshape(-1, width)
    return int(blocks.max(axis=1).min())


def trailing_silence(sound: np.ndarray) -> float:
    last = np.flatnonzero(np.abs(sound.astype(int)) > 50)[-1]
    return (len(sound) - int(last)) / PLAYOUT_RATE_HZ
