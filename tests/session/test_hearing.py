from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from tests.audio.signals import read_wav, to_samples, white
from voicertc.audio.pcm import HEARING_FRAME, HEARING_RATE_HZ, PcmFrame, Samples
from voicertc.audio.vad import SpeechModel, VoiceActivity
from voicertc.core import events
from voicertc.core.events import Event, Word
from voicertc.providers.base import Final, HeardPiece, HeardWord, RecognitionRequest, SpeechActivity
from voicertc.session.hearing import Hearing
from voicertc.session.tasks import Tasks
from voicertc.session.usage_count import UsageCount
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeRecognizer, LoudnessDetector

BEEP = np.resize(np.array([8_000, -8_000], np.int16), HEARING_FRAME)
HUSH = np.zeros(HEARING_FRAME, np.int16)


class WordCounter(FakeRecognizer):
    """Hears a word in each stretch of loud frames, and when it was in the audio it was given."""

    def __init__(self) -> None:
        super().__init__([])
        self.given: list[PcmFrame] = []

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        loud = []
        async for frame in audio:
            self.given.append(frame)
            loud.append(int(np.abs(frame.samples.astype(int)).max()) > 1000)
        edges = np.flatnonzero(np.diff([0, *map(int, loud), 0])).reshape(-1, 2) * 0.02
        words = [HeardWord(str(i), float(start), float(end)) for i, (start, end) in enumerate(edges)]
        yield Final(" ".join(word.text for word in words), None, None, tuple(words))


class Ears:
    """A ``Hearing`` whose turn is opened 0.3 s before the first speech, as the core does it."""

    def __init__(self, activity: SpeechActivity | None = None, *, delay: float = 0.0) -> None:
        self.recognizer = WordCounter()
        self.activity = activity or LoudnessDetector().attend()
        self.posted: list[Event] = []
        self._tasks = Tasks("test")
        self._loop = asyncio.get_running_loop()
        self.hearing = Hearing(
            activity=self.activity,
            recognizer=self.recognizer,
            request=RecognitionRequest,
            usage=UsageCount(),
            post=self._post,
            clock=self._loop.time,
            tasks=self._tasks,
            delay=delay,
        )

    def _post(self, event: Event) -> None:
        self.posted.append(event)
        if isinstance(event, events.SpeechStarted) and not self.recognizer.n_open:
            self.recognizer.n_open = 1
            self.hearing.open_turn("item_u1", event.at - 0.3)

    async def hear(self, sound: Callable[[float], Samples], begin: float, end: float) -> None:
        """Let the frames of some seconds come, each when its last sample was spoken."""
        for number in range(round(begin * 50), round(end * 50)):
            await asyncio.sleep(max(0.0, (number + 1) * 0.02 - self._loop.time()))
            self.hearing.hear(PcmFrame(sound(number * 0.02), number * HEARING_FRAME))

    async def finish(self) -> tuple[Word, ...]:
        """End the turn; the words that were heard in it."""
        self.hearing.close_turn("item_u1")
        await asyncio.sleep(1.0)
        self.hearing.close()
        await self._tasks.close()
        (final,) = [event for event in self.posted if isinstance(event, events.TranscriptFinal)]
        return final.words


def beeps(*spans: tuple[float, float]) -> Callable[[float], Samples]:
    return lambda at: BEEP if any(begin - 1e-9 <= at < end - 1e-9 for begin, end in spans) else HUSH


def word(number: int, start: float, end: float) -> Word:
    return Word(str(number), pytest.approx(start, abs=0.002), pytest.approx(end, abs=0.002))


# --- when words were said -----------------------------------------------------------------------


def test_words_lie_where_they_were_said_in_session_time() -> None:
    async def main() -> None:
        ears = Ears()
        await ears.hear(beeps((2.0, 2.4), (2.6, 3.0), (4.0, 4.5)), 0.0, 5.0)
        assert await ears.finish() == (word(0, 2.0, 2.4), word(1, 2.6, 3.0), word(2, 4.0, 4.5))

    virtual_time.run(main())


def test_what_the_transport_holds_back_does_not_make_words_late() -> None:
    async def main() -> None:
        ears = Ears(delay=0.08)
        await ears.hear(beeps((2.0, 2.4)), 0.0, 3.0)
        assert await ears.finish() == (word(0, 1.92, 2.32),)

    virtual_time.run(main())


def test_a_client_that_sends_nothing_while_it_is_silent_has_its_words_where_they_were() -> None:
    async def main() -> None:
        ears = Ears()
        sound = beeps((2.0, 2.4), (3.2, 3.6))
        await ears.hear(sound, 0.0, 2.5)
        await ears.hear(sound, 3.2, 4.0)  # positions jump, and time with them
        assert await ears.finish() == (word(0, 2.0, 2.4), word(1, 3.2, 3.6))

    virtual_time.run(main())


# --- how it listens -----------------------------------------------------------------------------


def test_the_threshold_is_the_detector_s_and_the_middle_if_there_is_none() -> None:
    async def main() -> None:
        ears = Ears()
        thresholds = []
        for threshold in (0.9, None, 0.0):
            ears.hearing.set_options(threshold=threshold, noise_reduction=None)
            thresholds.append(ears.activity.threshold)
        assert thresholds == [0.9, 0.5, 0.0]

    virtual_time.run(main())


@pytest.mark.parametrize("threshold", [0.1, 0.9])
def test_a_soft_voice_is_speech_if_the_client_wants_it_to_be(threshold: float) -> None:
    async def main() -> None:
        ears = Ears()
        ears.hearing.set_options(threshold=threshold, noise_reduction=None)
        murmur = beeps((1.0, 1.5))
        await ears.hear(lambda at: to_samples(murmur(at) * 0.2), 0.0, 2.0)
        assert bool(ears.posted) == (threshold < 0.5)
        ears.hearing.close()

    virtual_time.run(main())


def rms(frames: list[PcmFrame]) -> float:
    return float(np.sqrt(np.mean(np.concatenate([frame.samples for frame in frames]).astype(float) ** 2)))


def hiss(at: float) -> Samples:
    return white(HEARING_FRAME, -15, seed=round(at * 50))


def test_noise_is_reduced_before_anything_listens_and_no_longer_when_it_is_turned_off() -> None:
    async def main() -> None:
        ears = Ears()
        levels = []
        begin = 0.0
        for reduction in (None, ("near_field", 1.0), ("far_field", 1.0), ("far_field", 0.0), None):
            ears.hearing.set_options(threshold=None, noise_reduction=reduction)  # type: ignore[arg-type]
            await ears.hear(hiss, begin, begin + 3.0)
            ears.hearing.set_options(threshold=None, noise_reduction=reduction)  # type: ignore[arg-type]
            await ears.hear(hiss, begin + 3.0, begin + 4.0)
            begin += 4.0
        await ears.finish()
        given = [[f for f in ears.recognizer.given if 4 * i + 2.5 <= f.start < 4 * i + 3.9] for i in range(5)]
        levels = [20 * np.log10(rms(frames) / rms(given[0])) for frames in given]
        assert levels[1] == pytest.approx(-8, abs=1.5)
        assert levels[2] < -11
        assert levels[3:] == pytest.approx([0.0, 0.0], abs=0.3)

    virtual_time.run(main())


def test_a_change_within_a_turn_is_not_heard(speech_dir: Path) -> None:
    """Noise reduction goes on, off and on in the middle of a sentence: no start, no end, no gap, no echo."""

    async def main() -> None:
        clip = read_wav(speech_dir / "whisper_jfk.wav")[: 4 * HEARING_RATE_HZ]
        sound = to_samples(
            np.concatenate([np.zeros(HEARING_RATE_HZ), clip]) + white(5 * HEARING_RATE_HZ, -60)
        )
        ears = Ears(VoiceActivity(SpeechModel()))

        def at(second: float) -> Samples:
            begin = round(second * HEARING_RATE_HZ)
            return sound[begin : begin + HEARING_FRAME]

        kinds = [None, ("near_field", 1.0), None, ("near_field", 0.5), ("far_field", 1.0)]
        edges = [0.0, 1.8, 2.2, 2.5, 2.8, 3.1]
        for kind, (begin, end) in zip(kinds, itertools.pairwise(edges), strict=True):
            ears.hearing.set_options(threshold=0.5, noise_reduction=kind)  # type: ignore[arg-type]
            await ears.hear(at, begin, end)
        assert [type(event) for event in ears.posted if not isinstance(event, events.SpeechSuspected)] == [
            events.SpeechStarted
        ]
        await ears.finish()
        given = ears.recognizer.given
        steps = [after.position - before.position for before, after in itertools.pairwise(given)]
        assert set(steps) <= {HEARING_FRAME, HEARING_FRAME - 96, HEARING_FRAME + 96}
        # Each frame holds what was said at its position, but for what was taken out of it.
        for frame in given:
            said = sound[frame.position : frame.position + HEARING_FRAME].astype(float)
            if frame.start > 1.5 and said.std() > 2000:
                assert np.corrcoef(said, frame.samples.astype(float))[0, 1] > 0.85, frame.start
                assert -4 < 20 * np.log10(frame.samples.astype(float).std() / said.std()) < 0.5, frame.start

    virtual_time.run(main())
