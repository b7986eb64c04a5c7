"""Port fakes that fail as their weather says, and the chains of them that calls are served by."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import astuple
from typing import Any

from voicertc.agents.base import AgentRequest
from voicertc.agents.fallback import FallbackAgent
from voicertc.audio.pcm import PcmFrame
from voicertc.core.options import Phrases
from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderUnavailable
from voicertc.providers.base import (
    EachTurn,
    Final,
    HeardPiece,
    Interim,
    RecognitionRequest,
    Recognizer,
    SpeechChunk,
    VoiceRequest,
)
from voicertc.providers.phrasebook import Phrasebook
from voicertc.providers.plan_b.chain import Chain
from voicertc.providers.plan_b.member import Member
from voicertc.providers.plan_b.stt import FallbackSpeechToText
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.session.cascade import voice_beforehand
from voicertc.session.setup import Services
from voicertc.testing.fakes import LoudnessDetector, voiced

from .weather import Fault, Weather

WORDS = "tell me more of it"
_CHUNK = 2_400
_STORIES = (
    "Well, that is easily told. ",
    "Once upon a time there was a server that answered the telephone. It did so all day, and liked it. ",
    "Yes. ",
    "I do not know everything, but this I know for certain: it is a long way to the sea from where we are. ",
)


class Unreliable:
    """What the three kinds of service share. ``n_open``: requests that are not freed yet."""

    def __init__(self, name: str, weather: Weather) -> None:
        self.name = name
        self.weather = weather
        self.n_open = self.n_requests = 0
        self.faults: Counter[Fault] = Counter()

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to free."""

    async def probe(self) -> None:
        """Answer if it is well."""
        if not self.weather.is_fair(_now()):
            raise ProviderCrashed(f"{self.name} is down", provider=self.name)

    def begin(self) -> Fault | None:
        """Begin a request: return what befalls it, or raise what is told at once."""
        self.n_requests += 1
        if (fault := self.weather.fault(_now())) is not None:
            self.faults[fault] += 1
        match fault:
            case Fault.REFUSED:
                raise ProviderCrashed(f"{self.name} cannot be reached", provider=self.name)
            case Fault.DENIED:
                raise ProviderUnavailable(
                    f"{self.name} refuses the key", provider=self.name, fix="get a new one"
                )
            case Fault.BUSY:
                raise ProviderBusy(f"{self.name} is full", provider=self.name, retry_after=3.0)
        return fault


class UnreliableEars(Unreliable):
    """Hears the same words in every turn."""

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Begin to listen to a call."""
        return EachTurn(self.recognize)

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear a turn, or what becomes of it."""
        self.n_open += 1
        try:
            fault = self.begin()
            n_frames = 0
            async for _ in audio:
                n_frames += 1
                if n_frames == 20 and fault is not Fault.HANGS:
                    yield Interim("tell me")
            match fault:
                case Fault.HANGS | Fault.STALLS:
                    await asyncio.Event().wait()
                case Fault.CRASHES:
                    raise RuntimeError("a service's own mistake")
                case Fault.EMPTY:
                    return
            for _ in range(20 if fault is Fault.TRICKLES else 1):
                await asyncio.sleep(0.15)
                yield Interim(WORDS)
            yield Final(WORDS)
        finally:
            self.n_open -= 1


class UnreliableMind(Unreliable):
    """Tells stories, a word every 30 ms."""

    grammar = None
    greeting = None

    async def reply(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        """Answer, or what becomes of it."""
        self.n_open += 1
        try:
            fault = self.begin()
            story = _STORIES[self.n_requests % len(_STORIES)] + f"That was number {self.n_requests}."
            await _until_first(fault, 0.2)
            if fault is Fault.EMPTY:
                # Agents may have nothing to say; a model that has is a failure (``LanguageModel.stream``).
                raise ProviderCrashed(f"{self.name} gave an empty answer", provider=self.name)
            for index, word in enumerate(story.split(" ")):
                await _until_next(fault, index, 0.03)
                yield f" {word}" if index else word
        finally:
            self.n_open -= 1


class UnreliableVoice(Unreliable):
    """Speaks as ``FakeVoice`` does, ten times as fast as it is heard."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speak, or what becomes of it."""
        self.n_open += 1
        try:
            fault = self.begin()
            await _until_first(fault, 0.1)
            samples = voiced(text)
            for index, begin in enumerate(range(0, len(samples), _CHUNK)):
                if fault is Fault.EMPTY:
                    return
                await _until_next(fault, index, 0.01)
                yield SpeechChunk(samples[begin : begin + _CHUNK])
        finally:
            self.n_open -= 1


async def _until_first(fault: Fault | None, delay: float) -> None:
    if fault is Fault.HANGS:
        await asyncio.Event().wait()
    await asyncio.sleep(delay)


async def _until_next(fault: Fault | None, index: int, delay: float) -> None:
    """Wait for a piece, the ``index``-th, or for what comes instead."""
    if index >= 2 and fault is Fault.STALLS:
        await asyncio.Event().wait()
    if index >= 2 and fault is Fault.CRASHES:
        raise RuntimeError("a service's own mistake")
    await asyncio.sleep(1.5 if fault is Fault.TRICKLES else delay)


class Providers:
    """The services of one process: for each stage a good one that often fails, and one behind it."""

    def __init__(self, seed: int) -> None:
        def weather(name: str, *, fair: float, foul: float) -> Weather:
            return Weather(f"{seed}/{name}", fair=fair, foul=foul)

        first, second = {"fair": 240.0, "foul": 150.0}, {"fair": 500.0, "foul": 200.0}
        self.ears = [
            UnreliableEars(name, weather(name, **spells)) for name, spells in _two("ears", first, second)
        ]
        self.minds = [
            UnreliableMind(name, weather(name, **spells)) for name, spells in _two("mind", first, second)
        ]
        self.voices = [
            UnreliableVoice(name, weather(name, **spells)) for name, spells in _two("voice", first, second)
        ]
        self.hearing = FallbackSpeechToText([Member(each) for each in self.ears])
        self.thinking = FallbackAgent([Member(each) for each in self.minds])
        self.speaking = FallbackTextToSpeech([Member(each) for each in self.voices])

    @property
    def all(self) -> list[Unreliable]:
        """Every one of them."""
        return [*self.ears, *self.minds, *self.voices]

    @property
    def chains(self) -> tuple[Chain[Any], ...]:
        """Who is asked for what, in order."""
        return self.hearing.chain, self.thinking.chain, self.speaking.chain

    @property
    def n_open(self) -> int:
        """Requests that are not freed yet, of all."""
        return sum(each.n_open for each in self.all)

    async def services(self) -> Services:
        """Return them as a session takes them, with what the server itself says voiced beforehand."""
        # Books that are full early in the day, so that memory is flat from then on.
        phrases, clauses = Phrasebook(max_bytes=2 << 20), Phrasebook(max_bytes=2 << 20)
        own = [text for text in astuple(Phrases()) if text]
        await voice_beforehand(own, self.speaking, VoiceRequest(), phrases)
        return Services(self.hearing, self.thinking, self.speaking, LoudnessDetector(), phrases, clauses)

    async def start(self) -> None:
        """Start them."""
        for each in (self.hearing, self.thinking, self.speaking):
            await each.start()

    async def close(self) -> None:
        """Close them."""
        for each in (self.hearing, self.thinking, self.speaking):
            await each.close()


def _two(stage: str, first: dict[str, float], second: dict[str, float]) -> list[tuple[str, dict[str, float]]]:
    return [(f"{stage}-1", first), (f"{stage}-2", second)]


def _now() -> float:
    return asyncio.get_running_loop().time()
