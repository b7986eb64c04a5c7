"""A port fake of a speech-to-speech service for a virtual-time loop: it hears, and answers by a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence

from ..audio.pcm import PLAYOUT_RATE_HZ, PcmFrame
from ..core.items import Item, Modality
from ..core.replies import ReplyRequest, ToolCall, Usage
from ..errors import ProviderError
from ..providers.base import Final, HeardPiece, RecognitionRequest, SaidPiece, SpeechChunk
from .fakes import voiced

_CHUNK = PLAYOUT_RATE_HZ // 10

Said = str | ToolCall | Exception | float
"""What an answer is made of: words with their sound, a call, a failure, seconds of thought."""


class FakeSpeechToSpeech:
    """Hears the next of ``turns`` and says the next of ``answers``; the last of each for ever.

    Words come ``words_delay`` seconds after a turn, an answer's first sound ``delay`` after it is asked for,
    and the rest ten times as fast as it plays.
    """

    name = "fake-speech"

    def __init__(
        self,
        turns: Iterable[str | Exception],
        answers: Iterable[Sequence[Said]],
        *,
        delay: float = 0.2,
        words_delay: float = 0.5,
    ) -> None:
        self.turns, self.answers = list(turns), list(answers)
        self.delay, self.words_delay = delay, words_delay
        self.dialogues: list[FakeDialogue] = []

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to free."""

    def attend(
        self, hearing: RecognitionRequest, replying: ReplyRequest, on_failure: Callable[[ProviderError], None]
    ) -> FakeDialogue:
        """Begin to listen to a call."""
        self.dialogues.append(FakeDialogue(self, on_failure))
        return self.dialogues[-1]

    def next_turn(self) -> str | Exception:
        """What the next turn says."""
        return self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]

    def next_answer(self) -> Sequence[Said]:
        """What the next answer is made of."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeDialogue:
    """One call of it. ``asked``: what it was asked for; ``items``: what was kept of each reply."""

    def __init__(self, service: FakeSpeechToSpeech, on_failure: Callable[[ProviderError], None]) -> None:
        self._service = service
        self.fail = on_failure
        """Let the service be out of reach."""
        self.asked: list[tuple[ReplyRequest, tuple[Item, ...]]] = []
        self.items: list[tuple[str, str]] = []
        self.cuts: list[tuple[str, float]] = []
        self.n_open = 0
        self.is_closed = False

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        """Hear one turn."""
        async for _ in audio:
            pass
        words = self._service.next_turn()
        await asyncio.sleep(self._service.words_delay)
        if isinstance(words, Exception):
            raise words
        yield Final(words)

    async def answer(
        self, request: ReplyRequest, history: Sequence[Item], *, reply_id: str = ""
    ) -> AsyncGenerator[SaidPiece, None]:
        """Say the next answer."""
        self.asked.append((request, tuple(history)))
        self.n_open += 1
        try:
            await asyncio.sleep(self._service.delay)
            for said in self._service.next_answer():
                match said:
                    case Exception():
                        raise said
                    case float():
                        await asyncio.sleep(said)
                    case ToolCall():
                        yield said
                    case str():
                        yield said
                        if request.output is Modality.AUDIO:
                            sound = voiced(said)
                            for start in range(0, len(sound), _CHUNK):
                                yield SpeechChunk(sound[start : start + _CHUNK])
                                await asyncio.sleep(0.01)
            yield Usage(10, 20, input_audio_tokens=10, output_audio_tokens=20, provider=self._service.name)
        finally:
            self.n_open -= 1

    def kept(self, reply_id: str, item: Item) -> None:
        """Note which item holds what."""
        self.items.append((reply_id, item.id))

    def heard(self, item_id: str, seconds: float) -> None:
        """Note how much was heard."""
        self.cuts.append((item_id, round(seconds, 2)))

    async def close(self) -> None:
        """Hang up."""
        self.is_closed = True
