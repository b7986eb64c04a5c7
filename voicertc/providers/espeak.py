"""The offline voice: espeak-ng in worker processes, resampled to 24 kHz with the times of its words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, field

import numpy as np

from ..audio.pcm import PLAYOUT_RATE_HZ, Samples
from ..audio.resample import Resampler
from ..core.clauses import is_speakable
from .base import SpeechChunk, VoiceRequest, WordMark
from .worker_messages import Message
from .workers import PoolOptions, WorkerPool

NAME = "espeak"
_SILENT = 50
"""Largest sample that counts as silence, of 32767: -56 dB."""
_LEAD_MS = 5
"""Silence left before the first sound; espeak-ng gives 12 ms, a user waits for every one of them."""
_RUN_ON_MS = 50
"""Silence left behind a text that does not end in punctuation: espeak-ng would pause as after a sentence."""
_ENDS = frozenset(".,;:!?…—–-)]}\"'”’»。、！？；：")


@dataclass(frozen=True, slots=True)
class EspeakOptions:
    """The options of the voice."""

    voice: str = "en-us"
    """Voice of a request that names none, or one that espeak-ng does not have."""
    words_per_minute: int = 170
    """Pace at speed 1.0; espeak-ng's own 175 is a little fast over a phone. It speaks no slower than 80."""
    pool: PoolOptions = field(default_factory=PoolOptions)
    """Its workers: two serve hundreds of calls, for a sentence takes one of them a few milliseconds."""
    library: str | None = None
    """Path of libespeak-ng; ``None``: the one of the espeakng-loader wheel, or else the system's."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that may be asked for: ``name`` is also its language tag, ``description`` is for people."""

    name: str
    description: str


class EspeakVoice:
    """``TextToSpeech`` by espeak-ng. Owned by the endpoint; any task may synthesize."""

    name = NAME
    engine = "voicertc.providers.espeak_engine:Espeak"
    """What its workers load."""

    def __init__(self, options: EspeakOptions | None = None) -> None:
        self._options = options or EspeakOptions()
        load = {"voice": self._options.voice, "library": self._options.library}
        self._pool = WorkerPool(NAME, self.engine, self._options.pool, load)
        self._rate_hz = 22_050
        self.voices: tuple[Voice, ...] = ()
        """What may be asked for, known after ``start``."""
        self.version = ""
        """espeak-ng's, known after ``start``."""

    @property
    def pool(self) -> WorkerPool:
        """The workers, for figures."""
        return self._pool

    async def start(self) -> None:
        """Load the library in the workers; raises ``ProviderUnavailable`` when there is none."""
        facts = await self._pool.start()
        self._rate_hz = int(facts["rate_hz"])
        Resampler(self._rate_hz, PLAYOUT_RATE_HZ)  # makes its matrix, so that the first clause need not
        self.version = str(facts["version"])
        self.voices = tuple(Voice(str(name), str(description)) for name, description in facts["voices"])

    async def close(self) -> None:
        """End the workers; may be called twice."""
        await self._pool.close()

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speak ``text``; the worker is free again long before the last chunk is taken."""
        text = text.replace("\0", " ")  # C would see the end of the text there; the offsets must not move
        sound = _Sound(text, self._rate_hz)
        voice = choose_voice(request, {voice.name for voice in self.voices}, self._options.voice)
        async with self._pool.lease() as lease:
            pace = round(self._options.words_per_minute * request.speed)
            # espeak-ng counts characters as we do; "replace" keeps their number.
            body = text.encode("utf-8", "replace")
            await lease.send("speak", body, voice=voice, words_per_minute=pace)
            lease.expect()
            is_last = False
            while not is_last:
                message = await lease.receive()
                is_last = message.kind == "done"
                chunk = sound.feed(message)
                if len(chunk.samples):
                    yield chunk
        tail = sound.end()
        if len(tail.samples):
            yield tail


def choose_voice(request: VoiceRequest, names: Collection[str], default: str) -> str:
    """Return the wanted one of ``names`` (or a variant of it), or one of the wanted language, or ``default``.

    A client of another service may ask for a voice that only that service has: it is answered too.
    """
    wanted, plus, variant = request.voice.partition("+")  # en-us+f3 is a variant of en-us
    if wanted.lower() in names and (not plus or variant.isalnum()):  # it is also a file name
        return wanted.lower() + plus + variant
    language = (request.language or "").lower()
    if not language or default == language or default.startswith(f"{language}-"):
        return default
    candidates = [name for name in names if name == language or name.startswith(f"{language}-")]
    return min(candidates, key=lambda name: (len(name), name), default=default)


class _Sound:
    """One clause on its way from the engine's rate to ours: silence trimmed, marks made ours."""

    def __init__(self, text: str, rate_hz: int) -> None:
        self._text = text
        self._rate_hz = rate_hz
        self._resampler = Resampler(rate_hz, PLAYOUT_RATE_HZ)
        self._is_sounding = False
        self._cut = 0  # engine samples cut off before the first sound
        self._silence: Samples = np.zeros(0, np.int16)  # held back: it may be the end
        self._marks: list[WordMark] = []
        self._last_start = -1

    def feed(self, message: Message) -> SpeechChunk:
        """Take a chunk of the engine; give what is surely part of the clause."""
        samples = np.concatenate([self._silence, np.frombuffer(message.body, np.int16)])
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _SILENT)
        first, end = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (len(samples), 0)
        start = 0
        if not self._is_sounding:
            start = max(0, first - self._ms(_LEAD_MS))
            self._cut += start
            self._is_sounding = len(loud) > 0
        end = max(start, end)
        self._silence = samples[end:]
        self._note(message.fields["marks"])
        return self._chunk(self._resampler.feed(samples[start:end]))

    def end(self) -> SpeechChunk:
        """The last chunk: a pause as the text's punctuation asks for."""
        if not self._is_sounding:
            return SpeechChunk(np.zeros(0, np.int16))
        if self._text.rstrip()[-1:] not in _ENDS:
            self._silence = self._silence[: self._ms(_RUN_ON_MS)]
        return self._chunk(np.concatenate([self._resampler.feed(self._silence), self._resampler.flush()]))

    def _chunk(self, samples: Samples) -> SpeechChunk:
        """A chunk with all marks known by now; they wait for one that has samples."""
        if not len(samples):
            return SpeechChunk(samples)
        marks, self._marks = tuple(self._marks), []
        return SpeechChunk(samples, marks)

    def _note(self, marks: list[list[int]]) -> None:
        """Keep the marks that begin a word: espeak-ng also marks pieces of numbers, and some twice."""
        for sample, text_start in marks:
            if text_start > self._last_start and _begins_word(self._text, text_start):
                ours = max(0, sample - self._cut) * PLAYOUT_RATE_HZ // self._rate_hz
                self._marks.append(WordMark(ours, text_start))
                self._last_start = text_start

    def _ms(self, duration: int) -> int:
        return self._rate_hz * duration // 1000


def _begins_word(text: str, index: int) -> bool:
    """Whether ``index`` is the first place of its blank-separated word that is read out."""
    if not 0 <= index < len(text) or text[index].isspace():
        return False
    start = index
    while start and not text[start - 1].isspace():
        start -= 1
    return not is_speakable(text[start:index])
