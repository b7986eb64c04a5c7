"""Speaking by OpenAI's speech endpoint: one request per clause, its samples passed on as they arrive.

``POST /audio/speech`` with ``response_format: pcm``: raw 16-bit mono at 24 kHz, chunked, no header. The sound
comes faster than real time; closing the stream closes the connection, which is how the server is cancelled.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field

import openai

from ..audio.pcm import PLAYOUT_RATE_HZ, Samples
from ..core.clauses import is_speakable
from ..errors import ProviderCrashed
from .base import SpeechChunk, Used, VoiceRequest
from .openai_client import OpenAIClient, StreamedResponse
from .openai_fields import OptionalFields, RequestFields, UnknownVoices, voice_field
from .openai_stage import OpenAIStage, sendable
from .patience import Patience
from .pcm_body import PcmBody

NAME = "openai-speech"
"""What the settings call it, and what its errors carry."""

MAX_TEXT = 4096
"""Characters that one request may speak."""
MAX_CHUNK = PLAYOUT_RATE_HZ * 40 // 1000
"""Samples of a chunk at most: a big read is passed on in pieces, so that whoever is full can stop in time."""


@dataclass(frozen=True, slots=True)
class OpenAITextToSpeechOptions:
    """How OpenAI, or a compatible server, speaks."""

    model: str = "gpt-4o-mini-tts"
    """The model; this one ends on 2027-01-06, and OpenAI has named no successor on this endpoint."""
    voice: str = "default"
    """The voice of who asks for none, or for one the server does not have; ``default`` is marin, or alloy
    where marin is not to be had."""
    instructions: str = ""
    """How to speak ("calm, a little slower"), for models that take it."""
    rate_hz: int = PLAYOUT_RATE_HZ
    """Rate of the server's raw samples; OpenAI's is 24 kHz, a server that runs Piper may send 22050."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Further fields of the request, for compatible servers, like ``{"sample_rate": 24000}``."""
    first_audio_timeout: float = 5.0
    """Seconds until the first sound of a clause: ten times the usual, half of what a reply may take."""
    idle_timeout: float = 5.0
    """Seconds between two pieces of sound: by then the listener has heard all there was."""


class OpenAITextToSpeech(OpenAIStage):
    """A voice. One object serves all calls; each clause is a request of its own."""

    name = NAME
    endpoint = "audio/speech"

    def __init__(self, options: OpenAITextToSpeechOptions, client: OpenAIClient) -> None:
        super().__init__(client, options.model)
        self.options = options
        self._optional = OptionalFields(self.endpoint)
        self._unknown_voices = UnknownVoices()

    def warm(self, request: VoiceRequest) -> None:
        """Have a connection open."""
        self.client.warm(self.model)

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speak ``text``; nothing at all if it holds neither letter nor digit."""
        words = sendable(text).strip()
        if not is_speakable(words):
            return
        for part in split_text(words, MAX_TEXT):
            async with aclosing(self._speak(part, request)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _speak(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speak what one request can hold."""
        patience = Patience(NAME, first=self.options.first_audio_timeout, idle=self.options.idle_timeout)
        n_samples = 0
        async with aclosing(self._sound(text, request, patience)) as sound:
            async for samples in sound:
                n_samples += len(samples)
                for start in range(0, len(samples), MAX_CHUNK):
                    patience.something_came()
                    yield SpeechChunk(samples[start : start + MAX_CHUNK])
        if not n_samples:
            raise ProviderCrashed(f"{NAME} sent no sound", provider=NAME)
        # The service counts nothing aloud; characters are what it is paid by.
        used = Used(NAME, self.model, seconds=n_samples / PLAYOUT_RATE_HZ, characters=len(text))
        yield SpeechChunk(samples[:0], used=used)

    async def _sound(
        self, text: str, request: VoiceRequest, patience: Patience
    ) -> AsyncGenerator[Samples, None]:
        """Send the request and yield the samples that each read completes."""
        decoder = PcmBody(rate_hz=self.options.rate_hz)
        async with aclosing(self._request(text, request, patience)) as body:
            try:
                async for piece in body:
                    yield decoder.feed(piece)
                yield decoder.flush()
            except ValueError as error:
                raise ProviderCrashed(f"{NAME} sent {error}", provider=NAME) from error

    def _request(self, text: str, request: VoiceRequest, patience: Patience) -> AsyncGenerator[bytes, None]:
        fields = {
            "speed": None if request.speed == 1.0 else request.speed,
            "instructions": self.options.instructions,
            **self.options.extra,
        }
        wish = _Wish(
            self._unknown_voices.choose(request.voice, self._default_voice()),
            self._default_voice(),
            self._optional.of_request(fields),
            self._unknown_voices,
        )
        return self.client.stream(
            lambda api: self._send(api, text, wish.voice, wish.fields),
            patience,
            wish,
            refuse=("application/json", "text/"),
        )

    def _send(
        self, api: openai.AsyncOpenAI, text: str, voice: str, fields: RequestFields
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        return api.audio.speech.with_streaming_response.create(
            input=text,
            model=self.model,
            voice=voice_field(voice),
            response_format="pcm",
            extra_body=fields.current,
        )

    async def _rehearse(self, api: openai.AsyncOpenAI) -> None:
        """Send a request to nobody."""
        fields = self._optional.of_request(self.options.extra)
        async with self._send(api, "Hello.", self._default_voice(), fields):
            pass

    def _default_voice(self) -> str:
        if self.options.voice != "default":
            return self.options.voice
        has_marin = self.client.options.is_openai and not self.model.startswith("tts-1")
        return "marin" if has_marin else "alloy"


@dataclass(slots=True)
class _Wish:
    """How a clause is to be spoken, as far as the server goes along."""

    voice: str
    default_voice: str
    fields: RequestFields
    unknown_voices: UnknownVoices

    def yields_to(self, error: Exception) -> bool:
        """Drop a field, or take the default voice, if ``error`` is about one."""
        if self.fields.yields_to(error):
            return True
        is_refusal = isinstance(error, openai.APIStatusError) and error.status_code in {400, 404, 422}
        told = f"{error} {getattr(error, 'body', '')}"
        is_about_voice = "voice" in told.lower() or self.voice in told
        if not (is_refusal and is_about_voice) or self.voice == self.default_voice:
            return False
        self.unknown_voices.note(self.voice)
        self.voice = self.default_voice
        return True


def split_text(text: str, limit: int) -> Iterator[str]:
    """Yield ``text`` in parts of at most ``limit`` characters, cut between words where there are any."""
    rest = text
    while len(rest) > limit:
        cut = max((place for place in range(limit, 0, -1) if rest[place].isspace()), default=limit)
        yield rest[:cut]
        rest = rest[cut:].lstrip()
    if rest:
        yield rest
