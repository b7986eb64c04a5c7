"""Port fakes for a virtual-time loop: a recognizer, a voice, an agent and a detector with known behaviour.

They take time the way real services do, count what they are asked, and notice when they are cancelled. What
talks to a real service's protocol is tested against a socket instead (``fake_openai``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

import numpy as np

from ..agents.base import AgentRequest
from ..audio.pcm import PLAYOUT_RATE_HZ, PcmFrame, Samples
from ..audio.speech_bounds import SpeechSign
from ..providers.base import (
    EachTurn,
    Final,
    HeardPiece,
    Interim,
    RecognitionRequest,
    Recognizer,
    SpeechChunk,
    VoiceRequest,
    WordMark,
)

VOICE_SAMPLES_PER_CHARACTER = PLAYOUT_RATE_HZ * 60 // 1000
"""The fake voice speaks a character in 60 ms."""
LOUD = 2_000
"""What ``LoudnessDetector`` calls speech: peak of 16-bit samples."""


class FakeRecognizer:
    """Answers each turn with the next of ``script`` (a text, a ``Final`` or an exception to raise).

    ``turns`` holds the seconds of audio of each turn; ``n_open`` how many are being recognized.
    """

    name = "fake-recognizer"

    def __init__(self, script: Iterable[str | Final | Exception], *, delay: float = 0.15) -> None:
        self._script = iter(script)
        self._delay = delay
        self.turns: list[float] = []
        self.requests: list[RecognitionRequest] = []
        self.first_frames: list[PcmFrame] = []
        self.n_open = 0

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to free."""

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Each turn is heard by itself; nothing is needed before the first."""
        return EachTurn(self.recognize)

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Count the audio, yield an interim after its first second, then the script's answer."""
        answer = next(self._script, "")
        self.requests.append(request)
        self.n_open += 1
        seconds = 0.0
        try:
            async for frame in audio:
                if seconds == 0.0:
                    self.first_frames.append(frame)
                before = seconds
                seconds += frame.end - frame.start
                if before < 1.0 <= seconds and isinstance(answer, str):
                    yield Interim(answer.split(" ", 1)[0])
            await asyncio.sleep(self._delay)
            self.turns.append(round(seconds, 2))
            if isinstance(answer, Exception):
                raise answer
            yield answer if isinstance(answer, Final) else Final(answer)
        finally:
            self.n_open -= 1


class FakeVoice:
    """Speaks 60 ms a character as a ramp that counts its samples, so that a lost or doubled one shows."""

    name = "fake-voice"

    def __init__(
        self, *, first_audio: float = 0.1, chunk: int = 2_400, fail_after: int | None = None
    ) -> None:
        self._first_audio = first_audio
        self._chunk = chunk
        self._fail_after = fail_after
        self.texts: list[str] = []
        self.n_open = 0

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to free."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the clause in chunks of 0.1 s, all words marked in the first."""
        self.texts.append(text)
        if self._fail_after is not None and len(self.texts) > self._fail_after:
            raise RuntimeError("the fake voice was told to fail")
        self.n_open += 1
        try:
            await asyncio.sleep(self._first_audio)
            samples = voiced(text)
            marks = tuple(WordMark(start * VOICE_SAMPLES_PER_CHARACTER, start) for start in word_starts(text))
            for begin in range(0, len(samples), self._chunk):
                yield SpeechChunk(samples[begin : begin + self._chunk], marks if begin == 0 else ())
        finally:
            self.n_open -= 1


class ScriptedAgent:
    """Answers by a function of the user's words; yields word by word, ``interval`` seconds apart."""

    name = "scripted"
    grammar = None
    greeting = None
    may_be_asked_in_vain = True

    def __init__(
        self, answer: Callable[[str], str | Exception], *, delay: float = 0.2, interval: float = 0.0
    ) -> None:
        self._answer = answer
        self._delay = delay
        self._interval = interval
        self.requests: list[AgentRequest] = []
        self.n_cancelled = 0

    async def start(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to free."""

    async def reply(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        """Answer what the user said."""
        self.requests.append(request)
        try:
            await asyncio.sleep(self._delay)
            answer = self._answer(request.user_text)
            if isinstance(answer, Exception):
                raise answer
            for index, word in enumerate(answer.split(" ")):
                yield f" {word}" if index else word
                await asyncio.sleep(self._interval)
        except (asyncio.CancelledError, GeneratorExit):
            self.n_cancelled += 1
            raise


class LoudnessDetector:
    """Calls loud frames speech: certain after two in a row, over after five quiet ones.

    ``LOUD`` is for a client's threshold of 0.5; at 0 everything is loud, at 1 it takes twice as much.
    """

    def attend(self) -> LoudnessActivity:
        """Begin to listen to a call."""
        return LoudnessActivity()


class LoudnessActivity:
    """One call's state of ``LoudnessDetector``."""

    def __init__(self) -> None:
        self.is_speech = False
        self.threshold = 0.5
        self._n_loud = self._n_quiet = 0
        self._last_end = 0.0

    def feed(self, frame: PcmFrame) -> tuple[SpeechSign, ...]:
        """Take 20 ms."""
        is_loud = bool(np.abs(frame.samples.astype(np.int32)).max(initial=0) >= 2 * self.threshold * LOUD)
        self._n_loud = self._n_loud + 1 if is_loud else 0
        self._n_quiet = 0 if is_loud else self._n_quiet + 1
        if is_loud:
            self._last_end = frame.end
        if not self.is_speech and self._n_loud == 2:
            self.is_speech = True
            return (SpeechSign("started", frame.end - 0.04),)
        if self.is_speech and self._n_quiet == 5:
            self.is_speech = False
            return (SpeechSign("stopped", self._last_end),)
        return ()


def voiced(text: str) -> Samples:
    """Return what ``FakeVoice`` makes of ``text``: 1, 2, 3, … wrapping at 30 000."""
    return (np.arange(len(text) * VOICE_SAMPLES_PER_CHARACTER) % 30_000 + 1).astype(np.int16)


def word_starts(text: str) -> list[int]:
    """Return where each word of ``text`` begins."""
    return [index for index, c in enumerate(text) if c != " " and (index == 0 or text[index - 1] == " ")]
