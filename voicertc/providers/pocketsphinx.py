"""The offline ears: pocketsphinx in worker processes, one worker for each turn that is being spoken."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256

from ..audio.pcm import HEARING_RATE_HZ, PcmFrame
from ..errors import ProviderError
from .base import EachTurn, Final, HeardPiece, HeardWord, Interim, RecognitionRequest, Recognizer
from .workers import Lease, PoolOptions, WorkerPool

NAME = "pocketsphinx"
_GRAMMARS = 8
"""How many grammars a worker keeps, one per agent; another takes the place of the oldest."""


def default_pool() -> PoolOptions:
    """As many workers as processors, at least two and at most eight.

    A worker is needed only while somebody speaks, and takes a quarter of a processor then.
    """
    return PoolOptions(workers=min(8, max(2, os.cpu_count() or 2)))


@dataclass(frozen=True, slots=True)
class PocketsphinxOptions:
    """The options of the recognizer."""

    pool: PoolOptions = field(default_factory=default_pool)
    """Its workers: that many callers can speak at the same time."""
    model: str | None = None
    """Directory with a model named like the wheel's (``en-us`` and its files); ``None``: the wheel's."""
    language: str = "en"
    """ISO 639-1 of what the model understands; a turn in another language is refused."""


class PocketsphinxRecognizer:
    """``SpeechToText`` by pocketsphinx. Owned by the endpoint; any task may recognize.

    With a grammar the answer is a phrase of it, with a confidence of 0.9 or more, or what was heard
    otherwise, with less than 0.5; without one it is what was heard. Each word has its times, and its
    confidence if it is not a command's.
    """

    name = NAME
    engine = "voicertc.providers.pocketsphinx_engine:Pocketsphinx"
    """What its workers load."""

    def __init__(self, options: PocketsphinxOptions | None = None) -> None:
        self._options = options or PocketsphinxOptions()
        self._pool = WorkerPool(NAME, self.engine, self._options.pool, {"model": self._options.model})

    @property
    def pool(self) -> WorkerPool:
        """The workers, for figures."""
        return self._pool

    async def start(self) -> None:
        """Load the model in the workers; raises ``ProviderUnavailable`` when there is none."""
        await self._pool.start()

    async def close(self) -> None:
        """End the workers; may be called twice."""
        await self._pool.close()

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Each turn is heard by itself; nothing is needed before the first."""
        return EachTurn(self.recognize)

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear one turn; raises ``ProviderBusy`` when more people speak than there are workers."""
        self._refuse_other_languages(request.language)
        grammar = _Grammar.of(request.grammar)
        async with self._pool.lease() as lease:
            sender = asyncio.create_task(_send(audio, grammar, lease), name=f"{NAME}/audio-{lease.request}")
            try:
                while (message := await lease.receive()).kind != "final":
                    if message.kind == "interim":
                        yield Interim(str(message.fields["text"]))
                    elif grammar is not None:  # begun: the worker has it now
                        lease.memory[grammar.key] = None
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        confidence = message.fields["confidence"]
        yield Final(
            str(message.fields["text"]),
            None if confidence is None else float(confidence),
            self._options.language,
            _read_words(message.body),
        )

    def _refuse_other_languages(self, language: str | None) -> None:
        if language and language.partition("-")[0].lower() != self._options.language:
            known = self._options.language
            raise ProviderError(f"it understands {known}, not {language}", provider=NAME)


@dataclass(frozen=True, slots=True)
class _Grammar:
    """A grammar and the name a worker knows it by: it is sent once, and named from then on."""

    text: bytes
    key: str

    @classmethod
    def of(cls, text: str | None) -> _Grammar | None:
        return None if text is None else cls(text.encode(), sha256(text.encode()).hexdigest())


def _read_words(body: bytes) -> tuple[HeardWord, ...]:
    return tuple(
        HeardWord(str(text), float(start), float(end), None if confidence is None else round(confidence, 3))
        for text, start, end, confidence in json.loads(body)
    )


async def _send(audio: AsyncIterator[PcmFrame], grammar: _Grammar | None, lease: Lease) -> None:
    """Send a turn to the worker; what goes wrong here is told to whoever receives the answer."""
    try:
        await _begin(grammar, lease)
        async for frame in audio:
            assert frame.rate_hz == HEARING_RATE_HZ
            await lease.send("audio", frame.samples.tobytes())
        await lease.send("end")
        lease.expect()
    except Exception as error:
        lease.interrupt(error)


async def _begin(grammar: _Grammar | None, lease: Lease) -> None:
    if grammar is None:
        await lease.send("turn")
    elif grammar.key in lease.memory:
        await lease.send("turn", grammar=grammar.key)
    else:
        forget = next(iter(lease.memory)) if len(lease.memory) >= _GRAMMARS else None
        if forget is not None:
            del lease.memory[forget]
        await lease.send("turn", grammar.text, grammar=grammar.key, forget=forget)
