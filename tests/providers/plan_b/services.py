"""Services that do what a script says, as voices, agents and recognizers; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing

import numpy as np

from voicertc.agents.base import AgentPiece, AgentRequest
from voicertc.audio.pcm import PcmFrame
from voicertc.errors import ProviderCrashed, ProviderUnavailable
from voicertc.providers.base import (
    HeardPiece,
    RecognitionRequest,
    Recognizer,
    SpeechChunk,
    VoiceRequest,
)

HANGS = float("inf")
"""In a script: nothing comes any more."""

Script = Sequence[object]
"""What a request is answered with: pieces, exceptions to raise, and seconds that pass between them."""


def crash(name: str = "x") -> ProviderCrashed:
    return ProviderCrashed(f"{name} broke", provider=name)


def bad_key(name: str = "x") -> ProviderUnavailable:
    return ProviderUnavailable(f"{name} refused the key", provider=name, fix="Set a valid key.")


def sound(n_samples: int) -> SpeechChunk:
    return SpeechChunk(np.full(n_samples, n_samples, np.int16))


async def play(script: Script) -> AsyncGenerator[object, None]:
    for step in script:
        match step:
            case float():
                await (asyncio.Event().wait() if step == HANGS else asyncio.sleep(step))
            case Exception():
                raise step
            case _:
                yield step


class Service:
    """Answers each request with the next script, the last one for ever."""

    grammar: str | None = None
    greeting: str | None = None

    def __init__(
        self,
        name: str,
        *scripts: Script,
        start: Exception | None = None,
        probes: Iterable[Exception | float | None] | None = None,
    ) -> None:
        self.name = name
        self.scripts = list(scripts)
        self.n_requests = self.n_open = self.n_probes = self.n_closed = 0
        self.is_started = False
        self.requests: list[object] = []
        self._start = start
        if probes is not None:
            self._probes = iter(probes)
            self.probe = self._probe

    async def start(self) -> None:
        if self._start is not None:
            raise self._start
        self.is_started = True

    async def close(self) -> None:
        self.n_closed += 1

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        async with aclosing(self._answer((text, request))) as pieces:
            async for piece in pieces:
                yield piece  # type: ignore[misc]  # a script may hold anything

    async def reply(self, request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
        async with aclosing(self._answer(request)) as pieces:
            async for piece in pieces:
                yield piece  # type: ignore[misc]  # a script may hold anything

    async def _answer(self, request: object) -> AsyncGenerator[object, None]:
        script = self.scripts[min(self.n_requests, len(self.scripts) - 1)]
        self.n_requests += 1
        self.requests.append(request)
        self.n_open += 1
        try:
            async for piece in play(script):
                yield piece
        finally:
            self.n_open -= 1

    async def _probe(self) -> None:
        self.n_probes += 1
        match next(self._probes, None):
            case Exception() as error:
                raise error
            case float():
                await asyncio.Event().wait()
            case _:
                pass


class Ear(Service):
    """A recognizer. A script's ``AUDIO`` takes frames: all, or so many; ``heard`` has each turn's frames."""

    def __init__(self, name: str, *scripts: Script, **options: object) -> None:
        super().__init__(name, *scripts, **options)  # type: ignore[arg-type]  # passed on as they are
        self.heard: list[list[int]] = []
        self.n_attended = self.n_left = 0

    def attend(self, request: RecognitionRequest) -> Recognizer:
        self.n_attended += 1
        return _Listening(self)


class Hears:
    """In a recognizer's script: takes ``n`` frames, or all to the end."""

    def __init__(self, n: int | None = None) -> None:
        self.n = n


class _Listening:
    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        ear, frames = self._ear, list[int]()
        ear.heard.append(frames)
        async for step in ear._answer(request):
            if not isinstance(step, Hears):
                yield step  # type: ignore[misc]  # a script may hold anything
                continue
            left = step.n
            while left is None or left > 0:
                frame = await anext(audio, None)
                if frame is None:
                    break
                frames.append(frame.position // 320)
                left = None if left is None else left - 1

    async def close(self) -> None:
        self._ear.n_left += 1
