"""The offline ears: pocketsphinx in real workers, and its engine in this process where that shows more."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import wave
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voicertc.audio.pcm import HEARING_RATE_HZ, Samples
from voicertc.errors import ProviderError, ProviderUnavailable
from voicertc.providers.base import Final, RecognitionRequest, SpeechToText
from voicertc.providers.command_evidence import Evidence, Segment
from voicertc.providers.pocketsphinx import PocketsphinxOptions, PocketsphinxRecognizer, default_pool
from voicertc.providers.pocketsphinx_decoders import words_of
from voicertc.providers.pocketsphinx_engine import Pocketsphinx, confidence
from voicertc.providers.worker_engine import Cancelled, EngineUnavailable, Request, RequestRefused
from voicertc.providers.worker_messages import Message
from voicertc.providers.workers import PoolOptions
from voicertc.testing.contracts.rules import LIMIT
from voicertc.testing.contracts.sounds import audio, hear
from voicertc.testing.contracts.speech_to_text import SpeechToTextContract

pytestmark = pytest.mark.engines

PATIENT = PoolOptions(workers=2, wait=LIMIT, deadline=LIMIT, reset_deadline=LIMIT, first_pause=0.01)
HASTY = PoolOptions(workers=1, deadline=0.1, first_pause=0.01)

COMMANDS = """#JSGF V1.0;
grammar test;
<number> = one | two | three | five | ten | thirty;
<time> = half an hour | <number> (seconds | minutes | hours);
<order> = [please] set a timer for <time>;
public <command> = stop | help | yes | no | what time is it | <order> | <time> | goodbye;
"""


class StalledRecognizer(PocketsphinxRecognizer):
    engine = f"{__package__}.engines:StalledRecognizer"


class BrokenRecognizer(PocketsphinxRecognizer):
    engine = f"{__package__}.engines:BrokenRecognizer"


@contextlib.asynccontextmanager
async def started(recognizer: PocketsphinxRecognizer) -> AsyncGenerator[PocketsphinxRecognizer, None]:
    await recognizer.start()
    try:
        yield recognizer
    finally:
        await recognizer.close()


def clip(speech_dir: Path, name: str) -> Samples:
    """A clip as a session sends it: with what was heard before and a short pause behind it."""
    with wave.open(str(speech_dir / name)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    room = np.random.default_rng(1).normal(0, 4, 8000).astype(np.int16)
    return np.concatenate([room[:4800], samples, room[4800:]])


class TestContract(SpeechToTextContract):
    entry_point = "pocketsphinx = voicertc.services.makers:_pocketsphinx"

    @pytest.fixture
    async def recognizer(self) -> AsyncGenerator[PocketsphinxRecognizer, None]:
        async with started(PocketsphinxRecognizer(PocketsphinxOptions(pool=PATIENT))) as recognizer:
            yield recognizer

    @pytest.fixture
    async def stalled_recognizer(self) -> AsyncGenerator[PocketsphinxRecognizer, None]:
        async with started(StalledRecognizer(PocketsphinxOptions(pool=HASTY))) as recognizer:
            yield recognizer

    @pytest.fixture
    async def broken_recognizer(self) -> AsyncGenerator[PocketsphinxRecognizer, None]:
        async with started(BrokenRecognizer(PocketsphinxOptions(pool=HASTY))) as recognizer:
            yield recognizer

    @pytest.fixture
    def speech(self, speech_dir: Path) -> Samples:
        return clip(speech_dir, "pocketsphinx_goforward.wav")

    @pytest.fixture
    def words(self) -> set[str]:
        return {"go", "forward", "ten", "meters"}

    async def assert_nothing_held(self, recognizer: SpeechToText) -> None:
        assert isinstance(recognizer, PocketsphinxRecognizer)
        async with contextlib.AsyncExitStack() as leases:
            for _ in range(recognizer.pool.options.workers):
                await leases.enter_async_context(recognizer.pool.lease())


class TestContractWithGrammar(TestContract):
    @pytest.fixture
    def recognition(self) -> RecognitionRequest:
        return RecognitionRequest(language="en", grammar=COMMANDS)

    @pytest.fixture
    def speech(self, speech_dir: Path) -> Samples:
        return clip(speech_dir, "python-docs-samples_half_an_hour.wav")

    @pytest.fixture
    def words(self) -> set[str]:
        return {"half", "an", "hour"}


@pytest.fixture
async def recognizer() -> AsyncGenerator[PocketsphinxRecognizer, None]:
    options = PocketsphinxOptions(
        pool=PoolOptions(workers=1, wait=LIMIT, deadline=LIMIT, reset_deadline=LIMIT)
    )
    async with started(PocketsphinxRecognizer(options)) as recognizer:
        yield recognizer


async def final(recognizer: PocketsphinxRecognizer, samples: Samples, grammar: str | None) -> Final:
    last = (await hear(recognizer, audio(samples), RecognitionRequest(grammar=grammar)))[-1]
    assert isinstance(last, Final)
    return last


async def test_a_worker_is_given_a_grammar_once(recognizer: PocketsphinxRecognizer, speech_dir: Path) -> None:
    stop = clip(speech_dir, "mycroft-core_stop.wav")
    [worker] = recognizer.pool._workers.values()
    texts = []
    for _ in range(3):
        texts.append((await final(recognizer, stop, COMMANDS)).text)
        assert len(worker.memory) == 1
    assert texts == ["stop"] * 3


async def test_a_worker_forgets_the_oldest_of_many_grammars(
    recognizer: PocketsphinxRecognizer, speech_dir: Path
) -> None:
    stop = clip(speech_dir, "mycroft-core_stop.wav")
    [worker] = recognizer.pool._workers.values()
    grammars = [f"#JSGF V1.0; grammar g{n}; public <c> = stop | help;" for n in range(9)]
    for grammar in [*grammars, grammars[0], grammars[8]]:
        assert (await final(recognizer, stop, grammar)).text == "stop"
    assert (len(worker.memory), recognizer.pool.restarts) == (8, 0)


@pytest.mark.parametrize(
    ("grammar", "complaint"),
    [
        (
            "#JSGF V1.0; grammar g; public <c> = stop | voicertc | xyzzy;",
            "not in the dictionary: voicertc, xyzzy",
        ),
        ("#JSGF V1.0; grammar g; <c> = stop;", "is not JSGF, or has nothing public"),
        ("stop or help", "is not JSGF"),
    ],
)
async def test_a_bad_grammar_is_refused_in_words(
    recognizer: PocketsphinxRecognizer, speech_dir: Path, grammar: str, complaint: str
) -> None:
    stop = clip(speech_dir, "mycroft-core_stop.wav")
    with pytest.raises(ProviderError, match=complaint) as caught:
        await final(recognizer, stop, grammar)
    assert (caught.value.provider, caught.value.retryable) == ("pocketsphinx", False)
    assert (await final(recognizer, stop, COMMANDS)).text == "stop"
    assert recognizer.pool.restarts == 0


async def test_another_language_is_refused(recognizer: PocketsphinxRecognizer) -> None:
    silence = np.zeros(HEARING_RATE_HZ, np.int16)
    with pytest.raises(ProviderError, match="it understands en, not de"):
        await hear(recognizer, audio(silence), RecognitionRequest(language="de"))
    [heard] = await hear(recognizer, audio(silence), RecognitionRequest(language="en-GB"))
    assert heard == Final("", None, "en")


@pytest.mark.parametrize("grammar", [None, COMMANDS])
async def test_each_word_comes_with_its_times(
    recognizer: PocketsphinxRecognizer, speech_dir: Path, grammar: str | None
) -> None:
    heard = await final(recognizer, clip(speech_dir, "python-docs-samples_half_an_hour.wav"), grammar)
    assert [word.text for word in heard.words] == heard.text.split() == ["half", "an", "hour"]
    # The clip lies 0.3 s behind the turn's beginning; its labelled speech is from 0.01 to 0.99 s.
    assert heard.words[0].start == pytest.approx(0.31, abs=0.06)
    assert heard.words[-1].end == pytest.approx(1.29, abs=0.06)
    assert [word.confidence is None for word in heard.words] == [grammar is not None] * 3
    silence = np.zeros(HEARING_RATE_HZ, np.int16)
    assert (await final(recognizer, silence, grammar)).words == ()


async def test_a_model_that_is_not_there_is_said_at_the_start() -> None:
    recognizer = PocketsphinxRecognizer(PocketsphinxOptions(pool=PATIENT, model="/nonexistent/en-us"))
    with pytest.raises(ProviderUnavailable, match="no complete model in /nonexistent/en-us") as caught:
        await recognizer.start()
    assert (caught.value.provider, caught.value.fix) == ("pocketsphinx", "pip install 'voicertc[local]'")


def test_there_are_as_many_workers_as_make_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = []
    for processors in (None, 1, 4, 64):
        monkeypatch.setattr("os.cpu_count", lambda processors=processors: processors)
        workers.append(default_pool().workers)
    assert workers == [2, 2, 4, 8]


# The engine in this process


class Turn(Request):
    """A turn whose frames are there at once, and whose answer is kept."""

    def __init__(
        self, samples: Samples, grammar: str | None = None, *, cancel_after: int | None = None
    ) -> None:
        fields = {} if grammar is None else {"grammar": str(hash(grammar))}
        super().__init__(Message("turn", 1, fields, (grammar or "").encode()), None)
        self._audio = [samples[start : start + 320].tobytes() for start in range(0, len(samples), 320)]
        self._cancel_after = cancel_after
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.words: list[tuple[str, float, float, float | None]] = []

    def receive(self) -> Message:
        if self._cancel_after is not None and len(self.sent) > self._cancel_after:
            raise Cancelled
        return Message("audio", 1, {}, self._audio.pop(0)) if self._audio else Message("end", 1)

    def send(self, kind: str, body: bytes = b"", *, last: bool = False, **fields: object) -> None:
        self.sent.append((kind, {**fields, "last": last}))
        if kind == "final":
            self.words = [(text, start, end, sure) for text, start, end, sure in json.loads(body)]

    @property
    def final(self) -> dict[str, Any]:
        assert [kind for kind, fields in self.sent if fields["last"]] == ["final"]
        return self.sent[-1][1]

    @property
    def interims(self) -> list[str]:
        return [fields["text"] for kind, fields in self.sent if kind == "interim"]


@pytest.fixture(scope="module")
def engine() -> Pocketsphinx:
    return Pocketsphinx({})


def served(engine: Pocketsphinx, turn: Turn) -> Turn:
    engine.serve(turn)
    return turn


@pytest.mark.parametrize("name", ["mycroft-core_stop", "python-docs-samples_half_an_hour"])
def test_commands_are_accepted(engine: Pocketsphinx, speech_dir: Path, name: str) -> None:
    turn = served(engine, Turn(clip(speech_dir, f"{name}.wav"), COMMANDS))
    assert turn.final["text"] == name.rpartition("_")[2] if "stop" in name else "half an hour"
    assert turn.final["confidence"] >= 0.9


def test_nothing_else_is_taken_for_a_command(engine: Pocketsphinx, speech_dir: Path) -> None:
    taken = []
    for entry in json.loads((speech_dir / "manifest.json").read_text()):
        if entry.get("text") and entry["text"] not in ("stop", "half an hour") and entry["duration"] < 3:
            turn = served(engine, Turn(clip(speech_dir, entry["file"]), COMMANDS))
            if turn.final["confidence"] >= 0.5:
                taken.append((entry["text"], turn.final["text"]))
    assert taken == []


def test_noise_is_no_command_and_no_sure_word(engine: Pocketsphinx, speech_dir: Path) -> None:
    noise = clip(speech_dir, "noise_office.wav")
    random = np.random.default_rng(2)
    breath = (random.standard_normal(16_000) * np.hanning(16_000) * 2000).astype(np.int16)
    clicks = np.zeros(16_000, np.int16)
    clicks[[2000, 7000, 7400]] = 20_000
    for sound in (noise[:32_000], noise[64_000:96_000], breath, clicks, np.zeros(16_000, np.int16)):
        final = served(engine, Turn(sound, COMMANDS)).final
        assert not final["text"] or final["confidence"] < 0.5
        assert len(served(engine, Turn(sound)).final["text"].split()) <= 1


def test_words_made_of_a_hum_are_not_shown(engine: Pocketsphinx) -> None:
    hum = np.random.default_rng(0).normal(0, 1500, 24_000).astype(np.int16)
    turn = served(engine, Turn(hum))
    assert turn.final["text"] == ""
    assert engine._decoders.is_noise([Segment("<s>", 0, 9, -1.0), Segment("if", 10, 161, -1.0)])
    assert not engine._decoders.is_noise([Segment("<s>", 0, 9, -1.0), Segment("if", 10, 59, -1.0)])
    assert not engine._decoders.is_noise([Segment("<s>", 0, 9, -1.0)])


def test_interims_come_every_quarter_of_a_second_at_most(engine: Pocketsphinx, speech_dir: Path) -> None:
    samples = clip(speech_dir, "pocketsphinx_005.wav")
    turn = served(engine, Turn(samples))
    assert 6 <= len(turn.interims) <= len(samples) / HEARING_RATE_HZ / 0.24
    assert turn.interims[-1].startswith("eight of spades four of")


def test_what_is_cancelled_leaves_nothing_behind(engine: Pocketsphinx, speech_dir: Path) -> None:
    samples = clip(speech_dir, "python-docs-samples_half_an_hour.wav")
    for grammar in (None, COMMANDS):
        fresh = served(engine, Turn(samples, grammar)).sent
        with pytest.raises(Cancelled):
            engine.serve(Turn(clip(speech_dir, "pocketsphinx_goforward.wav"), grammar, cancel_after=2))
        assert served(engine, Turn(samples, grammar)).sent == fresh


def test_a_long_turn_keeps_its_words_and_is_no_command(engine: Pocketsphinx, speech_dir: Path) -> None:
    phrase = clip(speech_dir, "pocketsphinx_goforward.wav")
    turn = served(engine, Turn(np.tile(phrase, 8), COMMANDS))  # 26 s with a pause every three
    assert turn.final["text"].split().count("forward") >= 6
    assert (turn.final["confidence"], turn.final.get("evidence")) == (None, None)
    assert all(
        later.startswith(earlier[:20])
        for earlier, later in zip(turn.interims[12:], turn.interims[13:], strict=False)
    )


def test_the_times_of_words_are_those_of_the_labels(engine: Pocketsphinx, speech_dir: Path) -> None:
    starts, ends = [], []
    for entry in json.loads((speech_dir / "manifest.json").read_text())[::2]:
        samples = clip(speech_dir, entry["file"])
        turn = served(engine, Turn(samples))
        assert " ".join(text for text, *_ in turn.words) == turn.final["text"]
        times = [time for _, start, end, _ in turn.words for time in (start, end)]
        assert times == sorted(times)
        assert times[-1] <= len(samples) / HEARING_RATE_HZ
        assert all(sure is not None and 0.0 <= sure <= 1.0 for *_, sure in turn.words)
        starts.append(times[0] - 0.3 - entry["start"])
        ends.append(times[-1] - 0.3 - entry["end"])
    for errors in (starts, ends):
        assert abs(np.median(errors)) < 0.03
        assert np.percentile(np.abs(errors), 80) < 0.08


def test_the_words_of_a_long_turn_have_their_places_in_the_whole_of_it(
    engine: Pocketsphinx, speech_dir: Path
) -> None:
    phrase = clip(speech_dir, "pocketsphinx_goforward.wav")
    length = len(phrase) / HEARING_RATE_HZ
    turn = served(engine, Turn(np.tile(phrase, 8)))
    assert " ".join(text for text, *_ in turn.words) == turn.final["text"]
    # "forward" is said 0.94 to 1.47 s into the phrase, as often as that is repeated.
    places = [divmod(start, length) for text, start, *_ in turn.words if text == "forward"]
    assert len(places) >= 6
    assert [at for _, at in places] == pytest.approx([0.94] * len(places), abs=0.08)
    assert [round(number) for number, _ in places] == sorted({round(number) for number, _ in places})


def test_no_word_lasts_into_the_quiet_behind_the_turn(engine: Pocketsphinx, speech_dir: Path) -> None:
    samples = clip(speech_dir, "pocketsphinx_goforward.wav")[: int(2.2 * HEARING_RATE_HZ)]  # within "meters"
    for grammar in (None, COMMANDS):
        turn = served(engine, Turn(samples, grammar))
        assert turn.words[-1][2] == pytest.approx(2.2, abs=0.05)
        assert turn.words[-1][2] <= 2.2


def test_a_turn_without_pauses_is_cut_all_the_same(
    engine: Pocketsphinx, speech_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicertc.providers.pocketsphinx_decoders._TOO_LONG", 100)
    turn = served(engine, Turn(clip(speech_dir, "pocketsphinx_goforward.wav")))
    assert turn.final["text"]


def test_no_sound_is_no_words(engine: Pocketsphinx) -> None:
    assert served(engine, Turn(np.zeros(0, np.int16))).final == {"text": "", "confidence": None, "last": True}
    final = served(engine, Turn(np.zeros(0, np.int16), COMMANDS)).final
    assert (final["text"], final["confidence"]) == ("", 0.0)


def test_a_grammar_is_learned_with_all_pronunciations(engine: Pocketsphinx) -> None:
    grammar = "#JSGF V1.0; grammar g; public <c> = read a letter;"
    served(engine, Turn(np.zeros(320, np.int16), grammar))
    commands = engine._decoders.commands
    assert [commands.lookup_word(word) for word in ("read", "read(2)", "read(3)")] == [
        "R EH D",
        "R IY D",
        None,
    ]


def test_an_unknown_word_is_refused_before_anything_is_heard(engine: Pocketsphinx) -> None:
    turn = Turn(np.zeros(320, np.int16), "#JSGF V1.0; grammar g; public <c> = xyzzy;")
    with pytest.raises(RequestRefused, match="xyzzy"):
        engine.serve(turn)
    assert turn.sent == []


def test_no_pocketsphinx_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match="not installed"):
        Pocketsphinx({})


def test_confidence_leaves_a_gap_between_commands_and_the_rest() -> None:
    sure = Evidence(0.0, 0.0, 1.5, 0.0, 0.2, 0.0)
    doubtful = Evidence(-3.0, 0.9, 0.7, 3.0, 0.8, -1.0)
    assert confidence(None) == 0.0
    assert 0.9 <= confidence(sure) <= 1.0
    assert 0.0 <= confidence(doubtful) <= 0.45


@pytest.mark.parametrize(
    ("grammar", "words"),
    [
        (
            COMMANDS,
            "one two three five ten thirty half an hour seconds minutes hours stop help yes no what time is"
            " it please set a timer for goodbye",
        ),
        (
            '#JSGF V1.0 UTF-8 en; grammar a.b; import <x.*>; public <c> = /2/ "good bye" {tag} | /.5/ [hi]*;',
            "good bye hi",
        ),
        ("// stop here\ngrammar g; /* no\nwords */ public <public> = open the grammar+;", "open the grammar"),
        ("", ""),
    ],
)
def test_the_words_of_a_grammar_are_found(grammar: str, words: str) -> None:
    assert words_of(grammar) == set(words.split())


def test_interims_are_the_grammars_only_while_both_sound_alike(
    engine: Pocketsphinx, speech_dir: Path
) -> None:
    turn = served(engine, Turn(clip(speech_dir, "pocketsphinx_goforward.wav"), COMMANDS))
    assert turn.interims[-1] == "go forward ten meters"
